"""A feed of which every cell is marked: no mark is ever told, but where rows are asked for."""

import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.support.command import Outcome, Visitpay, limited, start
from tests.support.feed import Feed
from tests.support.marked import (
    MARK,
    TEXT,
    abort,
    behind,
    deliver_marked,
    duplicate,
    missing_column,
    procedure_key,
)
from visitpay.database.engine import make_engine
from visitpay.database.session import ExclusiveSession


def told(outcome: Outcome) -> str:
    """Return all that a command said; nothing of it is marked."""
    said = outcome.out + outcome.err
    assert (MARK.findall(said), outcome.status in range(4)) == ([], True)
    return said


LOADS = [
    ["load", *verbose, *how, *form]
    for verbose in ([], ["-v"])
    for how in ([], ["--dry-run"])
    for form in ([], ["--json", "--log-format", "json"])
]
LOOKS = [
    "status",
    "files",
    "check",
    "doctor",
    "rejects list",
    "rejects list --status all",
    "rejects retry",
    "reconcile",
    "reconcile --expect daily",
    "status --expect daily",
]


@pytest.mark.parametrize("load", LOADS, ids=" ".join)
def test_commands(feed: Feed, visitpay: Visitpay, load: list[str]) -> None:
    """Neither a load nor any command that looks at what it left tells a cell."""
    deliver_marked(feed)
    assert len(told(visitpay(*load))) > 100
    for look in LOOKS:
        told(visitpay(*look.split()))
        told(visitpay(*look.split(), "--json"))
    told(visitpay(*load))


def test_rows_are_shown_where_they_are_asked_for(
    feed: Feed, visitpay: Visitpay, tmp_path: Path
) -> None:
    """The quarantine has what the log has not, and tells who asks; so do exports and odd visits."""
    deliver_marked(feed)
    visitpay("load")
    procedure = procedure_key(1)
    for form in ([], ["--json"]):
        assert TEXT in visitpay("rejects", "list", "--raw", *form).out
        assert MARK.search(visitpay("reconcile", "--raw", *form).out)
        assert TEXT in visitpay("explain", "procedure", procedure, *form).out
        told(visitpay("rejects", "export", tmp_path / f"export{len(form)}", *form))
        told(visitpay("rejects", "export", tmp_path / f"sent{len(form)}", "--response", *form))
    written = "".join(path.read_text() for path in tmp_path.rglob("*_2*.txt"))
    assert written.count(TEXT) > 10
    told(visitpay("rejects", "dismiss", 1, "--why", "it is made up"))


@pytest.mark.parametrize(
    ("harm", "status"), [(abort, 1), (duplicate, 1), (missing_column, 3), (behind, 3)]
)
@pytest.mark.parametrize("form", [[], ["--json", "--log-format", "json"]], ids=["text", "json"])
def test_trouble(
    feed: Feed, visitpay: Visitpay, harm: Callable[[Feed], None], status: int, form: list[str]
) -> None:
    """Errors of the database, and their tracebacks, tell no cell."""
    deliver_marked(feed)
    harm(feed)
    outcome = visitpay("load", "-v", *form)
    assert outcome.status == status
    assert "raceback" in told(outcome)


def test_stopped(feed: Feed) -> None:
    """Nor does a load that is stopped, that waits in vain, or that has no room."""
    deliver_marked(feed, 900)
    with start(feed, ["load", "-v"]) as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate()
    assert MARK.findall(out + err) == []
    with (
        ExclusiveSession(make_engine(feed.url), 0),
        start(feed, ["load", "-v", "--wait", "0"]) as process,
    ):
        told(Outcome(0, *process.communicate()))
    if feed.url.startswith("sqlite"):
        with start(feed, ["load", "-v"], preexec_fn=partial(limited, 300 << 10)) as process:
            out, err = process.communicate()
        assert "the database cannot be used" in err
        assert MARK.findall(out + err) == []
