"""Files that no run can load, since they change in each, or never rest: which, and since when."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, insert, select, update

from visitpay.models import Problem

FILE_CHANGING = "file_changing"

CHANGING_LIMIT = timedelta(days=1)
"""A file that changes for longer needs a person."""

_STANDING = (
    select(Problem.id, Problem.subject, Problem.opened_at, Problem.told_at)
    .where(Problem.name == FILE_CHANGING, Problem.closed_at.is_(None), Problem.size > 0)
    .order_by(Problem.id)
)


class ChangingFile(NamedTuple):
    """A file that changed in every run since then, in UTC."""

    name: str
    since: datetime


def record_changing(
    connection: Connection, changed: Collection[str], left_out: Collection[str], now: datetime
) -> None:
    """Write down which files a run did not load since they changed, and which do no more.

    Of those that it `left_out` nothing new is known.
    """
    standing = {row.subject: row for row in connection.execute(_STANDING)}
    for name in sorted(set(changed) - standing.keys()):
        entry = {"name": FILE_CHANGING, "subject": name, "size": 1, "message": "", "opened_at": now}
        connection.execute(insert(Problem).values(entry))
    for name in standing.keys() - set(changed) - set(left_out):
        # What a person was told of is closed by who tells that it is over.
        values = {"size": 0} if standing[name].told_at else {"closed_at": now}
        connection.execute(update(Problem).where(Problem.id == standing[name].id).values(values))


def keeps_changing(
    connection: Connection, lying: Collection[str], now: datetime
) -> list[ChangingFile]:
    """Give those of the files that lie there that changed in every run for longer than LONG."""
    standing = (ChangingFile(row.subject, row.opened_at) for row in connection.execute(_STANDING))
    return [each for each in standing if each.since < now - CHANGING_LIMIT and each.name in lying]
