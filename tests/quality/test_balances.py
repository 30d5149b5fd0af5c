from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select

from tests.support.feed import Feed, line
from visitpay.database.engine import make_engine, read_connection
from visitpay.models import BalanceDifference, Procedure, Transaction, Visit
from visitpay.quality.balances import OPEN_DIFFERENCES, Reconciliation, comparisons, reconcile

NOW = datetime(2021, 12, 3, tzinfo=UTC)
LARGEST = Decimal("999999999999.99")


def reconciled(feed: Feed, minutes: int = 0) -> Reconciliation:
    """Compare the balances, some minutes after NOW."""
    return reconcile(make_engine(feed.url), NOW + timedelta(minutes=minutes))


def differing(feed: Feed) -> dict[int, tuple[Decimal, Decimal]]:
    """Return the balance and the total of the visits that differ."""
    with read_connection(feed.url) as connection:
        return {
            visit: (balance, total)
            for visit, balance, total, _ in connection.execute(OPEN_DIFFERENCES)
        }


def deliver(feed: Feed, day: int, visits: Mapping[int, str], *transactions: str) -> None:
    """Deliver and load visits with their balances, and transactions: key, visit, amount."""
    feed.deliver(Procedure, at=f"202112{day:02}_000000")
    stays = [line(Visit, visit_identifier=key, visit_balance=cell) for key, cell in visits.items()]
    feed.deliver_lines(Visit, *stays, at=f"202112{day:02}_000000")
    charges = [
        line(Transaction, transaction_identifier=key, visit_identifier=visit, amount=amount)
        for key, visit, amount in (each.split() for each in transactions)
    ]
    feed.deliver_lines(Transaction, *charges, at=f"202112{day:02}_000000")
    feed.load()


def test_differences(feed: Feed) -> None:
    """A balance that is not the sum to the cent differs, one that is NULL is not compared."""
    visits = {10: "0.3", 11: "0.3", 12: "", 13: "0", 14: "1.5", 15: "-5"}
    charges = ("1 10 0.1", "2 10 0.2", "3 11 0.1", "4 11 0.21", "5 12 9", "6 15 -20", "7 15 15")
    deliver(feed, 1, visits, *charges)
    assert reconciled(feed) == Reconciliation(
        compared_at=NOW,
        compared=5,
        different=2,
        visit_balance=Decimal("1.80"),
        transactions_total=Decimal("0.31"),
        new=2,
        changed=0,
        cleared=0,
    )
    assert differing(feed) == {
        11: (Decimal("0.30"), Decimal("0.31")),
        14: (Decimal("1.50"), Decimal("0.00")),
    }


def test_nothing(feed: Feed) -> None:
    """An empty database has nothing that differs."""
    zero = Decimal("0.00")
    assert reconciled(feed) == Reconciliation(NOW, 0, 0, zero, zero, 0, 0, 0)


