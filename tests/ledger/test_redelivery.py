"""What a delivery means: which one is newer, and what it does to the rejects of others."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from sqlalchemy import select, text

from tests.support.command import Visitpay
from tests.support.feed import Feed, header_line, line, only_postgresql, only_sqlite, row
from visitpay.database.engine import make_engine, read_connection
from visitpay.landing.scan import scan
from visitpay.loading.run import load
from visitpay.models import LoadFile, Procedure, Transaction, Visit

DAY_1, DAY_2, DAY_3 = "20211201_223357", "20211202_223357", "20211203_223357"


def exported(visitpay: Visitpay, directory: Path, *options: str) -> Path:
    """Export rejects of one type; give the file."""
    (path,) = visitpay("rejects", "export", directory, *options, "--json").document["written"]
    return Path(path["path"])


def mend(feed: Feed, path: Path, *changes: tuple[str, str], without: str = "") -> None:
    """Change the rows of an export, leave out those that hold a word, and deliver the file."""
    lines = [line for line in path.read_text().splitlines() if not (without and without in line)]
    content = "\n".join(lines)
    for was, now in changes:
        assert content.count(was) == 1, was
        content = content.replace(was, now)
    path.unlink()
    (feed.landing / path.name).write_text(content)


def findings(visitpay: Visitpay) -> dict[str, tuple[str, int]]:
    """Return subject and count of each finding about a file, by its check."""
    found = visitpay("status", "--json").document["findings"]
    return {each["check"]: (each["subject"], each["count"]) for each in found if each["subject"]}


def test_a_redelivery_closes_what_its_name_had_open(feed: Feed, visitpay: Visitpay) -> None:
    """What it still has wrong is rejected anew; a row that was taken out waits for nothing."""
    feed.deliver(Procedure, at=DAY_1, procedure_description="cast")
    name = feed.deliver(
        Transaction,
        row(transaction_identifier=5, visit_identifier=999, amount="3.00"),
        "x\t1",
        row(transaction_identifier=6, visit_identifier=1, amount="bad"),
        at=DAY_1,
    ).name
    visitpay("load")
    assert len(feed.rejects("open")) == 3
    feed.deliver(Transaction, at=DAY_1, transaction_identifier=6, visit_identifier=1, amount="bad")
    visitpay("load")
    assert [row[1:4] for row in feed.rejects("open")] == [(2, 6, "invalid_amount")]
    feed.deliver(Visit, at=DAY_3, visit_identifier=999)
    document = visitpay("load", "--json").document
    assert (document["rejects_resolved"], feed.keys(Transaction)) == (0, [])
    assert {row[0] for row in feed.rejects("superseded")} == {name}


def test_a_redelivery_that_fails_or_is_held_closes_nothing(feed: Feed, visitpay: Visitpay) -> None:
    """Only one that loads replaces its name."""
    feed.deliver(
        Procedure,
        row(procedure_id=1, procedure_description="cast"),
        row(procedure_id="x", procedure_description="y"),
        at=DAY_1,
    )
    visitpay("load")
    before = feed.rejects("open")
    feed.deliver_lines(Procedure, line(Procedure), at=DAY_1, header="nonsense")
    visitpay("load")
    feed.deliver(Procedure, *["z"] * 9, at=DAY_1)
    assert visitpay("load", "--hold-above", "50").status == 1
    assert feed.rejects("open") == before
    feed.deliver(Procedure, at=DAY_1, procedure_id=2, procedure_description="cast")
    assert visitpay("load").status == 0
    assert feed.rejects("open") == []


def test_a_mended_row_closes_its_own_reject_only(
    feed: Feed, visitpay: Visitpay, tmp_path: Path
) -> None:
    """Not the one that stands on the same line of a later delivery of the name."""
    feed.deliver(
        Procedure,
        row(procedure_id=1, procedure_description="cast"),
        row(procedure_id="x9", procedure_description="bandage"),
        at=DAY_1,
    )
    visitpay("load")
    path = exported(visitpay, tmp_path)
    feed.deliver(
        Procedure,
        row(procedure_id=1, procedure_description="cast"),
        row(procedure_id="x10", procedure_description="gauze"),
        at=DAY_1,
    )
    visitpay("load")
    mend(feed, path, ("x9", "9"))
    visitpay("load")
    assert [row[5] for row in feed.rejects("open")] == [
        line(Procedure, procedure_id="x10", procedure_description="gauze")
    ]
    assert feed.keys(Procedure) == [1, 9]


@pytest.mark.parametrize("redelivered", [False, True])
def test_an_export_of_an_older_version(
    feed: Feed, visitpay: Visitpay, tmp_path: Path, *, redelivered: bool
) -> None:
    """Without the reject's id, file and line count, where only one open reject has them."""
    feed.deliver(
        Procedure,
        row(procedure_id=1, procedure_description="cast"),
        row(procedure_id="x9", procedure_description="bandage"),
        at=DAY_1,
    )
    visitpay("load")
    if redelivered:
        feed.deliver(
            Procedure,
            row(procedure_id=1, procedure_description="cast"),
            "",
            row(procedure_id="x9", procedure_description="bandage"),
            at=DAY_1,
        )
        visitpay("load")
    path = exported(visitpay, tmp_path)
    (number,) = (each[1] for each in feed.rejects("open"))
    mark = path.read_text().splitlines()[1].split("\t")[3]
    assert mark.startswith(f"{number}#")
    mend(feed, path, (mark, str(number)), ("x9", "9"))
    visitpay("load")
    assert feed.rejects("open") == []


