"""Files that are held: what holds them, and what alone lets them in."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import Visitpay
from tests.support.feed import Feed, header_line, line, only_sqlite, parents, row
from visitpay.database.engine import make_engine
from visitpay.loading.run import load
from visitpay.loading.types import Options
from visitpay.models import Procedure, Transaction, Visit

HOLD = ("--hold-above", "10")
LET_IN = ("--hold-above", "100")


def held(visitpay: Visitpay) -> list[str]:
    """Return the names of the files that are held, by what a person sees."""
    held = visitpay("status", "--json").document["files_held"]
    assert isinstance(held, list)
    return held


def deliver_bad(feed: Feed, at: str = "") -> Path:
    """Deliver a file of a good and a bad row."""
    bad = row(procedure_id="x", procedure_description="y")
    return feed.deliver(Procedure, row(procedure_id=1), bad, at=at)


def touch(path: Path) -> None:
    """Give a file another time."""
    os.utime(path, (1, 1))


def copy_over(path: Path) -> None:
    """Put a copy in a file's place."""
    away = path.with_name(".away")
    shutil.copy2(path, away)
    away.replace(path)


def lock_and_unlock(path: Path) -> None:
    """Change nothing but when a file was changed."""
    path.chmod(0o000)
    path.chmod(0o644)


@pytest.mark.parametrize("touched", [None, touch, copy_over, lock_and_unlock])
def test_it_stays_held(
    feed: Feed, visitpay: Visitpay, touched: Callable[[Path], None] | None
) -> None:
    """No option of a later run lets it in, nor that it was copied over itself: its name does."""
    path = deliver_bad(feed)
    assert visitpay("load", *HOLD).status == 1
    if touched:
        touched(path)
        assert held(visitpay) == [path.name]
    for options in (
        LET_IN,
        (*LET_IN, "--again", path.name),
        (*LET_IN, "--again-since", "2020-01-01"),
    ):
        outcome = visitpay("load", *options, "--json")
        assert (outcome.status, outcome.document["status"]) == (1, "attention")
        assert (outcome.document["files"], outcome.document["files_held"]) == ([], [path.name])
    assert (held(visitpay), feed.keys(Procedure)) == ([path.name], [])
    document = visitpay("load", "--approve", path.name, "--json").document
    assert (document["files_held"], feed.keys(Procedure)) == ([], [1])
    assert held(visitpay) == []


def test_a_better_one(feed: Feed, visitpay: Visitpay) -> None:
    """Another content under its name is tried, and held anew if it is no better."""
    path = deliver_bad(feed)
    visitpay("load", *HOLD)
    path.write_text(path.read_text() + "\n")
    assert visitpay("load", *HOLD, "--json").document["files"][0]["status"] == "held"
    feed.deliver(Procedure, procedure_id=2)
    assert visitpay("load", *HOLD).status == 0
    assert (held(visitpay), feed.keys(Procedure)) == ([], [2])


def test_a_redelivery(feed: Feed, visitpay: Visitpay) -> None:
    """What was loaded stays; a held redelivery stays held, and is over when the old one is back."""
    path = feed.deliver(Procedure, procedure_id=2)
    visitpay("load")
    good = path.read_text()
    deliver_bad(feed)
    visitpay("load", *HOLD)
    touch(path)
    for _ in range(2):
        assert visitpay("load", *LET_IN, "--json").document["files_held"] == [path.name]
    path.write_text(good)
    outcome = visitpay("load", *LET_IN, "--json")
    assert (outcome.status, outcome.document["files"], held(visitpay)) == (0, [], [])
    assert feed.keys(Procedure) == [2]


def test_its_time(feed: Feed, visitpay: Visitpay) -> None:
    """One that was held because of its date is tried once that has come, and no other."""
    path = deliver_bad(feed)
    visitpay("load", *HOLD)
    feed.execute("UPDATE load_runs SET started_at = '2021-11-01 00:00:00'")
    assert visitpay("load", *LET_IN, "--json").document["files_held"] == [path.name]
    feed.execute("UPDATE load_files SET sha256 = NULL")  # as of one that was not read
    assert visitpay("load", *LET_IN, "--json").document["files"][0]["status"] == "loaded"


