import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import make_url, select

from tests.support.command import Outcome, Visitpay, without_times
from tests.support.databases import HEAD, OLDEST
from tests.support.feed import Feed, columns, header_line, line, only_sqlite, row
from visitpay.database.dialects import dialect_of, sqlite
from visitpay.database.engine import make_engine, read_connection
from visitpay.database.naming import migrate_command
from visitpay.database.session import ExclusiveSession
from visitpay.events import Event
from visitpay.feed import short_name
from visitpay.hints import Setup
from visitpay.ledger.runs import last_run
from visitpay.models import LoadRun, Procedure, Transaction, Visit
from visitpay.verdict.advice import ADVICE
from visitpay.version import __version__

PROCEDURES = "HospitalABC_VisitPay_Procedure_20211201_223357.txt"
VISITS = "HospitalABC_VisitPay_Visit_20211201_223005.txt"
TRANSACTIONS = "HospitalABC_VisitPay_Transaction_20211201_223133.txt"
FAILED = PROCEDURES.replace("1201", "1202")
NOTHING = "none: nothing was loaded yet"
COUNTS = "when (UTC) rows inserted"
CUT = "1 of 3; --limit shows more\n"
URL_HINT = "use a URL like sqlite:///visitpay.db"

USERS_OF_DATABASE = [
    ["load"],
    ["status"],
    ["runs"],
    ["files"],
    ["rejects", "list"],
    ["rejects", "retry"],
    ["reconcile"],
]
WRITERS = [
    ["load", "--wait", "0"],
    ["load", "--wait", "0.15"],
    ["rejects", "retry", "--wait", "0"],
    ["reconcile", "--wait", "0"],
]


def deliver_day(feed: Feed) -> None:
    """Deliver a procedure, a visit, a transaction of both, and one that refers to no visit."""
    feed.deliver(Procedure)
    feed.deliver(Visit, visit_balance="20.50")
    feed.deliver(
        Transaction,
        row(transaction_identifier=100, amount="20.5"),
        row(transaction_identifier=101, visit_identifier=11),
    )


def cells(printed: str) -> list[list[str]]:
    """Return the words of each line of a table that is not blank."""
    return [line.split() for line in printed.splitlines() if line.strip()]


def entry(name: str, **counts: object) -> dict[str, object]:
    """Return what `load --json` says of a file."""
    ends = ("rows_read", "inserted", "updated", "unchanged", "stale", "superseded", "rejected")
    plain = {"name": name, "entity": name.split("_")[2], "status": "loaded", "error": None}
    return plain | dict.fromkeys(ends, 0) | counts


def test_load_json(feed: Feed, visitpay: Visitpay) -> None:
    """`load --json` prints one document that accounts for every file and row."""
    deliver_day(feed)
    (feed.landing / "readme.md").touch()
    outcome = visitpay("load", "--json")
    assert outcome.status == 1
    assert outcome.document == {
        "format": 1,
        "run_id": 1,
        "status": "attention",
        "dry_run": False,
        "checkpoint": "2021-12-01T22:33:57Z",
        "files": [
            entry(PROCEDURES, rows_read=1, inserted=1),
            entry(VISITS, rows_read=1, inserted=1),
            entry(TRANSACTIONS, rows_read=2, inserted=1, rejected=1),
        ],
        "files_again": [],
        "files_held": [],
        "files_waiting": [],
        "unrecognised": ["readme.md"],
        "why_unrecognised": {"readme.md": ""},
        "near_misses": [],
        "rejects_open": 1,
        "rejects_resolved": 0,
    }


def test_load_text(feed: Feed, visitpay: Visitpay) -> None:
    """Without a terminal `load` prints nothing on stdout and logs a line a file and one a run."""
    deliver_day(feed)
    (feed.landing / "readme.md").touch()
    outcome = visitpay("load")
    assert (outcome.status, outcome.out) == (1, "")
    rest = "0 updated, 0 unchanged, 0 stale, 0 superseded"
    run = "3 files, 0 failed, 0 held, 4 rows, 1 rejected, 1 reject open, 0 resolved"
    status = Setup(feed.url, feed.landing).hint("status")
    assert without_times(outcome.err) == [
        "warning: not recognised in the landing directory, left alone: readme.md",
        f"info: {PROCEDURES}: 1 row: 1 inserted, {rest}, 0 rejected",
        f"info: {VISITS}: 1 row: 1 inserted, {rest}, 0 rejected",
        f"warning: {TRANSACTIONS}: 2 rows: 1 inserted, {rest}, 1 rejected",
        f"info: run 1: attention, {run}",
        f"error: visitpay: needs a person: 1 reject open; see: {status}",
    ]


@pytest.mark.parametrize("limit", ["0", "100%"])
def test_failed_file(feed: Feed, visitpay: Visitpay, limit: str) -> None:
    """A failed file gives exit status 1 whatever is tolerated, and the others are loaded."""
    deliver_day(feed)
    feed.deliver_bytes(Visit, b"", at="20211202_223005")
    outcome = visitpay("load", "--json", "--max-rejects", limit)
    assert outcome.status == 1
    error = f"is empty; its first line must name {header_line(Visit, ', ')}"
    failed = entry(VISITS.replace("1201", "1202"), status="failed", error=error)
    assert outcome.document["files"][2] == failed
    assert [each["status"] for each in outcome.document["files"]].count("loaded") == 3
    assert outcome.document["checkpoint"] == "2021-12-01T22:33:57Z"


@pytest.mark.parametrize(
    ("limit", "status"),
    [
        ("0", 1),
        ("1", 1),
        ("2", 0),
        ("3", 0),
        ("19.9%", 1),
        ("20%", 0),
        ("100%", 0),
        ("20percent", 0),
        ("19.9percent", 1),
    ],
)
def test_max_rejects(feed: Feed, visitpay: Visitpay, limit: str, status: int) -> None:
    """Two bad rows of ten are tolerated from a limit of 2, or of 20 percent, on."""
    rows = [row(procedure_id=number) for number in range(8)]
    feed.deliver(
        Procedure,
        *rows,
        row(procedure_id="x"),
        row(procedure_id=""),
    )
    outcome = visitpay("load", "--json", "--max-rejects", limit)
    assert outcome.status == status
    assert outcome.document["status"] == ("attention" if status else "ok")


@pytest.mark.parametrize(
    ("since", "loaded"),
    [
        ("2021-12-02", ["02", "03"]),
        ("2021-12-02T22:33:57", ["02", "03"]),
        ("2021-12-02T22:33:58Z", ["03"]),
        ("2021-12-03T00:33:57+02:00", ["02", "03"]),
        ("2022-01-01", []),
    ],
)
def test_since(feed: Feed, visitpay: Visitpay, since: str, loaded: list[str]) -> None:
    """`--since` leaves files with an older time in their name, and a later load takes them."""
    for day in ("01", "02", "03"):
        feed.deliver(Procedure, at=f"202112{day}_223357", procedure_id=day)
    names = [
        each["name"] for each in visitpay("load", "--json", "--since", since).document["files"]
    ]
    assert [name[-13:-11] for name in names] == loaded
    assert len(visitpay("load", "--json").document["files"]) == 3 - len(loaded)


