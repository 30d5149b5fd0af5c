"""The report: one HTML page that shows how the feed stands, for people without a terminal.

It holds names and counts, and no cell of a row. Its script and its styles are part of it, and its
policy forbids the browser to load anything else.
"""

from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from sqlalchemy import Connection, Row, func, select

from visitpay.feed import short_name
from visitpay.ledger.files import WAS_TAKEN_AGAIN, count_entries, list_entries
from visitpay.models import ENTITIES, LoadFile, LoadRun, RejectedRow
from visitpay.quality.balances import comparisons
from visitpay.rejects.queries import Reject, RejectFilter, count_by_reason, list_rejects
from visitpay.reporting.charts import Chart
from visitpay.reporting.status import FeedStatus
from visitpay.text import ago, counted, minute, printable, second
from visitpay.verdict.advice import advice_for
from visitpay.version import __version__
from visitpay.vocabulary import FileStatus, Reason, RunStatus

DAYS = 60
"""So many days of the feed, runs with files, and comparisons of balances are drawn, the newest."""

ROWS = 1000
"""At most so many files, and so many open rejects, are listed."""


BEGIN = b"<!DOCTYPE html>"
"""How a page begins."""

_ENDS: Mapping[str, str] = {
    RunStatus.OK: "ended well",
    RunStatus.ATTENTION: "needs attention",
    RunStatus.INTERRUPTED: "was interrupted",
    RunStatus.RUNNING: "has not ended",
}


class ListedFile(NamedTuple):
    """A line of the table of files."""

    name: str
    state: str
    """`not recognised`, `waiting`, or as `ledger.files.Entry.state` says."""
    rows_read: int | None = None
    rejected: int | None = None
    loaded_at: datetime | None = None
    error: str = ""


@dataclass(frozen=True)
class Report:
    """What the page shows; times in UTC."""

    now: datetime
    status: FeedStatus
    charts: Sequence[Chart]
    files: Sequence[ListedFile]
    """Unrecognised names, then files that wait, then entries of the ledger, the newest first."""
    files_known: int
    """How many there are; at most ROWS of them are listed."""
    rejects: Sequence[Reject]
    """The oldest open ones."""
    reasons: Mapping[str, int]
    """How many rejects are open, by reason."""


def report(connection: Connection, status: FeedStatus, now: datetime) -> Report:
    """Return what the page shows: the `status` of the feed `now` (UTC), and what is not in it."""
    entries = count_entries(connection, entity=None, status=None)
    return Report(
        now=now,
        status=status,
        charts=_charts(connection, status.fed_until),
        files=_files(connection, status),
        files_known=entries + len(status.files_waiting) + len(status.unrecognised),
        rejects=list_rejects(connection, RejectFilter(), ROWS),
        reasons=count_by_reason(connection, RejectFilter()),
    )


def _charts(connection: Connection, fed_until: datetime | None) -> list[Chart]:
    if fed_until is None:
        return []
    newest = fed_until.date()
    days = [newest - timedelta(number) for number in reversed(range(DAYS))]
    since = datetime.combine(days[0], time(), UTC)
    charts = (
        _rows(connection, days, since),
        _rejects(connection, days, since),
        _load_times(connection),
        _differences(connection),
    )
    return [chart for chart in charts if chart.values]


def _rows(connection: Connection, days: Sequence[date], since: datetime) -> Chart:
    loaded = select(LoadFile.file_datetime, LoadFile.entity, LoadFile.rows_read).where(
        LoadFile.status == FileStatus.LOADED, LoadFile.file_datetime >= since, ~WAS_TAKEN_AGAIN
    )
    types = [entity.__name__ for entity in ENTITIES]
    values = _by_day(connection.execute(loaded))
    return Chart("Rows by day and type", "day", "rows", "type", _shown(days, values), types, values)


def _rejects(connection: Connection, days: Sequence[date], since: datetime) -> Chart:
    rejected = (
        select(LoadFile.file_datetime, RejectedRow.reason, func.count())
        .join_from(RejectedRow, LoadFile)
        .where(LoadFile.file_datetime >= since, ~WAS_TAKEN_AGAIN)
        .group_by(LoadFile.file_datetime, RejectedRow.reason)
    )
    values = _by_day(connection.execute(rejected))
    found = {part for _, part in values}
    reasons = [*filter(found.__contains__, Reason), *sorted(found.difference(Reason))]
    title = "Rejected rows by day and reason, also those closed since"
    return Chart(title, "day", "rows", "reason", _shown(days, values), reasons, values)


