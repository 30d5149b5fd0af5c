"""`visitpay rejects list`: which rejects, in which order and form, and the money of them."""

import csv
import io
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.command import Visitpay, on_terminal
from tests.support.feed import Feed, only_sqlite, row
from visitpay.models import Procedure, Transaction, Visit
from visitpay.rejects.queries import is_named

DAYS = ("20211201_223005", "20211202_223005", "20211203_223005")


def deliver_and_load(feed: Feed, visitpay: Visitpay) -> None:
    """Load three days of bad visits, the second day last, and some transactions without a visit."""
    for day in (DAYS[0], DAYS[2], DAYS[1]):
        bad = [row(visit_identifier=key, admit_date="x", visit_balance="0.10") for key in (1, 2)]
        feed.deliver(Visit, *bad, "=1+2\t7", at=day)
        visitpay("load")
    feed.deliver(Transaction, row(amount="0.10"), row(transaction_identifier=2, amount="-0.30"))
    visitpay("load")


def test_newest_first(feed: Feed, visitpay: Visitpay) -> None:
    """What the last load put aside stands first, whatever the time in the file's name."""
    deliver_and_load(feed, visitpay)
    rows = visitpay("rejects", "list", "--status", "all", "--json").document["rejects"]
    assert [(each["file"][21:-4], each["line"]) for each in rows] == [
        *[("Transaction_20211201_223133", line) for line in (2, 3)],
        *[(f"Visit_{day}", line) for day in (DAYS[1], DAYS[2], DAYS[0]) for line in (2, 3, 4)],
    ]
    first = visitpay("rejects", "list", "--limit", "1", "--json").document
    assert (first["rejects"], first["total"]) == (rows[:1], 5)
    newest, oldest = (
        next(each["id"] for each in rows if each["line"] == 2 and day in each["file"])
        for day in (DAYS[2], DAYS[0])
    )
    refused = visitpay("rejects", "dismiss", oldest, "--dry-run")
    assert refused.err == (
        f"visitpay: no open rejects: {oldest} (superseded by {newest}); nothing was dismissed\n"
    )
    tried = visitpay("rejects", "dismiss", newest, "--dry-run")
    assert tried.out == "dry run, nothing kept: rejects dismissed 1\n"


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ("visit", 3),
        ("_Visit_", 3),
        ("TRANSACTION_2021", 2),
        ("visit_20211203", 3),
        ("HospitalABC_VisitPay_Visit_20211203_223005.txt", 3),
        ("hospitalabc_visitpay_", 5),
        ("Transaction_20211201_223133.txt", 2),
        ("VisitPay", 0),
        ("Hospital", 0),
        ("t", 5),
        ("x", 0),
        ("%", 0),
        ("_2021_", 0),
    ],
)
def test_part_of_a_name(feed: Feed, visitpay: Visitpay, part: str, found: int) -> None:
    """`--file` means the type and the time in a name, or what spells out more of it."""
    deliver_and_load(feed, visitpay)
    rows = visitpay("rejects", "list", "--file", part, "--json").document["rejects"]
    assert len(rows) == found
    everything = visitpay("rejects", "list", "--json").document["rejects"]
    assert [each for each in everything if is_named(each["file"], part)] == rows


def parsed(text: str) -> list[dict[str, str]]:
    """Return the rows of CSV."""
    return list(csv.DictReader(io.StringIO(text, newline="")))


@only_sqlite
def test_csv(feed: Feed, visitpay: Visitpay) -> None:
    """CSV has all rejects, as JSON has them; what a row holds only where that is asked for."""
    rows = [row(visit_identifier=key, admit_date='x "a", b') for key in range(60)]
    feed.deliver(Visit, *rows, "=1+2\t-3,=4;@5|-6|+7+8\x1b[0m", "-20.00\t\u00e9")
    visitpay("load")
    listed = visitpay("rejects", "list", "--limit", 100, "--raw", "--json").document["rejects"]
    outcome = visitpay("rejects", "list", "--csv")
    assert outcome.out.count("\r\n") == len(outcome.out.splitlines()) == 63
    bare = parsed(outcome.out)
    assert not {"key", "raw"} & set(bare[0])
    whole = parsed(visitpay("rejects", "list", "--csv", "--raw").out)
    for got in (bare, whole):
        for one, other in zip(got, listed, strict=True):
            expected = {name: "" if other[name] is None else str(other[name]) for name in one}
            assert {**one, "raw": ""} == {**expected, "raw": ""}
    assert whole[0]["raw"] == listed[0]["raw"].replace("\t", r"\t")
    assert [each["raw"] for each in whole[-2:]] == [
        r" =1+2\t-3, =4; @5|-6| +7+8\x1b[0m",
        r" -20.00\té",
    ]
    assert len(parsed(visitpay("rejects", "list", "--csv", "--limit", 3).out)) == 3
    assert visitpay("rejects", "list", "--csv", "--json").status == 2


