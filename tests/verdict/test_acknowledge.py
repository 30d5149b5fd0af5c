import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.command import Visitpay
from tests.support.feed import Feed, only_sqlite, row
from visitpay.models import Procedure, Visit


def deliver_rejects(feed: Feed, number: int, at: str = "") -> None:
    """Deliver visits of which so many have no date, and one no guarantor."""
    bad = [row(visit_identifier=key, admit_date="soon") for key in range(number)]
    odd = row(visit_identifier=99, guarantor_identifier="")
    feed.deliver(Visit, *bad, odd, row(insurance_identifier=len(at) + number), at=at)


def needing(visitpay: Visitpay) -> list[str]:
    """Return what needs a person, by kind and subject."""
    problems = visitpay("status", "--json", "--ignore", "visit_without_transactions").document
    return [
        f"{each['kind']} {each['subject']}"
        for each in problems["verdict"]["problems"]
        if not each["acknowledged"]
    ]


DATES, GUARANTORS = "rows_rejected Visit invalid_date", "rows_rejected Visit missing_value"


def test_until_it_gets_worse(feed: Feed, visitpay: Visitpay) -> None:
    """What is acknowledged needs no person, also not by the exit status, until it gets worse."""
    deliver_rejects(feed, 2)
    assert visitpay("load").status == 1
    assert needing(visitpay) == [DATES, GUARANTORS]
    assert visitpay("load").status == 0  # nothing new; but it is not forgotten
    arguments = ("acknowledge", "rows_rejected", "--why", "they know")
    document = visitpay(*arguments, "--reason", "invalid_date", "--json").document
    assert [each["subject"] for each in document["chosen"]] == ["Visit invalid_date"]
    assert needing(visitpay) == [GUARANTORS]
    visitpay(*arguments, "--entity", "visit")
    assert needing(visitpay) == []
    first = visitpay("status", "--ignore", "visit_without_transactions").out.splitlines()[0]
    assert first.startswith(
        "all is well: loaded up to 2021-12-01 22:30 UTC, 3 rejects are open; acknowledged"
    )
    deliver_rejects(feed, 2, at="20211202_223005")  # the same bad rows once more
    assert visitpay("load").status == 0
    assert needing(visitpay) == []
    deliver_rejects(feed, 3, at="20211203_223005")
    assert visitpay("load").status == 1
    assert needing(visitpay) == [DATES]


@only_sqlite
def test_over_and_again(feed: Feed, visitpay: Visitpay) -> None:
    """What was over and begins again needs a person again; so does what is taken back."""
    path = feed.deliver_bytes(Procedure, b"")
    visitpay("load")
    assert visitpay("acknowledge", "file_failed", path.stem[-25:], "--why", "x").status == 0
    assert (needing(visitpay), visitpay("load").status) == ([], 0)
    feed.deliver(Procedure)
    visitpay("load")
    feed.deliver_bytes(Procedure, b"")
    assert visitpay("load").status == 1
    assert needing(visitpay) == [f"file_failed {path.name}"]
    visitpay("acknowledge", "file_failed", "--why", "x")
    assert needing(visitpay) == []
    assert visitpay("acknowledge", "file_failed", "--undo").out == "taken back: 1 problem\n"
    assert needing(visitpay) == [f"file_failed {path.name}"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["file_failed", "--why", "x"], "no such problem; of the kind file_failed there are: none"),
        (["rows_rejected", "nothing", "--why", "x"], "there are: Visit invalid_date"),
        (["rows_rejected"], "say why"),
        (["nonsense", "--why", "x"], "'nonsense' is none of run_failed"),
        (["file_failed", "--reason", "malformed", "--why", "x"], "give them with rows_rejected"),
    ],
)
@only_sqlite
def test_nothing_to_acknowledge(
    feed: Feed, visitpay: Visitpay, arguments: list[str], message: str
) -> None:
    """It says what there is, and acknowledges nothing."""
    deliver_rejects(feed, 1)
    visitpay("load")
    outcome = visitpay("acknowledge", *arguments)
    assert (outcome.status, message in " ".join(outcome.err.split())) == (2, True), outcome.err
    assert len(needing(visitpay)) == 2


@only_sqlite
def test_who_and_why(feed: Feed, visitpay: Visitpay) -> None:
    """Status says who acknowledged what, when and why; nothing of a row is in it."""
    deliver_rejects(feed, 1)
    visitpay("load")
    visitpay("acknowledge", "rows_rejected", "--why", "ticket 12")
    problems = visitpay("status", "--json").document["verdict"]["problems"]
    words = [each["acknowledged"] for each in problems if each["kind"] == "rows_rejected"]
    made_at = datetime.fromisoformat(words[0]["made_at"])
    assert datetime.now(UTC) - made_at < timedelta(minutes=5)
    assert [(word["why"], bool(word["who"])) for word in words] == [("ticket 12", True)] * 2
    assert "soon" not in str(problems)
    assert "ticket 12" in visitpay("status", "--problems").out


