"""The runs of `visitpay load`, each with its counts: the table `load_runs`."""

import socket
from datetime import UTC, datetime

from sqlalchemy import (
    Connection,
    RowMapping,
    bindparam,
    func,
    insert,
    select,
    update,
)

from visitpay.ledger.files import Counts
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


def open_run(connection: Connection) -> int:
    """Open the book of a run and give its id; runs that were killed are marked interrupted."""
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
    """Close the book of a run; `finished_at` is in UTC, None where nobody knows it."""
    values = {"status": status, "finished_at": finished_at, **counts}
    connection.execute(update(LoadRun).where(LoadRun.id == run_id).values(values))


def interrupt_runs(connection: Connection, finished_at: datetime | None = None) -> None:
    """Mark runs that stand as running as interrupted, with what the ledger says of their files.

    Only who has the hold may do so: then none of them runs. `finished_at` (UTC) is for one that
    hears of its end; when one was killed, nobody knows.
    """
    unfinished = select(LoadRun.id).where(LoadRun.status == RunStatus.RUNNING)
    for run_id in connection.scalars(unfinished).all():
        done = connection.execute(_DONE, {"run": run_id}).one()._asdict()
        close_run(connection, run_id, RunStatus.INTERRUPTED, finished_at, **done)


def last_run(connection: Connection) -> RowMapping | None:
    """Give the book of the newest run; None before the first."""
    newest = select(*LoadRun.__table__.columns).order_by(LoadRun.id.desc()).limit(1)
    return connection.execute(newest).mappings().first()
