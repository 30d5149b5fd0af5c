"""`visitpay status`."""

from collections.abc import Sized
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from visitpay.cli.console import show_findings
from visitpay.cli.documents import verdict
from visitpay.cli.options import (
    DEFAULT_HOSPITAL,
    DEFAULT_LANDING,
    DatabaseUrl,
    Expected,
    Hospital,
    Ignored,
    Json,
    LandingDirectory,
    PassOver,
    Settle,
)
from visitpay.text import ago, first, minute
from visitpay.vocabulary import DEFAULT_URL

if TYPE_CHECKING:
    from sqlalchemy import RowMapping


_NAMED = 3
"""So many files are named where more may be meant."""


def status(  # noqa: PLR0913 - each is an option of the command
    landing: LandingDirectory = DEFAULT_LANDING,
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
    from visitpay.database.engine import read_connection
    from visitpay.feed import short
    from visitpay.landing.local import scan
    from visitpay.reporting.status import feed_status

    now = datetime.now(UTC)
    landed = scan(landing, hospital, pass_over or (), settle)
    with read_connection(database_url) as connection:
        seen = feed_status(connection, landed, now, expect, ignore or ())
    if as_json:
        said = {"status": verdict(attention=seen.needs_person), "summary": seen.summary}
        found = {"findings": [asdict(each) for each in seen.findings]}
        why = {"why_unrecognised": landed.unrecognised}
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
        ("not recognised", _counted(landed.unrecognised, landed.describe_unrecognised())),
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
    from visitpay.vocabulary import RunStatus

    number, status, began = run["id"], run["status"], run["started_at"]
    if died:
        began_at = f"begun {minute(began)} UTC"
        return f"{number}: died or was stopped, {began_at}; the next load marks it interrupted"
    if status == RunStatus.RUNNING:
        return f"{number}: running since {minute(began)} UTC"
    return f"{number}: {status}, begun {minute(began)} UTC, {ago(now - began)}"


def _counted(files: Sized, named: str) -> str:
    return f"{len(files):,}: {named}" if files else "0"
