"""What is known of one identifier, on one screen."""

import pytest

from tests.support.command import Visitpay, on_terminal, start
from tests.support.feed import Feed, only_sqlite, row
from visitpay.models import Procedure, Transaction, Visit

TRANSACTIONS = "HospitalABC_VisitPay_Transaction_2021120{}_223133.txt"


def deliver_parents(feed: Feed) -> None:
    """Deliver two visits and a procedure."""
    feed.deliver(Procedure)
    visits = ("10\t7\t1/2/2021\t\t20.50\t", "11\t7\t1/2/2021\t\t5\t")
    feed.deliver(Visit, *visits)


def plain(text: str) -> list[str]:
    """Give the lines of what is shown."""
    return [" ".join(line.split()) for line in text.splitlines()]


def test_rejected_transactions_of_a_visit(feed: Feed, visitpay: Visitpay) -> None:
    """A visit is shown with the transactions that its balance lacks, and with no others."""
    deliver_parents(feed)
    rows = ("100\t10\t1\t5", "101\t10\t1\tx", "10\t11\t1\tx", "102\t10\t10\t1", "103\t10\t1\ty")
    feed.deliver(
        Transaction, *rows, row(transaction_identifier=104, amount="z"), "105\t10\tx", "x\t10\t1"
    )
    header = "Amount;Note;VisitIdentifier;ProcedureId;TransactionIdentifier;"
    rows = ('y;10;"10";1;106;', "y;10;11;1;107;", "5;;10;1;104;", "y;;010;1;108;", "y;;110;1;109;")
    feed.deliver_lines(Transaction, *rows, at="20211202_223133", header=header)
    feed.deliver(Transaction, "110\t10\t1\t" + "x" * 2_000_000, at="20211203_223133")
    visitpay("load")
    rejects = visitpay("rejects", "list", "--raw", "--json").document["rejects"]
    dismissed = next(each["id"] for each in rejects if each["record_key"] == 103)
    visitpay("rejects", "dismiss", dismissed, "--why", "made up")
    document = visitpay("explain", "visit", "10", "--json").document
    assert [
        (each["file"], each["line_number"], each["status"])
        for each in document["rejected_transactions"]
    ] == [
        (TRANSACTIONS.format(1), 3, "open"),
        (TRANSACTIONS.format(1), 5, "open"),
        (TRANSACTIONS.format(1), 6, "dismissed"),
        (TRANSACTIONS.format(1), 8, "open"),
        (TRANSACTIONS.format(1), 9, "open"),
        (TRANSACTIONS.format(2), 2, "open"),
        (TRANSACTIONS.format(2), 5, "open"),
    ]
    assert document["rejected_transactions_total"] == 7
    shown = plain(visitpay("explain", "visit", "10").out)
    differs = "20.50 differs from 10.00, the sum of 2 transactions"
    assert f"balance {differs}; see the 7 rejected transactions below" in shown
    titled = shown.index("rejected transactions of the visit")
    assert [line.split(" ", 1)[1] for line in shown[titled + 1 :]] == [
        "file line status reason: row",
        r"Transaction_20211201_223133 3 open invalid_amount Amount: 101\t10\t1\tx",
        r"Transaction_20211201_223133 5 open missing_reference ProcedureId: 102\t10\t10\t1",
        r"Transaction_20211201_223133 6 dismissed invalid_amount Amount (made up): 103\t10\t1\ty",
        r"Transaction_20211201_223133 8 open malformed: 105\t10\tx",
        r"Transaction_20211201_223133 9 open malformed: x\t10\t1",
        'Transaction_20211202_223133 2 open invalid_amount Amount: y;10;"10";1;106;',
        "Transaction_20211202_223133 5 open invalid_amount Amount: y;;010;1;108;",
    ]
    assert visitpay("explain", "procedure", "1", "--json").document["rejected_transactions"] == []


def test_more_rejected_transactions_than_a_screen_takes(feed: Feed, visitpay: Visitpay) -> None:
    """The oldest are shown, and how many more there are; also of a visit that never came."""
    feed.deliver(Transaction, *(f"{key}\t12\t1\t1" for key in range(23)))
    visitpay("load")
    outcome = visitpay("explain", "visit", "12")
    assert outcome.status == 0
    shown = plain(outcome.out)
    assert (shown[0], shown[-1]) == ("not in its table", "and 3 more")
    assert shown[-2].endswith(r"missing_reference VisitIdentifier: 19\t12\t1\t1")


def test_balance_of_a_visit(feed: Feed, visitpay: Visitpay) -> None:
    """A transaction says whose balance it is, and where to look on if that differs."""
    deliver_parents(feed)
    feed.deliver(
        Transaction,
        row(transaction_identifier=100, amount=5),
        row(transaction_identifier=101, visit_identifier=11, amount=5),
    )
    visitpay("load")
    differs = "20.50 differs from 5.00, the sum of 1 transaction"
    for what, fact in {
        "transaction 100": f"its visit's balance {differs}; see: visitpay explain visit 10",
        "transaction 101": "its visit's balance 5.00 is 5.00, the sum of 1 transaction",
        "visit 10": f"balance {differs}; no rejected row of it is known: ask the hospital",
        "visit 11": "balance 5.00 is 5.00, the sum of 1 transaction",
    }.items():
        assert fact in plain(visitpay("explain", *what.split()).out)


@pytest.mark.parametrize(
    ("times", "more"),
    [
        (5, []),
        (6, ["and 1 earlier one"]),
        (19, ["and 14 earlier ones"]),
        (22, ["and at least 15 earlier ones"]),
    ],
)
@only_sqlite
def test_deliveries_on_one_screen(
    feed: Feed, visitpay: Visitpay, times: int, more: list[str]
) -> None:
    """The newest five are shown, and how many there were before; JSON has twenty."""
    days = [f"202112{day:02d}_223357" for day in range(1, times + 1)]
    for day in days:
        feed.deliver(Procedure, at=day)
    visitpay("load")
    shown = plain(visitpay("explain", "procedure", "1").out)
    listed = [line for line in shown if line.startswith("Procedure_2021")]
    assert [line.split()[0] for line in listed] == [f"Procedure_{day}" for day in days[:-6:-1]]
    assert [line for line in shown if line.startswith("and ")] == more
    document = visitpay("explain", "procedure", "1", "--json").document
    assert len(document["deliveries"]) == min(times, 20)


@only_sqlite
def test_explain_on_a_terminal(feed: Feed) -> None:
    """All of it fits into 80 columns, also the longest words there are."""
    key = 2**62
    visit = f"{key}\t7\t1/2/2021\t\t123456789012.00\t"
    feed.deliver(Visit, visit + "\tx", visit)
    feed.deliver(Transaction, *[f"{key}\t{key}\t1\tx"] * 30)
    start(feed, ["load"]).communicate()
    feed.execute("UPDATE rejected_rows SET id = id + 1000000, line_number = line_number + 1000000")
    for what, file in (("visit", "Visit_20211201_223005"), ("transaction", "Transaction_2021")):
        _, lines = on_terminal(feed, 80, "explain", what, str(key))
        assert max(map(len, lines)) <= 80
        assert file in " ".join(lines)
        assert "1000002" in " ".join(lines)
