"""Where a file keeps an entity's columns: its header and its delimiter."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from visitpay.errors import FileError
from visitpay.feed import REJECT_HEADERS
from visitpay.models import Entity
from visitpay.parsing.columns import file_columns, file_header, key_column
from visitpay.parsing.quoting import unquoted
from visitpay.text import printable

DELIMITERS = "\t,|;"
_LEGIBLE = {"\t": "tabs", ",": "commas", "|": "pipes", ";": "semicolons"}

MAX_COLUMNS = 1000
"""Columns of a file; with 100,000 of them, a few rows take 250 MiB (measured)."""

_NUMBER = re.compile(r"[+-]?[0-9]+")

_UNSEEN = " \u00a0\u2007\u202f\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad"
"""Spaces, letters without a width and byte order marks that may stand around a name."""

_TAKEN_FOR_LETTERS = ("\u00ef\u00bb\u00bf", r"\xa0")
"""The same in a wrong encoding: a byte order mark, and a no-break space that is no UTF-8."""

_FEWEST_THAT_AGREE = 3
"""Rows that can be at odds with a header; fewer may themselves be damaged."""


@dataclass(frozen=True)
class Layout:
    """Where a file keeps an entity's columns."""

    entity: type[Entity]
    header: str
    """The header, with the delimiters at its end that the rows have."""
    delimiter: str
    width: int
    """Cells in the header, up to the last that has a name."""
    trailer: str
    """The delimiters that end a line after it: as most of the first rows have it, or the header."""
    positions: tuple[int, ...]
    """For each column of the entity, in the model's order, its place in a line."""
    extra: tuple[str, ...]
    """Columns of the file that the entity does not have."""

    @classmethod
    def of(cls, entity: type[Entity], header: str, rows: Sequence[str] | None = None) -> "Layout":
        """Find the delimiter and the columns in a header line, and hold the first rows against it.

        Without `rows`, not even none, the header is one that a file had. Raises FileError when the
        line is empty, lacks a column, has one twice, or is at odds with the rows. The message names
        the model's columns only: a file without a header has data in its first line.
        """
        if not header.strip():
            message = f"line 1 is empty; it must name {listed(entity)}"
            raise FileError(message)
        delimiter = min(DELIMITERS, key=lambda candidate: len(_missing(entity, header, candidate)))
        if missing := _missing(entity, header, delimiter):
            remedy = _remedy(entity, header, rows or ())
            message = f"line 1 lacks the columns {', '.join(missing)}; {remedy}"
            raise FileError(message)
        names = _names(header, delimiter)
        wanted = [file_header(column) for column in file_columns(entity)]
        if doubled := [name for name in wanted if names.count(name.lower()) > 1]:
            message = f"line 1 names {', '.join(doubled)} more than once; one of them must go"
            raise FileError(message)
        width = max(place for place, name in enumerate(names, 1) if name)
        if width > MAX_COLUMNS:
            message = f"line 1 has {width:,} columns, more than {MAX_COLUMNS:,}; is it one line?"
            raise FileError(message)
        nameless = width - sum(map(bool, names))
        first = [row for row in rows or () if row.strip(" ")]
        _require_fit(first, delimiter, width, nameless)
        positions = tuple(names.index(name.lower()) for name in wanted)
        if rows is not None:
            key = positions[file_columns(entity).index(key_column(entity))]
            _require_no_row(names[:width], first, delimiter, key)
        cells = None if has_reject_headers(names) else _cells_of_most(first, delimiter)
        if cells is None or cells < width:
            cells = len(names)
        trailer = delimiter * (cells - width)
        ours = REJECT_HEADERS if has_reject_headers(names) else ()
        known = {each.lower() for each in (*wanted, *ours)}
        return cls(
            entity=entity,
            header=delimiter.join(header.split(delimiter)[:width]) + trailer,
            delimiter=delimiter,
            width=width,
            trailer=trailer,
            positions=positions,
            extra=tuple(_shown(name) for name in names if name and name not in known),
        )

    @property
    def is_resubmission(self) -> bool:
        """Whether the file holds exported rejects."""
        return has_reject_headers(_names(self.header, self.delimiter))

    @property
    def cells(self) -> int:
        """Cells in a line, with the empty ones at its end."""
        return self.width + len(self.trailer)