def _by_day(counted: Iterable[Row[datetime, str, int]]) -> Counter[tuple[str, str]]:
    values: Counter[tuple[str, str]] = Counter()
    for moment, part, count in counted:
        values[str(moment.date()), part] += count
    return +values


def _shown(days: Sequence[date], values: Iterable[tuple[str, str]]) -> list[str]:
    """Return the days from the first that has values."""
    first = min((day for day, _ in values), default="")
    return [str(day) for day in days if str(day) >= first]


def _load_times(connection: Connection) -> Chart:
    runs = (
        select(LoadRun.id, LoadRun.started_at, LoadRun.finished_at)
        .where(LoadRun.files_loaded + LoadRun.files_failed > 0)
        .order_by(LoadRun.id.desc())
        .limit(DAYS)
    )
    values = {
        (str(number), "seconds"): round((finished - started).total_seconds(), 2)
        for number, started, finished in reversed(connection.execute(runs).all())
        if finished is not None
    }
    places = [place for place, _ in values]
    return Chart("Load time by run", "run", "seconds", "part", places, ["seconds"], values)


def _differences(connection: Connection) -> Chart:
    values = {
        (second(comparison.compared_at), "visits"): comparison.different
        for comparison in reversed(comparisons(connection, DAYS))
    }
    places = [place for place, _ in values]
    values = {place: visits for place, visits in values.items() if visits}
    title = "Visits of which the balance differs from the transactions, by comparison"
    return Chart(title, "compared", "visits", "part", places, ["visits"], values)


def _files(connection: Connection, status: FeedStatus) -> list[ListedFile]:
    entries = list_entries(connection, entity=None, status=None, limit=ROWS)
    failed = set(status.files_failed)
    return [
        *(ListedFile(name, "not recognised") for name in status.unrecognised),
        *(ListedFile(name, "waiting") for name in status.files_waiting),
        *(
            ListedFile(
                *(entry.name, entry.state(failed), entry.counts.read, entry.counts.rejected),
                *(entry.loaded_at, entry.error or ""),
            )
            for entry in entries
        ),
    ][:ROWS]


def page(shown: Report) -> str:
    """Return the page as HTML; all text from outside is escaped."""
    here = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(here),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "moment": _moment,
        "number": _number,
        "printable": printable,
        "short_name": short_name,
        "counted": counted,
        "breakable": _breakable,
    }
    script = (here / "page.js").read_text("utf-8")
    named = [*shown.reasons, *(finding.check for finding in shown.status.findings)]
    states = {
        "file_failed": set(shown.status.files_failed) - set(shown.status.files_held),
        "file_held": shown.status.files_held,
        "file_changing": shown.status.files_changing,
        "not_recognised": shown.status.unrecognised,
    }
    named += [name for name, files in states.items() if files]
    return environment.get_template("page.html").render(
        report=shown,
        status=shown.status,
        age=_age(shown),
        ended=_ended(shown),
        remedies={name: advice_for(name) for name in dict.fromkeys(named)},
        script=script,
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
        styles=(here / "page.css").read_text("utf-8"),
        version=__version__,
    )


def _age(shown: Report) -> str:
    """Return how old the newest file is, in words."""
    if shown.status.fed_until is None:
        return ""
    return ago(shown.now - shown.status.fed_until)


def _ended(shown: Report) -> str:
    """Return how the last run ended, in words."""
    run = shown.status.last_run
    if run is None:
        return ""
    took = ""
    if run.finished_at is not None:
        took = f", took {(run.finished_at - run.started_at).total_seconds():,.1f} s"
    ended = _ENDS.get(run.status, f"ended as {run.status}")
    if shown.status.run_died:
        ended = "died or was stopped"
    return f"{took} and {ended}"


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else f"{minute(moment)} UTC"


def _number(number: float | None) -> str:
    if number is None:
        return ""
    return f"{number:,.2f}" if isinstance(number, float) else f"{number:,}"


def _breakable(name: str) -> Markup:
    """Return a name of ours that a browser may break between its words."""
    return Markup("<wbr>_").join(name.split("_"))
