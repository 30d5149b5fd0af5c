"""Where a file has the columns of an entity: its header and its delimiter."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from visitpay.errors import FileError
from visitpay.feed import REJECT_HEADERS
from visitpay.models import Entity
from visitpay.parsing.columns import (
    FileColumn,
    ModelColumn,
    comparable,
    due_headers,
    key_column,
    locate_columns,
    model_columns,
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
    """The columns of the entity that the file has, in the model's order."""
    absent: tuple[ModelColumn, ...]
    """The columns of the entity that the file lacks, in the model's order."""
    key: FileColumn
    """The column that tells rows apart."""
    extra: tuple[str, ...]
    """Columns of the file that the entity does not have, as the header names them."""
    is_resubmission: bool
    """Whether the file holds exported rejects."""

    @classmethod
    def of(
        cls,
        entity: type[Entity],
        header: str,
        rows: Sequence[str] | None = None,
        file_date: date = date.max,
    ) -> "Layout":
        """Return the layout of a file by its header line, checked against its first rows.

        `rows` is None when the header has been accepted before; a new file without rows has none
        (`[]`). `file_date` is the day in the file's name (UTC): columns may be due since a day. A
        header that was accepted before, and one of exported rejects, may lack any column but the
        key: the model may have got it since.

        Raises FileError when the line is empty, lacks a column that is due, has one twice or too
        many, or contradicts the rows. The message names the model's columns only: a file without a
        header has data in its first line.
        """
        filled = [row for row in rows or () if row.strip(" ")]
        due_date = None if rows is None else file_date
        delimiter = _find_delimiter(entity, header, rows or (), due_date)
        names = _names(header, delimiter)
        width = max(count for count, name in enumerate(names, 1) if name)
        if rows is not None:
            _require_named_once(entity, names)
        _require_few_columns(width)
        _require_rows_agree(names[:width], filled, delimiter)
        columns, absent = locate_columns(entity, names)
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
            absent=absent,
            key=key,
            extra=tuple(_unknown(entity, header, delimiter)),
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


def _find_delimiter(
    entity: type[Entity], header: str, rows: Sequence[str], file_date: date | None
) -> str:
    """Return the delimiter with which a header has all columns; raises FileError if none has.

    Of several, it is the one with which it has the most of those, too, that it may lack.
    """
    if not header.strip():
        message = f"line 1 is empty; it must name {', '.join(due_headers(entity, file_date))}"
        raise FileError(message)
    names = {delimiter: _names(header, delimiter) for delimiter in DELIMITERS}

    def lacks(delimiter: str) -> tuple[int, int]:
        absent = _absent(entity, names[delimiter])
        return len(_missing(entity, names[delimiter], file_date)), len(absent)

    best = min(DELIMITERS, key=lacks)
    if missing := _missing(entity, names[best], file_date):
        columns = ", ".join(map(_described, missing))
        remedy = _remedy(entity, header, rows, file_date)
        message = f"line 1 lacks the columns {columns}; {remedy}"
        raise FileError(message)
    return best


def _described(column: ModelColumn) -> str:
    """Return the header of a column that a file lacks, and since when it is due."""
    return f"{column.header} (due in files since {column.since})" if column.since else column.header


def _remedy(entity: type[Entity], header: str, rows: Sequence[str], file_date: date | None) -> str:
    """Return what may be wrong with a line that is not a header of the entity, and what to do."""
    if file_date is None:
        return "it was loaded before: give the column its header of then as an alias in the model"
    for line_number, row in enumerate(rows, 2):
        if any(not _missing(entity, _names(row, each), file_date) for each in DELIMITERS):
            return f"line {line_number} has them all: take away what stands before it"
    columns = model_columns(entity)
    key = next(index for index, column in enumerate(columns) if column.is_key)
    counts = range(len(due_headers(entity, file_date)), len(columns) + 1)
    for delimiter in DELIMITERS:
        cells = header.split(delimiter)
        if len(cells) in counts and cells[key].strip(" ").isdigit():
            return "it looks like a row, and the header is missing: the whole file is needed again"
    return "the whole file is needed again"


def _require_named_once(entity: type[Entity], names: Sequence[str]) -> None:
    doubled = [
        " or ".join([column.header, *(other for other in column.aliases if other.lower() in names)])
        for column in model_columns(entity)
        if sum(names.count(name) for name in column.names) > 1
    ]
    if doubled:
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
    """Return the names in a header, in small letters and Unicode form NFC."""
    return list(map(comparable, _cells(header, delimiter)))


def _cells(header: str, delimiter: str) -> list[str]:
    """Return the names in a header, without quotes and what stands around them unseen."""
    cells = header.split(delimiter)
    return [_strip_invisible(unquote(_strip_invisible(cell))) for cell in cells]


def _strip_invisible(name: str) -> str:
    name = name.strip(_INVISIBLE)
    for letters in _INVISIBLE_MISREAD:
        name = name.removeprefix(letters).removesuffix(letters)
    return name.strip(_INVISIBLE)


def _absent(entity: type[Entity], names: Sequence[str]) -> list[ModelColumn]:
    """Return the columns of an entity that are not among the names."""
    return [column for column in model_columns(entity) if not column.is_among(names)]


def _missing(
    entity: type[Entity], names: Sequence[str], file_date: date | None
) -> list[ModelColumn]:
    """Return those of them that must be there; exported rejects may be older than the model."""
    day = None if has_reject_headers(names) else file_date
    return [column for column in _absent(entity, names) if column.is_due(day)]


def _unknown(entity: type[Entity], header: str, delimiter: str) -> list[str]:
    """Return the names of a header that are no column of an entity, as they can be logged."""
    sent, names = _cells(header, delimiter), _names(header, delimiter)
    known = {"", *(name for column in model_columns(entity) for name in column.names)}
    if has_reject_headers(names):
        known.update(name.lower() for name in REJECT_HEADERS)
    return [_loggable(cell) for cell, name in zip(sent, names, strict=True) if name not in known]


def _loggable(name: str) -> str:
    """Return a name for the log; one that is a number may be a cell."""
    return "(a number)" if _NUMBER.fullmatch(name) else printable(name[:64])