def test_only_the_one_that_is_named(feed: Feed, visitpay: Visitpay) -> None:
    """Another time, another form of the same time, and another type stay held."""
    plain = deliver_bad(feed, at="20211201_223357")
    bracketed = deliver_bad(feed, at="[20211201_223357]")
    late = deliver_bad(feed, at="20211201_223358")
    visits = feed.deliver(Visit, row(), row(visit_identifier="x"), at="20211201_223357")
    others = {bracketed.name, late.name, visits.name}
    visitpay("load", *HOLD)
    outcome = visitpay("load", *HOLD, "--approve", "Procedure_20211201_223357", "--json")
    assert [each["name"] for each in outcome.document["files"]] == [plain.name]
    assert set(outcome.document["files_held"]) == others
    outcome = visitpay("load", "--approve", "Procedure_[20211201_223357]", "--json")
    assert [each["name"] for each in outcome.document["files"]] == [bracketed.name]


@only_sqlite
def test_a_name_in_two_forms(feed: Feed) -> None:
    """Of two names that differ in how an accent is written, the one that is given is meant."""
    names = [f"{each}_VisitPay_Procedure_20211201_223357.txt" for each in ("\u00e9", "e\u0301")]
    text = f"{header_line(Procedure)}\n{line(Procedure)}\nx\n"
    for name in names:
        (feed.landing / name).write_text(text)
    engine = make_engine(feed.url)
    load(engine, feed.landing, "\u00e9", Options(hold_above=10))
    with pytest.raises(Exception, match="may be any of 2 files, whose names differ only in how"):
        load(
            engine,
            feed.landing,
            "\u00e9",
            Options(approved=frozenset(["Procedure_20211201_223357"])),
        )
    report = load(engine, feed.landing, "\u00e9", Options(approved=frozenset([names[1]])))
    assert [file.file.name for file in report.files] == [names[1]]
    assert report.files_held == (names[0],)


def test_approving_what_was_loaded(feed: Feed, visitpay: Visitpay) -> None:
    """It is said, and does nothing."""
    path = feed.deliver(Procedure)
    visitpay("load")
    before = feed.tables()
    outcome = visitpay("load", "--approve", path.name, "--json")
    told = f"{path.name}: was loaded already, so there is nothing to approve"
    assert (outcome.status, outcome.document["files"], outcome.err.count(told)) == (0, [], 1)
    assert feed.tables() == before


@only_sqlite
def test_approving_in_spite_of_since(feed: Feed, visitpay: Visitpay) -> None:
    """A file that is named is loaded, also if it is older than what is wanted."""
    path = deliver_bad(feed)
    visitpay("load", *HOLD)
    visitpay("load", "--since", "2022-01-01", "--approve", path.name)
    assert feed.keys(Procedure) == [1]


@pytest.mark.parametrize(
    ("good", "bad", "status"),
    [(99, 901, "held"), (100, 900, "loaded"), (1, 998, "loaded"), (0, 1000, "loaded")],
)
@only_sqlite
def test_by_default(feed: Feed, visitpay: Visitpay, good: int, bad: int, status: str) -> None:
    """A big file of which nearly all rows need mending is held, if there is a row to load."""
    rows = [row(procedure_id=number) for number in range(good)]
    feed.deliver(Procedure, *rows, *[row(procedure_id="x")] * bad)
    (file,) = visitpay("load", "--json").document["files"]
    assert file["status"] == status
    if status == "held":
        assert file["error"] == "held: 901 of 1,000 rows rejected, more than 90 %"


def test_orphans_by_default(feed: Feed, visitpay: Visitpay) -> None:
    """Rows that only miss a reference do not hold their file: they wait for what they refer to."""
    keys = range(1, 1001)
    feed.deliver(
        Transaction,
        *(row(transaction_identifier=key, **parents(Transaction, key)) for key in keys),
        *[row(transaction_identifier="x")] * 50,
    )
    (file,) = visitpay("load", "--json").document["files"]
    assert (file["status"], file["rejected"]) == ("loaded", 1050)
    feed.deliver(Procedure, *(row(procedure_id=key) for key in keys))
    feed.deliver(Visit, *(row(visit_identifier=key) for key in keys))
    assert visitpay("load", "--json").document["rejects_resolved"] == 1000


@only_sqlite
def test_the_limit_of_the_environment(
    feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """VISITPAY_HOLD_ABOVE stands for the option, which is stronger."""
    deliver_bad(feed, at="20211201_000000")
    deliver_bad(feed, at="20211202_000000")
    monkeypatch.setenv("VISITPAY_HOLD_ABOVE", "10percent")
    document = visitpay("load", "--since", "2021-12-02", "--json").document
    assert [file["status"] for file in document["files"]] == ["held"]
    document = visitpay("load", "--hold-above", "50", "--json").document
    assert [file["status"] for file in document["files"]] == ["loaded"]
