"""Which delivery brought which keys, and so which rows are stale.

A delivery is newer than another by (file datetime, name, ledger id). Whether a row is stale is
decided by the keys that newer deliveries brought, not by the stored row: a newer file may have
confirmed a value, and so left the row unwritten, and an older one must not overwrite what it
confirmed.
"""

import io
from collections.abc import Sequence

import polars as pl
from sqlalchemy import Connection, Select, bindparam, insert, select

from visitpay.ledger.files import NEWER, Delivery
from visitpay.models import DeliveredKeys, RejectedRow
from visitpay.parsing.values import no_rows_mask

_OVERLAPPING = select(DeliveredKeys.keys).where(
    DeliveredKeys.first_key <= bindparam("last_key"),
    DeliveredKeys.last_key >= bindparam("first_key"),
)
_BY_NEWER = _OVERLAPPING.where(DeliveredKeys.file_id.in_(NEWER))
_BY_ITSELF = _OVERLAPPING.where(DeliveredKeys.file_id == bindparam("file_id"))
_BROUGHT = select(DeliveredKeys.keys).order_by(DeliveredKeys.id)
_REJECTED = select(RejectedRow.record_key).where(RejectedRow.file_id == bindparam("file_id"))
_ADD = insert(DeliveredKeys.__table__)


def pack(keys: pl.Series) -> bytes:
    """Pack keys in ascending order: differences, compressed; a dense run takes next to nothing."""
    packed = io.BytesIO()
    differences = keys - keys.shift(fill_value=0)
    differences.to_frame("keys").write_ipc_stream(packed, compression="zstd")
    return packed.getvalue()


def unpack(packed: bytes) -> pl.Series:
    """Give back what `pack` packed."""
    return pl.read_ipc_stream(io.BytesIO(packed))["keys"].cum_sum()


def add_keys(connection: Connection, delivery: Delivery, keys: pl.Series) -> None:
    """Record that a delivery brought some keys (in ascending order) and that they were accepted."""
    if keys.is_empty():
        return
    brought = {"first_key": keys[0], "last_key": keys[-1], "keys": pack(keys)}
    connection.execute(_ADD, {"file_id": delivery.file_id, **brought})


def is_stale(connection: Connection, delivery: Delivery, keys: pl.Series) -> pl.Series:
    """Say of each key whether a newer delivery brought it."""
    if delivery.is_newest:
        return no_rows_mask(keys)
    return _delivered(connection, _BY_NEWER, delivery, keys)


def is_duplicate(connection: Connection, delivery: Delivery, keys: pl.Series) -> pl.Series:
    """Say of each key whether an earlier batch of the same delivery brought it."""
    return _delivered(connection, _BY_ITSELF, delivery, keys)


def count_withdrawn(connection: Connection, delivery: Delivery, former: Sequence[int]) -> int:
    """Count the keys that former deliveries brought and that this one does not, not even badly."""
    missing = [pl.Series([], dtype=pl.Int64)]
    for packed in connection.scalars(_BROUGHT.where(DeliveredKeys.file_id.in_(former))).all():
        keys = unpack(packed)
        missing.append(keys.filter(~is_duplicate(connection, delivery, keys)))
    gone = set(pl.concat(missing))
    return len(gone.difference(connection.scalars(_REJECTED, delivery.parameters) if gone else ()))


def _delivered(
    connection: Connection, overlapping: Select[bytes], delivery: Delivery, keys: pl.Series
) -> pl.Series:
    found = no_rows_mask(keys)
    if keys.null_count() == len(keys):
        return found
    given = {**delivery.parameters, "first_key": keys.min(), "last_key": keys.max()}
    for packed in connection.scalars(overlapping, given):
        found |= keys.is_in(unpack(packed).implode()).fill_null(value=False)
    return found
