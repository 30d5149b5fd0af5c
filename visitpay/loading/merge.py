"""What becomes of a batch of rows: stale, written, put aside for a missing reference."""

from dataclasses import dataclass
from functools import reduce
from operator import or_

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
from visitpay.rejects.citations import find_cited, without_doubt
from visitpay.rejects.queries import OrphanedFile
from visitpay.rejects.store import (
    add,
    close,
    is_replaced,
    read_orphans,
    supersede,
    supersede_by_rejects,
    update_missing_reference,
)
from visitpay.vocabulary import RejectStatus


@dataclass(frozen=True)
class MergeResult:
    """What became of good rows.

    `accepted` holds the `key` and `source_line` of those that were inserted, updated, unchanged or
    stale, one a key, sorted; `orphans` those that refer to nothing (parsing.REJECT_SCHEMA).
    `conflicting` counts those that a later row of their key replaced with other values.
    """

    counts: Counts
    accepted: pl.DataFrame
    orphans: pl.DataFrame
    conflicting: int


def merge_batch(
    connection: Connection, delivery: Delivery, batch: Batch, layout: Layout
) -> tuple[Counts, int]:
    """Write a batch of a delivery into the tables and the quarantine.

    Return the counts of its rows, and how many of them are `conflicting`. A good row that was
    mended closes the reject that it was exported from. One that was mended in vain is superseded at
    once: the reject stays open that it was exported from.
    """
    settled = merge_rows(connection, delivery, batch.rows)
    _put_aside(connection, delivery, batch.rejects.vstack(settled.orphans), layout)
    supersede(connection, delivery, settled.accepted)
    if layout.is_resubmission:
        mended = find_cited(connection, delivery, batch.rows["raw"], layout.delimiter)
        close(connection, without_doubt(mended), RejectStatus.SUPERSEDED)
    counts = settled.counts
    counts.read = batch.rows_read
    counts.rejected = len(batch.rejects) + len(settled.orphans)
    return counts, settled.conflicting


def _put_aside(
    connection: Connection, delivery: Delivery, rejects: pl.DataFrame, layout: Layout
) -> None:
    if rejects.is_empty():
        return
    in_vain = no_rows_mask(rejects["raw"])
    if layout.is_resubmission:
        again = find_cited(connection, delivery, rejects["raw"], layout.delimiter)["place"]
        places = pl.int_range(len(rejects), eager=True)
        in_vain = places.is_in(again.cast(pl.Int64).implode())
        in_vain &= rejects["reason"] != "missing_reference"
    outdated = is_stale(connection, delivery, rejects["record_key"])
    outdated |= is_replaced(connection, delivery, rejects)
    add(connection, delivery, rejects, outdated | in_vain)
    if not layout.is_resubmission:
        supersede_by_rejects(connection, delivery, rejects)


def retry_orphans(connection: Connection, orphanage: OrphanedFile) -> int:
    """Try a delivery's rows again that miss a reference; gives how many found it.

    Raises FileError when the delivery's columns are no longer those of the entity.
    """
    delivery = orphanage.delivery(connection)
    layout = Layout.of(delivery.entity, orphanage.header)
    healed = 0
    for rows in read_orphans(connection, delivery):
        settled = merge_rows(connection, delivery, parse_again(rows, layout).rows)
        found = rows.join(settled.accepted, on="source_line", how="semi")
        close(connection, found["id"], RejectStatus.RESOLVED)
        supersede(connection, delivery, settled.accepted)
        still = rows.join(
            settled.orphans, left_on=["source_line"], right_on=["line_number"], suffix="_now"
        )
        changed = still.filter(pl.col("column_name") != pl.col("column_name_now"))
        update_missing_reference(connection, changed.select("id", column_name="column_name_now"))
        healed += len(found)
    return healed


