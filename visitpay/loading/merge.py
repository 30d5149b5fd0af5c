"""What becomes of a batch of rows: stale, written, or put aside because a reference is missing."""

from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import NamedTuple

import polars as pl
from sqlalchemy import Connection, exists, select

from visitpay.database.writes import OrphanError, keys_as_table, upsert
from visitpay.ledger.files import Counts, Delivery
from visitpay.ledger.keys import add_keys, is_duplicate, is_stale
from visitpay.models import Entity
from visitpay.parsing.columns import file_columns, file_header, key_column
from visitpay.parsing.layout import Layout
from visitpay.parsing.rows import NO_REJECTS, Batch, parse_again
from visitpay.parsing.values import no_rows_mask
from visitpay.rejects.citations import find_cited, unambiguous_ids
from visitpay.rejects.queries import OrphanedFile
from visitpay.rejects.store import (
    add,
    close,
    is_followed,
    is_replaced,
    last_lines,
    read_orphans,
    supersede,
    update_missing_reference,
)
from visitpay.vocabulary import Reason, RejectStatus


@dataclass(frozen=True)
class MergeResult:
    """What became of good rows."""

    counts: Counts
    accepted: pl.DataFrame
    """The `key` and `source_line` of rows that are no orphans: the last of each key, sorted."""
    orphans: pl.DataFrame
    """The rows whose reference is missing, as rejects (`parsing.rows.REJECT_SCHEMA`)."""
    conflicting: int
    """Rows that a later row of their key replaced with other values."""


class MergedBatch(NamedTuple):
    """What became of all rows of a batch."""

    counts: Counts
    conflicting: int
    """Rows that a later row of their key replaced with other values."""
    has_orphans: bool


def merge_batch(
    connection: Connection,
    delivery: Delivery,
    batch: Batch,
    layout: Layout,
    *,
    expects_orphans: bool = False,
) -> MergedBatch:
    """Write a batch of a delivery into the tables and the quarantine.

    A mended row that is good supersedes the reject that it was exported from. One that is rejected
    again is superseded at once, and the reject that it was exported from stays open.
    """
    merged = merge_rows(connection, delivery, batch.rows, expects_orphans=expects_orphans)
    rejects = batch.rejects.vstack(merged.orphans)
    last = last_lines(merged.accepted, NO_REJECTS if layout.is_resubmission else rejects)
    _add_rejects(connection, delivery, rejects, is_followed(rejects, last), layout)
    supersede(connection, delivery, last, of_batch=True)
    if layout.is_resubmission:
        cited = find_cited(connection, delivery, batch.rows["raw"], layout.delimiter)
        close(connection, unambiguous_ids(cited), RejectStatus.SUPERSEDED)
    counts = merged.counts
    counts.read = batch.rows_read
    counts.rejected = len(batch.rejects) + len(merged.orphans)
    return MergedBatch(counts, merged.conflicting, not merged.orphans.is_empty())


def _add_rejects(
    connection: Connection,
    delivery: Delivery,
    rejects: pl.DataFrame,
    superseded: pl.Series,
    layout: Layout,
) -> None:
    """Put rejects aside; those that nobody needs to mend are superseded at once."""
    if rejects.is_empty():
        return
    superseded |= is_stale(connection, delivery, rejects["record_key"])
    superseded |= is_replaced(connection, delivery, rejects)
    if layout.is_resubmission:
        cited = find_cited(connection, delivery, rejects["raw"], layout.delimiter)
        rows = pl.int_range(len(rejects), eager=True)
        cites_reject = rows.is_in(cited["row"].cast(pl.Int64).implode())
        superseded |= cites_reject & (rejects["reason"] != Reason.MISSING_REFERENCE)
    add(connection, delivery, rejects, superseded)


def retry_orphans(connection: Connection, orphaned: OrphanedFile) -> int:
    """Retry the rows of a delivery that miss a reference; return how many are resolved.

    Raises FileError if the delivery has no column that is now the entity's key.
    """
    delivery = orphaned.delivery(connection)
    layout = Layout.of(delivery.entity, orphaned.header)
    resolved = 0
    for rows in read_orphans(connection, delivery):
        again = parse_again(rows, layout).rows
        merged = merge_rows(connection, delivery, again, expects_orphans=True)
        found = rows.join(merged.accepted, on="source_line", how="semi")
        close(connection, found["id"], RejectStatus.RESOLVED)
        last = last_lines(merged.accepted, NO_REJECTS)
        supersede(connection, delivery, last, of_batch=False)
        still = rows.join(
            merged.orphans, left_on=["source_line"], right_on=["line_number"], suffix="_now"
        )
        changed = still.filter(pl.col("column_name") != pl.col("column_name_now"))
        update_missing_reference(connection, changed.select("id", column_name="column_name_now"))
        resolved += len(found)
    return resolved


