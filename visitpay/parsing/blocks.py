"""From bytes to blocks of whole lines that can be parsed one by one."""

import codecs
import re
from collections.abc import Iterator
from itertools import chain, pairwise
from typing import Protocol

from visitpay.parsing.lines import MAX_LINE_BYTES
from visitpay.parsing.quoting import MAX_CELL_ACROSS_LINES, closing_pattern, opening_pattern

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


def keep_together(blocks: Iterator[bytes], delimiter: str) -> Iterator[bytes]:
    """Move the block ends so that the pieces of a cell or of a row that spans lines stay together.

    A block ends between two lines with delimiters, and where no quoted cell may go on.
    """
    opening = re.compile(opening_pattern(delimiter).encode())
    closing = re.compile(closing_pattern(delimiter).encode())
    held, sign = b"", delimiter.encode()
    for block, more in pairwise(chain(blocks, [b""])):
        text = held + block
        end = opened = len(text)
        while more and (end := _between_rows(text, opened, sign)) != opened:
            if (opened := _before_open_cell(text, end, opening, closing)) == end:
                break
        held = text[end:]
        if end:
            yield text[:end]


def _between_rows(text: bytes, end: int, delimiter: bytes) -> int:
    """Find where two lines meet that have delimiters, if it is near the end."""
    near = max(end - MAX_CELL_ACROSS_LINES, 0)
    start, is_row = end, text.find(delimiter, end, text.find(b"\n", end)) >= 0
    while start > near:
        stop, start = start, text.rfind(b"\n", 0, start - 1) + 1
        was_row, is_row = is_row, text.find(delimiter, start, stop) >= 0
        if was_row and is_row:
            return stop
    return 0 if start == 0 else end


def _before_open_cell(
    text: bytes, end: int, opening: re.Pattern[bytes], closing: re.Pattern[bytes]
) -> int:
    """Find where the last line starts that opens a cell that may go on, if it is near the end."""
    start, near = end, max(end - MAX_CELL_ACROSS_LINES, 0)
    if text.find(b'"', near, end) < 0:
        return end
    while start > near:
        stop, start = start, text.rfind(b"\n", 0, start - 1) + 1
        if opening.fullmatch(text, start, stop - 1):
            end = start
            if not closing.match(text, start, stop - 1):
                break  # else it may end a cell that an earlier line opens
    return end
