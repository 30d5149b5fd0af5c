"""Files that no run could load because they keep changing: which, and since when."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, insert, select, update

from visitpay.models import Problem

FILE_CHANGING = "file_changing"

CHANGING_LIMIT = timedelta(days=1)
"""A file that changes for longer than this needs a person."""

_OPEN_PROBLEMS = (
    select(Problem.id, Problem.subject, Problem.opened_at, Problem.told_at)
    .where(Problem.name == FILE_CHANGING, Problem.closed_at.is_(None), Problem.size > 0)
    .order_by(Problem.id)
)


class ChangingFile(NamedTuple):
    """A file that changed in every run since a time (UTC)."""

    name: str
    since: datetime


def record_changing(
    connection: Connection, changed: Collection[str], left_out: Collection[str], now: datetime
) -> None:
    """Record which files a run could not load because they changed, and which no longer change.

    What is recorded of the files that the run `left_out` stays as it is.
    """
    recorded = {row.subject: row for row in connection.execute(_OPEN_PROBLEMS)}
    for name in sorted(set(changed) - recorded.keys()):
        values = {"name": FILE_CHANGING, "subject": name, "size": 1, "message": ""}
        connection.execute(insert(Problem).values(opened_at=now, **values))
    for name in recorded.keys() - set(changed) - set(left_out):
        # If a person was told of it, it is closed when the person is told that it is over.
        change = {"size": 0} if recorded[name].told_at else {"closed_at": now}
        connection.execute(update(Problem).where(Problem.id == recorded[name].id).values(change))


def keeps_changing(
    connection: Connection, present: Collection[str], now: datetime
) -> list[ChangingFile]:
    """Return those of the `present` files that changed in every run for over CHANGING_LIMIT."""
    files = (ChangingFile(row.subject, row.opened_at) for row in connection.execute(_OPEN_PROBLEMS))
    return [file for file in files if file.since < now - CHANGING_LIMIT and file.name in present]