@only_sqlite
def test_money(feed: Feed, visitpay: Visitpay) -> None:
    """The money in the quarantine takes one command, and one screen."""
    deliver_and_load(feed, visitpay)
    feed.deliver(Visit, row(visit_identifier="v", visit_balance="1234.50"), at="20211204_223005")
    visitpay("load")
    screen, lines = on_terminal(feed, 80, "rejects", "list", "--sum")
    assert "\t" not in screen
    assert [" ".join(each.split()) for each in lines[:11]] == [
        "reason transactions amount visits balance unreadable",
        "missing_reference 2 -0.20",
        "invalid_integer 1 1,234.50",
        "invalid_date 2 0.20",
        "malformed 1 1",
        "in all 2 -0.20 4 1,234.70 1",
        "visit transactions amount visits balance unreadable",
        "unreadable 2 1,234.50 1",
        "10 2 -0.20",
        "1 1 0.10",
        "2 1 0.10",
    ]
    hints = " ".join(each.strip() for each in lines[11:])
    assert hints.startswith("more of a visit: visitpay explain visit 10 ")
    assert " unreadable rows: visitpay rejects list --raw --entity Visit --reason mal" in hints
    document = visitpay("rejects", "list", "--sum", "--json", "--limit", 1).document
    assert document["by_type"][0] == {
        "entity": "Transaction",
        "rows": 2,
        "amount": "-0.20",
        "unreadable": 0,
        "repeated": 0,
    }
    assert (len(document["by_visit"]), document["total"]) == (1, 4)
    of_visits = parsed(visitpay("rejects", "list", "--sum", "--csv", "--entity", "visit").out)
    assert sum(Decimal(each["amount"]) for each in of_visits) == Decimal("1234.70")
    assert [each["visit"] for each in of_visits] == ["", "1", "2"]
    malformed = visitpay("rejects", "list", "--sum", "--csv", "--reason", "malformed").out
    assert [each["amount"] for each in parsed(malformed)] == [""]
    feed.deliver(Procedure, "x")
    visitpay("load")
    nothing = visitpay("rejects", "list", "--sum", "--entity", "procedure")
    assert nothing.out == (
        "no rejected rows with money to show\n"
        "1 rejected row of types without money, such as Procedure, not in these sums\n"
    )


@only_sqlite
def test_response(
    feed: Feed, visitpay: Visitpay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hospital's errors take one command, which says what it wrote, and what to do then."""
    deliver_and_load(feed, visitpay)
    feed.deliver_bytes(Visit, b"", at="20211209_223005")
    visitpay("load")
    folder = tmp_path / "response"
    outcome = visitpay("rejects", "export", folder, feed.landing, "--response")
    (path,) = folder.iterdir()
    named, written, _, last = outcome.out.splitlines()
    assert named == str(path)
    assert written == "5 rejected rows, 1 file that failed or is held"
    hint = last.split()
    assert path.read_text().count("\nFAILED\t") == 1
    path.unlink()
    again = visitpay(*hint[1:], "--json").document["written"]
    assert [(each["rows"], each["refused"]) for each in again] == [(5, 1)]
    (mended, _, then) = visitpay("rejects", "export", tmp_path / "m").out.splitlines()[-3:]
    assert mended.split()[-1] == "2"
    assert then.split()[:2] == ["visitpay", "load"]
    monkeypatch.delenv("VISITPAY_LANDING")
    monkeypatch.chdir(tmp_path)
    feed.landing.rename(tmp_path / "elsewhere")
    refused = visitpay("rejects", "export", folder, "--response")
    assert refused.status == 2
    assert "name the landing directory" in refused.err
