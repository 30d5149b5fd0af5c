"""How the values of options are read."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import typer.main

from visitpay.cli.app import app
from visitpay.cli.command import Command
from visitpay.cli.options import as_duration, as_moment
from visitpay.settings import KEYS


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


def commands(group: Any) -> list[Any]:
    """Return all commands of a group."""
    below = [
        commands(each) if hasattr(each, "commands") else [each] for each in group.commands.values()
    ]
    return [command for part in below for command in part]


def test_every_option() -> None:
    """Each command reads the file, and each setting is an option by its name, each variable one."""
    found = [each for each in commands(typer.main.get_command(app)) if not each.hidden]
    assert all(isinstance(command, Command) for command in found)
    named: dict[str, set[str]] = {}
    for option in (option for command in found for option in command.params):
        named.setdefault(option.name, set()).update(option.opts[:1])
        assert option.name in KEYS or not option.envvar
        assert option.envvar in (None, f"VISITPAY_{option.name.upper()}", "VISITPAY_MIGRATION_WAIT")
    for key in KEYS:
        assert named[key] <= {f"--{key.replace('_', '-')}", key}
