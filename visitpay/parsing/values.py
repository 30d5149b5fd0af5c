"""What a cell may hold: whole numbers, dates, amounts and text, a whole column at a time.

Most kinds have a vectorised rule for the usual form (`parse_column`). Where the feed writes the
same value in several ways, there is a rule for one cell (`parse_cell`), called once for each
distinct cell; of dates this is the only rule.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
from sqlalchemy import BigInteger, Column, Numeric, Text

from visitpay.vocabulary import Reason

NULL_MARKERS = ("", "NULL", r"\N")
"""Cells that say that there is no value."""

YEARS = range(1900, 2101)
"""The years that a date of the feed may be in; any other is a typing error."""

_DIGITS_OF_A_DOUBLE = 15

_MIDNIGHT = r"(?:[ T]+(?:0?0:00(?::00(?:\.0+)?)?|12:00(?::00)? ?AM))?"
_DATE = re.compile(
    r"(?:(?P<us_month>[0-9]{1,2})/(?P<us_day>[0-9]{1,2})/(?P<us_year>[0-9]{4})"
    r"|(?P<year>[0-9]{4})(?P<dash>-?)(?P<month>[0-9]{2})(?P=dash)(?P<day>[0-9]{2}))" + _MIDNIGHT
)
_SLASHED = r"^([0-9]{1,2})/([0-9]{1,2})/[0-9]{4}(?:[ T]|$)"
_MONTHS = 12
_AMOUNT = re.compile(
    r"(?P<open>\()?(?P<sign>[+-]?)\$?(?P<inner>[+-]?)"
    r"(?P<whole>[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)?(?:\.(?P<fraction>[0-9]*))?(?P<close>\))?"
)


@dataclass(frozen=True)
class ColumnKind:
    """How the cells of a column become values."""

    reason: Reason | None
    """Why a row with such a cell is rejected; None where every cell is valid."""
    dtype: pl.DataType
    parse_column: Callable[[pl.Series], pl.Series]
    """The values of trimmed cells in the usual form; null for all others."""
    parse_cell: Callable[[str], Any] | None = None
    """The value of a cell in any form, None for one that has none."""


class DateOrder:
    """Whether the dates with slashes have the day first, as far as the cells of a file tell."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._day_came_first = False
        self._day_came_second = False

    @property
    def is_day_first(self) -> bool:
        """Whether a first number was above 12, and no second one."""
        return self._day_came_first and not self._day_came_second

    def observe(self, cells: pl.Series) -> None:
        """Take the trimmed cells of a column into account; a day in the second place decides."""
        if self._day_came_second:
            return
        numbers = cells.unique().str.extract_groups(_SLASHED).struct.unnest().cast(pl.Int64)
        first, second = numbers.get_columns()
        self._day_came_second = bool((second > _MONTHS).any())
        self._day_came_first |= bool(
            (first.is_between(_MONTHS + 1, 31) & second.is_between(1, _MONTHS)).any()
        )


def kind_of(column: Column[Any]) -> ColumnKind:
    """Return the kind of a column of the model; raises TypeError for a type that has none."""
    try:
        kind = _KINDS[column.type.python_type]
    except (KeyError, NotImplementedError):
        types = ", ".join(each.__name__ for each in _KINDS)
        message = f"is of type {column.type!r}, and no cell becomes one: take one of {types}"
        raise TypeError(message) from None
    return kind(column.type)


def no_rows_mask(rows: pl.Series) -> pl.Series:
    """Return a mask that marks none of the rows."""
    return pl.Series([False]).new_from_index(0, len(rows))


def convert(cells: pl.Series, kind: ColumnKind) -> tuple[pl.Series, pl.Series]:
    """Return the values of a column of trimmed cells, and a mask of the cells that are invalid.

    Values are null where a cell is invalid or says that there is none (NULL_MARKERS). Amounts are
    in whole cents (10^-scale of their column).
    """
    values = kind.parse_column(cells)
    # Most columns have no nulls; masks of them take a fifth of a small file's time (measured).
    if not values.null_count():
        return values, no_rows_mask(values)
    invalid = values.is_null() & cells.is_not_null()
    if not invalid.any():
        return values, invalid
    invalid &= ~cells.is_in(NULL_MARKERS)
    if kind.parse_cell is not None and invalid.any():
        distinct = cells.filter(invalid).unique()
        parsed = pl.Series([kind.parse_cell(cell) for cell in distinct], dtype=kind.dtype)
        others = cells.replace_strict(distinct, parsed, default=None, return_dtype=kind.dtype)
        values = values.fill_null(others)
        invalid &= values.is_null()
    return values, invalid


