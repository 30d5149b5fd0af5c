"""The runs of `visitpay load`, each with its counts: the table `load_runs`."""

import os
import socket
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, func, insert, select, update

from visitpay.database.dialects import dialect_of
from visitpay.errors import StoppedError, VisitPayError
from visitpay.landing.place import LandedFile
from visitpay.ledger.files import Counts, Entry, counts_columns, list_entries
from visitpay.models import LoadFile, LoadRun
from visitpay.text import printable
from visitpay.version import __version__
from visitpay.vocabulary import FileStatus, RunStatus

_DONE = select(
    func.count().filter(LoadFile.status == FileStatus.LOADED),
    func.count().filter(LoadFile.status != FileStatus.LOADED),
    func.coalesce(func.sum(LoadFile.size_bytes), 0),
    *(
        func.coalesce(func.sum(LoadFile.__table__.c[name]), 0).label(name)
        for name in Counts().columns()
    ),
).where(LoadFile.run_id == bindparam("run"))
"""What the ledger says of the files of a run."""


class Run(NamedTuple):
    """A run of `visitpay load`, as the ledger has it; times in UTC."""

    id: int
    started_at: datetime
    finished_at: datetime | None
    """None while it runs, and where it was killed."""
    status: str
    """A RunStatus."""
    version: str
    """The version of visitpay."""
    host: str
    error: str | None
    """What ended it early; None if nothing did, or if it was killed."""
    files_loaded: int
    files_failed: int
    """Files that failed or are held."""
    rejects_resolved: int
    rejects_tolerated: bool
    """Whether it ended with no more rejected rows than it was told to tolerate."""
    landing: str | None
    """The landing directory that it read; None if that is unknown."""
    process_id: int | None
    files_planned: int
    """Files that it set out to load."""
    bytes_planned: int
    counts: Counts

    @property
    def duration(self) -> timedelta | None:
        """How long it took; None while it runs, and where that is unknown.

        If the clock was set back meanwhile, that is unknown.
        """
        if self.finished_at is None or self.finished_at < self.started_at:
            return None
        return self.finished_at - self.started_at


class Done(NamedTuple):
    """What the ledger has of a run so far, also while it runs."""

    files: int
    """Files that were loaded, failed or are held."""
    bytes: int
    """Their size."""
    loaded: int
    failed: int
    """Files that failed or are held; one that a later run tried again is that run's."""
    counts: Counts


