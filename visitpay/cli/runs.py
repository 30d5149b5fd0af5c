"""`visitpay runs`."""

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from visitpay.cli import options
from visitpay.errors import ConfigurationError
from visitpay.text import counted, lasting, minute, second
from visitpay.vocabulary import DEFAULT_LANDING, DEFAULT_URL, FileStatus, RunStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from visitpay.hints import Setup
    from visitpay.ledger.refused import Refusal
    from visitpay.ledger.runs import Run, RunInFull

_LAST, _LAST_RUN = "last", 0


def _as_run(text: str) -> int:
    """Return the number of a run; 0 for the last."""
    if text.lower() == _LAST:
        return _LAST_RUN
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1 << 63):
        message = f"not the number of a run, as `visitpay runs` shows it, and not `{_LAST}`"
        raise typer.BadParameter(message)
    return int(text)


def runs(  # noqa: PLR0913 - each is an option of the command
    run: Annotated[
        int | None,
        typer.Argument(
            metavar="[ID|last]", parser=_as_run, help="Show this run alone, with its files."
        ),
    ] = None,
    *,
    database_url: options.DatabaseUrl = DEFAULT_URL,
    hospital: options.Hospital = options.DEFAULT_HOSPITAL,
    status: Annotated[RunStatus | None, typer.Option(help="Only runs that stand so.")] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            parser=options.as_moment,
            metavar="TIME",
            help="Only runs that began since then (UTC).",
        ),
    ] = None,
    limit: options.Limit = 12,
    as_json: options.Json = False,
) -> None:
    """Show the runs of `visitpay load`, the newest first; of one run, what came of each file.

    A file that failed is tried again by each load: it is shown with the last run that tried it.
    A run that is under way shows how far it is. A load that could not begin is no run; the last
    one is told of above, with its reason, until a load begins.

    Example: visitpay runs last
    """
    from visitpay.cli import to_json
    from visitpay.database.engine import read_connection
    from visitpay.hints import setup_of
    from visitpay.ledger.runs import count_runs, last_run, list_runs, run_in_full

    with read_connection(database_url) as connection:
        newest = last_run(connection)
        wanted = newest if run in {None, _LAST_RUN} else _find(connection, run)
        full = wanted and run_in_full(connection, wanted, limit)
        found = list_runs(connection, status=status, since=since, limit=limit)
        total = count_runs(connection, status=status, since=since)
    refusal = _newer_refusal(database_url, newest)
    if run is None:
        if as_json:
            typer.echo(to_json.dumps(to_json.runs(found, total, full, refusal)))
        else:
            _show(found, total, full, refusal)
        return
    if full is None:
        what = f"there is no run {run}" if run else "no load has begun yet"
        message = f"{what}; see: {setup_of(database_url).hint('runs')}"
        raise ConfigurationError(message)
    if as_json:
        typer.echo(to_json.dumps(to_json.run(full)))
    else:
        told = refusal if newest and newest.id == full.run.id else None
        _show_run(full, told, setup_of(database_url, full.run.landing or DEFAULT_LANDING, hospital))


def _find(connection: "Connection", run_id: int | None) -> "Run | None":
    from visitpay.ledger.runs import list_runs

    return next(iter(list_runs(connection, run_id=run_id, limit=1)), None)


def _newer_refusal(database_url: str, newest: "Run | None") -> "Refusal | None":
    """Return the last load that could not begin, if no run has begun since."""
    from visitpay.ledger.refused import last_refusal

    refusal = last_refusal(database_url)
    is_newer = refusal and (newest is None or refusal.at > newest.started_at)
    return refusal if is_newer else None


def _show(
    found: "list[Run]", total: int, newest: "RunInFull | None", refusal: "Refusal | None"
) -> None:
    from visitpay.cli import console

    if refusal:
        console.say(_refused(refusal))
    shown = [newest.run if newest and run.id == newest.run.id else run for run in found]
    rows = [
        (
            run.id,
            minute(run.started_at),
            run.duration and lasting(run.duration),
            _state(newest) if newest and run is newest.run else run.status,
            run.files_loaded,
            run.files_failed or None,
            run.counts.read,
            run.counts.rejected or None,
            run.version,
            run.host,
            run.error,
        )
        for run in shown
    ]
    headers = ("run", "began (UTC)", "took", "status", "loaded", "failed", "rows", "rejected")
    more = ("version", "host", "error")
    console.show(
        headers + more, rows, nothing="no runs to show", total=total, spare=("version", "host")
    )


