"""The options that commands share, and how their values are read."""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from visitpay import settings, vocabulary
from visitpay.cli import completion
from visitpay.errors import ConfigurationError
from visitpay.vocabulary import RejectStatus

if TYPE_CHECKING:
    from visitpay.loading.types import Tolerance

ALL_PERCENT = 100

PERCENT = ("%", "percent")
"""The ends that make a number a share. Cron cuts a command at a `%`, so there is a word for it."""

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"([0-9]{1,9})\s?([smhdw])")
_LONGEST = timedelta(days=36_525)
_DAYS_AGO = {"today": 0, "yesterday": 1}


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


def as_duration(text: str) -> timedelta:
    """Return how long a text says, such as 90s, 15m, 2h, 1d or 2w; raises BadParameter."""
    if (duration := _duration(text)) and duration <= _LONGEST:
        return duration
    message = "not a duration like 90s, 15m, 2h, 1d or 2w"
    raise typer.BadParameter(message)


def _duration(text: str) -> timedelta | None:
    """Return how long a text says; None if it says none."""
    if found := _DURATION.fullmatch(text.strip().lower()):
        return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])
    return None


def as_moment(text: str) -> datetime:
    """Return the time that a text says, in UTC unless it names another zone; raises BadParameter.

    It is a date, a time, `today` or `yesterday` (where they begin), or how long ago, such as 2h.
    """
    now, word = datetime.now(UTC), text.strip().lower()
    if word in _DAYS_AGO:
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight - timedelta(days=_DAYS_AGO[word])
    try:
        if ago := _duration(word):
            return now - ago
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        message = "not a time in UTC like 2021-12-01, 2021-12-01T22:30:00Z, yesterday, 2h or 3d"
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


def as_kind(kind: str) -> str:
    """Return the kind of a problem; raises BadParameter if it is none."""
    from visitpay.verdict.kinds import KINDS

    _require_one_of(KINDS, kind)
    return kind


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


def as_seconds(given: object) -> float:
    """Return a number of seconds; raises BadParameter if it is none."""
    with suppress(ValueError):
        if (seconds := float(str(given))) >= 0:
            return seconds
    message = "not a number of seconds like 60"
    raise typer.BadParameter(message)


def as_count(given: object) -> int:
    """Return a number of rows or days; raises BadParameter if it is none."""
    with suppress(ValueError):
        if 1 <= (count := int(str(given))) <= 1 << 31:
            return count
    message = f"not a whole number from 1 to {1 << 31:,}"
    raise typer.BadParameter(message)


def as_key(given: object) -> int:
    """Return an identifier; raises BadParameter if it is none."""
    with suppress(ValueError):
        if -(1 << 63) <= (key := int(str(given))) < 1 << 63:
            return key
    message = "not an identifier, a whole number like 321000004"
    raise typer.BadParameter(message)


def as_globs(globs: list[str] | None) -> list[str]:
    """Return patterns of names, given with commas between them; in the environment also spaces."""
    return [glob.strip() for listed in globs or () for glob in listed.split(",") if glob.strip()]


@dataclass(frozen=True)
class NotifySettings:
    """Who is told of a load."""

    alert_urls: str
    """Apprise URLs, with commas or spaces between them."""
    ping_url: str

    @classmethod
    def in_force(cls) -> "NotifySettings":
        """Return the settings; as options of a process anyone could see these secrets.

        Raises SettingsError.
        """
        return cls(*(str(settings.in_force(field.name).value) for field in fields(cls)))

    @classmethod
    def salvaged(cls) -> "NotifySettings":
        """Return as much as can be told of them although something is wrong."""
        return cls(*(settings.salvaged(field.name) for field in fields(cls)))


LandingDirectory = Annotated[
    str,
    typer.Argument(
        metavar="LANDING",
        envvar="VISITPAY_LANDING",
        autocompletion=completion.paths,
        help="Where the hospital's files arrive: a directory, or a URL.",
        show_default=True,
    ),
]

LandingOption = Annotated[
    str,
    typer.Option(
        "--landing",
        metavar="LANDING",
        envvar="VISITPAY_LANDING",
        autocompletion=completion.paths,
        help="Where the hospital's files arrive: a directory, or a URL.",
    ),
]

DatabaseUrl = Annotated[
    str,
    typer.Option(
        envvar="VISITPAY_DATABASE_URL", metavar="URL", help="The database, as an SQLAlchemy URL."
    ),
]

Hospital = Annotated[
    str,
    typer.Option(
        envvar="VISITPAY_HOSPITAL",
        metavar="NAME",
        help="The name with which the files' names begin.",
    ),
]

OfFile = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        autocompletion=completion.known_files,
        help="Only rows of files whose names hold this.",
    ),
]

OfEntity = Annotated[
    str | None,
    typer.Option(
        metavar="TYPE",
        callback=as_entity,
        autocompletion=completion.entities,
        help="Only rows of this type, such as visit.",
    ),
]

OfReason = Annotated[
    str | None,
    typer.Option(
        metavar="REASON",
        callback=as_reason,
        autocompletion=completion.reasons,
        help="Only rows with this reason, such as invalid_date.",
    ),
]

OfKey = Annotated[
    int | None,
    typer.Option(parser=as_key, metavar="ID", help="Only rows with this identifier."),
]

PutAsideSince = Annotated[
    datetime | None,
    typer.Option(parser=as_moment, metavar="TIME", help="Only rows rejected since then, in UTC."),
]

RejectIds = Annotated[
    list[int] | None,
    typer.Argument(
        metavar="[ID]...",
        min=1,
        max=(1 << 63) - 1,
        autocompletion=completion.reject_ids,
        help="As `rejects list` shows them.",
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
        autocompletion=completion.checks,
        help="Do not make this check, such as type_missing; several are parted by commas.",
    ),
]

Every = Annotated[
    timedelta | None,
    typer.Option(
        "--every",
        parser=as_duration,
        envvar="VISITPAY_EVERY",
        metavar="DURATION",
        help="How often a load runs; else learnt from past runs.",
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
        envvar="VISITPAY_SETTLE",
        metavar="SECONDS",
        parser=as_seconds,
        help="Let a file wait that changed less than this long ago.",
    ),
]

MetricsFile = Annotated[
    Path | None,
    typer.Option(
        envvar="VISITPAY_METRICS_FILE",
        metavar="FILE",
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
    typer.Option(
        "--approve",
        metavar="NAME",
        autocompletion=completion.files,
        help="Load this file; do not hold it.",
    ),
]
AgainNames = Annotated[
    list[str] | None,
    typer.Option(
        "--again",
        metavar="NAME",
        autocompletion=completion.files,
        help="Load this file once more; it was loaded before.",
    ),
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
LogFile = Annotated[
    Path | None,
    typer.Option(
        envvar="VISITPAY_LOG_FILE",
        metavar="PATH",
        readable=False,
        help="Append the log to this file; standard error has one line, if a person must know.",
    ),
]
Limit = Annotated[
    int, typer.Option(parser=as_count, metavar="ROWS", help="Show so many at the most.")
]

Wait = Annotated[
    float,
    typer.Option(
        parser=as_seconds,
        metavar="SECONDS",
        help="How long to wait while another load holds the database.",
    ),
]

UnlessAfter = Annotated[
    int | None,
    typer.Option(
        "--unless-after",
        hidden=True,
        help="Leave it to another load: one that is under way, or a later run that ended well.",
    ),
]

DEFAULT_LANDING = vocabulary.DEFAULT_LANDING

DEFAULT_REPORT = Path("report.html")

DEFAULT_HOSPITAL = vocabulary.DEFAULT_HOSPITAL
