"""What is known of one identifier, on one screen."""

import pytest

from tests.support.command import Visitpay, on_terminal, start
from tests.support.feed import Feed, header_line, line, only_sqlite, row
from visitpay.models import Procedure, Transaction, Visit

TRANSACTIONS = "HospitalABC_VisitPay_Transaction_2021120{}_223133.txt"


def deliver_parents(feed: Feed) -> None:
    """Deliver two visits and a procedure."""
    feed.deliver(Procedure)
    feed.deliver(Visit, row(visit_balance="20.50"), row(visit_identifier=11, visit_balance=5))


def turned(line_of_tabs: str, note: str) -> str:
    """Write a line from its end to its start, with a note after its first cell."""
    first, *others = reversed(line_of_tabs.split("\t"))
    return ";".join([first, note, *others, ""])


def in_other_order(note: str, **cells: object) -> str:
    """Write a transaction of such a file."""
    return turned(line(Transaction, **cells), note)


def plain(text: str) -> list[str]:
    """Return the lines of what is shown."""
    return [" ".join(each.split()) for each in text.splitlines()]


def test_rejected_transactions_of_a_visit(feed: Feed, visitpay: Visitpay) -> None:
    """A visit is shown with the transactions that its balance lacks, and with no others."""
    deliver_parents(feed)
    feed.deliver(
        Transaction,
        row(transaction_identifier=100, amount=5),
        row(transaction_identifier=101, amount="x"),
        row(transaction_identifier=10, visit_identifier=11, amount="x"),
        row(transaction_identifier=102, procedure_id=10, amount=1),
        row(transaction_identifier=103, amount="y"),
        row(transaction_identifier=104, amount="z"),
        "105\t10\tx",
        "x\t10\t1",
        "10\tx\t10",
    )
    feed.deliver_lines(
        Transaction,
        in_other_order("10", transaction_identifier=106, visit_identifier='"10"', amount="y"),
        in_other_order("10", transaction_identifier=107, visit_identifier=11, amount="y"),
        in_other_order("", transaction_identifier=104, visit_identifier=10, amount=5),
        in_other_order("", transaction_identifier=108, visit_identifier="010", amount="y"),
        in_other_order("", transaction_identifier=109, visit_identifier=110, amount="y"),
        at="20211202_223133",
        header=turned(header_line(Transaction), "Note"),
    )
    too_long = "x" * 2_000_000
    feed.deliver(Transaction, at="20211203_223133", transaction_identifier=110, amount=too_long)
    visitpay("load")
    rejects = visitpay("rejects", "list", "--raw", "--json").document["rejects"]
    dismissed = next(each["id"] for each in rejects if each["key"] == 103)
    visitpay("rejects", "dismiss", dismissed, "--why", "made up")
    document = visitpay("explain", "visit", "10", "--json").document
    assert [
        (each["file"], each["line"], each["status"]) for each in document["rejected_transactions"]
    ] == [
        (TRANSACTIONS.format(3), 2, "open"),
        (TRANSACTIONS.format(2), 2, "open"),
        (TRANSACTIONS.format(2), 5, "open"),
        (TRANSACTIONS.format(1), 3, "open"),
        (TRANSACTIONS.format(1), 5, "open"),
        (TRANSACTIONS.format(1), 6, "dismissed"),
        (TRANSACTIONS.format(1), 8, "open"),
        (TRANSACTIONS.format(1), 9, "open"),
    ]
    assert document["rejected_transactions_total"] == 8
    shown = plain(visitpay("explain", "visit", "10").out)
    differs = "20.50 differs from 10.00, the sum of 2 transactions"
    assert f"balance {differs}; see the 8 rejected transactions below" in shown
    titled = shown.index("rejected transactions of the visit")
    one = shown_line(transaction_identifier=101, amount="x")
    two = shown_line(transaction_identifier=102, procedure_id=10, amount=1)
    three = shown_line(transaction_identifier=103, amount="y")
    quoted = in_other_order("10", transaction_identifier=106, visit_identifier='"10"', amount="y")
    zero = in_other_order("", transaction_identifier=108, visit_identifier="010", amount="y")
    assert shown[titled + 1] == "id file delivery line status reason: row"
    assert shown[titled + 2].endswith("x" * 900)
    assert [each.split(" ", 1)[1] for each in shown[titled + 3 :]] == [
        f"Transaction_20211202_223133 4 2 open invalid_amount Amount: {quoted}",
        f"Transaction_20211202_223133 4 5 open invalid_amount Amount: {zero}",
        f"Transaction_20211201_223133 3 3 open invalid_amount Amount: {one}",
        f"Transaction_20211201_223133 3 5 open missing_reference ProcedureId: {two}",
        f"Transaction_20211201_223133 3 6 dismissed invalid_amount Amount (made up): {three}",
        r"Transaction_20211201_223133 3 8 open malformed: 105\t10\tx",
        r"Transaction_20211201_223133 3 9 open malformed: x\t10\t1",
    ]
    assert visitpay("explain", "procedure", "1", "--json").document["rejected_transactions"] == []


