"""Rejected rows, from the hospital's file to the mended one, and what is known of an identifier."""

import errno
import os
import shutil
import stat
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.support.command import Visitpay
from tests.support.feed import Feed, columns, header_line, line, only_sqlite, row
from visitpay.database.engine import read_connection
from visitpay.errors import ConfigurationError
from visitpay.feed import short_name
from visitpay.models import Procedure, RejectedRow, Transaction, Visit
from visitpay.private_files import write_private
from visitpay.rejects.export import escape_formula

PROCEDURES = "HospitalABC_VisitPay_Procedure_20211201_223357.txt"
VISITS = "HospitalABC_VisitPay_Visit_20211201_223005.txt"
TRANSACTIONS = "HospitalABC_VisitPay_Transaction_20211201_223133.txt"

NO_DESCRIPTION = line(Procedure, procedure_id=2, procedure_description="")
A_CELL_TOO_MANY = line(Procedure, procedure_id=3, procedure_description="x") + "\ty"
NO_DATE = line(Visit, visit_identifier=11, discharge_date="1/32/2021", visit_balance=5)
NO_VISIT = line(Transaction, transaction_identifier=101, visit_identifier=99)
NO_KEY = line(Transaction, transaction_identifier="x", amount=-5)


def deliver(feed: Feed) -> None:
    """Deliver a day with a reject of most kinds."""
    feed.deliver(
        Procedure,
        row(procedure_id=1),
        NO_DESCRIPTION,
        A_CELL_TOO_MANY,
    )
    feed.deliver(Visit, row(visit_balance="20.50"), NO_DATE, "12\t7")
    feed.deliver(
        Transaction,
        row(transaction_identifier=100, amount="20.25"),
        NO_VISIT,
        row(transaction_identifier=102, amount="=1+1"),
        NO_KEY,
        "y" * 2_000_000,
    )


def exported(visitpay: Visitpay, *arguments: object) -> list[tuple[Path, int]]:
    """Export rejects; give the files and the rows in them."""
    outcome = visitpay("rejects", "export", *arguments, "--json")
    assert outcome.status == 0
    return [(Path(each["path"]), each["rows"]) for each in outcome.document["written"]]


def test_export(feed: Feed, visitpay: Visitpay, tmp_path: Path) -> None:
    """Open rejects stand in a file a type, under the feed's header, with reason, file and line."""
    deliver(feed)
    visitpay("load")
    files = exported(visitpay, tmp_path / "mended")
    about = "RejectReason\tRejectColumn\tRejectFile\tRejectLine\t"
    contents = {path.name.split("_")[2]: path.read_text().splitlines() for path, _ in files}
    no_formula = line(Transaction, transaction_identifier=102, amount=" =1+1")
    assert contents == {
        "Procedure": [
            about + header_line(Procedure),
            f"missing_value\tProcedureDescription\t{PROCEDURES}\t3#1\t{NO_DESCRIPTION}",
            f"malformed\t\t{PROCEDURES}\t4#2\t{A_CELL_TOO_MANY}",
        ],
        "Visit": [
            about + header_line(Visit),
            f"invalid_date\tDischargeDate\t{VISITS}\t3#3\t{NO_DATE}",
            f"malformed\t\t{VISITS}\t4#4\t12\t7",
        ],
        "Transaction": [
            about + header_line(Transaction),
            f"missing_reference\tVisitIdentifier\t{TRANSACTIONS}\t3#8\t{NO_VISIT}",
            f"invalid_amount\tAmount\t{TRANSACTIONS}\t4#5\t{no_formula}",
            f"invalid_integer\tTransactionIdentifier\t{TRANSACTIONS}\t5#6\t{NO_KEY}",
        ],
    }
    assert [rows for _, rows in files] == [2, 2, 3]
    assert {stat.S_IMODE(path.stat().st_mode) for path, _ in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "mended").stat().st_mode) == 0o700


