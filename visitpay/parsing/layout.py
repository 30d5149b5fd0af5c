"""Where a file has the columns of an entity: its header and its delimiter."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from visitpay.errors import FileError
from visitpay.feed import REJECT_HEADERS
from visitpay.models import Entity
from visitpay.parsing.columns import (
    FileColumn,
    file_columns,
    file_headers,
    key_column,
    locate_columns,
)
from visitpay.parsing.quoting import unquote
from visitpay.text import printable

DELIMITERS = "\t,|;"
_DELIMITERS_IN_WORDS = {"\t": "tabs", ",": "commas", "|": "pipes", ";": "semicolons"}

MAX_COLUMNS = 1000
"""Columns of a file; with 100,000 of them, a few rows take 250 MiB (measured)."""

_NUMBER = re.compile(r"[+-]?[0-9]+")

_INVISIBLE = " \u00a0\u2007\u202f\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad"
"""Spaces, letters without a width and byte order marks that may stand around a name."""

_INVISIBLE_MISREAD = ("\u00ef\u00bb\u00bf", r"\xa0")
"""The same in a wrong encoding: a byte order mark, and a no-break space that is no UTF-8."""

_MIN_ROWS = 3
"""With fewer rows, a difference from the header says nothing: they may be damaged themselves."""


@dataclass(frozen=True)
class Layout:
    """Where a file has the columns of an entity."""

    entity: type[Entity]
    header: str
    """The header, with the delimiters at its end that the rows have."""
    delimiter: str
    width: int
    """Cells in the header, up to the last that has a name."""
    trailing_delimiters: str
    """What ends a line after its cells, as in most of the first rows, or else in the header."""
    columns: tuple[FileColumn, ...]
    """The columns of the entity, in the model's order."""
    key: FileColumn
    """The column that tells rows apart."""
    extra: tuple[str, ...]
    """Columns of the file that the entity does not have."""
    is_resubmission: bool
    """Whether the file holds exported rejects."""

    @classmethod
    def of(cls, entity: type[Entity], header: str, rows: Sequence[str] | None = None) -> "Layout":
        """Return the layout of a file by its header line, checked against its first rows.

        `rows` is None when the header has been accepted before; a new file without rows has none
        (`[]`). Raises FileError when the line is empty, lacks a column, has one twice or too many,
        or contradicts the rows. The message names the model's columns only: a file without a header
        has data in its first line.
        """
        filled = [row for row in rows or () if row.strip(" ")]
        delimiter = _find_delimiter(entity, header, rows or ())
        names = _names(header, delimiter)
        width = max(count for count, name in enumerate(names, 1) if name)
        _require_named_once(entity, names)
        _require_few_columns(width)
        _require_rows_agree(names[:width], filled, delimiter)
        columns = locate_columns(entity, names)
        key = next(column for column in columns if column.name == key_column(entity).name)
        if rows is not None:
            _require_no_row_in_header(names[:width], filled, delimiter, key.position)
        trailing_delimiters = _trailing_delimiters(names, width, filled, delimiter)
        return cls(
            entity=entity,
            header=delimiter.join(header.split(delimiter)[:width]) + trailing_delimiters,
            delimiter=delimiter,
            width=width,
            trailing_delimiters=trailing_delimiters,
            columns=columns,
            key=key,
            extra=tuple(_unknown(entity, names)),
            is_resubmission=has_reject_headers(names),
        )

    @property
    def cell_count(self) -> int:
        """Cells in a line, with the empty ones at its end."""
        return self.width + len(self.trailing_delimiters)


def is_export(header: str) -> bool:
    """Whether a header is one of exported rejects, whatever its delimiter."""
    return any(has_reject_headers(_names(header, delimiter)) for delimiter in DELIMITERS)


def has_reject_headers(names: Sequence[str]) -> bool:
    """Whether the names of a header, in any letter case, begin with all that an export adds."""
    first = [name.lower() for name in names[: len(REJECT_HEADERS)]]
    return first == [name.lower() for name in REJECT_HEADERS]


def _find_delimiter(entity: type[Entity], header: str, rows: Sequence[str]) -> str:
    """Return the delimiter with which a header has all columns; raises FileError if none has."""
    if not header.strip():
        message = f"line 1 is empty; it must name {', '.join(file_headers(entity))}"
        raise FileError(message)
    missing = {delimiter: _missing(entity, header, delimiter) for delimiter in DELIMITERS}
    best = min(missing, key=lambda delimiter: len(missing[delimiter]))
    if missing[best]:
        remedy = _remedy(entity, header, rows)
        message = f"line 1 lacks the columns {', '.join(missing[best])}; {remedy}"
        raise FileError(message)
    return best