def shown_line(**cells: object) -> str:
    """Return a transaction's line as it is shown."""
    return line(Transaction, **cells).replace("\t", r"\t")


def test_more_rejected_transactions_than_a_screen_takes(feed: Feed, visitpay: Visitpay) -> None:
    """The newest are shown, and how many more there are; also of a visit that never came."""
    rows = (row(transaction_identifier=key, visit_identifier=12) for key in range(23))
    feed.deliver(Transaction, *rows)
    visitpay("load")
    outcome = visitpay("explain", "visit", "12")
    assert outcome.status == 0
    shown = plain(outcome.out)
    assert (shown[0], shown[-1]) == ("visit 12 is in no table", "and 3 more")
    never = "no file has brought it: none of 0 files of its type that came"
    assert shown[1] == f"{never}, nor one that waits, failed or is held; ask the hospital"
    last = shown_line(transaction_identifier=22, visit_identifier=12)
    assert shown[-2].endswith(f"missing_reference VisitIdentifier: {last}")


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
        "transaction 100": f"its visit's balance {differs}",
        "transaction 101": "its visit's balance 5.00 is 5.00, the sum of 1 transaction",
        "visit 10": f"balance {differs}; no rejected row of it is known: ask the hospital",
        "visit 11": "balance 5.00 is 5.00, the sum of 1 transaction",
    }.items():
        shown = plain(visitpay("explain", *what.split()).out)
        assert fact in shown
        asks = [each for each in shown if each.startswith("visitpay explain visit 10 ")]
        assert len(asks) == (what == "transaction 100")


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
    listed = [each for each in shown if each.startswith("Procedure_2021")]
    assert [each.split()[0] for each in listed] == [f"Procedure_{day}" for day in days[:-6:-1]]
    assert [each for each in shown if each.startswith("and ")] == more
    document = visitpay("explain", "procedure", "1", "--json").document
    assert len(document["deliveries"]) == min(times, 20)


@only_sqlite
def test_explain_on_a_terminal(feed: Feed) -> None:
    """All of it fits into 80 columns, also the longest words there are."""
    key = 2**62
    visit = line(Visit, visit_identifier=key, visit_balance="123456789012.00")
    feed.deliver(Visit, visit + "\tx", visit)
    transaction = row(transaction_identifier=key, visit_identifier=key, amount="x")
    feed.deliver(Transaction, *[transaction] * 30)
    start(feed, ["load"]).communicate()
    feed.execute("UPDATE rejected_rows SET id = id + 1000000, line_number = line_number + 1000000")
    for what, file in (("visit", "Visit_20211201_223005"), ("transaction", "Transaction_2021")):
        _, lines = on_terminal(feed, 80, "explain", what, str(key))
        assert max(len(each) for each in lines if not each.startswith("    visitpay ")) <= 80
        assert file in " ".join(lines)
        assert ("1000031" if what == "transaction" else "1000002") in " ".join(lines)