def test_mended_rows_load_and_close_their_rejects(
    feed: Feed, visitpay: Visitpay, tmp_path: Path
) -> None:
    """A mended file, dropped back, brings its rows, and their rejects are superseded."""
    deliver(feed)
    visitpay("load")
    for path, _ in exported(visitpay, tmp_path / "mended"):
        text = path.read_text()
        for was, is_now in {
            NO_DESCRIPTION: line(Procedure, procedure_id=2, procedure_description="gauze"),
            A_CELL_TOO_MANY: line(Procedure, procedure_id=3, procedure_description="x y"),
            NO_DATE: NO_DATE.replace("1/32/2021", "1/13/2021"),
            NO_VISIT: line(Transaction, transaction_identifier=101),
            "=1+1": "2",
        }.items():
            text = text.replace(f"{was}\n", f"{is_now}\n")
        kept = [each for each in text.splitlines() if not each.endswith(("\t12\t7", NO_KEY))]
        (feed.landing / path.name).write_text("\n".join(kept))
    outcome = visitpay("load", "--json")
    assert [each["rejected"] for each in outcome.document["files"]] == [0, 0, 0]
    assert "unknown columns" not in outcome.err
    assert feed.descriptions() == {1: "bandaid", 2: "gauze", 3: "x y"}
    assert feed.keys(Transaction) == [100, 101, 102]
    superseded = [(row[0][21:24], row[1]) for row in feed.rejects("superseded")]
    assert superseded == [("Pro", 3), ("Pro", 4), ("Tra", 3), ("Tra", 4), ("Vis", 3)]
    assert [row[3] for row in feed.rejects("open")] == [
        "invalid_integer",
        "line_too_long",
        "malformed",
    ]


def test_export_of_another_layout(feed: Feed, visitpay: Visitpay, tmp_path: Path) -> None:
    """Rows of a file with other delimiters and another order come out in the feed's own."""
    first, *others = header_line(Transaction).split("\t")
    header = ",".join([*reversed(others), "Extra", first])
    orphan = line(Transaction, amount='"1,000.00"')
    first, *others = orphan.split("\t")
    feed.deliver_lines(Transaction, ",".join([*reversed(others), '"a\tb"', first]), header=header)
    malformed = line(Procedure, ";") + ";a\tb"
    feed.deliver_lines(Procedure, malformed, header=header_line(Procedure, ";"))
    visitpay("load")
    (_, procedures), (path, rows) = exported(visitpay, tmp_path)
    assert (procedures, rows) == (1, 1)
    assert path.read_text().splitlines()[1].split("\t", 4)[4] == orphan


def test_an_export_is_newer_than_all_that_was_loaded(
    feed: Feed, visitpay: Visitpay, tmp_path: Path
) -> None:
    """By one second, whatever the clock says: what a person mended wins, until a newer file comes.

    So it is after a file that was dated in the future, too.
    """
    future = feed.deliver(
        Procedure,
        row(procedure_id=1, procedure_description="x"),
        row(procedure_id=2, procedure_description=""),
        at="20991231_235959",
    )
    visitpay("load", "--approve", future.name)
    ((path, _),) = exported(visitpay, tmp_path)
    assert path.name == "HospitalABC_VisitPay_Procedure_21000101_000000.txt"
    outcome = visitpay("rejects", "export", tmp_path)
    assert (outcome.status, outcome.err) == (
        2,
        f"visitpay: {path} cannot be written: File exists\n",
    )
    assert [each.name for each in tmp_path.iterdir() if "Procedure" in each.name] == [path.name]


