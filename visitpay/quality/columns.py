"""Columns that the hospital sends and the model lacks, or lacked when their files were loaded."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from visitpay.errors import FileError
from visitpay.ledger.files import IN_ORDER
from visitpay.models import ENTITIES, Entity, LoadFile
from visitpay.parsing.columns import comparable, file_columns, file_header, model_columns
from visitpay.text import counted, first, iso
from visitpay.vocabulary import FileStatus

RECENT = timedelta(days=14)
"""For how long a delivery, or a day without one, is reported."""

_NAMES_SHOWN = 10

_DELIMITERS = re.compile(r"[\t,|;]")

_IS_LOADED = LoadFile.status == FileStatus.LOADED

_CAME = (
    select(func.max(LoadFile.id).label("id"), func.min(LoadFile.loaded_at).label("came_at"))
    .where(_IS_LOADED)
    .group_by(LoadFile.name, LoadFile.sha256)
    .subquery()
)
"""When each content of each name came first, by its newest delivery."""

_HEADERS = (
    select(
        *(LoadFile.entity, LoadFile.header, LoadFile.columns_unknown),
        func.count().label("files"),
        func.min(LoadFile.file_datetime).label("since"),
        func.max(_CAME.c.came_at).label("came_at"),
    )
    .join(_CAME, _CAME.c.id == LoadFile.id)
    .where(LoadFile.id.in_(select(func.max(LoadFile.id)).where(_IS_LOADED).group_by(LoadFile.name)))
    .group_by(LoadFile.entity, LoadFile.header, LoadFile.columns_unknown)
)
"""The headers of the newest delivery of each name: a few rows, however many files there are."""


class _Header(NamedTuple):
    """A header, and the deliveries that had it; times in UTC."""

    entity: str
    header: str | None
    columns_unknown: str | None
    files: int
    since: datetime
    came_at: datetime


@dataclass(frozen=True)
class UnknownColumns:
    """Columns that were unknown when files of an entity were loaded, so that they went nowhere."""

    entity: str
    names: tuple[str, ...]
    """Their headers, as sent."""
    is_known_now: bool
    """Whether the model has them by now."""
    files: int
    since: datetime
    """The oldest time (UTC) in the names of these files."""
    first_file: str
    """The name of the oldest of them."""

    @property
    def described(self) -> str:
        """What they are called, at most the first of them."""
        return first(self.names, _NAMES_SHOWN, len(self.names))

    @property
    def again(self) -> str:
        """The command, as `hints.Setup.hint` takes it, that loads what is missing; or none."""
        return f"load --again-since {iso(self.since)}" if self.is_known_now else ""

    @property
    def message(self) -> str:
        """What was found."""
        files = counted(self.files, "file was", "files were")
        if self.is_known_now:
            return f"{self.described}: not known yet when {files} loaded; {self.again} mends it"
        columns = counted(len(self.names), "unknown column")
        return f"{columns} ({self.described}): {files} loaded without"


def find_unknown(connection: Connection) -> list[UnknownColumns]:
    """Return the unknown columns of files that were loaded lately, by entity and set of columns.

    Files loaded before the ledger recorded such columns are judged by their headers.
    """
    headers = [_Header._make(row) for row in connection.execute(_HEADERS)]
    if not headers:
        return []
    newest = max(header.came_at for header in headers)
    sets: dict[tuple[str, bool, frozenset[str]], list[tuple[_Header, tuple[str, ...]]]] = {}
    for header in headers:
        for is_known_now, names in _unknown(header):
            key = header.entity, is_known_now, frozenset(map(comparable, names))
            sets.setdefault(key, []).append((header, names))
    return [
        _found(connection, is_known_now, parts)
        for (_, is_known_now, _), parts in sorted(sets.items(), key=lambda item: item[0][:2])
        if newest - max(header.came_at for header, _ in parts) <= RECENT
    ]


def _found(
    connection: Connection,
    is_known_now: bool,  # noqa: FBT001
    parts: Sequence[tuple[_Header, tuple[str, ...]]],
) -> UnknownColumns:
    oldest, names = min(parts, key=lambda part: part[0].since)
    first_file = (
        select(LoadFile.name)
        .where(_IS_LOADED, LoadFile.entity == oldest.entity, LoadFile.header == oldest.header)
        .where(LoadFile.file_datetime == oldest.since)
        .order_by(*IN_ORDER)
        .limit(1)
    )
    return UnknownColumns(
        oldest.entity,
        names,
        is_known_now,
        sum(header.files for header, _ in parts),
        oldest.since,
        connection.scalars(first_file).one(),
    )


def _unknown(header: _Header) -> Iterator[tuple[bool, tuple[str, ...]]]:
    """Yield whether columns are known now, and their names: those that are, and those that are not.

    What the entity ignores is left out, and so are entities of other versions of visitpay.
    """
    entity = next((each for each in ENTITIES if each.__name__ == header.entity), None)
    if entity is None or header.header is None:
        return
    if header.columns_unknown is None:
        names = _extra(entity, header.header)
        known: set[str] = set()
    else:
        names, known = json.loads(header.columns_unknown), _known(entity)
    for is_known_now in (True, False):
        chosen = [name for name in names if (comparable(name) in known) is is_known_now]
        if wanted := without_ignored(entity, chosen):
            yield is_known_now, wanted


def without_ignored(entity: type[Entity], names: Iterable[str]) -> tuple[str, ...]:
    """Return the headers that are not among those that nobody wants of an entity, each once."""
    ignored = set(map(comparable, entity.__ignored_headers__))
    return tuple(name for name in dict.fromkeys(names) if comparable(name) not in ignored)


def _known(entity: type[Entity]) -> set[str]:
    """Return the headers under which an entity's columns may come, in small letters."""
    return {name for column in model_columns(entity) for name in column.names}


def _extra(entity: type[Entity], header: str) -> Sequence[str]:
    """Return the names in a header that the entity lacks, as the parser does."""
    usual = {comparable(file_header(column)) for column in file_columns(entity)}
    if usual.issuperset(_DELIMITERS.split(header.lower())):
        return ()
    # Imported here: most feeds have no unknown columns, and need not wait for polars.
    from visitpay.parsing.layout import Layout

    try:
        return Layout.of(entity, header).extra
    except FileError:
        return ()
