"""What the ledger says of the feed so far: its checkpoint, its types, its deliveries."""

from datetime import date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, func, select

from visitpay.ledger.files import IN_ORDER, IS_OF_FEED
from visitpay.models import LoadFile, RejectedRow
from visitpay.vocabulary import FileStatus, Reason

CLOCKS_APART = timedelta(days=1)
"""A file is dated in the future if its time is further ahead than this of our clock."""

_ALL = (1 << 31) - 1
"""No id of the ledger is higher."""


MAX_ENDS = 8
"""So many earlier files of a type say whether its files end with a line end."""
MIN_ENDS = 3
"""As few as this say it."""

_ENDS = (
    select(LoadFile.name, LoadFile.has_last_line_end)
    .where(
        *IS_OF_FEED,
        LoadFile.entity == bindparam("entity"),
        LoadFile.has_last_line_end.is_not(None),
        LoadFile.id < bindparam("before"),
        ~select(RejectedRow.id)
        .where(RejectedRow.file_id == LoadFile.id, RejectedRow.reason == Reason.NO_LINE_END)
        .exists(),
    )
    .order_by(LoadFile.id.desc())
    .limit(MAX_ENDS)
)
"""How the last files of a type end, the newest first.

One that was cut off itself does not count.
"""


def ends_with_line_end(connection: Connection, entity: str, before: int | None = None) -> bool:
    """Whether all of the last files of a type, and enough of them, ended with a line end.

    `before` is an id of the ledger: only deliveries that were loaded earlier count.
    """
    known: dict[str, bool] = {}
    for name, has_end in connection.execute(_ENDS, {"entity": entity, "before": before or _ALL}):
        known.setdefault(name, bool(has_end))
    return len(known) >= MIN_ENDS and all(known.values())


def checkpoint(connection: Connection, now: datetime | None = None) -> datetime | None:
    """Return the newest time (UTC) among the loaded files of the feed; None before the first.

    With `now` (UTC), files that are dated in the future do not count.
    """
    newest = select(func.max(LoadFile.file_datetime)).where(*IS_OF_FEED)
    if now is not None:
        newest = newest.where(LoadFile.file_datetime <= now + CLOCKS_APART)
    return connection.scalar(newest)


def loaded_until(connection: Connection, now: datetime) -> datetime | None:
    """Return up to when all is loaded (UTC): the oldest of the newest times of the record types.

    A type of which nothing was ever loaded does not count, nor do files that are dated in the
    future of `now`. None before the first file.
    """
    newest = (
        select(func.max(LoadFile.file_datetime))
        .where(*IS_OF_FEED, LoadFile.file_datetime <= now + CLOCKS_APART)
        .group_by(LoadFile.entity)
    )
    return min(connection.scalars(newest), default=None)


class LoadedType(NamedTuple):
    """An entity of which files were loaded."""

    entity: str
    files: int
    newest: datetime | None
    """The newest time (UTC) of its files; None where all of them are mended rejects."""


def loaded_types(connection: Connection) -> list[LoadedType]:
    """Return the entities of which files were loaded, by name."""
    loaded = (
        select(
            LoadFile.entity,
            func.count(),
            func.max(LoadFile.file_datetime).filter(*IS_OF_FEED),
        )
        .where(LoadFile.status == FileStatus.LOADED)
        .group_by(LoadFile.entity)
        .order_by(LoadFile.entity)
    )
    return [LoadedType(*row) for row in connection.execute(loaded)]


class Delivered(NamedTuple):
    """A file of the feed that was loaded; its times in UTC."""

    id: int
    name: str
    entity: str
    file_datetime: datetime
    loaded_at: datetime
    sha256: str
    rows_read: int
    rows_stale: int
    rows_rejected: int
    rows_conflicting: int
    rows_withdrawn: int

    @property
    def day(self) -> date:
        """The day of the time in its name (UTC)."""
        return self.file_datetime.date()

    @property
    def reject_share(self) -> float:
        """The share of its rows that were rejected, from 0 to 1."""
        return self.rows_rejected / self.rows_read if self.rows_read else 0


def newest_deliveries(connection: Connection) -> list[Delivered]:
    """Return the newest loaded delivery of each name of the feed, by the times in the names.

    One that was taken again counts as loaded when it came first.
    """
    columns = (getattr(LoadFile, name) for name in Delivered._fields)
    query = select(*columns).where(*IS_OF_FEED)
    newest: dict[str, Delivered] = {}
    for row in connection.execute(query.order_by(*IN_ORDER)):
        file = Delivered._make(row)
        before = newest.get(file.name)
        if before and before.sha256 == file.sha256:
            came = {name: getattr(before, name) for name in ("id", "loaded_at", "rows_stale")}
            file = file._replace(**came)
        newest[file.name] = file
    return list(newest.values())
