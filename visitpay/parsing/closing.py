r"""The lines that close a file: a trailer that says how many rows there are, or a word for the end.

A file is closed by the last line that is not blank, or the last two: a trailer, and a word for the
end. Such a line is known by its form only, and only where it cannot be a row, or the piece of one.

    TRL|1234                   a tag of mainframes, and a count
    Total records: 1,234       a label, and a count
    (1234 rows affected)       a count of rows, as query tools add it
    *** END OF FILE ***        a word for the end
    Elapsed: 00:00:01.5        what a query tool adds, too; it says no count
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

import polars as pl

from visitpay.errors import FileError
from visitpay.parsing.layout import DELIMITERS, Layout
from visitpay.parsing.quoting import csv_cells, leaves_open, unquote
from visitpay.text import counted

_MAX_LINES = 2
"""So many lines may close a file."""

_MAX_BYTES = 1 << 14
"""Closing lines are looked for in so many bytes at a file's end, blank lines among them."""

_MAX_LINE_LENGTH = 1 << 12

_DECORATION = r"[-\s*=#<>\[\](){}/\\.:~_+]*"
_COUNT = r"(?P<{}>[0-9]{{1,3}}(?:[,.'\u00a0\u202f][0-9]{{3}})+|[0-9]{{1,18}})"
_COLON = r"(?: *[:=] *(?:\t *)?| *\t *)"
"""What may stand between a label and its count; a tab for any delimiter."""
_END = (
    r"(?:eof|eot|end(?:[ _-]?of[ _-]?(?:the )?(?:file|data|report|records?|rows|extract|export|feed"
    r"|list|output|transmission|document|batch))?)"
)
_TAG = rf"(?:(?:trl|trlr|tlr|trailer|ftr|footer)(?: ?rec(?:ord)?)?|{_END})"
_ROWS = r"(?:rows?|records?|recs?)(?:\(s\)?)?"
_THINGS = rf"(?:data )?(?:{_ROWS}|lines|entries|items|procedures|visits|transactions)"
_LABEL = (
    rf"(?:(?:grand )?total(?: (?:number|count|no\.?) of)?(?: {_THINGS})?(?: count)?"
    rf"|(?:number|no\.?|count|#) ?of {_THINGS}|(?:row|record|rec|line)[ _-]?(?:count|total)"
    rf"|count|{_ROWS})"
)
_DONE = (
    r"(?: (?:affected|selected|returned|exported|extracted|written|processed|found|fetched|copied"
    r"|retrieved|unloaded|output|total|in (?:total|set|file|all)|in this file))?"
    r"(?: \([0-9.]+ (?:s|secs?|seconds?)\))?"
)
_TIMES = r"(?:completion time: [-0-9T:.+Z ]+|elapsed: [0-9:]+:[0-9.]+|time: [0-9.,]+ ms)"
"""As query tools add them to what they save."""


@cache
def _pattern() -> re.Pattern[str]:
    r"""Return the pattern of a closing line, its cells separated by tabs; the group is the count.

    in:  "TRL\t1234", "Total records: 1,234", "*** EOF ***", "1\tTotal"
    out: 1234, 1,234, matches without a count, does not match
    """
    tagged, labelled, plain = map(_COUNT.format, ("tagged", "labelled", "plain"))
    counts = (
        rf"{_TAG}(?:{_COLON}| *- *| +)(?:{_LABEL}(?:{_COLON}| +))?{tagged}(?: +{_THINGS}{_DONE})?",
        rf"{_LABEL}{_COLON}{labelled}(?: +{_THINGS})?",
        rf"(?:total(?:{_COLON}| +)(?:of )?)?{plain} +{_ROWS}{_DONE}",
    )
    count = rf"(?:{'|'.join(counts)})(?:[\t ]+{_DECORATION}{_END})?"
    line = rf"(?:{count}|{_END}|{_TIMES})"
    return re.compile(rf"{_DECORATION}{line}{_DECORATION}", re.IGNORECASE)