def test_response(feed: Feed, visitpay: Visitpay, tmp_path: Path) -> None:
    """The file for the hospital has the rows as they came, and what became of each file's rows."""
    deliver(feed)
    visitpay("load")
    ((path, rows),) = exported(visitpay, tmp_path, "--response", "--entity", "visit")
    assert rows == 2
    assert path.name.startswith("HospitalABC_VisitPay_Response_")
    assert path.read_text().splitlines() == [
        "File\tLine\tReason\tColumn\tRow",
        f"{VISITS}\t3\tinvalid_date\tDischargeDate\t{NO_DATE}",
        f"{VISITS}\t4\tmalformed\t\t12\t7",
        f"TRAILER\t{VISITS}\t3\t1\t2",
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    shutil.copy(path, feed.landing)
    assert path.name in visitpay("load", "--json").document["unrecognised"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("", [0, 1]),
        ("--entity procedure", [0]),
        ("--entity transaction", []),
        ("--file visit_2021", [1]),
        ("--since 2021-12-01", [0, 1]),
        ("--since 2100-01-01", []),
        ("--reason malformed", []),
        ("--key 1", []),
    ],
)
def test_response_of_files(
    feed: Feed, visitpay: Visitpay, tmp_path: Path, options: str, told: list[int]
) -> None:
    """It names the files that failed or are held, with what is wrong, unless rows are asked for."""
    feed.deliver(
        Procedure, row(procedure_id=1), row(procedure_id="x", procedure_description="cast")
    )
    feed.deliver_bytes(Visit, b"")
    visitpay("load", "--hold-above", "10")
    ((path, rows),) = exported(visitpay, tmp_path, "--response", *options.split())
    errors = {
        each["name"]: f"{each['status'].upper()}\t{each['name']}\t{each['error']}"
        for each in visitpay("files", "--json").document["files"]
    }
    lines = [errors[(PROCEDURES, VISITS)[number]] for number in told]
    assert (path.read_text().splitlines()[1:], rows) == (lines, 0)


@pytest.mark.parametrize(
    ("cell", "exported"),
    [
        ("=1+1", " =1+1"),
        (" =1+1", " =1+1"),
        ("\0=1+1", " \0=1+1"),
        ('"=1+1"', ' "=1+1"'),
        ("@SUM(A1)", " @SUM(A1)"),
        ("-2+3", " -2+3"),
        ("+cmd|' /C calc'!A0", " +cmd|' /C calc'!A0"),
        ("-20.25", "-20.25"),
        ("-$1,000.00", "-$1,000.00"),
        ("(20.00)", "(20.00)"),
        ("Ace = wrap", "Ace = wrap"),
        ("", ""),
    ],
)
def test_no_formula_for_a_spreadsheet(cell: str, exported: str) -> None:
    """A cell that a spreadsheet would calculate has a space before it, which a load trims."""
    assert escape_formula(cell) == exported


def test_counts_and_since(feed: Feed, visitpay: Visitpay) -> None:
    """Rejects are counted by reason, whatever the limit, and chosen by when they were put aside."""
    deliver(feed)
    visitpay("load")
    counted = visitpay("rejects", "list", "--limit", "1", "--json").document
    assert len(counted["rejects"]) == 1
    assert counted["reasons"] == {
        "malformed": 2,
        "invalid_amount": 1,
        "invalid_date": 1,
        "invalid_integer": 1,
        "line_too_long": 1,
        "missing_reference": 1,
        "missing_value": 1,
    }
    assert "invalid_amount" in visitpay("rejects", "list", "--limit", "1").out
    for since, number in (("2021-01-01", 8), ("2100-01-01", 0)):
        listed = visitpay("rejects", "list", "--since", since, "--json").document["rejects"]
        assert len(listed) == number


def test_dismiss(feed: Feed, visitpay: Visitpay) -> None:
    """What is dismissed is closed, with the reason why, and no load tries it again."""
    deliver(feed)
    visitpay("load")
    listed = visitpay("rejects", "list", "--entity", "Transaction", "--json").document["rejects"]
    orphan, amount, *_ = (each["id"] for each in listed)
    outcome = visitpay("rejects", "dismiss", orphan, amount, "--why", "test patients")
    assert (outcome.status, outcome.out) == (0, "rejects dismissed 2\n")
    feed.deliver(Visit, at="20211202_223005", visit_identifier=99)
    assert visitpay("load", "--json").document["rejects_resolved"] == 0
    closed = visitpay("rejects", "list", "--status", "dismissed", "--json").document["rejects"]
    assert [(each["id"], each["why"]) for each in closed] == [
        (orphan, "test patients"),
        (amount, "test patients"),
    ]
    assert "test patients" in visitpay("rejects", "list", "--status", "dismissed").out
    again = visitpay("rejects", "dismiss", orphan, listed[2]["id"], 999, "--why", "x")
    message = f"no open rejects: {orphan} (dismissed), 999 (not there); nothing was dismissed"
    assert (again.status, again.err) == (2, f"visitpay: {message}\n")
    assert listed[2]["id"] in [
        each["id"] for each in visitpay("rejects", "list", "--json").document["rejects"]
    ]
    assert visitpay("rejects", "dismiss", 1, "--why", " ").status == 2


