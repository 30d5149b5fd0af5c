"""Where an identifier is in files of the landing directory that are in no table yet.

They wait for the next load, failed, or are held.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import polars as pl
from sqlalchemy import Connection

from visitpay.errors import ConfigurationError, FileChangedError, FileError
from visitpay.landing.place import LandedFile, Reader
from visitpay.landing.scan import scan
from visitpay.ledger.files import failed_files
from visitpay.ledger.plan import make_plan
from visitpay.ledger.runs import last_run
from visitpay.models import Entity, entity_named
from visitpay.parsing.blocks import whole_lines
from visitpay.parsing.columns import comparable, model_columns
from visitpay.parsing.layout import DELIMITERS
from visitpay.parsing.parser import BLOCK_BYTES, Parser
from visitpay.rejects.cells import lines_holding

MAX_BYTES = 1 << 30
"""So many bytes of files are searched, those that come first."""

SIGHTINGS = 20
"""So many lines are listed, the first."""

WAITS = "waits"
"""The state of a file that no run has tried as it is now; others have a FileStatus."""


@dataclass(frozen=True)
class Sighting:
    """A line of a file that holds an identifier."""

    file: str
    entity: str
    """The record type of the file."""
    line: int
    """Its physical line; the header is line 1."""
    status: str
    """WAITS, or a FileStatus: failed or held."""
    error: str | None
    """Why the file failed or is held."""
    column: str | None
    """The header of the column; None if the file's columns cannot be told apart."""
    reason: str | None
    """Why a load would reject the row."""


@dataclass
class Search:
    """What a search of the landing directory has found."""

    landing: str
    """The landing place, as it was named."""
    sightings: list[Sighting] = field(default_factory=list)
    """The first SIGHTINGS, in the order of a load."""
    total: int = 0
    """How many lines hold it."""
    unread: list[str] = field(default_factory=list)
    """Names of files that were not searched, or not to their end."""
    error: str | None = None
    """Why the landing directory could not be searched."""


@dataclass(frozen=True)
class NamedLanding:
    """A landing place as commands name it."""

    landing: str
    hospital: str
    pass_over: Sequence[str] = ()


def last_place(
    connection: Connection, hospital: str, pass_over: Sequence[str] = ()
) -> NamedLanding | None:
    """Return the landing directory that the last load read; None if that is unknown."""
    run = last_run(connection)
    if run is None or run.landing is None:
        return None
    return NamedLanding(run.landing, hospital, pass_over)


def search(
    connection: Connection, place: NamedLanding, columns: Mapping[type[Entity], str], value: int
) -> Search:
    """Search files that are in no table for a whole number in columns, one for each entity."""
    found = Search(place.landing)
    try:
        landed = scan(place.landing, place.hospital, place.pass_over)
    except ConfigurationError as error:
        found.error = str(error)
        return found
    plan = make_plan(connection, landed.files)
    names = {file.name for file in plan.pending} | {file.name for file in plan.held}
    failed = {file.name: file for file in failed_files(connection, landed.files)}
    bytes_left = MAX_BYTES
    for file in landed.files:
        entity = entity_named(file.entity)
        if file.name not in names or entity not in columns:
            continue
        bytes_left -= file.size_bytes
        if bytes_left < 0:
            found.unread.append(file.name)
            continue
        known = failed.get(file.name)
        status, why = (known.status, known.error) if known else (WAITS, None)
        try:
            for line, column, reason in _lines(file, entity, columns[entity], value):
                found.total += 1
                if len(found.sightings) < SIGHTINGS:
                    seen = Sighting(file.name, file.entity, line, status, why, column, reason)
                    found.sightings.append(seen)
        except (FileError, FileChangedError):
            found.unread.append(file.name)
    return found


