"""The report: one HTML page that shows how the feed stands, for people without a terminal.

It shows the verdict (`visitpay.verdict`) and decides nothing itself. It holds names, counts and
sums, and no cell of a row. Its script and its styles are part of it, and its policy forbids the
browser to load anything else.
"""

from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from sqlalchemy import Connection, func, make_url, select

from visitpay.database.naming import shown
from visitpay.feed import short_name
from visitpay.hints import SET_URL, Setup
from visitpay.ledger.files import count_entries, list_entries
from visitpay.ledger.runs import Run, count_runs, list_runs
from visitpay.models import ENTITIES, LoadFile, RejectedRow, Transaction
from visitpay.quality.checks import CHECKS
from visitpay.rejects.money import MoneyOfReason
from visitpay.reporting.charts import Chart, Usual, amount
from visitpay.reporting.figures import DAYS, Figures, figures
from visitpay.reporting.status import FeedStatus
from visitpay.text import ago, counted, iso, minute, printable
from visitpay.verdict.advice import Advice, advice_for
from visitpay.verdict.kinds import ROWS_REJECTED
from visitpay.verdict.problems import Feed
from visitpay.verdict.verdict import Judged
from visitpay.version import __version__
from visitpay.vocabulary import Health, RejectStatus

ROWS = 1000
"""At most so many files, and so many open rejects, are listed."""

RUNS = 20
"""So many runs are listed, the newest."""

FIRST_PROBLEMS = 5
"""So many problems of each group are seen at once."""

PROBLEMS = 20
"""At most so many more are listed, folded."""

_REASONS = 5
"""So many reasons have a colour; all others are one part."""

_OTHERS = "other reasons"

BEGIN = b"<!DOCTYPE html>"
"""How a page begins."""

_SIGNS = {Health.WELL: "\N{CHECK MARK}", Health.NEEDS_PERSON: "!", Health.UNKNOWN: "?"}
_STYLES = {Health.WELL: "well", Health.NEEDS_PERSON: "needs", Health.UNKNOWN: "unknown"}


class ListedFile(NamedTuple):
    """A line of the table of files."""

    name: str
    state: str
    """`not recognised`, `waiting`, or as `ledger.files.Entry.state` says."""
    rows_read: int | None = None
    rejected: int | None = None
    loaded_at: datetime | None = None
    error: str = ""


class ListedReject(NamedTuple):
    """A line of the table of rejects: no cell of the row."""

    id: int
    file: str
    line: int
    entity: str
    reason: str
    column: str | None
    created_at: datetime


class OpenReason(NamedTuple):
    """A line of the table of reasons: the open rejects of a type that have one reason."""

    entity: str
    reason: str
    rows: int
    money: MoneyOfReason | None
    """None for rows of a type that has no amounts."""
    advice: Advice
    command: str


class Group(NamedTuple):
    """Problems that stand together."""

    name: str
    title: str
    problems: Sequence[Judged]
    """The rejects of a type, for all their reasons, are one."""
    is_folded: bool

    @property
    def kinds(self) -> list[str]:
        """What the problems are, in words."""
        return [_words(kind) for kind in dict.fromkeys(each.kind for each in self.problems)]


