"""The worst days: no room, no permission, no database, signals; nothing is lost or half-done."""

import gc
import logging
import os
import pkgutil
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from polars.exceptions import PanicException
from sqlalchemy import event, func, select

from tests.robustness.promise import check_books
from tests.support.command import (
    Outcome,
    Visitpay,
    limited,
    start,
    without_privilege,
    without_times,
)
from tests.support.databases import MakeDatabase
from tests.support.feed import Feed, only_sqlite, row
from visitpay.database.dialects import sqlite
from visitpay.database.engine import make_engine, read_connection
from visitpay.errors import DatabaseError
from visitpay.loading import merge
from visitpay.loading.merge import retry_orphans
from visitpay.loading.run import load
from visitpay.models import LoadFile, LoadRun, Procedure, Transaction, Visit
from visitpay.sample import write_sample

DAMAGED = "the database cannot be used: {}; nothing half-done is kept, {} and run again"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a feed of two days with some damage in it: 24,000 rows."""
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, visits=4000, days=2, dirt=1, seed=3)
    return folder


def run(feed: Feed, *arguments: str, **options: Any) -> Outcome:
    """Run the command as a process of its own."""
    with start(feed, arguments, **options) as process:
        out, err = process.communicate(timeout=120)
    return Outcome(process.returncode, out or "", err or "")


def finished(feed: Feed) -> tuple[Any, Any]:
    """Load what is left, undisturbed; give the state it ends in."""
    load(make_engine(feed.url), feed.landing, "HospitalABC")
    check_books(feed)
    return feed.tables(), feed.rejects()


@pytest.fixture(scope="module")
def undisturbed(
    sample: Path, tmp_path_factory: pytest.TempPathFactory, make_database: MakeDatabase
) -> tuple[Any, Any]:
    """Return the state in which the sample ends when nothing happens."""
    with make_database("sqlite", tmp_path_factory.mktemp("undisturbed")) as url:
        return finished(Feed(sample, url))


@only_sqlite
@pytest.mark.parametrize("kibibytes", [128, 300, 600, 1200])
def test_disk_full(sample: Path, feed: Feed, undisturbed: tuple[Any, Any], kibibytes: int) -> None:
    """Without room the load ends with 3; nothing is broken, and the next goes on with room."""
    feed = Feed(sample, feed.url)
    outcome = run(feed, "load", preexec_fn=partial(limited, kibibytes << 10))
    assert outcome.status == 3
    last = outcome.said.splitlines()[-1]
    assert last in {
        f"visitpay: {DAMAGED.format(what, remedy)}"
        for what, remedy in {
            "disk I/O error": "see whether its disk is full or failing",
            "database or disk is full": "make room on its disk",
        }.items()
    }
    assert "Traceback" not in outcome.err
    with closing(sqlite3.connect(feed.database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    check_books(feed)
    assert finished(feed) == undisturbed


@only_sqlite
def test_log_full(sample: Path, feed: Feed, undisturbed: tuple[Any, Any]) -> None:
    """A log that cannot be written costs no load."""
    feed = Feed(sample, feed.url)
    with Path("/dev/full").open("w") as full:
        outcome = run(feed, "load", "-v", stderr=full)
    assert outcome.status == 1  # it has rejects
    assert finished(feed) == undisturbed


@only_sqlite
def test_output_full(sample: Path, feed: Feed, undisturbed: tuple[Any, Any]) -> None:
    """A report that cannot be written gives 3; what was loaded is kept."""
    feed = Feed(sample, feed.url)
    with Path("/dev/full").open("w") as full:
        outcome = run(feed, "load", "--json", stdout=full)
    assert outcome.status == 3
    message = "visitpay: the output cannot be written: No space left on device"
    assert outcome.said.splitlines()[-1] == message
    assert finished(feed) == undisturbed


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("lines", [2, 7])
def test_signals(
    sample: Path,
    feed: Feed,
    undisturbed: tuple[Any, Any],
    number: signal.Signals,
    status: int,
    lines: int,
) -> None:
    """A signal takes the file under way back, is told and recorded; the next load goes on."""
    feed = Feed(sample, feed.url)
    with start(feed, ["load", "-v"]) as process:
        assert process.stderr is not None
        for _ in range(lines):
            process.stderr.readline()
        process.send_signal(number)
        told = process.stderr.read()
    message = (
        f"visitpay: stopped by {number.name}: the file under way was rolled back, nothing was lost;"
        " the next load goes on from there"
    )
    assert process.returncode == status
    assert without_times(told.splitlines()[-1]) == [f"error: {message}"]
    check_books(feed)
    with read_connection(feed.url) as connection:
        loaded = connection.execute(select(LoadFile.rows_read)).scalars().all()
        book = connection.execute(select(LoadRun.status, LoadRun.rows_read)).one()
    assert book == ("interrupted", sum(loaded))
    assert finished(feed) == undisturbed


def books(feed: Feed) -> list[tuple[str, int]]:
    """Return how each run ended, and how many files it loaded; its rows are those of its files."""
    rows = select(func.coalesce(func.sum(LoadFile.rows_read), 0)).where(
        LoadFile.run_id == LoadRun.id
    )
    with read_connection(feed.url) as connection:
        runs = connection.execute(
            select(LoadRun.status, LoadRun.files_loaded, LoadRun.rows_read, rows.scalar_subquery())
        ).all()
    assert all(told == held for *_, told, held in runs)
    return [(status, files) for status, files, *_ in runs]


def test_signal_after_any_statement(feed: Feed) -> None:
    """A signal may leave a connection in any state, with an answer half read; the book is right."""
    write_sample(feed.landing, visits=3, days=1)
    engine = make_engine(feed.url)
    left = 0

    def stop(*_anything: object) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise KeyboardInterrupt

    event.listen(engine, "after_cursor_execute", stop)
    for statement in count(1):
        left = statement
        with suppress(KeyboardInterrupt):
            load(engine, feed.landing, "HospitalABC")
            break
        gc.collect()  # as the end of a process does, it closes what the traceback held
    *interrupted, last = [status for status, _ in books(feed)]
    assert last == "ok"
    assert set(interrupted) <= {"interrupted", "ok"}  # some had only to write down what is wrong
    assert interrupted.count("interrupted") > 10
    check_books(feed)


def test_signal_after_a_file(feed: Feed, caplog: pytest.LogCaptureFixture) -> None:
    """A file that was committed when the signal came is in the book of the run."""
    write_sample(feed.landing, visits=3, days=1)

    def stop(record: logging.LogRecord) -> bool:
        if record.levelno == logging.INFO:
            raise KeyboardInterrupt
        return True

    caplog.set_level(logging.INFO)
    logger = logging.getLogger("visitpay.loading.run")
    logger.addFilter(stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            load(make_engine(feed.url), feed.landing, "HospitalABC")
    finally:
        logger.removeFilter(stop)
    assert books(feed) == [("interrupted", 1)]


def test_signal_while_waiting(
    feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for another load can be stopped, too; the JSON says so."""
    from visitpay.database.session import ExclusiveSession

    monkeypatch.setattr("time.sleep", lambda _seconds: signal.raise_signal(signal.SIGTERM))
    with ExclusiveSession(make_engine(feed.url), 0):
        outcome = visitpay("load", "--json")
    assert (outcome.status, outcome.document["status"]) == (143, "interrupted")


