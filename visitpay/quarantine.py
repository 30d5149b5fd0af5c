"""The quarantine: rows that were thrown back, with file, line and reason, until they close."""

from collections.abc import Iterator
from datetime import UTC, datetime

import polars as pl
from sqlalchemy import Connection, RowMapping, bindparam, or_, select, update

from visitpay.ledger import IS_NEWER, IS_ORPHAN, Delivery
from visitpay.models import OPEN, SUPERSEDED, LoadFile, RejectedRow
from visitpay.upserts import insert_rows, table_of

ROWS_AT_ONCE = 50_000

_REPLACEABLE = (
    select(RejectedRow.id, RejectedRow.record_key, RejectedRow.file_id, RejectedRow.line_number)
    .join(LoadFile)
    .where(
        RejectedRow.status == OPEN,
        RejectedRow.entity == bindparam("entity"),
        RejectedRow.record_key.between(bindparam("first_key"), bindparam("last_key")),
        ~IS_NEWER,
        or_(
            RejectedRow.file_id != bindparam("file_id"),
            RejectedRow.line_number < bindparam("last_line"),
        ),
    )
)


def put_aside(
    connection: Connection, delivery: Delivery, rejects: pl.DataFrame, outdated: pl.Series
) -> None:
    """Put the rejects of a batch (parsing.REJECT_SCHEMA) aside.

    Those that are `outdated` are superseded at once: a newer delivery brought a good row.
    """
    now = pl.lit(datetime.now(UTC))
    insert_rows(
        connection,
        RejectedRow.__table__,
        rejects.with_columns(
            file_id=pl.lit(delivery.file_id),
            entity=pl.lit(delivery.entity.__name__),
            status=pl.when(outdated).then(pl.lit(SUPERSEDED)).otherwise(pl.lit(OPEN)),
            created_at=now,
            closed_at=pl.when(outdated).then(now),
        ),
    )


def supersede(connection: Connection, delivery: Delivery, accepted: pl.DataFrame) -> None:
    """Close the open rejects that a delivery's accepted rows replace.

    `accepted` holds `key` and `source_line`. A reject is replaced by a good row of the same key
    from a newer delivery, or from a later line of the same one.
    """
    if accepted.is_empty():
        return
    keys, lines = accepted["key"], accepted["source_line"]
    given = {"first_key": keys.min(), "last_key": keys.max(), "last_line": lines.max()}
    candidates = connection.execute(_REPLACEABLE, {**delivery.given, **given}).all()
    if not candidates:
        return
    schema = dict.fromkeys(("id", "key", "file_id", "line_number"), pl.Int64)
    rejects = pl.DataFrame(candidates, schema, orient="row").join(accepted, on="key")
    replaced = rejects.filter(
        (pl.col("file_id") != delivery.file_id) | (pl.col("line_number") < pl.col("source_line"))
    )
    close(connection, replaced["id"], SUPERSEDED)


def rename(connection: Connection, orphans: pl.DataFrame) -> None:
    """Note of orphans (`id`, `column_name`) what they miss now; before, it may have been more."""
    for (name,), some in orphans.group_by("column_name"):
        chosen = RejectedRow.id.in_(select(table_of(connection, some["id"]).c.value))
        connection.execute(update(RejectedRow).where(chosen).values(column_name=name))


def close(connection: Connection, ids: pl.Series, status: str) -> None:
    """Close open rejects by their ids, as resolved or superseded."""
    if ids.is_empty():
        return
    chosen = RejectedRow.id.in_(select(table_of(connection, ids).c.value))
    closing = update(RejectedRow).where(chosen, RejectedRow.status == OPEN)
    connection.execute(closing.values(status=status, closed_at=datetime.now(UTC)))


def listing(connection: Connection, limit: int, **wanted: object) -> list[RowMapping]:
    """Give rejects, oldest first, with the `file` they came in.

    `wanted` holds what columns must equal, and `name` what the file's name must hold; None is any.
    """
    columns = (column for column in RejectedRow.__table__.columns if column.name != "file_id")
    query = select(LoadFile.name.label("file"), *columns).join_from(RejectedRow, LoadFile)
    for name, value in wanted.items():
        if name == "name" and value is not None:
            query = query.where(LoadFile.name.icontains(value, autoescape=True))
        elif value is not None:
            query = query.where(getattr(RejectedRow, name) == value)
    ordered = query.order_by(RejectedRow.file_id, RejectedRow.line_number).limit(limit)
    return list(connection.execute(ordered).mappings())


def orphans_of(connection: Connection, delivery: Delivery) -> Iterator[pl.DataFrame]:
    """Give a delivery's rows that wait for a reference, by line.

    They hold `id`, `source_line`, `raw`, and the `column_name` that they were put aside for.
    """
    schema = {"id": pl.Int64, "source_line": pl.Int64, "raw": pl.String, "column_name": pl.String}
    line = 0
    while True:
        rows = connection.execute(
            select(
                RejectedRow.id, RejectedRow.line_number, RejectedRow.raw, RejectedRow.column_name
            )
            .where(*IS_ORPHAN, RejectedRow.file_id == delivery.file_id)
            .where(RejectedRow.line_number > line)
            .order_by(RejectedRow.line_number)
            .limit(ROWS_AT_ONCE)
        ).all()
        if not rows:
            return
        line = rows[-1].line_number
        yield pl.DataFrame(rows, schema, orient="row")
