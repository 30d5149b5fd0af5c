"""Where one row is: its values, the deliveries that brought it, what of it was rejected."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import Connection, func, select
from sqlalchemy.orm import aliased

from visitpay.ledger.files import IN_ORDER, IS_OF_FEED
from visitpay.ledger.keys import unpack
from visitpay.models import (
    ENTITIES,
    DeliveredKeys,
    Entity,
    LoadFile,
    RejectedRow,
    Transaction,
    Visit,
    entity_named,
)
from visitpay.parsing.columns import file_columns, key_column, model_columns
from visitpay.rejects.cells import lines_perhaps_holding, rejects_holding, value_of
from visitpay.rejects.queries import (
    NOT_IN_TABLES,
    Reject,
    RejectFilter,
    count_by_reason,
    list_rejects,
)
from visitpay.reporting.search import NamedLanding, Search, search
from visitpay.vocabulary import FileStatus, Reason, RejectStatus

DELIVERIES = 20
"""So many deliveries that brought a row are listed, the newest."""

REJECTS = 20
"""So many rejects are listed, the newest."""

_later = aliased(LoadFile)

_DELIVERY = (
    *(LoadFile.id, LoadFile.name, LoadFile.file_datetime, LoadFile.loaded_at),
    select(func.min(_later.id))
    .where(
        _later.name == LoadFile.name,
        _later.id > LoadFile.id,
        _later.status == FileStatus.LOADED,
        # Two exports may have one name: the later one holds other mended rows.
        _later.is_resubmission.is_(False),
    )
    .correlate(LoadFile)
    .scalar_subquery(),
)


class DeliveryRow(NamedTuple):
    """A loaded delivery of a file; times in UTC."""

    id: int
    name: str
    file_datetime: datetime
    loaded_at: datetime
    replaced_by: int | None
    """The next delivery of its name, if the hospital sent it again."""


class CameSoFar(NamedTuple):
    """The files of a type that were loaded."""

    files: int
    """Each counts once, however often it came."""
    newest: str | None
    """The name of the newest."""


class Reference(NamedTuple):
    """A row that another refers to."""

    entity: str
    key: int


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

    The row stays, since nothing is deleted. Of a row that was only ever rejected, that is the
    delivery that replaced the newest of these.
    """
    rejects: Sequence[Reject]
    """Its rejected rows, the open ones first, then the newest, at most REJECTS."""
    rejects_total: int
    """How many there are."""
    perhaps: frozenset[int]
    """The ids of those whose identifier is damaged: they may be another row's."""
    waits_for: Reference | None
    """What the newest of them waits for, if it is open and only misses a reference."""
    balance: Balance | None
    rejected_transactions: Sequence[Reject]
    """Rejected transactions of a visit that are in no table: its balance may lack them."""
    rejected_transactions_total: int
    """How many there are; at most REJECTS of them, the newest, are listed."""
    search: Search | None
    """Where it is in files that are not loaded; None if no landing directory was searched."""
    came: CameSoFar
    """The files of its type that were loaded."""

    @property
    def known(self) -> bool:
        """Whether anything is known of it."""
        in_files = self.search is not None and self.search.total
        return bool(self.row or self.rejects or self.rejected_transactions or in_files)


def explain(
    connection: Connection, entity: type[Entity], key: int, place: NamedLanding | None = None
) -> Explained:
    """Return all that is known of a procedure, a visit or a transaction.

    With a `place`, the files there that are not loaded are searched, too.
    """
    table = entity.__table__
    found = (
        connection.execute(select(*table.columns).where(key_column(entity) == key))
        .mappings()
        .first()
    )
    names = [column.name for column in file_columns(entity)]
    missing = _transactions_not_in_table(connection, key) if entity is Visit else []
    deliveries = _deliveries(connection, entity, key)
    rejects, rejects_total, perhaps = _rejects_of(connection, entity, key)
    columns = {entity: key_column(entity).name}
    if entity is Visit:
        columns[Transaction] = Transaction.visit_identifier.key
    return Explained(
        row=None if found is None else {name: found[name] for name in names},
        source=None if found is None else _source(connection, found["source_file_id"]),
        line=None if found is None else found["source_line"],
        deliveries=deliveries,
        withdrawn_by=_withdrawn_by(connection, key, deliveries, rejects),
        rejects=rejects,
        rejects_total=rejects_total,
        perhaps=perhaps,
        waits_for=_waits_for(connection, [each for each in rejects if each.id not in perhaps]),
        balance=_balance(connection, found.get("visit_identifier") if found else None),
        rejected_transactions=newest_of(connection, missing),
        rejected_transactions_total=len(missing),
        search=None if place is None else search(connection, place, columns, key),
        came=came_so_far(connection, entity),
    )


