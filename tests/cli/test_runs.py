"""What is on the books of a run, and of a load that could not begin; who is told of it."""

import json
import os
import signal
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.command import Visitpay, on_terminal, start, without_times
from tests.support.feed import Feed, only_sqlite, row
from visitpay.database.engine import make_engine
from visitpay.database.session import ExclusiveSession
from visitpay.hints import Setup
from visitpay.ledger.refused import forget_refusal, last_refusal, record_refusal
from visitpay.models import Procedure, Transaction, Visit
from visitpay.sample import write_sample


def deliver_day(feed: Feed, at: str = "20211201_223357") -> None:
    """Deliver a good file, one with a row that is none, and one that is no table."""
    feed.deliver(Procedure, at=at)
    feed.deliver(Visit, row(), row(visit_identifier="x"), at=at)
    feed.deliver_bytes(Transaction, b"", at=at)


def test_what_last_night_s_run_did(feed: Feed, visitpay: Visitpay) -> None:
    """One command, one screen: when, how long, what came of each file, and what to do."""
    deliver_day(feed)
    visitpay("load", "--max-rejects", "1")
    document = visitpay("runs", "last", "--json").document
    run = document["run"]
    assert (run["run_id"], run["status"], run["loaded"], run["failed"]) == (1, "attention", 2, 1)
    assert (run["files_planned"], document["files_done"], document["percent"]) == (3, 3, 100)
    assert (run["rows_read"], run["rejected"], run["rejects_tolerated"]) == (3, 1, True)
    assert (run["landing"], run["process_id"]) == (str(feed.landing), os.getpid())
    assert 0 <= run["seconds"] < 60
    assert [file["status"] for file in document["files"]] == ["failed", "loaded", "loaded"]
    assert document["files"][0]["error"].startswith("is empty; ")
    _, shown = on_terminal(feed, 80, "runs", "last")
    assert len(shown) <= 24
    assert shown[0] == "run 1: attention"
    setup = Setup(feed.url, feed.landing)
    text = visitpay("runs", "1").out
    assert text.endswith(f"failed: {setup.hint('files', '--status', 'failed')}\n")


def test_a_file_that_is_tried_again_is_the_later_run_s(feed: Feed, visitpay: Visitpay) -> None:
    """The earlier run says so, instead of losing it; the list still counts it."""
    deliver_day(feed)
    visitpay("load")
    visitpay("load")
    first, second = (visitpay("runs", number, "--json").document for number in (1, 2))
    assert (first["run"]["failed"], first["tried_again"], first["total"]) == (1, 1, 2)
    assert (second["run"]["failed"], second["tried_again"], second["total"]) == (1, 0, 1)
    assert "1 file of it failed and was tried again later; see: " in visitpay("runs", "1").out
    runs = visitpay("runs", "--json").document
    assert [(run["run_id"], run["failed"]) for run in runs["runs"]] == [(2, 1), (1, 1)]
    runs = visitpay("runs", "--status", "ok", "--json").document
    assert (runs["runs"], runs["total"]) == ([], 0)
    assert "1 of 2; --limit shows more" in visitpay("runs", "--limit", "1").out


