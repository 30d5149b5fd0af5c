"""What is wrong now: each problem with its kind, what it is about, and the command that helps.

This is the only place that says what is a problem. Whether a person must look at it is for
`visitpay.verdict.verdict` to say, which knows what people have acknowledged.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import NamedTuple, Protocol, TypeVar

from sqlalchemy import Connection, func, select

from visitpay.feed import short_name
from visitpay.hints import DEFAULT_SETUP, Setup
from visitpay.landing.place import LandedFile, Landing
from visitpay.ledger.changing import FILE_CHANGING, ChangingFile, keeps_changing
from visitpay.ledger.files import FailedFile, failed_files
from visitpay.ledger.history import CLOCKS_APART, checkpoint
from visitpay.ledger.plan import make_plan
from visitpay.ledger.refused import last_refusal
from visitpay.ledger.runs import Run, has_died, last_run, list_runs
from visitpay.models import LoadFile, LoadRun, RejectedRow
from visitpay.quality.checks import VISIT_CHECKS, Finding, findings
from visitpay.quality.columns import find_unknown
from visitpay.text import ago, counted, minute, printable, span
from visitpay.verdict import kinds
from visitpay.verdict.advice import advice_for
from visitpay.verdict.kinds import KINDS
from visitpay.verdict.lateness import Schedule, feed_schedule, schedule
from visitpay.verdict.recorded import recorded_problems
from visitpay.vocabulary import FileStatus, RejectStatus, RunStatus

HELD_ADVICE = "ask the hospital for a corrected file, or load it with --approve"
"""What a person does about a file that is held."""

_UNTIL: Mapping[str, str] = {
    FileStatus.FAILED: "each load tries it until it is corrected or taken away",
    FileStatus.HELD: HELD_ADVICE,
}

A_WEEK = timedelta(weeks=1)


class CurrentProblem(NamedTuple):
    """A problem as it is now; it holds no cell of a row."""

    kind: str
    """A key of KINDS."""
    subject: str
    """What it is about, such as a file's name; kind and subject tell it from all others."""
    size: int
    """How large it is, such as a number of rows."""
    message: str
    """What is wrong, in a line of words."""
    command: str = ""
    """The command that helps, to be run as it stands."""
    began: datetime | None = None
    """When it began, in UTC, if it says so by itself."""
    state: str = ""
    """The version of the file that it is about; empty if it is about none."""


@dataclass(frozen=True)
class Expectations:
    """What a person said of the feed."""

    days: str | None = None
    """On which days files should come: a key of `quality.checks.EXPECTED_WEEKDAYS`."""
    ignored: Collection[str] = ()
    """Checks that are not made."""
    every: timedelta | None = None
    """How often a load should run; None to learn it from the ledger."""

    @property
    def unseen(self) -> frozenset[str]:
        """The kinds that are not looked for: whether they are there, nobody can tell."""
        other = kinds.FEED_MISSING if self.days is None else kinds.FEED_LATE
        return frozenset({*self.ignored, other})


NOTHING_EXPECTED = Expectations()


