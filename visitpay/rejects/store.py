"""The quarantine: rows that were thrown back, with file, line and reason, until they close."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple

import polars as pl
from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    bindparam,
    func,
    or_,
    select,
    update,
)

from visitpay.database.writes import insert_rows, table_of
from visitpay.errors import ConfigurationError
from visitpay.landing.local import LandedFile
from visitpay.ledger.files import IN_ORDER, IS_NEWER, IS_ORPHAN, NEWER, Delivery
from visitpay.models import (
    DISMISSED,
    OPEN,
    SUPERSEDED,
    Entity,
    LoadFile,
    RejectedRow,
    entity_named,
)
from visitpay.parsing.values import none_of
from visitpay.text import first

ROWS_AT_ONCE = 50_000

_IDS_TO_NAME = 10

IS_OUT = RejectedRow.status.in_((OPEN, DISMISSED))
"""The condition under which a rejected row is in no table: neither healed nor replaced since."""

_WAITING = "missing_reference"
"""The reason that a row may lose by itself."""

_IS_OLDER = (
    RejectedRow.status == OPEN,
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


def put_aside(
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
            status=pl.when(outdated).then(pl.lit(SUPERSEDED)).otherwise(pl.lit(OPEN)),
            created_at=now,
            closed_at=pl.when(outdated).then(now),
        ),
    )


def is_replaced(connection: Connection, delivery: Delivery, rejects: pl.DataFrame) -> pl.Series:
    """Return a mask of the rejects that a reject of a newer delivery of the feed replaces.

    It has the same key or, where there is none, the same raw line. What waits for a reference is
    not replaced: whether it found it would depend on the order of arrival.
    """
    replaced = none_of(rejects["raw"])
    if delivery.is_newest:
        return replaced
    keys = rejects["record_key"]
    if keys.null_count() < len(keys):
        given = {**delivery.given, "first_key": keys.min(), "last_key": keys.max()}
        newer_keys = pl.Series(connection.scalars(_NEWER_KEYS, given).all(), dtype=pl.Int64)
        replaced |= keys.is_in(newer_keys.implode()).fill_null(value=False)
    if keys.null_count():
        for newer in _raws(connection, _NEWER_KEYLESS, delivery.given):
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
            for older in _raws(connection, _OLDER_KEYLESS, delivery.given)
        ]
        if found:
            close(connection, pl.concat(found), SUPERSEDED)


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
    candidates = connection.execute(query, {**delivery.given, **given}).all()
    if not candidates:
        return
    older = pl.DataFrame(candidates, _OLDER_SCHEMA, orient="row").join(brought, on="key")
    replaced = older.filter(
        (pl.col("file_id") != delivery.file_id) | (pl.col("line_number") < pl.col("source_line"))
    )
    close(connection, replaced["id"], SUPERSEDED)


def _raws(
    connection: Connection, query: Select[*tuple[Any, ...]], given: Mapping[str, object]
) -> Iterator[pl.DataFrame]:
    """Give rows of the quarantine (`id`, `raw`), some at a time."""
    found = connection.execute(query, given, execution_options={"yield_per": ROWS_AT_ONCE})
    for some in found.partitions():
        yield pl.DataFrame(some, {"id": pl.Int64, "raw": pl.String}, orient="row")


def supersede_former(connection: Connection, former: Sequence[int]) -> None:
    """Close the open rejects of the deliveries that a redelivery of their name replaces."""
    closing = update(RejectedRow).where(RejectedRow.file_id.in_(former), RejectedRow.status == OPEN)
    connection.execute(closing.values(status=SUPERSEDED, closed_at=datetime.now(UTC)))


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


def dismiss(connection: Connection, ids: Sequence[int], why: str) -> None:
    """Close open rejects that nobody will mend, however many, and record why.

    Raises ConfigurationError, with nothing changed, when one of them is not an open reject.
    """
    if not ids:
        return
    given = table_of(connection, pl.Series(ids, dtype=pl.Int64))
    chosen = RejectedRow.id.in_(select(given.c.value))
    found = set(
        connection.scalars(select(RejectedRow.id).where(chosen, RejectedRow.status == OPEN))
    )
    if strange := sorted(set(ids) - found):
        named = first(map(str, strange), _IDS_TO_NAME, len(strange))
        message = f"no open rejects: {named}; nothing was dismissed"
        raise ConfigurationError(message)
    closing = {"status": DISMISSED, "closed_at": datetime.now(UTC), "why": why}
    connection.execute(update(RejectedRow).where(chosen).values(closing))


@dataclass(frozen=True)
class Wanted:
    """Which rejects are wanted; None is any."""

    file: str | None = None
    """What the file's name holds, in any letter case."""
    entity: str | None = None
    reason: str | None = None
    key: int | None = None
    status: str | None = OPEN
    since: datetime | None = None
    """Put aside at this moment, or later."""
    ids: Sequence[int] | None = None

    @cached_property
    def conditions(self) -> list[ColumnElement[bool]]:
        """Give the conditions on rejects, joined with the ledger, under which they are wanted."""
        equal = {
            RejectedRow.entity: self.entity,
            RejectedRow.reason: self.reason,
            RejectedRow.record_key: self.key,
            RejectedRow.status: self.status,
        }
        conditions = [column == value for column, value in equal.items() if value is not None]
        if self.since is not None:
            conditions.append(RejectedRow.created_at >= self.since)
        if self.ids is not None:
            conditions.append(RejectedRow.id.in_(self.ids))
        if self.file is not None:
            conditions.append(LoadFile.name.icontains(self.file, autoescape=True))
        return conditions

    def takes(self, file: LandedFile, tried_at: datetime) -> bool:
        """Say whether a file that was tried then is wanted, whatever its rows."""
        return (
            (self.file or "").lower() in file.name.lower()
            and self.entity in {None, file.entity}
            and (self.since is None or tried_at >= self.since)
        )