def test_before_the_first(feed: Feed, visitpay: Visitpay) -> None:
    """There is nothing to show; a run that is asked for is missed in words."""
    assert feed.names() == []
    assert visitpay("runs").out == "no runs to show\n"
    for name, what in (("last", "no load has begun yet"), ("7", "there is no run 7")):
        outcome = visitpay("runs", name)
        see = Setup(feed.url).hint("runs")
        assert (outcome.status, outcome.err) == (2, f"visitpay: {what}; see: {see}\n")
    assert visitpay("runs", "x").status == 2


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a feed of twelve files, which takes a moment to load."""
    landing = tmp_path_factory.mktemp("sample")
    write_sample(landing, visits=6000, days=4)
    return landing


def test_a_run_that_is_killed(feed: Feed, visitpay: Visitpay, sample: Path) -> None:
    """While it lives it says how far it is; killed, that it died; the next run closes its book."""
    feed = Feed(sample, feed.url)
    with start(feed, ["load"]) as process:
        assert process.stderr is not None
        process.stderr.readline()  # the first file is in
        process.send_signal(signal.SIGSTOP)
        alive = visitpay("runs", "last", "--json").document
        listed = visitpay("runs", "--json").document["runs"][0]
        process.kill()
    assert (alive["run"]["status"], alive["run"]["died"]) == ("running", False)
    assert alive["run"]["process_id"] == process.pid
    assert 0 < alive["files_done"] < alive["run"]["files_planned"] == 12
    assert 0 <= alive["percent"] < 100
    assert listed["loaded"] == alive["run"]["loaded"] == alive["files_done"]
    with ExclusiveSession(make_engine(feed.url), 10):
        pass  # a server needs a moment to notice
    # Another process has its number by now.
    feed.execute(f"UPDATE load_runs SET process_id = {os.getpid()}")
    dead = visitpay("runs", "last", "--json").document["run"]
    assert (dead["status"], dead["died"], dead["finished_at"]) == ("running", True, None)
    assert visitpay("runs", "last").out.startswith("run 1: died: it was killed; ")
    assert visitpay("runs", "--json").document["runs"][0]["died"] is True
    visitpay("load", sample)
    closed = visitpay("runs", "1", "--json").document["run"]
    assert (closed["status"], closed["died"], closed["seconds"]) == ("interrupted", False, None)
    assert closed["loaded"] >= alive["files_done"]


def test_an_error_after_all_is_loaded(
    feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails the run on the books, too; what was loaded, and its counts, are kept."""
    feed.deliver(Procedure)
    with monkeypatch.context() as patch:
        patch.setattr("visitpay.notify.watch.LoadWatch.after_load", lambda *_, **__: 1 / 0)
        assert visitpay("load").status == 3
    run = visitpay("runs", "last", "--json").document["run"]
    assert (run["status"], run["loaded"], run["rows_read"]) == ("failed", 1, 1)
    assert run["error"].startswith("unforeseen: ZeroDivisionError at ")
    assert visitpay("runs", "last").out.startswith("run 1: failed: unforeseen: ZeroDivisionError")


def test_a_clock_that_is_set_back(feed: Feed, visitpay: Visitpay) -> None:
    """A run that ended before it began took no time that anyone knows."""
    feed.deliver(Procedure)
    visitpay("load")
    feed.execute("UPDATE load_runs SET finished_at = '2020-01-01 00:00:00.000000'")
    assert visitpay("runs", "last", "--json").document["run"]["seconds"] is None
    assert "after" not in visitpay("runs", "last").out


def refusal_file(feed: Feed) -> Path:
    """Return where the last load that could not begin is kept."""
    if feed.url.startswith("sqlite"):
        return feed.database.with_name("visitpay.db-refused")
    (path,) = Path(os.environ["STATE_DIRECTORY"]).glob("refused-*")
    return path


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (["load", "/no/such"], 2, "the landing directory /no/such cannot be read: No such file"),
        (["load", "--wait", "many"], 2, "Invalid value for '--wait': not a number of seconds"),
        (["load", "--log-format", "pg://u:SECRET@h"], 2, "an argument "),
        (["load", "--hospital", "Other"], 2, "the database holds files of HospitalABC, not of Ot"),
    ],
    ids=["landing", "arguments", "secret", "hospital"],
)
def test_a_load_that_could_not_begin(
    feed: Feed, visitpay: Visitpay, arguments: list[str], status: int, reason: str
) -> None:
    """Its reason lies beside the lock, for its owner alone, until a load begins."""
    feed.deliver(Procedure)
    assert visitpay("load").status == 0
    feed.path(Procedure, "20211202_223357").with_name(
        "Other_VisitPay_Visit_20211202_223357.txt"
    ).touch()
    assert [visitpay(*arguments).status for _ in range(2)] == [status, status]
    refusal = visitpay("runs", "--json").document["refusal"]
    assert (refusal["exit_status"], refusal["times"]) == (status, 2)
    assert refusal["error"].startswith(reason)
    path = refusal_file(feed)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "SECRET" not in path.read_text()
    first, *_ = visitpay("runs").out.splitlines()
    assert " could not begin (2 loads since " in first
    assert reason in first
    visitpay("status")
    assert visitpay("load", "--dry-run", "/no/such").status == 2
    assert visitpay("runs", "--json").document["refusal"] == refusal  # nobody is told of those
    visitpay("load")
    assert visitpay("runs", "--json").document["refusal"] is None
    assert not path.exists()


def test_a_load_that_another_kept_out(feed: Feed, visitpay: Visitpay) -> None:
    """So does that of a load that waited in vain, though its database is in use."""
    with ExclusiveSession(make_engine(feed.url), 0):
        assert visitpay("load", "--wait", "0").status == 3
        refusal = last_refusal(feed.url)
    assert refusal is not None
    assert (refusal.exit_status, refusal.process_id) == (3, os.getpid())
    assert "another load holds" in refusal.reason
    assert datetime.now(UTC) - refusal.at < timedelta(minutes=1)