def merge_rows(connection: Connection, delivery: Delivery, rows: pl.DataFrame) -> MergeResult:
    """Write good rows (sorted by key, then line) unless they are stale or refer to nothing.

    The statement is tried as it is: only when a foreign key fails are the references looked at.
    """
    key = key_column(delivery.entity).name
    stale, fresh = _parted(rows, is_stale(connection, delivery, rows[key]))
    orphans = NO_REJECTS
    try:
        counts, conflicting = _write_latest(connection, delivery, fresh)
    except OrphanError:
        missing = _missing_reference(connection, delivery.entity, fresh)
        orphans = _as_rejects(fresh.with_columns(column_name=missing), key)
        fresh = fresh.filter(missing.is_null())
        counts, conflicting = _write_latest(connection, delivery, fresh)
    counts.stale = len(stale)
    both = fresh if stale.is_empty() else fresh.vstack(stale).sort(key, "source_line")
    accepted = _latest(pl.DataFrame({"key": both[key], "source_line": both["source_line"]}), "key")
    add_keys(connection, delivery, accepted["key"])
    return MergeResult(counts, accepted, orphans, conflicting + _conflicting(rows, delivery.entity))


def _parted(rows: pl.DataFrame, mask: pl.Series) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give the rows that the mask marks, and the others; nearly always it marks none."""
    if not mask.any():
        return rows.clear(), rows
    return rows.filter(mask), rows.filter(~mask)


def _latest(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """Give of rows sorted by their key the last of each key."""
    followed = _followed(rows[key])
    if not followed.any():
        return rows
    return rows.filter(~followed.append(no_rows_mask(rows[key].head(1))))


def _followed(keys: pl.Series) -> pl.Series:
    """Return a mask of sorted keys, but for the last, that the same key follows."""
    return keys.slice(1) == keys.head(len(keys) - 1)


def _conflicting(rows: pl.DataFrame, entity: type[Entity]) -> int:
    """Count rows, sorted by key, that the next row of their key replaces with other values."""
    followed = _followed(rows[key_column(entity).name])
    if not followed.any():
        return 0
    earlier, later = rows.head(len(rows) - 1).filter(followed), rows.slice(1).filter(followed)
    names = [column.name for column in file_columns(entity)]
    return int(reduce(or_, (earlier[name].ne_missing(later[name]) for name in names)).sum())


def _write_latest(
    connection: Connection, delivery: Delivery, rows: pl.DataFrame
) -> tuple[Counts, int]:
    """Upsert rows, of each key the last; raises OrphanError with nothing written.

    Return the counts, and how many rows differ from what earlier batches of the delivery brought.
    """
    entity, counts = delivery.entity, Counts()
    key = key_column(entity).name
    names = [each.name for each in entity.__table__.columns if each.name in rows.columns]
    latest = _latest(rows[names], key)
    counts.superseded = len(rows) - len(latest)
    # What an earlier batch of the same delivery brought is counted already.
    again, first = _parted(latest, is_duplicate(connection, delivery, latest[key]))
    with connection.begin_nested():
        written = upsert(connection, entity, first, delivery.file_id)
        repeated = upsert(connection, entity, again, delivery.file_id)
    counts.superseded += repeated.rows
    counts.inserted, counts.updated = written.inserted, written.updated
    counts.unchanged = written.unchanged
    return counts, repeated.updated


def _missing_reference(
    connection: Connection, entity: type[Entity], rows: pl.DataFrame
) -> pl.Series:
    """Say of each row the header of the first column whose parent is not there, or null."""
    verdict = pl.repeat(None, len(rows), dtype=pl.String, eager=True)
    for column in reversed(file_columns(entity)):
        for key in column.foreign_keys:
            wanted = keys_as_table(connection, rows[column.name].drop_nulls().unique()).c.value
            lost = connection.scalars(select(wanted).where(~exists().where(key.column == wanted)))
            gone = pl.Series(lost.all(), dtype=pl.Int64)
            verdict = verdict.set(rows[column.name].is_in(gone.implode()), file_header(column))
    return verdict


def _as_rejects(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """Give the rows whose `column_name` names a missing reference as rejects."""
    return rows.filter(pl.col("column_name").is_not_null()).select(
        line_number="source_line",
        record_key=key,
        reason=pl.lit("missing_reference"),
        column_name="column_name",
        raw="raw",
    )