def set_back(feed: Feed, days: int) -> None:
    """Let the last run have been so many days ago."""
    moment = f"{datetime.now(UTC) - timedelta(days=days):%Y-%m-%d %H:%M:%S}"
    newest = "WHERE id = (SELECT max(id) FROM load_runs)"
    feed.execute(f"UPDATE load_runs SET started_at = '{moment}', finished_at = '{moment}' {newest}")


@only_sqlite
def test_a_late_load_is_not_forgotten(feed: Feed, visitpay: Visitpay) -> None:
    """It needs a person again after a week, and when the next one is late."""
    feed.deliver(Procedure)
    visitpay("load")
    set_back(feed, 3)
    assert needing(visitpay) == ["run_late "]
    visitpay("acknowledge", "run_late", "--why", "holidays")
    assert needing(visitpay) == []
    set_back(feed, 9)
    assert needing(visitpay) == ["run_late "]
    visitpay("acknowledge", "run_late", "--why", "holidays")
    visitpay("load")
    assert needing(visitpay) == []
    set_back(feed, 3)
    assert needing(visitpay) == ["run_late "]


@only_sqlite
def test_another_failure(feed: Feed, visitpay: Visitpay) -> None:
    """A file that comes again and fails again needs a person, and so does another refusal."""
    feed.deliver_bytes(Procedure, b"")
    visitpay("load")
    visitpay("acknowledge", "file_failed", "--why", "they know")
    feed.deliver_bytes(Procedure, b"<html>")
    assert visitpay("load").status == 1
    assert needing(visitpay) == ["file_failed HospitalABC_VisitPay_Procedure_20211201_223357.txt"]
    outcome = visitpay("acknowledge", "file_failed", "Procedure_20211201_223357", "x", "--why", "y")
    assert (outcome.status, len(needing(visitpay))) == (2, 1)


@only_sqlite
def test_fewer_then_more(feed: Feed, visitpay: Visitpay) -> None:
    """What is acknowledged shrinks with what is open: what comes then needs a person."""
    deliver_rejects(feed, 3)
    visitpay("load")
    visitpay("acknowledge", "rows_rejected", "--why", "they know")
    visitpay("rejects", "dismiss", "--reason", "invalid_date", "--why", "test patients")
    bad = [row(visit_identifier=50 + key, admit_date="soon") for key in range(2)]
    feed.deliver(Visit, *bad, row(), at="20211202_223005")
    assert visitpay("load").status == 1
    assert needing(visitpay) == [DATES]


@only_sqlite
def test_a_run_that_died(feed: Feed, visitpay: Visitpay) -> None:
    """It can be acknowledged, though who does holds the lock; the reason cannot harm a terminal."""
    visitpay("load")
    feed.execute("UPDATE load_runs SET status = 'running', finished_at = NULL")
    why = "\x1b[31mpower\nall is well"
    assert visitpay("acknowledge", "run_died", "--why", why).status == 0
    (problem,) = visitpay("status", "--json").document["verdict"]["problems"]
    assert problem["acknowledged"]["why"] == r"\x1b[31mpower\nall is well"


@only_sqlite
def test_idle_loads_record_nothing_more(feed: Feed, visitpay: Visitpay) -> None:
    """Also with a check that is ignored, which stays on record as it was."""
    feed.deliver(Visit)
    visitpay("load")
    for _ in range(3):
        visitpay("load", "--ignore", "visit_without_transactions")
    with closing(sqlite3.connect(feed.database)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM problems")]
    assert names == ["visit_without_transactions"]


@only_sqlite
def test_a_load_that_does_not_look(feed: Feed, visitpay: Visitpay) -> None:
    """A load that does not make a check ends nothing that was acknowledged of it."""
    feed.deliver(Visit)
    visitpay("load")
    visitpay("acknowledge", "visit_without_transactions", "--why", "their file comes on Monday")
    feed.deliver(Procedure)
    visitpay("load", "--ignore", "visit_without_transactions")
    document = visitpay("status", "--json", "--ignore", "type_missing").document
    assert (document["status"], len(document["findings"])) == ("ok", 1)


def test_tolerated(feed: Feed, visitpay: Visitpay) -> None:
    """Rejects within what a run is to tolerate need no person, whatever else it met."""
    deliver_rejects(feed, 2)
    feed.deliver_bytes(Procedure, b"")
    assert visitpay("load", "--max-rejects", "3").status == 1
    assert [each.partition(" ")[0] for each in needing(visitpay)] == ["file_failed"]
    assert visitpay("status", "--json").document["rejects_open"] == 3
