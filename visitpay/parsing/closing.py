"""What closes a file: a trailer that says how many rows there are, or a word that says the end.

It is the last line that is not blank, or the last two: a trailer, and a word for the end. It is
known by its form only, and only where it cannot be a row, or the piece of one.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from visitpay.errors import FileError
from visitpay.parsing.columns import file_columns
from visitpay.parsing.layout import DELIMITERS, Layout
from visitpay.parsing.quoting import csv_cells, leaves_open, unquoted
from visitpay.text import counted

_LINES = 2
"""So many lines may close a file."""

_NEAR = 1 << 14
"""Bytes at a file's end in which what closes it is looked for, with blank lines after it."""

_LONGEST = 1 << 12

_AROUND = r"[-\s*=#<>\[\](){}/\\.:~_+]*"
_COUNT = r"(?P<{}>[0-9]{{1,3}}(?:[,.'\u00a0\u202f][0-9]{{3}})+|[0-9]{{1,18}})"
_SAYS = r"(?: *[:=] *(?:\t *)?| *\t *)"
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


@cache
def _forms() -> re.Pattern[str]:
    """Give the forms of a closing line, its cells parted by tabs."""
    tagged, labelled, plain = map(_COUNT.format, ("tagged", "labelled", "plain"))
    counts = (
        rf"{_TAG}(?:{_SAYS}| *- *| +)(?:{_LABEL}(?:{_SAYS}| +))?{tagged}(?: +{_THINGS}{_DONE})?",
        rf"{_LABEL}{_SAYS}{labelled}(?: +{_THINGS})?",
        rf"(?:total(?:{_SAYS}| +)(?:of )?)?{plain} +{_ROWS}{_DONE}",
    )
    count = rf"(?:{'|'.join(counts)})(?:[\t ]+{_AROUND}{_END})?"
    # As query tools add to what they save.
    finished = r"completion time: [-0-9T:.+Z ]+|elapsed: [0-9:]+:[0-9.]+|time: [0-9.,]+ ms"
    return re.compile(rf"{_AROUND}(?:{count}|{_END}|{finished}){_AROUND}", re.IGNORECASE)


class Closing:
    """What closes a file, known once it was read, and taken away from its lines."""

    def __init__(self, layout: Layout, is_row: Callable[[str], bool]) -> None:
        """Judge by a layout, and by what says whether a line is a good row."""
        self._layout = layout
        self._is_row = is_row
        self.rows: int | None = None
        """How many rows the trailer says there are."""

    def taken_from(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Give blocks of whole lines without what closes the file."""
        held = before = b""
        for block in blocks:
            text = held + block
            lines = _closing_lines(text, self._layout.delimiter)
            start = lines[0].start if lines else len(text)
            before = _last_line(text[:start]) or before
            held = text[start:]
            if start:
                yield text[:start]
        lines = _closing_lines(held, self._layout.delimiter)
        if left := held[: self._start(lines, _decoded(before))] if lines else held:
            yield left

    def require_fit(self, rows_read: int) -> None:
        """Raise FileError if there is a trailer, and it says another count of rows."""
        said = rows_read if self.rows is None else self.rows
        if said != rows_read:
            are = "is" if rows_read == 1 else "are"
            why = "cut off?" if rows_read < said else "is it one file?"
            message = f"its trailer says {counted(said, 'row')}, {rows_read:,} {are} there: {why}"
            raise FileError(message)

    def _start(self, lines: Sequence["_Line"], before: str) -> int:
        """Find where those of the lines start that close the file; none of a kind comes twice."""
        befores = [before, *(line.text for line in lines)]
        end, ended = lines[-1].end, False
        for line, previous in zip(reversed(lines), befores[-2::-1], strict=True):
            again = ended if line.rows is None else self.rows is not None
            if again or self._may_be_row(line.text, previous):
                break
            if line.rows is None:
                ended = True
            else:
                self.rows = line.rows
            end = line.start
        return end

    def _may_be_row(self, line: str, before: str) -> bool:
        delimiter = self._layout.delimiter
        if self._is_row(line) or leaves_open(before, delimiter):
            return True
        joined = any(self._is_row(before + between + line) for between in ("", delimiter))
        if before and joined and not self._is_row(before):
            return True
        columns = zip(file_columns(self._layout.entity), self._layout.positions, strict=True)
        begins = any(column.type.python_type is str for column, place in columns if not place)
        return begins and line.count(delimiter) >= self._layout.width - 1


class _Line(NamedTuple):
    """A line in the form of one that closes a file."""

    start: int
    end: int
    text: str
    rows: int | None


def _closing_lines(text: bytes, delimiter: str) -> list[_Line]:
    """Give the last lines that are in the form of it, as far as they are near the end."""
    found: list[_Line] = []
    start, near = len(text), max(len(text) - _NEAR, 0)
    while start and len(found) < _LINES:
        stop, start = start, text.rfind(b"\n", 0, start - 1) + 1
        line = _decoded(text[start:stop]) if start >= near else ""
        if text[start:stop].strip(b" \n"):
            form = _closes(line, delimiter)
            if form is None:
                break
            found.insert(0, _Line(start, len(text), line, _count(form)))
        elif start < near:
            break
    return found


def _last_line(text: bytes) -> bytes:
    """Give the last line that is not blank; nothing where all are."""
    text = text.rstrip(b" \n")
    return text[text.rfind(b"\n") + 1 :]


def _decoded(line: bytes) -> str:
    """Give a line as text; what is no text closes nothing."""
    try:
        return line.decode().rstrip("\n")
    except UnicodeDecodeError:
        return ""


def _count(form: re.Match[str]) -> int | None:
    """Give the count that a closing line says, if it says one."""
    return int(re.sub("[^0-9]", "", form[form.lastgroup])) if form.lastgroup else None


def _closes(line: str, delimiter: str) -> re.Match[str] | None:
    """Match a line that is in the form of one that closes a file, with empty cells after it."""
    line = line.strip(" ").rstrip(f" {delimiter}")
    if len(line) > _LONGEST:
        return None
    whole = unquoted(line)
    for text in (whole, *(_tabbed(line, each) for each in DELIMITERS)):
        if form := _forms().fullmatch(text):
            return form
    return None


def _tabbed(line: str, delimiter: str) -> str:
    cells = [unquoted(cell.strip(" ")) for cell in csv_cells(line, delimiter, _LONGEST)]
    return "\t".join(cells).rstrip("\t ")
