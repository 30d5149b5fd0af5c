"""From bytes to numbered lines of text, some at a time, in constant memory."""

import codecs
import io
from collections.abc import Iterator
from itertools import chain
from typing import Protocol

import polars as pl

from visitpay.parsing.values import no_rows_mask

MAX_LINE_BYTES = 1 << 20
KEPT_OF_LONG_LINE = 1 << 10
FIRST_BLOCK_BYTES = 1 << 18

_END_MARK = b"\x1a"
"""What DOS puts at the end of a text file, more than once to fill a block."""

_NEAR = 1 << 14
"""Bytes after an end mark in which nothing but blank lines may stand."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class Source(Protocol):
    """Bytes to read, a block at a time; empty at the end."""

    def read(self, size: int, /) -> bytes:
        """Give up to `size` bytes."""


def whole_lines(source: Source, block_bytes: int) -> Iterator[bytes]:
    """Give a file in blocks of whole lines: UTF-8 (where it is valid), each line ended by LF."""
    return _whole_lines(_without_end_mark(_utf8(_blocks(source, block_bytes))))


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
    if half := decoder.getstate()[0]:
        # Half a character at the end makes its line invalid; DOS puts its mark there as one byte.
        yield half if half == _END_MARK else b"\xff"


def _without_end_mark(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Drop the end mark of DOS where nothing but blank lines come after it."""
    held = b""
    for block in blocks:
        text = held + block
        end = text[-_NEAR:]
        mark = end.find(_END_MARK, len(end.rstrip(b"\x1a \r\n")))
        start = len(text) if mark < 0 else len(text) - len(end) + mark
        if start:
            yield text[:start]
        held = text[start:]


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
    block, broken = (block, {}) if _is_text(block) else _written_out(block)
    # An empty line ahead: polars would take a first line like "x^" for compressed data.
    lines = pl.read_lines(io.BytesIO(b"\n" + block), name="raw").slice(1)
    lengths = lines["raw"].str.len_bytes()
    strange = no_rows_mask(lengths)
    if broken:
        lengths = lengths.scatter(list(broken), list(broken.values()))
        strange = strange.scatter(list(broken), values=True)
    long = lengths > MAX_LINE_BYTES
    lines = lines.with_columns(broken=strange & ~long, long=long)
    if long.any():
        short = pl.col("raw").str.head(KEPT_OF_LONG_LINE)
        lines = lines.with_columns(raw=pl.when("long").then(short).otherwise("raw"))
    return lines.with_row_index("source_line", first_number).cast({"source_line": pl.Int64})


def _is_text(block: bytes) -> bool:
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in block


def _written_out(block: bytes) -> tuple[bytes, dict[int, int]]:
    """Write out what is no text; gives the places of the lines that had it, and their bytes."""
    pieces: list[bytes] = []
    lengths: dict[int, int] = {}
    place = done = 0
    for start, end in _lines_that_are_no_text(block):
        place += block.count(b"\n", done, start)
        lengths[place] = end - start
        line = block[start:end].decode("utf-8", "backslashreplace").replace("\0", r"\x00")
        pieces += block[done:start], line.encode()
        done = end
    return b"".join([*pieces, block[done:]]), lengths


def _lines_that_are_no_text(block: bytes) -> Iterator[tuple[int, int]]:
    """Give start and end of each line with a NUL or with bytes that are no character."""
    view, done = memoryview(block), 0
    while done < len(block):
        nul = block.find(b"\0", done)
        stop = len(block) if nul < 0 else nul
        try:
            codecs.utf_8_decode(view[done:stop], "strict", True)  # noqa: FBT003 - takes no name
        except UnicodeDecodeError as error:
            stop = done + error.start
        if stop == len(block):
            return
        end = block.index(b"\n", stop)
        yield max(block.rfind(b"\n", done, stop) + 1, done), end
        done = end + 1