def test_dry_run(feed: Feed, visitpay: Visitpay) -> None:
    """`--dry-run` says what a load would do, over dependent files, and keeps nothing."""
    deliver_day(feed)
    visitpay("load")
    feed.deliver(Procedure, procedure_description="corrected")
    feed.deliver(
        Procedure,
        row(procedure_id=1, procedure_description="newer"),
        row(procedure_id=2, procedure_description="cast"),
        row(procedure_id=2, procedure_description="cast again"),
        at="20211202_223357",
    )
    feed.deliver(
        Visit,
        row(visit_identifier=11),
        row(visit_identifier=12, admit_date="some day"),
        at="20211202_223005",
    )
    feed.deliver(
        Transaction,
        row(transaction_identifier=102, visit_identifier=11, procedure_id=2, amount=1),
        row(transaction_identifier=103, visit_identifier=12, procedure_id=2, amount=1),
        "x",
        at="20211202_223133",
    )
    feed.deliver_lines(Transaction, at="20211203_223133", header="no header")
    os.utime(feed.landing / VISITS)
    before = feed.dump()
    dry = visitpay("load", "--json", "--dry-run")
    assert feed.dump() == before
    wet = visitpay("load", "--json")
    assert feed.dump() != before
    assert dry.status == wet.status == 1
    assert dry.document == wet.document | {"run_id": None, "dry_run": True}
    assert wet.document["rejects_resolved"] == 1
    assert wet.document["files"][3] == entry(
        TRANSACTIONS.replace("1201", "1202"), rows_read=3, inserted=1, rejected=2
    )


def test_status(feed: Feed, visitpay: Visitpay) -> None:
    """`status` shows the checkpoint, the last run, what waits and what is rejected."""
    fresh = visitpay("status", "--json").document
    known = {"format": 1, "status": "unknown", "summary": "unknown: nothing was loaded yet"}
    assert known == {name: fresh.pop(name) for name in known}
    assert fresh.pop("verdict") == {
        "state": "unknown",
        "since": None,
        "loaded_until": None,
        "new": 0,
        "known": 0,
        "problems": [],
    }
    assert set(map(str, fresh.values())) == {"None", "[]", "{}", "0"}
    printed = cells(visitpay("status").out)
    assert printed[:2] == [
        ["unknown:", "nothing", "was", "loaded", "yet"],
        ["checkpoint", *NOTHING.split()],
    ]
    assert printed[-1] == ["rejects", "open", "0"]
    deliver_day(feed)
    visitpay("load")
    waiting = feed.deliver_lines(Visit, at="20211202_223005")
    (feed.landing / "readme.md").touch()
    document = visitpay("status", "--json").document
    run = document.pop("last_run")
    assert (run["run_id"], run["status"], run["rows_read"]) == (1, "attention", 4)
    began = datetime.fromisoformat(run["started_at"])
    verdict = document.pop("verdict")
    assert (verdict["state"], verdict["new"], verdict["known"]) == ("needs a person", 1, 0)
    assert verdict["loaded_until"] == "2021-12-01T22:30:05Z"
    (problem,) = verdict["problems"]
    assert problem.pop("since") == verdict["since"] >= run["started_at"]
    command = problem.pop("command")
    assert command.startswith("visitpay rejects list --entity Transaction --reason ")
    assert problem == {
        "kind": "rows_rejected",
        "subject": "Transaction missing_reference",
        "size": 1,
        "message": "Transaction: 1 rejected row is open: missing_reference",
        "is_new": True,
        "acknowledged": None,
    }
    newest = {"Procedure": "22:33:57", "Transaction": "22:31:33", "Visit": "22:30:05"}
    assert document == {
        "format": 1,
        "status": "attention",
        "summary": "needs a person: 1 reject open",
        "checkpoint": "2021-12-01T22:33:57Z",
        "fed_until": "2021-12-01T22:33:57Z",
        "files_waiting": [waiting.name],
        "files_failed": [],
        "files_held": [],
        "files_changing": [],
        "unrecognised": ["readme.md"],
        "near_misses": [],
        "why_unrecognised": {"readme.md": ""},
        "rejects_open": 1,
        "entities": [
            {"entity": entity, "loaded": 1, "newest": f"2021-12-01T{hour}Z"}
            for entity, hour in newest.items()
        ],
        "balances": None,
        "findings": [],
    }
    visitpay("reconcile")
    compared = visitpay("status", "--json").document["balances"]
    assert (compared["compared"], compared["different"]) == (1, 0)
    moment = compared["compared_at"][:16].split("T")
    printed = cells(visitpay("status").out)
    assert printed[0] == ["needs", "a", "person:", "1", "reject", "open"]
    assert printed[1] == f"new: {problem['message']}".split()
    assert printed[2] == command.split()
    assert printed[3:9] == [
        ["checkpoint", "2021-12-01T22:33:57Z"],
        f"last run 1: attention, begun {began:%Y-%m-%d %H:%M} UTC, just now".split(),
        ["files", "waiting", "1"],
        ["not", "recognised", "1:", "readme.md"],
        ["rejects", "open", "1"],
        ["balances", "0", "of", "1", "differed", "at", *moment, "UTC"],
    ]
    assert [line[:3] for line in printed[9:]] == [
        ["entity", "files", "newest"],
        *([entity, "1", f"2021-12-01T{hour}Z"] for entity, hour in newest.items()),
    ]


def test_status_says_first_whether_all_is_well(feed: Feed, visitpay: Visitpay) -> None:
    """What needs a person stands in one line of 80 columns, and what was found below it."""
    feed.deliver(Procedure)
    visitpay("load")
    first, *_ = visitpay("status").out.splitlines()
    assert first == "all is well: loaded up to 2021-12-01 22:33 UTC, nothing is open"
    feed.deliver(
        Visit,
        row(visit_identifier=10, discharge_date="1/1/2021", insurance_identifier=1),
        row(visit_identifier="x", admit_date="", insurance_identifier=1),
    )
    feed.deliver_bytes(Visit, b"", at="20211202_223005")
    visitpay("load")
    first, *lines = visitpay("status").out.splitlines()
    assert first == "needs a person: 1 file failed, 1 reject open, 3 findings"
    assert [line for line in lines if line.startswith("new: ")][1:] == [
        "new: Visit: 1 rejected row is open: missing_value",
        "new: 2021-12-01: no Transaction file was loaded, though others were",
        "new: 1 visit ends before it begins",
    ]
    assert any(line.startswith("1 more; see: visitpay status --problems") for line in lines)
    found = visitpay("status", "--json", "--expect", "daily").document["findings"]
    assert [each["check"] for each in found][:2] == ["type_missing", "feed_missing"]
    feed.deliver(Visit, at="20211202_223005", visit_identifier=11)
    document = visitpay("status", "--json").document
    assert (document["files_failed"], len(document["files_waiting"])) == ([], 1)
    (feed.landing / VISITS.replace("1201", "1202")).unlink()
    document = visitpay("status", "--json").document
    assert (document["files_failed"], document["files_waiting"]) == ([], [])


def test_ages(feed: Feed, visitpay: Visitpay) -> None:
    """`status` says how old the newest file of each type is, or that it is from the future."""
    now = datetime.now(UTC)
    feed.deliver_lines(Procedure, at=f"{now - timedelta(hours=36):%Y%m%d_%H%M%S}")
    feed.deliver_lines(Visit, at=f"{now - timedelta(hours=60):%Y%m%d_%H%M%S}")
    feed.deliver_lines(Transaction, at=f"{now + timedelta(hours=2):%Y%m%d_%H%M%S}")
    visitpay("load")
    printed = cells(visitpay("status").out)
    assert [line[3:] for line in printed if line[0] in {"Procedure", "Transaction", "Visit"}] == [
        ["36", "hours", "ago"],
        ["in", "the", "future"],
        ["2", "days", "ago"],
    ]