def test_mended_in_vain_twice(feed: Feed, visitpay: Visitpay, tmp_path: Path) -> None:
    """The reject stays open that the row came from, however often, and comes out as it first was.

    One that then waits for a reference takes its place, and is mended by its own mark.
    """
    feed.deliver(Procedure, at=DAY_1, procedure_description="cast")
    feed.deliver(Transaction, at=DAY_1, amount="bad")
    visitpay("load")
    for name in "ab":
        mend(feed, exported(visitpay, tmp_path / name), ("bad", f"bad{name}"))
        visitpay("load")
        assert [row[5] for row in feed.rejects("open")] == [line(Transaction, amount="bad")]
    mend(feed, exported(visitpay, tmp_path / "c"), ("bad", "2.00"))
    visitpay("load")
    (waiting,) = feed.rejects("open")
    mended = line(Transaction, amount="2.00")
    assert (waiting[3], waiting[5].endswith(mended)) == ("missing_reference", True)
    path = exported(visitpay, tmp_path / "d")
    feed.deliver(Visit, at=DAY_1, visit_identifier=8)
    mend(feed, path, (mended, line(Transaction, visit_identifier=8)))
    visitpay("load")
    assert (feed.rejects("open"), len(feed.keys(Transaction))) == ([], 1)


def test_an_export_outranks_no_later_file(feed: Feed, visitpay: Visitpay, tmp_path: Path) -> None:
    """It is dated after what was loaded, and not by the clock: the hospital's next file wins."""
    feed.deliver(
        Visit,
        at=DAY_1,
        visit_identifier=104,
        guarantor_identifier=9,
        admit_date="13/45/2021",
        visit_balance="10.00",
    )
    visitpay("load")
    path = exported(visitpay, tmp_path)
    assert path.name == "HospitalABC_VisitPay_Visit_20211201_223358.txt"
    mend(feed, path, ("13/45/2021", "12/4/2021"))
    visitpay("load")
    feed.deliver(
        Visit,
        at=DAY_2,
        visit_identifier=104,
        guarantor_identifier=9,
        admit_date="12/4/2021",
        visit_balance="250.00",
    )
    document = visitpay("load", "--json").document
    assert [each["updated"] for each in document["files"]] == [1]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_equal_times_go_by_the_bytes_of_the_name(
    feed: Feed, visitpay: Visitpay, order: tuple[int, int]
) -> None:
    """Whichever arrives first, the bracketed name is the newer of two with the same time."""
    files = [(DAY_1, "bare"), (f"[{DAY_1}]", "bracketed")]
    for moment, description in (files[each] for each in order):
        feed.deliver(Procedure, at=moment, procedure_description=description)
        visitpay("load")
    assert feed.descriptions() == {1: "bracketed"}


