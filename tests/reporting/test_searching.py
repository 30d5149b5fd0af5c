"""Where an identifier is that is in no table: files that wait, failed or are held; and who owes."""

import csv
import shlex
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Visitpay, on_terminal
from tests.support.feed import Feed, header_line, line, only_sqlite, row
from visitpay.loading.types import Options
from visitpay.models import Procedure, Transaction, Visit
from visitpay.reporting import search

NEXT = "20211202_223133"


def seen(visitpay: Visitpay, what: str, *options: object) -> list[tuple[Any, ...]]:
    """Return where an identifier is in files that are not loaded."""
    found = visitpay("explain", *what.split(), *options, "--json").document["search"]
    assert found["total"] == len(found["sightings"])
    return [
        (each["file"][21:-4], each["line"], each["status"], each["column"], each["reason"])
        for each in found["sightings"]
    ]


def hints(text: str) -> list[list[str]]:
    """Return the commands that a text tells people to run."""
    lines = [each.strip() for each in text.splitlines()]
    return [shlex.split(each)[1:] for each in lines if each.startswith("visitpay ")]


def test_files_that_wait(feed: Feed, visitpay: Visitpay) -> None:
    """Only whole cells of the right column count, in any header, good rows and bad ones alike."""
    feed.deliver(
        Transaction,
        row(transaction_identifier=12, visit_identifier=34),
        row(transaction_identifier=112, visit_identifier=12),
        row(transaction_identifier=121, procedure_id=12, amount=12),
        row(transaction_identifier="012", visit_identifier=34, amount="x"),
        "12\t34\tx",
        "34\tx\t12",
    )
    feed.deliver_lines(
        Transaction,
        "12;34;1;12",
        '7;12;1;" 012 "',
        header="Amount;TransactionIdentifier;ProcedureId;VisitIdentifier",
        at=NEXT,
    )
    key, visit = "TransactionIdentifier", "VisitIdentifier"
    first = "Transaction_20211201_223133"
    assert seen(visitpay, "transaction 12") == [
        (first, 2, "waits", key, None),
        (first, 5, "waits", key, "invalid_amount"),
        (first, 6, "waits", key, "malformed"),
        (f"Transaction_{NEXT}", 3, "waits", key, None),
    ]
    assert seen(visitpay, "visit 12") == [
        (first, 3, "waits", visit, None),
        (f"Transaction_{NEXT}", 2, "waits", visit, None),
        (f"Transaction_{NEXT}", 3, "waits", visit, None),
    ]
    assert seen(visitpay, "visit 13") == []
    shown = visitpay("explain", "transaction", 12).out
    assert f"line 2 of {first}, which waits for the next load\n" in shown
    (load,) = hints(shown)
    visitpay("explain", "visit", 1)
    assert visitpay(*load).status == 1
    assert seen(visitpay, "transaction 12") == []


@only_sqlite
def test_line_far_into_a_file(feed: Feed, visitpay: Visitpay) -> None:
    """The line is the physical one, however many blocks and blank lines came before, in UTF-16."""
    lines = [line(Procedure, procedure_id=key) for key in range(300_000)]
    lines[7] = lines[9] = ""
    text = "\r\n".join([header_line(Procedure), *lines, ""])
    feed.deliver_bytes(Procedure, text.encode("utf-16"))
    assert seen(visitpay, "procedure 299999") == [
        ("Procedure_20211201_223357", 300_001, "waits", "ProcedureId", None)
    ]