@pytest.mark.parametrize(
    ("options", "names", "headers"),
    [
        ("", [FAILED, TRANSACTIONS, VISITS, PROCEDURES], f"status {COUNTS} rejected error"),
        ("--entity procedure", [FAILED, PROCEDURES], f"status {COUNTS} error"),
        ("--status failed", [FAILED], "status when (UTC) rows error"),
        ("--status loaded --limit 1", [TRANSACTIONS], f"{COUNTS} rejected"),
    ],
)
def test_files(
    feed: Feed, visitpay: Visitpay, options: str, names: list[str], headers: str
) -> None:
    """`files` shows the ledger, the newest first, and only what is asked for."""
    deliver_day(feed)
    visitpay("load")
    feed.deliver_bytes(Procedure, b"", at="20211202_223357")
    visitpay("load")
    header, *rows = cells(visitpay("files", *options.split()).out.replace(CUT, ""))
    assert header == ["id", "file", *headers.split()]
    assert [row[1] for row in rows] == [short_name(name) for name in names]
    listed = visitpay("files", *options.split(), "--json").document["files"]
    assert [each["name"] for each in listed] == names
    assert [str(each["id"]) for each in listed] == [row[0] for row in rows]


def test_files_that_are_gone(feed: Feed, visitpay: Visitpay) -> None:
    """A file that failed or was held is told apart from one that no longer lies there as it was."""
    feed.deliver_bytes(Procedure, b"")
    gone = feed.deliver_bytes(Procedure, b"", at="20211202_223357")
    other = feed.deliver_bytes(Procedure, b"", at="20211203_223357")
    held = feed.deliver(Visit, "x")
    feed.deliver(Procedure, at="20211204_223357")
    visitpay("load", "--hold-above", "5")

    def states(*options: str) -> list[str]:
        listed = visitpay("files", *options, "--json").document["files"]
        header, *rows = visitpay("files", *options).out.splitlines()
        place = slice(header.index("status"), header.index("when"))
        shown = [row[place].strip() or "loaded" for row in rows]
        assert [each["is_past"] for each in listed] == [" before" in state for state in shown]
        assert [each["status"] for each in listed] == [state.split()[0] for state in shown]
        return shown[::-1]

    assert states() == ["failed", "failed", "failed", "loaded", "held"]
    gone.unlink()
    other.write_text("something else")
    held.unlink()
    assert states() == ["failed", "failed before", "failed before", "loaded", "held before"]
    assert states("--status", "failed") == ["failed", "failed before", "failed before"]
    assert states(str(feed.landing / "none")) == ["failed", "failed", "failed", "loaded", "held"]
    first = visitpay("status").out.splitlines()[0]
    assert first == "needs a person: 1 file failed"


def test_when_files_were_tried(feed: Feed, visitpay: Visitpay) -> None:
    """`files` shows when a file was loaded, or when the run began that tried it last."""
    feed.deliver(Procedure)
    feed.deliver_bytes(Procedure, b"", at="20211202_223357")
    visitpay("load")
    feed.execute(
        "UPDATE load_files SET loaded_at = '2021-12-04 05:06:07' WHERE status = 'loaded'",
        "UPDATE load_runs SET started_at = '2021-12-03 04:05:06'",
    )
    failed, loaded = visitpay("files").out.splitlines()[1:]
    assert " failed 2021-12-03 04:05 " in failed
    assert " 2021-12-04 05:06 " in loaded


def test_status_names_files(feed: Feed, visitpay: Visitpay) -> None:
    """`status` counts as waiting what is new, and names what failed, and what is not the feed's."""
    for day in range(1, 6):
        feed.deliver_bytes(Procedure, b"", at=f"2021120{day}_223357")
    visitpay("load")
    feed.deliver(Visit)
    for name in "abc":
        (feed.landing / f"HospitalX_VisitPay_{name}.txt").touch()
    first, *lines = visitpay("status").out.splitlines()
    assert first.startswith("needs a person: 5 files failed, 3 names not recognised")
    assert [line for line in lines if line.startswith(("files", "not"))] == [
        "files waiting  1",
        "not recognised 3: " + ", ".join(f"HospitalX_VisitPay_{name}.txt" for name in "abc"),
    ]
    document = visitpay("status", "--json").document
    assert document["files_waiting"] == ["HospitalABC_VisitPay_Visit_20211201_223005.txt"]
    assert len(document["files_failed"]) == 5


def run_of(outcome: Outcome) -> str:
    """Return the line of the last run of what `status` printed."""
    (line,) = (each for each in outcome.out.splitlines() if each.startswith("last run"))
    return " ".join(line.split())


def test_status_of_a_run(feed: Feed, visitpay: Visitpay) -> None:
    """`status` says since when a run has been running, or how long ago one that ended began."""
    visitpay("load")
    feed.execute("UPDATE load_runs SET started_at = '2021-12-03 04:05:06'")
    ended = run_of(visitpay("status"))
    begun = "last run 1: ok, begun 2021-12-03 04:05 UTC, "
    assert re.fullmatch(begun + r"[1-9]?,?\d+ days ago", ended)
    feed.execute("UPDATE load_runs SET status = 'running'")
    with ExclusiveSession(make_engine(feed.url), 0):
        running = run_of(visitpay("status"))
    assert running == "last run 1: running since 2021-12-03 04:05 UTC"
    feed.deliver_bytes(Visit, b"", at="20211202_223005")
    visitpay("load")
    feed.execute("UPDATE load_runs SET status = 'running'")
    feed.execute("UPDATE load_runs SET started_at = '2021-12-03 04:05:06'")
    with ExclusiveSession(make_engine(feed.url), 0):
        summary = visitpay("status").out.splitlines()[0]
    assert summary == "needs a person (1 new): 1 load that does not end, 1 file failed"


def test_status_of_a_run_that_died(feed: Feed, visitpay: Visitpay) -> None:
    """A run that stands as running though no load has the database is said to have died."""
    visitpay("load")
    feed.execute("UPDATE load_runs SET status = 'running', started_at = '2021-12-03 04:05:06'")
    with ExclusiveSession(make_engine(feed.url), 0) as hold:
        assert visitpay("status", "--json").document["last_run"]["died"] is False
        hold.transact(last_run)  # who looked on took nothing away
    died = "died or was stopped, begun 2021-12-03 04:05 UTC; the next load marks it interrupted"
    assert run_of(visitpay("status")) == f"last run 1: {died}"
    document = visitpay("status", "--json").document
    assert (document["last_run"]["died"], document["status"]) == (True, "attention")
    if feed.url.startswith("sqlite"):
        Path(f"{feed.database}-lock").unlink()
        assert visitpay("status", "--json").document["last_run"]["died"] is True
        assert not Path(f"{feed.database}-lock").exists()
    feed.deliver_bytes(Visit, b"", at="20211202_223005")
    visitpay("load")
    feed.execute("UPDATE load_runs SET status = 'running' WHERE id = 2")
    summary = visitpay("status").out.splitlines()[0]
    assert summary == "needs a person: 1 load that died, 1 file failed"
    visitpay("load")
    assert visitpay("status", "--json").document["last_run"]["died"] is False


