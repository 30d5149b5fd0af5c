"""`visitpay check`: one file or a directory, in a list that ends, with the sums at its end."""

import shlex
from pathlib import Path

from tests.support.command import Visitpay
from tests.support.feed import Feed, only_sqlite, row
from visitpay.models import Procedure, Transaction, Visit

pytestmark = only_sqlite


def test_many_files(feed: Feed, visitpay: Visitpay) -> None:
    """The worst come first, and what is cut is counted; JSON has all of them, and the sums."""
    for day in range(1, 10):
        feed.deliver(Procedure, at=f"2021120{day}_223357")
    bad = [row(visit_identifier=key, admit_date="x") for key in range(30)]
    feed.deliver(Visit, *bad, row(visit_identifier="x"), row())
    feed.deliver_bytes(Transaction, b"")
    outcome = visitpay("check", "--limit", 3)
    lines = [" ".join(each.split()) for each in outcome.out.splitlines()]
    assert outcome.status == 1
    assert [each.split()[0] for each in lines[1:4]] == [
        "Transaction_20211201_223133",
        "Visit_20211201_223005",
        "Procedure_20211201_223357",
    ]
    assert lines[4] == "3 of 11; --limit shows more"
    assert "3 of 31; --limit shows more" in lines
    of_all = visitpay("check").out
    assert "\n20 of 31; to see more of a file, check it alone, with --limit\n" in of_all
    alone = visitpay("check", feed.path(Visit), "--limit", 100).out
    assert alone.count("\nVisit_20211201_223005") == 1 + 31
    assert lines[-2] == "11 files, 41 rows, 31 rejected, 1 file cannot be used"
    document = visitpay("check", "--json").document
    assert (len(document["files"]), document["total"], document["unusable"]) == (11, 11, 1)
    assert (document["rows_read"], document["rejected"]) == (41, 31)
    assert document["reasons"] == {"invalid_date": 30, "invalid_integer": 1}
    *_, hint = outcome.out.splitlines()
    command = shlex.split(hint.partition(": ")[2])
    assert visitpay(*command[1:]).status == 1
    assert feed.rows(Visit, "visit_identifier") == []


def test_one_file(feed: Feed, visitpay: Visitpay, tmp_path: Path) -> None:
    """A single file is checked by its name, or as what it is said to hold."""
    feed.deliver_bytes(Procedure, b"")
    path = feed.deliver(Visit, row(admit_date="x"), row(visit_identifier=11))
    one = visitpay("check", path, "--json")
    assert one.status == 1
    assert [each["name"] for each in one.document["files"]] == [path.name]
    path.unlink()
    good = feed.deliver(Visit)
    assert visitpay("check", good).status == 0
    assert visitpay("check", good).out.splitlines()[-2] == "1 file, 1 row, 0 rejected"
    other = good.rename(tmp_path / "Visits\x1b of today.csv")
    refused = visitpay("check", other)
    assert (refused.status, refused.out) == (2, "")
    assert r"the name of Visits\x1b of today.csv is none of the feed's" in refused.err
    link = tmp_path / "link"
    link.symlink_to(other)
    for named in (other, link):
        assert visitpay("check", named, "--entity", "VISIT").status == 0
    assert visitpay("check", other, "--entity", "procedure").status == 1
    assert visitpay("check", "--entity", "visit").status == 2
    assert visitpay("check", tmp_path / "nowhere").status == 2
    wrong_case = feed.deliver(Visit).rename(feed.path(Visit).with_suffix(".TXT"))
    assert "only the case of letters differs" in visitpay("check", wrong_case).err
    wrong_case = feed.deliver(Procedure).rename(feed.path(Procedure).with_suffix(".TXT"))
    assert "--entity procedure\n" in visitpay("check", wrong_case).err


def test_file_of_the_future(feed: Feed, visitpay: Visitpay) -> None:
    """A load would hold a file that is dated in the future, however good it is."""
    path = feed.deliver(Visit, at="20990101_000000")
    outcome = visitpay("check", path)
    assert outcome.status == 1
    assert "held: its name is dated in the future, 2099-01-01 00:00 UTC\n" in outcome.out