def test_hold(feed: Feed, visitpay: Visitpay) -> None:
    """A file with too many rejects is held whole, until it is approved or has fewer."""
    rows = [row(procedure_id=number) for number in range(8)]
    path = feed.deliver(
        Procedure,
        *rows,
        row(procedure_id="x"),
        row(procedure_id=""),
    )
    feed.deliver(Procedure, at="20211202_223357", procedure_id=9, procedure_description="gauze")
    message = "held: 2 of 10 rows rejected, more than 19.5 %"
    outcome = visitpay("load", "--hold-above", "19.5", "--json", "--max-rejects", "100%")
    held = outcome.document["files"][0]
    assert (outcome.status, held["status"], held["error"]) == (1, "held", message)
    assert (held["rows_read"], feed.keys(Procedure), feed.rejects()) == (0, [9], [])
    again = visitpay("load", "--hold-above", "19.5", "--json")
    assert (again.status, again.document["files_held"], again.document["files"]) == (
        1,
        [path.name],
        [],
    )
    advice = "ask the hospital for a corrected file, or load it with --approve"
    told = f"{path.name}: still {message}; {advice}\n"
    assert told in again.err
    (entry,) = visitpay("files", "--status", "held", "--json").document["files"]
    assert (entry["name"], entry["error"]) == (path.name, message)
    name = short_name(path.name)
    approved = visitpay("load", "--hold-above", "19.5%", "--approve", name, "--json").document
    assert (approved["files"][0]["status"], approved["files"][0]["rejected"]) == ("loaded", 2)
    assert len(feed.keys(Procedure)) == 9
    assert visitpay("files", "--status", "held", "--json").document["files"] == []


def test_hold_of_orphans(feed: Feed, visitpay: Visitpay) -> None:
    """A file held for what is missing elsewhere says so; each file is approved by itself."""
    feed.deliver(Procedure)
    visits = feed.deliver(Visit, row(visit_identifier=10), row(visit_identifier="x", admit_date=""))
    feed.deliver(
        Transaction,
        row(transaction_identifier=1, amount=5),
        row(transaction_identifier=2, amount=5),
        row(transaction_identifier="x", amount=5),
    )
    files = visitpay("load", "--hold-above", "40", "--json").document["files"]
    orphans = "2 of them refer to rows not there: see first what became of their files"
    assert [each["error"] for each in files[1:]] == [
        "held: 1 of 2 rows rejected, more than 40 %",
        f"held: 3 of 3 rows rejected, more than 40 %; {orphans}",
    ]
    files = visitpay("load", "--hold-above", "40", "--approve", visits.name, "--json").document
    assert [each["status"] for each in files["files"]] == ["loaded"]
    assert [short_name(name) for name in files["files_held"]] == ["Transaction_20211201_223133"]


@only_sqlite
@pytest.mark.parametrize(
    ("share", "status"), [("20", "loaded"), ("19.9", "held"), ("0", "held"), ("100", "loaded")]
)
def test_hold_above(feed: Feed, visitpay: Visitpay, share: str, status: str) -> None:
    """Two rows of ten are as many as 20 percent, and no more."""
    rows = [row(procedure_id=number) for number in range(8)]
    feed.deliver(
        Procedure,
        *rows,
        row(procedure_id="x"),
        row(procedure_id=""),
    )
    outcome = visitpay("load", "--hold-above", share, "--json")
    assert outcome.document["files"][0]["status"] == status


@only_sqlite
def test_approve_what_is_not_there(feed: Feed, visitpay: Visitpay) -> None:
    """A name that nobody landed is a slip of the pen, and nothing is loaded."""
    feed.deliver(Procedure, at="20211202_223357", procedure_id=9, procedure_description="gauze")
    outcome = visitpay("load", "--approve", "x\x1b")
    message = r"visitpay: not in the landing directory: x\x1b"
    assert (outcome.status, outcome.said) == (2, f"{message}\n")
    assert feed.keys(Procedure) == []


