"""Consumed files that are taken again: the same deliveries, read by the program of now."""

import shutil
import signal
from pathlib import Path

import pytest
from sqlalchemy import func, select

from tests.robustness.promise import check_books
from tests.support.command import Visitpay, start
from tests.support.feed import Feed, line, only_sqlite, row
from visitpay.database.engine import read_connection
from visitpay.models import LoadFile, LoadRun, Procedure, RejectedRow, Transaction, Visit

DAY_1, DAY_2, DAY_3 = "20211201_223357", "20211202_223357", "20211203_223357"


def state(feed: Feed, visitpay: Visitpay) -> tuple[object, object, list[dict[str, str]]]:
    """Return what must be the same: tables, open rejects and findings."""
    found = visitpay("status", "--json").document["findings"]
    return feed.tables(), feed.rejects("open"), found


def deliver_all(feed: Feed) -> list[str]:
    """Deliver files with stale, conflicting, bad and waiting rows, and one content twice."""
    feed.deliver(Procedure, row(procedure_id=1), row(procedure_id="x"), "x", at=DAY_1)
    feed.deliver(Procedure, row(procedure_id=1), row(procedure_id="x"), "x", at=DAY_2)
    feed.deliver(
        Visit,
        *(row(visit_identifier=1), row(visit_identifier=1, visit_balance="2.00"), "x\ty"),
        *(row(visit_identifier=2, admit_date="bad"), row(visit_identifier=3)),
        at=DAY_1,
    )
    feed.deliver(Visit, row(visit_identifier=3, visit_balance="3.00"), "x\ty", at=DAY_2)
    feed.deliver(
        Transaction,
        *(row(transaction_identifier=1, visit_identifier=1), row(amount="1")),
        *(row(transaction_identifier=2, visit_identifier=9), row(amount="bad")),
        at=DAY_1,
    )
    return feed.names()


def exported(visitpay: Visitpay, directory: Path, *options: str) -> Path:
    """Export rejects of one type; give the file."""
    (path,) = visitpay("rejects", "export", directory, *options, "--json").document["written"]
    return Path(path["path"])


def test_it_is_the_same_delivery(feed: Feed, visitpay: Visitpay) -> None:
    """Tables, open rejects and findings are as before, and nothing is told of repetition."""
    names = deliver_all(feed)
    visitpay("load")
    before = state(feed, visitpay)
    outcome = visitpay("load", *(f"--again={name}" for name in names), "--json")
    assert outcome.document["files_again"] == names
    assert state(feed, visitpay) == before
    ends = ("inserted", "updated")
    assert {file[end] for file in outcome.document["files"] for end in ends} == {0}
    for words in ("same content", "other content", "not in it"):
        assert words not in outcome.err
    assert "taken again, 5 rows: " in outcome.err
    check_books(feed)


def test_a_column_that_was_not_known(feed: Feed, visitpay: Visitpay) -> None:
    """A value that an older program left out is there afterwards, unless a newer file says more."""
    first = feed.deliver(
        Visit,
        *(row(visit_identifier=each, visit_balance=f"{each}.00") for each in (1, 2)),
        at=DAY_1,
    )
    feed.deliver(Visit, visit_identifier=2, visit_balance="5.00", at=DAY_2)
    visitpay("load")
    expected = feed.tables()
    feed.execute("UPDATE visits SET visit_balance = NULL")
    visitpay("load", "--again", first.name)
    assert feed.column(Visit, "visit_balance")[1] is None
    document = visitpay("load", "--again-since", "2021-12-01", "--json").document
    assert [file["updated"] for file in document["files"]] == [0, 1]
    assert feed.tables() == expected


def test_what_people_did_about_rejects_stays(
    feed: Feed, visitpay: Visitpay, tmp_path: Path
) -> None:
    """Dismissed ones stay dismissed, once; mended ones stay closed; resolved ones stay loaded."""
    feed.deliver(Procedure, at=DAY_1)
    path = feed.deliver(
        Transaction,
        "dismissed\t1",
        "mended\t1",
        row(transaction_identifier=5, visit_identifier=9),
        row(transaction_identifier=6, amount="bad", visit_identifier=9),
        at=DAY_1,
    )
    visitpay("load")
    dismissed, *_ = visitpay("rejects", "list", "--json").document["rejects"]
    visitpay("rejects", "dismiss", dismissed["id"], "--why", "a test patient")
    export = exported(visitpay, tmp_path, "--reason", "malformed")
    mended = line(Transaction, transaction_identifier=7, visit_identifier=9)
    text = export.read_text().replace("mended\t1", mended)
    (feed.landing / export.name).write_text(text)
    feed.deliver(Visit, visit_identifier=9, at=DAY_1)
    visitpay("load")
    before = state(feed, visitpay)
    assert [row[1] for row in feed.rejects("open")] == [5]
    list_dismissed = ("rejects", "list", "--status", "dismissed", "--json")
    (ended,) = visitpay(*list_dismissed).document["rejects"]
    for _ in range(2):
        visitpay("load", "--again", path.name)
        assert state(feed, visitpay) == before
        (again,) = visitpay(*list_dismissed).document["rejects"]
        for name in ("file", "line", "reason", "why", "closed_at"):
            assert again[name] == ended[name]
        assert again["id"] > ended["id"]
    assert visitpay("load", "--again", export.name).status == 0
    assert state(feed, visitpay) == before
    check_books(feed)