def test_since_the_last_time(feed: Feed) -> None:
    """A difference is new once, changes with its amounts, clears, and nothing of it is deleted."""

    def news(minutes: int) -> tuple[int, int, int, int]:
        seen = reconciled(feed, minutes)
        return seen.different, seen.new, seen.changed, seen.cleared

    deliver(feed, 1, {10: "1", 11: "2", 12: "3", 13: "4"}, "1 13 4")
    assert news(1) == (3, 3, 0, 0)
    assert news(2) == (3, 0, 0, 0)
    deliver(feed, 2, {11: "2.5", 13: "4"}, "2 10 1", "3 12 1", "4 13 1")
    assert news(3) == (3, 1, 2, 1)
    deliver(feed, 3, {12: "", 13: "5"}, "5 11 2.50")
    assert news(4) == (0, 0, 0, 3)
    deliver(feed, 4, {10: "0.99"})
    assert news(5) == (1, 1, 0, 0)
    columns = (
        BalanceDifference.visit_identifier,
        BalanceDifference.visit_balance,
        BalanceDifference.transactions_total,
        BalanceDifference.found_at,
        BalanceDifference.closed_at,
    )
    with read_connection(feed.url) as connection:
        rows = connection.execute(select(*columns).order_by(*columns[:1], columns[3])).all()
    assert [
        (visit, str(balance), str(total), (found - NOW).seconds // 60, closed and closed.minute)
        for visit, balance, total, found, closed in rows
    ] == [
        (10, "1.00", "0.00", 1, 3),
        (10, "0.99", "1.00", 5, None),
        (11, "2.00", "0.00", 1, 3),
        (11, "2.50", "0.00", 3, 4),
        (12, "3.00", "0.00", 1, 3),
        (12, "3.00", "1.00", 3, 4),
        (13, "4.00", "5.00", 3, 4),
    ]


def test_comparisons(feed: Feed) -> None:
    """Each comparison is remembered, also one that finds nothing new; the newest come first."""
    with read_connection(feed.url) as connection:
        assert comparisons(connection, 9) == []
    deliver(feed, 1, {10: "1", 11: "2"}, "1 10 2")
    for minutes in (0, 1):
        reconciled(feed, minutes)
    deliver(feed, 2, {12: "0"}, "1 10 1")
    reconciled(feed, 2)
    with read_connection(feed.url) as connection:
        made = [list(each) for each in comparisons(connection, 2)]
        newest_first = [each.found_at for each in connection.execute(OPEN_DIFFERENCES)]
    moments = [NOW + timedelta(minutes=minutes) for minutes in range(3)]
    assert made == [[moments[2], 3, 1], [moments[1], 2, 2]]
    assert newest_first == [moments[0]]
    deliver(feed, 3, {11: "3"})
    reconciled(feed, 3)
    deliver(feed, 4, {12: "5"})
    reconciled(feed, 4)
    assert list(differing(feed)) == [12, 11]


def test_a_sum_too_large_for_a_column(feed: Feed) -> None:
    """A sum that no column holds is recorded as the most that one does, and stays the same."""
    charges = [f"{key} 10 {LARGEST}" for key in range(3)]
    charges += [f"{key} 11 -{LARGEST}" for key in range(3, 6)]
    deliver(feed, 1, {10: str(LARGEST), 11: "0"}, *charges)
    assert reconciled(feed).new == 2
    assert differing(feed) == {10: (LARGEST, LARGEST), 11: (Decimal("0.00"), -LARGEST)}
    seen = reconciled(feed, 1)
    assert (seen.different, seen.new, seen.changed, seen.cleared) == (2, 0, 0, 0)


CENTS = st.integers(-500, 500) | st.integers(1 - 10**14, 10**14 - 1)
VISITS = st.dictionaries(
    st.integers(1, 9), st.tuples(st.none() | CENTS, st.lists(CENTS, max_size=4)), max_size=5
)


def money(cents: int) -> Decimal:
    """Return cents as a sum of money."""
    return Decimal(cents).scaleb(-2)


def fill(feed: Feed, visits: Mapping[int, tuple[int | None, list[int]]]) -> None:
    """Let the database hold these visits, with balances and transactions in cents."""
    source = {"source_file_id": 1, "source_line": 2}
    with make_engine(feed.url).begin() as connection:
        for table in (Transaction, Visit, Procedure, BalanceDifference):
            connection.execute(delete(table))
        bandaid = {"procedure_id": 1, "procedure_description": "bandaid"}
        connection.execute(insert(Procedure), bandaid | source)
        for key, (balance, amounts) in visits.items():
            visit = {"visit_identifier": key, "guarantor_identifier": 7, "admit_date": NOW.date()}
            owed = {"visit_balance": None if balance is None else money(balance)}
            connection.execute(insert(Visit), visit | owed | source)
            for number, cents in enumerate(amounts, 10 * key):
                charge = {"transaction_identifier": number, "visit_identifier": key}
                paid = {"procedure_id": 1, "amount": money(cents)}
                connection.execute(insert(Transaction), charge | paid | source)


@given(visits=VISITS)
def test_sums_are_exact(feed: Feed, visits: dict[int, tuple[int | None, list[int]]]) -> None:
    """Whatever the amounts, what differs is what differs from an exact sum of decimals."""
    fill(feed, visits)
    exact = {key: sum(map(money, amounts), Decimal()) for key, (_, amounts) in visits.items()}
    expected = {
        key: (money(balance), max(-LARGEST, min(LARGEST, exact[key])))
        for key, (balance, _) in visits.items()
        if balance is not None and money(balance) != exact[key]
    }
    seen = reconciled(feed)
    assert differing(feed) == expected
    assert (seen.different, seen.visit_balance, seen.transactions_total) == (
        len(expected),
        sum((balance for balance, _ in expected.values()), Decimal()),
        sum((total for _, total in expected.values()), Decimal()),
    )
