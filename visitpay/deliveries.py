"""Which delivery brought which keys, and so which rows are stale.

A delivery is newer than another by (file datetime, ledger id). Whether a row is stale is decided by
the keys that newer deliveries brought, not by the stored row: a newer file may have confirmed a
value, and so left the row unwritten, and an older one must not overwrite what it confirmed.
"""

import io

import polars as pl
from sqlalchemy import ColumnElement, Connection, insert, select

from visitpay.ledger import Delivery
from visitpay.models import LOADED, DeliveredKeys, LoadFile


def pack(keys: pl.Series) -> bytes:
    """Pack keys in ascending order: differences, compressed; a dense run takes next to nothing."""
    packed = io.BytesIO()
    keys.diff().fill_null(keys.first()).to_frame("keys").write_ipc(packed, compression="zstd")
    return packed.getvalue()


def unpack(packed: bytes) -> pl.Series:
    """Give back what `pack` packed."""
    return pl.read_ipc(io.BytesIO(packed))["keys"].cum_sum()


def add_keys(connection: Connection, delivery: Delivery, keys: pl.Series) -> None:
    """Record that a delivery brought some keys (in ascending order) and that they were accepted."""
    if keys.is_empty():
        return
    connection.execute(
        insert(DeliveredKeys).values(
            file_id=delivery.file_id, first_key=keys[0], last_key=keys[-1], keys=pack(keys)
        )
    )


def is_outdated(connection: Connection, delivery: Delivery, keys: pl.Series) -> pl.Series:
    """Say of each key whether a newer delivery brought it."""
    newer = select(LoadFile.id).where(
        LoadFile.entity == delivery.entity.__name__,
        LoadFile.status == LOADED,
        delivery.newer(),
    )
    return _delivered(connection, DeliveredKeys.file_id.in_(newer), keys)


def is_repeated(connection: Connection, delivery: Delivery, keys: pl.Series) -> pl.Series:
    """Say of each key whether an earlier batch of the same delivery brought it."""
    return _delivered(connection, DeliveredKeys.file_id == delivery.file_id, keys)


def _delivered(
    connection: Connection, condition: ColumnElement[bool], keys: pl.Series
) -> pl.Series:
    found = pl.repeat(value=False, n=len(keys), eager=True)
    if keys.null_count() == len(keys):
        return found
    overlapping = select(DeliveredKeys.keys).where(
        condition,
        DeliveredKeys.first_key <= keys.max(),
        DeliveredKeys.last_key >= keys.min(),
    )
    for packed in connection.scalars(overlapping):
        found |= keys.is_in(unpack(packed).implode()).fill_null(value=False)
    return found
