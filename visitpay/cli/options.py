"""The options that commands share, and how their values are read."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from visitpay import vocabulary
from visitpay.errors import ConfigurationError
from visitpay.vocabulary import RejectStatus

if TYPE_CHECKING:
    from visitpay.loading.types import Tolerance

ALL_PERCENT = 100

PERCENT = ("%", "percent")
"""The ends that make a number a share. Cron cuts a command at a `%`, so there is a word for it."""


class LogFormat(StrEnum):
    """How the log is written."""

    TEXT = "text"
    JSON = "json"


class RejectChoice(StrEnum):
    """The status of the rejects that are shown."""

    OPEN = RejectStatus.OPEN
    RESOLVED = RejectStatus.RESOLVED
    SUPERSEDED = RejectStatus.SUPERSEDED
    DISMISSED = RejectStatus.DISMISSED
    ALL = "all"


class Expect(StrEnum):
    """On which days files are expected."""

    WEEKDAYS = "weekdays"
    DAILY = "daily"


def as_moment(text: str) -> datetime:
    """Return the time that a text says, in UTC unless it names another zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        message = "not a date or a UTC time like 2021-12-01 or 2021-12-01T22:30:00Z"
        raise typer.BadParameter(message) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def as_tolerance(text: str) -> "Tolerance":
    """Return how many rejects are tolerated: a number of rows like 10, or a share like 0.5%."""
    from visitpay.loading.types import Tolerance

    if text.endswith(PERCENT):
        return Tolerance(as_percent(text), percent=True)
    if not (text.isascii() and text.isdigit()):
        message = "not a number of rows like 10, or a share of them like 0.5%"
        raise typer.BadParameter(message)
    return Tolerance(float(text))


def as_reason(reason: str | None) -> str | None:
    """Return the reason; raises BadParameter if it is none."""
    if reason is None:
        return None
    from visitpay.vocabulary import Reason

    _require_one_of(list(Reason), reason)
    return reason


def as_entity(entity: str | None) -> str | None:
    """Return the name of an entity, given in any letter case; raises BadParameter if it is none."""
    if entity is None:
        return None
    from visitpay.models import entity_named

    try:
        return entity_named(entity).__name__
    except ConfigurationError as error:
        raise typer.BadParameter(str(error)) from error


def complete_entity(incomplete: str) -> list[str]:
    """Return the names of entities that begin with a text, in its letter case, for the shell."""
    from visitpay.models import ENTITIES

    names = [entity.__name__ for entity in ENTITIES]
    begun = [name for name in names if name.lower().startswith(incomplete.lower())]
    return [incomplete + name[len(incomplete) :] for name in begun]


def as_checks(checks: list[str] | None) -> list[str] | None:
    """Return the names of checks, given with commas or spaces between them; raises BadParameter."""
    if not checks:
        return checks
    from visitpay.quality.checks import CHECKS

    names = ",".join(checks).replace(",", " ").split()
    for name in names:
        _require_one_of(CHECKS, name)
    return names


def _require_one_of(names: Iterable[str], given: str) -> None:
    if given not in names:
        message = f"{given!r} is none of {', '.join(names)}"
        raise typer.BadParameter(message)


def as_percent(given: object) -> float:
    """Return a share in percent, given with or without its sign."""
    text = str(given)
    number = text.removesuffix("%") if text.endswith("%") else text.removesuffix("percent")
    if not (number.isascii() and number.replace(".", "", 1).isdigit()):
        message = "not a percentage like 0.5%"
        raise typer.BadParameter(message)
    if float(number) > ALL_PERCENT:
        message = f"{number}% is more than all rows; give at most 100%"
        raise typer.BadParameter(message)
    return float(number)


def as_number(given: float) -> float:
    """Return the number; raises BadParameter for a NaN."""
    if isnan(given):  # no bound refuses it
        message = "not a number like 60"
        raise typer.BadParameter(message)
    return given


def as_globs(globs: list[str] | None) -> list[str]:
    """Return patterns of names, given with commas between them; in the environment also spaces."""
    return [glob.strip() for listed in globs or () for glob in listed.split(",") if glob.strip()]


def state_directory() -> Path | None:
    """Return the directory for state that outlives a run: the service's, else the user's."""
    # systemd parts several by colons.
    if service := os.environ.get("STATE_DIRECTORY", "").split(":")[0]:
        return Path(service)
    home = os.environ.get("XDG_STATE_HOME", "")
    try:
        state = Path(home) if Path(home).is_absolute() else Path.home() / ".local" / "state"
    except RuntimeError:  # there is no home
        return None
    return state / "visitpay"


@dataclass(frozen=True)
class NotifySettings:
    """Who is told of a load."""

    alert_urls: str
    """Apprise URLs, with commas or spaces between them."""
    ping_url: str

    @classmethod
    def from_environment(cls) -> "NotifySettings":
        """Return the settings; as options of a process anyone could see these secrets."""
        get = os.environ.get
        return cls(get("VISITPAY_ALERT_URLS", ""), get("VISITPAY_PING_URL", ""))