def parse_date(cell: str) -> date | None:
    """Return the date of M/D/YYYY, YYYY-MM-DD or YYYYMMDD, perhaps with midnight; else None."""
    match = _DATE.fullmatch(cell)
    if match is None:
        return None
    year, month, day = (
        int(match[f"us_{part}"] or match[part]) for part in ("year", "month", "day")
    )
    if year not in YEARS:
        return None
    try:
        return date(year, month, day)
    except ValueError:
        return None


def parse_amount(cell: str, scale: int = 2, whole_digits: int = 12) -> int | None:
    """Return an amount in units of 10^-scale (cents), or None; nothing is rounded.

    It may have a sign or the accountant's parentheses, a dollar sign, commas between thousands, and
    zeros beyond the cents.
    """
    match = _AMOUNT.fullmatch(cell)
    if match is None or bool(match["open"]) != bool(match["close"]):
        return None
    signs = match["sign"] + match["inner"]
    whole = (match["whole"] or "").replace(",", "").lstrip("0")
    fraction = match["fraction"] or ""
    if not (match["whole"] or fraction) or len(signs) + bool(match["open"]) > 1:
        return None
    if len(whole) > whole_digits or fraction[scale:].strip("0"):
        return None
    units = int(whole + fraction[:scale].ljust(scale, "0"))
    return -units if match["open"] or signs == "-" else units


def _integer(integer: object) -> ColumnKind:
    if not isinstance(integer, BigInteger):
        message = f"is {integer!r}: a whole number has 64 bits, take BigInteger"
        raise TypeError(message)
    # The cast takes an optional sign and ASCII digits within 64 bits, and nothing else.
    return ColumnKind(
        Reason.INVALID_INTEGER, pl.Int64(), lambda cells: cells.cast(pl.Int64, strict=False)
    )


def _date(_type: object) -> ColumnKind:
    def parse_column(cells: pl.Series) -> pl.Series:
        # No usual form: every date goes to `parse_date`.
        return pl.Series([None], dtype=pl.Date).new_from_index(0, len(cells))

    return ColumnKind(Reason.INVALID_DATE, pl.Date(), parse_column, parse_date)


def _amount(numeric: Numeric[Any]) -> ColumnKind:
    scale, precision = numeric.scale or 0, numeric.precision or 0
    if not 0 < scale < precision <= _DIGITS_OF_A_DOUBLE:
        message = f"is {numeric!r}: an amount has cents and at most {_DIGITS_OF_A_DOUBLE} digits"
        raise TypeError(message)
    whole = precision - scale
    shape = rf"^-?[0-9]{{1,{whole}}}(\.[0-9]{{1,{scale}}})?$"

    def parse_column(cells: pl.Series) -> pl.Series:
        good = cells.set(~cells.str.contains(shape), None)
        # Exact: the shape lets no more digits through than a double holds.
        units = good.cast(pl.Float64) * float(10**scale)
        return units.round().cast(pl.Int64)

    def parse_cell(cell: str) -> int | None:
        return parse_amount(cell, scale, whole)

    return ColumnKind(Reason.INVALID_AMOUNT, pl.Int64(), parse_column, parse_cell)


def _text(text: object) -> ColumnKind:
    if not isinstance(text, Text):
        message = f"is {text!r}: one cell that is too long fails its whole file, take Text"
        raise TypeError(message)

    def parse_column(cells: pl.Series) -> pl.Series:
        return cells.set(cells.is_in(NULL_MARKERS), None)

    return ColumnKind(None, pl.String(), parse_column)


_KINDS: dict[type, Callable[[Any], ColumnKind]] = {
    int: _integer,
    date: _date,
    Decimal: _amount,
    str: _text,
}
