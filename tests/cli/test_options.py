"""How the values of options are read."""

from datetime import UTC, datetime, timedelta

import pytest
import typer

from visitpay.cli.options import as_duration, as_moment


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        (" 2 H ", timedelta(hours=2)),
        ("1d", timedelta(days=1)),
        ("2w", timedelta(weeks=2)),
    ],
)
def test_durations(text: str, duration: timedelta) -> None:
    """A number and a unit say how long, and how long ago a time is."""
    assert as_duration(text) == duration
    before = datetime.now(UTC)
    assert before <= as_moment(text) + duration <= datetime.now(UTC)


@pytest.mark.parametrize(
    "text", ["", "15", "m", "0m", "-2h", "1.5h", "2h30m", "1y", "999999w", "٣h"]
)
def test_no_durations(text: str) -> None:
    """Anything else is refused, also nothing at all and more than a century."""
    with pytest.raises(typer.BadParameter, match="not a duration like 90s, 15m"):
        as_duration(text)


def test_days() -> None:
    """Words for days are their first moment in UTC."""
    today = as_moment("Today")
    assert today.utcoffset() == timedelta()
    assert timedelta() <= datetime.now(UTC) - today < timedelta(days=1, seconds=60)
    assert (today.hour, today.minute, today.second, today.microsecond) == (0, 0, 0, 0)
    assert today - as_moment("yesterday") == timedelta(days=1)
    assert as_moment("2021-12-01T22:30:00+01:00").isoformat() == "2021-12-01T22:30:00+01:00"
    assert as_moment("2021-12-01") == datetime(2021, 12, 1, tzinfo=UTC)