def test_exports_taken_again(feed: Feed, visitpay: Visitpay, tmp_path: Path) -> None:
    """What was mended in vain is not open twice, and one that waits still waits once."""
    feed.deliver(Procedure, at=DAY_1)
    other = row(transaction_identifier=101, amount="worse")
    feed.deliver(Transaction, row(amount="bad"), other, "x", at=DAY_1)
    visitpay("load")
    export = exported(visitpay, tmp_path)
    text = export.read_text().replace("\tbad", "\t2.00").replace("worse", "worst")
    (feed.landing / export.name).write_text(text)
    visitpay("load")
    before = state(feed, visitpay)
    assert len(feed.rejects("open")) == 3
    visitpay("load", "--again-since", "2021-12-01")
    assert state(feed, visitpay) == before
    feed.deliver(Visit, visit_identifier=10, at=DAY_1)
    visitpay("load", "--again", export.name)
    assert len(feed.keys(Transaction)) == 1
    check_books(feed)


def test_an_export_made_before(feed: Feed, visitpay: Visitpay, tmp_path: Path) -> None:
    """It closes what took the place of the rejects that it was made of."""
    feed.deliver(Procedure, at=DAY_1)
    path = feed.deliver(Transaction, "x\t1", row(transaction_identifier=2), at=DAY_1)
    visitpay("load")
    export = exported(visitpay, tmp_path)
    for _ in range(2):
        visitpay("load", "--again", path.name)
    assert len(feed.rejects("open")) == 2
    mended = line(Transaction, transaction_identifier=1)
    (feed.landing / export.name).write_text(export.read_text().replace("x\t1", mended))
    visitpay("load")
    waiting = [(each[0], each[3]) for each in feed.rejects("open")]
    assert waiting == [(export.name, "missing_reference")] * 2
    second = exported(visitpay, tmp_path / "second")
    visitpay("load", "--again", export.name)
    feed.deliver(Visit, at=DAY_1, visit_identifier=8)
    text = second.read_text().replace(mended, line(Transaction, visit_identifier=8))
    (feed.landing / second.name).write_text(text)
    visitpay("load")
    assert [each[2] for each in feed.rejects("open")] == [2]
    check_books(feed)


def test_a_name_that_cannot_be_taken_again(feed: Feed, visitpay: Visitpay) -> None:
    """Not there, or never loaded: exit status 2, and nothing is done; one that failed is tried."""
    new = feed.deliver(Procedure, at=DAY_1)
    failed = feed.deliver_lines(Visit, at=DAY_1, header="nonsense")
    outcome = visitpay("load", "--again", new.name)
    assert outcome.status == 2
    assert outcome.said.splitlines()[-1] == (
        f"visitpay: never loaded before: {new.name}; leave out --again"
    )
    outcome = visitpay("load", "--again", "Visit_20211209_223357")
    assert outcome.status == 2
    assert "not in the landing directory: Visit_20211209_223357" in outcome.err
    with read_connection(feed.url) as connection:
        assert connection.scalar(select(func.count()).select_from(LoadRun)) == 0
    visitpay("load")
    document = visitpay("load", "--again", failed.name, "--json").document
    assert [file["status"] for file in document["files"]] == ["failed"]
    assert document["files_again"] == []


def test_since(feed: Feed, visitpay: Visitpay) -> None:
    """By the time in the name, among the new ones; those that are gone are counted."""
    gone, old = (feed.deliver(Procedure, procedure_id=d, at=f"2021120{d}_223357") for d in (3, 1))
    again = feed.deliver(Procedure, procedure_id=2, at=DAY_2)
    visitpay("load")
    gone.unlink()
    new = feed.deliver(Procedure, procedure_id=4, at="20211202_120000")
    outcome = visitpay("load", "--again-since", "2021-12-02T22:33:57Z", "--json")
    names = [file["name"] for file in outcome.document["files"]]
    assert (names, outcome.document["files_again"]) == ([new.name, again.name], [again.name])
    assert old.exists()
    assert (
        "1 file of that time was loaded before and cannot be taken again:"
        " no longer in the landing directory"
    ) in outcome.err
    named = visitpay("load", "--since", "2021-12-03", "--again", "Procedure_20211201_223357")
    assert "Procedure_20211201_223357" in named.err


