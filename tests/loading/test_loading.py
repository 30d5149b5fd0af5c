"""The run: what a load does with the files of a feed."""

import os
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from tests.support.command import Visitpay
from tests.support.feed import Feed, header_line, line, row
from visitpay.database.engine import make_engine, read_connection
from visitpay.landing.local import OpenFile
from visitpay.ledger.files import Counts
from visitpay.loading.types import Options
from visitpay.models import DeliveredKeys, LoadFile, LoadRun, Procedure, Transaction, Visit

DAY_1, DAY_2, DAY_3 = "20211201_223357", "20211202_223357", "20211203_223357"

NAMES = header_line(Procedure, ", ")
NO_HEADER = (
    f"line 1 lacks the columns {NAMES}; it looks like a row, and the header is missing: the whole"
    " file is needed again"
)

PROCEDURES = (
    row(procedure_id=1, procedure_description="ACL thing"),
    row(procedure_id=2, procedure_description="Beard amputation"),
)
VISITS = (
    row(
        visit_identifier=11,
        guarantor_identifier=91,
        admit_date="1/1/2021",
        discharge_date="1/4/2021",
        visit_balance="30.5",
        insurance_identifier=1,
    ),
    row(visit_identifier=12, guarantor_identifier=92, admit_date="5/10/2020"),
)
TRANSACTIONS = (
    row(transaction_identifier=101, visit_identifier=11, procedure_id=1, amount="10"),
    row(transaction_identifier=102, visit_identifier=11, procedure_id=2, amount="20.5"),
    row(transaction_identifier=103, visit_identifier=12, procedure_id=1, amount="-7.25"),
)


REPEATED = [
    row(procedure_id=key, procedure_description=letter)
    for key, letter in [(1, "a"), (2, "b"), (1, "c"), (1, "d"), (2, "b")]
]


def counts(document: dict[str, object]) -> list[tuple[object, ...]]:
    """Return each file's read, inserted, updated, unchanged, stale, superseded, rejected."""
    files = document["files"]
    assert isinstance(files, list)
    names = "rows_read inserted updated unchanged stale superseded rejected"
    return [tuple(file[name] for name in names.split()) for file in files]


def deliver_day(feed: Feed, moment: str = DAY_1) -> None:
    """Deliver a small, good file of each type."""
    feed.deliver(Procedure, *PROCEDURES, at=moment)
    feed.deliver(Visit, *VISITS, at=moment)
    feed.deliver(Transaction, *TRANSACTIONS, at=moment)


def test_a_day_of_files_fills_the_three_tables(feed: Feed, visitpay: Visitpay) -> None:
    """Values arrive with their types, to the cent, and nothing is left over."""
    deliver_day(feed)
    outcome = visitpay("load", "--json")
    assert outcome.status == 0
    assert outcome.document["checkpoint"] == "2021-12-01T22:33:57Z"
    assert [file["entity"] for file in outcome.document["files"]] == [
        "Procedure",
        "Visit",
        "Transaction",
    ]
    assert feed.descriptions() == {1: "ACL thing", 2: "Beard amputation"}
    assert feed.rows(Visit, *VISITS[0]) == [
        (11, 91, date(2021, 1, 1), date(2021, 1, 4), Decimal("30.50"), 1),
        (12, 92, date(2020, 5, 10), None, None, None),
    ]
    assert feed.rows(Transaction, *TRANSACTIONS[0]) == [
        (101, 11, 1, Decimal("10.00")),
        (102, 11, 2, Decimal("20.50")),
        (103, 12, 1, Decimal("-7.25")),
    ]
    assert feed.rejects() == []


def test_every_row_says_where_it_came_from(feed: Feed, visitpay: Visitpay) -> None:
    """The source is the delivery and line that last changed the row, not the last to bring it."""
    deliver_day(feed)
    feed.deliver(
        Transaction,
        row(transaction_identifier=101, visit_identifier=11, amount=10),
        row(transaction_identifier=102, visit_identifier=11, procedure_id=2, amount=21),
        at=DAY_2,
    )
    visitpay("load")
    with read_connection(feed.url) as connection:
        rows = connection.execute(
            select(Transaction.transaction_identifier, LoadFile.name, Transaction.source_line)
            .join(LoadFile, LoadFile.id == Transaction.source_file_id)
            .order_by(Transaction.transaction_identifier)
        ).all()
    first, second = (f"HospitalABC_VisitPay_Transaction_{day}.txt" for day in (DAY_1, DAY_2))
    assert [tuple(row) for row in rows] == [(101, first, 2), (102, second, 3), (103, first, 4)]


