"""Books that a newer version of visitpay has written in: after a rollback the old one goes on."""

import sqlite3
from contextlib import closing

import pytest

from tests.support.command import Visitpay
from tests.support.feed import Feed, line, only_sqlite
from visitpay.models import Procedure, Transaction, Visit

pytestmark = only_sqlite

REJECT = """
    INSERT INTO rejected_rows (
        file_id, line_number, entity, record_key, reason, column_name, raw, status, created_at
    )
    SELECT file_id, ?, ?, record_key, ?, column_name, raw, ?, created_at
    FROM rejected_rows WHERE id = 1
"""
FILE = """
    INSERT INTO load_files (
        run_id, name, hospital, entity, file_datetime, size_bytes, version, header,
        is_resubmission, rows_conflicting, rows_withdrawn, status, loaded_at, error, rows_read,
        rows_inserted, rows_updated, rows_unchanged, rows_stale, rows_superseded, rows_rejected
    )
    SELECT run_id, ?, hospital, ?, file_datetime, size_bytes, ?, header,
        is_resubmission, rows_conflicting, rows_withdrawn, ?, loaded_at, error, rows_read,
        rows_inserted, rows_updated, rows_unchanged, rows_stale, rows_superseded, rows_rejected
    FROM load_files WHERE id = 1
"""


def write_as_newer_version(feed: Feed, newer: str) -> None:
    """Write rows with words into every table of the books that this version does not know."""
    with closing(sqlite3.connect(feed.database)) as books, books:
        books.execute(REJECT, (90, "Transaction", "invalid_phone", "open"))
        books.execute(REJECT, (91, "Transaction", "invalid_amount", "parked"))
        version = books.execute("SELECT version FROM load_files WHERE name = ?", (newer,))
        (seen,) = version.fetchone()
        books.execute("UPDATE load_files SET status = 'parked' WHERE name = ?", (newer,))
        assert seen
        payment = "HospitalABC_VisitPay_Payment_20211201_223357.txt"
        (row,) = [books.execute(FILE, (payment, "Payment", "", "loaded")).lastrowid]
        books.execute(REJECT, (92, "Payment", "missing_reference", "open"))
        books.execute("UPDATE rejected_rows SET file_id = ? WHERE line_number = 92", (row,))
        books.execute("UPDATE load_runs SET status = 'paused'")
        books.execute(
            "INSERT INTO problems (name, subject, size, message, opened_at, told_at)"
            " VALUES ('too_hot', 'x', 1, 'x', '2021-12-01', '2021-12-01')"
        )


def test_no_command_falls_over_a_word_that_it_does_not_know(
    feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status, report, lists, exports, alerts and loads show the words as they are."""
    feed.deliver(Procedure)
    feed.deliver(Visit)
    feed.deliver_lines(Transaction, line(Transaction, amount="bad"), line(Transaction))
    failed = feed.deliver_lines(Visit, at="20211202_223357", header="nonsense")
    visitpay("load")
    write_as_newer_version(feed, failed.name)
    page = feed.landing.parent / "page.html"
    (feed.landing.parent / "out").mkdir()
    monkeypatch.setenv("VISITPAY_ALERT_URLS", "json://127.0.0.1:9")
    for command, expected in {
        "status": "2 rejects open",
        "status --json": '"paused"',
        "files": "parked",
        "files --json": "Payment",
        "rejects list": "invalid_phone",
        "rejects list --status all --json": "parked",
        "rejects list --reason invalid_amount": "no rejected rows to show",
        "explain transaction 100": "invalid_phone",
        "explain visit 10 --json": "invalid_phone",
        f"report --output {page}": "",
        f"rejects export {page.parent / 'out'}": "HospitalABC",
        f"rejects export {page.parent} --response": "Response",
        "reconcile": "",
        "load --json": "attention",
        "load --again-since 2021-01-01 --json": "files_again",
        "rejects retry": "resolved 0",
        "doctor": "",
    }.items():
        outcome = visitpay(*command.split())
        assert outcome.status in {0, 1}, (command, outcome)
        assert "unforeseen" not in outcome.err, (command, outcome)
        assert expected in outcome.out, (command, outcome)
    text = page.read_text()
    assert "invalid_phone" in text
    assert "a newer version of visitpay may have recorded it" in text
    assert ">paused<" in text
