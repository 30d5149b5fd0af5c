"""The money of rejected rows on a terminal, on one screen."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from visitpay.cli import console
from visitpay.rejects.money import TYPES, MoneySums, QuarantinedMoney
from visitpay.text import counted

if TYPE_CHECKING:
    from visitpay.hints import Setup

_HEADERS = ("transactions", "amount", "unreadable", "visits", "balance", "unreadable")
"""Of each type: how many rows, the sum of their money, of how many it cannot be read."""
_ALL = "in all"
_UNREADABLE = "unreadable"


def show(sums: MoneySums, rejected: int, setup: "Setup") -> None:
    """Print the money of rejects by reason and by visit, and where to look next.

    `rejected` is how many rejects there are, also of types that have no money.
    """
    of_reasons = {(each.reason, each.entity): each for each in sums.by_reason}
    others = rejected - sum(each.rows for each in sums.by_reason)
    if not of_reasons:
        console.say("no rejected rows with money to show")
        _say_others(others)
        return
    of_all = {(_ALL, entity.__name__): sums.total(entity) for entity in TYPES}
    _show("reason", {**of_reasons, **of_all})
    if repeated := sum(each.repeated for each in of_all.values()):
        console.say(f"{counted(repeated, 'row')} not counted: what they hold came again later")
    _say_others(others)
    visits = {
        (_UNREADABLE if each.visit is None else str(each.visit), each.entity): each
        for each in sums.by_visit
    }
    _show("visit", visits, sums.visits)
    known = next((each.visit for each in sums.by_visit if each.visit is not None), None)
    if known is not None:
        console.say(f"more of a visit: {setup.hint('explain', 'visit', str(known))}")
    if unreadable := [each for each in sums.by_reason if each.unreadable]:
        most = max(unreadable, key=lambda each: each.unreadable)
        rows = ("--raw", "--entity", most.entity, "--reason", most.reason)
        console.say(f"unreadable rows: {setup.hint('rejects list', *rows)}")


def _say_others(others: int) -> None:
    if others:
        rows = counted(others, "rejected row", "rejected rows")
        console.say(f"{rows} of types without money, such as Procedure, not in these sums")


def _show(what: str, groups: Mapping[tuple[str, str], QuarantinedMoney], total: int = 0) -> None:
    """Print a table of groups, by name and type: a line a name."""
    names = dict.fromkeys(name for name, _ in groups)
    halves = [_columns([groups.get((name, each.__name__)) for name in names]) for each in TYPES]
    rows = zip(names, *(column for half in halves for column in half), strict=True)
    console.show((what, *_HEADERS), list(rows))
    if total > len(groups):
        console.say(f"{len(groups):,} of {total:,}; --limit shows more")


def _columns(groups: Iterable[QuarantinedMoney | None]) -> list[list[object]]:
    """Return how many rows, the amounts, aligned, and how many are unknown; empty for none."""
    found = [group if group and group.rows else None for group in groups]
    amounts = [f"{group.amount:,}" if group and group.readable else "" for group in found]
    width = max(map(len, amounts))
    return [
        [group.rows if group else None for group in found],
        [amount.rjust(width) if amount else "" for amount in amounts],
        [(group.unreadable or None) if group else None for group in found],
    ]
