"""The questions of docs/operating.md: each takes one command, and its answer fits one screen."""

import re
import sqlite3
from contextlib import closing
from decimal import Decimal

import pytest

from tests.support.command import Visitpay, on_terminal
from tests.support.databases import ROOT
from tests.support.feed import Feed, only_sqlite, row
from visitpay.models import Procedure, Transaction, Visit

COLUMNS, LINES = 80, 24

PAGE = (ROOT / "docs" / "operating.md").read_text()

PLACES = re.compile(r"( --landing)? /\S+/landing| --database-url \S+")

QUESTIONS = {
    "Is everything fine?": ("status", "needs a person: 1 file failed, 12 rejects open"),
    "Which file failed, and why?": ("files --status failed", "is empty; its first line must name"),
    "Why is transaction X not there?": (
        "explain transaction 3",
        "missing_value in VisitIdentifier",
    ),
    "How much money is in quarantine, for which visits?": ("rejects list --sum", "in all"),
    "What did last night's run do?": ("runs last", "Procedure_20211203_223357"),
    "What is new since yesterday?": ("status", "new: "),
    "Send the hospital its errors.": ("rejects export out --response", "Response_"),
    "When does the disk run out?": ("doctor", "free"),
}


@pytest.fixture
def bad_day(feed: Feed, visitpay: Visitpay) -> Feed:
    """Return a feed after a bad day: an empty file, and rejects for many reasons."""
    feed.deliver(Procedure)
    feed.deliver(Visit, row(visit_identifier=10), row(visit_identifier=11, admit_date="soon"))
    feed.deliver(
        Transaction,
        *(row(transaction_identifier=key, amount="1.10") for key in (1, 2)),
        row(transaction_identifier=3, visit_identifier="", amount="0.35"),
        *(
            row(transaction_identifier=key, visit_identifier=99, amount="0.1")
            for key in range(4, 8)
        ),
        *(row(transaction_identifier=key, amount="1e3") for key in range(8, 11)),
        "11",
        row(transaction_identifier="x", amount="0.29"),
        row(transaction_identifier=12, procedure_id="x", amount="-20"),
    )
    feed.deliver_bytes(Procedure, b"", at="20211203_223357")
    visitpay("load")
    return feed


@only_sqlite
def test_one_command_and_one_screen(bad_day: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page asks these questions, and each command answers on a terminal of 80 by 24."""
    monkeypatch.chdir(bad_day.landing.parent)
    for question, (command, answer) in QUESTIONS.items():
        assert f"**{question}**" in PAGE
        assert command.split()[0] in PAGE
        _, lines = on_terminal(bad_day, COLUMNS, *command.split())
        # With a file of settings in /etc, commands name neither.
        shown = [PLACES.sub("", each) for each in lines]
        rows = sum(max(1, -(-len(each) // COLUMNS)) for each in shown)
        assert rows < LINES, (question, lines)
        assert answer in " ".join(" ".join(lines).split()), (question, lines)


@only_sqlite
def test_the_money_in_quarantine(bad_day: Feed, visitpay: Visitpay) -> None:
    """The sum is what a plain reading of the rows gives, to the cent."""
    with closing(sqlite3.connect(bad_day.database)) as connection:
        raws = connection.execute(
            "SELECT raw FROM rejected_rows WHERE entity = 'Transaction' AND status = 'open'"
        ).fetchall()
    amounts = [raw.split("\t")[3] for (raw,) in raws if raw.count("\t") == 3]
    readable = [Decimal(amount) for amount in amounts if amount != "1e3"]
    by_type = visitpay("rejects", "list", "--sum", "--json").document["by_type"]
    (total,) = (each for each in by_type if each["entity"] == "Transaction")
    assert Decimal(total["amount"]) == sum(readable)
    assert sum(readable) == Decimal("0.35") + 4 * Decimal("0.1") + Decimal("0.29") - 20
    assert (total["rows"], total["unreadable"]) == (11, 4)
