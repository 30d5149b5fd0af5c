"""The commands that look: at one row, at the feed, at the database, at files not yet loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from visitpay import DEFAULT_URL
from visitpay.cli.options import (
    ATTENTION_STATUS,
    DEFAULT_HOSPITAL,
    DEFAULT_LANDING,
    DEFAULT_REPORT,
    DatabaseUrl,
    Entities,
    Expected,
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
    told,
)
from visitpay.cli.signals import stoppable
from visitpay.errors import ConfigurationError
from visitpay.text import counted, minute

if TYPE_CHECKING:
    from visitpay.loading.validate import CheckedFile
    from visitpay.quality.balances import Reconciliation
    from visitpay.quality.checks import Finding
    from visitpay.reporting.explain import Balance, Explained


_DELIVERIES_SHOWN = 5


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

    Of a visit the rejected transactions, too: its balance may lack them.

    It holds health and payment data: mind who looks on. Exits with 1 when nothing is known of it.

    Example: visitpay explain visit 321000004
    """
    from visitpay.cli import console as terminal
    from visitpay.database.engine import reading
    from visitpay.models import entity_named
    from visitpay.reporting.explain import explain as explain_key

    with reading(database_url) as connection:
        found = explain_key(connection, entity_named(entity), key)
    if as_json:
        typer.echo(terminal.dumps(asdict(found)))
    elif found.known:
        _show_explained(found)
    else:
        terminal.say(f"nothing is known of {entity.lower()} {key}")
    if not found.known:
        raise typer.Exit(ATTENTION_STATUS)


def _show_explained(found: "Explained") -> None:
    from visitpay.cli.console import show
    from visitpay.landing.local import short
    from visitpay.reporting.explain import DELIVERIES

    facts: list[tuple[str, object]] = list((found.row or {"": "not in its table"}).items())
    if found.source is not None:
        facts.append(("came with", f"{short(found.source['name'])}, line {found.line}"))
    if found.withdrawn_by is not None:
        later = found.withdrawn_by
        when = minute(later["loaded_at"])
        facts.append(("taken out", f"a later {short(later['name'])}, {when} UTC, lacks it"))
    if found.balance is not None and found.balance.visit_balance is not None:
        facts.append(_balance_fact(found, found.balance))
    show(("", ""), [(name, str(value)) for name, value in facts if value is not None])
    newest = found.deliveries[:_DELIVERIES_SHOWN]
    show(
        ("delivered by", "loaded"),
        [(short(str(each["name"])), each["loaded_at"]) for each in newest],
    )
    if earlier := len(found.deliveries) - len(newest):
        at_least = "at least " if len(found.deliveries) == DELIVERIES else ""
        typer.echo(f"and {at_least}{counted(earlier, 'earlier one')}")
    _show_rejects("rejected", found.rejects)
    _show_rejects("rejected transactions of the visit", found.rejected_transactions)
    if more := found.rejected_transactions_total - len(found.rejected_transactions):
        typer.echo(f"and {more:,} more")


def _balance_fact(found: "Explained", balance: "Balance") -> tuple[str, str]:
    """Say whose balance it is, whether it is right, and what to do next if it is not."""
    is_visit = "visit_balance" in (found.row or {})
    verdict = "differs from" if balance.differs else "is"
    transactions = counted(balance.transactions, "transaction")
    fact = f"{balance.visit_balance} {verdict} {balance.total}, the sum of {transactions}"
    if balance.differs and not is_visit:
        fact += f"; see: visitpay explain visit {balance.visit_identifier}"
    elif found.rejected_transactions_total and balance.differs:
        rejected = counted(found.rejected_transactions_total, "rejected transaction")
        fact += f"; see the {rejected} below"
    elif balance.differs:
        fact += "; no rejected row of it is known: ask the hospital"
    return "balance" if is_visit else "its visit's balance", fact


