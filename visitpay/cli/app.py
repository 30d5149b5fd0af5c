"""The commands: arguments in, tables or JSON out."""

import logging
import os
import sys
from collections.abc import Iterator, Sequence, Sized
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from visitpay import DEFAULT_URL, __version__
from visitpay.cli.looks import (
    check,
    doctor,
    explain,
    reconcile,
    report,
    show_findings,
    verdict,
)
from visitpay.cli.options import (
    ATTENTION_STATUS,
    CONFIGURATION_STATUS,
    DATABASE_STATUS,
    DEFAULT_HOSPITAL,
    DEFAULT_LANDING,
    DatabaseUrl,
    Entities,
    Expected,
    FileStatus,
    Hospital,
    Ignored,
    Json,
    Landing,
    Limit,
    LogFormat,
    MetricsFile,
    PassOver,
    Settle,
    Wait,
    as_moment,
    as_percent,
    as_tolerance,
    state_directory,
    told,
)
from visitpay.cli.rejects import rejects_app
from visitpay.cli.signals import stoppable
from visitpay.errors import (
    ConfigurationError,
    OutputError,
    StoppedError,
    VisitPayError,
    foreseen,
)
from visitpay.text import ago, counted, first, minute

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping

    from visitpay.loading.run import FileReport, RunReport, Tolerance
    from visitpay.notify.watch import Watch

ENDS = ("inserted", "updated", "rejected", "unchanged", "stale", "superseded")
_INTERRUPTED_STATUS = 130
_NAMED = 3
"""So many files are named where more may be meant."""

# Typer gives the errors of its parser no name.
_UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__base__)