@dataclass(frozen=True)
class Feed:
    """The feed `now` (UTC): the landing directory held against the ledger."""

    connection: Connection
    landed: Landing
    now: datetime
    expectations: Expectations = NOTHING_EXPECTED
    setup: Setup = DEFAULT_SETUP
    under_lock: bool = False
    """Whether the caller holds the run lock: then no other load is alive."""
    rows_changed: bool = True
    """Whether rows of entities may have changed since problems were last recorded."""

    @cached_property
    def pending(self) -> tuple[LandedFile, ...]:
        """The files that were not loaded as they are now, failed and held ones included."""
        plan = make_plan(self.connection, self.landed.files, now=self.now)
        held = {hold.name for hold in plan.held}
        return (*plan.pending, *(file for file in self.landed.files if file.name in held))

    @cached_property
    def failed(self) -> list[FailedFile]:
        """The files that failed, or are held, and have not changed since."""
        return failed_files(self.connection, self.landed.files)

    @cached_property
    def waiting(self) -> list[LandedFile]:
        """The files that no run has tried as they are now."""
        tried = {file.name for file in self.failed}
        return [file for file in self.pending if file.name not in tried]

    @cached_property
    def changing(self) -> list[ChangingFile]:
        """The files that changed in every run for more than a day."""
        return keeps_changing(self.connection, self.landed.names, self.now)

    @cached_property
    def findings(self) -> list[Finding]:
        """What the checks of deliveries and of visits find."""
        ignored = set(self.expectations.ignored)
        if not self.rows_changed:
            ignored |= VISIT_CHECKS.keys()
        return findings(self.connection, self.now, self.expectations.days, ignored, self.pending)

    @cached_property
    def last_run(self) -> Run | None:
        """The newest run."""
        return last_run(self.connection)

    @cached_property
    def run_is_alive(self) -> bool:
        """Whether the last run is running, and its process is there."""
        return self._is_running and not self.run_died

    @cached_property
    def run_died(self) -> bool:
        """Whether the ledger says that the last run is running, and no load is there."""
        return self._is_running and (self.under_lock or has_died(self.connection, self.last_run))

    @property
    def _is_running(self) -> bool:
        return self.last_run is not None and self.last_run.status == RunStatus.RUNNING

    @cached_property
    def unseen(self) -> frozenset[str]:
        """The kinds that nobody looks for now: those of files, where another directory is read."""
        landings = {run.landing for run in list_runs(self.connection, limit=2)}
        is_elsewhere = None not in landings and len(landings) > 1
        return self.expectations.unseen | (kinds.OF_FILES if is_elsewhere else frozenset())

    @cached_property
    def schedule(self) -> Schedule:
        """How often a load runs."""
        return schedule(self.connection, self.expectations.every)


def find(feed: Feed, lasting: Sequence[CurrentProblem] | None = None) -> list[CurrentProblem]:
    """Return all problems, the most urgent kinds first; `lasting` are those found just before."""
    order = {kind: place for place, kind in enumerate(KINDS)}
    found = [*of_runs(feed), *(find_lasting(feed) if lasting is None else lasting)]
    return sorted(found, key=lambda problem: order[problem.kind])


def _each_once(problems: Iterable[CurrentProblem]) -> list[CurrentProblem]:
    """Return the problems, those of one kind and subject as one."""
    merged: dict[tuple[str, str], CurrentProblem] = {}
    for problem in problems:
        key = problem.kind, problem.subject
        before = merged.setdefault(key, problem)
        if before is not problem:
            message = f"{before.message}; {problem.message}"
            merged[key] = before._replace(size=before.size + problem.size, message=message)
    return list(merged.values())


def find_lasting(feed: Feed) -> list[CurrentProblem]:
    """Return the problems that a load can see at its end: of files, rows and checks."""
    return _each_once([*of_files(feed), *of_feed(feed), *of_rows(feed), *of_checks(feed)])


def of_runs(feed: Feed) -> Iterator[CurrentProblem]:
    """Yield what is wrong with the runs: late, dead, failed; and the files that wait for one."""
    if run := feed.last_run:
        yield from _of_last_run(feed, run)
    refusal = last_refusal(feed.setup.database_url)
    if refusal and not feed.run_is_alive and refusal.at > _last_sign(feed.last_run):
        message = f"the load of {minute(refusal.at)} UTC could not begin: {refusal.reason}"
        yield _problem(feed, kinds.RUN_REFUSED, "", refusal.times, message, began=refusal.since)
    limit = feed.schedule.limit
    late = [(feed.now - at, at) for at in map(_waits_since, feed.waiting) if feed.now - at > limit]
    if late and not feed.run_is_alive:
        oldest = max(late)[1]
        files = counted(len(late), "file waits", "files wait")
        message = f"{files} to be loaded, the first since {minute(oldest)} UTC"
        yield _problem(feed, kinds.FILES_WAITING, "", len(late), message, began=oldest + limit)