def test_two_loads_at_once(sample: Path, feed: Feed, undisturbed: tuple[Any, Any]) -> None:
    """Of two loads, one waits for the other and finds nothing left to do."""
    feed = Feed(sample, feed.url)
    with start(feed, ["load", "--json"]) as one, start(feed, ["load", "--json"]) as other:
        reports = [process.communicate(timeout=120)[0] for process in (one, other)]
    # A name in the sample nearly is one of the feed's: that needs a person after each of them.
    assert [process.returncode for process in (one, other)] == [1, 1]
    assert sorted(report.count('"loaded"') for report in reports) == [0, 6]
    assert finished(feed) == undisturbed


@only_sqlite
def test_a_long_reader(sample: Path, feed: Feed, undisturbed: tuple[Any, Any]) -> None:
    """Someone who looks on for long is no hindrance, and sees what was there at the start."""
    feed = Feed(sample, feed.url)
    with read_connection(feed.url) as connection:
        assert connection.scalar(select(LoadFile.id).limit(1)) is None
        state = finished(feed)
        assert connection.scalar(select(LoadFile.id).limit(1)) is None
    assert state == undisturbed


@only_sqlite
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_database(sample: Path, feed: Feed, share: float) -> None:
    """A database that lost its end is refused with one line, by those who look as well."""
    load(make_engine(feed.url), sample, "HospitalABC")
    size = feed.database.stat().st_size
    os.truncate(feed.database, int(size * share))
    write_sample(feed.landing, visits=10, days=1, dirt=0, seed=1)
    outcome = run(feed, "load")
    assert outcome.status == 3
    assert outcome.said.splitlines()[-1] == "visitpay: " + DAMAGED.format(
        "database disk image is malformed", "restore it from a backup"
    )
    assert "Traceback" not in outcome.err


