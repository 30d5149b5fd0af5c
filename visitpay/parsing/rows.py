"""Lines as typed rows and rejects."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import NamedTuple

import polars as pl

from visitpay.parsing.layout import Layout
from visitpay.parsing.quoting import csv_cells, multiline_cells_mask, trim_cells
from visitpay.parsing.split import split
from visitpay.parsing.values import DateOrder, convert, no_rows_mask
from visitpay.vocabulary import Reason

LINE_SCHEMA = pl.Schema({"source_line": pl.Int64, "raw": pl.String})

REJECT_SCHEMA = pl.Schema(
    {
        "line_number": pl.Int64,
        "record_key": pl.Int64,
        "reason": pl.String,
        "column_name": pl.String,
        "raw": pl.String,
    }
)

NO_REJECTS = REJECT_SCHEMA.to_frame()

_NO_LINES = LINE_SCHEMA.to_frame()

_REASONS_OF_LINES = (Reason.MALFORMED, Reason.INVALID_ENCODING, Reason.LINE_TOO_LONG)
"""Reasons that `split` has a column for."""

_PRECEDENCE = {reason: rank for rank, reason in enumerate(Reason)}


@dataclass(frozen=True)
class Batch:
    """Some lines of a file as rows and rejects.

    `rows` holds the good rows, sorted by key, then line: the model's columns under their names,
    `source_line` and `raw`. `rejects` holds the others (REJECT_SCHEMA). `ragged` holds, of both,
    the lines of text that do not split as the header does (LINE_SCHEMA).
    """

    rows: pl.DataFrame
    rejects: pl.DataFrame
    ragged: pl.DataFrame
    rows_read: int


class Fault(NamedTuple):
    """A reason to reject rows, with the header of the column that gives it, if one does."""

    reason: Reason
    header: str | None
    mask: pl.Series
    """The rows that have it."""


def parse(
    lines: pl.DataFrame,
    layout: Layout,
    *,
    adjacent: bool = True,
    date_order: DateOrder | None = None,
) -> Batch:
    """Return the rows and rejects of lines as `number_lines` returns them.

    Where the lines are `adjacent`, they may be pieces of a quoted cell that spans lines.
    `date_order` observes the dates.
    """
    cells = split(lines, layout)
    ragged = _ragged_text(cells)
    rows, faults = _converted(cells, layout, date_order)
    if not faults:
        return Batch(_sorted(rows, layout), NO_REJECTS, ragged, len(rows))
    bad = reduce(or_, (fault.mask for fault in faults))
    if adjacent:
        # Only the start of a line that is too long was kept: it neither opens nor closes a cell.
        is_cut = cells["line_too_long"]
        pieces = multiline_cells_mask(rows["raw"].set(is_cut, ""), bad & ~is_cut, layout.delimiter)
        faults.append(Fault(Reason.MALFORMED, None, pieces))
        bad |= pieces
    verdict = _verdict([fault._replace(mask=fault.mask.filter(bad)) for fault in faults])
    rejects = as_rejects(rows.filter(bad).with_columns(verdict), layout)
    return Batch(_sorted(rows.filter(~bad), layout), rejects, ragged, len(rows))


def cut_off(line: pl.DataFrame, layout: Layout) -> Batch:
    """Return the last line of a file, cut off by the file's end, as a reject.

    A line that is too long is not looked at. The line has a key as other rejects have; but none if
    the key is the last cell, of which a piece may be missing.
    """
    batch = parse(line, layout, adjacent=False)
    if line["line_too_long"].any():
        return batch
    rejects = batch.rejects
    if not batch.rows.is_empty():
        faulty = batch.rows.with_columns(reason=pl.lit(None, pl.String), column_name=None)
        rejects = as_rejects(faulty, layout)
    is_key_whole = layout.key.position < layout.width - 1
    rejects = rejects.with_columns(
        record_key=pl.col("record_key") if is_key_whole else pl.lit(None, pl.Int64),
        reason=pl.lit(Reason.NO_LINE_END.value),
        column_name=pl.lit(None, pl.String),
    )
    return Batch(batch.rows.clear(), rejects, _NO_LINES, batch.rows_read)


def parse_again(lines: pl.DataFrame, layout: Layout) -> Batch:
    """Return the rows and rejects of single lines (LINE_SCHEMA), which need not be adjacent."""
    return parse(lines_without_faults(lines.select("source_line", "raw")), layout, adjacent=False)


def lines_without_faults(lines: pl.DataFrame) -> pl.DataFrame:
    """Return lines (LINE_SCHEMA, and what else they have) as `split` takes them.

    Their encoding and length are not in question.
    """
    none = pl.lit(value=False)
    return lines.with_columns(invalid_encoding=none, line_too_long=none)


def as_rejects(rows: pl.DataFrame, layout: Layout) -> pl.DataFrame:
    """Return rows that have a `reason` and a `column_name` as rejects (REJECT_SCHEMA).

    A row with too few cells once quotes are honoured loses its key: the cell may be another
    column's. One that has too few without that has none already.
    """
    rejects = rows.select(
        "reason", "column_name", "raw", line_number="source_line", record_key=layout.key.name
    )
    quoted_delimiter = rf'(?:^|[{layout.delimiter}]) *"(?:[^"]|"")*[{layout.delimiter}]'
    is_quoted = rejects["raw"].str.contains(quoted_delimiter)
    is_short = no_rows_mask(is_quoted)
    if is_quoted.any():
        lines = rejects["raw"].filter(is_quoted)
        counts = [len(csv_cells(line, layout.delimiter, layout.width)) for line in lines]
        is_short = is_short.scatter(is_quoted.arg_true(), pl.Series(counts) < layout.width)
    record_key = rejects["record_key"].set(is_short, None)
    return rejects.with_columns(record_key=record_key).select(REJECT_SCHEMA.names())


def _ragged_text(cells: pl.DataFrame) -> pl.DataFrame:
    """Return the ragged lines (LINE_SCHEMA), without those of which the text is not whole."""
    if not cells["ragged"].any():
        return _NO_LINES
    is_whole = ~cells["invalid_encoding"] & ~cells["line_too_long"]
    return cells.filter(cells["ragged"] & is_whole).select(LINE_SCHEMA.names())


def _converted(
    cells: pl.DataFrame, layout: Layout, date_order: DateOrder | None
) -> tuple[pl.DataFrame, list[Fault]]:
    """Return rows of the model's types, and the faults that some of them have."""
    columns = [cells["source_line"], cells["raw"]]
    faults = [Fault(reason, None, cells[reason]) for reason in _REASONS_OF_LINES]
    padded = cells["raw"].str.contains('[" ]').arg_true()
    for column in layout.columns:
        text = cells[column.name]
        if len(padded):
            text = text.scatter(padded, trim_cells(text.gather(padded)))
        if date_order and column.kind.dtype == pl.Date:
            date_order.observe(text)
        values, invalid = convert(text, column.kind)
        columns.append(values.alias(column.name))
        if column.kind.reason is not None:
            faults.append(Fault(column.kind.reason, column.header, invalid))
        if not column.nullable and values.null_count():
            missing = values.is_null() & ~invalid
            faults.append(Fault(Reason.MISSING_VALUE, column.header, missing))
    rows = pl.DataFrame(columns)
    if layout.absent:
        rows, missing_columns = _with_absent(rows, layout)
        faults += missing_columns
    return rows, [fault for fault in faults if fault.mask.any()]