def listing(connection: Connection, wanted: Wanted, limit: int) -> list[RowMapping]:
    """Give rejects, oldest first, with the `file` they came in."""
    columns = (column for column in RejectedRow.__table__.columns if column.name != "file_id")
    query = select(LoadFile.name.label("file"), *columns).join_from(RejectedRow, LoadFile)
    ordered = query.order_by(RejectedRow.file_id, RejectedRow.line_number).limit(limit)
    return list(connection.execute(ordered.where(*wanted.conditions)).mappings())


def ids_of(connection: Connection, wanted: Wanted) -> list[int]:
    """Give the ids of rejects, in order."""
    query = select(RejectedRow.id).join_from(RejectedRow, LoadFile).order_by(RejectedRow.id)
    return list(connection.scalars(query.where(*wanted.conditions)))


def counts(connection: Connection, wanted: Wanted) -> dict[str, int]:
    """Count rejects by reason, the most frequent first."""
    number = func.count().label("number")
    query = select(RejectedRow.reason, number).join_from(RejectedRow, LoadFile)
    grouped = query.group_by(RejectedRow.reason).order_by(number.desc(), RejectedRow.reason)
    return {row.reason: row.number for row in connection.execute(grouped.where(*wanted.conditions))}


class Origin(NamedTuple):
    """A delivery that rejects came in."""

    file_id: int
    name: str
    entity: type[Entity]
    header: str
    is_resubmission: bool
    rows_read: int
    rows_out: int
    """Rows that are in no table: rejected, and neither healed nor replaced since."""


def origins(connection: Connection, wanted: Wanted) -> list[Origin]:
    """Give the deliveries that the rejects came in, oldest first."""
    out = select(func.count()).where(RejectedRow.file_id == LoadFile.id, IS_OUT)
    query = (
        select(
            *(LoadFile.id, LoadFile.name, LoadFile.entity, LoadFile.header),
            *(LoadFile.is_resubmission, LoadFile.rows_read, out.scalar_subquery()),
        )
        .where(
            LoadFile.id.in_(select(RejectedRow.file_id).join(LoadFile).where(*wanted.conditions))
        )
        .order_by(*IN_ORDER)
    )
    return [
        Origin(file_id, name, entity_named(entity), header or "", *others)
        for file_id, name, entity, header, *others in connection.execute(query)
    ]


def orphans_of(connection: Connection, delivery: Delivery) -> Iterator[pl.DataFrame]:
    """Give a delivery's rows that wait for a reference, as `rows_of` does."""
    return rows_of(connection, delivery.file_id, IS_ORPHAN)


def rows_of(
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