def _remedy(entity: type[Entity], header: str, rows: Sequence[str]) -> str:
    """Return what may be wrong with a line that is not a header of the entity, and what to do."""
    for line_number, row in enumerate(rows, 2):
        if any(not _missing(entity, row, delimiter) for delimiter in DELIMITERS):
            return f"line {line_number} has them all: take away what stands before it"
    columns = file_columns(entity)
    key = columns.index(key_column(entity))
    for delimiter in DELIMITERS:
        cells = header.split(delimiter)
        if len(cells) == len(columns) and cells[key].strip(" ").isdigit():
            return "it looks like a row, and the header is missing: the whole file is needed again"
    return "the whole file is needed again"


def _require_named_once(entity: type[Entity], names: Sequence[str]) -> None:
    if doubled := [name for name in file_headers(entity) if names.count(name.lower()) > 1]:
        message = f"line 1 names {', '.join(doubled)} more than once; one of them must go"
        raise FileError(message)


def _require_few_columns(width: int) -> None:
    if width > MAX_COLUMNS:
        message = f"line 1 has {width:,} columns, more than {MAX_COLUMNS:,}; is it one line?"
        raise FileError(message)


def _require_rows_agree(names: Sequence[str], rows: Sequence[str], delimiter: str) -> None:
    """Raise FileError when the rows agree with each other, but not with the header."""

    def most_have(cells: int, delimiter: str) -> bool:
        return 2 * sum(row.count(delimiter) >= cells - 1 for row in rows) > len(rows)

    if len(rows) < _MIN_ROWS or most_have(len(names), delimiter):
        return
    for other in DELIMITERS:
        if most_have(len(names), other):
            here, there = _DELIMITERS_IN_WORDS[delimiter], _DELIMITERS_IN_WORDS[other]
            message = f"line 1 is split by {here}, the rows by {there}; make them the same"
            raise FileError(message)
    named = len(names) - names.count("")
    if named < len(names) and most_have(named, delimiter):
        message = "line 1 has a column without a name, and the rows lack it; take it away"
        raise FileError(message)


def _require_no_row_in_header(
    names: Sequence[str], rows: Sequence[str], delimiter: str, key: int
) -> None:
    """Raise FileError when a row has run into the header: its cells must not be taken for names.

    Then a name is a number, and rows have fewer cells than the header. Where there are no rows, the
    second half of the header is like one.
    """
    if not any(map(_NUMBER.fullmatch, names)):
        return
    if rows:
        as_wide = sum(row.count(delimiter) >= len(names) - 1 for row in rows)
        has_run_in = 2 * as_wide <= len(rows)
    else:
        half, odd = divmod(len(names), 2)
        has_run_in = not odd and key < half and bool(_NUMBER.fullmatch(names[half + key]))
    if has_run_in:
        message = "line 1 names a column with a number; a row has run into it: part the two"
        raise FileError(message)


def _trailing_delimiters(
    names: Sequence[str], width: int, rows: Sequence[str], delimiter: str
) -> str:
    """Return the delimiters that end a line: as in most rows, if they agree, or in the header.

    Of exported rejects the rows are as they came, whatever the header.
    """
    cells = None if has_reject_headers(names) else _cells_of_most(rows, delimiter)
    if cells is None or cells < width:
        cells = len(names)
    return delimiter * (cells - width)


def _cells_of_most(rows: Sequence[str], delimiter: str) -> int | None:
    """Return how many cells most rows have, if they agree."""
    for delimiters, times in Counter(row.count(delimiter) for row in rows).most_common(1):
        if times >= _MIN_ROWS and 2 * times > len(rows):
            return delimiters + 1
    return None


def _names(header: str, delimiter: str) -> list[str]:
    """Return the names in a header, in small letters."""
    cells = header.split(delimiter)
    return [_strip_invisible(unquote(_strip_invisible(cell))).lower() for cell in cells]


def _strip_invisible(name: str) -> str:
    name = name.strip(_INVISIBLE)
    for letters in _INVISIBLE_MISREAD:
        name = name.removeprefix(letters).removesuffix(letters)
    return name.strip(_INVISIBLE)


def _missing(entity: type[Entity], header: str, delimiter: str) -> list[str]:
    names = _names(header, delimiter)
    return [name for name in file_headers(entity) if name.lower() not in names]


def _unknown(entity: type[Entity], names: Sequence[str]) -> list[str]:
    """Return the names that are no column of an entity, as they can be logged."""
    added = REJECT_HEADERS if has_reject_headers(names) else ()
    known = {"", *(name.lower() for name in (*file_headers(entity), *added))}
    return [_loggable(name) for name in names if name not in known]


def _loggable(name: str) -> str:
    """Return a name for the log; one that is a number may be a cell."""
    return "(a number)" if _NUMBER.fullmatch(name) else printable(name[:64])
