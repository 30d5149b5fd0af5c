"""Databases that older versions filled: what a revision makes of the rows in them."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import text

from tests.support.databases import alembic_config, revision_before
from tests.support.feed import Feed, line, only_sqlite
from visitpay.database.engine import make_engine, make_migration_engine
from visitpay.loading.run import load
from visitpay.models import Procedure

BEFORE = revision_before("what a delivery means")
"""Since then amounts, versions and rejects that replace each other are others."""

FILE = (
    "INSERT INTO load_files (id, run_id, name, hospital, entity, file_datetime, sha256, size_bytes,"
    " mtime_ns, header, status, rows_read, rows_inserted, rows_updated, rows_unchanged, rows_stale,"
    " rows_superseded, rows_rejected) VALUES ({}, 1, '{}', 'HospitalABC', 'Visit',"
    " '2021-12-0{} 22:33:57.000000', 'x', 1, 1, '{}', 'loaded', 9, 9, 0, 0, 0, 0, 0)"
)
REJECT = (
    "INSERT INTO rejected_rows (id, file_id, line_number, entity, record_key, reason, raw,"
    " status, created_at) VALUES ({}, {}, {}, 'Visit', {}, '{}', '{}', 'open',"
    " '2021-12-09 00:00:00.000000')"
)
HEADER = "VisitIdentifier\tGuarantorIdentifier\tAdmitDate\tDischargeDate\tVisitBalance"
HEADER += "\tInsuranceIdentifier"
"""As files had it when that revision was the newest."""
MENDED = f'"RejectReason"\tRejectColumn\tRejectFile\tRejectLine\t{HEADER}'


@pytest.fixture
def old(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> Feed:
    """Return a database as the code before left it: one run, no file yet."""
    monkeypatch.setenv("VISITPAY_DATABASE_URL", feed.url)
    command.downgrade(alembic_config(), BEFORE)
    feed.execute(
        "INSERT INTO load_runs (started_at, status, version, host, files_loaded, files_failed,"
        " rejects_resolved, rows_read, rows_inserted, rows_updated, rows_unchanged, rows_stale,"
        " rows_superseded, rows_rejected) VALUES ('2021-12-09 00:00:00.000000', 'ok', '1', 'h',"
        " 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)"
    )
    return feed


def put(feed: Feed, *statements: str) -> None:
    """Put rows into the database, in which a tab is written as such."""
    with make_migration_engine(feed.url).begin() as connection:
        for statement in statements:
            connection.execute(text(statement.replace(":", "\\:")))


@only_sqlite
def test_amounts_are_mended(old: Feed) -> None:
    """Those off by one unit in the last place, and whole dollars, become what was sent."""
    cents = [*range(1000), 10**14 - 1, -(10**14) + 1, 12345678901234, -35, 100_000]
    with closing(sqlite3.connect(old.database)) as connection:
        connection.execute("INSERT INTO procedures VALUES (1, 'cast', 1, 2)")
        rows = [(key, each * (1 / 100.0)) for key, each in enumerate(cents)]
        visits = "INSERT INTO visits VALUES (?, 7, '2021-01-01', NULL, ?, NULL, 1, 2)"
        connection.executemany(visits, rows)
        connection.execute(
            "INSERT INTO visits VALUES (-1, 7, '2021-01-01', NULL, NULL, NULL, 1, 2)"
        )
        transactions = "INSERT INTO transactions VALUES (?, ?, 1, ?, 1, 2)"
        connection.executemany(transactions, [(key, key, amount) for key, amount in rows])
        difference = "INSERT INTO balance_differences VALUES (1, 5, 1, ?, '2021-12-09', NULL)"
        connection.execute(difference, (35 * (1 / 100.0),))
        connection.commit()
    command.upgrade(alembic_config(), "head")
    texts = [f"{'-' * (each < 0)}{abs(each) // 100}.{abs(each) % 100:02}" for each in cents]
    expected = [(float(each), "real") for each in texts]
    with closing(sqlite3.connect(old.database)) as connection:
        for column, table, key in (
            ("amount", "transactions", "transaction_identifier"),
            ("visit_balance", "visits", "visit_identifier"),
        ):
            query = (
                f"SELECT {column}, typeof({column}) FROM {table} WHERE {key} >= 0 ORDER BY {key}"
            )
            assert connection.execute(query).fetchall() == expected
        count = "SELECT count(*), count(visit_balance) FROM visits"
        assert connection.execute(count).fetchone() == (len(cents) + 1, len(cents))
        differences = "SELECT visit_balance, transactions_total FROM balance_differences"
        assert connection.execute(differences).fetchall() == [(1.0, 0.35)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    command.downgrade(alembic_config(), BEFORE)
    with closing(sqlite3.connect(old.database)) as connection:
        found = connection.execute("SELECT amount FROM transactions ORDER BY 1").fetchall()
    assert found == sorted((float(each),) for each in texts)


def statuses(feed: Feed) -> dict[int, tuple[str, int | None]]:
    """Return status and key of each reject by its id."""
    query = text("SELECT id, status, record_key FROM rejected_rows ORDER BY id")
    with make_engine(feed.url).connect() as connection:
        return {row.id: (row.status, row.record_key) for row in connection.execute(query)}


def test_of_rejects_the_newest_stays_open(old: Feed) -> None:
    """Of a key, and of a line without one; what waits for a reference stays, and mended rows do."""
    put(
        old,
        FILE.format(1, "a", 1, HEADER),
        FILE.format(2, "b", 2, HEADER),
        FILE.format(3, "c", 3, MENDED),
        REJECT.format(1, 1, 2, 7, "invalid_date", "7"),
        REJECT.format(2, 2, 2, 7, "invalid_date", "7"),
        REJECT.format(3, 2, 3, 7, "invalid_amount", "7"),
        REJECT.format(4, 1, 3, 8, "missing_reference", "8"),
        REJECT.format(5, 2, 4, 8, "invalid_date", "8"),
        REJECT.format(6, 1, 4, "NULL", "invalid_integer", "x"),
        REJECT.format(7, 2, 5, "NULL", "invalid_integer", "x"),
        REJECT.format(8, 2, 6, "NULL", "invalid_integer", "x"),
        REJECT.format(9, 1, 5, 9, "invalid_date", "9"),
        REJECT.format(10, 3, 2, 9, "invalid_date", "9"),
    )
    command.upgrade(alembic_config(), "head")
    found = statuses(old)
    still = [reject for reject, (status, _) in found.items() if status == "open"]
    assert still == [3, 4, 5, 7, 8, 9, 10]
    with make_engine(old.url).connect() as connection:
        files = connection.execute(
            text("SELECT is_resubmission, version, rows_withdrawn FROM load_files ORDER BY id")
        ).all()
        closed = text("SELECT count(*) FROM rejected_rows WHERE closed_at IS NOT NULL")
        assert connection.scalar(closed) == 3
    assert [tuple(row) for row in files] == [(each, "", 0) for each in (False, False, True)]


def test_of_a_name_that_came_again_the_last_delivery_counts(old: Feed) -> None:
    """What its former deliveries had open is closed, what waited for a reference as well."""
    put(
        old,
        FILE.format(1, "a", 1, HEADER),
        FILE.format(2, "a", 1, HEADER),
        REJECT.format(1, 1, 2, "NULL", "invalid_integer", "x"),
        REJECT.format(2, 1, 3, 8, "missing_reference", "8"),
        REJECT.format(3, 2, 2, 9, "missing_reference", "9"),
    )
    command.upgrade(alembic_config(), "head")
    assert [status for status, _ in statuses(old).values()] == ["superseded"] * 2 + ["open"]


@pytest.mark.parametrize("delimiter", ["\t", ",", "|", ";"])
def test_short_rows_lose_their_key(old: Feed, delimiter: str) -> None:
    """The first cell of a row with too few may be another column; rows with too many keep it."""
    header = HEADER.replace("\t", delimiter) + delimiter * 2
    rows = ["7\t8\t1/1/2021", "7\t8\t1/1/2021\t\t\t\t\t\tx"]
    put(old, FILE.format(1, "a", 1, header))
    for number, row in enumerate(rows, 1):
        raw = row.replace("\t", delimiter)
        put(old, REJECT.format(number, 1, number, 7, "malformed", raw))
    command.upgrade(alembic_config(), "head")
    assert statuses(old) == {1: ("open", None), 2: ("open", 7)}


def test_a_landing_directory_of_before(old: Feed, tmp_path: Path) -> None:
    """Files that were loaded before are known by their hash, and a failed one is tried again."""
    landing = tmp_path / "landing"
    loaded = Feed(landing, old.url)
    command.upgrade(alembic_config(), "head")
    loaded.deliver(Procedure, procedure_description="cast")
    loaded.deliver_lines(Procedure, line(Procedure), at="20211202_223357", header="nonsense")
    load(make_engine(old.url), landing, "HospitalABC")
    command.downgrade(alembic_config(), BEFORE)
    command.upgrade(alembic_config(), "head")
    report = load(make_engine(old.url), landing, "HospitalABC")
    assert [(each.file.name[21:], each.status) for each in report.files] == [
        ("Procedure_20211202_223357.txt", "failed")
    ]
    with make_engine(old.url).connect() as connection:
        versions = connection.scalars(text("SELECT version FROM load_files")).all()
    assert all(len(each.split()) == 4 for each in versions)
