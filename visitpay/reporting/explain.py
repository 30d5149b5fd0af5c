"""Where the row of one identifier stands: its values, where they came from, what was rejected."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal

import polars as pl
from sqlalchemy import Connection, Row, RowMapping, select

from visitpay.errors import FileError
from visitpay.ledger.files import IN_ORDER
from visitpay.ledger.keys import unpack
from visitpay.models import DeliveredKeys, Entity, LoadFile, RejectedRow, Transaction, Visit
from visitpay.parsing.columns import file_columns, key_column
from visitpay.parsing.layout import Layout
from visitpay.parsing.quoting import trim_cells
from visitpay.parsing.rows import known_lines
from visitpay.parsing.split import split
from visitpay.parsing.values import convert, kind_of
from visitpay.rejects.queries import NOT_IN_TABLES, RejectFilter, list_rejects
from visitpay.rejects.store import ROWS_AT_ONCE
from visitpay.vocabulary import FileStatus

DELIVERIES = 20
"""The newest deliveries that brought a row are enough."""

REJECTS = 20
"""The oldest rejects of an identifier are enough."""


@dataclass(frozen=True)
class Balance:
    """What a visit owes by its own account, and by its transactions."""

    visit_identifier: int
    visit_balance: Decimal | None
    transactions: int
    total: Decimal

    @property
    def differs(self) -> bool:
        """Whether the two are not the same, to the cent."""
        return self.visit_balance is not None and self.visit_balance != self.total


@dataclass(frozen=True)
class Explained:
    """All that is known of an identifier."""

    row: Mapping[str, object] | None
    source: RowMapping | None
    """The delivery that last changed the row: `id`, `name`, `file_datetime`, `loaded_at`."""
    line: int | None
    """The line of it."""
    deliveries: Sequence[Mapping[str, object]]
    """Those it was accepted from, the newest first: `id`, `name`, `loaded_at`."""
    withdrawn_by: RowMapping | None
    """A later delivery of the newest one's name that did not bring it: `id`, `name`, `loaded_at`.

    The row stays, since nothing is deleted.
    """
    rejects: Sequence[RowMapping]
    balance: Balance | None
    rejected_transactions: Sequence[RowMapping]
    """Rejected transactions of a visit that are in no table: what its balance may lack."""
    rejected_transactions_total: int
    """How many there are; the oldest of them stand above."""

    @property
    def known(self) -> bool:
        """Whether anything is."""
        return bool(self.row or self.rejects or self.rejected_transactions)


def explain(connection: Connection, entity: type[Entity], key: int) -> Explained:
    """Say all that is known of a procedure, a visit or a transaction."""
    table = entity.__table__
    found = (
        connection.execute(select(*table.columns).where(key_column(entity) == key))
        .mappings()
        .first()
    )
    names = [column.name for column in file_columns(entity)]
    lacking = _transactions_out(connection, key) if entity is Visit else []
    deliveries = _deliveries(connection, entity, key)
    return Explained(
        row=None if found is None else {name: found[name] for name in names},
        source=_source(connection, found),
        line=None if found is None else found["source_line"],
        deliveries=deliveries,
        withdrawn_by=_withdrawn_by(connection, key, deliveries[0]) if deliveries else None,
        rejects=list_rejects(
            connection, RejectFilter(entity=entity.__name__, key=key, status=None), REJECTS
        ),
        balance=_balance(connection, found),
        rejected_transactions=list_rejects(
            connection, RejectFilter(status=None, ids=lacking[:REJECTS]), REJECTS
        ),
        rejected_transactions_total=len(lacking),
    )


def _source(connection: Connection, row: RowMapping | None) -> RowMapping | None:
    if row is None:
        return None
    columns = (LoadFile.id, LoadFile.name, LoadFile.file_datetime, LoadFile.loaded_at)
    mine = select(*columns).where(LoadFile.id == row["source_file_id"])
    return connection.execute(mine).mappings().first()


def _deliveries(
    connection: Connection, entity: type[Entity], key: int
) -> list[Mapping[str, object]]:
    packed = (
        select(LoadFile.id, LoadFile.name, LoadFile.loaded_at, DeliveredKeys.keys)
        .join(DeliveredKeys)
        .where(LoadFile.entity == entity.__name__)
        .where(DeliveredKeys.first_key <= key, DeliveredKeys.last_key >= key)
        .order_by(*(column.desc() for column in IN_ORDER))
    )
    found: dict[int, Mapping[str, object]] = {}
    for file_id, name, loaded_at, keys in connection.execute(packed):
        if file_id not in found and key in unpack(keys):
            found[file_id] = {"id": file_id, "name": name, "loaded_at": loaded_at}
        if len(found) == DELIVERIES:
            break
    return list(found.values())


def _withdrawn_by(
    connection: Connection, key: int, newest: Mapping[str, object]
) -> RowMapping | None:
    rejected = select(RejectedRow.file_id).where(RejectedRow.record_key == key)
    later = (
        select(LoadFile.id, LoadFile.name, LoadFile.loaded_at)
        .where(LoadFile.name == newest["name"], LoadFile.status == FileStatus.LOADED)
        .where(LoadFile.id > newest["id"], LoadFile.id.not_in(rejected))
        .order_by(LoadFile.id.desc())
    )
    return connection.execute(later.limit(1)).mappings().first()


def _balance(connection: Connection, row: RowMapping | None) -> Balance | None:
    visit = row and row.get("visit_identifier")
    if visit is None:
        return None
    owed = connection.scalar(select(Visit.visit_balance).where(Visit.visit_identifier == visit))
    mine = select(Transaction.amount).where(Transaction.visit_identifier == visit)
    amounts = connection.scalars(mine).all()
    return Balance(int(visit), owed, len(amounts), sum(amounts, Decimal("0.00")))


def _transactions_out(connection: Connection, visit: int) -> list[int]:
    """Give the rejected transactions of a visit that are in no table, oldest first, by id.

    The text of the rows says which may be some; then only the right cell counts, or any cell of a
    row that does not split.
    """
    maybe = (
        select(RejectedRow.id, RejectedRow.raw, LoadFile.header)
        .join(LoadFile)
        .where(RejectedRow.entity == Transaction.__name__, NOT_IN_TABLES)
        .where(RejectedRow.raw.contains(str(visit)), RejectedRow.reason != "line_too_long")
        .order_by(RejectedRow.file_id, RejectedRow.line_number)
    )
    streamed = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(maybe)
    return [each for some in streamed.partitions() for each in _of_visit(some, visit)]


def _of_visit(maybe: Sequence[Row[int, str, str | None]], visit: int) -> Iterator[int]:
    schema = {"source_line": pl.Int64, "raw": pl.String, "header": pl.String}
    rows = pl.DataFrame(maybe, schema, orient="row")
    column = Transaction.__table__.c.visit_identifier
    found: set[int] = set()
    for (header,), some in rows.group_by("header"):
        with suppress(FileError):  # then the file's rows cannot be taken apart any more
            layout = Layout.of(Transaction, str(header))
            lines = split(known_lines(some), layout)
            visits, _ = convert(trim_cells(lines[column.name]), kind_of(column))
            found.update(lines["source_line"].filter(visits == visit))
            in_pieces = lines.filter("malformed")
            cells = in_pieces["raw"].str.split(layout.delimiter)
            holds = cells.list.eval(pl.element().str.strip_chars(' "')).list.contains(str(visit))
            found.update(in_pieces["source_line"].filter(holds))
    yield from (each for each in rows["source_line"] if each in found)
