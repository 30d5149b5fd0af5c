"""The ledger: which files were consumed, what came of each, how far the feed has got."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    RowMapping,
    and_,
    bindparam,
    func,
    insert,
    or_,
    select,
    update,
)

from visitpay.landing.local import OpenFile
from visitpay.landing.place import LandedFile
from visitpay.models import Entity, LoadFile, LoadRun, entity_named
from visitpay.vocabulary import FileStatus

# A statement that every file or batch needs is made once: making it takes longer than its answer.
_SAME_TIME = LoadFile.file_datetime == bindparam("file_datetime")

_SAME_NAME = LoadFile.name == bindparam("name")

IS_NEWER = or_(
    LoadFile.file_datetime > bindparam("file_datetime"),
    and_(_SAME_TIME, LoadFile.name > bindparam("name")),
    and_(_SAME_TIME, _SAME_NAME, LoadFile.id > bindparam("file_id")),
)
"""Whether an entry of the ledger is newer than a delivery (`Delivery.parameters`)."""

IN_ORDER = (LoadFile.file_datetime, LoadFile.name, LoadFile.id)
"""The order of deliveries, the newest last: nothing of it depends on when another name arrived."""

NEWER = select(LoadFile.id).where(
    LoadFile.entity == bindparam("entity"), LoadFile.status == FileStatus.LOADED, IS_NEWER
)
"""The deliveries of its entity that are newer than a delivery (`Delivery.parameters`)."""

_NOT_LOADED = select(LoadFile.id).where(
    LoadFile.name == bindparam("name"), LoadFile.status != FileStatus.LOADED
)

_FAILED = (
    select(
        *(LoadFile.name, LoadFile.version, LoadFile.status, LoadFile.error),
        LoadRun.started_at.label("tried_at"),
    )
    .join(LoadRun)
    .where(LoadFile.status != FileStatus.LOADED)
)

_ENTER = insert(LoadFile.__table__).returning(LoadFile.__table__.columns.id)

_FORMER = select(LoadFile.id).where(
    LoadFile.name == bindparam("name"),
    LoadFile.status == FileStatus.LOADED,
    LoadFile.id < bindparam("file_id"),
)
"""The deliveries that brought the same name before (`Delivery.parameters`)."""

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
    """One delivery of a file, as the ledger knows it."""

    file_id: int
    entity: type[Entity]
    parameters: Mapping[str, object]
    """For statements about a delivery: its `file_id`, `entity`, `file_datetime` and `name`."""
    is_newest: bool
    """Whether no newer delivery of its entity was loaded, so that no row of it can be stale."""

    @classmethod
    def of(
        cls, connection: Connection, file_id: int, entity: str, file_datetime: datetime, name: str
    ) -> "Delivery":
        """Give the delivery that an entry of the ledger stands for."""
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
    """How rows ended."""

    read: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    stale: int = 0
    superseded: int = 0
    rejected: int = 0

    def add(self, other: "Counts") -> None:
        """Add another's rows to these."""
        for field in fields(self):
            name = field.name
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def balanced(self) -> bool:
        """Whether every row that was read ended somewhere."""
        ends = (self.inserted, self.updated, self.unchanged, self.stale, self.superseded)
        return min(ends) >= 0 and self.read == sum(ends) + self.rejected

    def columns(self) -> dict[str, int]:
        """Give the counts under the names of the books' columns."""
        return {f"rows_{name}": count for name, count in asdict(self).items()}


def record_versions(connection: Connection, touched: Iterable[tuple[int, str]]) -> None:
    """Remember new versions, so that the files are not opened again."""
    for file_id, version in touched:
        connection.execute(_AMEND, {"entry": file_id, "version": version})


def open_delivery(connection: Connection, run_id: int, file: LandedFile) -> Delivery:
    """Enter a file into the ledger; an entry that failed, of the same name, is taken up again."""
    file_id = _enter(connection, run_id, file, FileStatus.LOADED, None)
    return Delivery.of(connection, file_id, file.entity, file.file_datetime, file.name)


