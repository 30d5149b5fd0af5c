"""Lines cut into the cells of the model's columns."""

from collections.abc import Callable

import polars as pl

from visitpay.parsing.columns import file_columns, key_column
from visitpay.parsing.layout import Layout
from visitpay.parsing.quoting import csv_cells


def split(lines: pl.DataFrame, layout: Layout) -> pl.DataFrame:
    """Cut lines into the model's columns, as text; adds `malformed`, `uneven`, drops blank lines.

    Lines that do not split evenly go one by one, and are not cut before they are counted: a short
    line under a wide header must not cost memory for every column.
    """
    raw = lines["raw"]
    even = raw.str.count_matches(layout.delimiter, literal=True) == layout.cells - 1
    even &= ~lines["long"]
    body = raw
    if layout.trailer:
        even &= raw.str.ends_with(layout.trailer)
        body = raw.str.strip_suffix(layout.trailer)
    every = even.all()
    fields = (body if every else body.filter(even)).str.split_exact(
        layout.delimiter, layout.width - 1
    )
    cut = fields.struct.unnest().get_columns()
    names = [column.name for column in file_columns(layout.entity)]
    cells = (lines if every else lines.filter(even)).hstack(
        [cut[place].alias(name) for name, place in zip(names, layout.positions, strict=True)]
    )
    cells = cells.with_columns(malformed=pl.lit(value=False), uneven=pl.lit(value=False))
    if not every:
        odd = lines.filter(~even & (raw.str.strip_chars(" ") != ""))
        schema = dict.fromkeys(names, pl.String()) | {"malformed": pl.Boolean()}
        mend = _mender(layout)
        mended = pl.DataFrame([mend(line) for line in odd["raw"]], schema, orient="row")
        odd = odd.hstack(mended).with_columns(
            pl.col("malformed") & ~pl.col("long"), uneven=pl.lit(value=True)
        )
        cells = cells.vstack(odd).sort("source_line")
    return cells


def _mender(layout: Layout) -> Callable[[str], tuple[str | bool | None, ...]]:
    """Give what cuts one line that does not split evenly, honouring quotes if that helps.

    It gives the model's columns and whether the line is malformed; then only the key is kept, so
    that a good row of the same key can supersede it, unless there are too few cells: the first of
    them may be another column's.
    """
    delimiter, width, positions = layout.delimiter, layout.width, layout.positions
    key = file_columns(layout.entity).index(key_column(layout.entity))

    def fits(cells: list[str]) -> bool:
        beyond = delimiter.join(cells[width:])
        if len(cells) < width or beyond.replace(delimiter, "").strip(" "):
            return False
        # With a cell too few and none in the last column, any of the delimiters may be missing.
        complete = len(cells) + sum(cell.count(delimiter) for cell in cells[width:]) >= layout.cells
        return complete or bool(cells[width - 1].strip(" "))

    def mend(line: str) -> tuple[str | bool | None, ...]:
        plain = line.split(delimiter)
        for cells in (plain, csv_cells(line, delimiter, width)):
            if fits(cells):
                return *(cells[place] for place in positions), False
        kept: list[str | None] = [None] * len(positions)
        if len(plain) >= width:
            kept[key] = plain[positions[key]]
        return *kept, True

    return mend
