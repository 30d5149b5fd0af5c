"""The ledger: which files were consumed, what came of each, how far the feed has got."""

import socket
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

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

from visitpay import __version__
from visitpay.errors import ConfigurationError, FileChangedError, FileError
from visitpay.landing.local import LandedFile, Reading, printable, sha256_of
from visitpay.models import (
    FAILED,
    IS_OF_FEED,
    LOADED,
    OPEN,
    Entity,
    LoadFile,
    LoadRun,
    RejectedRow,
    entity_named,
)

RUNNING = "running"
INTERRUPTED = "interrupted"

CLOCKS_APART = timedelta(days=1)
"""Only a file that is dated so far ahead of our clock is one of the future."""

IS_ORPHAN = (RejectedRow.status == OPEN, RejectedRow.reason == "missing_reference")
"""The conditions under which a rejected row waits for what it refers to."""


# A statement that every file or batch needs is made once: making it takes longer than its answer.
_SAME_TIME = LoadFile.file_datetime == bindparam("file_datetime")
_SAME_NAME = LoadFile.name == bindparam("name")
IS_NEWER = or_(
    LoadFile.file_datetime > bindparam("file_datetime"),
    and_(_SAME_TIME, LoadFile.name > bindparam("name")),
    and_(_SAME_TIME, _SAME_NAME, LoadFile.id > bindparam("file_id")),
)
"""The condition under which an entry of the ledger is newer than a delivery (`Delivery.given`)."""

IN_ORDER = (LoadFile.file_datetime, LoadFile.name, LoadFile.id)
"""The order of deliveries, the newest last: nothing of it depends on when another name arrived."""

NEWER = select(LoadFile.id).where(
    LoadFile.entity == bindparam("entity"), LoadFile.status == LOADED, IS_NEWER
)
"""The deliveries of its entity that are newer than a delivery (`Delivery.given`)."""