def test_explain(feed: Feed, visitpay: Visitpay) -> None:
    """A visit's row, the line it came from, its deliveries, its rejects and its balance."""
    deliver(feed)
    feed.deliver(
        Visit,
        row(visit_identifier=10, guarantor_identifier=8, visit_balance="20.25"),
        row(visit_identifier=10, guarantor_identifier=8, visit_balance="x"),
        at="20211202_223005",
    )
    visitpay("load")
    known = visitpay("explain", "visit", "10", "--json").document
    seen = known["row"]
    assert list(seen) == columns(Visit)
    assert seen == dict.fromkeys(seen) | {
        "visit_identifier": 10,
        "guarantor_identifier": 8,
        "admit_date": "2021-01-02",
        "visit_balance": "20.25",
    }
    later = VISITS.replace("1201", "1202")
    assert (known["source"]["name"], known["line"]) == (later, 2)
    assert [each["name"] for each in known["deliveries"]] == [later, VISITS]
    assert {tuple(each) for each in known["deliveries"]} == {
        ("id", "name", "file_datetime", "loaded_at", "replaced_by")
    }
    assert [(each["line"], each["reason"]) for each in known["rejects"]] == [(3, "invalid_amount")]
    assert known["balance"] == {
        "visit_identifier": 10,
        "visit_balance": "20.25",
        "transactions": 1,
        "transactions_total": "20.25",
        "differs": False,
    }
    told = visitpay("explain", "Visit", "10").out
    assert "20.25 is 20.25, the sum of 1 transaction\n" in told.replace(" \n", "\n")
    assert f"{short_name(later)}, line 2" in told


def test_explain_what_is_not_in_its_table(feed: Feed, visitpay: Visitpay) -> None:
    """Rejects alone are shown; of what never came, nothing is known, and the status is 1."""
    deliver(feed)
    visitpay("load")
    outcome = visitpay("explain", "transaction", "101")
    assert outcome.status == 0
    assert "is in no table" in outcome.out
    assert "missing_reference" in outcome.out
    outcome = visitpay("explain", "procedure", "777")
    assert (outcome.status, outcome.out.splitlines()[0]) == (1, "nothing is known of procedure 777")
    assert visitpay("explain", "procedure", "777", "--json").document["row"] is None
    differs = visitpay("explain", "transaction", "100").out
    assert "20.50 differs from 20.25, the sum of 1 transaction" in differs


def test_dismiss_very_many(feed: Feed, visitpay: Visitpay) -> None:
    """Any number of ids is taken, more than a statement of either database has parameters for."""
    number = 70_000
    feed.deliver(Procedure, *[line(Procedure, procedure_id="x")] * number)
    visitpay("load")
    with read_connection(feed.url) as connection:
        ids = connection.scalars(select(RejectedRow.id)).all()
    assert len(ids) == number
    document = visitpay("rejects", "dismiss", *ids, "--why", "made up", "--json").document
    assert (document["total"], document["dismissed"]) == (number, sorted(ids))
    again = visitpay("rejects", "dismiss", *ids, "--why", "made up")
    assert (again.status, again.err.count("\n"), len(again.err) < 200) == (2, 1, True)
    assert again.err.endswith(f" and {number - 3:,} more; nothing was dismissed\n")


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ("--entity transaction", [3, 4, 5, 6]),
        ("--reason invalid_date", [3]),
        ("--file _Visit_", [3, 4]),
        ("--key 101", [3]),
        ("--entity transaction --reason invalid_amount", [4]),
        ("--since 2100-01-01", []),
        ("--file %", []),
    ],
)
def test_dismiss_by_what_they_are(
    feed: Feed, visitpay: Visitpay, options: str, lines: list[int]
) -> None:
    """Rejects are chosen as in `rejects list`; a dry run says how many, and dismisses none."""
    deliver(feed)
    visitpay("load")
    listed = visitpay("rejects", "list", *options.split(), "--json").document["rejects"]
    assert [each["line"] for each in listed] == lines
    dismiss = ("rejects", "dismiss", *options.split(), "--why", "test patients")
    dry = visitpay(*dismiss, "--dry-run")
    assert (dry.status, dry.out) == (0, f"dry run, nothing kept: rejects dismissed {len(lines)}\n")
    before = feed.rejects("open")
    document = visitpay(*dismiss, "--json").document
    ids = sorted(each["id"] for each in listed)
    assert document == {"format": 1, "dismissed": ids, "total": len(ids), "dry_run": False}
    assert len(feed.rejects("open")) == len(before) - len(ids)
    assert visitpay(*dismiss).out == "rejects dismissed 0\n"