def test_one_that_failed_first_and_is_corrected_last(feed: Feed, visitpay: Visitpay) -> None:
    """Its place is by its name, and not by when it was first tried."""
    feed.deliver_lines(Procedure, line(Procedure), at=f"[{DAY_1}]", header="nonsense")
    visitpay("load")
    feed.deliver(Procedure, at=DAY_1, procedure_description="first")
    visitpay("load")
    feed.deliver(Procedure, at=f"[{DAY_1}]", procedure_description="last")
    visitpay("load")
    assert feed.descriptions() == {1: "last"}


@only_postgresql
def test_names_are_ordered_by_bytes_whatever_the_collation(feed: Feed) -> None:
    """The column of names has a collation of its own, so that the database's is never asked."""
    query = (
        "SELECT collation_name FROM information_schema.columns"
        " WHERE table_name = 'load_files' AND column_name = 'name'"
    )
    with make_engine(feed.url).connect() as connection:
        assert connection.scalar(text(query)) == "C"


def test_a_correction_of_the_same_size_and_time(feed: Feed, visitpay: Visitpay) -> None:
    """The hash decides when inode or ctime differ, as after `cp -p` or unzip."""
    path = feed.deliver(Procedure, at=DAY_1, procedure_description="cast")
    visitpay("load")
    seen = path.stat()
    better = feed.landing.parent / "better"
    better.write_bytes(path.read_bytes().replace(b"cast", b"burn"))
    os.utime(better, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    better.replace(path)
    now = path.stat()
    assert (now.st_size, now.st_mtime_ns) == (seen.st_size, seen.st_mtime_ns)
    visitpay("load")
    assert feed.descriptions() == {1: "burn"}


@pytest.mark.parametrize("moment", [-1, -(2**40), 10_413_792_000, 0, 15_032_385_535])
def test_no_time_of_a_file_stops_a_run(feed: Feed, visitpay: Visitpay, moment: int) -> None:
    """Neither one before 1970 nor one beyond 64 bits of nanoseconds."""
    path = feed.deliver(Procedure, at=DAY_1, procedure_description="cast")
    os.utime(path, (moment, moment))
    assert visitpay("load").status == 0
    assert visitpay("load", "--json").document["files"] == []
    assert visitpay("status").status == 0


def test_the_ledger_keeps_what_it_saw(feed: Feed, visitpay: Visitpay) -> None:
    """The version holds size, mtime, ctime and inode."""
    path = feed.deliver(Procedure, at=DAY_1, procedure_description="cast")
    visitpay("load")
    seen = path.stat()
    parts = (seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino)
    with read_connection(feed.url) as connection:
        assert connection.scalar(select(LoadFile.version)) == " ".join(map(str, parts))


def test_another_hospital_is_refused(feed: Feed, visitpay: Visitpay) -> None:
    """Its rows would overwrite those of the first: exit status 2, and nothing is loaded."""
    feed.deliver(Procedure, at=DAY_1, procedure_description="cast")
    visitpay("load")
    other = feed.landing / f"General_VisitPay_Procedure_{DAY_2}.txt"
    other.write_text(f"{header_line(Procedure)}\n{line(Procedure)}\n")
    outcome = visitpay("load", "--hospital", "General")
    assert outcome.status == 2
    assert outcome.said.splitlines()[-1] == (
        "visitpay: the database holds files of HospitalABC, not of General: each hospital needs a"
        " database of its own, or on PostgreSQL a schema of its own, which --schema names"
    )
    assert feed.descriptions() == {1: "cast"}
    assert visitpay("load").status == 0


def test_a_mistyped_hospital_does_no_harm(feed: Feed, visitpay: Visitpay) -> None:
    """A hospital of which nothing was loaded does not take the database for its own."""
    visitpay("load", "--hospital", "Hopital")
    feed.deliver(Procedure, at=DAY_1, procedure_description="cast")
    assert visitpay("load").status == 0


def test_of_a_key_one_reject_is_open(feed: Feed, visitpay: Visitpay) -> None:
    """A bad row that comes every day is one open reject, the newest, with a key or without."""
    for day in (2, 3, 1):
        one, other = row(admit_date="13/13/2021"), row(admit_date="13/14/2021")
        feed.deliver(Visit, one, "x\ty", other, "x\ty", at=f"2021120{day}_223357")
        visitpay("load")
    name = "HospitalABC_VisitPay_Visit_20211203_223357.txt"
    assert [row[:2] for row in feed.rejects("open")] == [(name, 3), (name, 4), (name, 5)]
    assert len(feed.rejects("superseded")) == 9


def test_what_waits_for_a_reference_is_closed_by_a_good_row_only(
    feed: Feed, visitpay: Visitpay
) -> None:
    """A bad row of the same key from a newer delivery leaves it waiting, and it heals."""
    feed.deliver(Procedure, at=DAY_1, procedure_description="cast")
    feed.deliver(Transaction, at=DAY_1, transaction_identifier=5, visit_identifier=9, amount="2.00")
    feed.deliver(Transaction, at=DAY_2, transaction_identifier=5, visit_identifier=9, amount="bad")
    visitpay("load")
    assert [row[3] for row in feed.rejects("open")] == ["missing_reference", "invalid_amount"]
    feed.deliver(Visit, at=DAY_3, visit_identifier=9)
    assert visitpay("load", "--json").document["rejects_resolved"] == 1
    assert [row[3] for row in feed.rejects("open")] == ["invalid_amount"]
    feed.deliver(Transaction, at=DAY_3, transaction_identifier=5, visit_identifier=9, amount="3.00")
    visitpay("load")
    assert feed.rejects("open") == []


def test_a_closed_reject_still_replaces_older_ones(feed: Feed, visitpay: Visitpay) -> None:
    """Also where a redelivery closed it: a late older reject of its key is closed at once."""
    feed.deliver(Visit, at=DAY_2, visit_identifier=7, guarantor_identifier=8, admit_date="bad")
    visitpay("load")
    feed.deliver(Visit, at=DAY_2, visit_identifier=8, guarantor_identifier=8, admit_date="1/1/2021")
    visitpay("load")
    feed.deliver(Visit, at=DAY_1, visit_identifier=7, guarantor_identifier=8, admit_date="worse")
    visitpay("load")
    assert feed.rejects("open") == []


def test_conflicting_rows(feed: Feed, visitpay: Visitpay) -> None:
    """A key twice in a file with different values is told; a row that is repeated is not."""
    same = feed.deliver(Visit, *[row(visit_identifier=1)] * 2, row(visit_identifier=2), at=DAY_1)
    other = feed.deliver(
        Procedure,
        row(procedure_id=1, procedure_description="cast"),
        row(procedure_id=2, procedure_description="burn"),
        row(procedure_id=1, procedure_description="gauze"),
        row(procedure_id=1, procedure_description="cast"),
        at=DAY_1,
    )
    outcome = visitpay("load")
    told = f"{other.name}: 2 rows are replaced by later ones of the same identifier with other"
    assert (told in outcome.err, f"{same.name}: 1 row is" in outcome.err) == (True, False)
    assert findings(visitpay)["conflicting_rows"] == (other.name, 2)
    feed.deliver(
        Procedure,
        row(procedure_id=1, procedure_description="cast"),
        row(procedure_id=2, procedure_description="burn"),
        at=DAY_1,
    )
    visitpay("load")
    assert "conflicting_rows" not in findings(visitpay)


@only_sqlite
def test_conflicting_rows_of_several_batches(feed: Feed) -> None:
    """They are found in whatever blocks the file is read."""
    from visitpay.loading.types import Options

    feed.deliver(
        Procedure,
        row(procedure_id=1, procedure_description="cast"),
        row(procedure_id=2, procedure_description="burn"),
        row(procedure_id=3, procedure_description="x"),
        row(procedure_id=1, procedure_description="gauze"),
        row(procedure_id=2, procedure_description="burn"),
        at=DAY_1,
    )
    load(make_engine(feed.url), feed.landing, "HospitalABC", Options(block_bytes=20))
    with read_connection(feed.url) as connection:
        assert connection.scalars(select(LoadFile.rows_conflicting)).all() == [1]


def test_two_exports_of_one_name(feed: Feed, visitpay: Visitpay, tmp_path: Path) -> None:
    """Two exports made before either is loaded bear one name; the second withdraws no row."""
    feed.deliver(
        Procedure,
        row(procedure_id="x", procedure_description="cast"),
        row(procedure_id=2, procedure_description=""),
    )
    visitpay("load")
    first, second = (
        exported(visitpay, tmp_path / reason, "--reason", reason)
        for reason in ("invalid_integer", "missing_value")
    )
    assert first.name == second.name
    mend(feed, first, ("\tx\t", "\t1\t"))
    visitpay("load")
    mend(feed, second, ("\t2\t", "\t2\tburn"))
    visitpay("load")
    assert feed.keys(Procedure) == [1, 2]
    for key in ("1", "2"):
        assert visitpay("explain", "procedure", key, "--json").document["withdrawn_by"] is None


def test_rows_withdrawn(feed: Feed, visitpay: Visitpay) -> None:
    """A redelivery without keys of the former is told of, the rows stay, and `explain` says so."""
    name = feed.deliver(
        Procedure,
        row(procedure_id=1, procedure_description="cast"),
        row(procedure_id=2, procedure_description="burn"),
        row(procedure_id=3, procedure_description="x"),
        row(procedure_id=4, procedure_description="z"),
        at=DAY_1,
    ).name
    visitpay("load")
    feed.deliver(
        Procedure,
        row(procedure_id=1, procedure_description="cast"),
        line(Procedure, procedure_id=3, procedure_description="x") + "\ty",
        at=DAY_1,
    )
    outcome = visitpay("load")
    assert f"{name}: 2 rows of its former deliveries are not in it; the rows stay" in outcome.err
    assert findings(visitpay)["rows_withdrawn"] == (name, 2)
    assert feed.keys(Procedure) == [1, 2, 3, 4]
    later = visitpay("explain", "procedure", "2", "--json").document["withdrawn_by"]
    assert later["name"] == name
    assert "a later Procedure_20211201_223357 lacks it" in visitpay("explain", "procedure", "2").out
    for key in ("1", "3"):
        assert visitpay("explain", "procedure", key, "--json").document["withdrawn_by"] is None
    feed.deliver(
        Procedure,
        row(procedure_id=1, procedure_description="cast"),
        row(procedure_id=2, procedure_description="burn"),
        row(procedure_id=3, procedure_description="x"),
        row(procedure_id=4, procedure_description="z"),
        at=DAY_1,
    )
    visitpay("load")
    assert "rows_withdrawn" not in findings(visitpay)


def test_content_repeated(feed: Feed, visitpay: Visitpay) -> None:
    """The bytes of an earlier file under a new name put old values back: loaded, and told."""
    first = feed.deliver(Visit, at=DAY_1, visit_identifier=1, visit_balance=5)
    feed.deliver(Visit, at=DAY_2, visit_identifier=1, visit_balance=6)
    visitpay("load")
    again = feed.landing / first.name.replace("20211201", "20211203")
    shutil.copy(first, again)
    outcome = visitpay("load")
    assert f"{again.name}: has the same content as {first.name}" in outcome.err
    assert str(feed.column(Visit, "visit_balance")[0]) == "5.00"
    assert findings(visitpay)["content_repeated"] == (again.name, 1)
    ignored = visitpay("status", "--ignore", "content_repeated", "--json").document["findings"]
    assert "content_repeated" not in {each["check"] for each in ignored}


def test_a_name_that_comes_back_to_its_first_content(feed: Feed, visitpay: Visitpay) -> None:
    """Contents A, B, A of one name are three deliveries, and no repetition of another file."""
    for letter in "aba":
        path = feed.deliver(Procedure, at=DAY_1, procedure_description=letter)
        visitpay("load")
    assert feed.descriptions() == {1: "a"}
    assert "content_repeated" not in findings(visitpay)
    with read_connection(feed.url) as connection:
        hashes = connection.scalars(select(LoadFile.sha256).order_by(LoadFile.id)).all()
    assert (len(hashes), hashes[2]) == (3, hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize(
    ("moment", "told"), [("20211101_000000", False), ("20211031_000000", True)]
)
def test_file_in_past(feed: Feed, visitpay: Visitpay, moment: str, *, told: bool) -> None:
    """A file more than 30 days older than the newest that brings stale rows is told of."""
    feed.deliver(
        Procedure,
        row(procedure_id=1, procedure_description="new"),
        row(procedure_id=2, procedure_description="new"),
        at="20211201_000000",
    )
    visitpay("load")
    old = feed.deliver(
        Procedure,
        row(procedure_id=1, procedure_description="old"),
        row(procedure_id=3, procedure_description="old"),
        at=moment,
    )
    visitpay("load")
    assert feed.column(Procedure, "procedure_description") == ["new", "new", "old"]
    found = findings(visitpay).get("file_in_past")
    assert found == ((old.name, 1) if told else None)


def test_a_file_of_the_future_is_held(feed: Feed, visitpay: Visitpay) -> None:
    """Its rows would be the newest until then: it waits for its time, or for a person."""
    future = feed.deliver(
        Procedure, at="20991231_000000", procedure_id=5, procedure_description="five"
    )
    feed.deliver(Procedure, at=DAY_1, procedure_id=5, procedure_description="four")
    outcome = visitpay("load")
    told = f"{future.name}: held: its name is dated in the future, 2099-12-31 00:00 UTC; ask the"
    assert (outcome.status, outcome.err.count(told)) == (1, 1)
    assert visitpay("status", "--json").document["files_held"] == [future.name]
    assert feed.descriptions() == {5: "four"}
    assert visitpay("load", "--approve", future.name).status == 0
    assert feed.descriptions() == {5: "five"}
    assert findings(visitpay)["file_in_future"] == (future.name, 1)


def test_mended_rows_of_a_future_file_are_not_held(
    feed: Feed, visitpay: Visitpay, tmp_path: Path
) -> None:
    """A file of mended rejects is never held, though it is dated after the one it comes from."""
    future = feed.deliver(
        Procedure,
        row(procedure_id=5, procedure_description="five"),
        row(procedure_id=6, procedure_description=""),
        at="20991231_000000",
    )
    visitpay("load", "--approve", future.name)
    mend(feed, exported(visitpay, tmp_path), ("\t6\t", "\t6\tsix"))
    assert visitpay("load").status == 0
    assert feed.keys(Procedure) == [5, 6]


def test_a_landing_of_files_that_were_seen_before_the_upgrade(
    feed: Feed, visitpay: Visitpay
) -> None:
    """A ledger that knows no versions compares hashes once, and loads nothing again."""
    feed.deliver(Procedure, at=DAY_1, procedure_description="cast")
    visitpay("load")
    feed.execute("UPDATE load_files SET version = ''")
    assert visitpay("load", "--json").document["files"] == []
    (file,) = scan(feed.landing, "HospitalABC").files
    with read_connection(feed.url) as connection:
        assert connection.scalar(select(LoadFile.version)) == file.version