def test_a_load_that_ends_while_someone_looks(
    feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the reading of its book and the look at its lock a run may end: it did not die."""
    visitpay("load")
    feed.execute("UPDATE load_runs SET status = 'running'")

    def end(_connection: object) -> bool:
        feed.execute("UPDATE load_runs SET status = 'ok'")
        return False

    dialect = dialect_of(make_url(feed.url))
    monkeypatch.setattr(dialect, "is_held", end)
    assert visitpay("status", "--json").document["last_run"]["died"] is False


def test_failed_files_do_not_wait(feed: Feed, visitpay: Visitpay) -> None:
    """Terminal and JSON agree on what waits: neither what failed nor what is held."""
    feed.deliver_bytes(Procedure, b"")
    feed.deliver(Visit, "x")
    visitpay("load", "--hold-above", "5")
    new = feed.deliver(Procedure, at="20211202_223357")
    document = visitpay("status", "--json").document
    assert document["files_waiting"] == [new.name]
    assert (len(document["files_failed"]), len(document["files_held"])) == (2, 1)
    assert ["files", "waiting", "1"] in cells(visitpay("status").out)


NEAR = PROCEDURES.replace(".txt", ".TXT")


def test_a_near_miss_needs_a_person(feed: Feed, visitpay: Visitpay) -> None:
    """A name that nearly is the feed's gives `attention` and 1, and stands in the first line."""
    deliver_day(feed)
    (feed.landing / TRANSACTIONS).unlink()
    assert visitpay("load").status == 0
    near = feed.deliver(Procedure, at="20211202_223357")
    near = near.rename(near.with_suffix(".TXT"))
    outcome = visitpay("load", "--json")
    assert (outcome.status, outcome.document["status"]) == (1, "attention")
    assert (outcome.document["files"], outcome.document["unrecognised"]) == ([], [near.name])
    document = visitpay("status", "--json").document
    assert (document["status"], document["near_misses"]) == ("attention", [near.name])
    shown = visitpay("status", "--ignore", "type_missing,visit_without_transactions")
    assert (shown.status, shown.out.splitlines()[0]) == (0, "needs a person: 1 misnamed file")
    near.rename(near.with_suffix(".txt"))
    assert visitpay("load").status == 0
    assert visitpay("status", "--json").document["near_misses"] == []


def test_other_files_need_no_person(feed: Feed, visitpay: Visitpay) -> None:
    """Another hospital's files, and whatever else lies there, are listed, and give 0."""
    feed.deliver(Procedure)
    others = ["HospitalXYZ_VisitPay_Visit_20211201_223005.txt", "readme.md"]
    for name in others:
        (feed.landing / name).touch()
    for _ in range(2):
        outcome = visitpay("load", "--json")
        assert (outcome.status, outcome.document["unrecognised"]) == (0, others)
    assert visitpay("status").out.startswith("all is well: loaded up to ")


def test_nothing_but_strangers(feed: Feed, visitpay: Visitpay) -> None:
    """Of an empty ledger beside names that are not recognised it is not said that all is well."""
    assert visitpay("status").out.startswith("unknown: nothing was loaded yet")
    (feed.landing / "HospitalXYZ_VisitPay_Visit_20211201_223005.txt").touch()
    assert visitpay("load").status == 0
    document = visitpay("status", "--json").document
    summary = "needs a person: 1 name not recognised and nothing loaded yet"
    assert (document["status"], document["summary"]) == ("attention", summary)


@pytest.mark.parametrize("command", ["load", "status", "check"])
@pytest.mark.parametrize(
    ("options", "setting"),
    [
        (["--pass-over", "*.TXT", "--pass-over", "my notes"], ""),
        (["--pass-over", "*.TXT,my notes"], ""),
        ([], "*.TXT,my?notes"),
        ([], " *.TXT  my?notes "),
    ],
)
@only_sqlite
def test_pass_over(
    feed: Feed,
    visitpay: Visitpay,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    options: list[str],
    setting: str,
) -> None:
    """`--pass-over`, often or parted by commas, or its variable, names what else is none."""
    for name in (NEAR, "my notes"):
        (feed.landing / name).touch()
    assert visitpay(command, "--json").document["unrecognised"] == [NEAR, "my notes"]
    monkeypatch.setenv("VISITPAY_PASS_OVER", setting)
    outcome = visitpay(command, *options, "--json")
    assert (outcome.status, outcome.document["unrecognised"]) == (0, [])
    assert "not recognised" not in outcome.err


@only_sqlite
def test_pass_over_elsewhere(
    feed: Feed, visitpay: Visitpay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Doctor, files, report and the response know what is passed over, too."""
    (feed.landing / NEAR).touch()
    failed = feed.deliver_bytes(Procedure, b"", at="20211202_223357").name
    visitpay("load")

    def seen() -> tuple[str, bool, bool, str]:
        examined = visitpay("doctor", "--json").document["examined"]
        (file,) = visitpay("files", "--json").document["files"]
        visitpay("rejects", "export", tmp_path / "out", "--response")
        (response,) = (tmp_path / "out").iterdir()
        told = "FAILED" in response.read_text()
        response.unlink()
        report = visitpay("report", "--output", tmp_path / "report.html", "--json").document
        return examined[0]["status"], file["is_past"], told, report["status"]

    assert seen() == ("warning", False, True, "attention")
    monkeypatch.setenv("VISITPAY_PASS_OVER", f"*.TXT {failed}")
    assert seen() == ("ok", True, False, "unknown")


def test_settle(feed: Feed, visitpay: Visitpay) -> None:
    """`--settle` leaves what changed a moment ago for the next run, listed as waiting."""
    deliver_day(feed)
    names = [PROCEDURES, VISITS, TRANSACTIONS]
    outcome = visitpay("load", "--settle", "3600", "--json")
    assert (outcome.status, outcome.document["files"]) == (0, [])
    assert outcome.document["files_waiting"] == names
    told = f"changed less than 3600 s ago, left for the next run: {', '.join(names)}"
    assert f"info: {told}" in without_times(outcome.err)
    assert visitpay("status", "--json").document["files_waiting"] == names
    assert len(visitpay("load", "--json").document["files"]) == 3
    again = visitpay("load", "--settle", "3600", "--json").document
    assert (again["files"], again["files_waiting"]) == ([], [])


@only_sqlite
def test_settle_setting(feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch) -> None:
    """VISITPAY_SETTLE says the same, of a misnamed file, too, which may yet be renamed."""
    deliver_day(feed)
    (feed.landing / f"{PROCEDURES}.part").touch()
    monkeypatch.setenv("VISITPAY_SETTLE", "3600")
    assert visitpay("load").status == 0
    assert visitpay("status", "--json").document["near_misses"] == []
    monkeypatch.setenv("VISITPAY_SETTLE", "0")
    assert visitpay("load").status == 1


def test_large_counts(feed: Feed, visitpay: Visitpay) -> None:
    """Tables part thousands, but not of identifiers, lines and what JSON holds."""
    numbers = range(10001, 11202)
    rows = (row(visit_identifier=number, admit_date="some day") for number in numbers)
    feed.deliver(Visit, *rows)
    visitpay("load")
    feed.execute("UPDATE rejected_rows SET id = id + 10000")
    assert ["rejects", "open", "1,201"] in cells(visitpay("status").out)
    assert [row[-2:] for row in cells(visitpay("files").out)] == [
        ["rows", "rejected"],
        ["1,201", "1,201"],
    ]
    listed = visitpay("rejects", "list", "--raw", "--limit", 1001).out.splitlines()
    assert listed[1000].split()[:4] == ["11000", "Visit_20211201_223005", "1001", "11000"]
    assert cells("\n".join(listed))[-1] == ["invalid_date", "1,201"]
    assert visitpay("rejects", "list", "--json").document["reasons"] == {"invalid_date": 1201}


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ([], [2, 3, 4]),
        (["--status", "superseded"], [5]),
        (["--status", "all"], [2, 3, 4, 5]),
        (["--reason", "invalid_integer"], [3, 4]),
        (["--key", "101"], [2]),
        (["--entity", "Visit"], []),
        (["--entity", "transACTION"], [2, 3, 4]),
        (["--file", TRANSACTIONS, "--limit", "2"], [2, 3]),
        (["--file", "Transaction_20211201"], [2, 3, 4]),
        (["--file", "%"], []),
    ],
)
def test_rejects_list(feed: Feed, visitpay: Visitpay, options: list[str], lines: list[int]) -> None:
    """`rejects list` shows file, line, reason, column, and with --raw the row as it came."""
    deliver_day(feed)
    orphan = line(Transaction, transaction_identifier=101, visit_identifier=11)
    strange = line(Transaction, transaction_identifier=102, procedure_id="[red]")
    feed.deliver(
        Transaction,
        orphan,
        strange,
        row(transaction_identifier="x"),
        row(transaction_identifier=104, amount=""),
        row(transaction_identifier=104),
    )
    visitpay("load")
    bare = visitpay("rejects", "list", *options, "--json")
    assert [each["line"] for each in bare.document["rejects"]] == lines
    assert not any({"raw", "key"} & set(each) for each in bare.document["rejects"])
    listed = visitpay("rejects", "list", *options, "--raw", "--json").document["rejects"]
    assert [each["line"] for each in listed] == lines
    _, *short_rows = cells(visitpay("rejects", "list", *options).out)
    _, *printed = cells(visitpay("rejects", "list", *options, "--raw").out)
    assert [row[:3] for row in short_rows] == [row[:3] for row in printed]
    assert [int(row[2]) for row in printed if row[2:3] and row[2].isdigit()] == lines
    if lines and lines[0] == 2:
        stands = ["open"] if "all" in options else []
        first = [
            short_name(TRANSACTIONS),
            "2",
            "101",
            "missing_reference",
            *stands,
            "VisitIdentifier",
        ]
        assert printed[0][1 : 1 + len(first)] == first
        assert listed[0]["raw"] == orphan
        assert 3 not in lines or strange.replace("\t", r"\t") in printed[1]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["files"], "no files to show"),
        (["rejects", "list"], "no rejected rows to show"),
        (["rejects", "export", "mended"], "no rejected rows to write"),
        (["check"], "no files to check"),
    ],
)
def test_empty_lists(visitpay: Visitpay, command: list[str], said: str) -> None:
    """A list without anything on it says so, in words."""
    assert visitpay(*command) == Outcome(0, f"{said}\n", "")


@pytest.mark.parametrize("command", ["files", "rejects list", "reconcile --raw"])
def test_cut_lists(feed: Feed, visitpay: Visitpay, command: str) -> None:
    """A list that --limit cuts says of how many it shows some, also in JSON."""
    feed.deliver(
        Procedure, row(procedure_id=1), row(procedure_id="x", procedure_description="cast")
    )
    visits = [row(visit_identifier=number) for number in (10, 11, 12)]
    feed.deliver(Visit, *visits, row(visit_identifier="x"))
    feed.deliver(Transaction, transaction_identifier="x", visit_identifier=11)
    visitpay("load")
    for limit, is_cut in ((1, True), (3, False)):
        arguments = (*command.split(), "--limit", limit)
        assert (CUT in visitpay(*arguments).out) == is_cut
        assert visitpay(*arguments, "--json").document["total"] == 3


def test_rejects_retry(feed: Feed, visitpay: Visitpay) -> None:
    """`rejects retry` resolves the rows whose parent has come, and says how many stay open."""
    deliver_day(feed)
    feed.deliver(
        Transaction,
        row(transaction_identifier=101, visit_identifier=11),
        row(transaction_identifier=102, visit_identifier=12),
    )
    visitpay("load")
    assert visitpay("rejects", "retry").out == "rejects resolved 0, open 2\n"
    feed.insert(Visit, visit_identifier=11, source_file_id=2)
    document = visitpay("rejects", "retry", "--json").document
    assert document == {"format": 1, "rejects_resolved": 1, "rejects_open": 1}
    assert [each[2] for each in feed.rejects("resolved")] == [101]
    assert visitpay("rejects", "retry", "--json").document["rejects_resolved"] == 0


def test_reconcile(feed: Feed, visitpay: Visitpay) -> None:
    """`reconcile` shows counts and totals, with --raw the visits, and gives 1 if any differ."""
    feed.deliver(Procedure)
    feed.deliver(Visit, row(visit_balance="20.50"), row(visit_identifier=11, visit_balance="0.3"))
    feed.deliver(
        Transaction,
        row(transaction_identifier=1, amount="20.50"),
        row(transaction_identifier=2, visit_identifier=11, amount="0.31"),
    )
    visitpay("load")
    outcome = visitpay("reconcile", "--json")
    assert outcome.status == 1
    counts = {"compared": 2, "different": 1, "changed": 0, "cleared": 0}
    totals = {"visit_balance": "0.30", "transactions_total": "0.31"}
    message = "1 balance is not the sum of the transactions"
    finding = {"check": "balance_differs", "subject": "", "count": 1, "message": message}
    compared_at = visitpay("status", "--json").document["balances"]["compared_at"]
    assert outcome.document == {
        "format": 1,
        "status": "attention",
        "balances": counts | totals | {"new": 1, "compared_at": compared_at},
        "findings": [finding],
    }
    raw = visitpay("reconcile", "--raw", "--json").document
    assert raw["visits"] == [
        {"check": "balance_differs", "visit_identifier": 11} | totals | {"found_at": compared_at}
    ]
    assert raw["balances"]["new"] == 0
    assert visitpay("status", "--json").document["findings"] == [finding]
    printed = cells(visitpay("reconcile").out)
    assert [" ".join(line) for line in printed] == [
        "compared 2 balances, of which 1 differ from the sum of the transactions",
        "together 0.30 by the balances, 0.31 by the transactions",
        "new 0, changed 0, cleared 0 since the last time",
        "check finding",
        f"balance_differs {message}",
        "--raw shows the visits",
    ]
    assert cells(visitpay("reconcile", "--raw", "--limit", "1").out) == [
        *printed[:-1],
        ["check", "visit", "balance", "transactions", "since"],
        ["balance_differs", "11", "0.30", "0.31", compared_at],
    ]
    feed.deliver(Visit, at="20211201_223006", visit_identifier=11, visit_balance="0.31")
    visitpay("load")
    outcome = visitpay("reconcile", "--raw")
    agree = (
        "compared 2 balances, of which 0 differ from the sum of the transactions\n"
        "new 0, changed 0, cleared 1 since the last time\n"
    )
    assert outcome == Outcome(0, agree, "")
    assert visitpay("reconcile", "--json").document["status"] == "ok"
    assert visitpay("reconcile", "--expect", "daily").status == 1


@pytest.mark.parametrize("command", [["status"], ["reconcile", "--raw"]])
def test_ignore(
    feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    """Checks that --ignore or VISITPAY_IGNORE names are not made, and the others are."""
    feed.deliver(Procedure)
    feed.deliver(Visit, discharge_date="1/1/2021")
    visitpay("load")
    checks = ["type_missing", "discharge_before_admission", "visit_without_transactions"]

    def found(*options: str) -> list[str]:
        document = visitpay(*command, *options, "--json").document
        names = [each["check"] for each in document["findings"]]
        assert {each["check"] for each in document.get("visits", ())} <= set(names)
        return names

    assert found() == checks
    assert found("--ignore", checks[0]) == checks[1:]
    for between in (" ", ",", ", "):
        assert found("--ignore", between.join(checks[:2])) == checks[2:]
        monkeypatch.setenv("VISITPAY_IGNORE", between.join(checks[1:]))
        assert found() == checks[:1]
        monkeypatch.delenv("VISITPAY_IGNORE")
    monkeypatch.setenv("VISITPAY_IGNORE", " ".join(checks))
    assert visitpay(*command).status == 0
    monkeypatch.setenv("VISITPAY_IGNORE", "odd")
    assert visitpay(*command).status == 2


def test_check(feed: Feed, visitpay: Visitpay) -> None:
    """`check` exits with 0 where all is good and with 1 where a row or a file is bad."""
    deliver_day(feed)
    assert visitpay("check").status == 0
    assert visitpay("check", "--json").document["status"] == "ok"
    feed.deliver(Visit, admit_date="some day")
    feed.deliver_bytes(Procedure, b"")
    outcome = visitpay("check", "--json")
    assert (outcome.status, outcome.document["status"]) == (1, "attention")
    failed, bad, good = outcome.document["files"]
    error = f"is empty; its first line must name {header_line(Procedure, ', ')}"
    plain = {"name": PROCEDURES, "entity": "Procedure", "rows_read": 0, "rejected": 0}
    assert failed == plain | {"reasons": {}, "error": error}
    assert (bad["rows_read"], bad["rejected"]) == (1, 1)
    assert bad["reasons"] == {"invalid_date": 1}
    assert (good["name"], good["rows_read"], good["rejected"]) == (TRANSACTIONS, 2, 0)
    outcome = visitpay("check")
    assert outcome.status == 1
    assert cells(outcome.out) == [
        ["file", "rows", "rejected", "error"],
        [short_name(PROCEDURES), "0", "0", *error.split()],
        [short_name(VISITS), "1", "1"],
        [short_name(TRANSACTIONS), "2", "0"],
        ["the", "first", "rejects", "of", "each"],
        ["file", "line", "reason", "column"],
        [short_name(VISITS), "2", "invalid_date", "AdmitDate"],
        ["reason", "rows", "meaning"],
        ["invalid_date", "1", *ADVICE["invalid_date"].meaning.split()],
        ["3", "files,", "3", "rows,", "1", "rejected,", "1", "file", "cannot", "be", "used"],
        *cells(outcome.out)[-1:],
    ]


@only_sqlite
def test_check_of_strange_names(feed: Feed, visitpay: Visitpay) -> None:
    """Names that are none of the feed's are quoted, so that a space shows, each with the reason."""
    why = {f"{PROCEDURES} ": "spaces around it", "readme.md": ""}
    for name in why:
        (feed.landing / name).touch()
    outcome = visitpay("check")
    shown = [line.rstrip() for line in outcome.out.splitlines()]
    assert shown == [
        "no files to check",
        f"{'not recognised':{len(PROCEDURES) + 3}} why",
        f'"{PROCEDURES} " spaces around it',
        '"readme.md"',
    ]
    assert outcome.status == 1
    document = visitpay("check", "--json").document
    assert (document["unrecognised"], document["why_unrecognised"]) == (list(why), why)


def test_sample(feed: Feed, visitpay: Visitpay, tmp_path: Path) -> None:
    """`sample` prints what it wrote, a feed that loads without a reject, and does so once."""
    directory = tmp_path / "sample"
    arguments = ("sample", directory, "--visits", 20, "--days", 2, "--seed", 1)
    outcome = visitpay(*arguments)
    assert outcome.status == 0
    written = outcome.out.splitlines()
    assert sorted(written) == sorted(str(path) for path in directory.iterdir())
    loaded = visitpay("load", directory, "--json")
    assert loaded.status == 0
    assert len(loaded.document["files"]) == len(written) == 6
    assert len(feed.keys(Visit)) == 20
    outcome = visitpay(*arguments)
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1)


def missing(feed: Feed) -> str:
    """Remove the database."""
    feed.database.unlink()
    run = f"run: visitpay migrate --database-url {feed.url}"
    return f"there is no database {feed.database}; {run}"


def behind(feed: Feed) -> str:
    """Set the schema's revision back."""
    feed.execute(f"UPDATE alembic_version SET version_num = '{OLDEST}'")
    run = f"run: {migrate_command(make_url(feed.url))}"
    needed = f"older than {HEAD}, which this visitpay needs"
    return f"the database's schema is {OLDEST}, {needed}; {run}"


def ahead(feed: Feed) -> str:
    """Let a newer visitpay have migrated the database."""
    feed.execute("UPDATE alembic_version SET version_num = 'newer'")
    back = migrate_command(make_url(feed.url), HEAD, "--downgrade")
    return (
        f"the database's schema is newer, which this visitpay does not know (it is at {HEAD}), and"
        " not every newer revision is known to be additive; use the newer visitpay, or go back"
        f" with it: {back}"
    )


def garbage(feed: Feed) -> str:
    """Write something else over the database."""
    feed.database.write_bytes(b"no database at all" * 1000)
    return (
        "the database cannot be used: file is not a database; nothing half-done is kept, restore it"
        " from a backup and run again"
    )


@pytest.mark.parametrize("command", USERS_OF_DATABASE, ids=" ".join)
@pytest.mark.parametrize(
    ("feed", "harm"),
    [
        ("sqlite", missing),
        ("sqlite", garbage),
        *((kind, harm) for kind in ("sqlite", "postgresql") for harm in (behind, ahead)),
    ],
    indirect=["feed"],
)
def test_unusable_database(
    feed: Feed, visitpay: Visitpay, harm: Callable[[Feed], str], command: list[str]
) -> None:
    """A database that cannot be used gives exit status 3 and one line that says what to do."""
    message = harm(feed)
    outcome = visitpay(*command)
    assert (outcome.status, outcome.out, outcome.said) == (3, "", f"visitpay: {message}\n")
    outcome = visitpay(*command, "--json")
    assert (outcome.status, outcome.said) == (3, f"visitpay: {message}\n")
    assert outcome.document == {"format": 1, "status": "failed", "error": message}
    assert harm is not missing or not feed.database.exists()


@pytest.mark.parametrize("command", WRITERS, ids=" ".join)
def test_held(feed: Feed, visitpay: Visitpay, command: list[str]) -> None:
    """A database that another load holds gives exit status 3 after the wait, and no change."""
    deliver_day(feed)
    before = feed.dump()
    message = (
        f"another load holds {make_url(feed.url).database}; wait for it, or give a longer --wait"
    )
    with ExclusiveSession(make_engine(feed.url), 0):
        outcome = visitpay(*command, "--json")
        assert visitpay("status").status == visitpay("files").status == 0
    assert (outcome.status, outcome.said) == (3, f"visitpay: {message}\n")
    assert outcome.document == {"format": 1, "status": "failed", "error": message}
    assert feed.dump() == before


@only_sqlite
def test_busy(feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database into which another program writes stops a load with 3, but no one who looks."""
    monkeypatch.setattr(sqlite, "_BUSY_SECONDS", 0)
    with closing(sqlite3.connect(feed.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        outcome = visitpay("load")
        assert visitpay("status").status == 0
    locked = "the database cannot be used: database is locked; nothing half-done is kept"
    assert (outcome.status, outcome.out, outcome.said) == (
        3,
        "",
        f"visitpay: {locked}, wait for whoever writes into it and run again\n",
    )


@only_sqlite
def test_failure_midway(feed: Feed, visitpay: Visitpay) -> None:
    """A run that the database stops keeps its whole files, tells no cell, and the next goes on."""
    deliver_day(feed)
    feed.execute("ALTER TABLE visits RENAME COLUMN visit_balance TO balance")
    outcome = visitpay("load", "--json", "-v")
    assert outcome.status == 3
    what = "table visits has no column named visit_balance"
    assert outcome.document["error"].startswith(f"the database cannot be used: {what}; ")
    assert "20.5" not in outcome.err
    feed.execute("ALTER TABLE visits RENAME COLUMN balance TO visit_balance")
    assert {name: len(rows) for name, rows in feed.tables().items()} == {
        "Procedure": 1,
        "Visit": 0,
        "Transaction": 0,
    }
    document = visitpay("load", "--json").document
    assert [each["name"] for each in document["files"]] == [VISITS, TRANSACTIONS]
    with read_connection(feed.url) as connection:
        runs = connection.execute(select(LoadRun.id, LoadRun.status).order_by(LoadRun.id)).all()
    assert runs == [(1, "failed"), (2, "attention")]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://me:secret@host/db", f"mysql is not supported; {URL_HINT}"),
        ("sqlite://", f"a database in memory keeps nothing; {URL_HINT}"),
        ("sqlite:///:memory:", f"a database in memory keeps nothing; {URL_HINT}"),
        ("secret", "the database URL cannot be read; it looks like sqlite:///visitpay.db"),
    ],
)
@pytest.mark.parametrize("command", USERS_OF_DATABASE, ids=" ".join)
def test_unusable_url(visitpay: Visitpay, command: list[str], url: str, message: str) -> None:
    """A URL of no use gives exit status 2 and one line, without the password."""
    outcome = visitpay(*command, "--json", "--database-url", url)
    assert (outcome.status, outcome.said) == (2, f"visitpay: {message}\n")
    assert outcome.document == {"format": 1, "status": "failed", "error": message}


@pytest.mark.parametrize(
    "url", ["sqlite+pysqlcipher:///{}", "sqlite://host/{}"], ids=["driver", "host"]
)
@only_sqlite
def test_unusable_sqlite_url(feed: Feed, visitpay: Visitpay, url: str) -> None:
    """An SQLite URL with a driver that is not there, or with a host, gives exit status 2."""
    outcome = visitpay("status", "--database-url", url.format(feed.database))
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1)


@only_sqlite
@pytest.mark.parametrize("command", ["load", "status", "check"])
def test_closed_landing(feed: Feed, unprivileged: Visitpay, command: str) -> None:
    """So does one that nobody may read."""
    feed.landing.chmod(0)
    message = f"the landing directory {feed.landing} cannot be read: Permission denied"
    outcome = unprivileged(command)
    assert (outcome.status, outcome.out, outcome.said) == (2, "", f"visitpay: {message}\n")


@pytest.mark.parametrize("command", ["load", "status", "check"])
def test_no_landing(feed: Feed, visitpay: Visitpay, command: str) -> None:
    """A landing directory that is not there gives exit status 2 and one line."""
    path = feed.landing / "no\nsuch"
    escaped = f"{feed.landing}/no\\nsuch"
    message = f"the landing directory {escaped} cannot be read: No such file or directory"
    outcome = visitpay(command, path)
    assert (outcome.status, outcome.out, outcome.said) == (2, "", f"visitpay: {message}\n")
    outcome = visitpay(command, path, "--json")
    assert (outcome.status, outcome.said) == (2, f"visitpay: {message}\n")
    assert outcome.document == {"format": 1, "status": "failed", "error": message}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("load --max-rejects x", "not a number of rows like 10, or a share of them like 0.5%"),
        ("load --max-rejects -1", "not a number of rows like 10, or a share of them like 0.5%"),
        ("load --max-rejects 0.5", "not a number of rows like 10, or a share of them like 0.5%"),
        ("load --max-rejects %", "not a percentage like 0.5%"),
        ("load --max-rejects percent", "not a percentage like 0.5%"),
        ("load --max-rejects 5%percent", "not a percentage like 0.5%"),
        ("load --max-rejects 101%", "101% is more than all rows; give at most 100%"),
        ("load --hold-above 101", "101% is more than all rows; give at most 100%"),
        ("load --hold-above nan", "not a percentage like 0.5%"),
        ("load --since soon", "not a time in UTC like 2021-12-01, 2021-12-01T22:30:00Z, yesterday"),
        ("load --since 999999999d", "not a time in UTC like"),
        ("load --wait -1", "--wait"),
        ("load --wait nan", "--wait"),
        ("load --log-format xml", "--log-format"),
        ("load --nonsense", "--nonsense"),
        ("files --limit 0", "--limit"),
        ("files --entity Guarantor", "--entity"),
        ("files --status gone", "--status"),
        ("rejects list --key x", "--key"),
        ("reconcile --expect sundays", "--expect"),
        ("status --expect sundays", "--expect"),
        ("status --ignore odd", "'odd' is none of type_missing, feed_missing, file_in_future,"),
        ("reconcile --ignore type_missing --ignore odd", "'odd' is none of type_missing,"),
        ("rejects list --status gone", "--status"),
        ("sample out --dirt 101", "--dirt"),
        ("sample", "DIR"),
        ("nonsense", "No such command 'nonsense'."),
    ],
)
@only_sqlite
def test_unusable_arguments(feed: Feed, visitpay: Visitpay, arguments: str, message: str) -> None:
    """An argument of no use gives exit status 2, and a last line that names it."""
    before = feed.dump()
    with ExclusiveSession(make_engine(feed.url), 0):
        outcome = visitpay(*arguments.split())
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.splitlines()[-1].startswith("Error: ")
    assert message in outcome.err.splitlines()[-1]
    assert feed.dump() == before


def deliver_secrets(feed: Feed) -> None:
    """Deliver cells that hold SECRET or 31337, with everything wrong that can be."""
    visit = line(
        Visit, visit_identifier=31337001, guarantor_identifier=31337002, visit_balance="313.37"
    )
    wrong = (
        row(visit_identifier=31337001, guarantor_identifier="SECRET"),
        dict.fromkeys(columns(Visit), "SECRET") | row(guarantor_identifier=1),
        "SECRET",
    )
    feed.deliver(
        Procedure,
        row(procedure_id=1, procedure_description='"SECRET'),
        row(procedure_id="SECRET", procedure_description=31337),
        row(procedure_id=2, procedure_description='SECRET"'),
    )
    feed.deliver_lines(Procedure, at="20211202_223357", header="31337\tSECRET")
    feed.deliver(Visit, visit, *wrong, f"{visit}\tSECRET", visit)
    feed.deliver_bytes(Visit, b"SECRET\xff\0\n31337\n", at="20211202_223005")
    feed.deliver_bytes(Transaction, "SECRET".encode("utf-16"))
    feed.deliver(
        Transaction,
        row(
            transaction_identifier=31337003,
            visit_identifier=31337004,
            procedure_id=31337005,
            amount="313.37",
        ),
        "\xff\0",
        at="20211202_223133",
    )


@pytest.mark.parametrize("verbose", [[], ["-v"]], ids=["usual", "verbose"])
@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["kept", "dry"])
def test_log(
    feed: Feed, visitpay: Visitpay, log_format: str, verbose: list[str], dry: list[str]
) -> None:
    """The log, in text or JSON, holds more with -v, but no cell; nor does an error of a file."""
    deliver_secrets(feed)
    outcome = visitpay("load", "--json", "--log-format", log_format, *verbose, *dry)
    assert outcome.status == 1
    assert [each["status"] for each in outcome.document["files"]].count("failed") == 3
    told = outcome.out + outcome.err + visitpay("check", "--json").out + visitpay("check").out
    assert not re.search("SECRET|31337|313.37", told)
    if log_format == "text":
        assert (" debug: " in outcome.err) == bool(verbose)
        return
    lines = [json.loads(line) for line in outcome.err.splitlines()]
    assert {tuple(line) for line in lines} == {("time", "level", "event", "run_id", "message")}
    of_run = [line for line in lines if line["event"] != "settings_read"]
    assert {line["run_id"] for line in of_run} == {1}
    events = {"names_unrecognised", "file_loaded", "file_failed", "run_ended"}
    assert events - {"names_unrecognised"} <= {line["event"] for line in lines} <= set(Event)
    levels = {"warning", "error", "info", *(["debug"] if verbose else [])}
    assert {line["level"] for line in lines} == levels
    assert all(re.fullmatch("[0-9-]{10}T[0-9:]{8}Z", line["time"]) for line in lines)


@only_sqlite
def test_json_log_of_a_failure(feed: Feed, visitpay: Visitpay) -> None:
    """With `--log-format json` the line that says why nothing could be done is a document too."""
    message = missing(feed)
    outcome = visitpay("load", "--log-format", "json")
    assert outcome.status == 3
    (line,) = (json.loads(line) for line in outcome.err.splitlines())
    assert (line["level"], line["message"]) == ("error", message)


@pytest.mark.parametrize("command", ["load", "status", "files"])
@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_harmful_names(
    feed: Feed,
    visitpay: Visitpay,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    options: list[str],
) -> None:
    """Of names, control and bidi characters and strange bytes are written out, markup stays."""
    monkeypatch.setenv("VISITPAY_HOSPITAL", "[red]Hospital")
    good = feed.deliver(Procedure)
    good = good.rename(feed.landing / good.name.replace("HospitalABC", "[red]Hospital"))
    harmful = b"\x1b[31m\x07\r\n[red]\xe2\x80\xae\xff\x7f.txt"
    (feed.landing / os.fsdecode(harmful)).touch()
    loaded = visitpay("load", "--dry-run" if command == "load" else "--wait=0")
    harmless = r"\x1b[31m\x07\r\n[red]\u202e\udcff\x7f.txt"
    lines = without_times(loaded.err)
    assert lines[0] == f"warning: not recognised in the landing directory, left alone: {harmless}"
    assert lines[1].startswith(f"info: {good.name}: 1 row: 1 inserted")
    outcome = visitpay(command, *options)
    assert outcome.status == 0
    printed = outcome.out + outcome.err
    assert all(letter == "\n" or letter.isprintable() for letter in printed)
    assert (short_name(good.name) in printed) == (command != "status")


OPTIONS = {
    "load": "--database-url --hospital --pass-over --settle --expect --ignore --since"
    " --max-rejects --hold-above --approve --again --again-since --wait --metrics-file --dry-run"
    " --json --log-format --log-file --all --workers --only",
    "runs": "--database-url --hospital --status --since --limit --json",
    "doctor": "--database-url --hospital --pass-over --expect --ignore --every --metrics-file"
    " --send --json",
    "status": "--database-url --hospital --pass-over --settle --expect --ignore --every --problems"
    " --exit-status --json --all --workers --only",
    "acknowledge": "--why --entity --reason --undo --landing --database-url --hospital --pass-over"
    " --expect --every --wait --json",
    "files": "--database-url --hospital --pass-over --entity --status --limit --json",
    "explain": "--database-url --landing --hospital --pass-over --json",
    "rejects list": "--database-url --file --entity --reason --key --since --status --raw --sum"
    " --limit --csv --json",
    "rejects export": "--database-url --hospital --pass-over --file --entity --reason --key"
    " --since --response --json",
    "rejects dismiss": "--why --database-url --file --entity --reason --key --since --dry-run"
    " --wait --json",
    "rejects retry": "--database-url --wait --json",
    "report": "--output --database-url --hospital --pass-over --settle --expect --ignore --every"
    " --json --all --workers --only",
    "reconcile": "--database-url --expect --ignore --raw --limit --wait --json --all --workers"
    " --only",
    "check": "--hospital --pass-over --entity --limit --json",
    "migrate": "--database-url --check --sql --downgrade --backup --wait --json --all"
    " --workers --only",
    "config": "--json",
    "sample": "--visits --days --dirt --seed --hospital",
}


@pytest.mark.parametrize("command", OPTIONS)
@only_sqlite
def test_help(visitpay: Visitpay, command: str) -> None:
    """A command's help names its options, and an example that stands whole on one line."""
    outcome = visitpay(*command.split(), "--help")
    assert (outcome.status, outcome.err) == (0, "")
    named = re.findall("^  (?:-., )?(--[a-z-]+)", outcome.out, re.MULTILINE)
    own = OPTIONS[command].replace("--database-url", "--database-url --schema")
    assert named == [*own.split(), "--quiet", "--verbose", "--help"]
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert "[[" not in outcome.out
    assert re.search(rf"^  Example: visitpay {command}(?: .*)?\n\n", outcome.out, re.MULTILINE)
    assert visitpay(*command.split(), "-h").out == outcome.out


@only_sqlite
def test_a_password_of_two_words(visitpay: Visitpay) -> None:
    """A URL that lacks its quotes is two arguments, of which none is told."""
    url = ("postgresql://visit:SECRET", "SECRET2@host/db")
    for form in ([], ["--json"]):
        outcome = visitpay("status", "--database-url", url[0], "here", url[1], *form)
        assert outcome.status == 2
        assert "SECRET" not in outcome.out + outcome.err
        assert outcome.err == "Error: unexpected extra arguments; put the URL into quotes\n"


@only_sqlite
def test_version(visitpay: Visitpay) -> None:
    """`--version` prints the version."""
    assert visitpay("--version") == Outcome(0, f"visitpay {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("visitpay l", {"load"}),
        ("visitpay load --d", {"--database-url", "--dry-run"}),
        ("visitpay files --status ", {"loaded", "failed", "held"}),
        ("visitpay rejects ", {"list", "export", "dismiss", "retry"}),
    ],
)
@only_sqlite
def test_completion(
    visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch, words: str, offered: set[str]
) -> None:
    """The shell is offered commands, options and their values."""
    monkeypatch.setenv("_VISITPAY_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
    assert set(visitpay().out.split()) == offered


@only_sqlite
def test_completion_in_bash(feed: Feed) -> None:
    """The script that bash is given completes `visitpay lo`."""
    script = (
        'eval "$(_VISITPAY_COMPLETE=source_bash visitpay)"; COMP_WORDS=(visitpay lo); COMP_CWORD=1;'
        ' _visitpay_completion visitpay; echo "${COMPREPLY[@]}"'
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "VISITPAY_DATABASE_URL": feed.url}
    done = subprocess.run(
        ["bash", "-c", script], env=environment, check=True, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("load\n", "")