def test_rows_are_inserted_updated_or_left_unwritten(feed: Feed, visitpay: Visitpay) -> None:
    """A later file changes what differs, NULL included, and counts what does not."""
    feed.deliver(Visit, *VISITS, at=DAY_1)
    feed.deliver(
        Visit,
        VISITS[0],
        row(**VISITS[1], visit_balance=0),
        row(visit_identifier=13, guarantor_identifier=93, admit_date="1/1/2021"),
        at=DAY_2,
    )
    feed.deliver(Visit, VISITS[1], at=DAY_3)
    outcome = visitpay("load", "--json")
    assert counts(outcome.document) == [
        (2, 2, 0, 0, 0, 0, 0),
        (3, 1, 1, 1, 0, 0, 0),
        (1, 0, 1, 0, 0, 0, 0),
    ]
    assert feed.column(Visit, "visit_balance") == [Decimal("30.50"), None, None]


def test_the_last_line_of_a_key_wins(feed: Feed, visitpay: Visitpay) -> None:
    """Earlier lines with the same key are superseded, in one batch or in many."""
    feed.deliver(Procedure, *REPEATED)
    assert counts(visitpay("load", "--json").document) == [(5, 2, 0, 0, 0, 3, 0)]
    assert feed.descriptions() == {1: "d", 2: "b"}


def test_the_last_line_of_a_key_wins_across_batches(feed: Feed) -> None:
    """A key that an earlier batch of the same file brought is counted once."""
    feed.deliver(Procedure, *REPEATED)
    report = feed.load(Options(block_bytes=len(header_line(Procedure))))
    assert report.counts == Counts(read=5, inserted=2, superseded=3)
    assert feed.descriptions() == {1: "d", 2: "b"}


def test_a_late_file_does_not_overwrite(feed: Feed, visitpay: Visitpay) -> None:
    """An older file that arrives later brings its new keys and leaves the others alone."""
    feed.deliver(
        Procedure,
        row(procedure_id=1, procedure_description="new"),
        row(procedure_id=2, procedure_description="same"),
        at=DAY_2,
    )
    visitpay("load")
    feed.deliver(
        Procedure,
        row(procedure_id=1, procedure_description="old"),
        row(procedure_id=2, procedure_description="same"),
        row(procedure_id=3, procedure_description="late"),
        at=DAY_1,
    )
    assert counts(visitpay("load", "--json").document) == [(3, 1, 0, 0, 2, 0, 0)]
    assert feed.descriptions() == {1: "new", 2: "same", 3: "late"}


def test_what_a_newer_file_confirmed_is_not_overwritten(feed: Feed, visitpay: Visitpay) -> None:
    """Day 3 confirms day 1 without a write; day 2, late, is stale all the same."""
    feed.deliver(Procedure, at=DAY_1, procedure_description="right")
    feed.deliver(Procedure, at=DAY_3, procedure_description="right")
    visitpay("load")
    feed.deliver(Procedure, at=DAY_2, procedure_description="wrong")
    assert counts(visitpay("load", "--json").document) == [(1, 0, 0, 0, 1, 0, 0)]
    assert feed.descriptions() == {1: "right"}


def test_a_redelivery_is_newer_than_what_it_corrects(feed: Feed, visitpay: Visitpay) -> None:
    """The same name with other content is loaded again, with a warning, and goes back as well."""
    name = feed.deliver(Procedure, at=DAY_1, procedure_description="first").name
    visitpay("load")
    feed.deliver(Procedure, at=DAY_1, procedure_description="second, and longer")
    outcome = visitpay("load", "--json")
    assert counts(outcome.document) == [(1, 0, 1, 0, 0, 0, 0)]
    assert f"{name}: was loaded before with other content; loading it again" in outcome.err
    feed.deliver(Procedure, at=DAY_1, procedure_description="first")
    visitpay("load")
    assert feed.descriptions() == {1: "first"}


def test_a_touched_file_is_not_loaded_again(feed: Feed, visitpay: Visitpay) -> None:
    """Content decides; the new version is remembered so that the file is hashed once."""
    path = feed.deliver(Procedure, at=DAY_1, procedure_description="x")
    visitpay("load")
    os.utime(path, ns=(1, 1))
    assert visitpay("load", "--json").document["files"] == []
    with read_connection(feed.url) as connection:
        (version,) = connection.scalars(select(LoadFile.version))
    assert version.split()[:2] == [str(path.stat().st_size), "1"]


