"""From bytes to numbered lines of text, some at a time, in constant memory."""

import codecs
import io
from collections.abc import Iterator
from itertools import chain

import polars as pl

from visitpay.landing import Source

MAX_LINE_BYTES = 1 << 20
KEPT_OF_LONG_LINE = 1 << 10
FIRST_BLOCK_BYTES = 1 << 18

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def whole_lines(source: Source, block_bytes: int) -> Iterator[bytes]:
    """Give a file in blocks of whole lines: UTF-8 (where it is valid), each line ended by LF."""
    return _whole_lines(_utf8(_blocks(source, block_bytes)))


def _blocks(source: Source, size: int) -> Iterator[bytes]:
    # The first rows are written while the next are read.
    block = source.read(min(size, FIRST_BLOCK_BYTES))
    while block:
        yield block
        block = source.read(size)


def _utf8(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Drop a byte order mark, and turn UTF-16 into UTF-8; what is invalid stays so."""
    first = b""
    while len(first) < len(codecs.BOM_UTF8) and (more := next(blocks, b"")):
        first += more
    boms = (each for each in _BOMS if first.startswith(each[0]))
    bom, encoding = next(boms, (b"", "utf-8"))
    blocks = chain([first[len(bom) :]], blocks)
    if encoding == "utf-8":
        yield from blocks
        return
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    for block in blocks:
        yield decoder.decode(block).encode("utf-8", "surrogatepass")
    if decoder.getstate()[0]:
        yield b"\xff"  # half a character at the end makes its line invalid


def _whole_lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Cut blocks after line ends, which become LF; of a line beyond the limit only so much is kept.

    What is kept of it is longer than MAX_LINE_BYTES by one byte, so that it is known.
    """
    tail = b""
    for block in chain(blocks, [None]):
        text = tail + (block if block is not None else b"\n" if tail else b"")
        held = b""
        if text.endswith(b"\r"):  # its LF may be in the next block
            text, held = text[:-1], b"\r"
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        end = text.rfind(b"\n") + 1
        if end:
            yield text[:end]
        tail = text[end : end + MAX_LINE_BYTES + 1] + held


def numbered(block: bytes, first_number: int) -> pl.DataFrame:
    """Give a block's lines: `source_line`, `raw`, `broken` (raw is written out), `long` (cut)."""
    lines = None if b"\0" in block else _decoded(block)
    if lines is None:
        pieces = block[:-1].split(b"\n")
        columns = {
            "raw": [_written_out(piece) for piece in pieces],
            "broken": [not _is_long(piece) and _is_broken(piece) for piece in pieces],
            "long": [_is_long(piece) for piece in pieces],
        }
        lines = pl.DataFrame(columns)
    if lines["long"].any():
        short = pl.col("raw").str.head(KEPT_OF_LONG_LINE)
        lines = lines.with_columns(raw=pl.when("long").then(short).otherwise("raw"))
    return lines.with_row_index("source_line", first_number).cast({"source_line": pl.Int64})


def _decoded(block: bytes) -> pl.DataFrame | None:
    try:
        block.decode()
    except UnicodeDecodeError:
        return None
    # An empty line ahead: polars would take a first line like "x^" for compressed data.
    lines = pl.read_lines(io.BytesIO(b"\n" + block), name="raw").slice(1)
    return lines.with_columns(
        broken=pl.lit(value=False), long=pl.col("raw").str.len_bytes() > MAX_LINE_BYTES
    )


def _written_out(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace").replace("\0", r"\x00")


def _is_long(line: bytes) -> bool:
    return len(line) > MAX_LINE_BYTES


def _is_broken(line: bytes) -> bool:
    try:
        return "\0" in line.decode()
    except UnicodeDecodeError:
        return True
