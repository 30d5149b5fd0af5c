"""From bytes to blocks of whole lines that can be parsed one after another, in constant memory."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Protocol

from visitpay.parsing.lines import MAX_LINE_BYTES
from visitpay.parsing.quoting import (
    MAX_MULTILINE_CELL_BYTES,
    closes_cell_pattern,
    opens_cell_pattern,
)

FIRST_BLOCK_BYTES = 1 << 18
"""The first block is smaller: its rows are written while the next are read."""

_END_MARK = b"\x1a"
"""What DOS puts at the end of a text file, more than once to fill a block."""

_MAX_BYTES_AFTER_END_MARK = 1 << 14
"""Blank lines up to so many bytes may follow an end mark."""

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass
class FileEnd:
    """How a file ends, known once all its blocks were read."""

    has_line_end: bool = True
    """Whether the last line that is not blank has a line end."""
    has_mark: bool = False
    """Whether the end mark of DOS stands there."""


class Source(Protocol):
    """Bytes to read, a block at a time; empty at the end."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes."""


def whole_lines(source: Source, block_bytes: int, end: FileEnd | None = None) -> Iterator[bytes]:
    """Yield a file in blocks of whole lines: UTF-8 (where it is valid), each line ended by LF.

    How the file ends is written into `end`.
    """
    end = end or FileEnd()
    return _cut_after_lines(_drop_end_mark(_as_utf8(_read(source, block_bytes)), end), end)


def _read(source: Source, size: int) -> Iterator[bytes]:
    block = source.read(min(size, FIRST_BLOCK_BYTES))
    while block:
        yield block
        block = source.read(size)


def _as_utf8(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Drop a byte order mark, and turn UTF-16 into UTF-8; what is invalid stays so."""
    first = b""
    while len(first) < len(codecs.BOM_UTF8) and (block := next(blocks, b"")):
        first += block
    marks = ((mark, encoding) for mark, encoding in _BYTE_ORDER_MARKS if first.startswith(mark))
    mark, encoding = next(marks, (b"", "utf-8"))
    blocks = chain([first[len(mark) :]], blocks)
    if encoding == "utf-8":
        yield from blocks
        return
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    for block in blocks:
        yield decoder.decode(block).encode("utf-8", "surrogatepass")
    if half := decoder.getstate()[0]:
        # Half a character at the end makes its line invalid; DOS puts its mark there as one byte.
        yield half if half == _END_MARK else b"\xff"


def _drop_end_mark(blocks: Iterator[bytes], file_end: FileEnd) -> Iterator[bytes]:
    """Drop the end mark of DOS, and blank lines after it; text after it makes it a character."""
    pending = b""
    for block in blocks:
        text = pending + block
        end = text[-_MAX_BYTES_AFTER_END_MARK:]
        mark = end.find(_END_MARK, len(end.rstrip(b"\x1a \r\n")))
        start = len(text) if mark < 0 else len(text) - len(end) + mark
        if start:
            yield text[:start]
        pending = text[start:]
    file_end.has_mark = bool(pending)


def _cut_after_lines(blocks: Iterator[bytes], file_end: FileEnd) -> Iterator[bytes]:
    r"""Move the ends of blocks to line ends, which become LF, and end the last line.

    Of a line beyond the limit MAX_LINE_BYTES and one byte are kept, so that it is known as such.

        in:  b"1,a\r\n2,", b"b\n3,c"
        out: b"1,a\n", b"2,b\n", b"3,c\n"
    """
    tail = b""
    for block in chain(blocks, [None]):
        if block is None:
            file_end.has_line_end = not tail.strip(b" ") or tail.endswith(b"\r")
        text = tail + (block if block is not None else b"\n" if tail else b"")
        cr = b""
        if text.endswith(b"\r"):  # its LF may be in the next block
            text, cr = text[:-1], b"\r"
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        end = text.rfind(b"\n") + 1
        if end:
            yield text[:end]
        tail = text[end : end + MAX_LINE_BYTES + 1] + cr


def keep_together(blocks: Iterator[bytes], delimiter: str) -> Iterator[bytes]:
    r"""Move the ends of blocks so that the pieces of a row or of a quoted cell stay together.

    A block ends between two lines with delimiters, and where no quoted cell may be open. Such a
    place is looked for near the block's end (MAX_MULTILINE_CELL_BYTES). Without one, a long block
    ends as it did, and a short one is joined to the next.

        in:  b'1,a\n2,b\n', b'3,"c\n4,d\n', b'e"\n5,f\n'
        out: b'1,a\n', b'2,b\n', b'3,"c\n4,d\ne"\n5,f\n'
    """
    cutter = _BlockCutter(delimiter)
    pending = b""
    for block, following in pairwise(chain(blocks, [b""])):
        text = pending + block
        end = cutter.safe_end(text) if following else len(text)
        pending = text[end:]
        if end:
            yield text[:end]


class _BlockCutter:
    """Finds where a block of lines can end."""

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter.encode()
        self._opens_cell = re.compile(opens_cell_pattern(delimiter).encode())
        self._closes_cell = re.compile(closes_cell_pattern(delimiter).encode())

    def safe_end(self, text: bytes) -> int:
        """Return the last end that is good; 0 when there is none, `len(text)` when none is near."""
        end = len(text)
        while True:
            between_rows = self._between_rows(text, end)
            if between_rows == end:
                return end
            end = self._before_open_cell(text, between_rows)
            if end == between_rows:
                return end

    def _between_rows(self, text: bytes, end: int) -> int:
        """Return where two lines with delimiters meet, before `end`; that itself, if none is near.

        It is 0 when the whole text is near and there is no such place.
        """
        near = max(end - MAX_MULTILINE_CELL_BYTES, 0)
        start = end
        is_row = text.find(self._delimiter, end, text.find(b"\n", end)) >= 0
        while start > near:
            stop, start = start, text.rfind(b"\n", 0, start - 1) + 1
            next_is_row, is_row = is_row, text.find(self._delimiter, start, stop) >= 0
            if next_is_row and is_row:
                return stop
        return 0 if start == 0 else end

    def _before_open_cell(self, text: bytes, end: int) -> int:
        """Return where the last line starts, before `end`, that opens a cell which may go on.

        It is `end` when no such line is near.
        """
        near = max(end - MAX_MULTILINE_CELL_BYTES, 0)
        if text.find(b'"', near, end) < 0:
            return end
        start = end
        while start > near:
            stop, start = start, text.rfind(b"\n", 0, start - 1) + 1
            if self._opens_cell.fullmatch(text, start, stop - 1):
                end = start
                if not self._closes_cell.match(text, start, stop - 1):
                    break  # else it may end a cell that an earlier line opens
        return end