@dataclass(frozen=True)
class Report:
    """What the page shows; times in UTC."""

    now: datetime
    setup: Setup
    status: FeedStatus
    figures: Figures
    charts: Sequence[Chart]
    runs: Sequence[Run]
    """The newest first."""
    runs_known: int
    """How many there are; RUNS of them are listed."""
    files: Sequence[ListedFile]
    """Unrecognised names, then files that wait, then entries of the ledger, the newest first."""
    files_known: int
    """How many there are; at most ROWS of them are listed."""
    rejects: Sequence[ListedReject]
    """The open ones, the newest first."""
    reasons: Sequence[OpenReason]
    """How many rejects are open, the most frequent first."""

    @property
    def groups(self) -> list[Group]:
        """The problems: what keeps files from being loaded first, then the new, then the known."""
        verdict = self.status.verdict
        failures = [problem for problem in verdict.open if _is_failure(problem)]
        new = [problem for problem in verdict.new if not _is_failure(problem)]
        known = [problem for problem in verdict.known if not _is_failure(problem)]
        # What was acknowledged has a reason of its own each.
        said = [told for problem in verdict.acknowledged for told in verdict.in_brief([problem])]
        failing, brief = verdict.in_brief(failures), verdict.in_brief
        groups = (
            Group("failures", "Loads and files that fail or wait", failing, is_folded=False),
            Group("new", "New in the last 24 hours", brief(new), is_folded=False),
            Group("known", "Known for longer", brief(known), is_folded=True),
            Group("acknowledged", "Acknowledged", said, is_folded=True),
        )
        return [group for group in groups if group.problems]

    @property
    def first(self) -> Judged | None:
        """The problem to look at first."""
        return next(iter(self.status.verdict.in_brief(self.status.verdict.open)), None)

    @property
    def yesterday(self) -> date:
        """The last whole day."""
        return self.figures.today - timedelta(days=1)

    @property
    def usual_yesterday(self) -> Usual | None:
        """How many rows are usual for that day; None if that is not known."""
        return self.figures.usual([self.yesterday]).get(self.yesterday)


def _is_failure(problem: Judged) -> bool:
    """Whether a problem is about runs or whole files, and not about rows."""
    return problem.kind not in CHECKS and problem.kind != ROWS_REJECTED


def report(feed: Feed, status: FeedStatus) -> Report:
    """Return what the page shows: the `status` of the `feed`, and what is not in it."""
    connection = feed.connection
    numbers = figures(connection, feed.now)
    entries = count_entries(connection, entity=None, status=None)
    return Report(
        now=feed.now,
        setup=feed.setup,
        status=status,
        figures=numbers,
        charts=_charts(numbers),
        runs=list_runs(connection, limit=RUNS),
        runs_known=count_runs(connection),
        files=_files(connection, status),
        files_known=entries + len(status.files_waiting) + len(status.unrecognised),
        rejects=_rejects(connection),
        reasons=_reasons(connection, feed.setup, numbers),
    )


def _charts(numbers: Figures) -> list[Chart]:
    days, today = numbers.days, numbers.today
    drawn = set(days)
    rows = {key: value for key, value in numbers.rows.items() if key[0] in drawn}
    rejects = {key: value for key, value in numbers.rejects.items() if key[0] in drawn}
    reasons = _worst(rejects)
    rejects = _with_others(rejects, reasons)
    money = {(day, "amount"): value for day, value in numbers.money.items() if day in drawn}
    charts = (
        Chart(
            "rows",
            "Did as many rows come as usual?",
            "Rows by day of the file, all types",
            days,
            [entity.__name__ for entity in ENTITIES],
            rows,
            today,
            usual=numbers.usual(days) if rows else {},
        ),
        Chart(
            "rejects-by-day",
            "Which rows could not be used?",
            "Rejected rows by day of the file, also those mended since",
            days,
            [*reasons, *([_OTHERS] if any(part == _OTHERS for _, part in rejects) else [])],
            rejects,
            today,
            is_stacked=True,
        ),
        Chart(
            "money",
            "How much money came?",
            "Amounts of transactions, net, by day of the file that brought them last",
            days,
            ["amount"],
            money,
            today,
        ),
    )
    return [chart for chart in charts if chart.values]


def _worst(rejects: Mapping[tuple[date, str], int]) -> list[str]:
    """Return the most frequent reasons, the worst first."""
    totals: Counter[str] = Counter()
    for (_, reason), rows in rejects.items():
        totals[reason] += rows
    return [reason for reason, _ in totals.most_common(_REASONS)]