@only_sqlite
@pytest.mark.parametrize(
    ("mode", "what", "remedy"),
    [
        (0o400, "attempt to write a readonly database", "check its permissions"),
        (
            0o000,
            "unable to open database file",
            "check its permissions and those of its directory",
        ),
    ],
)
def test_database_permissions(sample: Path, feed: Feed, mode: int, what: str, remedy: str) -> None:
    """A database that may not be written, or not read, gives 3 and one line."""
    feed = Feed(sample, feed.url)
    feed.database.chmod(mode)
    outcome = run(feed, "load", preexec_fn=without_privilege)
    assert (outcome.status, outcome.said) == (3, f"visitpay: {DAMAGED.format(what, remedy)}\n")


@only_sqlite
def test_landing_permissions(feed: Feed) -> None:
    """A directory that may not be read gives 2; a file that may not fails alone."""
    write_sample(feed.landing, visits=10, days=1, dirt=0, seed=1)
    locked = next(feed.landing.glob("*Transaction*"))
    locked.chmod(0)
    outcome = run(feed, "load", preexec_fn=without_privilege)
    assert outcome.status == 1
    assert f"{locked.name}: cannot be opened: Permission denied" in outcome.err
    locked.chmod(0o400)
    assert run(feed, "load", preexec_fn=without_privilege).status == 0
    feed.landing.chmod(0)
    outcome = run(feed, "load", preexec_fn=without_privilege)
    feed.landing.chmod(0o700)
    assert outcome.status == 2
    assert "cannot be read: Permission denied" in outcome.err


@only_sqlite
def test_permissions_of_the_directory(feed: Feed, unprivileged: Visitpay) -> None:
    """A database in a directory that is closed gives 3 and says which, and so says the doctor."""
    feed.database.parent.chmod(0)
    denied = "cannot be opened: Permission denied; check the path and its permissions"
    message = f"{feed.database} {denied}"
    outcome = unprivileged("load")
    assert (outcome.status, outcome.out, outcome.said) == (3, "", f"visitpay: {message}\n")
    outcome = unprivileged("doctor")
    assert outcome.status == 1
    assert message in outcome.out


@only_sqlite
def test_foreign_keys_off(feed: Feed) -> None:
    """A connection on which foreign keys are off is never used."""
    check = sqlite.require_foreign_keys
    assert event.contains(make_engine(feed.url), "connect", check)
    with closing(sqlite3.connect(feed.database)) as connection:
        with pytest.raises(DatabaseError, match="does not keep foreign keys"):
            check(connection, None)
        connection.execute("PRAGMA foreign_keys = ON")
        check(connection, None)


