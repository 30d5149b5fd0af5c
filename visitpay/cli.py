"""The commands: arguments in, tables or JSON out."""

import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, cast

import typer

from visitpay import DEFAULT_URL, __version__
from visitpay.errors import ConfigurationError, StoppedError, VisitPayError

if TYPE_CHECKING:
    from visitpay.alerting import Watch
    from visitpay.balances import Reconciliation
    from visitpay.checking import CheckedFile
    from visitpay.explaining import Explained
    from visitpay.loading import FileReport, RunReport, Tolerance
    from visitpay.quality import Finding

ENDS = ("inserted", "updated", "unchanged", "stale", "superseded", "rejected")

ATTENTION_STATUS = 1
CONFIGURATION_STATUS = 2
DATABASE_STATUS = 3

app = typer.Typer(
    name="visitpay",
    help="Load a hospital's daily VisitPay text files into a database, every row accounted for.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
rejects_app = typer.Typer(no_args_is_help=True, help="Rows that were put aside, and why.")
app.add_typer(rejects_app, name="rejects")


class LogFormat(StrEnum):
    """How the log is written."""

    TEXT = "text"
    JSON = "json"


class Entities(StrEnum):
    """What a file holds."""

    PROCEDURE = "Procedure"
    VISIT = "Visit"
    TRANSACTION = "Transaction"


class FileStatus(StrEnum):
    """What came of a file."""

    LOADED = "loaded"
    FAILED = "failed"
    HELD = "held"


class RejectStatus(StrEnum):
    """Whether a row still waits for someone."""

    OPEN = "open"
    RESOLVED = "resolved"
    SUPERSEDED = "superseded"
    DISMISSED = "dismissed"
    ALL = "all"


class Expect(StrEnum):
    """On which days something is to come."""

    WEEKDAYS = "weekdays"
    DAILY = "daily"


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        message = "not a date or a UTC time like 2021-12-01 or 2021-12-01T22:30:00Z"
        raise typer.BadParameter(message) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _tolerance(text: str) -> "Tolerance":
    from visitpay.loading import Tolerance

    percent = text.endswith("%")
    number = text.removesuffix("%")
    digits = number.replace(".", "", 1) if percent else number
    if not (digits.isascii() and digits.isdigit()):
        message = "not a number of rows like 10, or a share of them like 0.5%"
        raise typer.BadParameter(message)
    return Tolerance(float(number), percent=percent)


def _reason(reason: str | None) -> str | None:
    if reason is None:
        return None
    from visitpay.parsing import REASONS

    if reason not in REASONS:
        message = f"{reason!r} is none of {', '.join(REASONS)}"
        raise typer.BadParameter(message)
    return reason


def _number(given: float) -> float:
    if isnan(given):  # no bound refuses it
        message = "not a number like 60"
        raise typer.BadParameter(message)
    return given


Landing = Annotated[
    Path,
    typer.Argument(
        metavar="LANDING",
        envvar="VISITPAY_LANDING",
        help="The directory in which the hospital's files arrive.",
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
OfEntity = Annotated[Entities | None, typer.Option(help="Only rows of this type.")]
OfReason = Annotated[
    str | None,
    typer.Option(callback=_reason, help="Only rows with this reason, such as invalid_date."),
]
OfKey = Annotated[
    int | None,
    typer.Option(min=-(1 << 63), max=(1 << 63) - 1, help="Only rows with this identifier."),
]
PutAsideSince = Annotated[
    datetime | None,
    typer.Option(parser=_moment, metavar="TIME", help="Only rows put aside since then, in UTC."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
Expected = Annotated[
    Expect | None,
    typer.Option(envvar="VISITPAY_EXPECT", help="Find days (UTC) on which nothing came."),
]
Limit = Annotated[int, typer.Option(min=1, max=1 << 31, help="Show so many at the most.")]
Wait = Annotated[
    float,
    typer.Option(
        min=0, callback=_number, help="Seconds to wait while another load holds the database."
    ),
]

DEFAULT_LANDING = Path("landing")
DEFAULT_HOSPITAL = "HospitalABC"


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it with the flag
    if wanted:
        typer.echo(f"visitpay {__version__}")
        raise typer.Exit


@app.callback()
def _visitpay(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
def load(  # noqa: PLR0913 - each is an option of the command
    landing: Landing = DEFAULT_LANDING,
    *,
    database_url: DatabaseUrl = DEFAULT_URL,
    hospital: Hospital = DEFAULT_HOSPITAL,
    since: Annotated[
        datetime | None,
        typer.Option(
            parser=_moment, metavar="TIME", help="Leave files with an older time in their name."
        ),
    ] = None,
    max_rejects: Annotated[
        object,
        typer.Option(
            parser=_tolerance,
            metavar="ROWS|PERCENT%",
            help="Exit with 1 only if more rows than this are rejected.",
        ),
    ] = "0",
    hold_above: Annotated[
        float,
        typer.Option(
            min=0,
            max=100,
            metavar="PERCENT",
            callback=_number,
            help="Hold a file, whole, of which more rows than this are rejected.",
        ),
    ] = 100,
    approve: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Load this file however many rows are rejected."),
    ] = None,
    wait: Wait = 60,
    metrics_file: Annotated[
        Path | None,
        typer.Option(
            envvar="VISITPAY_METRICS_FILE",
            metavar="PATH",
            help="Leave metrics for Prometheus in this file.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Do everything, then take it all back.")
    ] = False,
    as_json: Json = False,
    log_format: Annotated[LogFormat, typer.Option(help="How the log is written.")] = LogFormat.TEXT,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every step.")] = False,
) -> None:
    """Load the files that were not loaded before: the scheduled job.

    Files go in type by type (Procedure, Visit, Transaction), oldest first, each in one transaction.
    Rows that cannot be used are put aside with their reason; see `visitpay rejects list`.

    Exit status: 0 all loaded or nothing to do; 1 a file failed, or more rows were rejected than
    --max-rejects allows; 2 unusable arguments; 3 the database cannot be used; 130 or 143 stopped by
    Ctrl-C or SIGTERM, the file under way rolled back.

    VISITPAY_ALERT_URLS names Apprise URLs that are told when something needs a person, and when it
    is over; VISITPAY_PING_URL a dead man's switch of the kind of healthchecks.io.

    Example: visitpay load /srv/landing --database-url sqlite:////srv/pay.db
    """
    from visitpay import terminal
    from visitpay.alerting import Watch
    from visitpay.database import make_engine
    from visitpay.loading import ATTENTION, Options
    from visitpay.loading import load as load_landing

    terminal.start_log(log_format, verbose=verbose)
    options = Options(
        since=since,
        dry_run=dry_run,
        wait_seconds=wait,
        tolerance=cast("Tolerance", max_rejects),
        hold_above=hold_above,
        approved=frozenset(approve or ()),
    )
    watch = Watch() if dry_run else Watch(*_told(), metrics_file)
    with _watched(watch):
        with _stoppable(), terminal.progress_bar() as progress:
            report = load_landing(
                make_engine(database_url), landing, hospital, options, progress, watch.look
            )
        if as_json:
            typer.echo(terminal.dumps(_run_document(report)))
        elif sys.stdout.isatty():
            _show_run(report)
        if report.status == ATTENTION:
            raise typer.Exit(ATTENTION_STATUS)


def _told() -> tuple[str, str]:
    # Secrets, which as options anyone could see in the list of processes.
    return os.environ.get("VISITPAY_ALERT_URLS", ""), os.environ.get("VISITPAY_PING_URL", "")


@contextmanager
def _watched(watch: "Watch") -> Iterator[None]:
    """Let those who watch a load know that it begins, and with which exit status it ends."""
    watch.begin()
    try:
        yield
    except typer.Exit as leaving:
        watch.end(leaving.exit_code)
        raise
    except Exception as error:
        watch.end(_exit_status(error), error)
        raise
    watch.end(0)


def _run_document(report: "RunReport") -> dict[str, Any]:
    return {
        "run_id": report.run_id,
        "status": report.status,
        "dry_run": report.dry_run,
        "checkpoint": report.checkpoint,
        "files": [_file_document(each) for each in report.files],
        "unrecognised": report.unrecognised,
        "rejects_open": report.rejects_open,
        "rejects_resolved": report.rejects_resolved,
    }


def _file_document(report: "FileReport") -> dict[str, Any]:
    counts = asdict(report.counts)
    return {
        "name": report.file.name,
        "entity": report.file.entity,
        "status": report.status,
        "rows_read": counts.pop("read"),
        **counts,
        "error": report.error,
    }


def _show_run(report: "RunReport") -> None:
    from visitpay.terminal import iso, show

    rows = [_file_row(_file_document(each), each.counts.read) for each in report.files]
    if rows:
        show(("file", "status", "rows", *ENDS), rows)
    typer.echo(
        f"{'dry run, nothing kept: ' if report.dry_run else ''}{report.status}; "
        f"{len(rows) or 'no new'} files; checkpoint {iso(report.checkpoint) or 'none'}; "
        f"rejects open {report.rejects_open}, resolved {report.rejects_resolved}"
    )


def _file_row(file: Mapping[str, Any], rows: int, prefix: str = "") -> tuple[object, ...]:
    from visitpay.terminal import short

    # What is usual is left blank, and a column that is blank is left out.
    status = None if file["status"] == "loaded" else file["status"]
    return (short(file["name"]), status, rows, *(file[prefix + end] or None for end in ENDS))


@app.command()
def status(
    landing: Landing = DEFAULT_LANDING,
    *,
    database_url: DatabaseUrl = DEFAULT_URL,
    hospital: Hospital = DEFAULT_HOSPITAL,
    expect: Expected = None,
    as_json: Json = False,
) -> None:
    """Say whether all is well, how far the feed has got, what waits, and what needs a person.

    Balances are told of as `visitpay reconcile` found them when it last ran.

    Example: visitpay status /srv/landing
    """
    from visitpay import terminal
    from visitpay.database import reading
    from visitpay.landing import scan
    from visitpay.overview import overview

    now = datetime.now(UTC)
    landed = scan(landing, hospital)
    with reading(database_url) as connection:
        seen = overview(connection, landed, now, expect)
    if as_json:
        verdict = {"status": _verdict(attention=seen.needs_person), "summary": seen.summary}
        found = {"findings": [asdict(each) for each in seen.findings]}
        typer.echo(terminal.dumps(verdict | vars(seen) | found))
        return
    run = seen.last_run
    facts = [
        ("checkpoint", seen.checkpoint or "none: nothing was loaded yet"),
        ("last run", run and f"{run['id']}: {run['status']}, {terminal.iso(run['started_at'])}"),
        ("files waiting", str(len(seen.files_waiting))),
        ("files failed", str(len(seen.files_failed))),
        ("not recognised", str(len(seen.unrecognised))),
        ("rejects open", str(seen.rejects_open)),
    ]
    newest = [
        (each["entity"], each["files"], each["newest"], f"{(now - each['newest']).days} days")
        for each in seen.entities
    ]
    typer.echo(seen.summary)
    terminal.show(("", ""), facts)
    terminal.show(("entity", "files", "newest", "age"), newest)
    _show_findings(seen.findings)


def _verdict(*, attention: bool) -> str:
    return "attention" if attention else "ok"


def _show_findings(findings: "Sequence[Finding]") -> None:
    from visitpay.terminal import short, show

    rows = [
        (each.check, f"{short(each.subject)}: {each.message}" if each.subject else each.message)
        for each in findings
    ]
    if rows:
        show(("check", "finding"), rows)


@app.command()
def files(
    *,
    database_url: DatabaseUrl = DEFAULT_URL,
    entity: Annotated[Entities | None, typer.Option(help="Only files of this type.")] = None,
    status: Annotated[FileStatus | None, typer.Option(help="Only files that ended so.")] = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """Show the ledger: every delivery of every file, the newest first.

    Example: visitpay files --status failed
    """
    from visitpay import ledger, terminal
    from visitpay.database import reading

    with reading(database_url) as connection:
        entries = ledger.entries(connection, entity=entity, status=status, limit=limit)
    if as_json:
        typer.echo(terminal.dumps({"files": entries}))
        return
    rows = [
        (each["id"], *_file_row(dict(each), each["rows_read"], "rows_"), each["error"])
        for each in entries
    ]
    terminal.show(("id", "file", "status", "rows", *ENDS, "error"), rows)


@rejects_app.command("list")
def list_rejects(  # noqa: PLR0913 - each is an option of the command
    *,
    database_url: DatabaseUrl = DEFAULT_URL,
    file: OfFile = None,
    entity: OfEntity = None,
    reason: OfReason = None,
    key: OfKey = None,
    since: PutAsideSince = None,
    status: Annotated[
        RejectStatus, typer.Option(help="Only rows that stand so.")
    ] = RejectStatus.OPEN,
    raw: Annotated[
        bool, typer.Option("--raw", help="Show identifiers and rows, too, as they came.")
    ] = False,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """Show rows that were put aside, how many by reason, and with --raw what they hold.

    The rows hold health and payment data: mind who looks on.

    Example: visitpay rejects list --reason missing_reference
    """
    from visitpay import quarantine, terminal
    from visitpay.database import reading

    stands = None if status is RejectStatus.ALL else status
    wanted = quarantine.Wanted(file, entity, reason, key, stands, since)
    with reading(database_url) as connection:
        rejects = quarantine.listing(connection, wanted, limit)
        counts = quarantine.counts(connection, wanted)
    hidden = () if raw else ("record_key", "raw")
    rows = [{name: row[name] for name in row if name not in hidden} for row in rejects]
    if as_json:
        typer.echo(terminal.dumps({"rejects": rows, "counts": counts}))
        return
    terminal.show(*_rejects_table(rows))
    if len(counts) > 1 or sum(counts.values()) > len(rows):
        terminal.show(("reason", "rows"), list(counts.items()))


def _rejects_table(
    rejects: "Sequence[Mapping[Any, Any]]",
) -> tuple[tuple[str, ...], list[list[object]]]:
    from visitpay.terminal import short

    columns = {
        "line_number": "line",
        "record_key": "key",
        "reason": "reason",
        "column_name": "column",
        "status": "status",
        "why": "why",
        "raw": "row",
    }
    shown = [name for name in columns if not rejects or name in rejects[0]]
    cells = [[row["id"], short(row["file"]), *(row[name] for name in shown)] for row in rejects]
    return ("id", "file", *(columns[name] for name in shown)), cells


@rejects_app.command("export")
def export_rejects(  # noqa: PLR0913 - each is an option of the command
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write the files.")],
    *,
    database_url: DatabaseUrl = DEFAULT_URL,
    hospital: Hospital = DEFAULT_HOSPITAL,
    file: OfFile = None,
    entity: OfEntity = None,
    reason: OfReason = None,
    key: OfKey = None,
    since: PutAsideSince = None,
    response: Annotated[
        bool, typer.Option("--response", help="Write one file that goes back to the hospital.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the open rejects to files: mend the rows, and move the file to the landing directory.

    A file a type, in the feed's own format, with reason, file and line ahead of each row. Take out
    the rows that you do not mend: they would be rejected once more. With --response, one file with
    the rows as they came and, at its end, what became of the rows of each file.

    The files hold health and payment data; they are readable by their owner only.

    Example: visitpay rejects export mended --reason invalid_date
    """
    from visitpay import exporting, quarantine, terminal
    from visitpay.database import reading

    wanted = quarantine.Wanted(file, entity, reason, key, since=since)
    now = datetime.now(UTC)
    with reading(database_url) as connection:
        if response:
            written = [exporting.respond(connection, directory, hospital, wanted, now)]
        else:
            written = exporting.export(connection, directory, hospital, wanted, now)
    if as_json:
        typer.echo(terminal.dumps({"files": [vars(each) for each in written]}))
    else:
        terminal.show(("file", "rows"), [(each.path, each.rows) for each in written])


@rejects_app.command("dismiss")
def dismiss_rejects(
    ids: Annotated[
        list[int], typer.Argument(metavar="ID...", help="As `rejects list` shows them.")
    ],
    *,
    why: Annotated[str, typer.Option(help="Why nobody will mend them; it is recorded.")],
    database_url: DatabaseUrl = DEFAULT_URL,
    wait: Wait = 60,
    as_json: Json = False,
) -> None:
    """Close open rejects that will never be mended, and record why.

    Example: visitpay rejects dismiss 12 13 --why "test patients"
    """
    from visitpay import quarantine, terminal
    from visitpay.database import make_engine
    from visitpay.hold import Hold

    if not why.strip():
        message = "say why"
        raise typer.BadParameter(message, param_hint="--why")
    with Hold(make_engine(database_url), wait) as hold:
        hold.unit(lambda connection: quarantine.dismiss(connection, ids, why))
    if as_json:
        typer.echo(terminal.dumps({"dismissed": ids}))
    else:
        typer.echo(f"rejects dismissed {len(ids)}")


@rejects_app.command("retry")
def retry_rejects(
    *, database_url: DatabaseUrl = DEFAULT_URL, wait: Wait = 60, as_json: Json = False
) -> None:
    """Try the rows again that refer to something that was not there; every load does so too.

    Example: visitpay rejects retry
    """
    from visitpay import terminal
    from visitpay.database import make_engine
    from visitpay.loading import retry

    terminal.start_log(LogFormat.TEXT, verbose=False)
    with _stoppable():
        resolved, still_open = retry(make_engine(database_url), wait)
    if as_json:
        document = {"rejects_resolved": resolved, "rejects_open": still_open}
        typer.echo(terminal.dumps(document))
    else:
        typer.echo(f"rejects resolved {resolved}, open {still_open}")


@app.command()
def explain(
    entity: Annotated[
        Entities, typer.Argument(metavar="TYPE", case_sensitive=False, help="What it is.")
    ],
    key: Annotated[int, typer.Argument(metavar="ID", min=-(1 << 63), max=(1 << 63) - 1)],
    *,
    database_url: DatabaseUrl = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Show the row of a visit, procedure or transaction, where it came from, what was rejected.

    Exits with 1 when nothing is known of it.

    Example: visitpay explain visit 321000004
    """
    from visitpay import terminal
    from visitpay.database import reading
    from visitpay.explaining import explain as explain_key
    from visitpay.models import entity_named

    with reading(database_url) as connection:
        found = explain_key(connection, entity_named(entity), key)
    if as_json:
        typer.echo(terminal.dumps(asdict(found)))
    elif found.known:
        _show_explained(found)
    else:
        typer.echo(f"nothing is known of {entity.lower()} {key}")
    if not found.known:
        raise typer.Exit(ATTENTION_STATUS)


def _show_explained(found: "Explained") -> None:
    from visitpay.terminal import short, show

    source, balance = found.source, found.balance
    facts: list[tuple[str, object]] = list((found.row or {"": "not in its table"}).items())
    if source is not None:
        facts.append(("came with", f"{source['name']}, line {found.line}"))
    if balance is not None and balance.visit_balance is not None:
        verdict = "differs from" if balance.differs else "is"
        what = f"{balance.visit_balance} {verdict} {balance.total}"
        facts.append(("balance", f"{what}, the sum of {balance.transactions} transactions"))
    show(("", ""), [(name, str(value)) for name, value in facts if value is not None])
    deliveries = [(short(each["name"]), each["loaded_at"]) for each in found.deliveries]
    if deliveries:
        show(("delivered by", "loaded"), deliveries)
    if found.rejects:
        show(*_rejects_table(found.rejects))


@app.command()
def doctor(
    landing: Landing = DEFAULT_LANDING,
    *,
    database_url: DatabaseUrl = DEFAULT_URL,
    hospital: Hospital = DEFAULT_HOSPITAL,
    as_json: Json = False,
) -> None:
    """Look at all that a load needs, and say what to do where it lacks; exits with 1 on an error.

    Example: visitpay doctor /srv/landing
    """
    from visitpay import terminal
    from visitpay.doctor import ERROR, examine

    findings = list(examine(database_url, landing, hospital))
    if as_json:
        typer.echo(terminal.dumps({"findings": [vars(each) for each in findings]}))
    else:
        rows = [(each.state, each.name, each.seen) for each in findings]
        terminal.show(("", "", ""), rows)
        for each in findings:
            if each.remedy:
                typer.echo(f"{each.name}: {each.remedy}")
    if any(each.state == ERROR for each in findings):
        raise typer.Exit(ATTENTION_STATUS)


@app.command()
def reconcile(
    *,
    database_url: DatabaseUrl = DEFAULT_URL,
    expect: Expected = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Show the visits, too, by identifier and amounts.")
    ] = False,
    limit: Limit = 50,
    wait: Wait = 60,
    as_json: Json = False,
) -> None:
    """Compare each visit's balance with the sum of its transactions, and look for what is odd.

    A visit without a balance is not compared. What differs is recorded: new is what did not differ
    the last time, changed what differed by other amounts, cleared what differs no more. --limit is
    for --raw: so many visits of each check.

    Exit status: 0 all balances agree and nothing was found; 1 something needs a person; 2 unusable
    arguments; 3 the database cannot be used.

    Example: visitpay reconcile --expect weekdays
    """
    from visitpay import balances, quality, terminal
    from visitpay.database import make_engine, reading

    terminal.start_log(LogFormat.TEXT, verbose=False)
    now = datetime.now(UTC)
    with _stoppable():
        reconciled = balances.reconcile(make_engine(database_url), now, wait)
        with reading(database_url) as connection:
            findings = quality.findings(connection, now, expect)
            visits = quality.visits(connection, now, limit) if raw else None
    if as_json:
        document = {
            "status": _verdict(attention=bool(findings)),
            "balances": asdict(reconciled),
            "findings": [asdict(each) for each in findings],
            **({} if visits is None else {"visits": visits}),
        }
        typer.echo(terminal.dumps(document))
    else:
        _show_reconciled(reconciled, findings, visits or ())
    if findings:
        raise typer.Exit(ATTENTION_STATUS)


def _show_reconciled(
    reconciled: "Reconciliation", findings: "Sequence[Finding]", visits: Sequence[Mapping[str, Any]]
) -> None:
    from visitpay.terminal import show

    typer.echo(
        f"{reconciled.different} of {reconciled.compared} balances differ: "
        f"{reconciled.visit_balance} against {reconciled.transactions_total}\n"
        f"new {reconciled.new}, changed {reconciled.changed}, cleared {reconciled.cleared}"
    )
    _show_findings(findings)
    if visits:
        show(tuple(visits[0]), [tuple(each.values()) for each in visits])


@app.command()
def check(
    landing: Landing = DEFAULT_LANDING,
    *,
    hospital: Hospital = DEFAULT_HOSPITAL,
    as_json: Json = False,
) -> None:
    """Read and validate every file of a directory without a database; exits with 1 if any is bad.

    Whether rows refer to visits and procedures that are there, only a load can tell; try
    `visitpay load --dry-run` for that.

    Example: visitpay check /srv/landing
    """
    from visitpay import checking, terminal
    from visitpay.landing import scan

    landed = scan(landing, hospital)
    checked = list(checking.check(landed))
    bad = any(each.error or each.rejected for each in checked)
    if as_json:
        document = {
            "status": _verdict(attention=bad),
            "files": [_checked_document(each) for each in checked],
            "unrecognised": landed.unrecognised,
        }
        typer.echo(terminal.dumps(document))
    else:
        _show_checked(checked, landed.unrecognised)
    if bad:
        raise typer.Exit(ATTENTION_STATUS)


def _checked_document(checked: "CheckedFile") -> dict[str, Any]:
    return {
        "name": checked.file.name,
        "entity": checked.file.entity,
        "rows_read": checked.rows_read,
        "rejected": checked.rejected,
        "reasons": checked.reasons,
        "error": checked.error,
    }


def _show_checked(checked: "Sequence[CheckedFile]", unrecognised: Sequence[str]) -> None:
    from visitpay.terminal import short, show

    files = [(short(each.file.name), each.rows_read, each.rejected, each.error) for each in checked]
    show(("file", "rows", "rejected", "error"), files)
    examples = [(short(each.file.name), *example) for each in checked for example in each.examples]
    if examples:
        show(("file", "line", "reason", "column"), examples, "the first rejects of each")
    if unrecognised:
        show(("not recognised",), [(name,) for name in unrecognised])


@app.command()
def sample(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write the files.")],
    *,
    visits: Annotated[int, typer.Option(min=1, help="Visits in all.")] = 1000,
    days: Annotated[int, typer.Option(min=1, help="Days over which they arrive.")] = 3,
    dirt: Annotated[float, typer.Option(min=0, max=100, help="Percent of damaged rows.")] = 0,
    seed: Annotated[int, typer.Option(help="The same seed writes the same bytes.")] = 0,
    hospital: Hospital = DEFAULT_HOSPITAL,
) -> None:
    """Write a made-up feed of several days, for a demo, a test or a measurement.

    Example: visitpay sample landing --visits 1000 --days 3 --dirt 2
    """
    from visitpay.sample import write_sample

    written = write_sample(
        directory, visits=visits, days=days, dirt=dirt, seed=seed, hospital=hospital
    )
    for path in written:
        typer.echo(path)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM stop the block as Ctrl-C does; raises StoppedError, so that it can be told."""

    def stop(number: int, _frame: object) -> NoReturn:
        # The one exception at which the drivers let go of a statement.
        raise KeyboardInterrupt(number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt as stopped:
        raise StoppedError(signal.Signals(*(stopped.args or [signal.SIGINT]))) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _log_failure(error: VisitPayError) -> None:
    from visitpay.events import Event

    logger = logging.getLogger("visitpay")
    event = Event.RUN_STOPPED if isinstance(error, StoppedError) else Event.FAILURE
    logger.debug("traceback", exc_info=error, extra=event.extra)
    if any(getattr(handler, "as_json", False) for handler in logger.handlers):
        logger.error("%s", error, extra=event.extra)
    else:
        typer.echo(f"visitpay: {error}", err=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; the exit status says how it went."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(args=given, prog_name="visitpay")
    except VisitPayError as error:
        if "--json" in given:
            from visitpay.terminal import dumps

            status = "interrupted" if isinstance(error, StoppedError) else "failed"
            typer.echo(dumps({"status": status, "error": str(error)}))
        _log_failure(error)
        sys.exit(_exit_status(error))

    except OSError as error:
        typer.echo(f"visitpay: the output cannot be written: {error.strerror}", err=True)
        sys.exit(DATABASE_STATUS)


def _exit_status(error: Exception) -> int:
    if isinstance(error, StoppedError):
        return error.exit_status
    if isinstance(error, ConfigurationError):
        return CONFIGURATION_STATUS
    return DATABASE_STATUS if isinstance(error, VisitPayError | OSError) else 1