def _of_last_run(feed: Feed, run: Run) -> Iterator[CurrentProblem]:
    begun = f"the load of {minute(run.started_at)} UTC"
    if run.status == RunStatus.FAILED:
        message = f"{begun} ended with an error: {run.error or 'unknown'}"
        yield _problem(feed, kinds.RUN_FAILED, "", 1, message, began=run.finished_at)
    limit, age = feed.schedule.limit, feed.now - _last_sign(run)
    if feed.run_died:
        message = f"{begun} died or was stopped, and none has begun since"
        yield _problem(feed, kinds.RUN_DIED, "", 1, message, began=run.started_at)
    if age < -CLOCKS_APART:
        message = f"{begun} began at a time that is yet to come: set the clock"
        yield _problem(feed, kinds.RUN_LATE, "", 1, message)
    if age <= limit:
        return
    due = _last_sign(run) + limit
    if feed.run_is_alive:
        message = f"{begun} has not ended yet"
        yield _problem(feed, kinds.RUN_NOT_ENDED, "", 1, message, began=due)
    else:
        usual = span(feed.schedule.interval)
        since = feed.now - run.started_at
        message = f"no load has begun since {minute(run.started_at)} UTC, {ago(since)};"
        message += f" one every {usual} is usual"
        # It grows each week, so that a late load that is acknowledged is not forgotten.
        weeks = 1 + (feed.now - due) // A_WEEK
        yield _problem(feed, kinds.RUN_LATE, "", weeks, message, began=due)


def _last_sign(run: Run | None) -> datetime:
    """Return when a run ended, or began if it has not ended (UTC)."""
    if run is None:
        return datetime.min.replace(tzinfo=UTC)
    if run.status == RunStatus.RUNNING:
        return run.started_at
    return max(run.started_at, run.finished_at or run.started_at)


def _waits_since(file: LandedFile) -> datetime:
    """Return since when a file waits (UTC): since it arrived, or the time in its name if later."""
    return max(file.file_datetime, datetime.fromtimestamp(file.changed_at, UTC))


def of_files(feed: Feed) -> Iterator[CurrentProblem]:
    """Yield the files that cannot be loaded as they are, and the names that are nearly right."""
    for file in feed.failed:
        kind = kinds.FILE_HELD if file.status == FileStatus.HELD else kinds.FILE_FAILED
        until = _UNTIL.get(file.status, file.status)
        message = f"{file.name}: {file.error}; {until}"
        yield _problem(feed, kind, file.name, 1, message)._replace(state=file.version)
    unrecognised = feed.landed.unrecognised
    for name in feed.landed.near_misses:
        shown = printable(name)
        why = f"its name is not right: {unrecognised[name]}; rename it, or take it away"
        yield _problem(feed, kinds.NAME_NEARLY_RIGHT, shown, 1, f"{shown}: not loaded, {why}")
    for changing in feed.changing:
        what = f"not loaded, changed in every run since {minute(changing.since)} UTC"
        message = f"{changing.name}: {what}; see who writes it"
        yield _problem(feed, FILE_CHANGING, changing.name, 1, message)
    if unrecognised and not feed.landed.near_misses and checkpoint(feed.connection) is None:
        names = counted(len(unrecognised), "name is", "names are")
        message = f"nothing was loaded yet, and {names} not the feed's"
        yield _problem(feed, kinds.NOT_RECOGNISED, "", len(unrecognised), message)


def of_feed(feed: Feed) -> Iterator[CurrentProblem]:
    """Yield that no file has come for longer than usual, unless a person said on which days."""
    known = feed_schedule(feed.connection) if feed.expectations.days is None else None
    if known is None or feed.pending:
        return
    newest, schedule = known
    if feed.now - newest > schedule.limit:
        since, usual = ago(feed.now - newest), span(schedule.interval)
        message = f"no file was loaded since {minute(newest)} UTC, {since};"
        message += f" some every {usual} are usual"
        yield _problem(feed, kinds.FEED_LATE, "", 1, message)


def of_rows(feed: Feed) -> Iterator[CurrentProblem]:
    """Yield the open rejects of runs that rejected more than they were to tolerate, by reason.

    Those of a run that is under way are not among them, unless it asks itself.
    """
    # Code from before `landing` was recorded did not record what was tolerated, either.
    is_ok_of_before = (LoadRun.status == RunStatus.OK) & LoadRun.landing.is_(None)
    is_counted = ~LoadRun.rejects_tolerated & ~is_ok_of_before
    if feed.run_is_alive and feed.last_run:
        is_counted &= LoadRun.id != feed.last_run.id
    rejected = (
        select(RejectedRow.entity, RejectedRow.reason, func.count())
        .join_from(RejectedRow, LoadFile)
        .join(LoadRun)
        .where(RejectedRow.status == RejectStatus.OPEN, is_counted)
        .group_by(RejectedRow.entity, RejectedRow.reason)
        .order_by(func.count().desc(), RejectedRow.entity, RejectedRow.reason)
    )
    for entity, reason, rows in feed.connection.execute(rejected):
        yield rows_rejected(entity, {reason: rows}, feed.setup)