def _with_others(
    rejects: Mapping[tuple[date, str], int], reasons: Sequence[str]
) -> Counter[tuple[date, str]]:
    """Return the numbers with all but some reasons put together."""
    values: Counter[tuple[date, str]] = Counter()
    for (day, reason), rows in rejects.items():
        values[day, reason if reason in reasons else _OTHERS] += rows
    return values


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


def _rejects(connection: Connection) -> list[ListedReject]:
    columns = (
        *(RejectedRow.id, LoadFile.name, RejectedRow.line_number, RejectedRow.entity),
        *(RejectedRow.reason, RejectedRow.column_name, RejectedRow.created_at),
    )
    are_open = select(*columns).join_from(RejectedRow, LoadFile)
    are_open = are_open.where(RejectedRow.status == RejectStatus.OPEN)
    newest = are_open.order_by(RejectedRow.id.desc()).limit(ROWS)
    return [ListedReject._make(row) for row in connection.execute(newest)]


def _reasons(connection: Connection, setup: Setup, numbers: Figures) -> list[OpenReason]:
    number = func.count().label("number")
    types = (RejectedRow.entity, RejectedRow.reason)
    counted_rows = select(*types, number).where(RejectedRow.status == RejectStatus.OPEN)
    ordered = counted_rows.group_by(*types).order_by(number.desc(), *types)
    money = {(each.entity, each.reason): each for each in numbers.quarantine.by_reason}
    return [
        OpenReason(
            entity=entity,
            reason=reason,
            rows=rows,
            money=money.get((entity, reason)),
            advice=advice_for(reason),
            command=setup.hint("rejects list", "--entity", entity, "--reason", reason),
        )
        for entity, reason, rows in connection.execute(ordered)
    ]


def page(shown_report: Report) -> str:
    """Return the page as HTML."""
    status, setup = shown_report.status, shown_report.setup
    word, _, detail = status.summary.partition(": ")
    return render(
        "page.html",
        shown_report.now,
        report=shown_report,
        status=status,
        verdict=status.verdict,
        figures=shown_report.figures,
        quarantine=shown_report.figures.quarantine.total(Transaction),
        database=shown(make_url(setup.database_url)),
        word=f"{word[:1].upper()}{word[1:]}",
        detail=detail,
        sign=_SIGNS[status.verdict.state],
        style=_STYLES[status.verdict.state],
        first_problems=FIRST_PROBLEMS,
        most_problems=PROBLEMS,
        most_days=DAYS,
    )


def render(template: str, now: datetime, **values: object) -> str:
    """Return a page as HTML, with the styles and the script of all pages; `now` is in UTC.

    All text from outside is escaped.
    """
    here = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(here),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "age": lambda moment: ago(now - moment),
        "advice": _advice,
        "amount": amount,
        "breakable": _breakable,
        "counted": counted,
        "hash": _hash,
        "iso": iso,
        "minute": minute,
        "number": _number,
        "parted": _parted,
        "printable": printable,
        "short_name": short_name,
        "words": _words,
    }
    return environment.get_template(template).render(
        **values,
        now=now,
        script=(here / "page.js").read_text("utf-8"),
        styles=(here / "page.css").read_text("utf-8"),
        version=__version__,
    )


def _hash(text: str) -> str:
    """Return what the policy calls a script or styles by."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _advice(problem: Judged) -> Advice:
    """Return the advice on a problem; on rejects that have one reason, that on the reason."""
    _entity, *reasons = problem.subject.split(" ")
    is_of_reason = problem.kind == ROWS_REJECTED and len(reasons) == 1
    return advice_for(reasons[0] if is_of_reason else problem.kind)


def _parted(command: str) -> tuple[str, str]:
    """Return a command as it is run, and what is to be known of it."""
    alone = command.removesuffix(SET_URL)
    return alone, command[len(alone) :].strip(" ()")


def _words(name: str) -> str:
    """Return a name of ours as words."""
    return name.replace("_", " ")


def _number(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _breakable(name: str) -> Markup:
    """Return a name of ours that a browser may break between its words."""
    return Markup("<wbr>_").join(name.split("_"))