@dataclass(frozen=True)
class RunInFull:
    """A run, how far it is, and what came of its files."""

    run: Run
    """The run; while it is under way, with the counts so far."""
    died: bool
    """Whether the ledger says that it is running, and no load is alive."""
    done: Done
    files: Sequence[Entry]
    """Entries of the ledger, those first that failed or are held."""

    @property
    def percent(self) -> int:
        """How much of what it set out to load is done, by size; 100 where that was nothing."""
        planned = self.run.bytes_planned
        return min(100, 100 * self.done.bytes // planned) if planned else 100

    @property
    def tried_again(self) -> int:
        """How many of its files failed, or were held, and were tried again by a later run."""
        return max(0, self.run.files_failed - self.done.failed)


def open_run(
    connection: Connection,
    landing: str | None = None,
    is_tolerated: Callable[[Counts], bool] | None = None,
) -> int:
    """Enter a run that begins, and return its id; runs that were killed become interrupted.

    `is_tolerated` says whether so many rejects are, also of those runs. The caller holds the run
    lock: no other run is alive.
    """
    interrupt_runs(connection, is_tolerated)
    run = {
        "started_at": datetime.now(UTC),
        "status": RunStatus.RUNNING,
        "version": __version__,
        "host": socket.gethostname(),
        "process_id": os.getpid(),
        "landing": landing and _kept(connection, landing),
    }
    return connection.execute(insert(LoadRun).values(run).returning(LoadRun.id)).scalar_one()


def plan_run(connection: Connection, run_id: int, files: Collection[LandedFile]) -> None:
    """Enter what a run sets out to load."""
    size_bytes = sum(file.size_bytes for file in files)
    _amend(connection, run_id, files_planned=len(files), bytes_planned=size_bytes)


def close_run(connection: Connection, run_id: int, status: str, **facts: object) -> None:
    """Enter how a run ended, now."""
    _amend(connection, run_id, status=status, finished_at=datetime.now(UTC), **facts)


def end_early(connection: Connection, run_id: int, error: VisitPayError) -> None:
    """Enter what ended a run: a signal interrupts it, any other error fails it.

    A run that had loaded all, and only had to tell of it, keeps its counts; a signal then changes
    nothing.
    """
    status = connection.scalar(select(LoadRun.status).where(LoadRun.id == run_id))
    counts = _counted(connection, run_id) if status == RunStatus.RUNNING else {}
    if not isinstance(error, StoppedError):
        reason = _kept(connection, str(error))
        close_run(connection, run_id, RunStatus.FAILED, error=reason, **counts)
    elif counts:
        close_run(connection, run_id, RunStatus.INTERRUPTED, **counts)


def interrupt_runs(
    connection: Connection, is_tolerated: Callable[[Counts], bool] | None = None
) -> None:
    """Mark the runs that the ledger calls running as interrupted, with the counts of their files.

    The caller holds the run lock, so that none of them is alive. They were killed: when they ended
    is unknown.
    """
    unfinished = select(LoadRun.id).where(LoadRun.status == RunStatus.RUNNING)
    for run_id in connection.scalars(unfinished).all():
        counts = _counted(connection, run_id)
        tolerated = is_tolerated is not None and is_tolerated(done_by(connection, run_id).counts)
        status = {"status": RunStatus.INTERRUPTED, "rejects_tolerated": tolerated}
        _amend(connection, run_id, **status, **counts)


def _counted(connection: Connection, run_id: int) -> dict[str, int]:
    """Return the counts of a run that did not come to its end, as its columns have them."""
    done = done_by(connection, run_id)
    return {"files_loaded": done.loaded, "files_failed": done.failed, **done.counts.columns()}


def _amend(connection: Connection, run_id: int, **values: object) -> None:
    connection.execute(update(LoadRun).where(LoadRun.id == run_id).values(values))


def _kept(connection: Connection, text: str) -> str:
    """Return a text as the database can keep it, whatever its encoding is."""
    text = printable(text)
    if dialect_of(connection).incomplete_encoding(connection):
        return text.encode("ascii", "backslashreplace").decode()
    return text


def last_run(connection: Connection) -> Run | None:
    """Return the newest run; None before the first. While it runs, it has no counts yet."""
    return next(iter(list_runs(connection, limit=1)), None)


def list_runs(
    connection: Connection,
    *,
    run_id: int | None = None,
    status: str | None = None,
    since: datetime | None = None,
    limit: int,
) -> list[Run]:
    """Return runs, the newest first: those of a status, and those that began since a time (UTC)."""
    columns = [getattr(LoadRun, name) for name in Run._fields[:-1]]
    query = select(*columns, *counts_columns(LoadRun)).where(*_wanted(run_id, status, since))
    rows = map(tuple, connection.execute(query.order_by(LoadRun.id.desc()).limit(limit)))
    width = len(columns)
    return [Run._make((*row[:width], Counts(*row[width:]))) for row in rows]


def count_runs(
    connection: Connection, *, status: str | None = None, since: datetime | None = None
) -> int:
    """Count such runs."""
    query = select(func.count()).select_from(LoadRun).where(*_wanted(None, status, since))
    return connection.scalar(query) or 0


def _wanted(
    run_id: int | None, status: str | None, since: datetime | None
) -> list[ColumnElement[bool]]:
    wanted = {LoadRun.id: run_id, LoadRun.status: status}
    conditions = [column == value for column, value in wanted.items() if value is not None]
    return conditions + ([LoadRun.started_at >= since] if since else [])


def done_by(connection: Connection, run_id: int) -> Done:
    """Return what the ledger has of a run so far."""
    done = map(int, connection.execute(_DONE, {"run": run_id}).one())  # PostgreSQL sums in decimals
    loaded, failed, size_bytes, *counts = done
    return Done(loaded + failed, size_bytes, loaded, failed, Counts(*counts))


def run_in_full(connection: Connection, run: Run, most_files: int) -> RunInFull:
    """Return a run with what came of its files, of at most so many."""
    files = [
        entry
        for status in (FileStatus.FAILED, FileStatus.HELD, FileStatus.LOADED)
        for entry in list_entries(connection, status=status, run_id=run.id, limit=most_files)
    ]
    died, done = has_died(connection, run), done_by(connection, run.id)
    if run.status == RunStatus.RUNNING:
        run = run._replace(files_loaded=done.loaded, files_failed=done.failed, counts=done.counts)
    return RunInFull(run, died, done, files[:most_files])


def has_died(connection: Connection, run: Run | None) -> bool:
    """Whether a run that the ledger calls running is not alive.

    A run is alive as long as the run lock is held: the system releases it however a process ends.
    Its process id decides nothing; another process may have it by now, or another container.
    """
    is_running = run is not None and run.status == RunStatus.RUNNING
    if not is_running or dialect_of(connection).is_held(connection):
        return False
    with connection.engine.connect() as later:  # it may have ended since it was read
        return last_run(later) == run
