"""`visitpay explain`."""

from typing import TYPE_CHECKING, Annotated

import typer

from visitpay import api
from visitpay.cli import completion, options
from visitpay.errors import ATTENTION_STATUS
from visitpay.text import counted, minute
from visitpay.vocabulary import DEFAULT_URL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from visitpay.rejects.queries import Reject
    from visitpay.reporting.explain import Balance, Explained

_DELIVERIES_SHOWN = 5


def explain(
    entity: Annotated[
        str,
        typer.Argument(
            metavar="TYPE",
            callback=options.as_entity,
            autocompletion=completion.entities,
            help="What it is, such as visit.",
        ),
    ],
    key: Annotated[
        int, typer.Argument(metavar="ID", parser=options.as_key, help="Its identifier.")
    ],
    *,
    database_url: options.DatabaseUrl = DEFAULT_URL,
    as_json: options.Json = False,
) -> None:
    """Show one row, such as a visit, where it came from, what was rejected.

    Of a visit the rejected transactions, too: its balance may lack them.

    It holds health and payment data: mind who looks on. Exits with 1 when nothing is known of it.

    Example: visitpay explain visit 321000004
    """
    from visitpay.cli import console

    found = api.explain(entity, key, database_url=database_url)
    if as_json:
        from visitpay.cli import to_json

        typer.echo(to_json.dumps(to_json.explain(found)))
    elif found.known:
        _show(found)
    else:
        console.say(f"nothing is known of {entity.lower()} {key}")
    if not found.known:
        raise typer.Exit(ATTENTION_STATUS)


def _show(found: "Explained") -> None:
    from visitpay.cli.console import show
    from visitpay.feed import short_name
    from visitpay.reporting.explain import DELIVERIES

    facts: list[tuple[str, object]] = list((found.row or {"": "not in its table"}).items())
    if found.source is not None:
        facts.append(("came with", f"{short_name(found.source.name)}, line {found.line}"))
    if found.withdrawn_by is not None:
        later = found.withdrawn_by
        when = minute(later.loaded_at)
        facts.append(("taken out", f"a later {short_name(later.name)}, {when} UTC, lacks it"))
    if found.balance is not None and found.balance.visit_balance is not None:
        facts.append(_balance_fact(found, found.balance))
    show(("", ""), [(name, str(value)) for name, value in facts if value is not None])
    newest = found.deliveries[:_DELIVERIES_SHOWN]
    show(
        ("delivered by", "loaded"),
        [(short_name(delivery.name), delivery.loaded_at) for delivery in newest],
    )
    if earlier := len(found.deliveries) - len(newest):
        at_least = "at least " if len(found.deliveries) == DELIVERIES else ""
        typer.echo(f"and {at_least}{counted(earlier, 'earlier one')}")
    _show_rejects("rejected", found.rejects)
    if more := found.rejects_total - len(found.rejects):
        typer.echo(f"and {more:,} more")
    _show_rejects("rejected transactions of the visit", found.rejected_transactions)
    if more := found.rejected_transactions_total - len(found.rejected_transactions):
        typer.echo(f"and {more:,} more")


def _balance_fact(found: "Explained", balance: "Balance") -> tuple[str, str]:
    """Return whose balance it is, and whether it is right; if not, what to do next."""
    is_visit = "visit_balance" in (found.row or {})
    relation = "differs from" if balance.differs else "is"
    transactions = counted(balance.transactions, "transaction")
    fact = f"{balance.visit_balance} {relation} {balance.total}, the sum of {transactions}"
    if balance.differs and not is_visit:
        fact += f"; see: visitpay explain visit {balance.visit_identifier}"
    elif found.rejected_transactions_total and balance.differs:
        rejected = counted(found.rejected_transactions_total, "rejected transaction")
        fact += f"; see the {rejected} below"
    elif balance.differs:
        fact += "; no rejected row of it is known: ask the hospital"
    return "balance" if is_visit else "its visit's balance", fact


def _show_rejects(title: str, rejects: "Sequence[Reject]") -> None:
    """Print rejects so that they fit a terminal: what may be long stands last, and is folded."""
    from visitpay.cli.console import show
    from visitpay.feed import short_name

    rows = []
    for reject in rejects:
        what = " ".join(filter(None, (reject.reason, reject.column)))
        why = f" ({reject.why})" if reject.why else ""
        where = (reject.id, short_name(reject.file), reject.line, reject.status)
        rows.append((*where, f"{what}{why}: {reject.raw}"))
    show(("id", "file", "line", "status", "reason: row"), rows, title)