@only_sqlite
@pytest.mark.parametrize("arguments", [[], ["1", "--reason", "malformed"], ["0"], [str(1 << 63)]])
def test_dismiss_says_which(feed: Feed, visitpay: Visitpay, arguments: list[str]) -> None:
    """Neither all rejects nor ids and options together are dismissed, by a slip of the pen."""
    deliver(feed)
    visitpay("load")
    outcome = visitpay("rejects", "dismiss", *arguments, "--why", "x")
    assert (outcome.status, outcome.out) == (2, "")
    assert len(feed.rejects("open")) == 8


HOSPITALS = [
    *("St. Mary's (East) [1] *+?^$", "A|B;C,D", 'The "Best"', "50% off", "Ä ☃ 中", "$HOME `x` \\d"),
    *("=1+1", "@SUM", "-x", "a_VisitPay_b"),
]


@pytest.mark.parametrize("hospital", HOSPITALS)
def test_export_under_any_name(
    feed: Feed, visitpay: Visitpay, tmp_path: Path, hospital: str
) -> None:
    """Whatever a file is called, its rejects come out under its name, and close when mended."""
    malformed = line(Procedure, procedure_id=2) + "\tb"
    path = feed.deliver(
        Procedure,
        row(procedure_id=1, procedure_description="x"),
        row(procedure_id="y", procedure_description="gauze"),
        malformed,
    )
    path = path.rename(path.with_name(path.name.replace("HospitalABC", hospital)))
    assert visitpay("load", "--hospital", hospital).status == 1
    ((mended, rows),) = exported(visitpay, tmp_path, "--hospital", hospital)
    assert rows == 2
    _, first, second = mended.read_text().splitlines()
    assert [cell.strip() for cell in first.split("\t")[2:4]] == [path.name, "3#1"]
    good = line(Procedure, procedure_id=2)
    kept = [first.replace("\ty\tgauze", "\t7\tgauze"), second.replace(malformed, good)]
    text = mended.read_text().replace(first, kept[0]).replace(second, kept[1])
    (feed.landing / mended.name).write_text(text)
    outcome = visitpay("load", "--hospital", hospital)
    assert (outcome.status, feed.rejects("open")) == (0, [])
    assert feed.keys(Procedure) == [1, 2, 7]


def no_links(code: int, *_paths: object) -> None:
    """Refuse a hard link, as a file system does that has none."""
    raise OSError(code, os.strerror(code))


@only_sqlite
@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS])
def test_export_where_there_are_no_links(
    feed: Feed, visitpay: Visitpay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """On FAT and many a share an export is whole, its owner's alone, and over no other file."""
    deliver(feed)
    visitpay("load")
    linked = exported(visitpay, tmp_path / "linked")
    monkeypatch.setattr(os, "link", partial(no_links, code))
    files = exported(visitpay, tmp_path / "placed")
    assert [rows for _, rows in files] == [rows for _, rows in linked]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path, _ in files)
    assert sorted(path.name for path in (tmp_path / "placed").iterdir()) == sorted(
        path.name for path, _ in files
    )


@only_sqlite
@pytest.mark.parametrize("links", [True, False])
def test_writing_over_no_other_file(
    tmp_path: Path, feed: Feed, monkeypatch: pytest.MonkeyPatch, *, links: bool
) -> None:
    """A file of that name, a link or a directory stays as it is, and nothing is left beside it."""
    assert feed.names() == []
    if not links:
        monkeypatch.setattr(os, "link", partial(no_links, errno.EPERM))
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "file").write_text("theirs")
    (folder / "link").symlink_to(folder / "nowhere")
    (folder / "directory").mkdir()
    for name in ("file", "link", "directory"):
        with (
            pytest.raises(ConfigurationError, match="cannot be written: File exists"),
            write_private(folder / name) as file,
        ):
            file.write("ours")
    assert (folder / "file").read_text() == "theirs"
    assert not (folder / "nowhere").exists()
    assert sorted(path.name for path in folder.iterdir()) == ["directory", "file", "link"]