def merge_rows(
    connection: Connection, delivery: Delivery, rows: pl.DataFrame, *, expects_orphans: bool
) -> MergeResult:
    """Write good rows (sorted by key, then line), except stale rows and orphans.

    References are looked up only if a foreign key fails, or if that is expected: nearly always all
    of them are there, and else a batch was written in vain.
    """
    key = key_column(delivery.entity).name
    stale, fresh = _partition(rows, is_stale(connection, delivery, rows[key]))
    orphans = NO_REJECTS
    written = None if expects_orphans else _upsert_if_no_orphans(connection, delivery, fresh)
    if written is None:
        missing = _missing_references(connection, delivery.entity, fresh)
        orphans = _orphans_as_rejects(fresh.with_columns(column_name=missing), key)
        fresh = fresh.filter(missing.is_null())
        written = _upsert_last_of_each_key(connection, delivery, fresh)
    counts, conflicting = written
    counts.stale = len(stale)
    both = fresh if stale.is_empty() else fresh.vstack(stale).sort(key, "source_line")
    accepted = pl.DataFrame({"key": both[key], "source_line": both["source_line"]})
    accepted = _last_of_each_key(accepted, "key")
    add_keys(connection, delivery, accepted["key"])
    conflicting += _count_conflicting(rows, delivery.entity)
    return MergeResult(counts, accepted, orphans, conflicting)


def _partition(rows: pl.DataFrame, mask: pl.Series) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows that the mask selects, and the others; nearly always it selects none."""
    if not mask.any():
        return rows.clear(), rows
    return rows.filter(mask), rows.filter(~mask)


def _last_of_each_key(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """Return the last row of each key; the rows are sorted by it."""
    is_followed = _is_followed(rows[key])
    if not is_followed.any():
        return rows
    return rows.filter(~is_followed.append(no_rows_mask(rows[key].head(1))))


def _is_followed(keys: pl.Series) -> pl.Series:
    """Return a mask of all sorted keys but the last: whether the next key is the same."""
    return keys.slice(1) == keys.head(len(keys) - 1)


def _count_conflicting(rows: pl.DataFrame, entity: type[Entity]) -> int:
    """Count the rows (sorted by key) whose next row has the same key and other values."""
    is_followed = _is_followed(rows[key_column(entity).name])
    if not is_followed.any():
        return 0
    earlier, later = rows.head(len(rows) - 1).filter(is_followed), rows.slice(1).filter(is_followed)
    names = [column.name for column in file_columns(entity)]
    return int(reduce(or_, (earlier[name].ne_missing(later[name]) for name in names)).sum())


def _upsert_if_no_orphans(
    connection: Connection, delivery: Delivery, rows: pl.DataFrame
) -> tuple[Counts, int] | None:
    """Upsert as below, or return None, with nothing written, if a row is an orphan."""
    try:
        return _upsert_last_of_each_key(connection, delivery, rows)
    except OrphanError:
        return None


def _upsert_last_of_each_key(
    connection: Connection, delivery: Delivery, rows: pl.DataFrame
) -> tuple[Counts, int]:
    """Upsert the last row of each key; raises OrphanError with nothing written.

    Return the counts, and how many rows differ from those of earlier batches of the delivery.
    """
    entity, counts = delivery.entity, Counts()
    key = key_column(entity).name
    names = [column.name for column in entity.__table__.columns if column.name in rows.columns]
    last = _last_of_each_key(rows[names], key)
    counts.superseded = len(rows) - len(last)
    # Keys of an earlier batch of the same delivery are counted there: now they are superseded.
    again, new = _partition(last, is_duplicate(connection, delivery, last[key]))
    with connection.begin_nested():
        written = upsert(connection, entity, new, delivery.file_id)
        repeated = upsert(connection, entity, again, delivery.file_id)
    counts.superseded += repeated.rows
    counts.inserted, counts.updated = written.inserted, written.updated
    counts.unchanged = written.unchanged
    return counts, repeated.updated


def _missing_references(
    connection: Connection, entity: type[Entity], rows: pl.DataFrame
) -> pl.Series:
    """Return for each row the header of the first column whose parent is missing, or null."""
    headers = pl.repeat(None, len(rows), dtype=pl.String, eager=True)
    for column in reversed(file_columns(entity)):
        references = rows[column.name]
        for key in column.foreign_keys:
            distinct = references.drop_nulls().unique().to_list()
            wanted = keys_as_table(connection, distinct).c.value
            query = select(wanted).where(~exists().where(key.column == wanted))
            missing = pl.Series(connection.scalars(query).all(), dtype=pl.Int64)
            headers = headers.set(references.is_in(missing.implode()), file_header(column))
    return headers


def _orphans_as_rejects(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """Return the rows with a `column_name`, whose reference is missing, as rejects."""
    return rows.filter(pl.col("column_name").is_not_null()).select(
        line_number="source_line",
        record_key=key,
        reason=pl.lit(Reason.MISSING_REFERENCE),
        column_name="column_name",
        raw="raw",
    )