def _show_rejects(title: str, rejects: "Sequence[Mapping[Any, Any]]") -> None:
    """Print rejects so that they fit a terminal: what may be long stands last, and is folded."""
    from visitpay.cli.console import show
    from visitpay.landing.local import short

    rows = []
    for each in rejects:
        what = " ".join(filter(None, (each["reason"], each["column_name"])))
        why = f" ({each['why']})" if each["why"] else ""
        place = (each["id"], short(each["file"]), each["line_number"], each["status"])
        rows.append((*place, f"{what}{why}: {each['raw']}"))
    show(("id", "file", "line", "status", "reason: row"), rows, title)


def doctor(  # noqa: PLR0913 - each is an option of the command
    landing: Landing = DEFAULT_LANDING,
    *,
    database_url: DatabaseUrl = DEFAULT_URL,
    hospital: Hospital = DEFAULT_HOSPITAL,
    pass_over: PassOver = None,
    metrics_file: MetricsFile = None,
    send: Annotated[
        bool, typer.Option("--send", help="Send the alert channels a message, to see.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Look at all that a load needs, and say what to do where it lacks; exits with 1 on an error.

    Example: visitpay doctor /srv/landing
    """
    from visitpay.cli import console as terminal
    from visitpay.doctor import ERROR, examine

    terminal.start_log(LogFormat.TEXT, verbose=False)
    settings = (database_url, landing, hospital, *told(), metrics_file)
    examined = list(examine(*settings, pass_over=pass_over or (), send=send))
    if as_json:
        typer.echo(terminal.dumps({"findings": [vars(each) for each in examined]}))
    else:
        rows = [(each.state, each.name, each.seen) for each in examined]
        terminal.show(("", "", ""), rows)
        remedies = [(f"{each.name}:", each.remedy) for each in examined if each.remedy]
        terminal.show(("", ""), remedies)
    if any(each.state == ERROR for each in examined):
        raise typer.Exit(ATTENTION_STATUS)


def reconcile(  # noqa: PLR0913 - each is an option of the command
    *,
    database_url: DatabaseUrl = DEFAULT_URL,
    expect: Expected = None,
    ignore: Ignored = None,
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
    from visitpay.cli import console as terminal
    from visitpay.database.engine import make_engine, reading
    from visitpay.quality import balances
    from visitpay.quality import checks as quality

    terminal.start_log(LogFormat.TEXT, verbose=False)
    now = datetime.now(UTC)
    with stoppable():
        reconciled = balances.reconcile(make_engine(database_url), now, wait)
        with reading(database_url) as connection:
            findings = quality.findings(connection, now, expect, ignore or ())
            visits = quality.visits(connection, now, limit, ignore or ()) if raw else []
    total = sum(each.count for each in findings if not each.subject)  # they count visits
    if as_json:
        document = {
            "status": verdict(attention=bool(findings)),
            "balances": asdict(reconciled),
            "findings": [asdict(each) for each in findings],
            **({"visits": visits, "total": total} if raw else {}),
        }
        typer.echo(terminal.dumps(document))
    else:
        _show_reconciled(reconciled, findings, raw=raw)
        headers = ("check", "visit", "balance", "transactions", "since")
        terminal.show(headers, [tuple(each.values()) for each in visits], total=total)
    if findings:
        raise typer.Exit(ATTENTION_STATUS)


def _show_reconciled(
    reconciled: "Reconciliation", findings: "Sequence[Finding]", *, raw: bool
) -> None:
    from visitpay.cli.console import say

    say(
        f"compared {counted(reconciled.compared, 'balance')},"
        f" of which {reconciled.different:,} differ from the sum of the transactions"
    )
    if reconciled.different:
        say(
            f"together {reconciled.visit_balance:,} by the balances,"
            f" {reconciled.transactions_total:,} by the transactions"
        )
    changes = (reconciled.new, reconciled.changed, reconciled.cleared)
    say("new {:,}, changed {:,}, cleared {:,} since the last time".format(*changes))
    show_findings(findings)
    if not (raw or all(each.subject for each in findings)):
        say("--raw shows the visits, the newest first")


def verdict(*, attention: bool) -> str:
    """Say in one word whether something needs a person."""
    return "attention" if attention else "ok"


def show_findings(findings: "Sequence[Finding]") -> None:
    """Print findings, if there are any."""
    from visitpay.cli.console import show
    from visitpay.landing.local import short

    rows = [
        (each.check, f"{short(each.subject)}: {each.message}" if each.subject else each.message)
        for each in findings
    ]
    show(("check", "finding"), rows)


def report(  # noqa: PLR0913 - each is an option of the command
    landing: Landing = DEFAULT_LANDING,
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where to write the page; an older one goes.")
    ] = DEFAULT_REPORT,
    database_url: DatabaseUrl = DEFAULT_URL,
    hospital: Hospital = DEFAULT_HOSPITAL,
    pass_over: PassOver = None,
    settle: Settle = 0,
    expect: Expected = None,
    ignore: Ignored = None,
    as_json: Json = False,
) -> None:
    """Write one HTML page that shows how the feed stands, with charts, for whoever looks on.

    It needs no network, and holds names and counts only. Balances are told of as `visitpay
    reconcile` found them when it last ran. Exits with 0 whatever it shows.

    Example: visitpay report /srv/landing --output report.html
    """
    reporting = _reporting()
    from visitpay.cli.console import dumps, line
    from visitpay.database.engine import reading
    from visitpay.landing.local import scan
    from visitpay.private_files import writing
    from visitpay.reporting.status import overview

    now = datetime.now(UTC)
    landed = scan(landing, hospital, pass_over or (), settle)
    with reading(database_url) as connection:
        seen = overview(connection, landed, now, expect, ignore or ())
        page = reporting.page(reporting.report(connection, seen, now))
    with writing(output, over=reporting.BEGIN) as file:
        file.write(page)
    state = {"status": verdict(attention=seen.needs_person), "summary": seen.summary}
    if as_json:
        typer.echo(dumps({**state, "path": str(output)}))
    else:
        line(output)


def _reporting() -> ModuleType:
    try:
        from visitpay.reporting import page as reporting
    except ImportError as error:
        message = "`report` needs Jinja and vl-convert; run: pip install 'visitpay[report]'"
        raise ConfigurationError(message) from error
    return reporting


def check(
    landing: Landing = DEFAULT_LANDING,
    *,
    hospital: Hospital = DEFAULT_HOSPITAL,
    pass_over: PassOver = None,
    as_json: Json = False,
) -> None:
    """Read and validate every file of a directory without a database; exits with 1 if any is bad.

    Whether rows refer to visits and procedures that are there, only a load can tell; try
    `visitpay load --dry-run` for that.

    Example: visitpay check /srv/landing
    """
    from visitpay.cli import console as terminal
    from visitpay.landing.local import scan
    from visitpay.loading import validate as checking

    landed = scan(landing, hospital, pass_over or ())
    checked = list(checking.check(landed))
    bad = any(each.error or each.rejected for each in checked)
    if as_json:
        document = {
            "status": verdict(attention=bad),
            "files": [_checked_document(each) for each in checked],
            "unrecognised": landed.unrecognised,
            "why_unrecognised": landed.strange,
        }
        typer.echo(terminal.dumps(document))
    else:
        _show_checked(checked, landed.strange)
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


def _show_checked(checked: "Sequence[CheckedFile]", strange: Mapping[str, str]) -> None:
    from visitpay.cli.console import show
    from visitpay.landing.local import short

    files = [(short(each.file.name), each.rows_read, each.rejected, each.error) for each in checked]
    show(("file", "rows", "rejected", "error"), files, nothing="no files to check")
    examples = [(short(each.file.name), *example) for each in checked for example in each.examples]
    show(("file", "line", "reason", "column"), examples, "the first rejects of each")
    # Quoted, since a name may end with a space.
    show(("not recognised", "why"), [(f'"{name}"', why) for name, why in strange.items()])
