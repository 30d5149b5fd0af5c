from pathlib import Path

import pytest

from tests.support.feed import Feed, header_line, line, row
from visitpay.errors import ConfigurationError
from visitpay.feed import REJECT_HEADERS
from visitpay.landing.scan import scan
from visitpay.loading.validate import MAX_EXAMPLES, CheckedFile, check
from visitpay.models import Procedure, Transaction, Visit

NAMES = header_line(Procedure, ", ")


def checked(feed: Feed) -> list[CheckedFile]:
    """Check the landing directory."""
    return list(check(scan(feed.landing, "HospitalABC")))


def test_good_files(feed: Feed) -> None:
    """Good files are counted in the order of a load, and references are not looked at."""
    feed.deliver(
        Transaction,
        row(transaction_identifier=100, amount="20.5"),
        "",
        row(transaction_identifier=101, amount="20.5"),
    )
    feed.deliver(Visit, at="20211202_223005", visit_identifier=11)
    feed.deliver_lines(Visit)
    (feed.landing / "readme.md").touch()
    found = checked(feed)
    assert [each.file.name for each in found] == feed.names()
    assert [each.rows_read for each in found] == [0, 1, 2]
    for each in found:
        assert (each.rejected, each.reasons, each.examples, each.error) == (0, {}, [], None)


def test_bad_rows(feed: Feed) -> None:
    """Bad rows are counted by their reasons and shown by line, reason and column."""
    feed.deliver(Visit, row(admit_date="some day"), row(), "x\ty", row(guarantor_identifier=""))
    (found,) = checked(feed)
    assert (found.rows_read, found.rejected, found.error) == (4, 3, None)
    assert found.reasons == {"invalid_date": 1, "malformed": 1, "missing_value": 1}
    assert found.examples == [
        (2, "invalid_date", "AdmitDate"),
        (4, "malformed", None),
        (5, "missing_value", "GuarantorIdentifier"),
    ]


def test_many_bad_rows(feed: Feed) -> None:
    """All bad rows are counted, and only the first ones shown."""
    feed.deliver(Procedure, *[row(procedure_id="x")] * (MAX_EXAMPLES + 5))
    (found,) = checked(feed)
    assert found.rejected == MAX_EXAMPLES + 5
    assert [number for number, _, _ in found.examples] == list(range(2, MAX_EXAMPLES + 2))


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", f"is empty; its first line must name {NAMES}"),
        (f"\n{line(Procedure)}\n", f"line 1 is empty; it must name {NAMES}"),
        (
            header_line(Procedure).replace("ProcedureDescription", "x"),
            "line 1 lacks the columns ProcedureDescription; the whole file is needed again",
        ),
        (
            header_line(Procedure) + "\tprocedureid",
            "line 1 names ProcedureId more than once; one of them must go",
        ),
    ],
    ids=["empty", "no header", "column missing", "column doubled"],
)
def test_failed_file(feed: Feed, content: str, error: str) -> None:
    """A file that would fail says why, and the files after it are checked all the same."""
    feed.deliver_bytes(Procedure, content.encode())
    feed.deliver(Procedure, at="20211202_223357")
    failed, good = checked(feed)
    assert (failed.error, failed.rows_read, failed.rejected) == (error, 0, 0)
    assert (good.error, good.rows_read) == (None, 1)


def test_day_first_dates(feed: Feed) -> None:
    """A file whose dates are day-first says so, unless it holds mended rows."""
    lines = [line(Visit, admit_date=day) for day in ("05/03/2021", "13/03/2021")]
    feed.deliver(Visit, *lines)
    mended = (f"invalid_date\tAdmitDate\tx.txt\t3\t{each}" for each in lines)
    header = "\t".join((*REJECT_HEADERS, header_line(Visit)))
    feed.deliver_lines(Visit, *mended, at="20211202_223005", header=header)
    sent, again = checked(feed)
    assert sent.error is not None
    assert sent.error.startswith("dates are day-first: ")
    assert (sent.rows_read, sent.rejected, again.error) == (2, 1, None)


def test_file_goes_away(feed: Feed) -> None:
    """A file that goes away while the others are read says so."""
    feed.deliver(Procedure)
    path = feed.deliver(Procedure, at="20211202_223357")
    checks = check(scan(feed.landing, "HospitalABC"))
    assert next(checks).error is None
    path.unlink()
    assert [each.error for each in checks] == ["went away before it was read"]


def test_no_directory(tmp_path: Path) -> None:
    """A directory that is not there is a matter of configuration."""
    with pytest.raises(ConfigurationError, match=r"cannot be read: No such file or directory$"):
        scan(tmp_path / "no", "HospitalABC")
