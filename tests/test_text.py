from datetime import UTC, datetime, timedelta, timezone

import pytest

from visitpay.text import ago, counted, first, iso, minute, second


@pytest.mark.parametrize(
    ("count", "words", "said"),
    [
        (0, ("row",), "0 rows"),
        (1, ("row",), "1 row"),
        (1234, ("row",), "1,234 rows"),
        (1, ("visit ends", "visits end"), "1 visit ends"),
        (2, ("visit ends", "visits end"), "2 visits end"),
    ],
)
def test_counted(count: int, words: tuple[str, ...], said: str) -> None:
    """One is said as one, any other number as several."""
    assert counted(count, *words) == said


@pytest.mark.parametrize(
    ("age", "said"),
    [
        (timedelta(seconds=-1), "in the future"),
        (timedelta(seconds=59), "just now"),
        (timedelta(seconds=60), "1 minute ago"),
        (timedelta(minutes=119), "119 minutes ago"),
        (timedelta(minutes=120), "2 hours ago"),
        (timedelta(hours=47), "47 hours ago"),
        (timedelta(hours=48), "2 days ago"),
        (timedelta(days=1790), "1,790 days ago"),
    ],
)
def test_ago(age: timedelta, said: str) -> None:
    """Minutes, hours and days are told from two of them on."""
    assert ago(age) == said


@pytest.mark.parametrize(
    ("names", "said"), [("", ""), ("a", "a"), ("ab", "a, b"), ("abcd", "a, b and 2 more")]
)
def test_first(names: str, said: str) -> None:
    """Two are named, the others counted."""
    assert first(names, 2, len(names)) == said


def test_minute() -> None:
    """A moment is written in UTC, whatever its zone."""
    moment = datetime(2021, 12, 2, 0, 33, 57, tzinfo=timezone(timedelta(hours=2)))
    assert minute(moment) == "2021-12-01 22:33"


@pytest.mark.parametrize("year", [1, 21, 999, 1000, 9999])
def test_years_are_written_in_full(year: int) -> None:
    """A year has four digits wherever a moment is written."""
    moment = datetime(year, 2, 3, 4, 5, 6, 700, tzinfo=UTC)
    assert minute(moment) == f"{year:04}-02-03 04:05"
    assert second(moment) == f"{year:04}-02-03 04:05:06"
    assert iso(moment) == f"{year:04}-02-03T04:05:06Z"
