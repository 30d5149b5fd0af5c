"""The quality of what was loaded: checks that say what a person should look into.

Those of deliveries and days look at the last weeks of the feed, those of visits at all of them.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property, partial
from itertools import chain, groupby
from operator import attrgetter
from statistics import median
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, func, null, select

from visitpay.landing.place import LandedFile
from visitpay.ledger.history import CLOCKS_APART, Delivered, newest_deliveries
from visitpay.models import ENTITIES, LoadRun, Transaction, Visit
from visitpay.quality.balances import OPEN_DIFFERENCES, count_open
from visitpay.text import counted

EXPECTED_WEEKDAYS = {"daily": range(7), "weekdays": range(5)}
"""When a feed may be expected: for each word the days of the week, Monday being 0."""

LONG_PAST = timedelta(days=30)
"""A file so much older than the newest of its type is no late one: it may be an old one again."""

RECENT = timedelta(days=14)
"""For how long a delivery, or a day without one, is something to look into."""

SET_APART = timedelta(hours=6)
"""Files with so much time between them are of two sets, one for each export of the hospital."""
AGAIN = timedelta(minutes=30)
"""So are two of one type: within this time an export may bring several."""

HISTORY = 8
"""How many deliveries before one are its history."""
ENOUGH = 4
"""With fewer than these, nothing is said of what is usual."""
NOISE = 10
"""So many rows more or less are no sign of anything."""


@dataclass(frozen=True)
class Finding:
    """Something that a person should look into; nothing of it is a cell of a row."""

    check: str
    subject: str
    """The name of a file, or a day; empty where all rows were looked at."""
    count: int
    """How much of it there is: rows, visits or days."""
    message: str
    """What it is, in a few words."""


@dataclass(frozen=True)
class _Feed:
    """What the checks look at."""

    connection: Connection
    now: datetime
    expect: str | None
    waiting: Collection[LandedFile]

    @property
    def today(self) -> date:
        """The day in UTC; it is not over yet."""
        return self.now.date()

    @cached_property
    def dated(self) -> Mapping[bool, Sequence[Delivered]]:
        """The newest loaded delivery of each name, by whether it is dated in the future."""
        dated: dict[bool, list[Delivered]] = {True: [], False: []}
        for each in newest_deliveries(self.connection):
            dated[each.file_datetime > self.now + CLOCKS_APART].append(each)
        return dated

    @cached_property
    def begin(self) -> date | None:
        """The first day of the feed, or, as long as nothing came, of the runs, if there are any."""
        if self.deliveries:
            return self.deliveries[0].day
        first = self.connection.scalar(select(func.min(LoadRun.started_at)))
        return first and first.date()

    @property
    def deliveries(self) -> Sequence[Delivered]:
        """Those that are not, in order of their times."""
        return self.dated[False]

    def is_recent(self, day: date) -> bool:
        """Say whether a day was among the last of the feed, of which something must have come."""
        return self.deliveries[-1].day - day <= RECENT

    @cached_property
    def as_loaded(self) -> Sequence[Delivered]:
        """All of them in the order in which they were loaded, those dated in the future, too."""
        return sorted(chain.from_iterable(self.dated.values()), key=attrgetter("id"))

    def was_loaded_lately(self, delivered: Delivered) -> bool:
        """Whether a delivery was loaded in the last weeks of loading, whatever its time."""
        return self.as_loaded[-1].loaded_at - delivered.loaded_at <= RECENT

    def sets(self) -> Iterator["_Set"]:
        """Give the files that belong together, loaded or waiting, in order of time.

        A set begins after SET_APART, or when a type comes again that came more than AGAIN before:
        the files of one export may pass midnight, and be several of a type.
        """
        files = [(each.file_datetime, each.entity, True) for each in self.deliveries]
        files += ((each.file_datetime, each.entity, False) for each in self.waiting)
        some: _Set | None = None
        for moment, entity, is_loaded in sorted(files):
            if some is None or not some.may_hold(moment, entity):
                if some:
                    yield some
                some = _Set(moment)
            some.add(moment, entity, is_loaded=is_loaded)
        if some:
            yield some


class _Set:
    """Files that belong together."""

    def __init__(self, begin: datetime) -> None:
        self.begin = self.end = begin
        self.came: dict[str, datetime] = {}
        """When each type came first."""
        self.loaded: set[str] = set()

    def may_hold(self, moment: datetime, entity: str) -> bool:
        is_again = moment - self.came.get(entity, moment) > AGAIN
        return not is_again and moment - self.end <= SET_APART

    def add(self, moment: datetime, entity: str, *, is_loaded: bool) -> None:
        self.end = moment
        self.came.setdefault(entity, moment)
        if is_loaded:
            self.loaded.add(entity)


_Observations = Iterator[tuple[str, int, str]]
"""What a check finds: subjects, counts and messages."""


def _type_missing(feed: _Feed) -> _Observations:
    """Find sets of files that are over and lack a type, each told by the day of its first file."""
    types = [entity.__name__ for entity in ENTITIES]
    lacking: Counter[tuple[date, str]] = Counter()
    for some in feed.sets():
        day, missing = some.begin.date(), [each for each in types if each not in some.loaded]
        is_over = feed.now - some.end > SET_APART
        if len(missing) == 1 and missing[0] not in some.came and is_over and feed.is_recent(day):
            lacking[day, missing[0]] += 1
    for (day, entity), times in lacking.items():
        yield str(day), times, f"no {entity} file was loaded, though both others"


def _feed_missing(feed: _Feed) -> _Observations:
    """Find gaps between days on which a feed was expected and came, each named by its first day.

    Before anything came it is expected from the day of the first run on.
    """
    first = feed.begin
    if feed.expect is None or first is None:
        return
    days = (first + timedelta(number) for number in range((feed.today - first).days))
    weekdays = EXPECTED_WEEKDAYS[feed.expect]
    expected = (day for day in days if day.weekday() in weekdays)
    came_on = {file.file_datetime.date() for file in feed.waiting}
    came_on.update(each.day for each in feed.deliveries)
    for came, some in groupby(expected, came_on.__contains__):
        gap = list(some)
        if not came and (not feed.deliveries or feed.is_recent(gap[-1])):
            yield str(gap[0]), len(gap), f"nothing came on {counted(len(gap), 'day')}, to {gap[-1]}"


def _file_in_future(feed: _Feed) -> _Observations:
    for each in feed.dated[True]:
        yield each.name, 1, "dated in the future; until then its rows are the newest"


def _file_in_past(feed: _Feed) -> _Observations:
    """Find files long past when they were loaded, of which newer ones had brought rows."""
    newest: dict[str, datetime] = {}
    for each in feed.as_loaded:
        before = newest.get(each.entity, each.file_datetime)
        if (
            each.rows_stale
            and before - each.file_datetime > LONG_PAST
            and feed.was_loaded_lately(each)
        ):
            days = (before - each.file_datetime).days
            stale = counted(each.rows_stale, "row")
            message = f"{days} days older than what was loaded; {stale} of it came too late"
            yield each.name, each.rows_stale, message
        if each not in feed.dated[True]:
            newest[each.entity] = max(before, each.file_datetime)


def _conflicting_rows(feed: _Feed) -> _Observations:
    for each in feed.as_loaded:
        if each.rows_conflicting and feed.was_loaded_lately(each):
            rows = counted(each.rows_conflicting, "row")
            yield (
                each.name,
                each.rows_conflicting,
                f"{rows} replaced by a later line with other values",
            )


def _rows_withdrawn(feed: _Feed) -> _Observations:
    for each in feed.as_loaded:
        if each.rows_withdrawn and feed.was_loaded_lately(each):
            what = ("row of its former delivery is", "rows of its former deliveries are")
            rows = counted(each.rows_withdrawn, *what)
            yield each.name, each.rows_withdrawn, f"{rows} not in it; the rows stay"


def _content_repeated(feed: _Feed) -> _Observations:
    """Find files whose content came before under another name."""
    first: dict[str, Delivered] = {}
    for each in feed.as_loaded:
        before = first.setdefault(each.sha256, each)
        if before is not each and each.rows_read and feed.was_loaded_lately(each):
            yield each.name, each.rows_read, f"the same content as {before.name}"


def _unusual_rows(feed: _Feed) -> _Observations:
    """Find files with far more, or fewer, rows than those before of their type and weekday."""
    histories: defaultdict[tuple[str, int], deque[int]]
    histories = defaultdict(partial(deque, maxlen=HISTORY))
    for each in feed.deliveries:
        history = histories[each.entity, each.day.weekday()]
        if len(history) >= ENOUGH and feed.is_recent(each.day):
            usual = median(history)
            if abs(each.rows_read - usual) > usual / 2 + NOISE:
                message = f"{counted(each.rows_read, 'row')}, {usual:,.0f} are usual"
                yield each.name, each.rows_read, message
        history.append(each.rows_read)


def _reject_share(feed: _Feed) -> _Observations:
    """Find types of which the newest delivery had more rejects than those before."""
    histories: defaultdict[str, deque[Delivered]]
    histories = defaultdict(partial(deque, maxlen=HISTORY + 1))
    for each in feed.deliveries:
        histories[each.entity].append(each)
    for *history, newest in histories.values():
        if len(history) < ENOUGH:
            continue
        usual = median(each.reject_share for each in history)
        if newest.rows_rejected > 2 * usual * newest.rows_read + NOISE:
            message = f"{newest.reject_share:.1%} rejected, {usual:.1%} are usual"
            yield newest.name, newest.rows_rejected, message


def _balance_differs(feed: _Feed) -> _Observations:
    if count := count_open(feed.connection):
        what = ("balance is not", "balances are not")
        yield "", count, f"{counted(count, *what)} the sum of the transactions"


OF_VISITS: Mapping[str, tuple[ColumnElement[bool], str, str]] = {
    "discharge_before_admission": (
        Visit.discharge_date < Visit.admit_date,
        "visit ends before it begins",
        "visits end before they begin",
    ),
    "admission_in_future": (
        Visit.admit_date > bindparam("tomorrow"),  # at the hospital it may be tomorrow already
        "visit begins on a day that is yet to come",
        "visits begin on a day that is yet to come",
    ),
    "visit_without_transactions": (
        ~Visit.transactions.any(),
        "visit has no transactions",
        "visits have no transactions",
    ),
}
"""The checks of visits, by name: which visits they find, and what one, or several, do."""


def _visits(condition: ColumnElement[bool], one: str, many: str, feed: _Feed) -> _Observations:
    query = select(func.count()).select_from(Visit).where(condition)
    if count := feed.connection.scalar(query, {"tomorrow": feed.today + timedelta(days=1)}):
        yield "", count, counted(count, one, many)


def _visit_without_transactions(feed: _Feed) -> _Observations:
    if all(each.entity != Transaction.__name__ for each in feed.waiting):  # none is still to come
        yield from _visits(*OF_VISITS["visit_without_transactions"], feed)


CHECKS: Mapping[str, Callable[[_Feed], _Observations]] = {
    "type_missing": _type_missing,
    "feed_missing": _feed_missing,
    "file_in_future": _file_in_future,
    "file_in_past": _file_in_past,
    "content_repeated": _content_repeated,
    "rows_withdrawn": _rows_withdrawn,
    "conflicting_rows": _conflicting_rows,
    "unusual_rows": _unusual_rows,
    "reject_share": _reject_share,
    "balance_differs": _balance_differs,
    **{name: partial(_visits, *check) for name, check in OF_VISITS.items()},
    "visit_without_transactions": _visit_without_transactions,
}
"""All checks, by their names, which stay as they are."""


def findings(
    connection: Connection,
    now: datetime,
    expect: str | None = None,
    ignore: Collection[str] = (),
    waiting: Collection[LandedFile] = (),
) -> list[Finding]:
    """Give all that a person should look into, as it was `now` (UTC).

    `expect` says on which days something should have come: a key of EXPECTED_WEEKDAYS; `ignore`
    names CHECKS that are not made; files that are known to be `waiting` are not missing. Balances
    are told of as they were when they were last compared (`balances.reconcile`).
    """
    feed = _Feed(connection, now, expect, waiting)
    made = (each for each in CHECKS.items() if each[0] not in ignore)
    return [Finding(name, *found) for name, check in made for found in check(feed)]


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
    """Return at most `limit` visits that each check of visits finds, the newest first.

    `ignore` names CHECKS that are not made.
    """
    unknown = (null().label("transactions_total"), null().label("found_at"))
    columns = (Visit.visit_identifier, Visit.visit_balance, *unknown)
    queries = {
        name: select(*columns).where(condition).order_by(Visit.visit_identifier)
        for name, (condition, *_) in OF_VISITS.items()
    }
    tomorrow = now.date() + timedelta(days=1)
    return [
        OddVisit(name, *row)
        for name, query in {"balance_differs": OPEN_DIFFERENCES, **queries}.items()
        if name not in ignore
        for row in connection.execute(query.limit(limit), {"tomorrow": tomorrow})
    ]