@only_sqlite
@pytest.mark.parametrize("moment", [0, 4102444800])
def test_clock_jumps(sample: Path, feed: Feed, undisturbed: tuple[Any, Any], moment: int) -> None:
    """Files written long ago, or in times to come, load; so they do after a run yet to begin."""
    for file in sample.iterdir():
        (feed.landing / file.name).write_bytes(file.read_bytes())
        os.utime(feed.landing / file.name, (moment, moment))
    assert finished(feed) == undisturbed
    feed.execute("UPDATE load_runs SET started_at = '2100-01-01 00:00:00.000000'")
    assert load(make_engine(feed.url), feed.landing, "HospitalABC").files == ()


@only_sqlite
def test_many_entries(feed: Feed) -> None:
    """A directory with 20,000 entries that are none of ours is listed, and warned about once."""
    for number in range(20_000):
        os.mknod(feed.landing / f"{number:06}")
    write_sample(feed.landing, visits=10, days=1, dirt=0, seed=1)
    report = load(make_engine(feed.url), feed.landing, "HospitalABC")
    assert (len(report.files), len(report.unrecognised)) == (3, 20_000)


FAULTS = [
    MemoryError("SECRET"),
    RecursionError("SECRET"),
    OverflowError("SECRET"),
    UnicodeDecodeError("utf-8", b"SECRET", 0, 1, "SECRET"),
    KeyError("SECRET"),
    PanicException("SECRET"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize(
    "where", ["visitpay.loading.consume.merge_batch", "visitpay.parsing.parser.Parser.batches"]
)
def test_whatever_one_file_causes(
    feed: Feed,
    visitpay: Visitpay,
    monkeypatch: pytest.MonkeyPatch,
    fault: BaseException,
    where: str,
) -> None:
    """It fails that file, by name and without a value, and the others are loaded."""
    feed.deliver(Procedure)
    bad = feed.deliver(Procedure, at="20211202_223357", procedure_description="gauze")
    feed.deliver(Visit, visit_balance="20.50")
    work, calls = pkgutil.resolve_name(where), count(1)

    def second_fails(*arguments: Any, **named: Any) -> Any:
        if next(calls) == 2:
            raise fault
        return work(*arguments, **named)

    monkeypatch.setattr(where, second_fails)
    outcome = visitpay("load", "-v", "--json")
    assert outcome.status == 1
    assert [each["status"] for each in outcome.document["files"]] == ["loaded", "failed", "loaded"]
    failed = outcome.document["files"][1]
    assert failed["name"] == bad.name
    assert failed["error"].startswith(f"cannot be loaded: {type(fault).__name__} at visitpay.")
    assert f" error: {bad.name}: {failed['error']}\n" in outcome.err
    assert "SECRET" not in outcome.out + outcome.err
    assert feed.descriptions() == {1: "bandaid"}
    check_books(feed)
    monkeypatch.undo()
    assert load(make_engine(feed.url), feed.landing, "HospitalABC").files[0].status == "loaded"


def test_what_the_database_refuses(feed: Feed, visitpay: Visitpay) -> None:
    """A row that a constraint does not let in fails its file, named, and the others go on."""
    feed.execute("CREATE UNIQUE INDEX one ON visits (guarantor_identifier)")
    same = row(guarantor_identifier=777)
    feed.deliver(Visit, row(visit_identifier=1, **same), row(visit_identifier=2, **same))
    feed.deliver(Visit, row(visit_identifier=3, **same), at="20211202_223005")
    failed, loaded = visitpay("load", "--json").document["files"]
    assert (failed["status"], loaded["status"], loaded["inserted"]) == ("failed", "loaded", 1)
    assert failed["error"].startswith("the database refuses it: ")
    assert "visits" in failed["error"]
    assert "777" not in failed["error"]


def test_orphans_that_cannot_be_tried_again(
    feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They cost a warning, and those of other files are tried all the same."""
    feed.deliver(Procedure)
    feed.deliver(Transaction, transaction_identifier=1, amount=5)
    feed.deliver(Transaction, at="20211202_223133", transaction_identifier=2, amount=5)
    visitpay("load")
    feed.deliver(Visit, visit_balance="20.50")
    heal, calls = retry_orphans, count(1)

    def first_fails(*arguments: Any, **named: Any) -> int:
        if next(calls) == 1:
            raise OverflowError("SECRET")  # noqa: EM101
        return heal(*arguments, **named)

    monkeypatch.setattr(merge, "retry_orphans", first_fails)
    outcome = visitpay("load", "--json")
    assert (outcome.status, outcome.document["rejects_resolved"]) == (0, 1)
    assert "Transaction_20211201_223133.txt: its rejected rows cannot be tried again" in outcome.err
    assert "SECRET" not in outcome.err


def raising(error: BaseException) -> Callable[..., Any]:
    """Return what fails, whatever it is given."""

    def fail(*_anything: object, **_named: object) -> Any:
        raise error

    return fail


COMMANDS = {
    "load": "visitpay.database.session.require_head",
    "status": "visitpay.database.engine.require_head",
    "files": "visitpay.database.engine.require_head",
    "rejects list": "visitpay.database.engine.require_head",
    "rejects retry": "visitpay.database.session.require_head",
    "rejects dismiss 1 --why x": "visitpay.database.session.require_head",
    "rejects export mended": "visitpay.database.engine.require_head",
    "reconcile": "visitpay.database.session.require_head",
    "report": "visitpay.database.engine.require_head",
    "check": "visitpay.loading.validate.scan",
    "doctor": "visitpay.doctor.examine",
    "migrate": "visitpay.migrations.migrate.exclusive",
    "sample made": "visitpay.sample.write_sample",
    "explain visit 1": "visitpay.database.engine.require_head",
}


@only_sqlite
@pytest.mark.parametrize("error", [ZeroDivisionError("SECRET"), PanicException("SECRET")], ids=type)
@pytest.mark.parametrize("command", COMMANDS)
def test_what_nobody_foresaw(
    feed: Feed,
    visitpay: Visitpay,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    error: BaseException,
) -> None:
    """It ends any command with 3, one line without a value, and a document where one is due."""
    assert feed.names() == []
    monkeypatch.setattr(COMMANDS[command], raising(error))
    outcome = visitpay(*command.split())
    line = (
        rf"visitpay: unforeseen: {type(error).__name__} at visitpay\.[\w.]+:\d+; "
        "nothing half-done is kept, please report this line"
    )
    assert (outcome.status, outcome.out) == (3, "")
    assert re.fullmatch(line + "\n", outcome.said)
    if command not in {"sample made", "migrate"}:
        document = visitpay(*command.split(), "--json").document
        assert document["status"] == "failed"
        assert re.fullmatch(line, f"visitpay: {document['error']}")


def test_a_run_that_ends_unforeseen(
    feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its book is closed at once, and the traceback is in the log of -v, without a value."""
    feed.deliver(Procedure)
    with monkeypatch.context() as patch:
        patch.setattr(
            "visitpay.loading.orphans.files_with_orphans", raising(ZeroDivisionError("SECRET"))
        )
        outcome = visitpay("load", "-v")
    assert outcome.status == 3
    *_, trace, last = outcome.err.split(" debug: ")[-1].splitlines()
    assert trace == "ZeroDivisionError"
    assert without_times(last)[0].startswith("error: visitpay: unforeseen: ZeroDivisionError at v")
    assert "Traceback (most recent call last):" in outcome.err
    assert "SECRET" not in outcome.err
    assert books(feed) == [("failed", 1)]
    assert visitpay("load").status == 0


@only_sqlite
@pytest.mark.parametrize("command", COMMANDS)
def test_stopped_where_nothing_is_loaded(
    feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Ctrl-C ends any command in one line, with 130."""
    assert feed.names() == []
    monkeypatch.setattr(COMMANDS[command], raising(KeyboardInterrupt()))
    outcome = visitpay(*command.split())
    assert (outcome.status, outcome.err.count("\n")) == (130, 1)
    assert outcome.said.startswith("visitpay: stopped by SIGINT")


LOADED_COMMANDS = [
    *("status", "files", "rejects list", "rejects list --raw", "rejects retry", "reconcile"),
    *("check", "doctor", "explain procedure 1", "--help", "--version", "load --help"),
    *("status --json", "load --json", "doctor --json", "check --json"),
]


def shell(feed: Feed, command: str, redirection: str, **environment: str) -> Outcome:
    """Run the command from a shell, redirected; gives what it still prints."""
    line = f'exec "$0" -m visitpay {command} {redirection}'
    settings = {"VISITPAY_DATABASE_URL": feed.url, "VISITPAY_LANDING": str(feed.landing)}
    done = subprocess.run(
        ["bash", "-c", line, sys.executable],
        env=os.environ | settings | environment,
        capture_output=True,
        check=False,
    )
    return Outcome(done.returncode, done.stdout.decode("latin-1"), done.stderr.decode("latin-1"))


@only_sqlite
@pytest.mark.parametrize(
    ("where", "why"), [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")]
)
@pytest.mark.parametrize("command", LOADED_COMMANDS)
def test_an_output_that_cannot_be_written(feed: Feed, command: str, where: str, why: str) -> None:
    """Whatever command loses what it has to say ends with 3, and says why."""
    feed.deliver(
        Procedure, row(procedure_id=1), row(procedure_id="x", procedure_description="cast")
    )
    outcome = shell(feed, command, where)
    assert outcome.status == 3
    assert outcome.said.splitlines()[-1] == f"visitpay: the output cannot be written: {why}"


@only_sqlite
@pytest.mark.parametrize("where", ["2>&-", "2>/dev/full", "2>&- >&- <&-", "<&-"])
def test_closed_streams(feed: Feed, where: str) -> None:
    """A load that can print nowhere does its work, and its exit status is right."""
    feed.deliver(Procedure)
    assert shell(feed, "load -v", where).status == 0
    assert feed.descriptions() == {1: "bandaid"}
    feed.deliver(Procedure, at="20211202_223357", procedure_id="x")
    assert shell(feed, "load -v", where).status == 1
    assert shell(feed, "load --nonsense", where).status == 2
    assert shell(feed, "status --database-url postgresql://u:b@c@d/e", where).status == 2
    feed.execute("DELETE FROM alembic_version")
    assert shell(feed, "load", where).status == 3


@only_sqlite
def test_a_pipe_that_nobody_reads(feed: Feed) -> None:
    """Who reads no more, as `head` does, costs 3 and not the 1 that needs a person."""
    feed.deliver(Procedure)
    reading_end, writing_end = os.pipe()
    os.close(reading_end)
    with start(feed, ["status", "--json"], stdout=writing_end) as process:
        os.close(writing_end)
        process.communicate()
    assert process.returncode == 3


@only_sqlite
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "ascii:strict"])
def test_an_output_that_lacks_a_character(feed: Feed, encoding: str) -> None:
    """A character that it cannot show is written out, in tables, log, paths and errors."""
    feed.deliver(Procedure, procedure_id="x", procedure_description="☃ snow")
    (feed.landing / "☃.txt").touch()
    environment = {"PYTHONIOENCODING": encoding, "LC_ALL": "C"}
    snow = "☃".encode().decode("latin-1") if encoding == "utf-8" else r"\u2603"
    outcome = shell(feed, "load", "", **environment)
    assert (outcome.status, f"left alone: {snow}.txt" in outcome.err) == (1, True)
    assert snow in shell(feed, "rejects list --raw", "", **environment).out
    assert snow in shell(feed, "check", "", **environment).out
    missing = shell(feed, "check /no/☃", "", **environment)
    assert (missing.status, snow in missing.err) == (2, True)
    made = feed.landing.parent / "☃"
    assert snow in shell(feed, f"sample {made} --visits 1 --days 1", "", **environment).out


@only_sqlite
def test_a_panic(feed: Feed) -> None:
    """What polars prints as it panics, which may hold a cell, reaches no one."""
    feed.deliver(Procedure)
    outcome = shell(feed, "check", "", POLARS_MAX_THREADS="0", RUST_BACKTRACE="1")
    assert (outcome.status, outcome.err.count("\n")) == (3, 1)
    assert outcome.err.startswith("visitpay: unforeseen: PanicException at visitpay.")
