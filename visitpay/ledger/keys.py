"""Which delivery brought which keys, and so which rows are stale.

A delivery is newer than another by (file datetime, name, ledger id). Whether a row is stale is
decided by the keys that newer deliveries brought, not by the stored row: a newer file may have had
the same values, so that the row was not written, and an older file must not overwrite them.
"""

import io
from collections.abc import Sequence

import polars as pl
from sqlalchemy import Connection, Select, bindparam, insert, select

from visitpay.ledger.files import NEWER, Delivery
from visitpay.models import DeliveredKeys, RejectedRow
from visitpay.parsing.values import no_rows_mask

_FILE = b"ARROW1"
"""How an Arrow IPC file begins, as the first releases packed keys; a stream begins otherwise."""

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
    """Return keys (ascending) as bytes: the differences, compressed; dense keys take few bytes.

    in:  1000, 1001, 1002, 1010
    out: 1000, 1, 1, 8 as an Arrow IPC stream, compressed with zstd
    """
    packed = io.BytesIO()
    differences = keys - keys.shift(fill_value=0)
    differences.to_frame("keys").write_ipc_stream(packed, compression="zstd")
    return packed.getvalue()


def unpack(packed: bytes) -> pl.Series:
    """Return the keys that `pack` packed: 1000, 1, 1, 8 gives 1000, 1001, 1002, 1010."""
    read = pl.read_ipc if packed.startswith(_FILE) else pl.read_ipc_stream
    return read(io.BytesIO(packed))["keys"].cum_sum()


def add_keys(connection: Connection, delivery: Delivery, keys: pl.Series) -> None:
    """Record the keys (ascending) of accepted rows that a delivery brought."""
    if keys.is_empty():
        return
    entry = {"first_key": keys[0], "last_key": keys[-1], "keys": pack(keys)}
    connection.execute(_ADD, {"file_id": delivery.file_id, **entry})


def is_stale(connection: Connection, delivery: Delivery, keys: pl.Series) -> pl.Series:
    """Return a mask of the keys that a newer delivery brought (stale rows)."""
    if delivery.is_newest:
        return no_rows_mask(keys)
    return _delivered(connection, _BY_NEWER, delivery, keys)


def is_duplicate(connection: Connection, delivery: Delivery, keys: pl.Series) -> pl.Series:
    """Return a mask of the keys that an earlier batch of the same delivery brought."""
    return _delivered(connection, _BY_ITSELF, delivery, keys)


def count_withdrawn(connection: Connection, delivery: Delivery, former: Sequence[int]) -> int:
    """Count the keys of former deliveries that this one lacks, also among its rejects."""
    missing = [pl.Series([], dtype=pl.Int64)]
    for packed in connection.scalars(_BROUGHT.where(DeliveredKeys.file_id.in_(former))).all():
        keys = unpack(packed)
        missing.append(keys.filter(~is_duplicate(connection, delivery, keys)))
    withdrawn = set(pl.concat(missing))
    if not withdrawn:
        return 0
    return len(withdrawn.difference(connection.scalars(_REJECTED, delivery.parameters)))


def _delivered(
    connection: Connection, overlapping: Select[bytes], delivery: Delivery, keys: pl.Series
) -> pl.Series:
    """Return a mask of the keys (ascending or not, with nulls) that the selected packs contain."""
    delivered = no_rows_mask(keys)
    if keys.null_count() == len(keys):
        return delivered
    parameters = {**delivery.parameters, "first_key": keys.min(), "last_key": keys.max()}
    for packed in connection.scalars(overlapping, parameters):
        delivered |= keys.is_in(unpack(packed).implode()).fill_null(value=False)
    return delivered