@only_sqlite
@pytest.mark.parametrize("lost", ["closed", "garbage", "foreign", "link", "nowhere"])
def test_a_reason_that_cannot_be_kept(feed: Feed, lost: str, tmp_path: Path) -> None:
    """Nothing happens then; what is not ours is neither believed, nor written over."""
    path, other = refusal_file(feed), tmp_path / "other"
    if lost == "closed":
        path.mkdir()
    elif lost == "garbage":
        path.write_text('{"refused_at": "yesterday"}')
    elif lost == "foreign":
        path.write_text("mine")
    elif lost == "link":
        path.symlink_to(other)
    else:
        feed.database.unlink()
    assert last_refusal(feed.url) is None
    record_refusal(feed.url, "x", 3)
    assert (last_refusal(feed.url) is not None) == (lost == "garbage")
    forget_refusal(feed.url)
    assert last_refusal(feed.url) is None
    record_refusal("postgresql://u:b@c@d/e", "x", 3)
    assert not other.exists()
    assert lost != "foreign" or path.read_text() == "mine"


@pytest.mark.usefixtures("feed")
def test_a_state_directory_that_is_lost(
    visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load that could not begin ends with its own status and line, all the same."""
    monkeypatch.setenv("STATE_DIRECTORY", "/proc/none")
    outcome = visitpay("load", "/no/such")
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert visitpay("load").status == 0


def needs(feed: Feed, what: str) -> str:
    """Return the line by which a person hears of a load."""
    return f"error: visitpay: needs a person: {what}; see: {status_command(feed)}"


def status_command(feed: Feed) -> str:
    """Return the command that shows what needs a person."""
    return Setup(feed.url, feed.landing).hint("status")


def test_who_reads_the_mail_of_cron(
    feed: Feed, visitpay: Visitpay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a log file a load prints nothing, or one line: whatever is printed, cron mails."""
    log = tmp_path / "load.log"
    monkeypatch.setenv("VISITPAY_LOG_FILE", str(log))
    feed.deliver(Procedure)
    outcome = visitpay("load")
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    log.rename(tmp_path / "load.log.1")  # as logrotate does
    deliver_day(feed, "20211202_223357")
    (feed.landing / "HospitalABC_VisitPay_visit_20211202_223357.txt").touch()
    outcome = visitpay("load")
    said = needs(feed, "1 file failed, 1 misnamed file, 1 reject open")
    assert (outcome.status, without_times(outcome.err)) == (1, [said])
    logged = without_times(log.read_text())
    assert logged[-1] == said
    assert "info: run 2: attention" in logged[-2]
    outcome = visitpay("load", "--log-format", "json")
    assert without_times(outcome.err) == [needs(feed, "1 file failed, 1 misnamed file")]
    last = json.loads(log.read_text().splitlines()[-1])
    assert (last["event"], last["level"], last["run_id"]) == ("needs_person", "error", 3)
    assert last["message"] == needs(feed, "1 file failed, 1 misnamed file").removeprefix(
        "error: visitpay: "
    )
    with ExclusiveSession(make_engine(feed.url), 0):
        outcome = visitpay("load", "--wait", "0")
    assert outcome.status == 3
    assert len(outcome.err.splitlines()) == 1
    assert outcome.said.startswith("visitpay: another load holds")
    assert log.read_text().splitlines()[-1] == outcome.err.strip()


@only_sqlite
def test_without_a_log_file(feed: Feed, visitpay: Visitpay) -> None:
    """The line is the last of the log, in its format; on a terminal it has no time."""
    deliver_day(feed)
    _, shown = on_terminal(feed, 400, "load")
    line = needs(feed, "1 file failed, 1 reject open").removeprefix("error: ")
    assert shown[-1] == line
    outcome = visitpay("load", "--log-format", "json")
    (*_, last) = (json.loads(line) for line in outcome.err.splitlines())
    assert (last["event"], last["message"].startswith("needs a person: 1 file failed; see: ")) == (
        "needs_person",
        True,
    )


@only_sqlite
@pytest.mark.parametrize("place", ["/no/such/log", "/", "/dev/full", "fifo"])
def test_a_log_file_that_cannot_be_written(
    feed: Feed, visitpay: Visitpay, tmp_path: Path, place: str
) -> None:
    """A warning says so, and the load goes on."""
    if place == "fifo":
        place = str(tmp_path / place)
        os.mkfifo(place)
    feed.deliver(Procedure)
    outcome = visitpay("load", "--log-file", place)
    assert outcome.status == 0
    assert without_times(outcome.err)[0].startswith("warning: the log file ")
    assert "cannot be written: " in outcome.err
    assert feed.descriptions() == {1: "bandaid"}