def test_a_bracketed_name_is_a_name_of_the_feed(feed: Feed, visitpay: Visitpay) -> None:
    """A datetime in literal brackets is accepted."""
    feed.deliver(Procedure, at=f"[{DAY_1}]", procedure_description="x")
    assert counts(visitpay("load", "--json").document) == [(1, 1, 0, 0, 0, 0, 0)]


def test_what_is_not_of_the_feed_is_left_alone(feed: Feed, visitpay: Visitpay) -> None:
    """Near misses and irregular files are listed, warned about once, and need a person."""
    good = feed.deliver(Procedure, at=DAY_1, procedure_description="x")
    os.mkfifo(feed.landing / good.name.replace("01_", "02_"))
    (feed.landing / good.name.replace("01_", "03_")).mkdir()
    (feed.landing / good.name.replace("01_", "04_")).symlink_to(good)
    (feed.landing / good.name.lower()).write_text("x")
    outcome = visitpay("load", "--json")
    unrecognised = sorted(path.name for path in feed.landing.iterdir() if path != good)
    assert outcome.status == 1
    assert outcome.document["unrecognised"] == unrecognised
    assert outcome.err.count("not recognised in the landing directory") == 1
    why = ["is no regular file", "is a directory", "is a link", "only the case of letters differs"]
    told = ", ".join(f"{name} ({each})" for name, each in zip(unrecognised, why, strict=True))
    assert f"left alone: {told}\n" in outcome.err
    document = visitpay("status", "--json").document
    assert document["unrecognised"] == unrecognised
    assert document["why_unrecognised"] == dict(zip(unrecognised, why, strict=True))
    assert len(outcome.document["files"]) == 1


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", f"is empty; its first line must name {NAMES}"),
        ("\n" + line(Procedure), f"line 1 is empty; it must name {NAMES}"),
        (line(Procedure, procedure_description="secret") + "\n", NO_HEADER),
        (
            f"ProcedureId\t{header_line(Procedure)}\n1\t{line(Procedure)}\n",
            "line 1 names ProcedureId more than once; one of them must go",
        ),
    ],
    ids=["empty", "blank first line", "no header", "doubled column"],
)
def test_a_bad_file_fails_alone_and_is_tried_again(
    feed: Feed, visitpay: Visitpay, content: str, error: str
) -> None:
    """Nothing of it is loaded, the others are, and it loads once it was mended."""
    bad = feed.deliver_bytes(Procedure, content.encode(), at=DAY_1)
    feed.deliver(Procedure, at=DAY_2, procedure_id=2, procedure_description="y")
    for _ in range(2):
        outcome = visitpay("load", "--json")
        assert outcome.status == 1
        assert outcome.document["status"] == "attention"
        (failed,) = [each for each in outcome.document["files"] if each["status"] == "failed"]
        assert (failed["name"], failed["error"]) == (bad.name, error)
        assert f"{bad.name}: {error}" in outcome.err
        assert "secret" not in outcome.err
    assert feed.descriptions() == {2: "y"}
    feed.deliver(Procedure, at=DAY_1, procedure_description="x")
    assert visitpay("load").status == 0
    assert feed.descriptions() == {1: "x", 2: "y"}
    with read_connection(feed.url) as connection:
        assert len(connection.scalars(select(LoadFile.id)).all()) == 2


def test_a_header_without_rows_is_loaded_with_a_warning(feed: Feed, visitpay: Visitpay) -> None:
    """It counts as consumed, with no rows."""
    name = feed.deliver_lines(Procedure, at=DAY_1).name
    outcome = visitpay("load", "--json")
    assert (outcome.status, counts(outcome.document)) == (0, [(0, 0, 0, 0, 0, 0, 0)])
    assert f"{name}: holds a header and no rows" in outcome.err


def test_an_unknown_column_is_recorded_and_warned_about(feed: Feed, visitpay: Visitpay) -> None:
    """The file is loaded; the ledger keeps its header."""
    header = f"Note\t{header_line(Procedure).upper()}"
    name = feed.deliver_lines(Procedure, f"hm\t{line(Procedure)}", header=header).name
    outcome = visitpay("load", "--json")
    assert f"{name}: 1 unknown column: Note" in outcome.err
    with read_connection(feed.url) as connection:
        assert connection.scalars(select(LoadFile.header)).all() == [header]
    assert feed.descriptions() == {1: "bandaid"}


def append(path: Path) -> None:
    """Let a file grow."""
    with path.open("a") as file:
        file.write(line(Procedure, procedure_id=3) + "\n")


