"""From bytes to numbered lines of text, some at a time, in constant memory."""

import codecs
import io
from collections.abc import Iterator

import polars as pl

from visitpay.parsing.values import no_rows_mask

MAX_LINE_BYTES = 1 << 20

KEPT_OF_LONG_LINE = 1 << 10


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
