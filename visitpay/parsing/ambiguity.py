"""Rows that read well in another way too: a delimiter or a line end more than there was.

Such a row may hold values that nobody sent. With an empty last cell, `7,1.5,` and a delimiter too
many, `7,,1.5,`, is a good row; and a row whose last cell was cut in two by a line end is a good row
and a line of one cell. The row alone does not tell which was meant, so a person is asked.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import polars as pl

from visitpay.parsing.layout import Layout
from visitpay.parsing.rows import LINE_SCHEMA, Batch, as_rejects, parse_again
from visitpay.vocabulary import Reason

_LEADING_NUMBER = re.compile(r' *"? *[+-]?([0-9]+)')

_MAX_CELLS = 32
"""Cells of a row that is read in every way: each way costs as much memory as the row."""


def reject_ambiguous(batch: Batch, layout: Layout) -> Batch:
    """Return a batch with the rows that read well in another way, too, among its rejects.

    Another way counts only if it gives a good row with other values.
    """
    if batch.ragged.is_empty():
        return batch
    lines = batch.ragged["source_line"]
    near = pl.concat([lines - 1, lines, lines + 1]).implode()
    rows = batch.rows.filter(pl.col("source_line").is_in(near))
    readings = list(alternative_readings(rows, batch.ragged, layout))
    if not readings:
        return batch
    others = parse_again(pl.DataFrame(readings, LINE_SCHEMA, orient="row"), layout).rows
    names = ["source_line", *(column.name for column in layout.columns)]
    different = others.join(rows, on=names, how="anti", nulls_equal=True)
    is_ambiguous = batch.rows["source_line"].is_in(different["source_line"].implode())
    if not is_ambiguous.any():
        return batch
    rejects = batch.rows.filter(is_ambiguous).with_columns(
        reason=pl.lit(Reason.MALFORMED.value), column_name=pl.lit(None, pl.String)
    )
    return replace(
        batch,
        rows=batch.rows.filter(~is_ambiguous),
        rejects=batch.rejects.vstack(as_rejects(rejects, layout)),
    )


def alternative_readings(
    rows: pl.DataFrame, ragged: pl.DataFrame, layout: Layout
) -> Iterator[tuple[int, str]]:
    """Yield the good rows as they may have been meant instead: their line number and their text.

    `ragged` holds the lines that do not split as the header does, `rows` the good rows among them
    and next to them (both LINE_SCHEMA).

        in:  the rows `7,x,` (line 2) and `8,y,,` (line 5), the ragged lines `a` (3) and `8,y,,` (5)
        out: (2, `7,x,a`), (5, `8y,,`), (5, `8,y,`), (5, `8,y,`)
    """
    good = dict(rows.select("source_line", "raw").iter_rows())
    last = layout.width - 1
    may_end_empty = all(column.nullable for column in layout.columns if column.position == last)
    for line_number, raw in ragged.select("source_line", "raw").iter_rows():
        if layout.delimiter not in raw:
            yield from _joined(line_number, raw, good, layout)
        elif line_number in good and may_end_empty:
            yield from _with_one_cell_less(line_number, raw, layout)


def _joined(
    line_number: int, piece: str, good: Mapping[int, str], layout: Layout
) -> Iterator[tuple[int, str]]:
    """Yield the rows that a line of one cell makes with the good row before it, or after it."""
    before, after = good.get(line_number - 1), good.get(line_number + 1)
    if before is not None and _starts_with_key(piece, before, layout):
        return
    # A quote at its start opens a cell; that goes on in the next line, if this is no row.
    opens_cell = piece.lstrip(" ").startswith('"') and after is None
    if before is not None and not opens_cell:
        yield line_number - 1, before + piece
    if after is not None:
        yield line_number + 1, piece + after


def _starts_with_key(piece: str, row: str, layout: Layout) -> bool:
    """Whether a line of one cell starts with a number as long as the key of a good row.

    Then it is what is left of another row.
    """
    if layout.key.position:
        return False
    key, number = _LEADING_NUMBER.match(row), _LEADING_NUMBER.match(piece)
    return key is not None and number is not None and len(number[1]) >= len(key[1])


def _with_one_cell_less(line_number: int, raw: str, layout: Layout) -> Iterator[tuple[int, str]]:
    """Yield a row that has one delimiter too many without each of its delimiters in turn."""
    cells = raw.split(layout.delimiter)
    is_mended_by_quotes = any(cell.strip(" ") for cell in cells[layout.width :])
    if len(cells) != layout.cell_count + 1 or is_mended_by_quotes or len(cells) > _MAX_CELLS:
        return
    for index in range(1, len(cells)):
        before, after = cells[:index], cells[index:]
        yield line_number, layout.delimiter.join(before) + layout.delimiter.join(after)
