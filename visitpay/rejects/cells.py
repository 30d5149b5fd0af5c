"""Which rejected rows hold a value in a column, whatever the header and delimiter of their file."""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress

import polars as pl
from sqlalchemy import ColumnElement, Connection, select

from visitpay.errors import FileError
from visitpay.models import Entity, LoadFile, RejectedRow
from visitpay.parsing.layout import Layout
from visitpay.parsing.quoting import trim_cells
from visitpay.parsing.rows import lines_without_faults
from visitpay.parsing.split import split
from visitpay.parsing.values import convert
from visitpay.rejects.store import ROWS_AT_ONCE
from visitpay.vocabulary import Reason

_ESCAPED_BYTE = re.compile(r"\\x[0-9a-f]{2}")

_SCHEMA = {
    "source_line": pl.Int64,
    "raw": pl.String,
    "reason": pl.String,
    "header": pl.String,
}


def lines_holding(lines: pl.DataFrame, layout: Layout, column: str, value: int) -> pl.Series:
    """Return the `source_line` of the lines of which the cell of a column is a whole number.

    `lines` has `source_line`, `raw` and `reason`. Of a line that does not split as its header does,
    the cell in the column's place counts; of one that is too long, no cell that may be cut.
    """
    found = next((each for each in layout.columns if each.name == column), None)
    if found is None:
        return lines["source_line"].clear()
    cells = split(lines_without_faults(lines), layout)
    values, _ = convert(trim_cells(cells[column]), found.kind)
    in_place = cells["raw"].str.split(layout.delimiter).list
    is_cut = (cells["reason"] == Reason.LINE_TOO_LONG) & (in_place.len() == found.position + 1)
    text = in_place.get(found.position, null_on_oob=True).str.strip_chars(' "')
    as_it_stands = text.cast(pl.Int64, strict=False) == value
    holds = (values == value).fill_null(cells["malformed"] & as_it_stands)
    return cells["source_line"].filter(holds.fill_null(value=False) & ~is_cut)


def lines_perhaps_holding(
    lines: pl.DataFrame, layout: Layout, column: str, value: int
) -> pl.Series:
    r"""Return the `source_line` of the lines of which the cell of a column holds a number and more.

    So has a damaged cell: `12\xff` for 12, but not 123.
    """
    found = next((each for each in layout.columns if each.name == column), None)
    if found is None:
        return lines["source_line"].clear()
    cell = lines["raw"].str.split(layout.delimiter).list.get(found.position, null_on_oob=True)
    digits = cell.str.replace_all(_ESCAPED_BYTE.pattern, "").str.extract_all("[0-9]+")
    numbers = digits.list.eval(pl.element().cast(pl.Int64, strict=False))
    exactly = lines_holding(lines, layout, column, value)
    holds = numbers.list.contains(abs(value)).fill_null(value=False)
    return lines["source_line"].filter(holds & ~lines["source_line"].is_in(exactly.implode()))


def value_of(raw: str, header: str, entity: type[Entity], name: str) -> int | None:
    """Return the whole number in a cell of a rejected row; `name` is the header of its column."""
    with suppress(FileError):
        layout = Layout.of(entity, header)
        lines = pl.DataFrame({"source_line": [0], "raw": [raw]})
        for column in layout.columns:
            if column.header == name:
                cells = split(lines_without_faults(lines), layout)[column.name]
                return next(iter(convert(trim_cells(cells), column.kind)[0]), None)
    return None


def rejects_holding(
    connection: Connection,
    entity: type[Entity],
    column: str,
    value: int,
    conditions: Sequence[ColumnElement[bool]] = (),
    find: Callable[[pl.DataFrame, Layout, str, int], pl.Series] = lines_holding,
) -> list[int]:
    """Return the ids of an entity's rejects that hold a whole number in a column.

    The database finds the rows whose text holds its digits; their cells decide, as `find` says.
    """
    candidates = (
        select(RejectedRow.id, RejectedRow.raw, RejectedRow.reason, LoadFile.header)
        .join(LoadFile)
        .where(RejectedRow.entity == entity.__name__, *conditions)
        .where(RejectedRow.raw.contains(str(abs(value))))
    )
    streamed = connection.execute(candidates, execution_options={"yield_per": ROWS_AT_ONCE})
    found: list[int] = []
    for chunk in streamed.partitions():
        for (header,), lines in pl.DataFrame(chunk, _SCHEMA, orient="row").group_by("header"):
            with suppress(FileError):  # then the file's rows cannot be taken apart any more
                layout = Layout.of(entity, str(header))
                found.extend(find(lines, layout, column, value))
    return sorted(found)
