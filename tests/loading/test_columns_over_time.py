"""The model gets a column, or calls one otherwise: what came before goes on being loaded."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column

from tests.support.command import Visitpay
from tests.support.feed import Feed, header_line, row
from visitpay.models import Procedure, Transaction, Visit
from visitpay.parsing.columns import model_columns

OLD_VISITS = "VisitIdentifier\tGuarantorIdentifier\tAdmitDate\tVisitBalance\tInsuranceIdentifier"
OLD_TRANSACTIONS = "TransactionIdentifier\tVisit\tProcedureId"
DAY_1, DAY_2, DAY_3, DAY_4 = (f"2021120{day}_220000" for day in range(1, 5))
ABOUT = "RejectReason\tRejectColumn\tRejectFile\tRejectLine\t"

Says = Callable[..., None]


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Iterator[Says]:
    """Have a column of the model say something else of its files."""

    def say(column: Column[Any], **info: object) -> None:
        monkeypatch.setattr(column, "info", info)
        model_columns.cache_clear()

    yield say
    model_columns.cache_clear()


@pytest.fixture
def old_feed(feed: Feed, visitpay: Visitpay, says: Says, tmp_path: Path) -> Feed:
    """Load a feed as a model did that had no discharge dates and no amounts.

    A visit and a transaction are rejected, a transaction waits for its visit, and so does one that
    has the amount early. Their rejects were exported.
    """
    amount, discharge = Transaction.__table__.c.amount, Visit.__table__.c.discharge_date
    says(Transaction.__table__.c.visit_identifier, header="Visit")
    says(amount, optional=True, default=Decimal(0))
    says(discharge, optional=True)
    feed.deliver(Procedure)
    feed.deliver_lines(
        Visit, "10\t7\t1/2/2021\t9\t", "11\t7\t2/30/2021\t9\t", at=DAY_1, header=OLD_VISITS
    )
    feed.deliver_lines(
        Transaction, "100\t12\t1", "101\t10\tx", "102\t10", at=DAY_1, header=OLD_TRANSACTIONS
    )
    early = f"{OLD_TRANSACTIONS}\tAMOUNT"
    feed.deliver_lines(Transaction, "103\t12\t1\t$3.50", at=DAY_2, header=early)
    visitpay("load")
    visitpay("rejects", "export", tmp_path / "before")
    for path in (tmp_path / "before").iterdir():
        take_away({"DischargeDate", "Amount"}, path)
    says(Transaction.__table__.c.visit_identifier, aliases=("Visit",))
    says(amount, default=Decimal("-1005.5"))
    says(discharge)
    return feed


def take_away(headers: set[str], path: Path) -> None:
    """Take columns out of an export."""
    lines = [each.split("\t") for each in path.read_text().splitlines()]
    kept = [index for index, header in enumerate(lines[0]) if header not in headers]
    cut = ("\t".join(cells[index] for index in kept if index < len(cells)) for cells in lines)
    path.write_text("".join(f"{each}\n" for each in cut))


def test_orphans_of_old_files_heal(old_feed: Feed, visitpay: Visitpay) -> None:
    """With the default, or the value that came early; and no load complains of old files."""
    old_feed.deliver(Visit, row(visit_identifier=12), at=DAY_3)
    outcome = visitpay("load")
    assert (outcome.status, "warning" in outcome.err) == (0, False)
    assert old_feed.rows(Transaction, "transaction_identifier", "amount") == [
        (100, Decimal("-1005.50")),
        (103, Decimal("3.50")),
    ]
    again = visitpay("load")
    assert (again.status, "warning" in again.err) == (0, False)


def test_a_column_is_due_by_the_date_of_the_file(
    old_feed: Feed, visitpay: Visitpay, says: Says
) -> None:
    """A file that comes late is loaded as its day has it; a check says the same as a load."""
    discharge = Visit.__table__.c.discharge_date
    says(discharge, since=discharge.type.python_type(2021, 12, 3))
    late = old_feed.deliver_lines(Visit, "13\t7\t1/2/2021\t9\t", at=DAY_2, header=OLD_VISITS)
    due = old_feed.deliver_lines(Visit, "14\t7\t1/2/2021\t9\t", at=DAY_3, header=OLD_VISITS)
    error = (
        "line 1 lacks the columns DischargeDate (due in files since 2021-12-03);"
        " the whole file is needed again"
    )
    checked = {
        each["name"]: each["error"] for each in visitpay("check", "--json").document["files"]
    }
    assert (checked[late.name], checked[due.name]) == (None, error)
    outcome = visitpay("load", "--json")
    assert {each["name"]: each["error"] for each in outcome.document["files"]} == {
        late.name: None,
        due.name: error,
    }
    assert old_feed.keys(Visit) == [10, 13]


@pytest.mark.usefixtures("old_feed")
def test_old_rejects_are_explained(visitpay: Visitpay) -> None:
    """A rejected row is found by its key, and rejected transactions by their visit."""
    assert "invalid_date" in visitpay("explain", "Visit", 11).out
    explained = visitpay("explain", "Visit", 10, "--json").document
    assert [each["line"] for each in explained["rejected_transactions"]] == [3, 4]


def test_old_rejects_are_exported(old_feed: Feed, visitpay: Visitpay, tmp_path: Path) -> None:
    """Under the headers of today, with what the rows lack, and as they came for the hospital."""
    visitpay("rejects", "export", tmp_path / "after", "--entity", "Visit")
    (path,) = (tmp_path / "after").iterdir()
    first = old_feed.path(Visit, DAY_1).name
    headers, reject = (each.split("\t") for each in path.read_text().splitlines())
    assert reject[:4] == ["invalid_date", "AdmitDate", first, "3#1"]
    cells = dict(zip(headers, reject, strict=True))
    today = dict(zip(OLD_VISITS.split("\t"), ["11", "7", "2/30/2021", "9", ""], strict=True))
    assert cells | today | {"DischargeDate": ""} == cells
    visitpay("rejects", "export", tmp_path / "after", "--entity", "Transaction")
    (path,) = (tmp_path / "after").glob("*Transaction*")
    header, *rows = path.read_text().splitlines()
    assert header == f"{ABOUT}{header_line(Transaction)}"
    assert [each.split("\t")[4:8] for each in rows] == [
        ["100", "12", "1", "-1005.5"],
        ["101", "10", "x", "-1005.5"],
        ["102", "10"],
        ["103", "12", "1", "$3.50"],
    ]
    visitpay("rejects", "export", tmp_path / "back", "--response")
    (path,) = (tmp_path / "back").iterdir()
    assert "\t3\tinvalid_date\tAdmitDate\t11\t7\t2/30/2021\t9\t\n" in path.read_text()


@pytest.mark.parametrize("made", ["before", "after"])
def test_mended_rows_close_their_rejects(
    old_feed: Feed, visitpay: Visitpay, tmp_path: Path, made: str
) -> None:
    """Whether their export was made before the model got the column, or after."""
    if made == "after":
        visitpay("rejects", "export", tmp_path / "after")
    for path in (tmp_path / made).iterdir():
        mended = path.read_text().replace("2/30/2021", "2/28/2021").replace("\t10\tx", "\t10\t1")
        (old_feed.landing / path.name).write_text(mended)
    old_feed.deliver(Visit, row(visit_identifier=12), at=DAY_4)
    outcome = visitpay("load")
    assert "lacks" not in outcome.err
    assert old_feed.keys(Visit) == [10, 11, 12]
    assert old_feed.column(Transaction, "amount")[:2] == [Decimal("-1005.50")] * 2
    assert [each[1:4] for each in old_feed.rejects("open")] == [(4, None, "malformed")]
