"""The rejects of a delivery: put aside, superseded, closed, read again; in bulk, with polars."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl
from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, or_, select, true, update
from sqlalchemy.orm import aliased

from visitpay.database.writes import insert_rows, keys_as_table
from visitpay.ledger.files import IS_NEWER, NEWER, Delivery
from visitpay.models import LoadFile, RejectedRow
from visitpay.parsing.values import no_rows_mask
from visitpay.rejects.queries import IS_ORPHAN
from visitpay.vocabulary import Reason, RejectStatus

ROWS_AT_ONCE = 50_000

_IS_OLDER = (
    RejectedRow.status == RejectStatus.OPEN,
    RejectedRow.entity == bindparam("entity"),
    ~IS_NEWER,
)

_OLDER = (
    select(
        *(RejectedRow.id, RejectedRow.record_key, RejectedRow.file_id, RejectedRow.line_number),
        RejectedRow.reason,
    )
    .join(LoadFile)
    .where(
        *_IS_OLDER,
        # By range: PostgreSQL takes minutes to look up a set of 50,000 keys (measured).
        RejectedRow.record_key.between(bindparam("first_key"), bindparam("last_key")),
        or_(
            RejectedRow.file_id != bindparam("file_id"),
            RejectedRow.line_number < bindparam("before_line"),
        ),
    )
)

_brought = aliased(RejectedRow)
_BROUGHT_KEYLESS = select(_brought.raw).where(
    _brought.file_id == bindparam("file_id"), _brought.record_key.is_(None)
)

_OLDER_KEYLESS = (
    select(RejectedRow.id)
    .join(LoadFile)
    .where(
        *_IS_OLDER,
        RejectedRow.record_key.is_(None),
        RejectedRow.file_id != bindparam("file_id"),
        _BROUGHT_KEYLESS.exists(),
        # IS TRUE: else PostgreSQL, which takes new tables for small, compares all with all.
        RejectedRow.raw.in_(_BROUGHT_KEYLESS).is_(true()),
    )
)

_OLDER_SCHEMA = {
    **dict.fromkeys(("id", "key", "file_id", "line_number"), pl.Int64),
    "reason": pl.String,
}

_IS_EARLIER = pl.col("line_number") < pl.col("source_line")

_IS_REPLACEABLE = pl.col("is_good") | (pl.col("reason") != Reason.MISSING_REFERENCE)

# A mended row replaces only the reject that it was exported from.
_NEWER_SENT = NEWER.where(LoadFile.is_resubmission.is_(False))

_NEWER_KEYS = select(RejectedRow.record_key).where(
    RejectedRow.file_id.in_(_NEWER_SENT),
    RejectedRow.record_key.between(bindparam("first_key"), bindparam("last_key")),
)

_NEWER_KEYLESS = select(RejectedRow.id, RejectedRow.raw).where(
    RejectedRow.file_id.in_(_NEWER_SENT), RejectedRow.record_key.is_(None)
)


def add(
    connection: Connection, delivery: Delivery, rejects: pl.DataFrame, superseded: pl.Series
) -> None:
    """Add the rejects of a batch (`parsing.rows.REJECT_SCHEMA`); the mask says which are closed."""
    now = pl.lit(datetime.now(UTC))
    insert_rows(
        connection,
        RejectedRow.__table__,
        rejects.with_columns(
            file_id=pl.lit(delivery.file_id),
            entity=pl.lit(delivery.entity.__name__),
            status=pl.when(superseded)
            .then(pl.lit(RejectStatus.SUPERSEDED))
            .otherwise(pl.lit(RejectStatus.OPEN)),
            created_at=now,
            closed_at=pl.when(superseded).then(now),
        ),
    )


def is_replaced(connection: Connection, delivery: Delivery, rejects: pl.DataFrame) -> pl.Series:
    """Return a mask of the rejects that a reject of a newer delivery of the feed replaces.

    That one has the same key or, if there is none, the same raw line. Orphans are not replaced:
    whether one is resolved would then depend on the order of arrival.
    """
    replaced = no_rows_mask(rejects["raw"])
    if delivery.is_newest:
        return replaced
    keys = rejects["record_key"]
    if keys.null_count() < len(keys):
        parameters = {**delivery.parameters, "first_key": keys.min(), "last_key": keys.max()}
        newer_keys = pl.Series(connection.scalars(_NEWER_KEYS, parameters).all(), dtype=pl.Int64)
        replaced |= keys.is_in(newer_keys.implode()).fill_null(value=False)
    if keys.null_count():
        for newer in _read_raw(connection, _NEWER_KEYLESS, delivery.parameters):
            replaced |= keys.is_null() & rejects["raw"].is_in(newer["raw"].implode())
    return replaced & (rejects["reason"] != Reason.MISSING_REFERENCE)


def last_lines(accepted: pl.DataFrame, rejects: pl.DataFrame) -> pl.DataFrame:
    """Return the last lines of each key (`key`, `source_line`), the accepted ones as `is_good`."""
    good = accepted.with_columns(is_good=pl.lit(value=True))
    if rejects.is_empty():
        return good
    rejected = rejects.drop_nulls("record_key").group_by(key="record_key")
    last = rejected.agg(source_line=pl.col("line_number").max()).with_columns(is_good=False)
    return good.vstack(last)


def is_followed(rejects: pl.DataFrame, last: pl.DataFrame) -> pl.Series:
    """Return a mask of the rejects that a later line of their batch (`last_lines`) replaces."""
    if rejects.is_empty():
        return no_rows_mask(rejects["raw"])
    older = rejects.join(last, left_on="record_key", right_on="key")
    followed = older.filter(_IS_EARLIER, _IS_REPLACEABLE)
    return rejects["line_number"].is_in(followed["line_number"].implode())


def supersede(
    connection: Connection, delivery: Delivery, last: pl.DataFrame, *, of_batch: bool
) -> None:
    """Close the open rejects that rows of a delivery (`last_lines`) replace.

    A good row replaces the rejects of its key in older deliveries, and in earlier lines of its own.
    So does a reject, except orphans (`is_replaced`): of one key only the newest reject needs to be
    mended. `of_batch` says that the rows are a batch of the delivery, whose own rejects were told
    apart (`is_followed`): only lines before it are looked at.
    """
    if last.is_empty():
        return
    keys, lines = last["key"], last["source_line"]
    bounds = {"first_key": keys.min(), "last_key": keys.max()}
    bounds["before_line"] = lines.min() if of_batch else lines.max()
    candidates = connection.execute(_OLDER, {**delivery.parameters, **bounds}).all()
    if not candidates:
        return
    older = pl.DataFrame(candidates, _OLDER_SCHEMA, orient="row").join(last, on="key")
    is_older = (pl.col("file_id") != delivery.file_id) | _IS_EARLIER
    close(connection, older.filter(is_older, _IS_REPLACEABLE)["id"], RejectStatus.SUPERSEDED)


def supersede_keyless(connection: Connection, delivery: Delivery) -> None:
    """Close the open rejects without a key that a delivery brought again, once all of it is added.

    Of one raw line without a key only the newest reject needs to be mended.
    """
    older = connection.scalars(_OLDER_KEYLESS, delivery.parameters).all()
    close(connection, pl.Series(older, dtype=pl.Int64), RejectStatus.SUPERSEDED)


def _read_raw(
    connection: Connection, query: Select[*tuple[Any, ...]], parameters: Mapping[str, object]
) -> Iterator[pl.DataFrame]:
    """Yield the selected rejects (`id`, `raw`), up to ROWS_AT_ONCE at a time."""
    rejects = connection.execute(query, parameters, execution_options={"yield_per": ROWS_AT_ONCE})
    for chunk in rejects.partitions():
        yield pl.DataFrame(chunk, {"id": pl.Int64, "raw": pl.String}, orient="row")


def supersede_former(
    connection: Connection, former: Sequence[int], status: str = RejectStatus.OPEN
) -> datetime:
    """Close the open rejects of the deliveries (ids) that a redelivery of their name replaces.

    Return when (UTC).
    """
    now = datetime.now(UTC)
    closing = update(RejectedRow).where(
        RejectedRow.file_id.in_(former), RejectedRow.status == status
    )
    connection.execute(closing.values(status=RejectStatus.SUPERSEDED, closed_at=now))
    return now


def keep_ends(
    connection: Connection, delivery: Delivery, former: int, replaced_at: datetime
) -> None:
    """Give the rejects of a delivery that is taken again the ends that they had before.

    `former` is the ledger id of its delivery before, of which the open rejects were superseded at
    `replaced_at` (UTC). Those that had been superseded before, as mended, or dismissed, end so
    again. Then the dismissed ones are superseded too: each row is dismissed once.
    """
    before = aliased(RejectedRow)
    had_ended = (
        before.file_id == former,
        before.line_number == RejectedRow.line_number,
        or_(
            before.status == RejectStatus.DISMISSED,
            and_(before.status == RejectStatus.SUPERSEDED, before.closed_at != replaced_at),
        ),
    )
    ends = {
        name: select(getattr(before, name)).where(*had_ended).scalar_subquery()
        for name in ("status", "closed_at", "why")
    }
    mine = update(RejectedRow).where(RejectedRow.file_id == delivery.file_id)
    connection.execute(mine.where(select(before.id).where(*had_ended).exists()).values(ends))
    supersede_former(connection, [former], RejectStatus.DISMISSED)


def update_missing_reference(connection: Connection, orphans: pl.DataFrame) -> None:
    """Update which reference each orphan (`id`, `column_name`) still lacks."""
    for (name,), chunk in orphans.group_by("column_name"):
        is_chosen = RejectedRow.id.in_(select(keys_as_table(connection, chunk["id"]).c.value))
        connection.execute(update(RejectedRow).where(is_chosen).values(column_name=name))


def close(connection: Connection, ids: pl.Series, status: RejectStatus) -> None:
    """Close those of the rejects that are open, as resolved or superseded."""
    if ids.is_empty():
        return
    is_chosen = RejectedRow.id.in_(select(keys_as_table(connection, ids).c.value))
    closing = update(RejectedRow).where(is_chosen, RejectedRow.status == RejectStatus.OPEN)
    connection.execute(closing.values(status=status, closed_at=datetime.now(UTC)))


def read_orphans(connection: Connection, delivery: Delivery) -> Iterator[pl.DataFrame]:
    """Yield the orphans of a delivery, as `read_rows` does."""
    return read_rows(connection, delivery.file_id, IS_ORPHAN)


def read_rows(
    connection: Connection, file_id: int, conditions: Sequence[ColumnElement[bool]]
) -> Iterator[pl.DataFrame]:
    """Yield the rejects of a delivery that meet the conditions, in order of their lines.

    Columns: `id`, `source_line`, `raw`, `reason` and `column_name`; up to ROWS_AT_ONCE at a time.
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
