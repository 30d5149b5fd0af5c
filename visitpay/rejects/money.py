"""The money of rejected rows: exact sums, in all, by reason and by visit.

A transaction may be in the quarantine several times: one that waits for its visit comes again with
every delivery, and waits again. It counts once, as it came last; the rows before are `repeated`.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import polars as pl
from sqlalchemy import Column, Connection, select

from visitpay.errors import FileError
from visitpay.ledger.files import IN_ORDER
from visitpay.models import Entity, LoadFile, RejectedRow, Transaction, Visit
from visitpay.parsing.layout import Layout
from visitpay.parsing.quoting import trim_cells
from visitpay.parsing.rows import lines_without_faults
from visitpay.parsing.split import split
from visitpay.parsing.values import convert, kind_of
from visitpay.rejects.queries import RejectFilter
from visitpay.rejects.store import ROWS_AT_ONCE
from visitpay.vocabulary import Reason

_AMOUNTS: dict[type[Entity], Column[Any]] = {
    Transaction: Transaction.__table__.c.amount,
    Visit: Visit.__table__.c.visit_balance,
}
"""The column that holds the money of a row; others have none."""

TYPES = tuple(_AMOUNTS)
"""The record types that have money."""

_VISITS: dict[type[Entity], Column[Any]] = {
    Visit: Visit.__table__.c.visit_identifier,
    Transaction: Transaction.__table__.c.visit_identifier,
}

_IN_DOUBT = (Reason.MALFORMED, Reason.LINE_TOO_LONG)
"""Reasons of rows of which no cell is known for sure."""

_MAYBE_CUT = (*_IN_DOUBT, Reason.NO_LINE_END)
"""Reasons of rows of which the amount may lack its end."""

_ROW_SCHEMA = {
    "entity": pl.String,
    "file": pl.Int64,
    "line": pl.Int64,
    "key": pl.Int64,
    "reason": pl.String,
    "raw": pl.String,
}
_SUMS = (
    pl.len().alias("rows"),
    pl.col("cents")
    .cast(pl.Int128)
    .sum(),  # 100,000 of the largest amounts are too many for 64 bits
    (pl.col("cents").is_null() & ~pl.col("is_repeated")).sum().alias("unreadable"),
    pl.col("is_repeated").sum().alias("repeated"),
)


@dataclass(frozen=True)
class QuarantinedMoney:
    """The money of some rejected rows."""

    amount: Decimal
    """The sum of the amounts that can be read, each transaction, or visit, once."""
    rows: int
    unreadable: int
    """How many rows have no amount that can be read."""
    repeated: int
    """How many rows are not counted, since their transaction came again later."""

    @property
    def readable(self) -> int:
        """How many rows have an amount that counts."""
        return self.rows - self.unreadable - self.repeated


@dataclass(frozen=True)
class MoneyOfReason(QuarantinedMoney):
    """The money of the rows of a type that have one reason."""

    entity: str
    """A record type: the amounts of transactions and the balances of visits are no one sum."""
    reason: str


@dataclass(frozen=True)
class MoneyOfVisit(QuarantinedMoney):
    """The money of the rows of a type that belong to a visit."""

    entity: str
    visit: int | None
    """None if it cannot be read."""


@dataclass(frozen=True)
class MoneySums:
    """The money of rejected rows, by reason and by visit."""

    by_reason: Sequence[MoneyOfReason]
    """By type, the largest amount first."""
    by_visit: Sequence[MoneyOfVisit]
    """The largest amounts first."""
    visits: int
    """How many of them there are in all: one for each visit and type."""

    def total(self, entity: type[Entity]) -> QuarantinedMoney:
        """Return the money of all rows of a type."""
        mine = [each for each in self.by_reason if each.entity == entity.__name__]
        return QuarantinedMoney(
            sum((each.amount for each in mine), Decimal("0.00")),
            sum(each.rows for each in mine),
            sum(each.unreadable for each in mine),
            sum(each.repeated for each in mine),
        )


def money_in_quarantine(connection: Connection) -> QuarantinedMoney:
    """Return the money of the rejected transactions that are open: it is in no table yet."""
    wanted = RejectFilter(entity=Transaction.__name__)
    return sum_money(connection, wanted, 0).total(Transaction)


def sum_money(connection: Connection, wanted: RejectFilter, limit: int) -> MoneySums:
    """Return sums of the money of rejects, and of at most `limit` visits.

    They are sums of all wanted rejects, whatever the limit.
    """
    ranked = pl.concat([pl.DataFrame(schema=_ranked_schema()), *_ranked(connection, wanted)])
    rows = ranked.sort("rank", "line")
    is_last = pl.col("key").is_last_distinct().over("entity") | pl.col("key").is_null()
    rows = rows.with_columns(is_repeated=~is_last)
    rows = rows.with_columns(cents=pl.when(~pl.col("is_repeated")).then("cents"))
    of_reasons = _summed(rows, "reason").sort("entity", maintain_order=True)
    of_visits = _summed(rows, "visit")
    return MoneySums(
        by_reason=[MoneyOfReason(**_fields(each)) for each in of_reasons.to_dicts()],
        by_visit=[MoneyOfVisit(**_fields(each)) for each in of_visits.head(limit).to_dicts()],
        visits=of_visits.height,
    )


def _summed(rows: pl.DataFrame, by: str) -> pl.DataFrame:
    """Return the sums of groups of rows, each of one type, the largest amount first."""
    sums = rows.group_by("entity", by).agg(*_SUMS)
    order = (pl.col("cents").abs(), "rows", "entity", by)
    return sums.sort(order, descending=[True, True, False, False])


def _fields(group: dict[str, Any]) -> dict[str, Any]:
    cents = group.pop("cents")
    return {**group, "amount": Decimal(cents).scaleb(-2)}


def _ranked_schema() -> dict[str, Any]:
    numbers = dict.fromkeys(("rank", "line", "key", "visit", "cents"), pl.Int64)
    return {"entity": pl.String, "reason": pl.String, **numbers}


def _ranked(connection: Connection, wanted: RejectFilter) -> Iterator[pl.DataFrame]:
    """Yield the wanted rejects with their money and their place in the order of deliveries."""
    files = connection.execute(select(LoadFile.id, LoadFile.header).order_by(*IN_ORDER)).all()
    headers = {file_id: header or "" for file_id, header in files}
    schema = {"file": pl.Int64, "header": pl.String, "rank": pl.Int64}
    ranks = pl.DataFrame(
        [(*file, rank) for rank, file in enumerate(headers.items())], schema, orient="row"
    )
    query = (
        select(
            *(RejectedRow.entity, RejectedRow.file_id, RejectedRow.line_number),
            *(RejectedRow.record_key, RejectedRow.reason, RejectedRow.raw),
        )
        .join_from(RejectedRow, LoadFile)
        .where(*wanted.conditions)
        .where(RejectedRow.entity.in_([entity.__name__ for entity in TYPES]))
    )
    streamed = connection.execute(query, execution_options={"yield_per": ROWS_AT_ONCE})
    for chunk in streamed.partitions():
        columns = dict(zip(_ROW_SCHEMA, zip(*chunk, strict=True), strict=True))
        rows = pl.DataFrame(columns, _ROW_SCHEMA).join(ranks, on="file", how="left")
        for entity in TYPES:
            of_type = rows.filter(pl.col("entity") == entity.__name__)
            for (header,), of_layout in of_type.group_by("header"):
                read = _with_money(of_layout, entity, str(header))
                yield read.select(_ranked_schema().keys())


def _with_money(rows: pl.DataFrame, entity: type[Entity], header: str) -> pl.DataFrame:
    """Return rejects of files with one header with `visit` and `cents`; null if in doubt."""
    unknown = pl.lit(None, pl.Int64)
    rows = rows.with_columns(visit=unknown, cents=unknown)
    with suppress(FileError):  # then the rows cannot be taken apart any more
        layout = Layout.of(entity, header)
        is_whole = ~pl.col("reason").is_in(_IN_DOUBT) & (pl.col("raw").str.strip_chars(" ") != "")
        whole = lines_without_faults(rows.filter(is_whole).with_columns(source_line="line"))
        if not whole.is_empty():
            cells = split(whole.drop("visit", "cents"), layout)
            is_cut = pl.col("reason").is_in(_MAYBE_CUT)
            read = cells.with_columns(
                visit=_values(cells, _VISITS[entity]), cents=_values(cells, _AMOUNTS[entity])
            ).with_columns(cents=pl.when(~is_cut).then("cents"))
            rows = pl.concat([rows.filter(~is_whole), read.select(rows.columns)])
    return rows


def _values(cells: pl.DataFrame, column: Column[Any]) -> pl.Series:
    """Return the values of a column, null where its cells are not valid, or not there."""
    if column.name not in cells.columns:
        return pl.Series([None], dtype=pl.Int64).new_from_index(0, len(cells))
    return convert(trim_cells(cells[column.name]), kind_of(column))[0]