@only_sqlite
def test_held_and_failed_files(
    feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A held file is searched by its columns, one of no use by its cells; each says what to do."""
    monkeypatch.chdir(tmp_path)
    feed.deliver(Visit, row(visit_identifier=20, admit_date="x"), row(visit_identifier=21))
    feed.deliver_lines(
        Visit, "x\t20\t5", "120\t20.5\t1", '7\t8\t "20"', header="A\tB\tC", at="20211202_223005"
    )
    feed.deliver_bytes(Visit, b"\x1f\x8b\x08 20\n\t20\n\xff", at="20211203_223005")
    feed.deliver_lines(Visit, line(Visit, visit_identifier=20), "TRL|9", at="20211204_223005")
    feed.load(Options(hold_above=10))
    assert seen(visitpay, "visit 20") == [
        ("Visit_20211201_223005", 2, "held", "VisitIdentifier", "invalid_date"),
        ("Visit_20211202_223005", 2, "failed", None, None),
        ("Visit_20211202_223005", 4, "failed", None, None),
        ("Visit_20211203_223005", 2, "failed", None, None),
        ("Visit_20211204_223005", 2, "failed", "VisitIdentifier", None),
    ]
    _, shown = on_terminal(feed, 80, "explain", "visit", "21")
    assert len(shown) <= 24
    whole = " ".join(" ".join(shown).split())
    assert "line 3 of Visit_20211201_223005, a held file" in whole
    assert "a held file: 1 of 2 rows rejected" in whole
    (approve,) = hints(visitpay("explain", "visit", 21).out)
    assert visitpay(*approve).status == 1
    assert seen(visitpay, "visit 21") == []
    assert visitpay("explain", "visit", 21, "--json").document["row"]["visit_identifier"] == 21
    shown_of_failed = visitpay("explain", "visit", 20).out
    assert "a file that failed" in shown_of_failed
    export, failed = hints(shown_of_failed)
    assert visitpay(*failed).status == 0
    assert visitpay(*export).status == 0


@only_sqlite
def test_what_cannot_be_searched(
    feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is said what was not searched; a directory that nobody names need not be there."""
    feed.deliver(Procedure)
    feed.deliver(Procedure, at="20211202_223357", procedure_id=1)
    monkeypatch.setattr(search, "MAX_BYTES", feed.path(Procedure).stat().st_size)
    document = visitpay("explain", "procedure", "1", "--json").document["search"]
    assert [each["line"] for each in document["sightings"]] == [2]
    assert document["unread"] == ["HospitalABC_VisitPay_Procedure_20211202_223357.txt"]
    assert "not searched: Procedure_20211202_223357 (" in visitpay("explain", "procedure", 1).out
    gone = visitpay("explain", "procedure", "1", "--landing", tmp_path / "gone")
    assert (gone.status, gone.err) == (1, "")
    assert f"not searched: the landing directory {tmp_path / 'gone'} cannot be read" in gone.out
    monkeypatch.delenv("VISITPAY_LANDING")
    monkeypatch.chdir(tmp_path)
    feed.landing.rename(tmp_path / "elsewhere")
    outcome = visitpay("explain", "procedure", "1")
    never = (
        "no file has brought it: none of 0 files of its type that came;"
        " look into those that are not loaded, too, or ask the hospital"
    )
    first, second, _, last = outcome.out.splitlines()
    assert (outcome.status, first, second) == (1, "nothing is known of procedure 1", never)
    assert last == (
        "files that wait, failed or are held were not searched: give their directory with --landing"
    )
    assert visitpay("explain", "procedure", "1", "--json").document["search"] is None
    monkeypatch.setattr(search, "MAX_BYTES", 1 << 30)
    visitpay("load", tmp_path / "elsewhere")
    feed.landing = tmp_path / "elsewhere"
    feed.deliver(Procedure, at="20211203_223357", procedure_id=2)
    waits = visitpay("explain", "procedure", "2").out
    assert "line 2 of Procedure_20211203_223357, which waits for the next load\n" in waits
    (load,) = hints(waits)
    assert str(feed.landing) in load


def test_why_a_transaction_is_not_there(feed: Feed, visitpay: Visitpay) -> None:
    """It takes one command and one screen: what it waits for, or what is wrong, and what to do."""
    feed.deliver(Procedure)
    waiting = row(transaction_identifier=1, visit_identifier=77)
    feed.deliver(Transaction, waiting, row(transaction_identifier=2, amount="x"), "3\t10\t1")
    for day in range(2, 9):
        feed.deliver(Transaction, waiting, at=f"2021120{day}_223133")
    visitpay("load")
    shown = visitpay("explain", "transaction", 1).out
    assert len(shown.splitlines()) <= 24
    assert "line 2 of Transaction_20211208_223133 waits: visit 77 is not there\n" in shown
    (of_visit,) = hints(shown)
    assert of_visit[:3] == ["explain", "visit", "77"]
    (files,) = hints(visitpay(*of_visit).out)
    assert visitpay(*files).status in {0, 1}
    document = visitpay("explain", "transaction", 1, "--json").document
    assert document["waits_for"] == {"entity": "Visit", "key": 77}
    for key, reason, first in ((2, "invalid_amount in Amount", "export"), (3, "malformed", "list")):
        shown = visitpay("explain", "transaction", key).out
        where = "of Transaction_20211201_223133 was rejected"
        assert f"line {key + 1} {where}, {reason}: Ask the hospital" in shown
        (mend,) = hints(shown)
        assert mend[:2] == ["rejects", first]
    (export,) = hints(visitpay("explain", "transaction", 2).out)
    visitpay(*[str(feed.landing.parent / "m") if each == "mended" else each for each in export])
    (exported,) = (feed.landing.parent / "m").iterdir()
    assert len(exported.read_text().splitlines()) == 2
    never = visitpay("explain", "transaction", 4)
    assert never.status == 1
    assert "none of 8 files of its type that came, the newest Transaction_20211208" in never.out


def test_deliveries_of_one_name(feed: Feed, visitpay: Visitpay) -> None:
    """Two deliveries of one name are told apart, also where rows of both were rejected."""
    for description in ("bandaid", "plaster"):
        bad = "7\tx\ty"
        feed.deliver(Procedure, row(procedure_description=description), bad)
        feed.load()
    document = visitpay("explain", "procedure", "1", "--json").document
    old, new = sorted(each["id"] for each in document["deliveries"])
    assert [(each["id"], each["replaced_by"]) for each in document["deliveries"]] == [
        (new, None),
        (old, new),
    ]
    assert document["source"]["id"] == new
    shown = " ".join(visitpay("explain", "procedure", 1).out.split())
    assert f"came with Procedure_20211201_223357, line 2 (delivery {new})" in shown
    assert f"replaced by delivery {new}" in shown
    rejects = visitpay("explain", "procedure", "7", "--json").document["rejects"]
    assert [(each["file_id"], each["status"]) for each in rejects] == [
        (new, "open"),
        (old, "superseded"),
    ]


def test_guarantor(feed: Feed, visitpay: Visitpay) -> None:
    """A guarantor has visits, balances and transactions, to the cent, and what is in no table."""
    feed.deliver(Procedure)
    visits = feed.deliver(
        Visit,
        *(
            row(visit_identifier=key, guarantor_identifier=5 + key % 2, visit_balance=f"{key}.35")
            for key in range(10, 40)
        ),
        row(visit_identifier=50, guarantor_identifier=5, admit_date="x"),
        row(visit_identifier=5, guarantor_identifier=6, admit_date="x"),
    )
    transactions = feed.deliver(
        Transaction,
        *(
            row(transaction_identifier=key, visit_identifier=10 + key % 30, amount=f"0.{key}")
            for key in range(10, 99)
        ),
    )
    visitpay("load")
    waiting = feed.deliver(Visit, at="20211203_223005", visit_identifier=60, guarantor_identifier=5)
    with visits.open(newline="") as file:
        mine = {
            each["VisitIdentifier"]: Decimal(each["VisitBalance"])
            for each in csv.DictReader(file, delimiter="\t")
            if each["GuarantorIdentifier"] == "5" and each["VisitBalance"]
        }
    sums = dict.fromkeys(mine, Decimal(0))
    with transactions.open(newline="") as file:
        for each in csv.DictReader(file, delimiter="\t"):
            if each["VisitIdentifier"] in mine:
                sums[each["VisitIdentifier"]] += Decimal(each["Amount"])
    found = visitpay("explain", "guarantor", 5, "--json").document
    assert Decimal(found["visit_balance"]) == sum(mine.values())
    assert Decimal(found["transactions_total"]) == sum(sums.values())
    assert (found["visits_total"], found["rejects_total"]) == (15, 1)
    newest = sorted(map(int, mine), reverse=True)
    assert [
        (each["visit_identifier"], each["visit_balance"], each["transactions_total"])
        for each in found["visits_of"]
    ] == [(key, str(mine[str(key)]), str(sums[str(key)])) for key in newest]
    assert [each["key"] for each in found["rejects"]] == [50]
    assert [each["file"] for each in found["search"]["sightings"]] == [waiting.name]
    _, shown = on_terminal(feed, 80, "explain", "GUARANTOR", "5")
    total = f"{sum(mine.values()):,}, transactions {sum(sums.values()):,}"
    whole = " ".join(shown)
    assert f"15 visits of guarantor 5: balances {total}" in whole
    assert "and 10 more" in shown
    assert "the balance of visit 38 is not the sum of its transactions, nor are 14 more" in whole
    assert len([each for each in shown if not each.startswith("    visitpay")]) <= 23
    nobody = visitpay("explain", "guarantor", 7)
    assert (nobody.status, nobody.out.splitlines()[0]) == (1, "nothing is known of guarantor 7")
    assert "guarantor" in visitpay("explain", "nurse", 7).err


@only_sqlite
def test_guarantor_of_other_files(feed: Feed, visitpay: Visitpay) -> None:
    """A number is one of a guarantor only in its column, and no balance is none of 0.00."""
    visit = row(guarantor_identifier=5, visit_balance=None)
    header = "VisitIdentifier\tGuarantorIdentifier"
    feed.deliver(Visit, visit)
    feed.deliver_lines(Visit, "5\t7", '6\t" 05"', "7\t15", header=header, at="20211202_223005")
    visitpay("load")
    assert seen(visitpay, "guarantor 5") == [
        ("Visit_20211202_223005", 3, "failed", "GuarantorIdentifier", None)
    ]
    shown = visitpay("explain", "guarantor", 5).out
    assert "no balance" in shown
    assert "differs" not in shown


@only_sqlite
def test_day_first_file(feed: Feed, visitpay: Visitpay) -> None:
    """Nobody is told to load dates that would be read as other days."""
    feed.deliver(Visit, row(admit_date="05/11/2021"), row(discharge_date="13/11/2021"))
    visitpay("load")
    shown = visitpay("explain", "visit", 10).out
    assert "do not load it with --approve" in shown
    (files,) = hints(shown)
    assert files[:3] == ["files", "--status", "held"]


@only_sqlite
def test_damaged_identifier(feed: Feed, visitpay: Visitpay) -> None:
    """A row whose identifier is damaged is perhaps the one that is missing."""
    good = line(Procedure, procedure_id=12)
    damaged = [good.replace("12", each, 1).encode() for each in ("120", "x12", "1 2")]
    content = [header_line(Procedure).encode(), good.encode().replace(b"12", b"12\xff"), *damaged]
    feed.deliver_bytes(Procedure, b"\n".join([*content, b""]))
    visitpay("load")
    found = visitpay("explain", "procedure", 12)
    assert found.status == 0
    perhaps = "perhaps it is line 4 of Procedure_20211201_223357, which was rejected"
    assert found.out.splitlines()[:1] == ["procedure 12 is in no table"]
    assert perhaps in found.out
    document = visitpay("explain", "procedure", 12, "--json").document
    assert sorted(each["line"] for each in document["rejects"]) == [2, 4]


@only_sqlite
def test_file_that_came_again_without_it(feed: Feed, visitpay: Visitpay) -> None:
    """A rejected row that its file lacks when it comes again is in no later one."""
    for rows in ([row(), row(visit_identifier=11, admit_date="x")], [row()]):
        feed.deliver(Visit, *rows)
        visitpay("load")
    shown = visitpay("explain", "visit", 11).out
    assert "superseded: Visit_20211201_223005 came again without it (delivery 2, " in shown
    assert "none of 1 file of its type" in visitpay("explain", "visit", 12).out