LandingDirectory = Annotated[
    Path,
    typer.Argument(
        metavar="LANDING",
        envvar="VISITPAY_LANDING",
        help="The directory in which the hospital's files arrive.",
        readable=False,  # whether it is, is for `scan` to say, in words of ours
        show_default=True,
    ),
]

DatabaseUrl = Annotated[
    str,
    typer.Option(envvar="VISITPAY_DATABASE_URL", help="The database, as an SQLAlchemy URL."),
]

Hospital = Annotated[
    str,
    typer.Option(envvar="VISITPAY_HOSPITAL", help="The name with which the files' names begin."),
]

OfFile = Annotated[str | None, typer.Option(help="Only rows of files whose names hold this.")]

OfEntity = Annotated[
    str | None,
    typer.Option(
        metavar="TYPE",
        callback=as_entity,
        autocompletion=complete_entity,
        help="Only rows of this type, such as visit.",
    ),
]

OfReason = Annotated[
    str | None,
    typer.Option(callback=as_reason, help="Only rows with this reason, such as invalid_date."),
]

OfKey = Annotated[
    int | None,
    typer.Option(min=-(1 << 63), max=(1 << 63) - 1, help="Only rows with this identifier."),
]

PutAsideSince = Annotated[
    datetime | None,
    typer.Option(parser=as_moment, metavar="TIME", help="Only rows put aside since then, in UTC."),
]

RejectIds = Annotated[
    list[int] | None,
    typer.Argument(
        metavar="[ID]...", min=1, max=(1 << 63) - 1, help="As `rejects list` shows them."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]

Expected = Annotated[
    Expect | None,
    typer.Option(envvar="VISITPAY_EXPECT", help="Find days (UTC) on which nothing came."),
]

Ignored = Annotated[
    list[str] | None,
    typer.Option(
        "--ignore",
        envvar="VISITPAY_IGNORE",
        metavar="CHECK",
        callback=as_checks,
        help="Do not make this check, such as type_missing; several are parted by commas.",
    ),
]

PassOver = Annotated[
    list[str] | None,
    typer.Option(
        "--pass-over",
        envvar="VISITPAY_PASS_OVER",
        metavar="GLOB",
        callback=as_globs,
        help="Say nothing of names like this, such as 'archive*'; several are parted by commas.",
    ),
]

Settle = Annotated[
    float,
    typer.Option(
        min=0,
        envvar="VISITPAY_SETTLE",
        metavar="SECONDS",
        callback=as_number,
        help="Let a file wait that changed less than this long ago.",
    ),
]

MetricsFile = Annotated[
    Path | None,
    typer.Option(
        envvar="VISITPAY_METRICS_FILE",
        metavar="PATH",
        readable=False,
        help="Leave metrics for Prometheus in this file.",
    ),
]

Since = Annotated[
    datetime | None,
    typer.Option(
        parser=as_moment, metavar="TIME", help="Leave files with an older time in their name."
    ),
]
MaxRejects = Annotated[
    object,
    typer.Option(
        parser=as_tolerance,
        metavar="ROWS|SHARE",
        help="Exit with 1 only if more rows than this are rejected: 10, or 5percent (also 5%).",
    ),
]
HoldAbove = Annotated[
    float | None,
    typer.Option(
        parser=as_percent,
        envvar="VISITPAY_HOLD_ABOVE",
        metavar="PERCENT",
        help="Hold a file, whole, of which more rows than this are rejected. Without it, one of"
        " 1,000 rows or more of which more than 90, but not all, are rejected for what needs"
        " mending.",
    ),
]
Approved = Annotated[
    list[str] | None,
    typer.Option("--approve", metavar="NAME", help="Load this file; do not hold it."),
]
AgainNames = Annotated[
    list[str] | None,
    typer.Option("--again", metavar="NAME", help="Load this file once more; it was loaded before."),
]
AgainSince = Annotated[
    datetime | None,
    typer.Option(
        parser=as_moment,
        metavar="TIME",
        help="So all files with this time in their name, or a later one.",
    ),
]
LogFormatOption = Annotated[LogFormat, typer.Option("--log-format", help="How the log is written.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log every step.")]
Limit = Annotated[int, typer.Option(min=1, max=1 << 31, help="Show so many at the most.")]

Wait = Annotated[
    float,
    typer.Option(
        min=0, callback=as_number, help="Seconds to wait while another load holds the database."
    ),
]

DEFAULT_LANDING = Path(vocabulary.DEFAULT_LANDING)

DEFAULT_REPORT = Path("report.html")

DEFAULT_HOSPITAL = vocabulary.DEFAULT_HOSPITAL