def rows_rejected(entity: str, reasons: Mapping[str, int], setup: Setup) -> CurrentProblem:
    """Return the problem of an entity's open rejects, for one reason or several."""
    rows = counted(sum(reasons.values()), "rejected row is", "rejected rows are")
    named = reasons if len(reasons) == 1 else (f"{count:,} {why}" for why, count in reasons.items())
    of_reason = ("--reason", *reasons) if len(reasons) == 1 else ()
    return CurrentProblem(
        kind=kinds.ROWS_REJECTED,
        subject=" ".join((entity, *reasons)),
        size=sum(reasons.values()),
        message=f"{entity}: {rows} open: {', '.join(named)}",
        command=setup.hint("rejects list", "--entity", entity, *of_reason),
    )


class Named(Protocol):
    """A problem, however much is known of it."""

    @property
    def kind(self) -> str:
        """A key of KINDS."""

    @property
    def subject(self) -> str:
        """What it is about."""

    @property
    def size(self) -> int:
        """How large it is."""


P = TypeVar("P", bound=Named)


def put_together(problems: Iterable[P]) -> list[list[P]]:
    """Return the problems as people are told of them: the rejects of an entity are one."""
    together: dict[tuple[str, str], list[P]] = {}
    for problem in problems:
        subject = problem.subject
        if problem.kind == kinds.ROWS_REJECTED:
            subject = subject.partition(" ")[0]
        together.setdefault((problem.kind, subject), []).append(problem)
    return list(together.values())


def as_one(rejects: Sequence[Named], setup: Setup) -> CurrentProblem:
    """Return the problem of an entity's open rejects, which are problems by reason, as one."""
    entity = rejects[0].subject.partition(" ")[0]
    reasons = {each.subject.partition(" ")[2]: each.size for each in rejects}
    return rows_rejected(entity, reasons, setup)


def in_brief(problems: Iterable[CurrentProblem], setup: Setup) -> list[CurrentProblem]:
    """Return the problems for people: the rejects of an entity, for all their reasons, as one."""
    return [
        as_one(parts, setup) if parts[0].kind == kinds.ROWS_REJECTED else parts[0]
        for parts in put_together(problems)
    ]


def of_checks(feed: Feed) -> Iterator[CurrentProblem]:
    """Yield what the checks of deliveries and of visits find.

    Where no row has changed, visits are not looked at again: what was recorded of them still holds.
    """
    if not feed.rows_changed:
        for recorded in recorded_problems(feed.connection, feed.now):
            if recorded.kind in VISIT_CHECKS.keys() - set(feed.expectations.ignored):
                yield _problem(feed, *recorded[1:5])
    for finding in feed.findings:
        if finding.check == kinds.COLUMNS_UNKNOWN:
            continue
        about = f"{short_name(finding.subject)}: " if finding.subject else ""
        message = f"{about}{finding.message}"
        yield _problem(feed, finding.check, finding.subject, finding.count, message)
    if any(finding.check == kinds.COLUMNS_UNKNOWN for finding in feed.findings):
        # It stays the same problem when the model knows the columns.
        described: dict[str, CurrentProblem] = {}
        for columns in find_unknown(feed.connection):
            subject = f"{columns.entity} {columns.described}"
            message = f"{columns.entity}: {columns.message}"
            problem = _problem(feed, kinds.COLUMNS_UNKNOWN, subject, 1, message)
            if columns.again:
                problem = problem._replace(command=feed.setup.hint(columns.again))
            described[subject] = problem
        yield from described.values()


def _problem(
    feed: Feed,
    kind: str,
    subject: str,
    size: int,
    message: str,
    *,
    began: datetime | None = None,
) -> CurrentProblem:
    command = feed.setup.hint(advice_for(kind).command)
    return CurrentProblem(kind, subject, size, message, command, began)