def _with_absent(rows: pl.DataFrame, layout: Layout) -> tuple[pl.DataFrame, list[Fault]]:
    """Return rows with the columns that their file lacks, and the faults where one needs a value.

    A file may lack such a column if it is older than the column, and was loaded or exported before.
    """
    values = (
        pl.lit(column.absent_value, column.kind.dtype).alias(column.name)
        for column in layout.absent
    )
    every_row = ~no_rows_mask(rows["raw"])
    faults = [
        Fault(Reason.MISSING_VALUE, column.header, every_row)
        for column in layout.absent
        if column.absent_value is None and not column.nullable
    ]
    return rows.with_columns(values), faults


def _verdict(faults: Sequence[Fault]) -> list[pl.Expr]:
    """Return `reason` and `column_name` of each row: the first reason, and its first column."""
    reason, column_name = pl.lit(None, pl.String), pl.lit(None, pl.String)
    for fault in sorted(faults, key=lambda fault: _PRECEDENCE[fault.reason])[::-1]:
        reason = pl.when(fault.mask).then(pl.lit(fault.reason.value)).otherwise(reason)
        header = pl.lit(fault.header, pl.String)
        column_name = pl.when(fault.mask).then(header).otherwise(column_name)
    return [reason.alias("reason"), column_name.alias("column_name")]


def _sorted(rows: pl.DataFrame, layout: Layout) -> pl.DataFrame:
    """Sort rows, which are in the order of their lines, by key, then line; most files are."""
    key = layout.key.name
    return rows if rows[key].is_sorted() else rows.sort(key, "source_line")
