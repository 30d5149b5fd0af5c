from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visitpay.verdict.lateness import A_DAY, Schedule, usual_interval

BEGIN = datetime(2021, 12, 1, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)

minutes = st.integers(1, 3000).map(lambda number: timedelta(minutes=number))


def starts(*intervals: timedelta) -> list[datetime]:
    """Return when runs began, by the intervals between them."""
    return [BEGIN + sum(intervals[:number], timedelta()) for number in range(len(intervals) + 1)]


@pytest.mark.parametrize(
    ("intervals", "usual"),
    [
        ([], A_DAY),
        ([HOUR] * 3, A_DAY),  # too few to say
        ([HOUR / 60] * 9, A_DAY),  # somebody tries it by hand
        ([A_DAY] * 4, A_DAY),
        ([HOUR / 4] * 200, HOUR / 4),
        ([*[A_DAY] * 4, 3 * A_DAY] * 2, 3 * A_DAY),  # weekends are usual
        ([A_DAY] * 20 + [25 * A_DAY] + [A_DAY] * 2, A_DAY),  # an outage is not
        (([HOUR / 4] * 64 + [8 * HOUR]) * 14, 8 * HOUR),  # nights are
    ],
)
def test_usual_interval(intervals: list[timedelta], usual: timedelta) -> None:
    """What is usual is the longest interval that is no outage."""
    assert usual_interval(starts(*intervals)) == usual


@given(st.lists(minutes, min_size=4, max_size=400))
def test_nothing_usual_is_late(intervals: list[timedelta]) -> None:
    """Of the intervals that there were, at most one in two weeks is longer than the limit."""
    begun = starts(*intervals)
    limit = Schedule(usual_interval(begun)).limit
    longer = sum(interval > limit for interval in intervals)
    assert longer <= (begun[-1] - begun[0]) // timedelta(weeks=2)


@given(minutes, st.integers(30, 200), st.integers(0, 199))
def test_one_outage(interval: timedelta, number: int, place: int) -> None:
    """One interval that is longer than all others does not make the loads of a month rarer."""
    intervals = [interval] * number
    intervals[place % number] = interval + timedelta(weeks=2)
    assert usual_interval(starts(*intervals)) == interval


@pytest.mark.parametrize(
    ("interval", "limit"),
    [
        (timedelta(minutes=15), timedelta(minutes=25)),
        (HOUR, timedelta(minutes=75)),
        (A_DAY, timedelta(hours=27)),
        (3 * A_DAY, timedelta(hours=75)),
    ],
)
def test_limit(interval: timedelta, limit: timedelta) -> None:
    """A load is late a while after it was due."""
    assert Schedule(interval).limit == limit
