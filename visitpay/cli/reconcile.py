"""`visitpay reconcile`."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from visitpay import api
from visitpay.cli import options
from visitpay.cli.signals import stoppable
from visitpay.errors import ATTENTION_STATUS
from visitpay.text import counted
from visitpay.vocabulary import DEFAULT_URL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from visitpay.quality.balances import Reconciliation
    from visitpay.quality.checks import Finding


def reconcile(  # noqa: PLR0913 - each is an option of the command
    *,
    database_url: options.DatabaseUrl = DEFAULT_URL,
    expect: options.Expected = None,
    ignore: options.Ignored = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Show the visits, too, by identifier and amounts.")
    ] = False,
    limit: options.Limit = 50,
    wait: options.Wait = 60,
    as_json: options.Json = False,
) -> None:
    """Compare each visit's balance with the sum of its transactions, and look for what is odd.

    A visit without a balance is not compared. What differs is recorded: new is what did not differ
    the last time, changed what differed by other amounts, cleared what differs no more. --limit is
    for --raw: so many visits of each check.

    Exit status: 0 all balances agree and nothing was found; 1 something needs a person; 2 unusable
    arguments; 3 the database cannot be used.

    Example: visitpay reconcile --expect weekdays
    """
    from visitpay.cli import console
    from visitpay.cli.logs import start_log
    from visitpay.database.engine import read_connection
    from visitpay.quality import checks

    start_log(options.LogFormat.TEXT)
    ignored = ignore or ()
    with stoppable():
        compared = api.reconcile(database_url=database_url, wait_seconds=wait)
        findings = api.findings(database_url=database_url, expect=expect, ignore=ignored)
        with read_connection(database_url) as connection:
            now = datetime.now(UTC)
            visits = checks.visits(connection, now, limit, ignored) if raw else []
    total = sum(finding.count for finding in findings if not finding.subject)  # they count visits
    if as_json:
        from visitpay.cli import to_json

        whole = to_json.reconcile_raw(compared, findings, visits, total)
        typer.echo(to_json.dumps(whole if raw else to_json.reconcile(compared, findings)))
    else:
        _show(compared, findings, raw=raw)
        headers = ("check", "visit", "balance", "transactions", "since")
        console.show(headers, visits, total=total)
    if findings:
        raise typer.Exit(ATTENTION_STATUS)


def _show(compared: "Reconciliation", findings: "Sequence[Finding]", *, raw: bool) -> None:
    from visitpay.cli.console import say, show_findings

    say(
        f"compared {counted(compared.compared, 'balance')},"
        f" of which {compared.different:,} differ from the sum of the transactions"
    )
    if compared.different:
        say(
            f"together {compared.visit_balance:,} by the balances,"
            f" {compared.transactions_total:,} by the transactions"
        )
    changes = (compared.new, compared.changed, compared.cleared)
    say("new {:,}, changed {:,}, cleared {:,} since the last time".format(*changes))
    show_findings(findings)
    if not (raw or all(finding.subject for finding in findings)):
        say("--raw shows the visits")
