"""Lines of a file as typed rows and rejects."""

from dataclasses import dataclass
from functools import reduce
from operator import or_

import polars as pl

from visitpay.parsing.columns import file_columns, file_header, key_column
from visitpay.parsing.layout import Layout
from visitpay.parsing.quoting import csv_cells, pieces_of_cells, trimmed
from visitpay.parsing.split import split
from visitpay.parsing.values import Slashes, convert, kind_of, no_rows_mask
from visitpay.vocabulary import Reason

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

NO_LINES = pl.Schema({"source_line": pl.Int64, "raw": pl.String}).to_frame()


@dataclass(frozen=True)
class Batch:
    """Some lines of a file, taken apart.

    `rows` holds the good ones, sorted by key, then line: the model's columns under their names,
    `source_line` and `raw`. `rejects` holds the others (REJECT_SCHEMA). `uneven` holds, of both,
    the lines of text that do not split as the header does (`source_line`, `raw`).
    """

    rows: pl.DataFrame
    rejects: pl.DataFrame
    uneven: pl.DataFrame
    rows_read: int


def parse_again(rows: pl.DataFrame, layout: Layout) -> Batch:
    """Take single lines apart (`source_line`, `raw`), which need not stand beside each other."""
    return parse(known_lines(rows), layout, adjacent=False)


def known_lines(rows: pl.DataFrame) -> pl.DataFrame:
    """Give lines (`source_line`, `raw`) that were judged before, as `split` takes them."""
    none = pl.lit(value=False)
    return rows.select("source_line", "raw", broken=none, long=none)


def parse(
    lines: pl.DataFrame, layout: Layout, *, adjacent: bool = True, slashes: Slashes | None = None
) -> Batch:
    """Take lines apart (`source_line`, `raw`, `broken`, `long`) as the layout says.

    Where they are `adjacent`, they may be pieces of cells that span lines. `slashes` sees dates.
    """
    cells = split(lines, layout)
    faults: list[tuple[str, str | None, pl.Series]] = [
        ("malformed", None, cells["malformed"]),
        ("invalid_encoding", None, cells["broken"]),
        ("line_too_long", None, cells["long"]),
    ]
    uneven = NO_LINES
    if cells["uneven"].any():
        text = cells["uneven"] & ~cells["broken"] & ~cells["long"]
        uneven = cells.filter(text).select("source_line", "raw")
    columns = [cells["source_line"], cells["raw"]]
    bare = not cells["raw"].str.contains('[" ]').any()
    for column in file_columns(layout.entity):
        kind, header = kind_of(column), file_header(column)
        cut = cells[column.name]
        cut = cut if bare else trimmed(cut)
        if slashes and kind.dtype == pl.Date:
            slashes.see(cut)
        values, invalid = convert(cut, kind)
        columns.append(values.alias(column.name))
        if kind.reason is not None:
            faults.append((kind.reason, header, invalid))
        if not column.nullable:
            faults.append(("missing_value", header, values.is_null() & ~invalid))
    frame = pl.DataFrame(columns)
    faults = [fault for fault in faults if fault[2].any()]
    key = key_column(layout.entity).name
    if not faults:
        return Batch(_in_order(frame, key), NO_REJECTS, uneven, len(frame))
    bad = reduce(or_, (mask for _, _, mask in faults))
    if adjacent:
        faults.append(("malformed", None, pieces_of_cells(cells["raw"], bad, layout.delimiter)))
    judged = frame.with_columns(_verdict(faults))
    good = pl.col("reason").is_null()
    rows = _in_order(judged.filter(good).select(frame.columns), key)
    rejects = judged.filter(~good).select(
        "reason", "column_name", "raw", line_number="source_line", record_key=key
    )
    rejects = clear_unsure_keys(rejects, layout).select(REJECT_SCHEMA.names())
    return Batch(rows, rejects, uneven, len(frame))


def clear_unsure_keys(rejects: pl.DataFrame, layout: Layout) -> pl.DataFrame:
    """Take the keys from rows with too few cells, quotes honoured or not: a cell may be another's.

    Those that are malformed without quotes have none already.
    """
    quoted = rejects["raw"].str.contains(
        rf'(?:^|[{layout.delimiter}]) *"(?:[^"]|"")*[{layout.delimiter}]'
    )
    short = no_rows_mask(quoted)
    if quoted.any():
        places = quoted.arg_true()
        raw = rejects["raw"].gather(places)
        few = [len(csv_cells(line, layout.delimiter, layout.width)) < layout.width for line in raw]
        short = short.scatter(places.filter(pl.Series(few)), values=True)
    return rejects.with_columns(record_key=rejects["record_key"].set(short, None))


def _in_order(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """Sort rows, which stand in the order of their lines, by key, then line; most files are."""
    return rows if rows[key].is_sorted() else rows.sort(key, "source_line")


def _verdict(faults: list[tuple[str, str | None, pl.Series]]) -> list[pl.Expr]:
    """Say of each row the first reason that applies and, within it, the first column."""
    reason, column = pl.lit(None, pl.String), pl.lit(None, pl.String)
    ranked = sorted(faults, key=lambda fault: list(Reason).index(Reason(fault[0])))
    for name, header, mask in reversed(ranked):
        reason = pl.when(mask).then(pl.lit(name)).otherwise(reason)
        column = pl.when(mask).then(pl.lit(header, pl.String)).otherwise(column)
    return [reason.alias("reason"), column.alias("column_name")]
