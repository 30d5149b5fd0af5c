"""`visitpay load`."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from visitpay import settings
from visitpay.cli import options
from visitpay.cli.signals import stoppable
from visitpay.errors import (
    ATTENTION_STATUS,
    ConfigurationError,
    LeftError,
    SettingsError,
    StoppedError,
    to_visitpay_error,
)
from visitpay.text import counted
from visitpay.vocabulary import DEFAULT_URL, FileStatus, RunStatus

if TYPE_CHECKING:
    from visitpay.hints import Setup
    from visitpay.loading.types import RunReport, Tolerance
    from visitpay.notify.watch import LoadWatch
    from visitpay.verdict.problems import Expectations


def load(  # noqa: PLR0913 - each is an option of the command
    landing: options.LandingDirectory = options.DEFAULT_LANDING,
    *,
    database_url: options.DatabaseUrl = DEFAULT_URL,
    hospital: options.Hospital = options.DEFAULT_HOSPITAL,
    pass_over: options.PassOver = None,
    settle: options.Settle = 0,
    expect: options.Expected = None,
    ignore: options.Ignored = None,
    since: options.Since = None,
    max_rejects: options.MaxRejects = "0",
    hold_above: options.HoldAbove = None,
    approve: options.Approved = None,
    again: options.AgainNames = None,
    again_since: options.AgainSince = None,
    wait: options.Wait = 60,
    unless_after: options.UnlessAfter = None,
    metrics_file: options.MetricsFile = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Do everything, then take it all back.")
    ] = False,
    as_json: options.Json = False,
    log_format: options.LogFormatOption = options.LogFormat.TEXT,
    log_file: options.LogFile = None,
) -> None:
    """Load the files that were not loaded before: the scheduled job.

    Files go in type by type (Procedure, Visit, Transaction), oldest first, each in one transaction.
    Rows that cannot be used are put aside with their reason; see `visitpay rejects list`.
    A file that was loaded before is taken again by --again or --again-since: it keeps its place
    among the others, and what people did about its rejects stays.

    Exit status: 0 all loaded or nothing to do; 1 a file failed, is held, keeps changing or is
    misnamed, or more rows were rejected than --max-rejects allows; 2 unusable arguments; 3 the
    database cannot be used; 130 or 143 stopped by Ctrl-C or SIGTERM, the file under way rolled
    back. Unless it is 0, the last line on standard error says why, also with --log-file.

    VISITPAY_ALERT_URLS names Apprise URLs that are told when something needs a person, and when it
    is over; VISITPAY_PING_URL a dead man's switch of the kind of healthchecks.io.

    Example: visitpay load /srv/landing --database-url sqlite:////srv/pay.db
    """
    from visitpay.cli.logs import start_log, tell
    from visitpay.cli.progress import progress_bar
    from visitpay.database.engine import make_engine
    from visitpay.events import RUN_ID, Event
    from visitpay.hints import setup_of
    from visitpay.ledger.plan import Again
    from visitpay.loading.run import load as load_landing
    from visitpay.loading.types import Options
    from visitpay.verdict.problems import Expectations
    from visitpay.verdict.verdict import in_numbers

    start_log(log_format, scheduled=True, path=log_file)
    RUN_ID.set(None)
    wanted = Options(
        since=since,
        dry_run=dry_run,
        wait_seconds=wait,
        unless_after=unless_after,
        tolerance=cast("Tolerance", max_rejects),
        hold_above=hold_above,
        approved=frozenset(map(_name, approve or ())),
        again=Again(frozenset(map(_name, again or ())), again_since),
        pass_over=tuple(pass_over or ()),
        settle=settle,
    )
    is_mailed = not sys.stderr.isatty()
    setup = setup_of(database_url, landing, hospital, is_read_elsewhere=is_mailed)
    expected = Expectations(expect, ignore or ())
    of_alerts = replace(setup, is_read_elsewhere=True)
    watch = _watch(of_alerts, metrics_file, expected, told=not dry_run)
    with watched(watch), _on_record(database_url, dry_run=dry_run):
        with stoppable(), progress_bar() as progress:
            engine = make_engine(database_url)
            report = load_landing(engine, landing, hospital, wanted, progress, watch.after_load)
        if as_json:
            from visitpay.cli import to_json

            typer.echo(to_json.dumps(to_json.load(report)))
        elif sys.stdout.isatty():
            _show(report)
        if report.status == RunStatus.ATTENTION:
            what = in_numbers(report.problems)
            tell(f"needs a person: {what}; see: {setup.hint('status')}", Event.NEEDS_PERSON)
            raise typer.Exit(ATTENTION_STATUS)


@contextmanager
def _on_record(database_url: str, *, dry_run: bool) -> Iterator[None]:
    """Record why a load could not begin; once it has, its run is on the books."""
    from visitpay.events import RUN_ID
    from visitpay.ledger.refused import record_refusal

    try:
        yield
    except Exception as error:
        known = to_visitpay_error(error)
        is_refused = RUN_ID.get() is None and not isinstance(known, StoppedError | LeftError)
        if is_refused and not dry_run:
            record_refusal(database_url, str(known), known.exit_status)
        raise


def _name(given: str) -> str:
    """Return the name of a file that may have been given with its directory."""
    return Path(given).name or given


def _watch(
    setup: "Setup",
    metrics_file: Path | None,
    expected: "Expectations | None" = None,
    notify: options.NotifySettings | None = None,
    *,
    told: bool = True,
) -> "LoadWatch":
    """Return the watch over a load; nobody is `told` of a dry run."""
    from visitpay.notify.last_alert import LastAlert
    from visitpay.notify.watch import LoadWatch
    from visitpay.state import state_directory
    from visitpay.verdict.problems import NOTHING_EXPECTED

    if not told:
        return LoadWatch()
    notify = notify or options.NotifySettings.in_force()
    hospital = settings.one_of_many()
    if metrics_file and hospital:
        metrics_file = _of_hospital(metrics_file, hospital)
    last_alert = LastAlert(state_directory(), setup.database_url, hospital)
    urls = (notify.alert_urls, notify.ping_url)
    return LoadWatch(*urls, metrics_file, last_alert, expected or NOTHING_EXPECTED, setup)


def _of_hospital(file: Path, hospital: str) -> Path:
    """Return the file of metrics of a hospital: several processes cannot write one."""
    from visitpay.hospitals import file_stem

    return file.with_name(f"{file.stem}-{file_stem(hospital)}{file.suffix}")


@contextmanager
def watched(watch: "LoadWatch") -> Iterator[None]:
    """Tell the watch that the load begins, and with which exit status it ends."""
    watch.begin()
    try:
        yield
    except typer.Exit as leaving:
        watch.end(leaving.exit_code)
        raise
    except BaseException as error:
        known = to_visitpay_error(error)
        if not (isinstance(known, LeftError) and known.is_under_way):
            watch.end(known.exit_status, known)
        raise
    watch.end(0)


def tell_of_arguments(
    arguments: Sequence[str], message: str, error: SettingsError | None = None
) -> None:
    """Record, and tell the watch, that an argument or a setting of a load cannot be used."""
    if arguments[:1] != ["load"] or "--dry-run" in arguments:
        return
    from visitpay.cli.logs import start_log
    from visitpay.hints import Setup
    from visitpay.ledger.refused import record_refusal

    start_log(options.LogFormat.TEXT)
    metrics_file = settings.salvaged("metrics_file")
    database_url = settings.salvaged("database_url")
    setup = Setup(settings.salvaged_database())
    notify = options.NotifySettings.salvaged()
    what = "an argument of its command cannot be used, its log says which"
    told = error or ConfigurationError(what)
    # A URL in the wrong place may have a password.
    reason = what if "://" in message else message
    if "--all" not in arguments and (database_url or not settings.one_of_many()):
        record_refusal(setup.database_url, reason, told.exit_status)
    watch = _watch(setup, Path(metrics_file) if metrics_file else None, notify=notify)
    watch.end(told.exit_status, told)


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
