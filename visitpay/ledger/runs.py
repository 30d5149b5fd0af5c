"""The runs of `visitpay load`, each with its counts: the table `load_runs`."""

import socket
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, func, insert, select, update

from visitpay.ledger.files import Counts, counts_columns
from visitpay.models import LoadFile, LoadRun
from visitpay.version import __version__
from visitpay.vocabulary import FileStatus, RunStatus

_DONE = select(
    func.count().filter(LoadFile.status == FileStatus.LOADED).label("files_loaded"),
    func.count().filter(LoadFile.status == FileStatus.FAILED).label("files_failed"),
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
    rejects_resolved: int
    counts: Counts


def open_run(connection: Connection) -> int:
    """Enter a run that begins, and return its id; runs that were killed become interrupted.

    The caller holds the run lock: no other run is alive.
    """
    interrupt_runs(connection)
    run = {
        "started_at": datetime.now(UTC),
        "status": RunStatus.RUNNING,
        "version": __version__,
        "host": socket.gethostname(),
    }
    return connection.execute(insert(LoadRun).values(run).returning(LoadRun.id)).scalar_one()


def close_run(
    connection: Connection, run_id: int, status: str, finished_at: datetime | None, **counts: int
) -> None:
    """Enter how a run ended; `finished_at` is in UTC, None where it is unknown."""
    values = {"status": status, "finished_at": finished_at, **counts}
    connection.execute(update(LoadRun).where(LoadRun.id == run_id).values(values))


def interrupt_runs(connection: Connection, finished_at: datetime | None = None) -> None:
    """Mark the runs that the ledger calls running as interrupted, with the counts of their files.

    The caller holds the run lock, so that none of them is alive. `finished_at` (UTC) is given by a
    run that a signal ends; when a run was killed, its end is unknown.
    """
    unfinished = select(LoadRun.id).where(LoadRun.status == RunStatus.RUNNING)
    for run_id in connection.scalars(unfinished).all():
        done = connection.execute(_DONE, {"run": run_id}).one()._asdict()
        close_run(connection, run_id, RunStatus.INTERRUPTED, finished_at, **done)


def last_run(connection: Connection) -> Run | None:
    """Return the newest run; None before the first."""
    columns = [getattr(LoadRun, name) for name in Run._fields[:-1]]
    newest = select(*columns, *counts_columns(LoadRun)).order_by(LoadRun.id.desc()).limit(1)
    row = tuple(connection.execute(newest).first() or ())
    return Run._make((*row[: len(columns)], Counts(*row[len(columns) :]))) if row else None
