import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import func, select

from tests.support.command import Visitpay
from tests.support.databases import ROOT
from tests.support.days import deliver_bad_day
from tests.support.feed import Feed, only_sqlite, row
from tests.support.marked import behind
from visitpay.database.engine import read_connection
from visitpay.models import LoadFile, LoadRun, Procedure, RejectedRow, Visit

Figures = dict[tuple[str, ...], float]

ENDS = ("inserted", "updated", "unchanged", "stale", "superseded", "rejected")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the metrics file that is set."""
    path = tmp_path / "metrics" / "visitpay.prom"
    path.parent.mkdir()
    monkeypatch.setenv("VISITPAY_METRICS_FILE", str(path))
    return path


def figures(path: Path) -> Figures:
    """Return the samples of a metrics file, without their prefix, each with its labels' values."""
    return {
        (sample.name.removeprefix("visitpay_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(path.read_text())
        for sample in family.samples
    }


def of_books(feed: Feed) -> Figures:
    """Return what the file should say of the books, asked of the database in another way."""
    with read_connection(feed.url) as connection:
        files = connection.execute(select(LoadFile)).mappings().all()
        entries = list(connection.execute(select(LoadFile.__table__)).mappings())
        assert files
        expected: Figures = {("files", "loaded"): 0, ("files", "failed"): 0}
        for entry in entries:
            expected["files", entry["status"]] += 1
            for end in ENDS if entry["status"] == "loaded" else ():
                name = ("rows_total", entry["entity"], end)
                expected[name] = expected.get(name, 0) + entry[f"rows_{end}"]
        for entity, reason in connection.execute(
            select(RejectedRow.entity, RejectedRow.reason).where(RejectedRow.status == "open")
        ):
            name = ("rejects_open", entity, reason)
            expected[name] = expected.get(name, 0) + 1
        loaded = [
            entry["file_datetime"]
            for entry in entries
            if entry["status"] == "loaded" and entry["file_datetime"] < datetime.now(UTC)
        ]
        expected["checkpoint_timestamp_seconds",] = max(loaded).timestamp()
    return expected


def successes(feed: Feed) -> float:
    """Return when the last run ended that was all right."""
    with read_connection(feed.url) as connection:
        ended: datetime | None = connection.scalar(
            select(func.max(LoadRun.finished_at)).where(LoadRun.status == "ok")
        )
    assert ended is not None
    return ended.timestamp()


def split(given: Figures) -> tuple[Figures, Figures]:
    """Part the figures of the last run from those of the books."""
    run = {name: each for name, each in given.items() if name[0].startswith("last_")}
    of_verdict = ("health", "problems", "loaded_until_timestamp_seconds")
    return run, {
        name: each for name, each in given.items() if name not in run and name[0] not in of_verdict
    }


def test_metrics(feed: Feed, visitpay: Visitpay, path: Path) -> None:
    """The file agrees with the database, after a good load and after a bad one."""
    began = datetime.now(UTC).timestamp()
    visitpay("sample", feed.landing, "--visits", 30, "--days", 2, "--dirt", 3)
    (misnamed,) = feed.landing.glob("*.TXT")
    misnamed.unlink()
    assert visitpay("load", "--max-rejects", "100%").status == 0
    run, books = split(figures(path))
    assert books == of_books(feed)
    assert books["rows_total", "Visit", "rejected"] > 0
    assert run["last_run_exit_status",] == 0
    assert 0 < run["last_run_duration_seconds",] < 600
    assert began < run["last_success_timestamp_seconds",] == pytest.approx(successes(feed))
    assert began < run["last_run_timestamp_seconds",]
    deliver_bad_day(feed)
    assert visitpay("load").status == 1
    later, books = split(figures(path))
    assert books == of_books(feed)
    assert books["files", "failed"] == 1
    assert later["last_run_exit_status",] == 1
    assert later["last_run_timestamp_seconds",] > run["last_run_timestamp_seconds",]
    name = ("last_success_timestamp_seconds",)
    assert later[name] == run[name]


def test_what_is_no_sign_of_the_feed(
    feed: Feed, visitpay: Visitpay, path: Path, tmp_path: Path
) -> None:
    """Neither a file of the future nor one of mended rejects makes a feed look fresh."""
    feed.deliver(Procedure, row(procedure_id=1), row(procedure_id="x", procedure_description="bad"))
    visitpay("load")
    fresh = figures(path)["checkpoint_timestamp_seconds",]
    visitpay("rejects", "export", tmp_path)
    (mended,) = tmp_path.glob("*Procedure*")
    mended.rename(feed.landing / mended.name)
    visitpay("load", "--max-rejects", "100%")
    assert figures(path)["checkpoint_timestamp_seconds",] == fresh
    document = visitpay("status", "--json").document
    assert document["checkpoint"] == document["fed_until"] == "2021-12-01T22:33:57Z"
    future = feed.deliver(Procedure, at="21001231_235959").name
    visitpay("load", "--approve", future)
    assert figures(path)["checkpoint_timestamp_seconds",] == fresh
    document = visitpay("status", "--json").document
    assert document["fed_until"] == "2021-12-01T22:33:57Z"
    assert document["checkpoint"] == "2100-12-31T23:59:59Z"


def test_before_the_first_file(feed: Feed, visitpay: Visitpay, path: Path) -> None:
    """What is not known yet, such as the checkpoint, is not there."""
    assert feed
    visitpay("load")
    run, books = split(figures(path))
    assert books == {("files", "loaded"): 0, ("files", "failed"): 0}
    assert len(run) == 4


def test_a_load_without_a_database(feed: Feed, visitpay: Visitpay, path: Path) -> None:
    """It writes its exit status; what was known of the books stands, so that alerts see it age."""
    deliver_bad_day(feed)
    visitpay("load", "--max-rejects", "1")
    before = figures(path)
    behind(feed)
    assert visitpay("load").status == 3
    after = figures(path)
    assert after["last_run_exit_status",] == 3
    assert split(after)[1] == split(before)[1]
    path.write_text("# not metrics\n{")
    assert visitpay("load").status == 3
    assert split(figures(path))[1] == {}


@only_sqlite
def test_a_failed_file_that_is_gone(feed: Feed, visitpay: Visitpay, path: Path) -> None:
    """Files that failed are counted as long as they lie there."""
    bad = feed.deliver_bytes(Visit, b"", at="20211202_223357")
    visitpay("load")
    assert figures(path)["files", "failed"] == 1
    bad.unlink()
    visitpay("load")
    assert figures(path)["files", "failed"] == 0


@only_sqlite
def test_the_file_is_replaced(feed: Feed, visitpay: Visitpay, path: Path) -> None:
    """Who reads the file meanwhile has the old one whole, and nothing is left beside it."""
    visitpay("load")
    before = path.read_text()
    with path.open() as old:
        deliver_bad_day(feed)
        visitpay("load")
        assert old.read() == before
    assert path.read_text() != before
    assert list(path.parent.iterdir()) == [path]


@only_sqlite
def test_a_file_that_cannot_be_written(feed: Feed, visitpay: Visitpay, path: Path) -> None:
    """It costs a warning, and not the load."""
    assert feed
    for unusable in (path.parent, path.parent / "no\nsuch" / "file"):
        outcome = visitpay("load", "--metrics-file", unusable)
        assert outcome.status == 0
        name = str(unusable).replace("\n", "\\n")
        assert f"warning: the metrics file {name} cannot be written: " in outcome.err
        assert list(path.parent.iterdir()) == []


@only_sqlite
def test_another_file_is_not_written_over(feed: Feed, visitpay: Visitpay, path: Path) -> None:
    """Whatever its name says: a database is no metrics file."""
    link = path.parent / "link.prom"
    link.symlink_to(feed.database)
    for other in (feed.database, link):
        outcome = visitpay("load", "--metrics-file", other)
        assert outcome.status == 0
        assert f"without it: {other} holds no metrics, and is not written over" in outcome.err
        findings = visitpay("doctor", "--json", "--metrics-file", other).document["examined"]
        assert ("metrics", "error") in {(each["name"], each["status"]) for each in findings}
    assert visitpay("status").status == 0
    assert link.is_symlink()


@only_sqlite
def test_rules_and_dashboard(feed: Feed, visitpay: Visitpay, path: Path) -> None:
    """The metrics that docs/ uses are those that a load writes, each of them with a help."""
    visitpay("load")
    deliver_bad_day(feed)
    visitpay("load")
    text = path.read_text()
    families = list(text_string_to_metric_families(text))
    written = {sample.name for family in families for sample in family.samples}
    assert len(families) == text.count("# HELP visitpay_") == text.count("# TYPE visitpay_")
    rules = (ROOT / "docs" / "alerts.yml").read_text()
    dashboard = (ROOT / "docs" / "grafana.json").read_text()
    used = set(re.findall(r"visitpay_\w+", rules + " ".join(expressions(json.loads(dashboard)))))
    assert used == written


def expressions(part: Any) -> list[str]:
    """Return the queries of a dashboard."""
    if isinstance(part, dict):
        own = [part["expr"]] if "expr" in part else []
        return own + [each for value in part.values() for each in expressions(value)]
    if isinstance(part, list):
        return [each for value in part for each in expressions(value)]
    return []
