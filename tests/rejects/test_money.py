"""The money of rejected rows, to the cent; checked against the files, by `csv` and Decimal."""

import csv
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

from tests.support.feed import Feed, header_line, row
from visitpay.database.engine import read_connection
from visitpay.models import Procedure, Transaction, Visit
from visitpay.rejects.money import MoneySums, QuarantinedMoney, money_in_quarantine, sum_money
from visitpay.rejects.queries import RejectFilter

HEADER = "Amount;Note;TransactionIdentifier;ProcedureId;VisitIdentifier"
"""Of a file in another order, with other delimiters and a column more."""


def sums_of(feed: Feed, wanted: RejectFilter | None = None, limit: int = 10) -> MoneySums:
    """Return the sums of rejects."""
    with read_connection(feed.url) as connection:
        return sum_money(connection, wanted or RejectFilter(), limit)


def totals(feed: Feed) -> QuarantinedMoney:
    """Return the money of open rejected transactions."""
    with read_connection(feed.url) as connection:
        return money_in_quarantine(connection)


def by_hand(path: Path, delimiter: str = "\t") -> dict[str, Decimal]:
    """Return the sums of a file's amounts by visit, read in another way than visitpay's."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    with path.open(newline="") as file:
        for cells in csv.DictReader(file, delimiter=delimiter):
            sums[cells["VisitIdentifier"]] += Decimal(cells["Amount"])
    return sums


def test_sums(feed: Feed) -> None:
    """They are exact, whatever the order of columns; a row that cannot be read is counted."""
    feed.deliver(Procedure)
    feed.deliver(Visit)
    amounts = ["324.71", "181.51", "0.10", "0.20", "-506.22", "1005.5", "999999999999.99"]
    waiting = feed.deliver(
        Transaction,
        *(
            row(transaction_identifier=key, visit_identifier=20 + key % 2, amount=amount)
            for key, amount in enumerate(amounts)
        ),
    )
    others = feed.deliver_lines(
        Transaction,
        *(f"{key}.35;10;{100 + key};1;20" for key in range(30)),
        header=HEADER,
        at="20211202_223133",
    )
    feed.deliver(
        Transaction,
        row(transaction_identifier=200, procedure_id="", amount='"($1,005.50)"'),
        row(transaction_identifier=201, procedure_id="", amount="12 dollars"),
        row(transaction_identifier=202, visit_identifier="x", amount=7),
        "203\t10\t1",
        row(transaction_identifier=204, amount="1" * 2_000_000),
        at="20211203_223133",
    )
    feed.load()
    expected = defaultdict(Decimal, by_hand(waiting))
    for visit, amount in by_hand(others, ";").items():
        expected[visit] += amount
    total = sum(expected.values(), Decimal("-1005.50") + 7)
    sums = sums_of(feed)
    assert sums.total(Transaction) == totals(feed) == QuarantinedMoney(total, 42, 3, 0)
    assert {(each.visit, each.amount, each.rows, each.unreadable) for each in sums.by_visit} == {
        (20, expected["20"], 34, 0),
        (21, expected["21"], 3, 0),
        (10, Decimal("-1005.50"), 2, 1),
        (None, Decimal("7.00"), 3, 2),
    }
    assert [(each.reason, each.rows, each.amount) for each in sums.by_reason] == [
        ("missing_reference", 37, expected["20"] + expected["21"]),
        ("missing_value", 2, Decimal("-1005.50")),
        ("invalid_integer", 1, Decimal(7)),
        ("line_too_long", 1, 0),
        ("malformed", 1, 0),
    ]
    few = sums_of(feed, limit=1)
    assert [each.visit for each in few.by_visit] == [20]
    assert (few.visits, few.total(Transaction)) == (4, sums.total(Transaction))


def test_what_waits_and_comes_again(feed: Feed) -> None:
    """A transaction that waits counts once, as it came last, however often it came."""
    feed.deliver(Procedure)
    for day, amount in enumerate(("5", "6.01", "x"), 1):
        rows = (row(transaction_identifier=1, amount="7"), row(amount=amount))
        feed.deliver(Transaction, *rows, at=f"2021120{day}_223133")
        feed.load()
        expected = Decimal(7) + (Decimal(amount) if amount != "x" else 0)
        unreadable, rows_waiting = (1, 6) if amount == "x" else (0, 2 * day)
        got = totals(feed)
        assert got == QuarantinedMoney(expected, rows_waiting, unreadable, rows_waiting - 2)
    feed.deliver(Visit)
    feed.load()
    assert totals(feed).amount == 0


def test_balances_of_visits(feed: Feed) -> None:
    """Rejected visits are summed by their balances, apart from transactions."""
    feed.deliver(
        Visit,
        row(admit_date="x", visit_balance="0.10"),
        row(visit_identifier=11, admit_date="x", visit_balance="0.20"),
        row(visit_identifier=12, admit_date="x"),
    )
    feed.load()
    sums = sums_of(feed)
    assert sums.total(Visit) == QuarantinedMoney(Decimal("0.30"), 3, 1, 0)
    assert sums.total(Transaction) == totals(feed) == QuarantinedMoney(Decimal(0), 0, 0, 0)
    assert [(each.visit, each.amount) for each in sums.by_visit] == [
        (11, Decimal("0.20")),
        (10, Decimal("0.10")),
        (12, Decimal(0)),
    ]
    assert sums_of(feed, RejectFilter(key=11)).total(Visit).amount == Decimal("0.20")
    assert sums_of(feed, RejectFilter(status="dismissed")).by_reason == []


def test_header_that_nobody_knows_any_more(feed: Feed) -> None:
    """Rows whose header is of no use are counted, without an amount."""
    feed.deliver(Transaction)
    feed.load()
    feed.execute("UPDATE load_files SET header = 'x'")
    assert totals(feed) == QuarantinedMoney(Decimal(0), 1, 1, 0)
    feed.execute(f"UPDATE load_files SET header = '{header_line(Transaction)}'")
    assert totals(feed).amount == 9