class ClosingLines:
    """The lines that close a file, which are removed from its blocks as it is read."""

    def __init__(self, layout: Layout, is_row: Callable[[str], bool]) -> None:
        """Judge by a layout, and by `is_row`, which says whether a line is a good row."""
        self._layout = layout
        self._is_row = is_row
        self.row_count: int | None = None
        """How many rows there are by the trailer."""
        self.has_closed = False
        """Whether such lines close the file, once all its blocks were read."""

    def remove_from(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield blocks of whole lines without the lines that close the file."""
        pending = previous = b""
        for block in blocks:
            text = pending + block
            lines = _closing_lines(text, self._layout.delimiter)
            start = lines[0].start if lines else len(text)
            previous = _last_line(text[:start]) or previous
            pending = text[start:]
            if start:
                yield text[:start]
        lines = _closing_lines(pending, self._layout.delimiter)
        end = self._find_start(lines, _decode(previous)) if lines else len(pending)
        self.has_closed = end < len(pending)
        if end:
            yield pending[:end]

    def require_row_count(self, rows_read: int) -> None:
        """Raise FileError if there is a trailer, and it says another count of rows."""
        if self.row_count is None or self.row_count == rows_read:
            return
        are = "is" if rows_read == 1 else "are"
        why = "cut off?" if rows_read < self.row_count else "is it one file?"
        count = counted(self.row_count, "row")
        message = f"its trailer says {count}, {rows_read:,} {are} there: {why}"
        raise FileError(message)

    def _find_start(self, lines: Sequence["_ClosingLine"], previous: str) -> int:
        """Return where those of the lines start that close the file; none of a kind comes twice."""
        before_each = [previous, *(line.text for line in lines)]
        start, has_end = lines[-1].end, False
        for line, before in zip(reversed(lines), before_each[-2::-1], strict=True):
            is_second = has_end if line.row_count is None else self.row_count is not None
            if is_second or self._may_be_row(line.text, before):
                break
            if line.row_count is None:
                has_end = True
            else:
                self.row_count = line.row_count
            start = line.start
        return start

    def _may_be_row(self, line: str, before: str) -> bool:
        """Whether a line may be a row, or a piece of one that the line before it begins."""
        delimiter = self._layout.delimiter
        if self._is_row(line) or leaves_open(before, delimiter):
            return True
        is_joined_row = any(self._is_row(before + between + line) for between in ("", delimiter))
        if before and is_joined_row and not self._is_row(before):
            return True
        starts_with_text = any(
            column.kind.dtype == pl.String for column in self._layout.columns if not column.position
        )
        return starts_with_text and line.count(delimiter) >= self._layout.width - 1


class _ClosingLine(NamedTuple):
    """A line in the form of one that closes a file."""

    start: int
    end: int
    """Of the blank lines after it."""
    text: str
    row_count: int | None


def _closing_lines(text: bytes, delimiter: str) -> list[_ClosingLine]:
    """Return the last lines that have the form of closing lines, if near the end."""
    found: list[_ClosingLine] = []
    start, near = len(text), max(len(text) - _MAX_BYTES, 0)
    while start and len(found) < _MAX_LINES:
        stop, start = start, text.rfind(b"\n", 0, start - 1) + 1
        line = _decode(text[start:stop]) if start >= near else ""
        if text[start:stop].strip(b" \n"):
            match = _match(line, delimiter)
            if match is None:
                break
            found.insert(0, _ClosingLine(start, len(text), line, _row_count(match)))
        elif start < near:
            break
    return found


def _last_line(text: bytes) -> bytes:
    """Return the last line that is not blank; nothing where all are."""
    text = text.rstrip(b" \n")
    return text[text.rfind(b"\n") + 1 :]


def _decode(line: bytes) -> str:
    """Return a line as text; what is not UTF-8 closes nothing."""
    try:
        return line.decode().rstrip("\n")
    except UnicodeDecodeError:
        return ""


def _row_count(match: re.Match[str]) -> int | None:
    """Return the count that a closing line says, if it says one."""
    return int(re.sub("[^0-9]", "", match[match.lastgroup])) if match.lastgroup else None


def _match(line: str, delimiter: str) -> re.Match[str] | None:
    """Match a line that has the form of a closing line, with empty cells after it."""
    line = line.strip(" ").rstrip(f" {delimiter}")
    if len(line) > _MAX_LINE_LENGTH:
        return None
    for text in (unquote(line), *(_with_tabs(line, each) for each in DELIMITERS)):
        if match := _pattern().fullmatch(text):
            return match
    return None


def _with_tabs(line: str, delimiter: str) -> str:
    """Return a line with its cells trimmed, unquoted and separated by tabs."""
    cells = [unquote(cell.strip(" ")) for cell in csv_cells(line, delimiter, _MAX_LINE_LENGTH)]
    return "\t".join(cells).rstrip("\t ")
