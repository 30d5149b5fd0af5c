"""Where the row of one identifier stands: its values, where they came from, what was rejected."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import Connection, RowMapping, select

from visitpay.models import (
    DeliveredKeys,
    Entity,
    LoadFile,
    Transaction,
    Visit,
    fed_columns,
    key_of,
)
from visitpay.quarantine import Wanted, listing

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
    rejects: Sequence[RowMapping]
    balance: Balance | None

    @property
    def known(self) -> bool:
        """Whether anything is."""
        return bool(self.row or self.rejects)


def explain(connection: Connection, entity: type[Entity], key: int) -> Explained:
    """Say all that is known of a procedure, a visit or a transaction."""
    table = entity.__table__
    found = (
        connection.execute(select(*table.columns).where(key_of(entity) == key)).mappings().first()
    )
    names = [column.name for column in fed_columns(entity)]
    return Explained(
        row=None if found is None else {name: found[name] for name in names},
        source=_source(connection, found),
        line=None if found is None else found["source_line"],
        deliveries=_deliveries(connection, entity, key),
        rejects=listing(connection, Wanted(entity=entity.__name__, key=key, status=None), REJECTS),
        balance=_balance(connection, found),
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
    from visitpay.deliveries import unpack

    packed = (
        select(LoadFile.id, LoadFile.name, LoadFile.loaded_at, DeliveredKeys.keys)
        .join(DeliveredKeys)
        .where(LoadFile.entity == entity.__name__)
        .where(DeliveredKeys.first_key <= key, DeliveredKeys.last_key >= key)
        .order_by(LoadFile.file_datetime.desc(), LoadFile.id.desc())
    )
    found: dict[int, Mapping[str, object]] = {}
    for file_id, name, loaded_at, keys in connection.execute(packed):
        if file_id not in found and key in unpack(keys):
            found[file_id] = {"id": file_id, "name": name, "loaded_at": loaded_at}
        if len(found) == DELIVERIES:
            break
    return list(found.values())


def _balance(connection: Connection, row: RowMapping | None) -> Balance | None:
    visit = row and row.get("visit_identifier")
    if visit is None:
        return None
    owed = connection.scalar(select(Visit.visit_balance).where(Visit.visit_identifier == visit))
    mine = select(Transaction.amount).where(Transaction.visit_identifier == visit)
    amounts = connection.scalars(mine).all()
    return Balance(int(visit), owed, len(amounts), sum(amounts, Decimal("0.00")))