app = typer.Typer(
    name="visitpay",
    help="Load a hospital's daily VisitPay text files into a database, every row accounted for.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


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
    pass_over: PassOver = None,
    settle: Settle = 0,
    expect: Expected = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            parser=as_moment, metavar="TIME", help="Leave files with an older time in their name."
        ),
    ] = None,
    max_rejects: Annotated[
        object,
        typer.Option(
            parser=as_tolerance,
            metavar="ROWS|SHARE",
            help="Exit with 1 only if more rows than this are rejected: 10, or 5percent (also 5%).",
        ),
    ] = "0",
    hold_above: Annotated[
        float,
        typer.Option(
            parser=as_percent,
            metavar="PERCENT",
            help="Hold a file, whole, of which more rows than this are rejected.",
        ),
    ] = 100,
    approve: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Load this file, whatever is rejected of it."),
    ] = None,
    wait: Wait = 60,
    metrics_file: MetricsFile = None,
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

    Exit status: 0 all loaded or nothing to do; 1 a file failed, is held, keeps changing or is
    misnamed, or more rows were rejected than --max-rejects allows; 2 unusable arguments; 3 the
    database cannot be used; 130 or 143 stopped by Ctrl-C or SIGTERM, the file under way rolled
    back.

    VISITPAY_ALERT_URLS names Apprise URLs that are told when something needs a person, and when it
    is over; VISITPAY_PING_URL a dead man's switch of the kind of healthchecks.io.

    Example: visitpay load /srv/landing --database-url sqlite:////srv/pay.db
    """
    from visitpay.cli import console as terminal
    from visitpay.database.engine import make_engine
    from visitpay.feed import composed
    from visitpay.loading.run import ATTENTION, Options
    from visitpay.loading.run import load as load_landing
    from visitpay.notify.last_alert import Lately
    from visitpay.notify.watch import Watch

    terminal.start_log(log_format, verbose=verbose)
    options = Options(
        since=since,
        dry_run=dry_run,
        wait_seconds=wait,
        tolerance=cast("Tolerance", max_rejects),
        hold_above=hold_above,
        approved=frozenset(map(composed, approve or ())),
        pass_over=tuple(pass_over or ()),
        settle=settle,
    )
    lately = Lately(state_directory(), database_url)
    watch = Watch() if dry_run else Watch(*told(), metrics_file, lately, expect)
    with _watched(watch):
        with stoppable(), terminal.progress_bar() as progress:
            report = load_landing(
                make_engine(database_url), landing, hospital, options, progress, watch.look
            )
        if as_json:
            typer.echo(terminal.dumps(_run_document(report)))
        elif sys.stdout.isatty():
            _show_run(report)
        if report.status == ATTENTION:
            raise typer.Exit(ATTENTION_STATUS)


@contextmanager
def _watched(watch: "Watch") -> Iterator[None]:
    """Let those who watch a load know that it begins, and with which exit status it ends."""
    watch.begin()
    try:
        yield
    except typer.Exit as leaving:
        watch.end(leaving.exit_code)
        raise
    except BaseException as error:
        told = foreseen(error)
        watch.end(_exit_status(told), told)
        raise
    watch.end(0)


def _tell_of_arguments(given: Sequence[str]) -> None:
    """Tell of a load that could not run, since an argument of it cannot be used."""
    if given[:1] != ["load"] or "--dry-run" in given:
        return
    from visitpay.cli.console import start_log
    from visitpay.notify.last_alert import Lately
    from visitpay.notify.watch import Watch

    start_log(LogFormat.TEXT, verbose=False)
    metrics_file = os.environ.get("VISITPAY_METRICS_FILE")
    lately = Lately(state_directory(), os.environ.get("VISITPAY_DATABASE_URL", DEFAULT_URL))
    watch = Watch(*told(), Path(metrics_file) if metrics_file else None, lately)
    error = ConfigurationError("an argument of its command cannot be used, its log says which")
    watch.end(CONFIGURATION_STATUS, error)


def _run_document(report: "RunReport") -> dict[str, Any]:
    return {
        "run_id": report.run_id,
        "status": report.status,
        "dry_run": report.dry_run,
        "checkpoint": report.checkpoint,
        "files": [_file_document(each) for each in report.files],
        "files_waiting": report.files_waiting,
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
    from visitpay.cli.console import iso, say, show
    from visitpay.landing.local import short

    # What is usual is left blank, and a column that is blank is left out.
    rows = [
        (
            short(file["name"]),
            None if file["status"] == "loaded" else file["status"],
            file["rows_read"],
            *(file[end] or None for end in ENDS),
        )
        for file in map(_file_document, report.files)
    ]
    show(("file", "status", "rows", *ENDS), rows)
    say(
        f"{'dry run, nothing kept: ' if report.dry_run else ''}{report.status}; "
        f"{counted(len(rows), 'file') if rows else 'no new files'}; "
        f"checkpoint {iso(report.checkpoint) or 'none'}; "
        f"rejects open {report.rejects_open:,}, resolved {report.rejects_resolved:,}"
    )


@app.command()
def status(  # noqa: PLR0913 - each is an option of the command
    landing: Landing = DEFAULT_LANDING,
    *,
    database_url: DatabaseUrl = DEFAULT_URL,
    hospital: Hospital = DEFAULT_HOSPITAL,
    pass_over: PassOver = None,
    settle: Settle = 0,
    expect: Expected = None,
    ignore: Ignored = None,
    as_json: Json = False,
) -> None:
    """Say whether all is well, how far the feed has got, what waits, and what needs a person.

    Balances are told of as `visitpay reconcile` found them when it last ran.

    Example: visitpay status /srv/landing
    """
    from visitpay.cli import console as terminal
    from visitpay.database.engine import reading
    from visitpay.landing.local import scan, short
    from visitpay.reporting.status import overview

    now = datetime.now(UTC)
    landed = scan(landing, hospital, pass_over or (), settle)
    with reading(database_url) as connection:
        seen = overview(connection, landed, now, expect, ignore or ())
    if as_json:
        said = {"status": verdict(attention=seen.needs_person), "summary": seen.summary}
        found = {"findings": [asdict(each) for each in seen.findings]}
        why = {"why_unrecognised": landed.strange}
        typer.echo(terminal.dumps(said | vars(seen) | why | found))
        return
    failed, restless = seen.files_failed, seen.files_changing
    named = first(map(short, restless), _NAMED, len(restless))
    fed = [("but the future", seen.fed_until or "none")]
    facts = [
        ("checkpoint", seen.checkpoint or "none: nothing was loaded yet"),
        *(fed if seen.fed_until != seen.checkpoint else ()),
        ("last run", seen.last_run and _run(seen.last_run, now, died=seen.run_died)),
        ("files waiting", f"{len(seen.files_waiting):,}"),
        *([("keep changing", _counted(restless, named))] if restless else ()),
        ("failed or held", _counted(failed, first(map(short, failed), _NAMED, len(failed)))),
        ("not recognised", _counted(landed.strange, landed.strangers)),
        ("rejects open", f"{seen.rejects_open:,}"),
        ("balances", _compared(seen.compared)),
    ]
    newest = [
        (
            each["entity"],
            each["files"],
            each["newest"],
            each["newest"] and ago(now - each["newest"]),
        )
        for each in seen.entities
    ]
    terminal.say(seen.summary)
    terminal.show(("", ""), facts)
    terminal.show(("entity", "files", "newest", "age"), newest)
    show_findings(seen.findings)


def _compared(comparison: "RowMapping | None") -> str:
    if comparison is None:
        return "no comparison on record; run: visitpay reconcile"
    counts = f"{comparison['different']:,} of {comparison['compared']:,} differed"
    return f"{counts} at {minute(comparison['compared_at'])} UTC"


def _run(run: "RowMapping", now: datetime, *, died: bool) -> str:
    from visitpay.ledger.files import RUNNING

    number, status, began = run["id"], run["status"], run["started_at"]
    if died:
        began_at = f"begun {minute(began)} UTC"
        return f"{number}: died or was stopped, {began_at}; the next load marks it interrupted"
    if status == RUNNING:
        return f"{number}: running since {minute(began)} UTC"
    return f"{number}: {status}, begun {minute(began)} UTC, {ago(now - began)}"


def _counted(files: Sized, named: str) -> str:
    return f"{len(files):,}: {named}" if files else "0"


@app.command()
def files(  # noqa: PLR0913 - each is an option of the command
    landing: Landing = DEFAULT_LANDING,
    *,
    database_url: DatabaseUrl = DEFAULT_URL,
    hospital: Hospital = DEFAULT_HOSPITAL,
    pass_over: PassOver = None,
    entity: Annotated[
        Entities | None, typer.Option(case_sensitive=False, help="Only files of this type.")
    ] = None,
    status: Annotated[
        FileStatus | None,
        typer.Option(help="Only files that ended so, also those that are gone by now."),
    ] = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """Show the ledger: every delivery of every file, the newest first.

    Of each, when it was loaded, or last tried. What failed, and no longer lies in LANDING as it
    was, is shown as `failed before`; what was held, as `held before`. A terminal without room for
    it is not shown how rows ended, but how many were rejected; --json has it all.

    Example: visitpay files --status failed
    """
    from visitpay.cli import console as terminal
    from visitpay.database.engine import reading
    from visitpay.landing.local import short
    from visitpay.ledger import files as ledger
    from visitpay.models import FAILED, HELD
    from visitpay.reporting.advice import REMEDIES

    with reading(database_url) as connection:
        entries = ledger.entries(connection, entity=entity, status=status, limit=limit)
        total = ledger.count_entries(connection, entity=entity, status=status)
        states = _states(connection, entries, landing, hospital, pass_over or ())
    if as_json:
        known = [{**each, "state": state} for each, state in zip(entries, states, strict=True)]
        typer.echo(terminal.dumps({"files": known, "total": total}))
        return
    rows = [
        (
            each["id"],
            short(each["name"]),
            None if state == "loaded" else state,
            minute(each["loaded_at"] or each["tried_at"]),
            each["rows_read"],
            *(each[f"rows_{end}"] or None for end in ENDS),
            each["error"],
        )
        for each, state in zip(entries, states, strict=True)
    ]
    headers = ("id", "file", "status", "when (UTC)", "rows", *ENDS, "error")
    spare = [end for end in ENDS if end != "rejected"]
    terminal.show(headers, rows, nothing="no files to show", total=total, spare=spare)
    for state in (FAILED, HELD):
        if state in states and sys.stdout.isatty():
            terminal.say(f"{state}: {REMEDIES[f'file_{state}'].do}")


def _states(
    connection: "Connection",
    entries: "Sequence[RowMapping]",
    landing: Path,
    hospital: str,
    pass_over: Sequence[str],
) -> list[str]:
    """Say how entries of the ledger stand, as well as can be told."""
    from visitpay.landing.local import scan
    from visitpay.ledger import files as ledger
    from visitpay.models import LOADED

    if all(each["status"] == LOADED for each in entries):
        return [LOADED] * len(entries)
    try:
        failed = ledger.failed(connection, scan(landing, hospital, pass_over).files)
    except ConfigurationError:
        return [each["status"] for each in entries]
    lying = {each.name for each in failed}
    return [ledger.state(each, lying) for each in entries]


app.add_typer(rejects_app, name="rejects")
for command in (explain, doctor, reconcile, report, check):
    app.command()(command)


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
    from visitpay.cli.console import line

    for path in written:
        line(path)


def _log_failure(told: VisitPayError, error: BaseException) -> None:
    from visitpay.events import Event

    logger = logging.getLogger("visitpay")
    event = Event.RUN_STOPPED if isinstance(told, StoppedError) else Event.FAILURE
    logger.debug("traceback", exc_info=error, extra=event.extra)
    if any(getattr(handler, "as_json", False) for handler in logger.handlers):
        logger.error("%s", told, extra=event.extra)
    else:
        _say_on_stderr(f"visitpay: {told}")


def _say_on_stderr(text: str) -> None:
    from visitpay.cli import console as terminal

    with suppress(OSError):  # who cannot hear us must go by the exit status
        terminal.say(text, terminal.err)


def _usage(given: Sequence[str], error: typer.BadParameter) -> tuple[str, str]:
    """Give what an argument's error says, in short and in full.

    A password with a space that stands without quotes is two arguments.
    """
    message, said = error.format_message(), StringIO()
    error.show(said)
    if any("://" in each for each in given) and "unexpected extra argument" in message:
        message = "unexpected extra arguments; put the URL into quotes"
        return message, f"Error: {message}"
    return message, said.getvalue().rstrip()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; the exit status says how it went."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = app(args=given, prog_name="visitpay", standalone_mode=False) or 0
    except _UsageError as error:
        message, said = _usage(given, error)
        _tell_json(given, "failed", message)
        _say_on_stderr(said)
        _tell_of_arguments(given)
        sys.exit(CONFIGURATION_STATUS)
    except SystemExit as leaving:  # typer's, which says 1
        is_lost = isinstance(leaving.__context__, BrokenPipeError)
        sys.exit(DATABASE_STATUS if is_lost else leaving.code)
    except BaseException as error:  # noqa: BLE001 - polars panics with one
        sys.exit(_ended_by(given, error))
    if status == _INTERRUPTED_STATUS:  # typer's word for Ctrl-C
        sys.exit(_ended_by(given, KeyboardInterrupt()))
    sys.exit(status)


def _ended_by(given: Sequence[str], error: BaseException) -> int:
    """Tell what ended the command, in a line of words and of JSON; gives its exit status."""
    told = foreseen(error)
    if not isinstance(told, OutputError):
        how = "interrupted" if isinstance(told, StoppedError) else "failed"
        _tell_json(given, how, str(told))
    _log_failure(told, error)
    return _exit_status(told)


def _tell_json(given: Sequence[str], status: str, error: str) -> None:
    if "--json" in given:
        from visitpay.cli.console import dumps

        with suppress(OSError):
            typer.echo(dumps({"status": status, "error": error}))


def _exit_status(told: VisitPayError) -> int:
    if isinstance(told, StoppedError):
        return told.exit_status
    return CONFIGURATION_STATUS if isinstance(told, ConfigurationError) else DATABASE_STATUS
