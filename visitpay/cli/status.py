"""`visitpay status`."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from visitpay.cli import options
from visitpay.text import ago, first, minute
from visitpay.vocabulary import DEFAULT_URL, RunStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from visitpay.landing.place import Landing
    from visitpay.ledger.runs import Run
    from visitpay.quality.balances import Comparison
    from visitpay.reporting.status import FeedStatus

_FILES_NAMED = 3


def status(  # noqa: PLR0913 - each is an option of the command
    landing: options.LandingDirectory = options.DEFAULT_LANDING,
    *,
    database_url: options.DatabaseUrl = DEFAULT_URL,
    hospital: options.Hospital = options.DEFAULT_HOSPITAL,
    pass_over: options.PassOver = None,
    settle: options.Settle = 0,
    expect: options.Expected = None,
    ignore: options.Ignored = None,
    as_json: options.Json = False,
) -> None:
    """Say whether all is well, how far the feed has got, what waits, and what needs a person.

    Balances are told of as `visitpay reconcile` found them when it last ran.

    Example: visitpay status /srv/landing
    """
    from visitpay.database.engine import read_connection
    from visitpay.landing.local import scan
    from visitpay.reporting.status import feed_status

    now = datetime.now(UTC)
    landed = scan(landing, hospital, pass_over or (), settle)
    with read_connection(database_url) as connection:
        feed = feed_status(connection, landed, now, expect, ignore or ())
    if as_json:
        from visitpay.cli import to_json

        typer.echo(to_json.dumps(to_json.status(feed)))
    else:
        _show(feed, landed, now)


def _show(feed: "FeedStatus", landed: "Landing", now: datetime) -> None:
    from visitpay.cli import console

    newest = [
        (entity.entity, entity.files, entity.newest, entity.newest and ago(now - entity.newest))
        for entity in feed.entities
    ]
    console.say(feed.summary)
    console.show(("", ""), list(_facts(feed, landed, now)))
    console.show(("entity", "files", "newest", "age"), newest)
    console.show_findings(feed.findings)


def _facts(feed: "FeedStatus", landed: "Landing", now: datetime) -> "Iterator[tuple[str, object]]":
    yield "checkpoint", feed.checkpoint or "none: nothing was loaded yet"
    if feed.fed_until != feed.checkpoint:
        yield "but the future", feed.fed_until or "none"
    yield "last run", feed.last_run and _run(feed.last_run, now, died=feed.run_died)
    yield "files waiting", f"{len(feed.files_waiting):,}"
    if feed.files_changing:
        yield "keep changing", _files(feed.files_changing)
    yield "failed or held", _files(feed.files_failed)
    unrecognised = landed.unrecognised
    named = f"{len(unrecognised):,}: {landed.describe_unrecognised()}"
    yield "not recognised", named if unrecognised else "0"
    yield "rejects open", f"{feed.rejects_open:,}"
    yield "balances", _compared(feed.compared)


def _compared(comparison: "Comparison | None") -> str:
    if comparison is None:
        return "no comparison on record; run: visitpay reconcile"
    counts = f"{comparison.different:,} of {comparison.compared:,} differed"
    return f"{counts} at {minute(comparison.compared_at)} UTC"


def _run(run: "Run", now: datetime, *, died: bool) -> str:
    began = f"{minute(run.started_at)} UTC"
    if died:
        return f"{run.id}: died or was stopped, begun {began}; the next load marks it interrupted"
    if run.status == RunStatus.RUNNING:
        return f"{run.id}: running since {began}"
    return f"{run.id}: {run.status}, begun {began}, {ago(now - run.started_at)}"


def _files(names: Collection[str]) -> str:
    from visitpay.feed import short_name

    listed = first(map(short_name, names), _FILES_NAMED, len(names))
    return f"{len(names):,}: {listed}" if names else "0"
