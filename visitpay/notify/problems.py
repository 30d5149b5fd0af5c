"""Problems: what needs a person, compared with what people were told already.

Three modules decide whether something needs a person, each for a question of its own:

- `loading.run`: did this run end well? It counts only what this run met, and not the rejects that
  it was told to tolerate. This gives the status of the run.
- `reporting.status`: is anything wrong now? It counts all that is open, from any run: tolerated
  rejects as well, and all findings of `quality`.
- this module: what do people not know yet? It counts, from any run, what gives a run the status
  `attention`, days without a feed, and columns that nobody knows. People are told when a problem
  begins, grows and ends.
"""

import socket
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Connection, Select, func, insert, or_, select, update

from visitpay.landing.place import Landing
from visitpay.ledger.changing import CHANGING_LIMIT, FILE_CHANGING, ChangingFile, keeps_changing
from visitpay.ledger.files import FailedFile, failed_files
from visitpay.loading.types import HELD_ADVICE
from visitpay.models import LoadFile, LoadRun, Problem, RejectedRow
from visitpay.quality import checks
from visitpay.quality.columns import find_unknown
from visitpay.text import counted, minute, printable
from visitpay.vocabulary import FileStatus, RejectStatus, RunStatus

FILE_FAILED = "file_failed"
NAME_NEARLY_RIGHT = "name_nearly_right"
FEED_MISSING = "feed_missing"
ROWS_REJECTED = "rows_rejected"
COLUMNS_UNKNOWN = "columns_unknown"

_OVER = {
    FILE_FAILED: "was loaded, or taken away",
    NAME_NEARLY_RIGHT: "was renamed, or taken away",
    FILE_CHANGING: "no longer changes, or was taken away",
    FEED_MISSING: "no longer missing, or long ago",
    ROWS_REJECTED: "no rejected row is open any more",
    COLUMNS_UNKNOWN: "known and loaded, or no longer sent",
}

_UNTIL: Mapping[str, str] = {
    FileStatus.FAILED: "each load tries it until it is corrected or taken away",
    FileStatus.HELD: HELD_ADVICE,
}

_MAX_LINES = 20

_REJECTED = (
    select(RejectedRow.entity, func.count())
    .join_from(RejectedRow, LoadFile)
    .join(LoadRun)
    .where(RejectedRow.status == RejectStatus.OPEN, LoadRun.status != RunStatus.OK)
    .group_by(RejectedRow.entity)
    .order_by(RejectedRow.entity)
)


def _select_recorded(now: datetime) -> Select[int, str, str, int, datetime | None]:
    """Return the query for open problems, without files that began to change only lately."""
    is_due = or_(
        Problem.name != FILE_CHANGING,
        Problem.told_at.is_not(None),
        Problem.opened_at < now - CHANGING_LIMIT,
    )
    return (
        select(Problem.id, Problem.name, Problem.subject, Problem.size, Problem.told_at)
        .where(Problem.closed_at.is_(None), Problem.name.in_(_OVER), is_due)
        .order_by(Problem.id)
    )


class CurrentProblem(NamedTuple):
    """A problem as it is now."""

    name: str
    subject: str
    size: int
    message: str


class RecordedProblem(NamedTuple):
    """A problem as it was recorded; `told_at` is None as long as nobody could be told."""

    id: int
    name: str
    subject: str
    size: int
    told_at: datetime | None


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


def find(
    connection: Connection, landed: Landing, now: datetime, expect: str | None = None
) -> list[CurrentProblem]:
    """Return what needs a person: files, names, days, and rows of runs that rejected too many.

    Rows that a run was told to tolerate are not included; those of a run that was killed are. For
    `expect` see `quality.checks.findings`.
    """
    failed = map(_failed, failed_files(connection, landed.files))
    rejected = [
        CurrentProblem(
            ROWS_REJECTED,
            entity,
            rows,
            f"{entity}: {counted(rows, 'rejected row is', 'rejected rows are')} open; see: "
            f"visitpay rejects list --entity {entity}",
        )
        for entity, rows in connection.execute(_REJECTED)
    ]
    return [
        *failed,
        *(_misnamed(name, landed.unrecognised[name]) for name in landed.near_misses),
        *map(_changing, keeps_changing(connection, landed.names, now)),
        *_missing(connection, landed, now, expect),
        *rejected,
        *_unknown_columns(connection),
    ]


def _failed(file: FailedFile) -> CurrentProblem:
    until = _UNTIL.get(file.status, file.status)
    return CurrentProblem(FILE_FAILED, file.name, 1, f"{file.name}: {file.error}; {until}")


