"""Money in the database: exactly the numbers that were sent, looked at without the ORM's types."""

import re
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from random import Random

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.command import Visitpay
from tests.support.databases import MakeDatabase
from tests.support.feed import Feed, line, only_sqlite, row
from visitpay.models import Procedure, Transaction, Visit

AMOUNTS = st.decimals(
    min_value=Decimal("-999999999999.99"), max_value=Decimal("999999999999.99"), places=2
)


def deliver_amounts(feed: Feed, texts: list[str]) -> None:
    """Deliver transactions with so many amounts, and a visit for each with it as its balance."""
    feed.deliver(Procedure, procedure_description="cast")
    feed.deliver_lines(
        Visit,
        *(line(Visit, visit_identifier=key, visit_balance=text) for key, text in enumerate(texts)),
    )
    feed.deliver_lines(
        Transaction,
        *(
            line(Transaction, transaction_identifier=key, visit_identifier=key, amount=text)
            for key, text in enumerate(texts)
        ),
    )


def stored(feed: Feed, query: str) -> list[tuple[object, ...]]:
    """Ask the database with its driver alone."""
    if feed.url.startswith("sqlite"):
        with closing(sqlite3.connect(feed.database)) as connection:
            return connection.execute(query).fetchall()
    with psycopg.connect(feed.url.replace("+psycopg", "")) as connection:
        return connection.execute(query.encode()).fetchall()


def some_amounts(count: int) -> list[str]:
    """Return amounts of every length, written in full."""
    random = Random(35)  # noqa: S311 - no secret
    cents = [random.randrange(10 ** random.randint(1, 14)) for _ in range(count)]
    return [f"{random.choice(['', '-'])}{each // 100}.{each % 100:02}" for each in cents]


@only_sqlite
@pytest.mark.parametrize("count", [1, 2, 50_000])
def test_amounts_are_the_numbers_that_were_sent(feed: Feed, visitpay: Visitpay, count: int) -> None:
    """Every value is a double, and the one that Python and SQLite make of its text."""
    texts = some_amounts(count)
    deliver_amounts(feed, texts)
    visitpay("load")
    for column, table, key in (
        ("amount", "transactions", "transaction_identifier"),
        ("visit_balance", "visits", "visit_identifier"),
    ):
        query = f"SELECT {column}, typeof({column}) FROM {table} ORDER BY {key}"
        found = stored(feed, query)
        assert found == [(float(text), "real") for text in texts]
    with closing(sqlite3.connect(":memory:")) as connection:
        cast = connection.execute("SELECT CAST(? AS REAL)", (texts[-1],)).fetchone()
    assert cast == (float(texts[-1]),)


@given(amounts=st.lists(AMOUNTS, min_size=1, max_size=30))
def test_any_amount(
    make_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory, amounts: list[Decimal]
) -> None:
    """Also of whatever amounts of up to twelve digits before the point, in however small files."""
    folder = tmp_path_factory.mktemp("money")
    with make_database("sqlite", folder) as url:
        feed = Feed(Path(folder, "landing"), url)
        feed.landing.mkdir()
        texts = [f"{amount:.2f}" for amount in amounts]
        deliver_amounts(feed, texts)
        feed.load()
        found = stored(feed, "SELECT amount FROM transactions ORDER BY transaction_identifier")
        assert [row[0] for row in found] == [float(text) for text in texts]


@only_sqlite
def test_arithmetic_is_that_of_money(feed: Feed, visitpay: Visitpay) -> None:
    """In the sqlite3 shell a quarter of 10.00 is 2.50, and an amount is found by its text."""
    deliver_amounts(feed, ["0.35", "10.00", "$1,005.50", "(20.00)", "-0", "7"])
    visitpay("load")
    found = stored(feed, "SELECT amount / 4 FROM transactions WHERE amount = 10.00")
    assert found == [(2.5,)]
    for text in ("0.35", "1005.50", "-20", "0", "7.00"):
        assert len(stored(feed, f"SELECT 1 FROM transactions WHERE amount = {text}")) == 1


def test_what_reconcile_records_is_money(feed: Feed, visitpay: Visitpay) -> None:
    """Amounts that the books record are those numbers, too, and an update writes them so."""
    deliver_amounts(feed, ["0.35", "0.57", "1.10", "4.00"])
    feed.deliver(
        Transaction,
        row(transaction_identifier=9, visit_identifier=0, amount="0.29"),
        row(transaction_identifier=1, visit_identifier=1, amount="0.58"),
        row(transaction_identifier=8, visit_identifier=3, amount=-2),
        at="20211202_223133",
    )
    visitpay("load")
    visitpay("reconcile")
    found = stored(
        feed, "SELECT visit_balance, transactions_total FROM balance_differences ORDER BY 1"
    )
    expected = [("0.35", "0.64"), ("0.57", "0.58"), ("4.00", "2.00")]
    if feed.url.startswith("sqlite"):
        assert found == [tuple(map(float, each)) for each in expected]
    else:
        assert found == [tuple(map(Decimal, each)) for each in expected]
    assert feed.column(Transaction, "amount")[1] == Decimal("0.58")


def test_amounts_come_back_as_decimals(feed: Feed, visitpay: Visitpay) -> None:
    """Through the models an amount is a Decimal with its cents, on both databases."""
    texts = ["0.35", "-0.10", "999999999999.99", "7.00"]
    deliver_amounts(feed, texts)
    visitpay("load")
    amounts = feed.column(Transaction, "amount")
    assert list(map(str, amounts)) == texts
    assert all(isinstance(each, Decimal) for each in amounts)


@only_sqlite
def test_money_is_declared_real(feed: Feed) -> None:
    """No column of the database is NUMERIC: that would keep whole dollars as integers."""
    definitions = stored(feed, "SELECT sql FROM sqlite_schema WHERE type = 'table'")
    text = " ".join(str(each[0]) for each in definitions)
    assert len(re.findall(r"\bREAL\b", text)) == 4
    assert not re.search("NUMERIC", text)