def test_other_content_is_a_redelivery(feed: Feed, visitpay: Visitpay) -> None:
    """It is told as ever, and not said to be taken again."""
    path = feed.deliver(Procedure, row(procedure_id=1), row(procedure_id=2), at=DAY_1)
    visitpay("load")
    feed.deliver(Procedure, procedure_id=1, at=DAY_1)
    outcome = visitpay("load", "--again", path.name, "--json")
    assert outcome.document["files_again"] == []
    assert "was loaded before with other content" in outcome.err
    assert "1 row of its former delivery is not in it" in outcome.err
    before = state(feed, visitpay)
    assert [each["check"] for each in before[2]] == ["rows_withdrawn"]
    visitpay("load", "--again", path.name)
    assert state(feed, visitpay) == before


def test_a_dry_run_and_a_file_put_back_just_now(feed: Feed, visitpay: Visitpay) -> None:
    """A dry run keeps nothing; a copy from the archive need not settle: its content is known."""
    path = feed.deliver(Visit, visit_balance="1.00", at=DAY_1)
    visitpay("load")
    feed.execute("UPDATE visits SET visit_balance = NULL")
    archived = feed.landing.parent / "archived"
    shutil.move(path, archived)
    shutil.copy(archived, path)
    before = feed.dump()
    document = visitpay("load", "--again", path.name, "--dry-run", "--json").document
    assert ([file["updated"] for file in document["files"]], feed.dump()) == ([1], before)
    document = visitpay("load", "--again", path.name, "--settle", "600", "--json").document
    assert ([file["updated"] for file in document["files"]], document["files_waiting"]) == ([1], [])


def test_one_that_cannot_be_loaded_any_more(feed: Feed, visitpay: Visitpay) -> None:
    """Its delivery stays as it is: nothing is failed or open afterwards that was not before."""
    path = feed.deliver(Procedure, row(procedure_id=1), row(procedure_id="x"), at=DAY_1)
    visitpay("load", "--approve", path.name, "--hold-above", "10")
    before = feed.tables(), feed.rejects(), visitpay("status", "--json").document["files_failed"]
    outcome = visitpay("load", "--again", path.name, "--hold-above", "10", "--json")
    assert (outcome.status, outcome.document["files"][0]["status"]) == (1, "held")
    after = feed.tables(), feed.rejects(), visitpay("status", "--json").document["files_failed"]
    assert after == before
    again = visitpay("load", "--again", path.name, "--hold-above", "10", "--approve", path.name)
    assert "held" not in again.err.replace("0 held", "")


def test_one_of_long_ago_is_not_called_late(feed: Feed, visitpay: Visitpay) -> None:
    """Nor a copy of what it was first: findings go by when a content came first."""
    old = feed.deliver(Visit, at="20210101_223357")
    feed.deliver(Visit, row(visit_balance="1.00"), at=DAY_1)
    visitpay("load")
    shutil.copy(old, feed.path(Visit, DAY_2))
    visitpay("load")
    before = state(feed, visitpay)
    assert [(each["check"], each["subject"]) for each in before[2]][:1] == [
        ("content_repeated", feed.path(Visit, DAY_2).name)
    ]
    visitpay("load", "--again", old.name)
    assert state(feed, visitpay) == before


@only_sqlite
@pytest.mark.parametrize("lines", [1, 3, 5])
def test_a_killed_one_is_repeated(feed: Feed, visitpay: Visitpay, lines: int) -> None:
    """A file is taken again whole or not at all, and the same command then does the rest."""
    deliver_all(feed)
    visitpay("load")
    feed.execute("UPDATE visits SET visit_balance = NULL WHERE visit_identifier = 1")
    command = ["load", "-v", "--again-since", "2021-12-01"]
    with start(feed, command) as process:
        assert process.stderr is not None
        for _ in range(lines):
            process.stderr.readline()
        process.kill()
    assert process.returncode in {-signal.SIGKILL, 0, 1}
    check_books(feed)
    visitpay(*command)
    assert [str(each) for each in feed.column(Visit, "visit_balance")] == ["2.00", "3.00"]
    with read_connection(feed.url) as connection:
        newest = select(func.max(LoadFile.id)).group_by(LoadFile.name)
        opened = select(RejectedRow.file_id).where(RejectedRow.status == "open")
        assert set(connection.scalars(opened)) <= set(connection.scalars(newest))