_NOT_LOADED = select(LoadFile.id).where(
    LoadFile.name == bindparam("name"), LoadFile.status != LOADED
)
_FAILED = (
    select(
        *(LoadFile.name, LoadFile.version, LoadFile.status, LoadFile.error),
        LoadRun.started_at.label("tried_at"),
    )
    .join(LoadRun)
    .where(LoadFile.status != LOADED)
)
_LOADED = (
    select(
        *(LoadFile.id, LoadFile.name, LoadFile.sha256, LoadFile.size_bytes, LoadFile.version),
    )
    .where(LoadFile.status == LOADED)
    .order_by(LoadFile.id)
)
_ENTER = insert(LoadFile.__table__).returning(LoadFile.__table__.columns.id)
_HOSPITALS = select(LoadFile.hospital).where(LoadFile.status == LOADED).distinct()
_FORMER = select(LoadFile.id).where(
    LoadFile.name == bindparam("name"),
    LoadFile.status == LOADED,
    LoadFile.id < bindparam("file_id"),
)
"""The deliveries that brought the same name before (`Delivery.given`)."""
_SAME_CONTENT = (
    select(LoadFile.name)
    .where(
        LoadFile.sha256 == bindparam("sha256"),
        LoadFile.status == LOADED,
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
    given: Mapping[str, object]
    """What statements that ask of a delivery are given.

    `file_id`, `entity`, `file_datetime` and `name`.
    """
    is_newest: bool
    """Whether no newer delivery of its entity was loaded, so that no row of it can be stale."""

    @classmethod
    def of(
        cls, connection: Connection, file_id: int, entity: str, file_datetime: datetime, name: str
    ) -> "Delivery":
        """Give the delivery that an entry of the ledger stands for."""
        given = {"file_id": file_id, "entity": entity, "file_datetime": file_datetime, "name": name}
        is_newest = connection.scalar(NEWER.limit(1), given) is None
        return cls(file_id, entity_named(entity), given, is_newest)


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


_DONE = select(
    func.count().filter(LoadFile.status == LOADED).label("files_loaded"),
    func.count().filter(LoadFile.status == FAILED).label("files_failed"),
    *(
        func.coalesce(func.sum(LoadFile.__table__.c[name]), 0).label(name)
        for name in Counts().columns()
    ),
).where(LoadFile.run_id == bindparam("run"))
"""What the ledger says of the files of a run."""


@dataclass(frozen=True)
class Plan:
    """The files to load, in order, and the known ones that were only touched."""

    pending: tuple[LandedFile, ...]
    redelivered: frozenset[str]
    """Names among the pending that were loaded before with other content."""
    touched: tuple[tuple[int, str], ...]
    """Ledger id and new version of files that were written again with the same content."""


def plan(connection: Connection, files: Iterable[LandedFile]) -> Plan:
    """Say which files were not consumed before.

    Membership in the ledger decides, by name and content. A file of the version of its delivery is
    not opened; else its hash decides.
    """
    # Of a name the newest delivery stands last, and stays.
    known = {row.name: row for row in connection.execute(_LOADED)}
    pending: list[LandedFile] = []
    redelivered: set[str] = set()
    touched: list[tuple[int, str]] = []
    for file in files:
        delivery = known.get(file.name)
        if delivery is None:
            pending.append(file)
        elif file.version == delivery.version:
            continue
        elif _same_content(file, delivery.size_bytes, delivery.sha256):
            touched.append((delivery.id, file.version))
        else:
            pending.append(file)
            if not file.trouble:
                redelivered.add(file.name)
    return Plan(tuple(pending), frozenset(redelivered), tuple(touched))


def _same_content(file: LandedFile, size_bytes: int, sha256: str | None) -> bool:
    try:
        return file.size_bytes == size_bytes and sha256_of(file) == sha256
    except (FileError, FileChangedError):
        return False  # loading it will say what is wrong


def touch(connection: Connection, touched: Iterable[tuple[int, str]]) -> None:
    """Remember new versions, so that the files are not opened again."""
    for file_id, version in touched:
        connection.execute(_AMEND, {"entry": file_id, "version": version})


def require_one_hospital(connection: Connection, hospital: str) -> None:
    """Raise ConfigurationError when files of another hospital were loaded into the database.

    Their identifiers would overwrite each other's rows.
    """
    # Compared here: the database's encoding may lack a letter of the name.
    for other in set(connection.scalars(_HOSPITALS)) - {hospital}:
        message = (
            f"the database holds files of {printable(other)}, not of {printable(hospital)}: each"
            " hospital needs a database (on PostgreSQL, or a schema) of its own"
        )
        raise ConfigurationError(message)


def open_run(connection: Connection) -> int:
    """Open the book of a run and give its id; runs that were killed are marked interrupted."""
    interrupt_runs(connection)
    run = {
        "started_at": datetime.now(UTC),
        "status": RUNNING,
        "version": __version__,
        "host": socket.gethostname(),
    }
    return connection.execute(insert(LoadRun).values(run).returning(LoadRun.id)).scalar_one()


def close_run(
    connection: Connection, run_id: int, status: str, finished_at: datetime | None, **counts: int
) -> None:
    """Close the book of a run; `finished_at` is in UTC, None where nobody knows it."""
    values = {"status": status, "finished_at": finished_at, **counts}
    connection.execute(update(LoadRun).where(LoadRun.id == run_id).values(values))


def interrupt_runs(connection: Connection, finished_at: datetime | None = None) -> None:
    """Mark runs that stand as running as interrupted, with what the ledger says of their files.

    Only who has the hold may do so: then none of them runs. `finished_at` (UTC) is for one that
    hears of its end; when one was killed, nobody knows.
    """
    unfinished = select(LoadRun.id).where(LoadRun.status == RUNNING)
    for run_id in connection.scalars(unfinished).all():
        done = connection.execute(_DONE, {"run": run_id}).one()._asdict()
        close_run(connection, run_id, INTERRUPTED, finished_at, **done)


def open_delivery(connection: Connection, run_id: int, file: LandedFile) -> Delivery:
    """Enter a file into the ledger; an entry that failed, of the same name, is taken up again."""
    file_id = _enter(connection, run_id, file, LOADED, None)
    return Delivery.of(connection, file_id, file.entity, file.file_datetime, file.name)


def close_delivery(
    connection: Connection,
    delivery: Delivery,
    source: Reading,
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


def former(connection: Connection, delivery: Delivery) -> Sequence[int]:
    """Return the ids of the deliveries that brought the same name before, oldest first."""
    return connection.scalars(_FORMER.order_by(LoadFile.id), delivery.given).all()


def same_content(connection: Connection, name: str, sha256: str) -> str | None:
    """Return the name of the newest other file that had the same content, if there was one."""
    return connection.scalar(_SAME_CONTENT.limit(1), {"name": name, "sha256": sha256})


def counts_of(connection: Connection, run_id: int, file: LandedFile) -> Counts | None:
    """Return what became of the rows of a file, if a run has loaded it."""
    names = [each.name for each in fields(Counts)]
    entry = (
        select(*(getattr(LoadFile, f"rows_{name}").label(name) for name in names))
        .where(LoadFile.name == file.name, LoadFile.status == LOADED)
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


def checkpoint(connection: Connection, now: datetime | None = None) -> datetime | None:
    """Give the newest time (UTC) among the loaded files of the feed; None before the first.

    With `now`, those that are dated in the future are passed over.
    """
    newest = select(func.max(LoadFile.file_datetime)).where(*IS_OF_FEED)
    if now is not None:
        newest = newest.where(LoadFile.file_datetime <= now + CLOCKS_APART)
    return connection.scalar(newest)


def open_rejects(connection: Connection) -> int:
    """Count the rejects that are open."""
    query = select(func.count()).select_from(RejectedRow).where(RejectedRow.status == OPEN)
    return connection.scalar(query) or 0


def orphans(connection: Connection, delivery: Delivery) -> int:
    """Count the rejects of a delivery that miss what they refer to."""
    mine = RejectedRow.file_id == delivery.file_id
    query = select(func.count()).select_from(RejectedRow).where(mine, *IS_ORPHAN)
    return connection.scalar(query) or 0


class Orphanage(NamedTuple):
    """A delivery of which rows wait for what they refer to."""

    file_id: int
    entity: str
    file_datetime: datetime
    name: str
    header: str

    def delivery(self, connection: Connection) -> Delivery:
        """Give it as it stands now; after a lost connection another load may have come between."""
        return Delivery.of(connection, *self[:4])


def orphanages(connection: Connection) -> list[Orphanage]:
    """Give the deliveries of which rows wait for a reference, oldest first."""
    files = connection.execute(
        select(LoadFile.id, LoadFile.entity, LoadFile.file_datetime, LoadFile.name, LoadFile.header)
        .where(LoadFile.id.in_(select(RejectedRow.file_id).where(*IS_ORPHAN)))
        .order_by(*IN_ORDER)
    )
    return [
        Orphanage(file.id, file.entity, file.file_datetime, file.name, file.header)
        for file in files
    ]


def last_run(connection: Connection) -> RowMapping | None:
    """Give the book of the newest run; None before the first."""
    newest = select(*LoadRun.__table__.columns).order_by(LoadRun.id.desc()).limit(1)
    return connection.execute(newest).mappings().first()


def progress(connection: Connection) -> list[RowMapping]:
    """Give for each entity that was loaded `entity`, `files` and the `newest` of the feed's times.

    That is in UTC, and None where all its files are mended rejects.
    """
    loaded = (
        select(
            LoadFile.entity,
            func.count().label("files"),
            func.max(LoadFile.file_datetime).filter(*IS_OF_FEED).label("newest"),
        )
        .where(LoadFile.status == LOADED)
        .group_by(LoadFile.entity)
        .order_by(LoadFile.entity)
    )
    return list(connection.execute(loaded).mappings())


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
        """The day of it, in UTC."""
        return self.file_datetime.date()

    @property
    def reject_share(self) -> float:
        """The share of its rows that were rejected, from 0 to 1."""
        return self.rows_rejected / self.rows_read if self.rows_read else 0


def delivered(connection: Connection) -> list[Delivered]:
    """Give the feed's newest loaded delivery of each name, in order of the times in the names."""
    columns = (getattr(LoadFile, name) for name in Delivered._fields)
    query = select(*columns).where(*IS_OF_FEED)
    ordered = connection.execute(query.order_by(*IN_ORDER)).all()
    return list({row.name: Delivered(*row) for row in ordered}.values())


def failed(
    connection: Connection, files: Iterable[LandedFile]
) -> list[Row[str, str, str, str | None, datetime]]:
    """Give those of the files that failed, or are held, and still lie there as they were.

    `tried_at` is when the run that took them last began.
    """
    entries = {tuple(each)[:2]: each for each in connection.execute(_FAILED)}
    if not entries:
        return []
    lying = ((each.name, each.version) for each in files)
    return [entries[each] for each in lying if each in entries]


def entries(
    connection: Connection, *, entity: str | None, status: str | None, limit: int
) -> list[RowMapping]:
    """Give the newest entries of the ledger, the newest first.

    `tried_at` is when the run that took them last began.
    """
    columns = (*LoadFile.__table__.columns, LoadRun.started_at.label("tried_at"))
    query = select(*columns).join(LoadRun).order_by(LoadFile.id.desc()).limit(limit)
    return list(connection.execute(query.where(*_wanted(entity, status))).mappings())


def state(entry: RowMapping, lying: Collection[str]) -> str:
    """Say in words how an entry of the ledger stands.

    `lying` names what failed, or is held, and still lies there as it was (`failed`).
    """
    status = str(entry["status"])
    return status if status == LOADED or entry["name"] in lying else f"{status} before"


def count_entries(connection: Connection, *, entity: str | None, status: str | None) -> int:
    """Count the entries of the ledger."""
    query = select(func.count()).select_from(LoadFile).where(*_wanted(entity, status))
    return connection.scalar(query) or 0


def _wanted(entity: str | None, status: str | None) -> list[ColumnElement[bool]]:
    wanted = {LoadFile.entity: entity, LoadFile.status: status}
    return [column == value for column, value in wanted.items() if value is not None]