@pytest.mark.parametrize("meddle", [append, Path.unlink], ids=["grows", "goes away"])
def test_a_file_that_changes_while_it_is_read_is_left(
    feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch, meddle: Callable[[Path], None]
) -> None:
    """Nothing of it is kept, no failure is recorded, and the next run takes it as it then is."""
    path = feed.deliver(
        Procedure,
        row(procedure_id=1, procedure_description="x"),
        row(procedure_id=2, procedure_description="y"),
        at=DAY_1,
    )
    require_unchanged = OpenFile.require_unchanged

    def meddled(reading: OpenFile) -> None:
        meddle(path)
        require_unchanged(reading)

    with monkeypatch.context() as patch:
        patch.setattr(OpenFile, "require_unchanged", meddled)
        outcome = visitpay("load", "--json")
    assert [file["status"] for file in outcome.document["files"]] == ["changed"]
    assert "left for the next run" in outcome.err
    assert feed.keys(Procedure) == []
    if path.exists():
        assert counts(visitpay("load", "--json").document) == [(3, 3, 0, 0, 0, 0, 0)]


def test_books_that_do_not_balance_fail_the_file(
    feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that nobody counted takes the whole file back."""
    feed.deliver(Procedure, at=DAY_1, procedure_description="x")
    add = Counts.add

    def forgetful(total: Counts, other: Counts) -> None:
        add(total, other)
        total.inserted -= 1

    monkeypatch.setattr(Counts, "add", forgetful)
    outcome = visitpay("load", "--json")
    assert outcome.status == 1
    assert "its books do not balance" in outcome.document["files"][0]["error"]
    assert feed.keys(Procedure) == []
    with read_connection(feed.url) as connection:
        assert connection.scalars(select(DeliveredKeys.id)).all() == []


def test_rows_wait_for_what_they_refer_to(feed: Feed, visitpay: Visitpay) -> None:
    """Transactions before any visit: each is put aside with its reason, and heals by itself."""
    name = feed.deliver(Transaction, *TRANSACTIONS, at=DAY_1).name
    first = visitpay("load", "--json")
    assert (first.status, first.document["rejects_open"]) == (1, 3)
    raw = [line(Transaction, **cells) for cells in TRANSACTIONS]
    lost = [
        (name, 2, 101, "missing_reference", "VisitIdentifier", raw[0], "open"),
        (name, 3, 102, "missing_reference", "VisitIdentifier", raw[1], "open"),
        (name, 4, 103, "missing_reference", "VisitIdentifier", raw[2], "open"),
    ]
    assert feed.rejects() == lost
    feed.deliver(Visit, *VISITS, at=DAY_1)
    second = visitpay("load", "--json")
    assert (second.status, second.document["rejects_resolved"]) == (0, 0)
    assert {row[4] for row in feed.rejects("open")} == {"ProcedureId"}
    feed.deliver(Procedure, *PROCEDURES, at=DAY_1)
    third = visitpay("load", "--json")
    assert (third.document["rejects_resolved"], third.document["rejects_open"]) == (3, 0)
    assert [row[:4] for row in feed.rejects("resolved")] == [row[:4] for row in lost]
    assert feed.keys(Transaction) == [101, 102, 103]


def test_the_rows_around_an_orphan_are_kept(feed: Feed, visitpay: Visitpay) -> None:
    """Only the row whose parent is missing is put aside, and the first missing column named."""
    feed.deliver(Procedure, *PROCEDURES, at=DAY_1)
    feed.deliver(Visit, *VISITS, at=DAY_1)
    feed.deliver(
        Transaction,
        TRANSACTIONS[0],
        row(transaction_identifier=102, visit_identifier=11, procedure_id=9, amount=1),
        row(transaction_identifier=103, visit_identifier=99, procedure_id=9, amount=1),
        row(transaction_identifier=104, visit_identifier=12, procedure_id=2, amount=1),
        at=DAY_1,
    )
    outcome = visitpay("load", "--json", "--max-rejects", "2")
    assert outcome.status == 0
    assert counts(outcome.document)[-1] == (4, 2, 0, 0, 0, 0, 2)
    assert [row[1:5] for row in feed.rejects()] == [
        (3, 102, "missing_reference", "ProcedureId"),
        (4, 103, "missing_reference", "VisitIdentifier"),
    ]


def transactions(feed: Feed) -> dict[int, tuple[int, Decimal]]:
    """Return visit and amount of each transaction."""
    rows = feed.rows(Transaction, "transaction_identifier", "visit_identifier", "amount")
    return {key: (visit, amount) for key, visit, amount in rows}


def test_an_orphan_does_not_take_the_place_of_a_good_row(feed: Feed, visitpay: Visitpay) -> None:
    """Of two lines of a key the later refers to nothing: the earlier stands until it heals."""
    deliver_day(feed)
    feed.deliver(
        Transaction,
        row(transaction_identifier=101, visit_identifier=12, amount=5),
        row(transaction_identifier=101, visit_identifier=99, amount=6),
        at=DAY_2,
    )
    visitpay("load")
    assert transactions(feed)[101] == (12, Decimal("5.00"))
    feed.deliver(Visit, at=DAY_3, visit_identifier=99)
    assert visitpay("load", "--json").document["rejects_resolved"] == 1
    assert transactions(feed)[101] == (99, Decimal("6.00"))


def test_a_good_row_closes_rejects_of_its_key(feed: Feed, visitpay: Visitpay) -> None:
    """Later lines and newer deliveries supersede; older ones do not."""
    name = feed.deliver(
        Procedure,
        row(procedure_id=1, procedure_description=""),
        row(procedure_id=1, procedure_description="x"),
        row(procedure_id=2, procedure_description="y"),
        row(procedure_id=2, procedure_description=""),
        row(procedure_id=3, procedure_description=""),
        at=DAY_2,
    ).name
    visitpay("load")
    assert [(row[1], row[-1]) for row in feed.rejects()] == [
        (2, "superseded"),
        (5, "open"),
        (6, "open"),
    ]
    feed.deliver(Procedure, at=DAY_1, procedure_id=3, procedure_description="old")
    feed.deliver(Procedure, at=DAY_3, procedure_id=2, procedure_description="z")
    visitpay("load")
    raw = line(Procedure, procedure_id=3, procedure_description="")
    assert feed.rejects("open") == [
        (name, 6, 3, "missing_value", "ProcedureDescription", raw, "open")
    ]


def test_a_late_reject_is_superseded_at_once(feed: Feed, visitpay: Visitpay) -> None:
    """A bad row that arrives after the newer good one never opens."""
    feed.deliver(Procedure, at=DAY_2, procedure_description="x")
    visitpay("load")
    feed.deliver(Procedure, at=DAY_1, procedure_description="")
    outcome = visitpay("load", "--json")
    assert outcome.document["rejects_open"] == 0
    assert [row[-1] for row in feed.rejects()] == ["superseded"]


def test_rows_of_a_file_that_can_no_longer_be_read_stay_open(
    feed: Feed, visitpay: Visitpay
) -> None:
    """A delivery whose header lost a column does not stop the run."""
    deliver_day(feed)
    feed.deliver(Transaction, at=DAY_2, transaction_identifier=104, visit_identifier=99, amount=1)
    visitpay("load")
    with make_engine(feed.url).begin() as connection:
        connection.exec_driver_sql("UPDATE load_files SET header = 'x' WHERE entity='Transaction'")
    outcome = visitpay("load", "--json")
    assert (outcome.status, outcome.document["rejects_open"]) == (0, 1)
    assert "its rejected rows cannot be tried again" in outcome.err


def test_a_run_leaves_a_book(feed: Feed, visitpay: Visitpay) -> None:
    """Counts add up over the files; a run that was killed is marked interrupted by the next."""
    with make_engine(feed.url).begin() as connection:
        killed = {"started_at": datetime.now(UTC), "status": "running", "version": "0"}
        connection.execute(insert(LoadRun).values(host="h", **killed))
    deliver_day(feed)
    visitpay("load")
    with read_connection(feed.url) as connection:
        runs = connection.execute(
            select(
                LoadRun.status, LoadRun.files_loaded, LoadRun.rows_read, LoadRun.rows_inserted
            ).order_by(LoadRun.id)
        ).all()
    assert [tuple(run) for run in runs] == [("interrupted", 0, 0, 0), ("ok", 3, 7, 7)]


def test_the_newest_run_is_the_last_word_on_the_checkpoint(feed: Feed, visitpay: Visitpay) -> None:
    """The checkpoint is the newest file datetime that was loaded, whatever arrived last."""
    feed.deliver(Procedure, at=DAY_2, procedure_description="x")
    visitpay("load")
    feed.deliver(Procedure, at=DAY_1, procedure_id=2, procedure_description="x")
    feed.deliver_bytes(Procedure, b"", at=DAY_3)
    assert visitpay("load", "--json").document["checkpoint"] == "2021-12-02T22:33:57Z"
