"""What becomes of a batch of rows: stale, written, put aside for a missing reference."""

from dataclasses import dataclass

import polars as pl
from sqlalchemy import Column, Connection, select

from visitpay.deliveries import Delivery, add_keys, newer_keys, own_keys
from visitpay.ledger import Counts
from visitpay.models import RESOLVED, Entity, fed_columns
from visitpay.parsing import REJECT_SCHEMA, Batch, Layout, header_of, key_of, parse
from visitpay.quarantine import Waiting, close, put_aside, supersede, waiting_rows
from visitpay.upserts import OrphanError, upsert

_KEYS_PER_QUERY = 10_000


@dataclass(frozen=True)
class Settled:
    """What became of good rows.

    `accepted` holds the `key` and `source_line` of those that were inserted, updated, unchanged or
    stale, one a key, sorted; `orphans` those that refer to nothing (parsing.REJECT_SCHEMA).
    """

    counts: Counts
    accepted: pl.DataFrame
    orphans: pl.DataFrame


def take_in(connection: Connection, delivery: Delivery, batch: Batch) -> Counts:
    """Write a batch of a delivery into the tables and the quarantine, and count its rows."""
    settled = settle(connection, delivery, batch.rows)
    rejects = batch.rejects.vstack(settled.orphans)
    if not rejects.is_empty():
        outdated = newer_keys(connection, delivery, rejects["record_key"])
        put_aside(connection, delivery, rejects, outdated)
    supersede(connection, delivery, settled.accepted)
    counts = settled.counts
    counts.read, counts.rejected = batch.rows_read, len(rejects)
    return counts


def heal(connection: Connection, waiting: Waiting) -> int:
    """Try a delivery's rows again that miss a reference; gives how many found it.

    Raises FileError when the delivery's columns are no longer those of the entity.
    """
    delivery = waiting.delivery
    layout = Layout.of(delivery.entity, waiting.header)
    healed = 0
    for rows in waiting_rows(connection, delivery):
        lines = rows.select("source_line", "raw", broken=pl.lit(value=False))
        accepted = settle(connection, delivery, parse(lines, layout).rows).accepted
        found = rows.join(accepted, on="source_line", how="semi")
        close(connection, found["id"], RESOLVED)
        supersede(connection, delivery, accepted)
        healed += len(found)
    return healed


def settle(connection: Connection, delivery: Delivery, rows: pl.DataFrame) -> Settled:
    """Write good rows (sorted by key, then line) unless they are stale or refer to nothing.

    The statement is tried as it is: only when a foreign key fails are the references looked at.
    """
    key = key_of(delivery.entity).name
    is_stale = rows[key].is_in(newer_keys(connection, delivery, rows[key]).implode())
    stale, fresh = rows.filter(is_stale), rows.filter(~is_stale)
    orphans = REJECT_SCHEMA.to_frame()
    try:
        counts = _write(connection, delivery, fresh)
    except OrphanError:
        missing = _missing_reference(connection, delivery.entity, fresh)
        orphans = _as_rejects(fresh.with_columns(column_name=missing), key)
        fresh = fresh.filter(missing.is_null())
        counts = _write(connection, delivery, fresh)
    counts.stale = len(stale)
    accepted = stale.vstack(fresh).select(pl.col(key).alias("key"), "source_line")
    accepted = accepted.sort("key", "source_line").unique("key", keep="last", maintain_order=True)
    add_keys(connection, delivery, accepted["key"])
    return Settled(counts, accepted, orphans)


def _write(connection: Connection, delivery: Delivery, rows: pl.DataFrame) -> Counts:
    """Upsert rows, of each key the last; raises OrphanError with nothing written."""
    entity, counts = delivery.entity, Counts()
    key = key_of(entity).name
    latest = rows.unique(key, keep="last", maintain_order=True).select(
        pl.lit(delivery.file_id, pl.Int64).alias(column.name)
        if column.name == "source_file_id"
        else column.name
        for column in entity.__table__.columns
    )
    counts.superseded = len(rows) - len(latest)
    # What an earlier batch of the same delivery brought is counted already.
    again = latest[key].is_in(own_keys(connection, delivery, latest[key]).implode())
    with connection.begin_nested():
        written = upsert(connection, entity, latest.filter(~again))
        counts.superseded += upsert(connection, entity, latest.filter(again)).rows
    counts.inserted, counts.updated = written.inserted, written.updated
    counts.unchanged = written.unchanged
    return counts


def _missing_reference(
    connection: Connection, entity: type[Entity], rows: pl.DataFrame
) -> pl.Series:
    """Say of each row the header of the first column whose parent is not there, or null."""
    verdict = pl.repeat(None, len(rows), dtype=pl.String, eager=True)
    for column in reversed(fed_columns(entity)):
        for key in column.foreign_keys:
            keys = rows[column.name].drop_nulls().unique()
            there = _existing(connection, key.column, keys)
            lost = rows[column.name].is_not_null() & ~rows[column.name].is_in(there.implode())
            verdict = verdict.set(lost, header_of(column))
    return verdict


def _existing(connection: Connection, parent: Column[int], keys: pl.Series) -> pl.Series:
    found = keys.clear()
    for part in keys.to_frame().iter_slices(_KEYS_PER_QUERY):
        there = connection.scalars(select(parent).where(parent.in_(part.to_series().to_list())))
        found.append(pl.Series(there.all(), dtype=keys.dtype))
    return found


def _as_rejects(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """Give the rows whose `column_name` names a missing reference as rejects."""
    return rows.filter(pl.col("column_name").is_not_null()).select(
        line_number="source_line",
        record_key=key,
        reason=pl.lit("missing_reference"),
        column_name="column_name",
        raw="raw",
    )
