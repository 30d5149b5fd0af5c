"""Rejected rows as files: to be mended and delivered again, and to be sent back to the hospital."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Connection, func, select

from visitpay.errors import FileChangedError, FileError
from visitpay.feed import REJECT_HEADERS, require_hospital
from visitpay.landing.local import open_landed
from visitpay.landing.place import LandedFile
from visitpay.ledger.files import failed_files
from visitpay.models import ENTITIES, Entity, LoadFile
from visitpay.parsing.blocks import whole_lines
from visitpay.parsing.columns import file_columns, file_header
from visitpay.parsing.layout import Layout, is_export
from visitpay.parsing.parser import HEADER_CHECK_BYTES
from visitpay.parsing.rows import LINE_SCHEMA, parse_again
from visitpay.parsing.split import split
from visitpay.private_files import write_private
from visitpay.rejects.citations import citation_pattern, cited_line
from visitpay.rejects.queries import RejectFilter, RejectSource, reject_sources
from visitpay.rejects.store import read_rows
from visitpay.vocabulary import FileStatus

RESPONSE_HEADERS = ("File", "Line", "Reason", "Column", "Row")
TRAILER = "TRAILER"

UNMENDED_MARK = "?"
"""A last cell that keeps a row out which would be let in as it stands."""

_LAST_MOMENT = datetime.max.replace(microsecond=0, tzinfo=UTC) - timedelta(seconds=1)

_MAY_BE_NO_TEXT = ("malformed", "invalid_encoding")
_WRITTEN_OUT = re.compile(r"(?:\\x(?:[89a-f][0-9a-f]|00))+")
_PLAIN_NUMBER = re.compile(r"[+-]?[$(]*[0-9][0-9,.)]*")


@dataclass(frozen=True)
class Exported:
    """A file that was written, and how many rejected rows it holds."""

    path: Path
    rows: int


def export(
    connection: Connection, directory: Path, hospital: str, wanted: RejectFilter
) -> list[Exported]:
    """Write the rejects that are wanted, a file a type, in the feed's own format.

    The files' names are one second newer than what was loaded of their type, so that mended rows
    win over that, and over nothing that the hospital sends later. A row that is not
    mended is rejected again: what was no text is the bytes it was, and a row that would be let in
    as it stands has DOUBT at its end. Lines that were too long are left out: only their start was
    kept. Raises ConfigurationError when a file cannot be written.
    """
    written: list[Exported] = []
    every = reject_sources(connection, wanted)
    for entity in ENTITIES:
        found = [origin for origin in every if origin.entity is entity]
        if found:
            moment = _moment_after(connection, entity)
            headers = (*REJECT_HEADERS, *(file_header(column) for column in file_columns(entity)))
            ours = Layout.of(entity, "\t".join(headers))
            rows = _mendable(connection, found, wanted, ours)
            path = _path(directory, hospital, entity.__name__, moment)
            written.append(_write(path, headers, rows))
    return written


def respond(
    connection: Connection,
    directory: Path,
    hospital: str,
    wanted: RejectFilter,
    now: datetime,
    files: Sequence[LandedFile],
) -> Exported:
    """Write the rejects that are wanted for whoever sent them, and how each file's rows ended.

    Those of the `files` that failed, or are held, stand at the end. What was mended here is left
    out: nobody sent it. Raises ConfigurationError when the file cannot be written.
    """
    found = [each for each in reject_sources(connection, wanted) if not each.is_resubmission]
    rows = _as_they_came(connection, found, wanted)
    trailer = [*map(_trailer, found), *_not_taken_in(connection, wanted, files)]
    path = _path(directory, hospital, "Response", now)
    return _write(path, RESPONSE_HEADERS, rows, trailer)


def _moment_after(connection: Connection, entity: type[Entity]) -> datetime:
    newest = connection.scalars(
        select(func.max(LoadFile.file_datetime)).where(
            LoadFile.entity == entity.__name__, LoadFile.status == FileStatus.LOADED
        )
    ).one()
    return min(newest, _LAST_MOMENT) + timedelta(seconds=1)


def _mendable(
    connection: Connection, found: Sequence[RejectSource], wanted: RejectFilter, ours: Layout
) -> Iterator[str]:
    for origin in found:
        for rejects, layout in _rejects(connection, origin, wanted):
            rows = []
            for row in split(rejects, layout).iter_rows(named=True):
                place = cited_line(row["line"], row["id"])
                about = (row["reason"], row["column_name"] or "", row["file"], place)
                rows.append([*about, *_cells(row, layout)])
            yield from _mark_loadable(rows, ours)


def _rejects(
    connection: Connection, origin: RejectSource, wanted: RejectFilter
) -> Iterator[tuple[pl.DataFrame, Layout]]:
    """Give a delivery's rejects, for `split`, and their layout.

    They have the `file` and `line` that they first stood in; what an export put ahead of a row is
    taken away.
    """
    layout = Layout.of(origin.entity, origin.header)
    file, line, row = pl.lit(origin.name), pl.col("source_line").cast(pl.String), pl.col("raw")
    if layout.is_resubmission:
        pattern = citation_pattern(layout.delimiter)
        headers = layout.header.split(layout.delimiter)[len(REJECT_HEADERS) :]
        layout = Layout.of(origin.entity, layout.delimiter.join(headers))
        cited = row.str.extract_groups(pattern).struct
        file, line = (
            pl.coalesce(cited.field(name), other)
            for name, other in (("file", file), ("line", line))
        )
        row = row.str.replace(pattern, "")
    none = pl.lit(value=False)
    for rejects in read_rows(connection, origin.file_id, wanted.conditions):
        rows = rejects.with_columns(
            file=file, line=line, raw=row, invalid_encoding=none, line_too_long=none
        )
        blank = pl.col("raw").str.strip_chars(" ") == ""
        yield rows.filter((pl.col("reason") != "line_too_long") & ~blank), layout


def _cells(row: Mapping[str, Any], layout: Layout) -> list[str]:
    """Give the cells of a row in the model's order; as they stand, if it does not split."""
    if row["malformed"]:
        return str(row["raw"]).split(layout.delimiter)
    cells = (row[column.name] for column in file_columns(layout.entity))
    return [f'"{cell}"' if "\t" in cell and '"' not in cell else cell for cell in cells]


