"""Rejected rows as files: to be mended and delivered again, or to be sent back to the hospital."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Connection, func, select

from visitpay.errors import FileChangedError, FileError
from visitpay.feed import REJECT_HEADERS, require_hospital
from visitpay.landing.place import LandedFile
from visitpay.ledger.files import failed_files
from visitpay.models import ENTITIES, Entity, LoadFile
from visitpay.parsing.blocks import whole_lines
from visitpay.parsing.columns import model_columns
from visitpay.parsing.layout import Layout, is_export
from visitpay.parsing.parser import HEADER_CHECK_BYTES
from visitpay.parsing.rows import LINE_SCHEMA, lines_without_faults, parse_again
from visitpay.parsing.split import split
from visitpay.private_files import write_private
from visitpay.rejects.citations import citation_pattern, cited_line
from visitpay.rejects.queries import RejectFilter, RejectSource, reject_sources
from visitpay.rejects.store import read_rows
from visitpay.vocabulary import FileStatus, Reason

RESPONSE_HEADERS = ("File", "Line", "Reason", "Column", "Row")
TRAILER = "TRAILER"

UNMENDED_MARK = "?"
"""A last cell for a row that a load would accept as it is, so that it is rejected until mended."""

_LAST_TIME = datetime.max.replace(microsecond=0, tzinfo=UTC) - timedelta(seconds=1)

_REASONS_WITH_BAD_BYTES = frozenset({Reason.MALFORMED, Reason.INVALID_ENCODING})
"""The reasons of rows that may have bytes that are no text."""

_ESCAPED_BYTES = re.compile(r"(?:\\x(?:[89a-f][0-9a-f]|00))+")
_FORMULA_SIGNS = tuple("=@+-\r\t\uff1d\uff20\uff0b\uff0d")
"""With what a formula begins, for some spreadsheet; also in full width, as some type in Asia."""

_PLAIN_NUMBER = re.compile(r"[+-]?[$(]*[0-9][0-9,.)]*")


@dataclass(frozen=True)
class ExportedFile:
    """A file that was written, and how many rejected rows it holds."""

    path: Path
    rows: int
    refused: int = 0
    """How many files that failed or are held it names, for the hospital."""


def export_for_mending(
    connection: Connection, directory: Path, hospital: str, wanted: RejectFilter
) -> list[ExportedFile]:
    """Write the wanted rejects to files, one for each type, in the feed's own format.

    The time in a file's name is one second after the newest loaded file of its type. So mended rows
    win over what was loaded, and over nothing that the hospital sends later. A row that is not
    mended is rejected again: bytes that are no text are written as they came, and a row that a load
    would accept as it is ends with UNMENDED_MARK. Lines that were too long are left out: only their
    start was kept. Raises ConfigurationError if a file cannot be written.
    """
    written: list[ExportedFile] = []
    all_sources = reject_sources(connection, wanted)
    for entity in ENTITIES:
        sources = [source for source in all_sources if source.entity is entity]
        if sources:
            headers = (*REJECT_HEADERS, *(column.header for column in model_columns(entity)))
            layout = Layout.of(entity, "\t".join(headers))
            rows = _rows_to_mend(connection, sources, wanted, layout)
            time = _time_after_newest(connection, entity)
            path = _export_path(directory, hospital, entity.__name__, time)
            written.append(_write(path, headers, rows))
    return written


def export_response(
    connection: Connection,
    directory: Path,
    hospital: str,
    wanted: RejectFilter,
    now: datetime,
    files: Sequence[LandedFile],
) -> ExportedFile:
    """Write the wanted rejects to one file for the hospital, with the counts of each of its files.

    The `files` that failed, or are held, are named at the end. Mended rows are left out: the
    hospital did not send them. Raises ConfigurationError if the file cannot be written.
    """
    sources = [
        source for source in reject_sources(connection, wanted) if not source.is_resubmission
    ]
    rows = _rows_as_sent(connection, sources, wanted)
    failures = _failure_lines(connection, wanted, files)
    trailer = [*map(_trailer_line, sources), *failures]
    path = _export_path(directory, hospital, "Response", now)
    return replace(_write(path, RESPONSE_HEADERS, rows, trailer), refused=len(failures))


def _time_after_newest(connection: Connection, entity: type[Entity]) -> datetime:
    newest = connection.scalars(
        select(func.max(LoadFile.file_datetime)).where(
            LoadFile.entity == entity.__name__, LoadFile.status == FileStatus.LOADED
        )
    ).one()
    return min(newest, _LAST_TIME) + timedelta(seconds=1)


def _rows_to_mend(
    connection: Connection, sources: Sequence[RejectSource], wanted: RejectFilter, layout: Layout
) -> Iterator[str]:
    """Yield the lines of an export, of which `layout` is the layout."""
    for source in sources:
        for rejects, own_layout in _read_rejects(connection, source, wanted):
            rows = []
            for reject in split(rejects, own_layout).iter_rows(named=True):
                line = cited_line(reject["line"], reject["id"])
                citation = (reject["reason"], reject["column_name"] or "", reject["file"], line)
                rows.append([*citation, *_cells_in_order(reject, own_layout)])
            yield from _mark_loadable(rows, layout)


def _read_rejects(
    connection: Connection, source: RejectSource, wanted: RejectFilter
) -> Iterator[tuple[pl.DataFrame, Layout]]:
    """Yield a delivery's rejects, as `parsing.split.split` takes them, and their layout.

    They have the `file` and `line` where the row was rejected first. Of a row that was mended
    before, the cells that an export put before it are removed.
    """
    layout = Layout.of(source.entity, source.header)
    file, line, raw = pl.lit(source.name), pl.col("source_line").cast(pl.String), pl.col("raw")
    if layout.is_resubmission:
        pattern = citation_pattern(layout.delimiter)
        headers = layout.header.split(layout.delimiter)[len(REJECT_HEADERS) :]
        layout = Layout.of(source.entity, layout.delimiter.join(headers))
        cited = raw.str.extract_groups(pattern).struct
        file = pl.coalesce(cited.field("file"), file)
        line = pl.coalesce(cited.field("line"), line)
        raw = raw.str.replace(pattern, "")
    is_blank = pl.col("raw").str.strip_chars(" ") == ""
    is_too_long = pl.col("reason") == Reason.LINE_TOO_LONG
    for rejects in read_rows(connection, source.file_id, wanted.conditions):
        rows = lines_without_faults(rejects.with_columns(file=file, line=line, raw=raw))
        yield rows.filter(~is_too_long & ~is_blank), layout


def _cells_in_order(reject: Mapping[str, Any], layout: Layout) -> list[str]:
    """Return the cells of a row in the model's order, or as they are if it does not split.

    For a column that its file lacks it is the value of such rows, empty for NULL.
    """
    if reject["malformed"]:
        return str(reject["raw"]).split(layout.delimiter)
    sent = {column.name: str(reject[column.name]) for column in layout.columns}
    cells = [sent.get(column.name, column.absent_cell) for column in model_columns(layout.entity)]
    return [f'"{cell}"' if "\t" in cell and '"' not in cell else cell for cell in cells]


def _mark_loadable(rows: Sequence[Sequence[str]], layout: Layout) -> Iterator[str]:
    """Yield rows as lines that a load rejects; except orphans whose reference has come."""
    lines = [_to_line(row) for row in rows]
    numbered = pl.DataFrame({"source_line": range(len(lines)), "raw": lines}, LINE_SCHEMA)
    loadable = set(parse_again(numbered, layout).rows["source_line"])
    for number, (reason, *others) in enumerate(rows):
        line = lines[number]
        if reason in _REASONS_WITH_BAD_BYTES:
            line = _to_line([reason, *map(restore_bytes, others)])
        is_loadable = number in loadable and line == lines[number]
        is_orphan = reason == Reason.MISSING_REFERENCE
        yield f"{line}\t{UNMENDED_MARK}" if is_loadable and not is_orphan else line


def _to_line(cells: Iterable[str]) -> str:
    return "\t".join(map(escape_formula, cells))


def restore_bytes(escaped: str) -> str:
    r"""Return a text with escapes such as `\xff` turned back into bytes, as surrogates.

    The file itself may have contained such an escape. Escapes that spell a character keep it from
    being one: only its first byte is restored. So the row is no text in any case, and a load that
    escapes it again gets the same text. As written to a file:

        in:  caf\xe9 (six characters more than caf)    out: caf and the byte E9
        in:  \xc3\xa9, the UTF-8 bytes of one letter   out: the byte C3, then \xa9 as it is
    """
    return _ESCAPED_BYTES.sub(_restore_escapes, escaped)


def _restore_escapes(escapes: re.Match[str]) -> str:
    restored = bytes.fromhex(escapes[0].replace(r"\x", ""))
    parts = []
    for letter in restored.decode("utf-8", "surrogateescape"):
        first, *others = letter.encode("utf-8", "surrogateescape")
        parts.append(bytes([first]).decode("utf-8", "surrogateescape"))
        parts += (rf"\x{other:02x}" for other in others)
    return "".join(parts)


def _rows_as_sent(
    connection: Connection, sources: Iterable[RejectSource], wanted: RejectFilter
) -> Iterator[str]:
    for source in sources:
        for rejects in read_rows(connection, source.file_id, wanted.conditions):
            for reject in rejects.iter_rows(named=True):
                line, reason, column = (
                    reject["source_line"],
                    reject["reason"],
                    reject["column_name"],
                )
                cells = map(escape_formula, reject["raw"].split("\t"))
                yield "\t".join([source.name, str(line), reason, column or "", *cells])


def _trailer_line(source: RejectSource) -> str:
    counts = (source.rows_read, source.rows_read - source.rows_left_out, source.rows_left_out)
    return "\t".join(map(str, (TRAILER, source.name, *counts)))


def _failure_lines(
    connection: Connection, wanted: RejectFilter, files: Sequence[LandedFile]
) -> list[str]:
    """Return lines for the files that failed or are held; none if the filter is about rows."""
    if wanted.reason is not None or wanted.key is not None:
        return []
    failed = {file.name: file for file in failed_files(connection, files)}
    lines = []
    for file in files:
        entry = failed.get(file.name)
        if entry and wanted.includes_file(file, entry.tried_at) and not _is_export(file):
            lines.append(f"{entry.status.upper()}\t{file.name}\t{entry.error}")
    return lines


def _is_export(file: LandedFile) -> bool:
    """Whether a landed file is an export of rejects; one that cannot be read is none."""
    try:
        with file.open() as source:
            start = next(whole_lines(source, HEADER_CHECK_BYTES), b"")
    except (FileError, FileChangedError):
        return False
    return is_export(start.partition(b"\n")[0].decode("utf-8-sig", "replace"))


def escape_formula(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: ` =1+2`; a load trims the space."""
    bare = cell.lstrip(' "\0')
    is_formula = bare[:1] in _FORMULA_SIGNS and not _PLAIN_NUMBER.fullmatch(bare.rstrip(' "'))
    return f" {cell}" if is_formula and not cell.startswith(" ") else cell


def _export_path(directory: Path, hospital: str, kind: str, time: datetime) -> Path:
    require_hospital(hospital)
    # For a year below 1000, %Y has less than four digits.
    return directory / f"{hospital}_VisitPay_{kind}_{time.year:04}{time:%m%d_%H%M%S}.txt"


def _write(
    path: Path, headers: Iterable[str], rows: Iterable[str], trailer: Iterable[str] = ()
) -> ExportedFile:
    """Write a file that only its owner can read; an existing file is not replaced."""
    with write_private(path) as file:
        file.write("\t".join(headers) + "\n")
        written = sum(1 for row in rows if file.write(f"{row}\n"))
        file.writelines(f"{line}\n" for line in trailer)
    return ExportedFile(path, written)
