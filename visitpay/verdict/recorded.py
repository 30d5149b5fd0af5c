"""Which problems are on record: the table `problems`."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, or_, select

from visitpay.ledger.changing import CHANGING_LIMIT, FILE_CHANGING
from visitpay.models import Problem
from visitpay.verdict.kinds import FOUND_BY_LOOKING, KINDS

_COLUMNS = (Problem.id, Problem.name, Problem.subject, Problem.size, Problem.message)


class RecordedProblem(NamedTuple):
    """A problem as it was recorded; times in UTC."""

    id: int
    kind: str
    subject: str
    size: int
    message: str
    opened_at: datetime
    grown_at: datetime | None
    """When it last became larger; None if it never did."""
    told_at: datetime | None
    """When people were last told of it; None as long as nobody could be told."""


def recorded_problems(connection: Connection, now: datetime) -> list[RecordedProblem]:
    """Return the open problems on record, without files that began to change only lately."""
    is_due = or_(
        Problem.name != FILE_CHANGING,
        Problem.told_at.is_not(None),
        Problem.opened_at < now - CHANGING_LIMIT,
    )
    names = KINDS.keys() - FOUND_BY_LOOKING
    query = (
        select(*_COLUMNS, Problem.opened_at, Problem.grown_at, Problem.told_at)
        .where(Problem.closed_at.is_(None), Problem.name.in_(names), is_due)
        .order_by(Problem.id)
    )
    return [RecordedProblem(*row) for row in connection.execute(query)]
