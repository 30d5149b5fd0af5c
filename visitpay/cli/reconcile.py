"""`visitpay reconcile`."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from visitpay.cli.console import show_findings
from visitpay.cli.documents import verdict
from visitpay.cli.options import (
    ATTENTION_STATUS,
    DatabaseUrl,
    Expected,
    Ignored,
    Json,
    Limit,
    LogFormat,
    Wait,
)
from visitpay.cli.signals import stoppable
from visitpay.text import counted
from visitpay.vocabulary import DEFAULT_URL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from visitpay.quality.balances import Reconciliation
    from visitpay.quality.checks import Finding


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
    from visitpay.cli.logs import start_log
    from visitpay.database.engine import make_engine, read_connection
    from visitpay.quality import checks as quality
    from visitpay.quality.balances import reconcile

    start_log(LogFormat.TEXT, verbose=False)
    now = datetime.now(UTC)
    with stoppable():
        reconciled = reconcile(make_engine(database_url), now, wait)
        with read_connection(database_url) as connection:
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
