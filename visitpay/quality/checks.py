"""The quality of what was loaded: checks that say what a person should look into.

The checks of deliveries and days cover the last two weeks of the feed, those of visits all visits.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property, partial
from itertools import groupby
from operator import attrgetter
from statistics import median
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, func, null, select

from visitpay.landing.place import LandedFile
from visitpay.ledger.history import CLOCKS_APART, Delivered, newest_deliveries
from visitpay.models import ENTITIES, LoadRun, RejectedRow, Transaction, Visit
from visitpay.quality.balances import OPEN_DIFFERENCES, count_lasting
from visitpay.quality.columns import RECENT, find_unknown
from visitpay.text import counted
from visitpay.vocabulary import Reason, RejectStatus

EXPECTED_WEEKDAYS = {"daily": range(7), "weekdays": range(5)}
"""The days on which files are expected: by word, the days of the week, Monday being 0."""

LONG_PAST = timedelta(days=30)
"""A file that is older than the newest of its type by more than this is not just late."""

SET_GAP = timedelta(hours=6)
"""A longer time between two files separates two exports of the hospital."""
SAME_TYPE_GAP = timedelta(minutes=30)
"""So does a file of a type that comes later than this after the first of its type."""

MAX_HISTORY = 8
"""The number of earlier deliveries to compare with."""
MIN_HISTORY = 4
"""The number of earlier deliveries that is needed to say what is usual."""
MIN_DIFFERENCE = 10
"""A difference of so many rows is not reported."""
MIN_SPREAD = 0.1
"""Numbers of rows are taken to differ by a tenth, also where they differed less so far."""


@dataclass(frozen=True)
class Finding:
    """Something that a person should look into; it contains no values of rows."""

    check: str
    subject: str
    """The name of a file, or a day; empty if the check is about all visits."""
    count: int
    """A number of rows, files, visits or days."""
    message: str
    """What was found, in a few words."""


@dataclass(frozen=True)
class _Feed:
    """What the checks look at: the database, the time, and files that wait to be loaded."""

    connection: Connection
    now: datetime
    expect: str | None
    waiting: Collection[LandedFile]

    @property
    def today(self) -> date:
        """The current day in UTC; it is not over yet."""
        return self.now.date()

    @cached_property
    def _deliveries(self) -> Sequence[Delivered]:
        """The newest loaded delivery of each file name, by file time."""
        return newest_deliveries(self.connection)

    @cached_property
    def on_time(self) -> Sequence[Delivered]:
        """The deliveries that are not dated in the future, by file time."""
        return [file for file in self._deliveries if not self.is_future(file)]

    @cached_property
    def future(self) -> Sequence[Delivered]:
        """The deliveries that are dated in the future, by file time."""
        return [file for file in self._deliveries if self.is_future(file)]

    @cached_property
    def as_loaded(self) -> Sequence[Delivered]:
        """All deliveries, in the order in which they were loaded."""
        return sorted(self._deliveries, key=attrgetter("id"))

    @cached_property
    def _latest_on_time(self) -> datetime:
        """The latest file time that is not in the future."""
        return self.now + CLOCKS_APART

    @cached_property
    def begin(self) -> date | None:
        """The first day of the feed; before the first delivery, of the runs; None without a run."""
        if self.on_time:
            return self.on_time[0].day
        first = self.connection.scalar(select(func.min(LoadRun.started_at)))
        return first and first.date()

    def is_future(self, file: Delivered) -> bool:
        """Whether a delivery is dated in the future."""
        return file.file_datetime > self._latest_on_time

    def is_recent(self, day: date) -> bool:
        """Whether a day is within the last two weeks of the feed, which must not be empty."""
        return self.on_time[-1].day - day <= RECENT

    def was_loaded_lately(self, file: Delivered) -> bool:
        """Whether a delivery was loaded in the last two weeks in which anything was loaded."""
        return self.as_loaded[-1].loaded_at - file.loaded_at <= RECENT

    def sets(self) -> Iterator["_FileSet"]:
        """Yield the sets of files that belong together, loaded or waiting, by file time.

        A set begins after SET_GAP, or if a type comes again that came more than SAME_TYPE_GAP
        before. The files of one export may pass midnight, and there may be several of a type.
        """
        files = [(file.file_datetime, file.entity, True) for file in self.on_time]
        files += ((file.file_datetime, file.entity, False) for file in self.waiting)
        current: _FileSet | None = None
        for file_datetime, entity, is_loaded in sorted(files):
            if current is None or not current.may_hold(file_datetime, entity):
                if current:
                    yield current
                current = _FileSet(file_datetime)
            current.add(file_datetime, entity, is_loaded=is_loaded)
        if current:
            yield current


class _FileSet:
    """Files that belong together: those of one export of the hospital."""

    def __init__(self, begin: datetime) -> None:
        self.begin = self.end = begin
        self.came: dict[str, datetime] = {}
        """The file time of the first file of each type."""
        self.loaded: set[str] = set()

    def may_hold(self, file_datetime: datetime, entity: str) -> bool:
        is_again = file_datetime - self.came.get(entity, file_datetime) > SAME_TYPE_GAP
        return not is_again and file_datetime - self.end <= SET_GAP

    def add(self, file_datetime: datetime, entity: str, *, is_loaded: bool) -> None:
        self.end = file_datetime
        self.came.setdefault(entity, file_datetime)
        if is_loaded:
            self.loaded.add(entity)


_Observations = Iterator[tuple[str, int, str]]
"""What a check finds: the subject, count and message of each `Finding`."""


def _type_missing(feed: _Feed) -> _Observations:
    """Find loaded sets of files without a type that is usual; reported by the day they began.

    A set of which more is missing than came is no export, but a file that was sent once more.
    """
    earlier: list[_FileSet] = []
    counts: Counter[tuple[date, str]] = Counter()
    for files in feed.sets():
        day, is_over = files.begin.date(), feed.now - files.end > SET_GAP
        if files.loaded == files.came.keys() and is_over and feed.is_recent(day):
            missing = _usual_types(files, earlier) - files.loaded
            if len(missing) <= len(files.loaded):
                counts.update((day, entity) for entity in sorted(missing))
        earlier.append(files)
    for (day, entity), count in counts.items():
        yield str(day), count, f"no {entity} file was loaded, though others were"


def _usual_types(files: _FileSet, earlier: Sequence[_FileSet]) -> set[str]:
    """Return the types that most sets had, of the earlier ones with all the types of this one.

    Those of the same weekday count, or if they are too few, those of all days; if these are too
    few as well, all types are usual.
    """
    alike = [each for each in earlier if each.came.keys() >= files.came.keys()]
    same_weekday = [each for each in alike if each.begin.weekday() == files.begin.weekday()]
    history = (same_weekday if len(same_weekday) >= MIN_HISTORY else alike)[-MAX_HISTORY:]
    if len(history) < MIN_HISTORY:
        return {entity.__name__ for entity in ENTITIES}
    times = Counter(entity for each in history for entity in each.came)
    return {entity for entity, count in times.items() if 2 * count > len(history)}


def _feed_missing(feed: _Feed) -> _Observations:
    """Find runs of expected days on which nothing came; each is reported by its first day.

    Before the first delivery, files are expected from the day of the first run on.
    """
    first = feed.begin
    if feed.expect is None or first is None:
        return
    days = (first + timedelta(number) for number in range((feed.today - first).days))
    weekdays = EXPECTED_WEEKDAYS[feed.expect]
    expected = (day for day in days if day.weekday() in weekdays)
    days_with_files = {file.file_datetime.date() for file in feed.waiting}
    days_with_files.update(file.day for file in feed.on_time)
    for has_files, consecutive in groupby(expected, days_with_files.__contains__):
        gap = list(consecutive)
        if not has_files and (not feed.on_time or feed.is_recent(gap[-1])):
            yield str(gap[0]), len(gap), f"nothing came on {counted(len(gap), 'day')}, to {gap[-1]}"


def _file_in_future(feed: _Feed) -> _Observations:
    for file in feed.future:
        yield file.name, 1, "dated in the future; until then its rows are the newest"


def _file_in_past(feed: _Feed) -> _Observations:
    """Find files that were loaded after much newer ones, which had brought some of their rows."""
    newest: dict[str, datetime] = {}
    for file in feed.as_loaded:
        before = newest.get(file.entity, file.file_datetime)
        age = before - file.file_datetime
        if file.rows_stale and age > LONG_PAST and feed.was_loaded_lately(file):
            stale = counted(file.rows_stale, "row")
            message = f"{age.days} days older than what was loaded; {stale} of it came too late"
            yield file.name, file.rows_stale, message
        if not feed.is_future(file):
            newest[file.entity] = max(before, file.file_datetime)


def _conflicting_rows(feed: _Feed) -> _Observations:
    for file in feed.as_loaded:
        if file.rows_conflicting and feed.was_loaded_lately(file):
            rows = counted(file.rows_conflicting, "row")
            message = f"{rows} replaced by a later line with other values"
            yield file.name, file.rows_conflicting, message


def _rows_withdrawn(feed: _Feed) -> _Observations:
    for file in feed.as_loaded:
        if file.rows_withdrawn and feed.was_loaded_lately(file):
            what = ("row of its former delivery is", "rows of its former deliveries are")
            rows = counted(file.rows_withdrawn, *what)
            yield file.name, file.rows_withdrawn, f"{rows} not in it; the rows stay"


def _content_repeated(feed: _Feed) -> _Observations:
    """Find files whose content came before under another name."""
    first: dict[str, Delivered] = {}
    for file in feed.as_loaded:
        before = first.setdefault(file.sha256, file)
        if before is not file and file.rows_read and feed.was_loaded_lately(file):
            yield file.name, file.rows_read, f"the same content as {before.name}"


def _columns_unknown(feed: _Feed) -> _Observations:
    """Find columns that files brought and the model lacks, once for all files that have them."""
    for found in find_unknown(feed.connection):
        yield found.first_file, found.files, found.message


class UsualRows(NamedTuple):
    """How many rows are usual by a history of files: what is as far beyond it as it is wide is not.

    Its width is the share by which its least falls short of its most, so that a regular feed is
    watched closely and one that swings is not reported for swinging; at least MIN_SPREAD, since a
    few numbers that lie close together say little about the next. The same share counts upwards
    and downwards: no file has less than no rows, yet of a feed that swings an empty one is unusual.
    A file that was unusual counts for the next ones: a feed that has grown is soon usual again.

        in:  995 to 1,005 rows; 1,000 to 3,000 rows
        out: 905 to 1,105 rows are usual; 600 to 5,000 are
    """

    least: int
    most: int

    def includes(self, rows: int) -> bool:
        """Whether a file with so many rows is usual; a small difference always is."""
        least, most = self.least, self.most
        factor = 1 + max(1 - least / most if most else 0, MIN_SPREAD)
        fewest = min(least / factor, least - MIN_DIFFERENCE)
        return fewest <= rows <= max(most * factor, most + MIN_DIFFERENCE)

    def __str__(self) -> str:
        """Say it in words."""
        if self.least == self.most:
            return f"{self.most:,} are usual"
        return f"{self.least:,} to {self.most:,} are usual"


def _unusual_rows(feed: _Feed) -> _Observations:
    """Find files whose number of rows is far beyond those of the same type and weekday before."""
    histories: defaultdict[tuple[str, int], deque[int]]
    histories = defaultdict(partial(deque, maxlen=MAX_HISTORY))
    for file in feed.on_time:
        history = histories[file.entity, file.day.weekday()]
        if len(history) >= MIN_HISTORY and feed.is_recent(file.day):
            usual = UsualRows(min(history), max(history))
            if not usual.includes(file.rows_read):
                yield file.name, file.rows_read, f"{counted(file.rows_read, 'row')}, {usual}"
        history.append(file.rows_read)


def _reject_share(feed: _Feed) -> _Observations:
    """Find types whose newest delivery has more rejects than the earlier ones, still open.

    Rows that wait for what they refer to do not count: their file is as it should be.
    """
    histories: defaultdict[str, deque[Delivered]]
    histories = defaultdict(partial(deque, maxlen=MAX_HISTORY + 1))
    for file in feed.on_time:
        histories[file.entity].append(file)
    for *history, newest in histories.values():
        if len(history) < MIN_HISTORY:
            continue
        usual = median(file.reject_share for file in history)
        most = 2 * usual * newest.rows_read + MIN_DIFFERENCE
        if newest.rows_rejected > most and _open_rejects(feed, newest) > most:
            message = f"{newest.reject_share:.1%} rejected, {usual:.1%} are usual"
            yield newest.name, newest.rows_rejected, message


def _open_rejects(feed: _Feed, file: Delivered) -> int:
    query = select(func.count()).where(
        RejectedRow.file_id == file.id,
        RejectedRow.status == RejectStatus.OPEN,
        RejectedRow.reason != Reason.MISSING_REFERENCE,
    )
    return feed.connection.scalar(query) or 0


def _balance_differs(feed: _Feed) -> _Observations:
    if count := count_lasting(feed.connection):
        what = ("balance is not", "balances are not")
        yield "", count, f"{counted(count, *what)} the sum of the transactions"


class VisitCheck(NamedTuple):
    """A check of visits: which visits it finds, and how one, or many, are called."""

    condition: ColumnElement[bool]
    one: str
    many: str


VISIT_CHECKS: Mapping[str, VisitCheck] = {
    "discharge_before_admission": VisitCheck(
        Visit.discharge_date < Visit.admit_date,
        "visit ends before it begins",
        "visits end before they begin",
    ),
    "admission_in_future": VisitCheck(
        Visit.admit_date > bindparam("tomorrow"),  # in the hospital's zone it may be tomorrow now
        "visit begins on a day that is yet to come",
        "visits begin on a day that is yet to come",
    ),
    "visit_without_transactions": VisitCheck(
        ~Visit.transactions.any(),
        "visit has no transactions",
        "visits have no transactions",
    ),
}
"""The checks of visits, by name."""


def _visits(name: str, feed: _Feed) -> _Observations:
    check = VISIT_CHECKS[name]
    query = select(func.count()).select_from(Visit).where(check.condition)
    if count := feed.connection.scalar(query, {"tomorrow": feed.today + timedelta(days=1)}):
        yield "", count, counted(count, check.one, check.many)


def _visit_without_transactions(feed: _Feed) -> _Observations:
    """Find such visits, unless a file of transactions still waits."""
    if all(file.entity != Transaction.__name__ for file in feed.waiting):
        yield from _visits("visit_without_transactions", feed)


CHECKS: Mapping[str, Callable[[_Feed], _Observations]] = {
    "type_missing": _type_missing,
    "feed_missing": _feed_missing,
    "file_in_future": _file_in_future,
    "file_in_past": _file_in_past,
    "content_repeated": _content_repeated,
    "columns_unknown": _columns_unknown,
    "rows_withdrawn": _rows_withdrawn,
    "conflicting_rows": _conflicting_rows,
    "unusual_rows": _unusual_rows,
    "reject_share": _reject_share,
    "balance_differs": _balance_differs,
    "discharge_before_admission": partial(_visits, "discharge_before_admission"),
    "admission_in_future": partial(_visits, "admission_in_future"),
    "visit_without_transactions": _visit_without_transactions,
}
"""All checks, by name; the names never change."""


def findings(
    connection: Connection,
    now: datetime,
    expect: str | None = None,
    ignore: Collection[str] = (),
    waiting: Collection[LandedFile] = (),
) -> list[Finding]:
    """Return all that a person should look into; `now` is in UTC.

    `expect` says on which days files should come: a key of EXPECTED_WEEKDAYS. The CHECKS in
    `ignore` are not made. Files that are `waiting` are not missing. The balances are those of the
    last comparison (`balances.reconcile`).
    """
    feed = _Feed(connection, now, expect, waiting)
    return [
        Finding(name, *found)
        for name, check in CHECKS.items()
        if name not in ignore
        for found in check(feed)
    ]


class OddVisit(NamedTuple):
    """A visit that a check finds: data of a patient."""

    check: str
    visit_identifier: int
    visit_balance: Decimal | None
    transactions_total: Decimal | None
    """The sum of its transactions, where the balance differs from it."""
    found_at: datetime | None
    """When that was found, in UTC."""


def visits(
    connection: Connection, now: datetime, limit: int, ignore: Collection[str] = ()
) -> list[OddVisit]:
    """Return at most `limit` visits that each check of visits finds.

    Those whose balance differs come first, the newest difference first, then others by identifier.
    `ignore` names CHECKS that are not made.
    """
    unknown = (null().label("transactions_total"), null().label("found_at"))
    columns = (Visit.visit_identifier, Visit.visit_balance, *unknown)
    queries = {
        name: select(*columns).where(check.condition).order_by(Visit.visit_identifier)
        for name, check in VISIT_CHECKS.items()
    }
    tomorrow = now.date() + timedelta(days=1)
    return [
        OddVisit(name, *row)
        for name, query in {"balance_differs": OPEN_DIFFERENCES, **queries}.items()
        if name not in ignore
        for row in connection.execute(query.limit(limit), {"tomorrow": tomorrow})
    ]
