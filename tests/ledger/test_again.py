"""Consumed files that are taken again: the same deliveries, read by the program of now."""

from tests.support.command import Visitpay
from tests.support.feed import Feed, row
from visitpay.models import Procedure, Transaction, Visit

DAY_1, DAY_2, DAY_3 = "20211201_223357", "20211202_223357", "20211203_223357"


def test_it_is_the_same_delivery(feed: Feed, visitpay: Visitpay) -> None:
    """Tables, open rejects and findings are as before, and no word is lost about repetition."""
    feed.deliver(Procedure, row(procedure_id=1), row(procedure_id="x"), at=DAY_1)
    visit = feed.deliver(Visit, row(visit_identifier=1), "x\ty", at=DAY_1)
    feed.deliver(Visit, row(visit_identifier=1, visit_balance="3.00"), at=DAY_2)
    orphan = feed.deliver(Transaction, row(visit_identifier=9), at=DAY_1)
    visitpay("load")
    before = feed.tables(), feed.rejects("open"), visitpay("status", "--json").document["findings"]
    outcome = visitpay("load", "--again", visit.name, "--again", orphan.name, "--json")
    assert outcome.document["files_again"] == [visit.name, orphan.name]
    ends = ("inserted", "updated", "unchanged", "stale", "rejected")
    assert [[file[end] for end in ends] for file in outcome.document["files"]] == [
        [0, 0, 0, 1, 1],
        [0, 0, 0, 0, 1],
    ]
    after = feed.tables(), feed.rejects("open"), visitpay("status", "--json").document["findings"]
    assert after == before
    assert "content" not in outcome.err, outcome.err
