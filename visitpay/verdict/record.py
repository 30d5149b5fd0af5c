"""The record of problems: since when each is there, and what people were told of it."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, case, exists, insert, select, update

from visitpay.ledger.runs import list_runs
from visitpay.models import Problem, RejectedRow
from visitpay.verdict.acknowledging import (
    acknowledged,
    end_acknowledgements,
    is_known,
    lower,
)
from visitpay.verdict.kinds import KINDS
from visitpay.verdict.problems import CurrentProblem
from visitpay.verdict.recorded import RecordedProblem, recorded_problems
from visitpay.vocabulary import RejectStatus, RunStatus


class Transition(StrEnum):
    """What became of a problem since people were told of it."""

    NEW = "new"
    WORSE = "worse"
    OVER = "over"
    BETTER = "better"
    NEVER_TOLD = "never told"
    """Over before anyone was told."""

    @property
    def worth_telling(self) -> bool:
        """Whether people are told of it."""
        return self in {Transition.NEW, Transition.WORSE, Transition.OVER}


@dataclass(frozen=True)
class Change:
    """A problem that has changed: people are told of it, or it is only recorded."""

    transition: Transition
    problem: CurrentProblem
    recorded_id: int | None = None
    """Its id if it was recorded before."""


def decide(recorded: Iterable[RecordedProblem], found: Iterable[CurrentProblem]) -> list[Change]:
    """Return the problems that have changed since they were recorded."""
    before = {(problem.kind, problem.subject): problem for problem in recorded}
    changes = []
    for problem in found:
        old = before.pop((problem.kind, problem.subject), None)
        if old is None or old.told_at is None:
            changes.append(Change(Transition.NEW, problem, old and old.id))
        elif problem.size != old.size:
            grown = problem.size > old.size
            transition = Transition.WORSE if grown else Transition.BETTER
            changes.append(Change(transition, problem, old.id))
    for old in before.values():
        message = f"{old.subject or old.message}: {KINDS[old.kind].over}"
        transition = Transition.OVER if old.told_at else Transition.NEVER_TOLD
        over = CurrentProblem(old.kind, old.subject, 0, message)
        changes.append(Change(transition, over, old.id))
    return changes


def changes_of(
    connection: Connection,
    found: Iterable[CurrentProblem],
    now: datetime,
    unseen: Collection[str] = (),
) -> list[Change]:
    """Return what has changed between the recorded problems and those that were found `now`.

    What is recorded of `unseen` kinds, which nobody looked for, is as it was.
    """
    recorded = recorded_problems(connection, now)
    return decide((problem for problem in recorded if problem.kind not in unseen), found)


def worth_telling(
    connection: Connection,
    found: Collection[CurrentProblem],
    now: datetime,
    unseen: Collection[str] = (),
) -> list[Change]:
    """Return the changes that people are told of; what a person acknowledged is not told as new."""
    words = acknowledged(connection)
    return [
        change
        for change in changes_of(connection, found, now, unseen)
        if change.transition is Transition.OVER
        or (change.transition.worth_telling and not is_known(words, change.problem))
    ]


def record(
    connection: Connection,
    found: Collection[CurrentProblem],
    now: datetime,
    unseen: Collection[str] = (),
    *,
    told: bool | None,
) -> None:
    """Record what has changed; what people could not be `told` is told by the next run.

    `told` is None where there is nobody to tell. What was acknowledged and is over is no longer
    acknowledged. A second call changes nothing: a retry is safe if the first was committed
    unnoticed.
    """
    words = acknowledged(connection)
    for_later = {Transition.WORSE, Transition.OVER} if told is False else set()
    for change in changes_of(connection, found, now, unseen):
        if change.transition not in for_later:
            was_told = bool(told) and not is_known(words, change.problem)
            _record(connection, change, now, now if was_told else None)
    lower(connection, found)
    end_acknowledgements(connection, now, {problem[:2] for problem in found}, unseen)


def may_have_changed(connection: Connection) -> bool:
    """Whether rows may have changed before the last run, since problems were last recorded.

    So it is if the run before did not come to its end, or rows were retried since. The first run of
    a day looks in any case: a check that was ignored then may be made now.
    """
    runs = list_runs(connection, limit=2)
    last, before = runs[0], runs[-1]
    if before is last or before.finished_at is None:
        return True
    came_to_end = before.status in {RunStatus.OK, RunStatus.ATTENTION}
    if not came_to_end or before.started_at.date() != last.started_at.date():
        return True
    is_retried = (RejectedRow.status == RejectStatus.RESOLVED) & (
        RejectedRow.closed_at > before.finished_at
    )
    return bool(connection.scalar(select(exists().where(is_retried))))


def _record(
    connection: Connection, change: Change, now: datetime, told_at: datetime | None
) -> None:
    problem = change.problem
    values: dict[str, object]
    if change.transition in {Transition.OVER, Transition.NEVER_TOLD}:
        values = {"closed_at": now}
    elif change.transition is Transition.BETTER:
        values = {"size": problem.size, "message": problem.message}
    else:
        values = {"size": problem.size, "message": problem.message}
        values |= {"told_at": told_at} if told_at else {}
    if change.recorded_id is None:
        new = {"name": problem.kind, "subject": problem.subject, "opened_at": now}
        connection.execute(insert(Problem).values(**new, **values))
    else:
        is_larger = Problem.size < problem.size
        values["grown_at"] = case((is_larger, now), else_=Problem.grown_at)
        recorded = update(Problem).where(Problem.id == change.recorded_id)
        connection.execute(recorded.values(**values))
