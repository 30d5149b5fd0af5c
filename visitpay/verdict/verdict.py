"""The verdict: whether all is well, since when, what is new, and what to do first.

It is decided here and nowhere else, for `visitpay status`, the page, alerts, metrics, the doctor
and the exit status of a load.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, func, select

from visitpay.hints import Setup
from visitpay.ledger.history import loaded_until
from visitpay.models import Acknowledgement, LoadRun, Problem
from visitpay.rejects.queries import count_open
from visitpay.text import counted, minute, printable
from visitpay.verdict.acknowledging import Acknowledged, acknowledged, is_known
from visitpay.verdict.kinds import (
    FILE_FAILED,
    NAME_NEARLY_RIGHT,
    NOT_RECOGNISED,
    ROWS_REJECTED,
    in_words,
)
from visitpay.verdict.lateness import A_DAY
from visitpay.verdict.problems import (
    CurrentProblem,
    Feed,
    as_one,
    find,
    of_files,
    of_rows,
    put_together,
)
from visitpay.verdict.recorded import recorded_problems
from visitpay.vocabulary import Health


@dataclass(frozen=True)
class Judged:
    """A problem, since when it is there, and whether a person knows of it; times in UTC."""

    kind: str
    """A key of `kinds.KINDS`."""
    subject: str
    size: int
    message: str
    command: str
    """The command that helps, to be run as it stands."""
    since: datetime | None
    """When it began, or was first recorded; None if no load has recorded it yet."""
    has_grown: bool
    """Whether it got worse in the last 24 hours, and began before."""
    is_new: bool
    """Whether it began or got worse in the last 24 hours, or no load has recorded that yet."""
    acknowledged: Acknowledged | None
    """The word of a person who knows of it; None if nobody does, or it got worse since."""


@dataclass(frozen=True)
class Verdict:
    """Whether all is well with the feed."""

    state: Health
    since: datetime | None
    """Since when, in UTC; None if that is unknown."""
    problems: Sequence[Judged]
    """All that is open, the most urgent first."""
    loaded_until: datetime | None
    """The oldest of the newest times (UTC) of the record types; None if nothing was loaded."""
    waiting: int
    """How many files wait to be loaded."""
    rejects_open: int
    """How many rejects are open, those that are tolerated or acknowledged included."""
    setup: Setup
    """What the commands of the problems work on."""

    @property
    def new(self) -> list[Judged]:
        """The problems that nobody knows of and that are new."""
        return [problem for problem in self.open if problem.is_new]

    @property
    def known(self) -> list[Judged]:
        """The problems that nobody has acknowledged and that are there for longer."""
        return [problem for problem in self.open if not problem.is_new]

    @property
    def open(self) -> list[Judged]:
        """The problems that need a person."""
        return [problem for problem in self.problems if not problem.acknowledged]

    @property
    def acknowledged(self) -> list[Judged]:
        """The problems that a person knows of."""
        return [problem for problem in self.problems if problem.acknowledged]

    @property
    def rejects_tolerated(self) -> int:
        """How many rejects are open and need no person, as they were to be tolerated."""
        counted_in = sum(each.size for each in self.problems if each.kind == ROWS_REJECTED)
        return self.rejects_open - counted_in

    def in_brief(self, problems: Iterable[Judged]) -> list[Judged]:
        """Return some of its problems for people: the rejects of an entity as one."""
        return [
            _as_one(parts, self.setup) if parts[0].kind == ROWS_REJECTED else parts[0]
            for parts in put_together(problems)
        ]

    @property
    def summary(self) -> str:
        """The verdict in one line of words."""
        if self.state is Health.NEEDS_PERSON:
            new = len(self.in_brief(self.new)) if self.known else 0
            are_new = f" ({new:,} new)" if new else ""
            return f"needs a person{are_new}: {in_numbers(self.open)}"
        known = f"; acknowledged: {in_numbers(self.acknowledged)}" if self.acknowledged else ""
        rejects = counted(self.rejects_open, "reject is", "rejects are")
        is_open = f"{rejects} open" if self.rejects_open else "nothing is open"
        if self.loaded_until is None:
            waiting = counted(self.waiting, "file waits", "files wait")
            why = f"; {waiting}; run: {self.setup.hint('load')}" if self.waiting else ""
            return f"unknown: nothing was loaded yet{why}{known}"
        return f"all is well: loaded up to {minute(self.loaded_until)} UTC, {is_open}{known}"


def _as_one(rejects: Sequence[Judged], setup: Setup) -> Judged:
    """Return the rejects of an entity, which are problems by reason, as one problem."""
    told = as_one(rejects, setup)
    return replace(
        rejects[0],
        subject=told.subject,
        size=told.size,
        message=told.message,
        command=told.command,
        since=min((each.since for each in rejects if each.since), default=None),
        has_grown=any(each.has_grown for each in rejects),
        is_new=any(each.is_new for each in rejects),
    )


def in_numbers(problems: Iterable[Judged | CurrentProblem]) -> str:
    """Return how many problems there are, by kind: `1 file failed, 12 rejects open`."""
    sizes: dict[str, list[int]] = {}
    for problem in problems:
        sizes.setdefault(problem.kind, []).append(problem.size)
    return ", ".join(counted(*words) for words in in_words(sizes))


def judge(feed: Feed, lasting: Sequence[CurrentProblem] | None = None) -> Verdict:
    """Return the verdict on the feed; `lasting` as `problems.find` takes it."""
    problems = _judged(feed, find(feed, lasting))
    until = loaded_until(feed.connection, feed.now)
    begins = [problem.since or feed.now for problem in problems if not problem.acknowledged]
    state = Health.UNKNOWN if until is None else Health.WELL
    return Verdict(
        state=Health.NEEDS_PERSON if begins else state,
        since=min(begins) if begins else _well_since(feed.connection),
        problems=problems,
        loaded_until=until,
        waiting=len(feed.waiting),
        rejects_open=count_open(feed.connection),
        setup=feed.setup,
    )


def _judged(feed: Feed, problems: Iterable[CurrentProblem]) -> list[Judged]:
    recorded = recorded_problems(feed.connection, feed.now)
    before = {(problem.kind, problem.subject): problem for problem in recorded}
    words = acknowledged(feed.connection)
    judged = []
    for problem in problems:
        key = problem.kind, problem.subject
        old = before.get(key)
        since = problem.began or (old and old.opened_at)
        yesterday = feed.now - A_DAY
        began = since is None or since >= yesterday
        grown_at = old and old.grown_at
        is_larger = old is not None and problem.size > old.size
        has_grown = not began and (is_larger or (grown_at is not None and grown_at >= yesterday))
        judged.append(
            Judged(
                *problem[:5],
                since=since,
                has_grown=has_grown,
                is_new=began or has_grown,
                acknowledged=words[key] if is_known(words, problem) else None,
            )
        )
    return judged


def _well_since(connection: Connection) -> datetime | None:
    """Return when the last problem was over or acknowledged, else when the first run began."""
    ends = (func.max(Problem.closed_at), func.max(Acknowledgement.made_at))
    times = [connection.scalar(select(end)) for end in ends]
    known = [time for time in times if time is not None]
    return max(known) if known else connection.scalar(select(func.min(LoadRun.started_at)))


def problems_of_run(feed: Feed, failed: Mapping[str, str], rejected: int) -> list[CurrentProblem]:
    """Return what of a run that ends needs a person: with any of it, its exit status is 1.

    That is a file that failed or is held, a name that is nearly the feed's, a file that keeps
    changing, or rejected rows, unless a person has acknowledged it. `failed` has the files that
    failed in the run, with their errors: some are not in the ledger, such as one taken again.
    `rejected` is how many rows the run rejected, 0 if that is within what it was to tolerate.
    """
    words = acknowledged(feed.connection)
    files = [problem for problem in of_files(feed) if problem.kind != NOT_RECOGNISED]
    rows = list(of_rows(feed)) if rejected else []
    in_ledger = {problem.subject for problem in files}
    others = {name: error for name, error in failed.items() if name not in in_ledger}
    return [
        *(problem for problem in (*files, *rows) if not is_known(words, problem)),
        *problems_without_books(others, (), 0 if rows else rejected),
    ]


def problems_without_books(
    failed: Mapping[str, str], near_misses: Iterable[str], rejected: int
) -> list[CurrentProblem]:
    """Return what of a run needs a person, as far as nothing of it is in the database."""
    rows = counted(rejected, "row was", "rows were")
    return [
        *(
            CurrentProblem(FILE_FAILED, name, 1, f"{name}: {error}")
            for name, error in failed.items()
        ),
        *(
            CurrentProblem(NAME_NEARLY_RIGHT, printable(name), 1, f"{printable(name)}: not loaded")
            for name in near_misses
        ),
        *([CurrentProblem(ROWS_REJECTED, "", rejected, f"{rows} rejected")] if rejected else ()),
    ]
