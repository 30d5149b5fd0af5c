"""From bytes to typed column batches and rejects: vectorised, in constant memory, row for row.

A file is read in blocks, the blocks are cut into whole lines, and each block of lines becomes one
`Batch`. Every line that is not blank is either a row of a batch or one of its rejects.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from functools import reduce
from itertools import chain
from operator import or_

import polars as pl

from visitpay.errors import FileError
from visitpay.models import Entity
from visitpay.parsing.ambiguity import alternative_readings
from visitpay.parsing.closing import Closing
from visitpay.parsing.columns import file_columns, file_header, key_column
from visitpay.parsing.layout import Layout, listed
from visitpay.parsing.lines import Source, numbered, whole_lines
from visitpay.parsing.quoting import csv_cells, keep_together, pieces_of_cells, trimmed
from visitpay.parsing.signatures import Remembered, foreign
from visitpay.parsing.values import Slashes, convert, kind_of, no_rows_mask
from visitpay.vocabulary import Reason

BLOCK_BYTES = 2 << 20

BYTES_TO_FIT = 1 << 13
"""Of the rows, so much is held against the header."""

REJECT_SCHEMA = pl.Schema(
    {
        "line_number": pl.Int64,
        "record_key": pl.Int64,
        "reason": pl.String,
        "column_name": pl.String,
        "raw": pl.String,
    }
)

DAY_FIRST = (
    "dates are day-first: a first number is above 12, and no second one;"
    " ask for month first (12/31/2021) or for 2021-12-31"
)
"""What is wrong with a file that `is_day_first`."""

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


class Parser:
    """A file of an entity that is being parsed; the header is read at once, the rows on demand."""

    def __init__(
        self, source: Source, entity: type[Entity], block_bytes: int | None = None
    ) -> None:
        """Read the header; raises FileError when the file cannot be used."""
        remembered = Remembered(source)
        blocks = whole_lines(remembered, block_bytes or BLOCK_BYTES)
        first = next(blocks, b"")
        if not first:
            message = f"is empty; its first line must name {listed(entity)}"
            raise FileError(message)
        header, _, rest = first.partition(b"\n")
        while len(rest) < BYTES_TO_FIT and (more := next(blocks, b"")):
            rest += more
        *rows, _ = rest[:BYTES_TO_FIT].decode("utf-8", "backslashreplace").split("\n")
        try:
            self.layout = Layout.of(entity, header.decode("utf-8", "backslashreplace"), rows)
        except FileError as error:
            if other := foreign(remembered.start):
                raise FileError(other) from error
            raise
        self._blocks = chain([rest], blocks)
        self._slashes = Slashes()
        self.trailer_rows: int | None = None
        """How many rows the file's trailer says there are; known once the batches were given."""

    @property
    def is_day_first(self) -> bool:
        """Whether slashed dates have the day first, by evidence, once the batches were given.

        A first number of one is above 12, and no second number of any.
        """
        return self._slashes.are_day_first

    def batches(self) -> Generator[Batch]:
        """Give the rows, some thousands at a time, in the file's order.

        Raises FileError at the end when the file's trailer says another count of rows.
        """
        line_number, rows_read = 2, 0
        closing = Closing(self.layout, self._is_row)
        blocks = closing.taken_from(self._blocks)
        for block in keep_together(blocks, self.layout.delimiter):
            lines = numbered(block, line_number)
            line_number += len(lines)
            batch = reject_ambiguous(parse(lines, self.layout, slashes=self._slashes), self.layout)
            rows_read += batch.rows_read
            yield batch
        closing.require_fit(rows_read)
        self.trailer_rows = closing.rows

    def _is_row(self, line: str) -> bool:
        lines = pl.DataFrame([(1, line)], NO_LINES.schema, orient="row")
        return not parse_again(lines, self.layout).rows.is_empty()


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
    rejects = _without_keys_of_short(rejects, layout).select(REJECT_SCHEMA.names())
    return Batch(rows, rejects, uneven, len(frame))


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
    rejects = batch.rejects.vstack(_without_keys_of_short(rejects, layout))
    return replace(batch, rows=rows.filter(~doubtful), rejects=rejects)


def _without_keys_of_short(rejects: pl.DataFrame, layout: Layout) -> pl.DataFrame:
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
