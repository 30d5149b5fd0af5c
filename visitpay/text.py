"""Counts, times and names as text for people."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice


def counted(count: int, one: str, many: str = "") -> str:
    """Return a count and what it counts: `1 row`, `1,234 rows`; `many` if an s is not enough."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def first(names: Iterable[str], most: int, total: int) -> str:
    """Return the first names, and how many more there are: `a, b and 1,234 more`."""
    more = f" and {total - most:,} more" if total > most else ""
    return ", ".join(islice(names, most)) + more


def minute(moment: datetime) -> str:
    """Return a moment, in UTC, as `2021-12-01 22:33`."""
    return second(moment)[:-3]


def second(moment: datetime) -> str:
    """Return a moment, in UTC, as `2021-12-01 22:33:57`."""
    # strftime gives the year 21 two digits.
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "seconds")


def iso(moment: datetime | None) -> str | None:
    """Return a moment as `2021-12-01T22:33:57Z`."""
    return f"{second(moment)}Z".replace(" ", "T") if moment else None


def span(length: timedelta) -> str:
    """Return a length of time in words, in its largest whole unit: `15 minutes`, `1 day`."""
    for unit, one in (("day", timedelta(days=1)), ("hour", timedelta(hours=1))):
        if length == one or length >= 2 * one:
            return counted(round(length / one), unit)
    return counted(max(1, round(length / timedelta(minutes=1))), "minute")


def ago(age: timedelta) -> str:
    """Return how long ago something was, in minutes, hours or days: `3 hours ago`."""
    if age < timedelta():
        return "in the future"
    if age < timedelta(minutes=1):
        return "just now"
    for unit, length in (("day", timedelta(days=1)), ("hour", timedelta(hours=1))):
        if age >= 2 * length:
            return f"{counted(age // length, unit)} ago"
    return f"{counted(age // timedelta(minutes=1), 'minute')} ago"


def lasting(time: timedelta) -> str:
    """Return how long something took: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`."""
    seconds = time.total_seconds()
    if seconds < 10:  # noqa: PLR2004 - a tenth of a second says something
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, more = divmod(minutes, 60)
    return f"{hours:,} h {more} min" if hours else f"{minutes} min {rest} s"


def printable(name: str) -> str:
    r"""Return a text from outside with what a terminal could act on escaped: `\x1b`."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in name
    )
