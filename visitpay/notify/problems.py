"""Problems: what needs a person, beside what a person was told already."""

import socket
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Connection, Select, func, insert, or_, select, update

from visitpay.landing.place import Landing
from visitpay.ledger.changing import CHANGING_LIMIT, FILE_CHANGING, ChangingFile, keeps_changing
from visitpay.ledger.files import failed_files
from visitpay.loading.types import HELD_ADVICE
from visitpay.models import LoadFile, LoadRun, Problem, RejectedRow
from visitpay.quality import checks as quality
from visitpay.text import counted, minute, printable
from visitpay.vocabulary import FileStatus, RejectStatus, RunStatus

FILE_FAILED = "file_failed"
NAME_NEARLY_RIGHT = "name_nearly_right"
FEED_MISSING = "feed_missing"
ROWS_REJECTED = "rows_rejected"

_OVER = {
    FILE_FAILED: "was loaded, or taken away",
    NAME_NEARLY_RIGHT: "was renamed, or taken away",
    FILE_CHANGING: "no longer changes, or was taken away",
    FEED_MISSING: "no longer missing, or long ago",
    ROWS_REJECTED: "no rejected row is open any more",
}

_UNTIL: Mapping[str, str] = {
    FileStatus.FAILED: "each load tries it until it is corrected or taken away",
    FileStatus.HELD: HELD_ADVICE,
}

_LINES = 20

_REJECTED = (
    select(RejectedRow.entity, func.count())
    .join_from(RejectedRow, LoadFile)
    .join(LoadRun)
    .where(RejectedRow.status == RejectStatus.OPEN, LoadRun.status != RunStatus.OK)
    .group_by(RejectedRow.entity)
    .order_by(RejectedRow.entity)
)


def _known(now: datetime) -> Select[int, str, str, int, datetime | None]:
    """Select what is on record, but for files that have not changed for long enough."""
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
    """A problem as it stands now."""

    name: str
    subject: str
    size: int
    message: str


class RecordedProblem(NamedTuple):
    """A problem that is on record; `told_at` is None as long as nobody could be told."""

    id: int
    name: str
    subject: str
    size: int
    told_at: datetime | None


class Transition(StrEnum):
    """What became of a problem since a person was told of it."""

    NEW = "new"
    WORSE = "worse"
    OVER = "over"
    BETTER = "better"
    FORGOTTEN = "forgotten"
    """Over before anyone was told."""

    @property
    def worth_telling(self) -> bool:
        """Whether a person is told of it."""
        return self in {Transition.NEW, Transition.WORSE, Transition.OVER}


@dataclass(frozen=True)
class Change:
    """A problem of which something is to be told, or written down."""

    turn: Transition
    now: CurrentProblem
    entry: int | None = None
    """Its id, if it is on record."""


def find(
    connection: Connection, landed: Landing, now: datetime, expect: str | None = None
) -> list[CurrentProblem]:
    """Give what needs a person: files, names, days, and rows of runs that rejected too many.

    Rows that a run was told to tolerate are not among them; those of a run that was killed are. For
    `expect` see `quality.findings`.
    """
    failed = [
        CurrentProblem(
            FILE_FAILED,
            each.name,
            1,
            f"{each.name}: {each.error}; {_UNTIL[each.status]}",
        )
        for each in failed_files(connection, landed.files)
    ]
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
        *map(
            _misnamed, landed.near_misses, map(landed.unrecognised.__getitem__, landed.near_misses)
        ),
        *map(_changing, keeps_changing(connection, landed.names, now)),
        *_missing(connection, landed, now, expect),
        *rejected,
    ]


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
    others = quality.CHECKS.keys() - {FEED_MISSING}
    for each in quality.findings(connection, now, expect, others, landed.files):
        message = f"{each.subject}: {each.message}; see whether the hospital sent its feed"
        yield CurrentProblem(FEED_MISSING, each.subject, each.count, message)


def decide(known: Iterable[RecordedProblem], found: Iterable[CurrentProblem]) -> list[Change]:
    """Say what is to be told and written down: what is new, worse than a person knows, or over."""
    before = {(each.name, each.subject): each for each in known}
    changes = []
    for now in found:
        was = before.pop((now.name, now.subject), None)
        if was is None or was.told_at is None:
            changes.append(Change(Transition.NEW, now, was and was.id))
        elif now.size != was.size:
            turn = Transition.WORSE if now.size > was.size else Transition.BETTER
            changes.append(Change(turn, now, was.id))
    for gone in before.values():
        now = CurrentProblem(gone.name, gone.subject, 0, f"{gone.subject}: {_OVER[gone.name]}")
        changes.append(
            Change(Transition.OVER if gone.told_at else Transition.FORGOTTEN, now, gone.id)
        )
    return changes


def changes_of(
    connection: Connection, landed: Landing, now: datetime, expect: str | None = None
) -> list[Change]:
    """Compare what needs a person `now` (UTC) with what is on record; takes what `find` takes."""
    known = (RecordedProblem(*each) for each in connection.execute(_known(now)))
    return decide(known, find(connection, landed, now, expect))


def record(
    connection: Connection,
    landed: Landing,
    moment: datetime,
    expect: str | None = None,
    *,
    told: bool,
) -> None:
    """Write down what changed; what could not be `told` stands so that it is news the next time.

    Done again, it changes nothing: its commit may have arrived though the answer did not.
    """
    for change in changes_of(connection, landed, moment, expect):
        if told or change.turn in {Transition.NEW, Transition.BETTER, Transition.FORGOTTEN}:
            _write(connection, change, moment, moment if told else None)


def _write(
    connection: Connection, change: Change, moment: datetime, told_at: datetime | None
) -> None:
    values: dict[str, object]
    if change.turn in {Transition.OVER, Transition.FORGOTTEN}:
        values = {"closed_at": moment}
    elif change.turn is Transition.BETTER:
        values = {"size": change.now.size}
    else:
        values = {"size": change.now.size, "message": change.now.message, "told_at": told_at}
    if change.entry is None:
        new = {"name": change.now.name, "subject": change.now.subject, "opened_at": moment}
        connection.execute(insert(Problem).values(**new, **values))
    else:
        connection.execute(update(Problem).where(Problem.id == change.entry).values(**values))


def summary(changes: Sequence[Change]) -> tuple[str, str]:
    """Give the title and the body of the message that tells of changes."""
    turns = Counter(each.turn.value for each in changes)
    title = f"{origin()}: " + ", ".join(f"{times} {turn}" for turn, times in turns.items())
    lines = [f"{each.turn.value}: {each.now.message}" for each in changes[:_LINES]]
    if len(changes) > _LINES:
        lines.append(f"and {len(changes) - _LINES:,} more; see: visitpay status, visitpay files")
    return title, "\n".join(lines)


def origin() -> str:
    """Say who sends a message."""
    return f"visitpay on {socket.gethostname()}"
