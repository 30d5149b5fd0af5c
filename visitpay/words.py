"""Counts and times as people say them."""

from datetime import timedelta


def counted(count: int, one: str, many: str = "") -> str:
    """Give a count with what it counts: `1 row`, `1,234 rows`; `many`, if an s is not enough."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def ago(age: timedelta) -> str:
    """Say how long ago something was, in minutes, hours or days: `3 hours ago`."""
    if age < timedelta():
        return "in the future"
    if age < timedelta(minutes=1):
        return "just now"
    for unit, length in (("day", timedelta(days=1)), ("hour", timedelta(hours=1))):
        if age >= 2 * length:
            return f"{counted(age // length, unit)} ago"
    return f"{counted(age // timedelta(minutes=1), 'minute')} ago"
