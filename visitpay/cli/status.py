"""`visitpay status`."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from visitpay import api
from visitpay.cli import options
from visitpay.errors import ATTENTION_STATUS
from visitpay.text import ago, first, minute
from visitpay.vocabulary import DEFAULT_URL, Health, RunStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from visitpay.hints import Setup
    from visitpay.ledger.runs import Run
    from visitpay.quality.balances import Comparison
    from visitpay.reporting.status import FeedStatus
    from visitpay.verdict.verdict import Judged, Verdict

UNKNOWN_STATUS = 3
"""The exit status for a verdict that is unknown, as for a database that cannot be asked."""

_FILES_NAMED = 3
_PROBLEMS_SHOWN = 4


def status(  # noqa: PLR0913 - each is an option of the command
    landing: options.LandingDirectory = options.DEFAULT_LANDING,
    *,
    database_url: options.DatabaseUrl = DEFAULT_URL,
    hospital: options.Hospital = options.DEFAULT_HOSPITAL,
    pass_over: options.PassOver = None,
    settle: options.Settle = 0,
    expect: options.Expected = None,
    ignore: options.Ignored = None,
    every: options.Every = None,
    all_problems: Annotated[
        bool, typer.Option("--problems", help="Show all problems, and how each is acknowledged.")
    ] = False,
    exit_status: Annotated[
        bool,
        typer.Option("--exit-status", help="Exit with 1 if a person is needed, 3 if unknown."),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Say whether all is well, how far the feed has got, what waits, and what needs a person.

    The verdict is `all is well`, `needs a person` or `unknown`. Each problem stands with the
    command that helps; `visitpay acknowledge` says that it may stay. Balances are told of as
    `visitpay reconcile` found them when it last ran.

    Example: visitpay status /srv/landing
    """
    feed = api.status(
        landing,
        database_url=database_url,
        hospital=hospital,
        pass_over=pass_over or (),
        settle=settle,
        expect=expect,
        ignore=ignore or (),
        every=every,
    )
    if as_json:
        from visitpay.cli import to_json

        typer.echo(to_json.dumps(to_json.status(feed)))
    else:
        _show(feed, datetime.now(UTC), all_problems=all_problems)
    if exit_status and feed.verdict.state is not Health.WELL:
        is_known = feed.verdict.state is Health.NEEDS_PERSON
        raise typer.Exit(ATTENTION_STATUS if is_known else UNKNOWN_STATUS)


def _show(feed: "FeedStatus", now: datetime, *, all_problems: bool) -> None:
    from visitpay.cli import console

    newest = [
        (entity.entity, entity.files, entity.newest, entity.newest and ago(now - entity.newest))
        for entity in feed.entities
    ]
    console.say(feed.summary)
    _show_problems(feed.verdict, now, all_problems=all_problems)
    console.show(("", ""), list(_facts(feed, now)))
    if feed.compared is None and feed.fed_until:
        compare = feed.verdict.setup.hint("reconcile")
        console.say(f"no comparison of balances is on record; run: {compare}")
    console.show(("entity", "files", "newest", "age"), newest)


def _show_problems(verdict: "Verdict", now: datetime, *, all_problems: bool) -> None:
    """Print the problems, each with the command that helps: new ones, then known ones."""
    from visitpay.cli import console
    from visitpay.verdict.kinds import FOUND_BY_LOOKING, ROWS_REJECTED

    undated = {*FOUND_BY_LOOKING, ROWS_REJECTED}  # a message that has times, or several parts
    listed = [
        (name, problem)
        for name, judged in (("new", verdict.new), ("known", verdict.known))
        for problem in verdict.in_brief(judged)
    ]
    most = len(listed) if all_problems else _PROBLEMS_SHOWN
    for name, problem in listed[:most]:
        is_dated = name == "known" and problem.kind not in undated
        since = f" ({ago(now - problem.since)})" if is_dated and problem.since else ""
        console.say(f"{name}: {problem.message}{since}")
        if problem.command:
            console.command(problem.command)
        if all_problems:
            console.command(_acknowledge(problem, verdict.setup))
    more, known = len(listed[most:]), len(verdict.acknowledged)
    hidden = [
        f"{number:,} {what}" for number, what in ((more, "more"), (known, "acknowledged")) if number
    ]
    if all_problems:
        _show_acknowledged(verdict)
    elif hidden:
        console.say(f"{' and '.join(hidden)}; see: {verdict.setup.hint('status', '--problems')}")


def _acknowledge(problem: "Judged", setup: "Setup") -> str:
    """Return the command that acknowledges a problem; rejects, for all reasons of their type."""
    from visitpay.verdict.kinds import ROWS_REJECTED

    about = [problem.subject] if problem.subject else []
    if problem.kind == ROWS_REJECTED:
        about = ["--entity", problem.subject.partition(" ")[0]]
    return setup.hint("acknowledge", problem.kind, *about, "--why", "REASON")


def _show_acknowledged(verdict: "Verdict") -> None:
    from visitpay.cli import console

    for known in verdict.acknowledged:
        word = known.acknowledged
        said = word and f"{word.why} ({word.who}, {minute(word.made_at)} UTC)"
        console.say(f"acknowledged: {known.message}: {said}")


def _facts(feed: "FeedStatus", now: datetime) -> "Iterator[tuple[str, object]]":
    yield "checkpoint", feed.checkpoint or "none: nothing was loaded yet"
    if feed.fed_until != feed.checkpoint:
        yield "not in the future", feed.fed_until or "none"
    if feed.last_run:
        yield "last run", _run(feed.last_run, now, died=feed.run_died)
    yield "files waiting", f"{len(feed.files_waiting):,}"
    if feed.files_changing:
        yield "keep changing", _files(feed.files_changing)
    if feed.unrecognised:
        named = f"{len(feed.unrecognised):,}: {feed.landed.describe_unrecognised()}"
        yield "not recognised", named
    tolerated, rejects = feed.verdict.rejects_tolerated, feed.rejects_open
    some = "" if tolerated == rejects else f"{tolerated:,} of them "
    note = f", {some}tolerated (--max-rejects)" if tolerated else ""
    yield "rejects open", f"{rejects:,}{note}"
    if feed.compared:
        yield "balances", _compared(feed.compared)


def _compared(comparison: "Comparison") -> str:
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
