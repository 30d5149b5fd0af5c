"""Rejected rows as files: to be mended and delivered again, and to be sent back to the hospital."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
from sqlalchemy import Connection, func, select

from visitpay.layout import Layout
from visitpay.models import (
    ENTITIES,
    LOADED,
    REJECT_HEADERS,
    Entity,
    LoadFile,
    LoadRun,
    fed_columns,
    header_of,
)
from visitpay.parsing import known_lines, split
from visitpay.private import writing
from visitpay.quarantine import Origin, Wanted, origins, rows_of

RESPONSE_HEADERS = ("File", "Line", "Reason", "Column", "Row")
TRAILER = "TRAILER"

_PLAIN_NUMBER = re.compile(r"[+-]?[$(]*[0-9][0-9,.)]*")


@dataclass(frozen=True)
class Exported:
    """A file that was written, and how many rejected rows it holds."""

    path: Path
    rows: int


def export(
    connection: Connection, directory: Path, hospital: str, wanted: Wanted, now: datetime
) -> list[Exported]:
    """Write the rejects that are wanted, a file a type, in the feed's own format.

    The files' names are newer than all that was loaded, so that mended rows win. Lines that were
    too long are left out: only their start was kept. Raises ConfigurationError when a file cannot
    be written.
    """
    written: list[Exported] = []
    every = origins(connection, wanted)
    for entity in ENTITIES:
        found = [origin for origin in every if origin.entity is entity]
        if found:
            moment = _moment_after(connection, entity, now)
            headers = (*REJECT_HEADERS, *(header_of(column) for column in fed_columns(entity)))
            rows = _mendable(connection, entity, found, wanted)
            path = _path(directory, hospital, entity.__name__, moment)
            written.append(_write(path, headers, rows))
    return written


def respond(
    connection: Connection, directory: Path, hospital: str, wanted: Wanted, now: datetime
) -> Exported:
    """Write the rejects that are wanted for whoever sent them, and how each file's rows ended.

    Files that failed, or are held, stand at the end. Raises ConfigurationError when the file
    cannot be written.
    """
    found = origins(connection, wanted)
    rows = _as_they_came(connection, found, wanted)
    trailer = [*map(_trailer, found), *_not_taken_in(connection, wanted)]
    path = _path(directory, hospital, "Response", now)
    return _write(path, RESPONSE_HEADERS, rows, trailer)


def _moment_after(connection: Connection, entity: type[Entity], now: datetime) -> datetime:
    newest = connection.scalar(
        select(func.max(LoadFile.file_datetime)).where(
            LoadFile.entity == entity.__name__, LoadFile.status == LOADED
        )
    )
    return max(now, newest + timedelta(seconds=1)) if newest else now


def _mendable(
    connection: Connection, entity: type[Entity], found: Iterable[Origin], wanted: Wanted
) -> Iterator[str]:
    for origin in found:
        layout = Layout.of(entity, origin.header)
        for rejects in rows_of(connection, origin.file_id, wanted.conditions):
            for row, cells in zip(
                rejects.iter_rows(named=True), _cells(rejects, layout), strict=True
            ):
                if row["reason"] != "line_too_long":
                    about = (
                        row["reason"],
                        row["column_name"] or "",
                        origin.name,
                        row["source_line"],
                    )
                    yield "\t".join([*map(str, about), *map(harmless, cells)])


def _cells(rejects: pl.DataFrame, layout: Layout) -> Iterator[list[str]]:
    """Give the cells of each row in the model's order; as they stand, if it does not split."""
    lines = split(known_lines(rejects), layout)
    names = [column.name for column in fed_columns(layout.entity)]
    for raw, malformed, *cells in lines.select("raw", "malformed", *names).iter_rows():
        if malformed:
            yield raw.split(layout.delimiter)
        else:
            yield [f'"{cell}"' if "\t" in cell and '"' not in cell else cell for cell in cells]


def _as_they_came(connection: Connection, found: Iterable[Origin], wanted: Wanted) -> Iterator[str]:
    for origin in found:
        for rejects in rows_of(connection, origin.file_id, wanted.conditions):
            for row in rejects.iter_rows(named=True):
                about = (origin.name, row["source_line"], row["reason"], row["column_name"] or "")
                yield "\t".join([*map(str, about), *map(harmless, row["raw"].split("\t"))])


def _trailer(origin: Origin) -> str:
    counts = (origin.rows_read, origin.rows_read - origin.rows_out, origin.rows_out)
    return "\t".join(map(str, (TRAILER, origin.name, *counts)))


def _not_taken_in(connection: Connection, wanted: Wanted) -> list[str]:
    """Name the files that failed or are held; none where rows of one kind are wanted."""
    if wanted.reason is not None or wanted.key is not None:
        return []
    query = select(LoadFile.status, LoadFile.name, LoadFile.error).join(LoadRun)
    query = query.where(LoadFile.status != LOADED, *wanted.of_names)
    if wanted.entity is not None:
        query = query.where(LoadFile.entity == wanted.entity)
    if wanted.since is not None:
        query = query.where(LoadRun.started_at >= wanted.since)
    files = connection.execute(query.order_by(LoadFile.file_datetime, LoadFile.id))
    return [f"{status.upper()}\t{name}\t{error}" for status, name, error in files]


def harmless(cell: str) -> str:
    """Give a cell that no spreadsheet takes for a formula: a load trims the space before it."""
    bare = cell.lstrip(' "')
    formula = bare[:1] in tuple("=@+-\r") and not _PLAIN_NUMBER.fullmatch(bare.rstrip(' "'))
    return f" {cell}" if formula else cell


def _path(directory: Path, hospital: str, what: str, moment: datetime) -> Path:
    return directory / f"{hospital}_VisitPay_{what}_{moment:%Y%m%d_%H%M%S}.txt"


def _write(
    path: Path, headers: Iterable[str], rows: Iterable[str], trailer: Iterable[str] = ()
) -> Exported:
    """Write a file that only its owner can read, never over another."""
    with writing(path) as file:
        file.write("\t".join(headers) + "\n")
        written = sum(1 for row in rows if file.write(f"{row}\n"))
        file.writelines(f"{line}\n" for line in trailer)
    return Exported(path, written)
