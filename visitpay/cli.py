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
    from visitpay.checking import CheckedFile
    from visitpay.loading import FileReport, RunReport, Tolerance

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


class RejectStatus(StrEnum):
    """Whether a row still waits for someone."""

    OPEN = "open"
    RESOLVED = "resolved"
    SUPERSEDED = "superseded"
    ALL = "all"


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


def _seconds(wait: float) -> float:
    if isnan(wait):  # no bound refuses it
        message = "not a number of seconds like 60"
        raise typer.BadParameter(message)
    return wait


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
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
Limit = Annotated[int, typer.Option(min=1, max=1 << 31, help="Show so many at the most.")]
Wait = Annotated[
    float,
    typer.Option(
        min=0, callback=_seconds, help="Seconds to wait while another load holds the database."
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
        since=since, dry_run=dry_run, wait_seconds=wait, tolerance=cast("Tolerance", max_rejects)
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
    as_json: Json = False,
) -> None:
    """Show how far the feed has got, the last run, what waits, and what is rejected.

    Example: visitpay status /srv/landing
    """
    from visitpay import terminal
    from visitpay.database import reading
    from visitpay.landing import scan
    from visitpay.overview import overview

    landed = scan(landing, hospital)
    with reading(database_url) as connection:
        seen = overview(connection, landed)
    if as_json:
        typer.echo(terminal.dumps(vars(seen)))
        return
    run, now = seen.last_run, datetime.now(UTC)
    facts = [
        ("checkpoint", seen.checkpoint or "none: nothing was loaded yet"),
        ("last run", run and f"{run['id']}: {run['status']}, {terminal.iso(run['started_at'])}"),
        ("files waiting", str(len(seen.files_waiting))),
        ("not recognised", str(len(seen.unrecognised))),
        ("rejects open", str(seen.rejects_open)),
    ]
    newest = [
        (each["entity"], each["files"], each["newest"], f"{(now - each['newest']).days} days")
        for each in seen.entities
    ]
    terminal.show(("", ""), facts)
    terminal.show(("entity", "files", "newest", "age"), newest)


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
    file: Annotated[
        str | None, typer.Option(help="Only rows of files whose names hold this.")
    ] = None,
    entity: Annotated[Entities | None, typer.Option(help="Only rows of this type.")] = None,
    reason: Annotated[
        str | None, typer.Option(help="Only rows with this reason, such as invalid_date.")
    ] = None,
    key: Annotated[
        int | None,
        typer.Option(min=-(1 << 63), max=(1 << 63) - 1, help="Only rows with this identifier."),
    ] = None,
    status: Annotated[
        RejectStatus, typer.Option(help="Only rows that stand so.")
    ] = RejectStatus.OPEN,
    raw: Annotated[
        bool, typer.Option("--raw", help="Show identifiers and rows, too, as they came.")
    ] = False,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """Show rows that were put aside: file, line, reason, column, and with --raw what they hold.

    The rows hold health and payment data: mind who looks on.

    Example: visitpay rejects list --reason missing_reference
    """
    from visitpay import quarantine, terminal
    from visitpay.database import reading
    from visitpay.parsing import REASONS

    if reason is not None and reason not in REASONS:
        message = f"{reason!r} is none of {', '.join(REASONS)}"
        raise typer.BadParameter(message, param_hint="--reason")
    with reading(database_url) as connection:
        rejects = quarantine.listing(
            connection,
            limit,
            name=file,
            entity=entity,
            reason=reason,
            record_key=key,
            status=None if status is RejectStatus.ALL else status,
        )
    hidden = () if raw else ("record_key", "raw")
    rows = [{name: row[name] for name in row if name not in hidden} for row in rejects]
    if as_json:
        typer.echo(terminal.dumps({"rejects": rows}))
        return
    columns = {
        "line_number": "line",
        "record_key": "key",
        "reason": "reason",
        "column_name": "column",
        "status": "status",
        "raw": "row",
    }
    shown = [name for name in columns if name not in hidden]
    cells = [[terminal.short(row["file"]), *(row[name] for name in shown)] for row in rows]
    terminal.show(("file", *(columns[name] for name in shown)), cells)


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
            "status": "attention" if bad else "ok",
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
    logger = logging.getLogger("visitpay")
    logger.debug("traceback", exc_info=error)
    if any(getattr(handler, "as_json", False) for handler in logger.handlers):
        logger.error("%s", error)
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
