"""`visitpay load`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from visitpay.cli.console import ENDS
from visitpay.cli.options import (
    ATTENTION_STATUS,
    DEFAULT_HOSPITAL,
    DEFAULT_LANDING,
    DatabaseUrl,
    Expected,
    Hospital,
    Json,
    LandingDirectory,
    LogFormat,
    MetricsFile,
    PassOver,
    Settle,
    Wait,
    as_moment,
    as_percent,
    as_tolerance,
    notify_settings,
    state_directory,
)
from visitpay.cli.signals import stoppable
from visitpay.errors import to_visitpay_error
from visitpay.text import counted
from visitpay.vocabulary import DEFAULT_URL

if TYPE_CHECKING:
    from visitpay.loading.types import FileReport, RunReport, Tolerance
    from visitpay.notify.watch import LoadWatch


def load(  # noqa: PLR0913 - each is an option of the command
    landing: LandingDirectory = DEFAULT_LANDING,
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
    from visitpay.cli.logs import start_log
    from visitpay.cli.progress import progress_bar
    from visitpay.database.engine import make_engine
    from visitpay.feed import normalize_name
    from visitpay.loading.run import load as load_landing
    from visitpay.loading.types import Options
    from visitpay.notify.last_alert import LastAlert
    from visitpay.notify.watch import LoadWatch
    from visitpay.vocabulary import RunStatus

    start_log(log_format, verbose=verbose)
    options = Options(
        since=since,
        dry_run=dry_run,
        wait_seconds=wait,
        tolerance=cast("Tolerance", max_rejects),
        hold_above=hold_above,
        approved=frozenset(map(normalize_name, approve or ())),
        pass_over=tuple(pass_over or ()),
        settle=settle,
    )
    lately = LastAlert(state_directory(), database_url)
    watch = LoadWatch() if dry_run else LoadWatch(*notify_settings(), metrics_file, lately, expect)
    with _watched(watch):
        with stoppable(), progress_bar() as progress:
            report = load_landing(
                make_engine(database_url), landing, hospital, options, progress, watch.after_load
            )
        if as_json:
            typer.echo(terminal.dumps(_run_document(report)))
        elif sys.stdout.isatty():
            _show_run(report)
        if report.status == RunStatus.ATTENTION:
            raise typer.Exit(ATTENTION_STATUS)


@contextmanager
def _watched(watch: "LoadWatch") -> Iterator[None]:
    """Let those who watch a load know that it begins, and with which exit status it ends."""
    watch.begin()
    try:
        yield
    except typer.Exit as leaving:
        watch.end(leaving.exit_code)
        raise
    except BaseException as error:
        told = to_visitpay_error(error)
        watch.end(told.exit_status, told)
        raise
    watch.end(0)


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
    from visitpay.feed import short

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