def _misnamed(name: str, why: str) -> CurrentProblem:
    shown = printable(name)
    message = f"{shown}: not loaded, its name is not right: {why}; rename it, or take it away"
    return CurrentProblem(NAME_NEARLY_RIGHT, shown, 1, message)


def _changing(file: ChangingFile) -> CurrentProblem:
    message = f"changed in every run since {minute(file.since)} UTC; see who writes it"
    return CurrentProblem(FILE_CHANGING, file.name, 1, f"{file.name}: not loaded, {message}")


def _missing(
    connection: Connection, landed: Landing, now: datetime, expect: str | None
) -> Iterator[CurrentProblem]:
    if expect is None:
        return
    others = checks.CHECKS.keys() - {FEED_MISSING}
    for finding in checks.findings(connection, now, expect, others, landed.files):
        message = f"{finding.subject}: {finding.message}; see whether the hospital sent its feed"
        yield CurrentProblem(FEED_MISSING, finding.subject, finding.count, message)


def _unknown_columns(connection: Connection) -> Collection[CurrentProblem]:
    """Return a problem for each set of columns: it stays the same when the model knows them."""
    problems: dict[str, CurrentProblem] = {}
    for found in find_unknown(connection):
        subject = f"{found.entity} {found.described}"
        message = f"{found.entity}: {found.message}; see: visitpay status"
        problems[subject] = CurrentProblem(COLUMNS_UNKNOWN, subject, 1, message)
    return problems.values()


def decide(recorded: Iterable[RecordedProblem], found: Iterable[CurrentProblem]) -> list[Change]:
    """Return the problems that have changed since they were recorded."""
    before = {(problem.name, problem.subject): problem for problem in recorded}
    changes = []
    for problem in found:
        old = before.pop((problem.name, problem.subject), None)
        if old is None or old.told_at is None:
            changes.append(Change(Transition.NEW, problem, old and old.id))
        elif problem.size != old.size:
            grown = problem.size > old.size
            transition = Transition.WORSE if grown else Transition.BETTER
            changes.append(Change(transition, problem, old.id))
    for old in before.values():
        message = f"{old.subject}: {_OVER[old.name]}"
        transition = Transition.OVER if old.told_at else Transition.NEVER_TOLD
        changes.append(
            Change(transition, CurrentProblem(old.name, old.subject, 0, message), old.id)
        )
    return changes


def changes_of(
    connection: Connection, landed: Landing, now: datetime, expect: str | None = None
) -> list[Change]:
    """Return what has changed between the recorded problems and those of `now` (UTC).

    The arguments are those of `find`.
    """
    recorded = (RecordedProblem(*row) for row in connection.execute(_select_recorded(now)))
    return decide(recorded, find(connection, landed, now, expect))


def record(
    connection: Connection,
    landed: Landing,
    now: datetime,
    expect: str | None = None,
    *,
    told: bool,
) -> None:
    """Record what has changed; what people could not be `told` is told by the next run.

    A second call changes nothing: a retry is safe if the first was committed unnoticed.
    """
    even_untold = {Transition.NEW, Transition.BETTER, Transition.NEVER_TOLD}
    for change in changes_of(connection, landed, now, expect):
        if told or change.transition in even_untold:
            _record(connection, change, now, now if told else None)


def _record(
    connection: Connection, change: Change, now: datetime, told_at: datetime | None
) -> None:
    problem = change.problem
    values: dict[str, object]
    if change.transition in {Transition.OVER, Transition.NEVER_TOLD}:
        values = {"closed_at": now}
    elif change.transition is Transition.BETTER:
        values = {"size": problem.size}
    else:
        values = {"size": problem.size, "message": problem.message, "told_at": told_at}
    if change.recorded_id is None:
        new = {"name": problem.name, "subject": problem.subject, "opened_at": now}
        connection.execute(insert(Problem).values(**new, **values))
    else:
        recorded = update(Problem).where(Problem.id == change.recorded_id)
        connection.execute(recorded.values(**values))


def summary(changes: Sequence[Change]) -> tuple[str, str]:
    """Return the title and the body of the message that tells of changes."""
    counts = Counter(change.transition.value for change in changes)
    title = f"{sender()}: " + ", ".join(f"{count} {name}" for name, count in counts.items())
    lines = [f"{change.transition.value}: {change.problem.message}" for change in changes]
    if len(changes) > _MAX_LINES:
        more = len(changes) - _MAX_LINES
        lines[_MAX_LINES:] = [f"and {more:,} more; see: visitpay status, visitpay files"]
    return title, "\n".join(lines)


def sender() -> str:
    """Return who sends a message: the program and the host."""
    return f"visitpay on {socket.gethostname()}"
