"""The quarantine: rows that were thrown back, with file, line and reason, until they close."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    bindparam,
    or_,
    select,
    update,
)

from visitpay.database.writes import insert_rows, keys_as_table
from visitpay.ledger.files import IS_NEWER, NEWER, Delivery
from visitpay.models import LoadFile, RejectedRow
from visitpay.parsing.values import no_rows_mask
from visitpay.rejects.queries import IS_ORPHAN
from visitpay.vocabulary import RejectStatus

ROWS_AT_ONCE = 50_000

_WAITING = "missing_reference"
"""The reason that a row may lose by itself."""

_IS_OLDER = (
    RejectedRow.status == RejectStatus.OPEN,
    RejectedRow.entity == bindparam("entity"),
    ~IS_NEWER,
)

_OLDER = (
    select(RejectedRow.id, RejectedRow.record_key, RejectedRow.file_id, RejectedRow.line_number)
    .join(LoadFile)
    .where(
        *_IS_OLDER,
        # By range: PostgreSQL takes minutes to look up a set of 50,000 keys (measured).
        RejectedRow.record_key.between(bindparam("first_key"), bindparam("last_key")),
        or_(
            RejectedRow.file_id != bindparam("file_id"),
            RejectedRow.line_number < bindparam("last_line"),
        ),
    )
)

_OLDER_TO_MEND = _OLDER.where(RejectedRow.reason != _WAITING)

_OLDER_KEYLESS = (
    select(RejectedRow.id, RejectedRow.raw)
    .join(LoadFile)
    .where(
        *_IS_OLDER,
        RejectedRow.record_key.is_(None),
        RejectedRow.file_id != bindparam("file_id"),
    )
)

_OLDER_SCHEMA = dict.fromkeys(("id", "key", "file_id", "line_number"), pl.Int64)

# Mended rows stand for the rejects that they were exported from, and replace no others.
_NEWER_SENT = NEWER.where(LoadFile.is_resubmission.is_(False))

_NEWER_KEYS = select(RejectedRow.record_key).where(
    RejectedRow.file_id.in_(_NEWER_SENT),
    RejectedRow.record_key.between(bindparam("first_key"), bindparam("last_key")),
)

_NEWER_KEYLESS = select(RejectedRow.id, RejectedRow.raw).where(
    RejectedRow.file_id.in_(_NEWER_SENT), RejectedRow.record_key.is_(None)
)


def add(
    connection: Connection, delivery: Delivery, rejects: pl.DataFrame, outdated: pl.Series
) -> None:
    """Put the rejects of a batch (parsing.REJECT_SCHEMA) aside.

    Those that are `outdated` are superseded at once.
    """
    now = pl.lit(datetime.now(UTC))
    insert_rows(
        connection,
        RejectedRow.__table__,
        rejects.with_columns(
            file_id=pl.lit(delivery.file_id),
            entity=pl.lit(delivery.entity.__name__),
            status=pl.when(outdated)
            .then(pl.lit(RejectStatus.SUPERSEDED))
            .otherwise(pl.lit(RejectStatus.OPEN)),
            created_at=now,
            closed_at=pl.when(outdated).then(now),
        ),
    )


def is_replaced(connection: Connection, delivery: Delivery, rejects: pl.DataFrame) -> pl.Series:
    """Return a mask of the rejects that a reject of a newer delivery of the feed replaces.

    It has the same key or, where there is none, the same raw line. What waits for a reference is
    not replaced: whether it found it would depend on the order of arrival.
    """
    replaced = no_rows_mask(rejects["raw"])
    if delivery.is_newest:
        return replaced
    keys = rejects["record_key"]
    if keys.null_count() < len(keys):
        given = {**delivery.parameters, "first_key": keys.min(), "last_key": keys.max()}
        newer_keys = pl.Series(connection.scalars(_NEWER_KEYS, given).all(), dtype=pl.Int64)
        replaced |= keys.is_in(newer_keys.implode()).fill_null(value=False)
    if keys.null_count():
        for newer in _raws(connection, _NEWER_KEYLESS, delivery.parameters):
            replaced |= keys.is_null() & rejects["raw"].is_in(newer["raw"].implode())
    return replaced & (rejects["reason"] != _WAITING)


def supersede(connection: Connection, delivery: Delivery, accepted: pl.DataFrame) -> None:
    """Close the open rejects that a delivery's accepted rows replace.

    `accepted` holds `key` and `source_line`. A reject is replaced by a good row of the same key
    from a newer delivery, or from a later line of the same one.
    """
    _close_older(connection, delivery, _OLDER, accepted)


def supersede_by_rejects(connection: Connection, delivery: Delivery, rejects: pl.DataFrame) -> None:
    """Close the open rejects that a delivery's rejects replace (`is_replaced`).

    Of one key, or of one raw line without a key, only the newest reject needs mending.
    """
    keyed = rejects.drop_nulls("record_key")
    last = keyed.group_by(key="record_key").agg(source_line=pl.col("line_number").max())
    _close_older(connection, delivery, _OLDER_TO_MEND, last)
    if len(keyed) < len(rejects):
        raws = rejects.filter(pl.col("record_key").is_null())["raw"].implode()
        found = [
            older.filter(pl.col("raw").is_in(raws))["id"]
            for older in _raws(connection, _OLDER_KEYLESS, delivery.parameters)
        ]
        if found:
            close(connection, pl.concat(found), RejectStatus.SUPERSEDED)


def _close_older(
    connection: Connection,
    delivery: Delivery,
    query: Select[*tuple[Any, ...]],
    brought: pl.DataFrame,
) -> None:
    """Close rejects older than the rows that were brought of their key (`key`, `source_line`)."""
    if brought.is_empty():
        return
    keys, lines = brought["key"], brought["source_line"]
    given = {"first_key": keys.min(), "last_key": keys.max(), "last_line": lines.max()}
    candidates = connection.execute(query, {**delivery.parameters, **given}).all()
    if not candidates:
        return
    older = pl.DataFrame(candidates, _OLDER_SCHEMA, orient="row").join(brought, on="key")
    replaced = older.filter(
        (pl.col("file_id") != delivery.file_id) | (pl.col("line_number") < pl.col("source_line"))
    )
    close(connection, replaced["id"], RejectStatus.SUPERSEDED)


def _raws(
    connection: Connection, query: Select[*tuple[Any, ...]], given: Mapping[str, object]
) -> Iterator[pl.DataFrame]:
    """Give rows of the quarantine (`id`, `raw`), some at a time."""
    found = connection.execute(query, given, execution_options={"yield_per": ROWS_AT_ONCE})
    for some in found.partitions():
        yield pl.DataFrame(some, {"id": pl.Int64, "raw": pl.String}, orient="row")


def supersede_former(connection: Connection, former: Sequence[int]) -> None:
    """Close the open rejects of the deliveries that a redelivery of their name replaces."""
    closing = update(RejectedRow).where(
        RejectedRow.file_id.in_(former), RejectedRow.status == RejectStatus.OPEN
    )
    connection.execute(closing.values(status=RejectStatus.SUPERSEDED, closed_at=datetime.now(UTC)))


def update_missing_reference(connection: Connection, orphans: pl.DataFrame) -> None:
    """Note of orphans (`id`, `column_name`) what they miss now; before, it may have been more."""
    for (name,), some in orphans.group_by("column_name"):
        chosen = RejectedRow.id.in_(select(keys_as_table(connection, some["id"]).c.value))
        connection.execute(update(RejectedRow).where(chosen).values(column_name=name))


def close(connection: Connection, ids: pl.Series, status: str) -> None:
    """Close open rejects by their ids, as resolved or superseded."""
    if ids.is_empty():
        return
    chosen = RejectedRow.id.in_(select(keys_as_table(connection, ids).c.value))
    closing = update(RejectedRow).where(chosen, RejectedRow.status == RejectStatus.OPEN)
    connection.execute(closing.values(status=status, closed_at=datetime.now(UTC)))


def read_orphans(connection: Connection, delivery: Delivery) -> Iterator[pl.DataFrame]:
    """Give a delivery's rows that wait for a reference, as `rows_of` does."""
    return read_rows(connection, delivery.file_id, IS_ORPHAN)


def read_rows(
    connection: Connection, file_id: int, conditions: Sequence[ColumnElement[bool]]
) -> Iterator[pl.DataFrame]:
    """Give the rejects of a delivery, by line, some at a time.

    They hold `id`, `source_line`, `raw`, and the `reason` and `column_name` that they were put
    aside for.
    """
    columns = (
        *(RejectedRow.id, RejectedRow.line_number, RejectedRow.raw),
        *(RejectedRow.reason, RejectedRow.column_name),
    )
    names = ("id", "source_line", "raw", "reason", "column_name")
    schema = {name: pl.Int64 if name in names[:2] else pl.String for name in names}
    line = 0
    while True:
        rows = connection.execute(
            select(*columns)
            .join(LoadFile)
            .where(*conditions, RejectedRow.file_id == file_id)
            .where(RejectedRow.line_number > line)
            .order_by(RejectedRow.line_number)
            .limit(ROWS_AT_ONCE)
        ).all()
        if not rows:
            return
        line = rows[-1].line_number
        yield pl.DataFrame(rows, schema, orient="row")
