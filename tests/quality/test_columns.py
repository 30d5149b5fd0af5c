"""Columns that the hospital sends and the model lacks, or lacked when their files were loaded."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.support.command import Visitpay
from tests.support.feed import Feed, header_line, line, only_sqlite
from visitpay.database.engine import make_engine, read_connection
from visitpay.landing.scan import scan
from visitpay.models import Entity, Procedure, Visit
from visitpay.parsing.columns import model_columns
from visitpay.quality.checks import Finding, findings
from visitpay.verdict import problems
from visitpay.verdict.record import Transition, changes_of, record

FIRST = date(2021, 12, 1)
NOW = datetime(2022, 6, 1, tzinfo=UTC)


def deliver(feed: Feed, day: int, *extra: str, entity: type[Entity] = Visit) -> str:
    """Deliver a file with further columns, that day after FIRST; give its name."""
    moment = f"{FIRST + timedelta(day):%Y%m%d}_223357"
    header = "\t".join((header_line(entity), *extra))
    path = feed.deliver_lines(
        entity, "\t".join((line(entity), *("x" for _ in extra))), at=moment, header=header
    )
    return path.name


def load_later(feed: Feed, days: int) -> None:
    """Load what was delivered, as if so many days after the first load."""
    feed.load()
    later = datetime(2021, 12, 1, 23, tzinfo=UTC) + timedelta(days)
    feed.execute(
        f"UPDATE load_files SET loaded_at = '{later:%Y-%m-%d %H:%M:%S}.000000'"
        " WHERE id > (SELECT COALESCE(MAX(id), 0) FROM load_files WHERE loaded_at < '2022-01-01')"
    )


def found(feed: Feed) -> list[Finding]:
    """Return the findings about columns."""
    with read_connection(feed.url) as connection:
        return [each for each in findings(connection, NOW) if each.check == "columns_unknown"]


def changes(feed: Feed) -> list[tuple[Transition, str]]:
    """Return what is to be told of columns now, and record that it was told."""
    landed = scan(feed.landing, "HospitalABC")
    with make_engine(feed.url).begin() as connection:
        found = problems.find_lasting(problems.Feed(connection, landed, NOW))
        of_columns = [each for each in found if each.kind == "columns_unknown"]
        told = changes_of(connection, of_columns, NOW)
        record(connection, of_columns, NOW, told=True)
    columns = [each for each in told if each.problem.kind == "columns_unknown"]
    return [(each.transition, each.problem.message) for each in columns]


def learn(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let the model know a header of visits, as an alias of a column that it has."""
    column = Visit.__table__.c.insurance_identifier
    monkeypatch.setattr(column, "info", {"aliases": (name,)})
    model_columns.cache_clear()


@pytest.fixture(autouse=True)
def _forget_what_was_learnt() -> Iterator[None]:
    yield
    model_columns.cache_clear()


def test_what_the_ledger_records(feed: Feed, visitpay: Visitpay) -> None:
    """Names as they can be logged, numbers hidden; none for a file without."""
    deliver(feed, 0)
    deliver(feed, 1, "PhysicianId", "Ward", "")
    visitpay("load")
    entries = visitpay("files", "--json").document["files"]
    assert [each["columns_unknown"] for each in entries] == [["PhysicianId", "Ward"], []]


def test_once_for_all_files(feed: Feed) -> None:
    """By type and set of columns, by the oldest file; neither order nor letter case matter."""
    deliver(feed, 2, "Ward", "physicianid")
    first = deliver(feed, 1, "PhysicianId", "Ward")
    other = deliver(feed, 1, "Ward", entity=Procedure)
    deliver(feed, 0)
    feed.load()
    assert found(feed) == [
        Finding("columns_unknown", other, 1, "1 unknown column (Ward): 1 file was loaded without"),
        Finding(
            "columns_unknown",
            first,
            2,
            "2 unknown columns (PhysicianId, Ward): 2 files were loaded without",
        ),
    ]