def _mark_loadable(rows: Sequence[Sequence[str]], ours: Layout) -> Iterator[str]:
    """Write rows such that a load rejects them, unless what an orphan waits for has come."""
    lines = [_line(row) for row in rows]
    numbered = pl.DataFrame({"source_line": range(len(lines)), "raw": lines}, LINE_SCHEMA)
    let_in = set(parse_again(numbered, ours).rows["source_line"])
    for number, (reason, *others) in enumerate(rows):
        line = lines[number]
        if reason in _MAY_BE_NO_TEXT:
            line = _line([reason, *map(restore_bytes, others)])
        doubtful = number in let_in and line == lines[number] and reason != "missing_reference"
        yield f"{line}\t{UNMENDED_MARK}" if doubtful else line


def _line(cells: Iterable[str]) -> str:
    return "\t".join(map(escape_formula, cells))


def restore_bytes(written_out: str) -> str:
    r"""Turn what stands for bytes that are no text, such as `\xff`, into them (surrogateescape).

    The file itself may have had such words. They never become a character: then the first byte does
    alone, so that the row is no text in any case, and what is written out of it is the same again.
    """
    return _WRITTEN_OUT.sub(_bytes_again, written_out)


def _bytes_again(run: re.Match[str]) -> str:
    found = bytes.fromhex(run[0].replace(r"\x", ""))
    pieces = []
    for letter in found.decode("utf-8", "surrogateescape"):
        first, *others = letter.encode("utf-8", "surrogateescape")
        pieces.append(bytes([first]).decode("utf-8", "surrogateescape"))
        pieces += (rf"\x{other:02x}" for other in others)
    return "".join(pieces)


def _as_they_came(
    connection: Connection, found: Iterable[RejectSource], wanted: RejectFilter
) -> Iterator[str]:
    for origin in found:
        for rejects in read_rows(connection, origin.file_id, wanted.conditions):
            for row in rejects.iter_rows(named=True):
                about = (origin.name, row["source_line"], row["reason"], row["column_name"] or "")
                yield "\t".join([*map(str, about), *map(escape_formula, row["raw"].split("\t"))])


def _trailer(origin: RejectSource) -> str:
    counts = (origin.rows_read, origin.rows_read - origin.rows_out, origin.rows_out)
    return "\t".join(map(str, (TRAILER, origin.name, *counts)))


def _not_taken_in(
    connection: Connection, wanted: RejectFilter, files: Sequence[LandedFile]
) -> list[str]:
    """Name those of the files that failed or are held; none where rows of one kind are wanted."""
    if wanted.reason is not None or wanted.key is not None:
        return []
    failed = {each.name: each for each in failed_files(connection, files)}
    lines = []
    for file in files:
        entry = failed.get(file.name)
        if entry and wanted.takes(file, entry.tried_at) and not _was_mended(file):
            lines.append(f"{entry.status.upper()}\t{file.name}\t{entry.error}")
    return lines


def _was_mended(file: LandedFile) -> bool:
    """Say whether a file is an export of ours; one that cannot be read is none."""
    try:
        with open_landed(file) as source:
            first = next(whole_lines(source, HEADER_CHECK_BYTES), b"")
    except (FileError, FileChangedError):
        return False
    return is_export(first.partition(b"\n")[0].decode("utf-8-sig", "replace"))


def escape_formula(cell: str) -> str:
    """Give a cell that no spreadsheet takes for a formula: a load trims the space before it."""
    bare = cell.lstrip(' "\0')
    formula = bare[:1] in tuple("=@+-\r") and not _PLAIN_NUMBER.fullmatch(bare.rstrip(' "'))
    return f" {cell}" if formula and not cell.startswith(" ") else cell


def _path(directory: Path, hospital: str, what: str, moment: datetime) -> Path:
    require_hospital(hospital)
    stamp = f"{moment:%m%d_%H%M%S}"  # of a year below 1000, %Y has less than four digits
    return directory / f"{hospital}_VisitPay_{what}_{moment.year:04}{stamp}.txt"


def _write(
    path: Path, headers: Iterable[str], rows: Iterable[str], trailer: Iterable[str] = ()
) -> Exported:
    """Write a file that only its owner can read, never over another."""
    with write_private(path) as file:
        file.write("\t".join(headers) + "\n")
        written = sum(1 for row in rows if file.write(f"{row}\n"))
        file.writelines(f"{line}\n" for line in trailer)
    return Exported(path, written)
