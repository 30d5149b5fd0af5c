"""Files that end within a line, although all of their type before them ended with a line end."""

from pathlib import Path

import pytest

from tests.support.command import Visitpay
from tests.support.feed import Feed, header_line, line, only_sqlite
from visitpay.models import Procedure, Visit


def at(day: int) -> str:
    """Return the time in a name of a day of December 2021."""
    return f"202112{day:02}_223357"


def deliver(feed: Feed, day: int, end: str = "\n", *, rows: int = 2) -> Path:
    """Deliver rows with keys of their own; the last line ends as told."""
    keys = range(10 * day, 10 * day + rows)
    lines = [header_line(Procedure), *(line(Procedure, procedure_id=key) for key in keys)]
    path = feed.path(Procedure, at(day))
    path.write_bytes(("\n".join(lines) + end).encode())
    return path


def deliver_days(feed: Feed, visitpay: Visitpay, *ends: str) -> None:
    """Deliver and load days that end so."""
    for day, end in enumerate(ends, 1):
        deliver(feed, day, end)
        assert visitpay("load", "--json").document["files"][0]["rejected"] == 0


def reasons(feed: Feed, status: str = "open") -> list[tuple[str, int, str]]:
    """Return file, line and reason of rejects."""
    return [(name[-19:-4], number, reason) for name, number, _, reason, *_ in feed.rejects(status)]


def test_it_is_cut_off(feed: Feed, visitpay: Visitpay) -> None:
    """The last row is put aside, however well it reads; the whole file closes it."""
    deliver_days(feed, visitpay, "\n", "\r\n", "\n\n")
    deliver(feed, 4, "")
    outcome = visitpay("load", "--json")
    assert (outcome.status, outcome.document["files"][0]["rejected"]) == (1, 1)
    assert "_20211204_223357.txt: its last line has no line end" in outcome.err
    assert reasons(feed) == [(at(4), 3, "no_line_end")]
    assert feed.keys(Procedure) == [10, 11, 20, 21, 30, 31, 40]
    deliver(feed, 5, "")  # that one was cut off makes it no habit
    visitpay("load")
    assert reasons(feed) == [(at(4), 3, "no_line_end"), (at(5), 3, "no_line_end")]
    deliver(feed, 4)
    assert visitpay("load", "--json").document["files"][0]["rejected"] == 0
    assert reasons(feed) == [(at(5), 3, "no_line_end")]
    feed.deliver(Procedure, procedure_id=51, at=at(6))
    assert visitpay("load").status == 0
    assert reasons(feed) == []


@pytest.mark.parametrize("ends", [("\n", "\n"), ("", "\n", "\n", "\n")])
@only_sqlite
def test_it_may_be_usual(feed: Feed, visitpay: Visitpay, ends: tuple[str, ...]) -> None:
    """Of less than three files nothing is learnt, and one that ends so is enough."""
    deliver_days(feed, visitpay, *ends, "")
    assert reasons(feed) == []


@pytest.mark.parametrize("end", ["\nTRL|2", "\n(2 rows affected)", "\nEOF", "\x1a", "\n ", "\r"])
@only_sqlite
def test_it_is_whole(feed: Feed, visitpay: Visitpay, end: str) -> None:
    """A trailer, a mark of the end, and blanks close a file well."""
    deliver_days(feed, visitpay, "\n", "\n", "\n", end)
    assert feed.keys(Procedure)[-2:] == [40, 41]


@pytest.mark.parametrize("cut", ["4", "\t", "41\tband", '41\t"band', "41\tba\xff"])
@only_sqlite
def test_the_row_before(feed: Feed, visitpay: Visitpay, cut: str) -> None:
    """A piece of a line makes no other row doubtful."""
    deliver_days(feed, visitpay, "\n", "\n", "\n")
    deliver(feed, 4, f"\n{cut}", rows=1).write_bytes(
        f"{header_line(Procedure)}\n{line(Procedure, procedure_id=40)}\n{cut}".encode("latin-1")
    )
    visitpay("load")
    assert (feed.keys(Procedure)[-1], reasons(feed)) == (40, [(at(4), 3, "no_line_end")])


@only_sqlite
def test_what_does_not_count(feed: Feed, visitpay: Visitpay) -> None:
    """Other types, files without rows, and those of an older version say nothing."""
    deliver_days(feed, visitpay, "\n", "\n")
    feed.path(Procedure, at(3)).write_text(header_line(Procedure))
    for day in range(1, 5):
        feed.deliver(Visit, at=at(day))
    deliver(feed, 4, "")
    visitpay("load")
    assert reasons(feed) == []
    feed.execute(
        "UPDATE load_files SET has_last_line_end = NULL WHERE file_datetime > '2021-12-03'"
    )
    deliver(feed, 5)
    deliver(feed, 6, "", rows=1)
    visitpay("load")
    assert reasons(feed) == [(at(6), 2, "no_line_end")]


def test_a_person_says_that_it_is_whole(feed: Feed, visitpay: Visitpay) -> None:
    """Its file is taken again and approved: then the row is loaded, and files may end so."""
    deliver_days(feed, visitpay, "\n", "\n", "\n")
    path = deliver(feed, 4, "")
    visitpay("load")
    assert visitpay("load", "--again", path.name).status == 1
    assert reasons(feed) == [(at(4), 3, "no_line_end")]
    assert visitpay("load", "--again", path.name, "--approve", path.name).status == 0
    assert (reasons(feed), feed.keys(Procedure)[-1]) == ([], 41)
    deliver(feed, 5, "")
    assert visitpay("load").status == 0


def test_mended_rows(feed: Feed, visitpay: Visitpay, tmp_path: Path) -> None:
    """A row that was cut off can be mended as any other, in a file that ends as it likes."""
    deliver_days(feed, visitpay, "\n", "\n", "\n")
    deliver(feed, 4, "")
    visitpay("load")
    (written,) = visitpay("rejects", "export", tmp_path, "--json").document["written"]
    mended = Path(written["path"])
    text = mended.read_text()
    assert text.count("bandaid\t?") == 1
    (feed.landing / mended.name).write_text(text.replace("bandaid\t?", "cast").rstrip("\n"))
    assert visitpay("load").status == 0
    assert (reasons(feed), feed.descriptions()[41]) == ([], "cast")
    (feed.landing / mended.name).unlink()
    deliver(feed, 5, "")
    visitpay("load")
    assert reasons(feed) == [(at(5), 3, "no_line_end")]