def is_export(header: str) -> bool:
    """Whether a header is one of exported rejects, whatever its delimiter."""
    return any(has_reject_headers(_names(header, each)) for each in DELIMITERS)


def has_reject_headers(names: Sequence[str]) -> bool:
    """Whether the names of a header, in any letter case, begin with all that an export adds."""
    ahead = [each.lower() for each in names[: len(REJECT_HEADERS)]]
    return ahead == [each.lower() for each in REJECT_HEADERS]


def _remedy(entity: type[Entity], header: str, rows: Sequence[str]) -> str:
    """Say what may be wrong with a line that is no header of an entity."""
    for number, row in enumerate(rows, 2):
        if any(not _missing(entity, row, each) for each in DELIMITERS):
            return f"line {number} has them all: take away what stands before it"
    columns = file_columns(entity)
    for delimiter in DELIMITERS:
        cells = header.split(delimiter)
        if (
            len(cells) == len(columns)
            and cells[columns.index(key_column(entity))].strip(" ").isdigit()
        ):
            return "it looks like a row, and the header is missing: the whole file is needed again"
    return "the whole file is needed again"


def _require_fit(rows: Sequence[str], delimiter: str, width: int, nameless: int) -> None:
    """Raise FileError when the rows agree with each other, but not with the header."""

    def most_have(cells: int, delimiter: str) -> bool:
        return 2 * sum(row.count(delimiter) >= cells - 1 for row in rows) > len(rows)

    if len(rows) < _FEWEST_THAT_AGREE or most_have(width, delimiter):
        return
    for other in DELIMITERS:
        if most_have(width, other):
            ours, theirs = _LEGIBLE[delimiter], _LEGIBLE[other]
            message = f"line 1 is split by {ours}, the rows by {theirs}; make them the same"
            raise FileError(message)
    if nameless and most_have(width - nameless, delimiter):
        message = "line 1 has a column without a name, and the rows lack it; take it away"
        raise FileError(message)


def _require_no_row(names: Sequence[str], rows: Sequence[str], delimiter: str, key: int) -> None:
    """Raise FileError when a row has run into the header: its cells must not be taken for names.

    Then a name is a number, and rows have fewer cells than the header. Where there are no rows, the
    second half of the header is like one.
    """
    if not any(map(_NUMBER.fullmatch, names)):
        return
    if rows:
        as_wide = sum(row.count(delimiter) >= len(names) - 1 for row in rows)
        run_in = 2 * as_wide <= len(rows)
    else:
        half, odd = divmod(len(names), 2)
        run_in = not odd and key < half and bool(_NUMBER.fullmatch(names[half + key]))
    if run_in:
        message = "line 1 names a column with a number; a row has run into it: part the two"
        raise FileError(message)


def _cells_of_most(rows: Sequence[str], delimiter: str) -> int | None:
    """Give how many cells most rows have, if they agree."""
    for delimiters, times in Counter(row.count(delimiter) for row in rows).most_common(1):
        if times >= _FEWEST_THAT_AGREE and 2 * times > len(rows):
            return delimiters + 1
    return None


def _names(header: str, delimiter: str) -> list[str]:
    return [_bare(unquoted(_bare(cell))).lower() for cell in header.split(delimiter)]


def _bare(name: str) -> str:
    """Take away what stands around a name unseen."""
    name = name.strip(_UNSEEN)
    for letters in _TAKEN_FOR_LETTERS:
        name = name.removeprefix(letters).removesuffix(letters)
    return name.strip(_UNSEEN)


def _shown(name: str) -> str:
    """Give a name for the log; one that is a number may be a cell."""
    return "(a number)" if _NUMBER.fullmatch(name) else printable(name[:64])


def _missing(entity: type[Entity], header: str, delimiter: str) -> list[str]:
    names = _names(header, delimiter)
    headers = (file_header(column) for column in file_columns(entity))
    return [name for name in headers if name.lower() not in names]


def listed(entity: type[Entity]) -> str:
    """Give the headers that a file of the entity must have, for a message."""
    return ", ".join(file_header(column) for column in file_columns(entity))
