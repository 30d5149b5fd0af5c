"""Blocks of whole lines as frames of numbered lines of text."""

import codecs
import io
from collections.abc import Iterator

import polars as pl

from visitpay.parsing.values import no_rows_mask

MAX_LINE_BYTES = 1 << 20
_KEPT_OF_LONG_LINE = 1 << 10
"""Characters that are kept of a line beyond the limit."""


def number_lines(block: bytes, first_number: int) -> pl.DataFrame:
    r"""Return the lines of a block: `source_line`, `raw`, `invalid_encoding`, `line_too_long`.

    Lines of invalid encoding have a NUL or bytes that are not UTF-8; in `raw` these are escaped.
    Of lines that are too long, `raw` has the start.

        in:  b"1,caf\xe9\n2,b\n", 7
        out: 7, r"1,caf\xe9", True, False
             8, "2,b", False, False
    """
    block, escaped = (block, {}) if _is_text(block) else _escape(block)
    # An empty line ahead: polars would take a first line like "x^" for compressed data.
    lines = pl.read_lines(io.BytesIO(b"\n" + block), name="raw").slice(1)
    sizes = lines["raw"].str.len_bytes()
    invalid_encoding = no_rows_mask(sizes)
    if escaped:
        sizes = sizes.scatter(list(escaped), list(escaped.values()))
        invalid_encoding = invalid_encoding.scatter(list(escaped), values=True)
    too_long = sizes > MAX_LINE_BYTES
    lines = lines.with_columns(
        invalid_encoding=invalid_encoding & ~too_long, line_too_long=too_long
    )
    if too_long.any():
        start = pl.col("raw").str.head(_KEPT_OF_LONG_LINE)
        lines = lines.with_columns(raw=pl.when("line_too_long").then(start).otherwise("raw"))
    return lines.with_row_index("source_line", first_number).cast({"source_line": pl.Int64})


def _is_text(block: bytes) -> bool:
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in block


def _escape(block: bytes) -> tuple[bytes, dict[int, int]]:
    """Escape what is not text; return, by index, the size that each of those lines had."""
    pieces: list[bytes] = []
    sizes: dict[int, int] = {}
    index = done = 0
    for start, end in _lines_that_are_not_text(block):
        index += block.count(b"\n", done, start)
        sizes[index] = end - start
        line = block[start:end].decode("utf-8", "backslashreplace").replace("\0", r"\x00")
        pieces += block[done:start], line.encode()
        done = end
    return b"".join([*pieces, block[done:]]), sizes


def _lines_that_are_not_text(block: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and end of each line with a NUL or with bytes that are not UTF-8."""
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
