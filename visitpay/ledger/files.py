"""The entries of the ledger: the table `load_files`, one entry a delivery of a file."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, insert, or_, select, update
from sqlalchemy.orm import aliased

from visitpay.errors import FileChangedError, FileError
from visitpay.landing.place import LandedFile, Reader
from visitpay.models import Entity, LoadFile, LoadRun, RowCounts, entity_named
from visitpay.vocabulary import FileStatus

# Statements that every file or batch needs are made once: SQLAlchemy takes longer to make one than
# SQLite to answer it.
_SAME_TIME = LoadFile.file_datetime == bindparam("file_datetime")

_SAME_NAME = LoadFile.name == bindparam("name")

IS_NEWER = or_(
    LoadFile.file_datetime > bindparam("file_datetime"),
    and_(_SAME_TIME, LoadFile.name > bindparam("name")),
    and_(_SAME_TIME, _SAME_NAME, LoadFile.id > bindparam("file_id")),
)
"""Whether an entry of the ledger is newer than a delivery (`Delivery.parameters`)."""

IN_ORDER = (LoadFile.file_datetime, LoadFile.name, LoadFile.id)
"""The order of deliveries, the newest last. It does not depend on when they arrived."""

NEWER = select(LoadFile.id).where(
    LoadFile.entity == bindparam("entity"), LoadFile.status == FileStatus.LOADED, IS_NEWER
)
"""The loaded deliveries of its entity that are newer than a delivery (`Delivery.parameters`)."""

IS_OF_FEED = (LoadFile.status == FileStatus.LOADED, LoadFile.is_resubmission.is_(False))
"""The conditions under which a file was loaded as the hospital sent it."""

_NOT_LOADED = select(LoadFile.id).where(
    LoadFile.name == bindparam("name"), LoadFile.status != FileStatus.LOADED
)

_FAILED = (
    select(
        *(LoadFile.name, LoadFile.version, LoadFile.status, LoadFile.error),
        LoadRun.started_at.label("tried_at"),
        *(LoadFile.id, LoadFile.size_bytes, LoadFile.sha256),
    )
    .join(LoadRun)
    .where(LoadFile.status != FileStatus.LOADED)
)

_ENTER = insert(LoadFile.__table__).returning(LoadFile.__table__.columns.id)

_later = aliased(LoadFile)

WAS_TAKEN_AGAIN = (
    select(_later.id)
    .where(
        _later.name == LoadFile.name,
        _later.sha256 == LoadFile.sha256,
        _later.status == FileStatus.LOADED,
        _later.id > LoadFile.id,
    )
    .exists()
)
"""Whether the same content of the same name was loaded later as well."""

_FORMER = select(LoadFile.id).where(
    LoadFile.name == bindparam("name"),
    LoadFile.status == FileStatus.LOADED,
    LoadFile.id < bindparam("file_id"),
)
"""The earlier loaded deliveries of its name (`Delivery.parameters`)."""

_SAME_CONTENT = (
    select(LoadFile.name)
    .where(
        LoadFile.sha256 == bindparam("sha256"),
        LoadFile.status == FileStatus.LOADED,
        LoadFile.name != bindparam("name"),
    )
    .order_by(LoadFile.id.desc())
)

_AMEND = update(LoadFile.__table__).where(LoadFile.__table__.columns.id == bindparam("entry"))


@dataclass(frozen=True)
class Delivery:
    """One delivery of a file that is being loaded, or whose rejects are tried again."""

    file_id: int
    entity: type[Entity]
    parameters: Mapping[str, object]
    """For statements about a delivery: its `file_id`, `entity`, `file_datetime` and `name`."""
    is_newest: bool
    """Whether no newer delivery of its entity was loaded: then no row of it can be stale."""

    @classmethod
    def of(
        cls, connection: Connection, file_id: int, entity: str, file_datetime: datetime, name: str
    ) -> "Delivery":
        """Return the delivery of an entry of the ledger; `is_newest` is asked now."""
        parameters = {
            "file_id": file_id,
            "entity": entity,
            "file_datetime": file_datetime,
            "name": name,
        }
        is_newest = connection.scalar(NEWER.limit(1), parameters) is None
        return cls(file_id, entity_named(entity), parameters, is_newest)


@dataclass
class Counts:
    """What became of rows; `read` is the sum of the others."""

    read: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    stale: int = 0
    superseded: int = 0
    rejected: int = 0

    def add(self, other: "Counts") -> None:
        """Add the counts of other rows."""
        for field in fields(self):
            name = field.name
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def balanced(self) -> bool:
        """Whether the counts add up to the rows that were read."""
        ends = (self.inserted, self.updated, self.unchanged, self.stale, self.superseded)
        return min(ends) >= 0 and self.read == sum(ends) + self.rejected

    def columns(self) -> dict[str, int]:
        """Return the counts under the names of the columns that hold them."""
        return {f"rows_{name}": count for name, count in asdict(self).items()}


def counts_columns(table: type[RowCounts]) -> list[ColumnElement[int]]:
    """Return the columns of a table that hold `Counts`, in its order."""
    return [getattr(table, name) for name in Counts().columns()]


def record_versions(connection: Connection, touched: Iterable[tuple[int, str]]) -> None:
    """Record new versions (ledger id, version), so that these files are not opened again."""
    for file_id, version in touched:
        connection.execute(_AMEND, {"entry": file_id, "version": version})


def open_delivery(connection: Connection, run_id: int, file: LandedFile) -> Delivery:
    """Enter a file into the ledger; a failed entry of its name is used again."""
    file_id = _enter(connection, run_id, file, FileStatus.LOADED, None)
    return Delivery.of(connection, file_id, file.entity, file.file_datetime, file.name)


def close_delivery(
    connection: Connection,
    delivery: Delivery,
    source: Reader,
    counts: Counts,
    **remarks: str | bool | int | None,
) -> None:
    """Record what a delivery held and what became of its rows; `remarks` are further columns."""
    seen = {
        "sha256": source.sha256,
        "size_bytes": source.size_bytes,
        "version": source.version,
        "loaded_at": datetime.now(UTC),
    }
    connection.execute(_AMEND, {"entry": delivery.file_id, **seen, **remarks, **counts.columns()})


def former_deliveries(connection: Connection, delivery: Delivery) -> Sequence[int]:
    """Return the ids of the deliveries that brought the same name before, oldest first."""
    return connection.scalars(_FORMER.order_by(LoadFile.id), delivery.parameters).all()


class FormerDelivery(NamedTuple):
    """The delivery of a file that is taken again."""

    id: int
    sha256: str
    rows_withdrawn: int


def former_delivery(connection: Connection, file_id: int) -> FormerDelivery:
    """Return the delivery of an entry of the ledger, as far as taking it again needs it."""
    columns = (getattr(LoadFile, name) for name in FormerDelivery._fields)
    query = select(*columns).where(LoadFile.id == file_id)
    return FormerDelivery._make(connection.execute(query).one())


def other_with_content(connection: Connection, name: str, sha256: str) -> str | None:
    """Return the name of the newest other loaded file with the same content, if there is one."""
    return connection.scalar(_SAME_CONTENT.limit(1), {"name": name, "sha256": sha256})


def counts_of(connection: Connection, run_id: int, file: LandedFile) -> Counts | None:
    """Return what became of the rows of a file, if that run has loaded it."""
    entry = (
        select(*counts_columns(LoadFile))
        .where(LoadFile.name == file.name, LoadFile.status == FileStatus.LOADED)
        .where(LoadFile.run_id == run_id)
    )
    found = connection.execute(entry).first()
    return None if found is None else Counts(*tuple(found))


def enter_failure(
    connection: Connection,
    run_id: int,
    file: LandedFile,
    status: str,
    error: str,
    sha256: str | None = None,
) -> None:
    """Enter a file that failed, or is held (`status`), with its reason.

    `sha256` is the hash of its content if it was read whole.
    """
    _enter(connection, run_id, file, status, error, sha256)


def _enter(
    connection: Connection,
    run_id: int,
    file: LandedFile,
    status: str,
    error: str | None,
    sha256: str | None = None,
) -> int:
    entry: dict[str, Any] = {
        "run_id": run_id,
        "name": file.name,
        "hospital": file.hospital,
        "entity": file.entity,
        "file_datetime": file.file_datetime,
        "size_bytes": file.size_bytes,
        "sha256": sha256,
        "version": file.version,
        "status": status,
        "error": error,
    }
    file_id = connection.scalar(_NOT_LOADED, {"name": file.name})
    if file_id is None:
        return int(connection.execute(_ENTER, entry).scalar_one())
    connection.execute(_AMEND, {"entry": file_id, **entry})
    return file_id


def same_content(file: LandedFile, size_bytes: int, sha256: str | None) -> bool:
    """Whether the content of a landed file has this size and hash; raises what reading it raises.

    The file is read only if its size is the same.
    """
    return file.size_bytes == size_bytes and sha256 is not None and file.sha256() == sha256


class FailedFile(NamedTuple):
    """A file that failed, which each run tries again, or that is held."""

    name: str
    version: str
    status: str
    """A FileStatus: failed or held."""
    error: str
    tried_at: datetime
    """When the last run that tried it began, in UTC."""
    id: int
    """Its id in the ledger."""
    size_bytes: int
    sha256: str | None
    """The hash of its content; None if it was not read whole."""

    def is_still(self, file: LandedFile) -> bool:
        """Whether a landed file of its name has not changed since it failed, or was held.

        If a held file was only touched or copied, it is the same; so it is as long as it cannot be
        read.
        """
        if file.version == self.version:
            return True
        if self.status != FileStatus.HELD or self.sha256 is None:
            return False
        try:
            return bool(file.error) or same_content(file, self.size_bytes, self.sha256)
        except (FileError, FileChangedError):
            return True


def failed_files(connection: Connection, files: Iterable[LandedFile]) -> list[FailedFile]:
    """Return those of the files that failed, or are held, and have not changed since."""
    entries = (FailedFile._make(row) for row in connection.execute(_FAILED))
    failed = {entry.name: entry for entry in entries}
    if not failed:  # as nearly always: 100,000 known files need no second look
        return []
    present = (file for file in files if file.name in failed)
    return [failed[file.name] for file in present if failed[file.name].is_still(file)]


def held_files(connection: Connection) -> list[FailedFile]:
    """Return the files that are held, according to the ledger."""
    held = _FAILED.where(LoadFile.status == FileStatus.HELD)
    return [FailedFile._make(row) for row in connection.execute(held)]


class Entry(NamedTuple):
    """An entry of the ledger: one delivery of one file; times in UTC."""

    id: int
    run_id: int
    name: str
    hospital: str
    entity: str
    file_datetime: datetime
    sha256: str | None
    size_bytes: int
    header: str | None
    columns_unknown: str | None
    """The headers that the entity did not have when it was loaded, as a JSON list."""
    is_resubmission: bool
    trailer_rows: int | None
    rows_conflicting: int
    rows_withdrawn: int
    status: str
    """A FileStatus."""
    error: str | None
    loaded_at: datetime | None
    tried_at: datetime
    """When the last run that tried it began."""
    counts: Counts

    def is_past(self, failed: Collection[str]) -> bool:
        """Whether it failed, or was held, and its file is gone or has changed since.

        `failed` holds the names of the files of which that is not so (`failed_files`).
        """
        return self.status != FileStatus.LOADED and self.name not in failed

    def state(self, failed: Collection[str]) -> str:
        """Return in words how it stands: its status, or `failed before` if it `is_past`."""
        return f"{self.status} before" if self.is_past(failed) else self.status


def list_entries(
    connection: Connection,
    *,
    entity: str | None = None,
    status: str | None = None,
    run_id: int | None = None,
    limit: int,
) -> list[Entry]:
    """Return the newest entries of the ledger, the newest first."""
    *own, _tried_at, _counts = Entry._fields
    columns = (*(getattr(LoadFile, name) for name in own), LoadRun.started_at)
    query = select(*columns, *counts_columns(LoadFile)).join(LoadRun)
    newest = query.where(*_wanted(entity, status, run_id)).order_by(LoadFile.id.desc()).limit(limit)
    width = len(columns)
    rows = map(tuple, connection.execute(newest))
    return [Entry._make((*row[:width], Counts(*row[width:]))) for row in rows]


def count_entries(connection: Connection, *, entity: str | None, status: str | None) -> int:
    """Count the entries of the ledger."""
    query = select(func.count()).select_from(LoadFile).where(*_wanted(entity, status, None))
    return connection.scalar(query) or 0


def _wanted(
    entity: str | None, status: str | None, run_id: int | None
) -> list[ColumnElement[bool]]:
    wanted = {LoadFile.entity: entity, LoadFile.status: status, LoadFile.run_id: run_id}
    return [column == value for column, value in wanted.items() if value is not None]
