"""The numbers of the page: by day, and in all. Sums of money are exact, to the cent."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from statistics import median
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, select

from visitpay.ledger.files import IS_OF_FEED, WAS_TAKEN_AGAIN
from visitpay.models import BalanceDifference, LoadFile, RejectedRow, Transaction
from visitpay.quality.balances import cents
from visitpay.rejects.money import MoneySums, sum_money
from visitpay.rejects.queries import RejectFilter
from visitpay.reporting.charts import Usual

DAYS = 60
"""So many days are drawn, up to today."""

_FEWEST_DAYS = 14
"""With fewer, bars would be broad and say little."""

SAME_WEEKDAYS = 8
"""What is usual for a day is what came on so many of the same weekday before it."""

_FEWEST_WEEKDAYS = 3

_PART = 10**6
"""Sums of cents are taken in two parts: SQLite adds up 64 bits, and no more."""


@dataclass(frozen=True)
class Figures:
    """The numbers of the page."""

    today: date
    """The day of the page, in UTC."""
    rows: Mapping[tuple[date, str], int]
    """Rows that came, by day of the file and type."""
    rejects: Mapping[tuple[date, str], int]
    """Rows that were rejected, also those closed since, by day of the file and reason."""
    money: Mapping[date, Decimal]
    """Amounts of transactions, by day of the file that brought them last."""
    money_loaded: Decimal
    """The sum of the amounts of all transactions."""
    quarantine: MoneySums
    """The money of the rejects that are open."""
    differing: int
    """Visits of which the balance differed when balances were last compared."""
    difference: Decimal
    """By how much, each taken as more than nothing."""

    @property
    def days(self) -> list[date]:
        """The days to draw: the last of them up to today, or up to the newest of an old feed."""
        first, newest = self._first, self._newest
        last = self.today if self.today - newest < timedelta(DAYS) else newest
        first = max(first, last - timedelta(DAYS - 1))
        first = min(first, last - timedelta(_FEWEST_DAYS - 1))
        return [first + timedelta(days) for days in range((last - first).days + 1)]

    @cached_property
    def _first(self) -> date:
        return min(self._totals, default=self.today)

    @cached_property
    def _newest(self) -> date:
        return max((day for day in self._totals if day <= self.today), default=self.today)

    @cached_property
    def _totals(self) -> Counter[date]:
        totals: Counter[date] = Counter()
        for (day, _), rows in self.rows.items():
            totals[day] += rows
        return totals

    def rows_on(self, day: date) -> int:
        """Return how many rows came on a day."""
        return self._totals[day]

    def usual(self, days: Iterable[date]) -> dict[date, Usual]:
        """Return how many rows are usual on each of the days for which that is known.

        It is the fewest and the most of the last 8 of the same weekday before the day; those of
        less than half of their median, or more than twice, are odd and left out. It is not known
        if rows came on fewer than three of them, or on less than half.
        """
        totals, first = self._totals, self._first
        known = {}
        for day in days:
            weeks = (day - timedelta(weeks=number) for number in range(1, SAME_WEEKDAYS + 1))
            before = [totals[each] for each in weeks if each >= first]
            came = [rows for rows in before if rows]
            if len(came) >= max(_FEWEST_WEEKDAYS, len(before) / 2):
                known[day] = _range(came)
        return known


def _range(counts: Sequence[int]) -> Usual:
    """Return the lowest and the highest count, but for those that are odd."""
    middle = median(counts)
    even = [count for count in counts if middle / 2 <= count <= middle * 2]
    return Usual(min(even), max(even))


def figures(connection: Connection, now: datetime) -> Figures:
    """Return the numbers of the page as they are `now` (UTC)."""
    by_file = _money_by_file(connection)
    differing, difference = _differences(connection)
    return Figures(
        today=now.date(),
        rows=_rows(connection),
        rejects=_rejects(connection),
        money=_by_day(connection, by_file),
        money_loaded=sum(by_file.values(), Decimal("0.00")),
        quarantine=sum_money(connection, RejectFilter(), 0),
        differing=differing,
        difference=difference,
    )


def _rows(connection: Connection) -> Counter[tuple[date, str]]:
    """Count rows by day and type; of a name that came several times, those that came last."""
    last = select(func.max(LoadFile.id)).where(*IS_OF_FEED).group_by(LoadFile.name)
    loaded = select(LoadFile.file_datetime, LoadFile.entity, LoadFile.rows_read)
    return _count(connection.execute(loaded.where(LoadFile.id.in_(last))))


def _rejects(connection: Connection) -> Counter[tuple[date, str]]:
    rejected = (
        select(LoadFile.file_datetime, RejectedRow.reason, func.count())
        .join_from(RejectedRow, LoadFile)
        .where(~WAS_TAKEN_AGAIN)
        .group_by(LoadFile.file_datetime, RejectedRow.reason)
    )
    return _count(connection.execute(rejected))


def _count(counted: Iterable[Row[datetime, str, int]]) -> Counter[tuple[date, str]]:
    values: Counter[tuple[date, str]] = Counter()
    for moment, part, number in counted:
        values[moment.date(), part] += number
    return +values


def _money_by_file(connection: Connection) -> dict[int, Decimal]:
    sums = select(Transaction.source_file_id, *_exact_sum(cents(Transaction.amount)))
    grouped = connection.execute(sums.group_by(Transaction.source_file_id))
    return {file_id: _dollars(high, low) for file_id, high, low in grouped}


def _by_day(connection: Connection, by_file: Mapping[int, Decimal]) -> dict[date, Decimal]:
    of_type = LoadFile.entity == Transaction.__name__
    days: dict[date, Decimal] = {}
    for file_id, moment in connection.execute(
        select(LoadFile.id, LoadFile.file_datetime).where(of_type)
    ):
        if amount := by_file.get(file_id):
            days[moment.date()] = days.get(moment.date(), Decimal(0)) + amount
    return days


def _differences(connection: Connection) -> tuple[int, Decimal]:
    apart = cents(BalanceDifference.visit_balance) - cents(BalanceDifference.transactions_total)
    query = select(func.count(), *_exact_sum(func.abs(apart)))
    open_ones = query.where(BalanceDifference.closed_at.is_(None))
    visits, high, low = connection.execute(open_ones).one()
    return visits, _dollars(high, low)


def _exact_sum(amount: ColumnElement[int]) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Return the sum of cents in two parts, none of which exceeds what SQLite can hold."""
    return func.sum(amount // _PART), func.sum(amount % _PART)


def _dollars(high: int | Decimal | None, low: int | Decimal | None) -> Decimal:
    return Decimal(int(high or 0) * _PART + int(low or 0)).scaleb(-2)
