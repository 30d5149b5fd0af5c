from pathlib import Path

import pytest

from tests.support.feed import HEADERS, Feed
from visitpay.checking import EXAMPLES, CheckedFile, check
from visitpay.errors import ConfigurationError
from visitpay.landing import scan


def checked(feed: Feed) -> list[CheckedFile]:
    """Check the landing directory."""
    return list(check(scan(feed.landing, "HospitalABC")))


def test_good_files(feed: Feed) -> None:
    """Good files are counted in the order of a load, and references are not looked at."""
    feed.deliver("Transaction", "20211201_223133", "100\t10\t1\t20.5", "", "101\t10\t1\t20.5")
    feed.deliver("Visit", "20211202_223005", "11\t7\t1/2/2021\t\t\t")
    feed.deliver("Visit", "20211201_223005")
    (feed.landing / "readme.md").touch()
    found = checked(feed)
    assert [each.file.name for each in found] == feed.names()
    assert [each.rows_read for each in found] == [0, 1, 2]
    for each in found:
        assert (each.rejected, each.reasons, each.examples, each.error) == (0, {}, [], None)


def test_bad_rows(feed: Feed) -> None:
    """Bad rows are counted by their reasons and shown by line, reason and column."""
    rows = ("10\t7\tsome day\t\t\t", "11\t7\t1/2/2021\t\t\t", "x", "12\t\t1/2/2021\t\t\t")
    feed.deliver("Visit", "20211201_223005", *rows)
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
    feed.deliver("Procedure", "20211201_223357", *["x\tbandaid"] * (EXAMPLES + 5))
    (found,) = checked(feed)
    assert found.rejected == EXAMPLES + 5
    assert [line for line, _, _ in found.examples] == list(range(2, EXAMPLES + 2))


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "is empty; its first line must name ProcedureId, ProcedureDescription"),
        (b"\n1\tbandaid\n", "line 1 is empty; it must name ProcedureId, ProcedureDescription"),
        (
            b"ProcedureId\tx\n1\tbandaid\n",
            "line 1 lacks the columns ProcedureDescription; the whole file is needed again",
        ),
        (
            b"ProcedureId\tProcedureDescription\tprocedureid\n",
            "line 1 names ProcedureId more than once; one of them must go",
        ),
    ],
    ids=["empty", "no header", "column missing", "column doubled"],
)
def test_failed_file(feed: Feed, content: bytes, error: str) -> None:
    """A file that would fail says why, and the files after it are checked all the same."""
    feed.deliver_bytes("Procedure", "20211201_223357", content)
    feed.deliver("Procedure", "20211202_223357", "1\tbandaid")
    failed, good = checked(feed)
    assert (failed.error, failed.rows_read, failed.rejected) == (error, 0, 0)
    assert (good.error, good.rows_read) == (None, 1)


def test_day_first_dates(feed: Feed) -> None:
    """A file whose dates are day-first says so, unless it holds mended rows."""
    rows = ("10\t7\t05/03/2021\t\t\t", "11\t7\t13/03/2021\t\t\t")
    feed.deliver("Visit", "20211201_223005", *rows)
    ahead = "RejectReason\tRejectColumn\tRejectFile\tRejectLine\t"
    mended = (f"invalid_date\tAdmitDate\tx.txt\t3\t{row}" for row in rows)
    feed.deliver("Visit", "20211202_223005", *mended, header=ahead + HEADERS["Visit"])
    sent, again = checked(feed)
    assert sent.error is not None
    assert sent.error.startswith("dates are day-first: ")
    assert (sent.rows_read, sent.rejected, again.error) == (2, 1, None)


def test_file_goes_away(feed: Feed) -> None:
    """A file that goes away while the others are read says so."""
    feed.deliver("Procedure", "20211201_223357", "1\tbandaid")
    path = feed.deliver("Procedure", "20211202_223357", "1\tbandaid")
    checks = check(scan(feed.landing, "HospitalABC"))
    assert next(checks).error is None
    path.unlink()
    assert [each.error for each in checks] == ["went away before it was read"]


def test_no_directory(tmp_path: Path) -> None:
    """A directory that is not there is a matter of configuration."""
    with pytest.raises(ConfigurationError, match=r"cannot be read: No such file or directory$"):
        scan(tmp_path / "no", "HospitalABC")
