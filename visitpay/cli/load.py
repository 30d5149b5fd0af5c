"""`visitpay load`."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from visitpay.cli import options
from visitpay.cli.signals import stoppable
from visitpay.errors import ATTENTION_STATUS, ConfigurationError, to_visitpay_error
from visitpay.text import counted
from visitpay.vocabulary import DEFAULT_URL, FileStatus, RunStatus

if TYPE_CHECKING:
    from visitpay.loading.types import RunReport, Tolerance
    from visitpay.notify.watch import LoadWatch


def load(  # noqa: PLR0913 - each is an option of the command
    landing: options.LandingDirectory = options.DEFAULT_LANDING,
    *,
    database_url: options.DatabaseUrl = DEFAULT_URL,
    hospital: options.Hospital = options.DEFAULT_HOSPITAL,
    pass_over: options.PassOver = None,
    settle: options.Settle = 0,
    expect: options.Expected = None,
    since: options.Since = None,
    max_rejects: options.MaxRejects = "0",
    hold_above: options.HoldAbove = None,
    approve: options.Approved = None,
    again: options.AgainNames = None,
    again_since: options.AgainSince = None,
    wait: options.Wait = 60,
    metrics_file: options.MetricsFile = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Do everything, then take it all back.")
    ] = False,
    as_json: options.Json = False,
    log_format: options.LogFormatOption = options.LogFormat.TEXT,
    verbose: options.Verbose = False,
) -> None:
    """Load the files that were not loaded before: the scheduled job.

    Files go in type by type (Procedure, Visit, Transaction), oldest first, each in one transaction.
    Rows that cannot be used are put aside with their reason; see `visitpay rejects list`.
    A file that was loaded before is taken again by --again or --again-since: it keeps its place
    among the others, and what people did about its rejects stays.

    Exit status: 0 all loaded or nothing to do; 1 a file failed, is held, keeps changing or is
    misnamed, or more rows were rejected than --max-rejects allows; 2 unusable arguments; 3 the
    database cannot be used; 130 or 143 stopped by Ctrl-C or SIGTERM, the file under way rolled
    back.

    VISITPAY_ALERT_URLS names Apprise URLs that are told when something needs a person, and when it
    is over; VISITPAY_PING_URL a dead man's switch of the kind of healthchecks.io.

    Example: visitpay load /srv/landing --database-url sqlite:////srv/pay.db
    """
    from visitpay.cli.logs import start_log
    from visitpay.cli.progress import progress_bar
    from visitpay.database.engine import make_engine
    from visitpay.ledger.plan import Again
    from visitpay.loading.run import load as load_landing
    from visitpay.loading.types import Options

    start_log(log_format, verbose=verbose)
    wanted = Options(
        since=since,
        dry_run=dry_run,
        wait_seconds=wait,
        tolerance=cast("Tolerance", max_rejects),
        hold_above=hold_above,
        approved=frozenset(approve or ()),
        again=Again(frozenset(again or ()), again_since),
        pass_over=tuple(pass_over or ()),
        settle=settle,
    )
    watch = _watch(database_url, metrics_file, expect, told=not dry_run)
    with _watched(watch):
        with stoppable(), progress_bar() as progress:
            engine = make_engine(database_url)
            report = load_landing(engine, landing, hospital, wanted, progress, watch.after_load)
        if as_json:
            from visitpay.cli import to_json

            typer.echo(to_json.dumps(to_json.load(report)))
        elif sys.stdout.isatty():
            _show(report)
        if report.status == RunStatus.ATTENTION:
            raise typer.Exit(ATTENTION_STATUS)


def _watch(
    database_url: str, metrics_file: Path | None, expect: str | None = None, *, told: bool = True
) -> "LoadWatch":
    """Return the watch over a load; nobody is `told` of a dry run."""
    from visitpay.notify.last_alert import LastAlert
    from visitpay.notify.watch import LoadWatch

    if not told:
        return LoadWatch()
    settings = options.NotifySettings.from_environment()
    last_alert = LastAlert(options.state_directory(), database_url)
    return LoadWatch(settings.alert_urls, settings.ping_url, metrics_file, last_alert, expect)


@contextmanager
def _watched(watch: "LoadWatch") -> Iterator[None]:
    """Tell the watch that the load begins, and with which exit status it ends."""
    watch.begin()
    try:
        yield
    except typer.Exit as leaving:
        watch.end(leaving.exit_code)
        raise
    except BaseException as error:
        known = to_visitpay_error(error)
        watch.end(known.exit_status, known)
        raise
    watch.end(0)


def tell_of_arguments(arguments: Sequence[str]) -> None:
    """Tell the watch that a load could not run, since an argument cannot be used."""
    if arguments[:1] != ["load"] or "--dry-run" in arguments:
        return
    from visitpay.cli.logs import start_log

    start_log(options.LogFormat.TEXT, verbose=False)
    metrics_file = os.environ.get("VISITPAY_METRICS_FILE")
    url = os.environ.get("VISITPAY_DATABASE_URL", DEFAULT_URL)
    error = ConfigurationError("an argument of its command cannot be used, its log says which")
    _watch(url, Path(metrics_file) if metrics_file else None).end(error.exit_status, error)


def _show(report: "RunReport") -> None:
    from visitpay.cli import console
    from visitpay.feed import short_name
    from visitpay.text import iso

    # What is usual is left blank, and a column that is blank is left out.
    rows = [
        (
            short_name(file.file.name),
            None if file.status == FileStatus.LOADED else file.status,
            file.counts.read,
            *console.outcomes(file.counts),
        )
        for file in report.files
    ]
    console.show(("file", "status", "rows", *console.OUTCOMES), rows)
    still_held = f", {len(report.files_held):,} still held" if report.files_held else ""
    console.say(
        f"{'dry run, nothing kept: ' if report.dry_run else ''}{report.status}; "
        f"{counted(len(rows), 'file') if rows else 'no new files'}{still_held}; "
        f"checkpoint {iso(report.checkpoint) or 'none'}; "
        f"rejects open {report.rejects_open:,}, resolved {report.rejects_resolved:,}"
    )