def came_so_far(connection: Connection, entity: type[Entity]) -> CameSoFar:
    """Return how many files of a type the hospital sent, by name, and the newest."""
    mine = (*IS_OF_FEED, LoadFile.entity == entity.__name__)
    newest = select(LoadFile.name).where(*mine)
    return CameSoFar(
        connection.scalar(select(func.count(LoadFile.name.distinct())).where(*mine)) or 0,
        connection.scalar(newest.order_by(*(column.desc() for column in IN_ORDER)).limit(1)),
    )


def newest_of(connection: Connection, ids: Sequence[int]) -> list[Reject]:
    """Return the newest of some rejects."""
    return list_rejects(connection, RejectFilter(status=None, ids=ids[-REJECTS:]), REJECTS)


def _rejects_of(
    connection: Connection, entity: type[Entity], key: int
) -> tuple[list[Reject], int, frozenset[int]]:
    """Return the rejects of a row, the open ones first, then the newest, and how many there are.

    Also those without a key, which may be another column's, where it stands in the key's place, and
    at the end those of which it may be the damaged key; their ids come third.
    """
    of_key = RejectFilter(entity=entity.__name__, key=key, status=None)
    has_none = RejectedRow.record_key.is_(None)
    place = (entity, key_column(entity).name, key, [has_none])
    perhaps = rejects_holding(connection, *place, lines_perhaps_holding)
    others = [*rejects_holding(connection, *place), *perhaps]
    rejects = newest_of(connection, others)
    for status in RejectStatus:
        rejects += list_rejects(connection, replace(of_key, status=status), REJECTS)
    rejects.sort(
        key=lambda each: (
            each.id not in perhaps,
            each.status == RejectStatus.OPEN,
            each.created_at,
            each.id,
        ),
        reverse=True,
    )
    total = sum(count_by_reason(connection, of_key).values()) + len(others)
    return rejects[:REJECTS], total, frozenset(perhaps)


def _waits_for(connection: Connection, rejects: Iterable[Reject]) -> Reference | None:
    """Return what the newest open reject refers to, if that is all that it misses."""
    newest = next((each for each in rejects if each.status == RejectStatus.OPEN), None)
    if newest is None or newest.reason != Reason.MISSING_REFERENCE or newest.column is None:
        return None
    entity = entity_named(newest.entity)
    header = connection.scalar(select(LoadFile.header).where(LoadFile.id == newest.file_id))
    key = value_of(newest.raw, header or "", entity, newest.column)
    name = next(each.name for each in model_columns(entity) if each.header == newest.column)
    names = {each.__tablename__: each.__name__ for each in ENTITIES}
    for reference in entity.__table__.columns[name].foreign_keys:
        if key is not None:
            return Reference(names[reference.column.table.name], key)
    return None


def _source(connection: Connection, file_id: int) -> DeliveryRow | None:
    row = connection.execute(select(*_DELIVERY).where(LoadFile.id == file_id)).first()
    return None if row is None else DeliveryRow._make(row)


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


def _withdrawn_by(
    connection: Connection, key: int, deliveries: Sequence[DeliveryRow], rejects: Sequence[Reject]
) -> DeliveryRow | None:
    newest = deliveries[0] if deliveries else None
    if newest is None and rejects and rejects[0].status == RejectStatus.SUPERSEDED:
        newest = _source(connection, rejects[0].file_id)
    if newest is None:
        return None
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
    return None if row is None else DeliveryRow._make(row)


def _balance(connection: Connection, visit: int | None) -> Balance | None:
    if visit is None:
        return None
    owed = connection.scalar(select(Visit.visit_balance).where(Visit.visit_identifier == visit))
    mine = select(Transaction.amount).where(Transaction.visit_identifier == visit)
    amounts = connection.scalars(mine).all()
    return Balance(visit, owed, len(amounts), sum(amounts, Decimal("0.00")))


def _transactions_not_in_table(connection: Connection, visit: int) -> list[int]:
    """Return the ids of rejected transactions of a visit that are in no table."""
    column = Transaction.visit_identifier.key
    return rejects_holding(connection, Transaction, column, visit, [NOT_IN_TABLES])
