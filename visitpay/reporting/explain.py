"""Where one row is: its values, the deliveries that brought it, what of it was rejected."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import polars as pl
from sqlalchemy import Connection, Row, select

from visitpay.errors import FileError
from visitpay.ledger.files import IN_ORDER
from visitpay.ledger.keys import unpack
from visitpay.models import DeliveredKeys, Entity, LoadFile, RejectedRow, Transaction, Visit
from visitpay.parsing.columns import file_columns, key_column
from visitpay.parsing.layout import Layout
from visitpay.parsing.quoting import trim_cells
from visitpay.parsing.rows import lines_without_faults
from visitpay.parsing.split import split
from visitpay.parsing.values import convert, kind_of
from visitpay.rejects.queries import (
    NOT_IN_TABLES,
    Reject,
    RejectFilter,
    count_by_reason,
    list_rejects,
)
from visitpay.rejects.store import ROWS_AT_ONCE
from visitpay.vocabulary import FileStatus

DELIVERIES = 20
"""So many deliveries that brought a row are listed, the newest."""

REJECTS = 20
"""So many rejects are listed, the oldest."""

_DELIVERY = (LoadFile.id, LoadFile.name, LoadFile.file_datetime, LoadFile.loaded_at)


class DeliveryRow(NamedTuple):
    """A loaded delivery of a file; times in UTC."""

    id: int
    name: str
    file_datetime: datetime
    loaded_at: datetime


@dataclass(frozen=True)
class Balance:
    """The balance of a visit as the hospital sent it, beside the sum of its transactions."""

    visit_identifier: int
    visit_balance: Decimal | None
    transactions: int
    """How many there are."""
    total: Decimal

    @property
    def differs(self) -> bool:
        """Whether the two are not the same, to the cent."""
        return self.visit_balance is not None and self.visit_balance != self.total


@dataclass(frozen=True)
class Explained:
    """All that is known of an identifier."""

    row: Mapping[str, object] | None
    """The row in its table, by column."""
    source: DeliveryRow | None
    """The delivery that last changed the row."""
    line: int | None
    """The line of that delivery."""
    deliveries: Sequence[DeliveryRow]
    """The deliveries that brought it, the newest first, at most DELIVERIES."""
    withdrawn_by: DeliveryRow | None
    """A later delivery of the newest one's name that did not bring it.

    The row stays, since nothing is deleted.
    """
    rejects: Sequence[Reject]
    """Its rejected rows, the oldest first, at most REJECTS."""
    rejects_total: int
    """How many there are."""
    balance: Balance | None
    rejected_transactions: Sequence[Reject]
    """Rejected transactions of a visit that are in no table: its balance may lack them."""
    rejected_transactions_total: int
    """How many there are; at most REJECTS of them, the oldest, are listed."""

    @property
    def known(self) -> bool:
        """Whether anything is known of it."""
        return bool(self.row or self.rejects or self.rejected_transactions)


def explain(connection: Connection, entity: type[Entity], key: int) -> Explained:
    """Return all that is known of a procedure, a visit or a transaction."""
    table = entity.__table__
    found = (
        connection.execute(select(*table.columns).where(key_column(entity) == key))
        .mappings()
        .first()
    )
    names = [column.name for column in file_columns(entity)]
    missing = _transactions_not_in_table(connection, key) if entity is Visit else []
    deliveries = _deliveries(connection, entity, key)
    of_key = RejectFilter(entity=entity.__name__, key=key, status=None)
    of_visit = RejectFilter(status=None, ids=missing[:REJECTS])
    return Explained(
        row=None if found is None else {name: found[name] for name in names},
        source=None if found is None else _source(connection, found["source_file_id"]),
        line=None if found is None else found["source_line"],
        deliveries=deliveries,
        withdrawn_by=_withdrawn_by(connection, key, deliveries[0]) if deliveries else None,
        rejects=list_rejects(connection, of_key, REJECTS),
        rejects_total=sum(count_by_reason(connection, of_key).values()),
        balance=_balance(connection, found.get("visit_identifier") if found else None),
        rejected_transactions=list_rejects(connection, of_visit, REJECTS),
        rejected_transactions_total=len(missing),
    )


def _source(connection: Connection, file_id: int) -> DeliveryRow | None:
    row = connection.execute(select(*_DELIVERY).where(LoadFile.id == file_id)).first()
    return row and DeliveryRow._make(row)


def _deliveries(connection: Connection, entity: type[Entity], key: int) -> list[DeliveryRow]:
    packed = (
        select(*_DELIVERY, DeliveredKeys.keys)
        .join(DeliveredKeys)
        .where(LoadFile.entity == entity.__name__)
        .where(DeliveredKeys.first_key <= key, DeliveredKeys.last_key >= key)
        .order_by(*(column.desc() for column in IN_ORDER))
    )
    found: dict[int, DeliveryRow] = {}
    for *delivery, keys in connection.execute(packed):
        row = DeliveryRow._make(delivery)
        if row.id not in found and key in unpack(keys):
            found[row.id] = row
        if len(found) == DELIVERIES:
            break
    return list(found.values())


def _withdrawn_by(connection: Connection, key: int, newest: DeliveryRow) -> DeliveryRow | None:
    rejected = select(RejectedRow.file_id).where(RejectedRow.record_key == key)
    later = (
        select(*_DELIVERY)
        .where(LoadFile.name == newest.name, LoadFile.status == FileStatus.LOADED)
        .where(LoadFile.id > newest.id, LoadFile.id.not_in(rejected))
        # Two exports may have one name: one holds other mended rows, and withdraws none.
        .where(LoadFile.is_resubmission.is_(False))
        .order_by(LoadFile.id.desc())
        .limit(1)
    )
    row = connection.execute(later).first()
    return row and DeliveryRow._make(row)


def _balance(connection: Connection, visit: int | None) -> Balance | None:
    if visit is None:
        return None
    owed = connection.scalar(select(Visit.visit_balance).where(Visit.visit_identifier == visit))
    mine = select(Transaction.amount).where(Transaction.visit_identifier == visit)
    amounts = connection.scalars(mine).all()
    return Balance(visit, owed, len(amounts), sum(amounts, Decimal("0.00")))


def _transactions_not_in_table(connection: Connection, visit: int) -> list[int]:
    """Return the ids of rejected transactions of a visit that are in no table, the oldest first.

    The database finds rows whose text holds the identifier. Of these only the cell of the visit
    counts, or any cell of a row that does not split, or was sent under another header.
    """
    candidates = (
        select(RejectedRow.id, RejectedRow.raw, LoadFile.header)
        .join(LoadFile)
        .where(RejectedRow.entity == Transaction.__name__, NOT_IN_TABLES)
        .where(RejectedRow.raw.contains(str(visit)), RejectedRow.reason != "line_too_long")
        .order_by(RejectedRow.file_id, RejectedRow.line_number)
    )
    streamed = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(candidates)
    return [found for rows in streamed.partitions() for found in _of_visit(rows, visit)]


def _of_visit(candidates: Sequence[Row[int, str, str | None]], visit: int) -> Iterator[int]:
    """Yield the ids of the rows (id, raw, header) that are transactions of a visit."""
    schema = {"source_line": pl.Int64, "raw": pl.String, "header": pl.String}
    rows = pl.DataFrame(candidates, schema, orient="row")
    column = Transaction.__table__.c.visit_identifier
    found: set[int] = set()
    for (header,), lines_of_layout in rows.group_by("header"):
        with suppress(FileError):  # then the file's rows cannot be taken apart any more
            layout = Layout.of(Transaction, str(header))
            lines = split(lines_without_faults(lines_of_layout), layout)
            in_pieces = lines
            if column.name in lines.columns:
                visits, _ = convert(trim_cells(lines[column.name]), kind_of(column))
                found.update(lines["source_line"].filter(visits == visit))
                in_pieces = lines.filter("malformed")
            cells = in_pieces["raw"].str.split(layout.delimiter)
            holds = cells.list.eval(pl.element().str.strip_chars(' "')).list.contains(str(visit))
            found.update(in_pieces["source_line"].filter(holds))
    yield from (row for row in rows["source_line"] if row in found)