def close_delivery(
    connection: Connection,
    delivery: Delivery,
    source: OpenFile,
    counts: Counts,
    **remarks: str | bool | int | None,
) -> None:
    """Write down what a delivery held, what became of its rows, and what else is to be told."""
    held = {
        "sha256": source.sha256,
        "size_bytes": source.size_bytes,
        "version": source.version,
        "loaded_at": datetime.now(UTC),
    }
    connection.execute(_AMEND, {"entry": delivery.file_id, **held, **remarks, **counts.columns()})


def former_deliveries(connection: Connection, delivery: Delivery) -> Sequence[int]:
    """Return the ids of the deliveries that brought the same name before, oldest first."""
    return connection.scalars(_FORMER.order_by(LoadFile.id), delivery.parameters).all()


def same_content(connection: Connection, name: str, sha256: str) -> str | None:
    """Return the name of the newest other file that had the same content, if there was one."""
    return connection.scalar(_SAME_CONTENT.limit(1), {"name": name, "sha256": sha256})


def counts_of(connection: Connection, run_id: int, file: LandedFile) -> Counts | None:
    """Return what became of the rows of a file, if a run has loaded it."""
    names = [each.name for each in fields(Counts)]
    entry = (
        select(*(getattr(LoadFile, f"rows_{name}").label(name) for name in names))
        .where(LoadFile.name == file.name, LoadFile.status == FileStatus.LOADED)
        .where(LoadFile.run_id == run_id)
    )
    found = connection.execute(entry).mappings().first()
    return None if found is None else Counts(**found)


def enter_failure(
    connection: Connection, run_id: int, file: LandedFile, status: str, error: str
) -> None:
    """Enter a file that failed, or is held; the next run tries it again."""
    _enter(connection, run_id, file, status, error)


def _enter(
    connection: Connection, run_id: int, file: LandedFile, status: str, error: str | None
) -> int:
    entry: dict[str, Any] = {
        "run_id": run_id,
        "name": file.name,
        "hospital": file.hospital,
        "entity": file.entity,
        "file_datetime": file.file_datetime,
        "size_bytes": file.size_bytes,
        "version": file.version,
        "status": status,
        "error": error,
    }
    file_id = connection.scalar(_NOT_LOADED, {"name": file.name})
    if file_id is None:
        return int(connection.execute(_ENTER, entry).scalar_one())
    connection.execute(_AMEND, {"entry": file_id, **entry})
    return file_id


def failed_files(
    connection: Connection, files: Iterable[LandedFile]
) -> list[Row[str, str, str, str | None, datetime]]:
    """Give those of the files that failed, or are held, and still lie there as they were.

    `tried_at` is when the run that took them last began.
    """
    list_entries = {tuple(each)[:2]: each for each in connection.execute(_FAILED)}
    if not list_entries:
        return []
    lying = ((each.name, each.version) for each in files)
    return [list_entries[each] for each in lying if each in list_entries]


def list_entries(
    connection: Connection, *, entity: str | None, status: str | None, limit: int
) -> list[RowMapping]:
    """Give the newest entries of the ledger, the newest first.

    `tried_at` is when the run that took them last began.
    """
    columns = (*LoadFile.__table__.columns, LoadRun.started_at.label("tried_at"))
    query = select(*columns).join(LoadRun).order_by(LoadFile.id.desc()).limit(limit)
    return list(connection.execute(query.where(*_wanted(entity, status))).mappings())


def entry_state(entry: RowMapping, lying: Collection[str]) -> str:
    """Say in words how an entry of the ledger stands.

    `lying` names what failed, or is held, and still lies there as it was (`failed`).
    """
    status = str(entry["status"])
    return status if status == FileStatus.LOADED or entry["name"] in lying else f"{status} before"


def count_entries(connection: Connection, *, entity: str | None, status: str | None) -> int:
    """Count the entries of the ledger."""
    query = select(func.count()).select_from(LoadFile).where(*_wanted(entity, status))
    return connection.scalar(query) or 0


def _wanted(entity: str | None, status: str | None) -> list[ColumnElement[bool]]:
    wanted = {LoadFile.entity: entity, LoadFile.status: status}
    return [column == value for column, value in wanted.items() if value is not None]


IS_OF_FEED = (LoadFile.status == FileStatus.LOADED, LoadFile.is_resubmission.is_(False))
"""The conditions under which a file was loaded as the hospital sent it."""