def _refused(refusal: "Refusal") -> str:
    before = ""
    if refusal.times > 1:
        before = f" ({refusal.times:,} loads since {minute(refusal.since)} UTC)"
    return f"the load of {minute(refusal.at)} UTC could not begin{before}: {refusal.reason}"


def _state(full: "RunInFull") -> str:
    """Return in a word or two how a run stands."""
    if full.died:
        return "died"
    if full.run.status == RunStatus.RUNNING:
        return f"running, {full.percent} %"
    return full.run.status


def _show_run(full: "RunInFull", refusal: "Refusal | None", setup: "Setup") -> None:
    from visitpay.cli import console
    from visitpay.feed import short_name

    if refusal:
        console.say(f"after it, {_refused(refusal)}")
    run = full.run
    console.say(f"run {run.id}: {_state(full)}{_because(full)}")
    console.show(("", ""), list(_facts(full)))
    rows = [
        (
            short_name(entry.name),
            None if entry.status == FileStatus.LOADED else entry.status,
            entry.counts.read,
            *console.outcomes(entry.counts),
            entry.error,
        )
        for entry in full.files
    ]
    headers = ("file", "status", "rows", *console.OUTCOMES, "error")
    spare = [outcome for outcome in console.OUTCOMES if outcome != "rejected"]
    console.show(headers, rows, total=full.done.files, spare=spare)
    for hint in _hints(full, setup):
        console.say(hint)


def _because(full: "RunInFull") -> str:
    run = full.run
    if run.error:
        return f": {run.error}"
    if full.died or (run.status == RunStatus.INTERRUPTED and not run.finished_at):
        return ": it was killed; the file under way was rolled back, all others are kept"
    return ""


def _facts(full: "RunInFull") -> "Iterator[tuple[str, object]]":
    run = full.run
    yield "began", f"{second(run.started_at)} UTC"
    if run.finished_at:
        took = f", after {lasting(run.duration)}" if run.duration is not None else ""
        yield "ended", f"{second(run.finished_at)} UTC{took}"
    process = f", process {run.process_id}" if run.process_id else ""
    yield "by", f"visitpay {run.version} on {run.host}{process}"
    if run.landing:
        yield "landing", run.landing
    planned = f", of {run.files_planned:,} to load" if run.landing else ""
    yield "files", f"{run.files_loaded:,} loaded, {run.files_failed:,} failed or held{planned}"
    if run.finished_at is None and run.bytes_planned:
        size = f"{full.done.bytes / 1e6:,.1f} of {run.bytes_planned / 1e6:,.1f} MB"
        yield "done", f"{size}, {full.percent} %"
    ends = asdict(run.counts).items()
    outcomes = ", ".join(f"{rows:,} {end}" for end, rows in ends if rows and end != "read")
    yield "rows", f"{run.counts.read:,}{': ' if outcomes else ''}{outcomes}"
    if run.counts.rejected and run.landing and run.status in {RunStatus.OK, RunStatus.ATTENTION}:
        yield "rejects", "no more than tolerated" if run.rejects_tolerated else "not tolerated"
    if run.rejects_resolved:
        yield "resolved", f"{counted(run.rejects_resolved, 'reject')} of before"


def _hints(full: "RunInFull", setup: "Setup") -> "Iterator[str]":
    """Yield what to do next, with the commands."""
    run, states = full.run, {entry.status for entry in full.files}
    if full.tried_again:
        files = counted(full.tried_again, "file of it", "files of it")
        yield f"{files} failed and was tried again later; see: {setup.hint('files')}"
    for state in (FileStatus.FAILED, FileStatus.HELD):
        if state in states:
            yield f"{state}: {setup.hint('files', '--status', state)}"
    if run.counts.rejected and not run.rejects_tolerated:
        yield f"rejected: {setup.hint('rejects list')}"
    if full.died or run.status in {RunStatus.FAILED, RunStatus.INTERRUPTED}:
        yield f"the next load goes on from there: {setup.hint('load')}"
    elif run.status == RunStatus.ATTENTION and not states - {FileStatus.LOADED}:
        yield f"what needs a person now: {setup.hint('status')}"
