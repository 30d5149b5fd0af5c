"""The worst days: no room, no permission, no database, signals; nothing is lost or half-done."""

import gc
import logging
import os
import resource
import signal
import sqlite3
import subprocess
from contextlib import closing, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, select

from tests.conftest import Feed, Outcome, Visitpay, only_sqlite, start, without_privilege
from tests.databases import MakeDatabase
from tests.test_promise import check_books
from visitpay.database import make_engine, reading
from visitpay.dialects import sqlite
from visitpay.errors import DatabaseError
from visitpay.loading import load
from visitpay.models import LoadFile, LoadRun
from visitpay.sample import write_sample

DAMAGED = "the database cannot be used: {}; nothing half-done is kept, {} and run again"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a feed of two days with some damage in it: 24,000 rows."""
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
    """Give the state in which the sample ends when nothing happens."""
    with make_database("sqlite", tmp_path_factory.mktemp("undisturbed")) as url:
        return finished(Feed(sample, url))


def limited(size_bytes: int) -> None:
    """Let no file of this process grow beyond a size."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))


@only_sqlite
@pytest.mark.parametrize("kibibytes", [128, 300, 600, 1200])
def test_disk_full(sample: Path, feed: Feed, undisturbed: tuple[Any, Any], kibibytes: int) -> None:
    """Without room the load ends with 3; nothing is broken, and the next goes on with room."""
    feed = Feed(sample, feed.url)
    outcome = run(feed, "load", preexec_fn=partial(limited, kibibytes << 10))
    assert outcome.status == 3
    last = outcome.err.splitlines()[-1]
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
    assert outcome.err.splitlines()[-1] == message
    assert finished(feed) == undisturbed


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("lines", [1, 6])
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
    assert told.splitlines()[-1] == message
    check_books(feed)
    with reading(feed.url) as connection:
        loaded = connection.execute(select(LoadFile.rows_read)).scalars().all()
        book = connection.execute(select(LoadRun.status, LoadRun.rows_read)).one()
    assert book == ("interrupted", sum(loaded))
    assert finished(feed) == undisturbed


def books(feed: Feed) -> list[tuple[str, int]]:
    """Give how each run ended, and how many files it loaded; its rows are those of its files."""
    rows = select(func.coalesce(func.sum(LoadFile.rows_read), 0)).where(
        LoadFile.run_id == LoadRun.id
    )
    with reading(feed.url) as connection:
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
    assert set(interrupted) == {"interrupted"}
    assert len(interrupted) > 10
    check_books(feed)


def test_signal_after_a_file(feed: Feed, caplog: pytest.LogCaptureFixture) -> None:
    """A file that was committed when the signal came is in the book of the run."""
    write_sample(feed.landing, visits=3, days=1)

    def stop(record: logging.LogRecord) -> bool:
        if record.levelno == logging.INFO:
            raise KeyboardInterrupt
        return True

    caplog.set_level(logging.INFO)
    logger = logging.getLogger("visitpay.loading")
    logger.addFilter(stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            load(make_engine(feed.url), feed.landing, "HospitalABC")
    finally:
        logger.removeFilter(stop)
    assert books(feed) == [("interrupted", 1)]


def test_signal_while_waiting(feed: Feed) -> None:
    """Whoever waits for another load can be stopped, too; the JSON says so."""
    from visitpay.hold import Hold

    with Hold(make_engine(feed.url), 0), start(feed, ["load", "--json"]) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)
        process.terminate()
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 143
    assert '"status": "interrupted"' in out


def test_two_loads_at_once(sample: Path, feed: Feed, undisturbed: tuple[Any, Any]) -> None:
    """Of two loads, one waits for the other and finds nothing left to do."""
    feed = Feed(sample, feed.url)
    with start(feed, ["load", "--json"]) as one, start(feed, ["load", "--json"]) as other:
        reports = [process.communicate(timeout=120)[0] for process in (one, other)]
    assert sorted(process.returncode for process in (one, other)) == [0, 1]
    assert sorted(report.count('"loaded"') for report in reports) == [0, 6]
    assert finished(feed) == undisturbed


@only_sqlite
def test_a_long_reader(sample: Path, feed: Feed, undisturbed: tuple[Any, Any]) -> None:
    """Someone who looks on for long is no hindrance, and sees what was there at the start."""
    feed = Feed(sample, feed.url)
    with reading(feed.url) as connection:
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
    assert outcome.err.splitlines()[-1] == "visitpay: " + DAMAGED.format(
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
    assert (outcome.status, outcome.err) == (3, f"visitpay: {DAMAGED.format(what, remedy)}\n")


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
    assert unprivileged("load") == Outcome(3, "", f"visitpay: {message}\n")
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
    """A directory with 100,000 entries that are none of ours is listed, and warned about once."""
    for number in range(100_000):
        os.mknod(feed.landing / f"{number:06}")
    write_sample(feed.landing, visits=10, days=1, dirt=0, seed=1)
    report = load(make_engine(feed.url), feed.landing, "HospitalABC")
    assert (len(report.files), len(report.unrecognised)) == (3, 100_000)