def _lines(
    file: LandedFile, entity: type[Entity], column: str, value: int
) -> Iterator[tuple[int, str | None, str | None]]:
    """Yield line, header of the column and reason of the rows of a file that hold a number."""
    with file.open() as source:
        if not _has_digits(source, value):
            return
    with file.open() as source:
        try:
            parser = Parser(source, entity, file_date=file.file_datetime.date())
        except FileError:
            parser = None
        if parser is not None:
            yield from _parsed_lines(parser, column, value)
            return
    with file.open() as source:
        names = next(each.names for each in model_columns(entity) if each.name == column)
        for line, header in _raw_lines(source, names, value):
            yield line, header, None


def _has_digits(source: Reader, value: int) -> bool:
    """Whether a file has the digits of a number somewhere: most files need not be parsed."""
    digits = str(abs(value))
    patterns = [digits.encode(encoding) for encoding in ("ascii", "utf-16-le", "utf-16-be")]
    tail = b""
    while block := source.read(BLOCK_BYTES):
        if any(pattern in tail + block for pattern in patterns):
            return True
        tail = block[-2 * len(digits) :]
    return False


def _parsed_lines(
    parser: Parser, name: str, value: int
) -> Iterator[tuple[int, str | None, str | None]]:
    layout = parser.layout
    header = next((each.header for each in layout.columns if each.name == name), None)
    if header is None:
        return
    batches = parser.batches()
    while True:
        try:
            batch = next(batches, None)
        except FileError:  # only its end is wrong, such as the count of a trailer
            return
        if batch is None:
            return
        lines: list[tuple[int, str | None]] = [
            (line, None) for line in batch.rows["source_line"].filter(batch.rows[name] == value)
        ]
        rejects = batch.rejects.rename({"line_number": "source_line"})
        found = lines_holding(rejects, layout, name, value)
        of_rejects = rejects.filter(pl.col("source_line").is_in(found.implode()))
        lines += of_rejects.select("source_line", "reason").rows()
        for line, reason in sorted(lines):
            yield line, header, reason


def _raw_lines(
    source: Reader, names: Sequence[str], value: int
) -> Iterator[tuple[int, str | None]]:
    """Yield the lines of a file of no use that have a number as a whole cell.

    With the header of its column, if the first line has one of its `names`: then only that column
    counts. Otherwise any does.
    """
    cell = re.compile(rb"(?:^|[\t,|;])[ \"]*[+0]*%d[ \"]*(?=[\t,|;]|$)" % value, re.MULTILINE)
    first = 1
    place: _ColumnPlace | None = None
    for block in whole_lines(source, BLOCK_BYTES):
        if first == 1:
            place = _find_column(block.partition(b"\n")[0], names)
        counted = at = 0
        last = None
        for match in cell.finditer(block):
            counted += block.count(b"\n", at, match.start())
            at = match.start()
            if counted != last and (place is None or place.holds(block, match.end(), value)):
                yield first + counted, place and place.header
            last = counted
        first += block.count(b"\n")


class _ColumnPlace(NamedTuple):
    """Where the lines of a file have a column."""

    header: str
    delimiter: bytes
    position: int

    def holds(self, block: bytes, at: int, value: int) -> bool:
        """Whether the line at some place of a block has a number in the column."""
        line_end = block.find(b"\n", at)
        line = block[block.rfind(b"\n", 0, at) + 1 : line_end if line_end >= 0 else len(block)]
        cell = b"".join(line.split(self.delimiter)[self.position : self.position + 1])
        return cell.strip(b' "\r').lstrip(b"+0") == (b"%d" % value).lstrip(b"0")


def _find_column(first_line: bytes, names: Sequence[str]) -> _ColumnPlace | None:
    """Return where a column is that has one of some names; None if the line has none."""
    header = first_line.decode("utf-8-sig", "replace")
    for delimiter in DELIMITERS:
        for position, name in enumerate(header.split(delimiter)):
            if comparable(name.strip(' "\r')) in names:
                return _ColumnPlace(name.strip(' "\r'), delimiter.encode(), position)
    return None