def test_many_columns_are_not_all_named(feed: Feed) -> None:
    """The message is bounded."""
    deliver(feed, 0, *(f"C{number}x" for number in range(200)))
    feed.load()
    (finding,) = found(feed)
    assert finding.message.startswith("200 unknown columns (C0x, C1x, ")
    assert "C9x and 190 more" in finding.message


@only_sqlite
def test_not_for_ever(feed: Feed) -> None:
    """A column that is no longer sent is told of for two weeks of loads."""
    deliver(feed, 0, "Ward")
    load_later(feed, 0)
    assert len(found(feed)) == 1
    deliver(feed, 14)
    load_later(feed, 14)
    assert len(found(feed)) == 1
    deliver(feed, 15)
    load_later(feed, 15)
    assert found(feed) == []


def test_one_that_nobody_wants(
    feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model ignores it, in any letter case; a new one beside it is told of."""
    monkeypatch.setattr(Visit, "__ignored_headers__", ("WARD",))
    deliver(feed, 0, "Ward")
    outcome = visitpay("load")
    assert ("unknown column" in outcome.err, found(feed)) == (False, [])
    deliver(feed, 1, "Ward", "PhysicianId")
    assert "1 unknown column: PhysicianId\n" in visitpay("load").err
    assert [each.message for each in found(feed)] == [
        "1 unknown column (PhysicianId): 1 file was loaded without"
    ]


def test_the_model_has_learnt_it(
    feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command is named that loads the values; afterwards nothing is said."""
    first = deliver(feed, 0, "PhysicianId")
    deliver(feed, 1, "PhysicianId")
    visitpay("load")
    learn(monkeypatch, "PhysicianId")
    (finding,) = found(feed)
    assert finding == Finding(
        "columns_unknown",
        first,
        2,
        "PhysicianId: not known yet when 2 files were loaded;"
        " load --again-since 2021-12-01T22:33:57Z mends it",
    )
    feed.execute("UPDATE load_files SET columns_unknown = NULL WHERE id = 1")  # taken again
    assert [each.count for each in found(feed)] == [1]
    feed.execute("UPDATE load_files SET columns_unknown = NULL")
    assert found(feed) == []


def test_entries_of_older_versions(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are judged by their headers, whatever the delimiter; exports' own are not unknown."""
    deliver(feed, 0, "Ward")
    feed.deliver_lines(
        Procedure, at="20211201_223357", header='"ProcedureId", ProcedureDescription ,Ward;2'
    )
    feed.load()
    feed.execute("UPDATE load_files SET columns_unknown = NULL")
    assert [each.message for each in found(feed)] == [
        "1 unknown column (Ward;2): 1 file was loaded without",
        "1 unknown column (Ward): 1 file was loaded without",
    ]
    learn(monkeypatch, "Ward")
    feed.execute("UPDATE load_files SET header = 'nonsense' WHERE entity = 'Procedure'")
    assert found(feed) == []


def test_people_are_told_once(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it begins, not for each file nor when the model knows it, and when it is over."""
    message = "1 unknown column (PhysicianId): 1 file was loaded without"
    deliver(feed, 0, "PhysicianId")
    feed.load()
    assert changes(feed) == [
        (
            Transition.NEW,
            f"Visit: {message}",
        )
    ]
    deliver(feed, 1, "PhysicianId")
    feed.load()
    assert changes(feed) == []
    learn(monkeypatch, "physicianid")
    assert (changes(feed), len(found(feed))) == ([], 1)
    feed.execute("UPDATE load_files SET columns_unknown = NULL")
    assert changes(feed) == [
        (Transition.OVER, "Visit PhysicianId: known and loaded, or no longer sent")
    ]


def test_names_from_outside(feed: Feed, visitpay: Visitpay) -> None:
    """A header may hold anything: it does no harm, and cells are not taken for names."""
    deliver(feed, 0, "\x1b[31mWard", "<script>", "12345", "Größe")
    visitpay("load")
    (finding,) = found(feed)
    assert "\x1b" not in finding.message
    assert "12345" not in finding.message
    assert "Größe" in finding.message
    recorded = visitpay("files", "--json").document["files"][0]["columns_unknown"]
    assert json.dumps(recorded).count("(a number)") == 1
