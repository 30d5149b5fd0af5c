"""Rows that read well in another way too: a delimiter or a line end more than there was.

Such a row may hold values that nobody sent. With an empty last cell, `7,1.5,` and a delimiter too
many, `7,,1.5,`, is a good row; and a row whose last cell was cut in two by a line end is a good row
and a line of one cell. Neither can be told from what it seems to be, so a person is asked.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import polars as pl

from visitpay.parsing.columns import file_columns, key_column
from visitpay.parsing.layout import Layout
from visitpay.parsing.rows import Batch, clear_unsure_keys, parse_again

_LEADING_NUMBER = re.compile(r' *"? *[+-]?([0-9]+)')

_WIDEST = 32
"""Cells of a row that is read in every way: each way costs as much memory as the row."""


def alternative_readings(
    rows: pl.DataFrame, uneven: pl.DataFrame, layout: Layout
) -> Iterator[tuple[int, str]]:
    """Give the lines of good rows as they may have been meant: their number, and their text.

    `uneven` holds the lines that do not split as the header does, `rows` the good rows among them
    and beside them (both `source_line`, `raw`).
    """
    good = dict(rows.select("source_line", "raw").iter_rows())
    columns = zip(file_columns(layout.entity), layout.positions, strict=True)
    ends_empty = all(column.nullable for column, place in columns if place == layout.width - 1)
    for line, raw in uneven.select("source_line", "raw").iter_rows():
        if layout.delimiter not in raw:
            yield from _of_one_line(line, raw, good, layout)
        elif line in good and ends_empty:
            yield from _of_one_cell_less(line, raw, layout)


def _of_one_line(
    line: int, piece: str, good: Mapping[int, str], layout: Layout
) -> Iterator[tuple[int, str]]:
    before, after = good.get(line - 1), good.get(line + 1)
    if before is not None and _starts_like(before, piece, layout):
        return
    # A quote at its start opens a cell; that goes on in the next line, if this is no row.
    opens = piece.lstrip(" ").startswith('"') and after is None
    if before is not None and not opens:
        yield line - 1, before + piece
    if after is not None:
        yield line + 1, piece + after


def _starts_like(row: str, piece: str, layout: Layout) -> bool:
    """Say whether a line of one cell starts with a key: then it is what is left of another row."""
    if layout.positions[file_columns(layout.entity).index(key_column(layout.entity))]:
        return False
    key, found = _LEADING_NUMBER.match(row), _LEADING_NUMBER.match(piece)
    return key is not None and found is not None and len(found[1]) >= len(key[1])


def _of_one_cell_less(line: int, raw: str, layout: Layout) -> Iterator[tuple[int, str]]:
    cells = raw.split(layout.delimiter)
    as_csv = any(cell.strip(" ") for cell in cells[layout.width :])
    if len(cells) != layout.cells + 1 or as_csv or len(cells) > _WIDEST:
        return
    for place in range(1, len(cells)):
        before, after = cells[:place], cells[place:]
        yield line, layout.delimiter.join(before) + layout.delimiter.join(after)


def reject_ambiguous(batch: Batch, layout: Layout) -> Batch:
    """Put the rows of a batch that read well in another way too (`doubts`) among its rejects."""
    if batch.uneven.is_empty():
        return batch
    rows, lines = batch.rows, batch.uneven["source_line"]
    near = pl.concat([lines - 1, lines, lines + 1]).implode()
    beside = rows.filter(rows["source_line"].is_in(near))
    readings = list(alternative_readings(beside, batch.uneven, layout))
    if not readings:
        return batch
    others = pl.DataFrame(readings, {"source_line": pl.Int64, "raw": pl.String}, orient="row")
    names = [column.name for column in file_columns(layout.entity)]
    different = parse_again(others, layout).rows.join(
        beside, on=["source_line", *names], how="anti", nulls_equal=True
    )
    doubtful = rows["source_line"].is_in(different["source_line"].implode())
    if not doubtful.any():
        return batch
    rejects = rows.filter(doubtful).select(
        line_number="source_line",
        record_key=key_column(layout.entity).name,
        reason=pl.lit("malformed"),
        column_name=pl.lit(None, pl.String),
        raw="raw",
    )
    rejects = batch.rejects.vstack(clear_unsure_keys(rejects, layout))
    return replace(batch, rows=rows.filter(~doubtful), rejects=rejects)
