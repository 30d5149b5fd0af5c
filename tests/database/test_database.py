import re
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from alembic.script import ScriptDirectory
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, func, insert, inspect, make_url, select, text
from sqlalchemy.exc import StatementError

from tests.support.databases import alembic_config
from tests.support.feed import Feed, only_sqlite
from visitpay.database.engine import (
    make_engine,
    make_migration_engine,
    parse_url,
    read_connection,
    translate_errors,
)
from visitpay.database.revision import revisions
from visitpay.database.session import ExclusiveSession
from visitpay.errors import ConfigurationError, DatabaseError
from visitpay.models import LoadRun

MOMENT = datetime.fromisoformat("2021-12-01T23:33:57.123456+01:00")


def run_of(moment: datetime) -> dict[str, object]:
    """Return a row for the book of runs."""
    return {"started_at": moment, "status": "running", "version": "0", "host": "here"}


@only_sqlite
@pytest.mark.parametrize(("kind", "foreign_keys"), [("load", 1), ("reading", 1), ("migration", 0)])
def test_pragmas(feed: Feed, kind: str, foreign_keys: int) -> None:
    """An engine's connections keep foreign keys as they should, and are durable."""
    make = make_migration_engine if kind == "migration" else make_engine
    options = {"read_only": True} if kind == "reading" else {}
    expected = {"foreign_keys": foreign_keys, "journal_mode": "wal", "synchronous": 2}
    expected |= {"cache_size": -32768, "page_size": 16384}
    with make(feed.url, **options).connect() as connection:
        pragmas = {name: connection.scalar(text(f"PRAGMA {name}")) for name in expected}
    assert pragmas == expected


@pytest.mark.parametrize("make", [make_engine, make_migration_engine])
def test_rollback(feed: Feed, make: Callable[[str], Engine]) -> None:
    """A rollback takes back tables, rows, and savepoints that were released, and no more."""
    count = select(func.count()).select_from(LoadRun)
    row = insert(LoadRun).values(run_of(MOMENT))
    with make(feed.url).connect() as connection:
        with connection.begin() as transaction:
            connection.execute(text("CREATE TABLE made (id INTEGER)"))
            with connection.begin_nested():
                connection.execute(row)
            with connection.begin_nested() as savepoint:
                connection.execute(row)
                savepoint.rollback()
            assert connection.scalar(count) == 1
            transaction.rollback()
        assert connection.scalar(count) == 0
        assert not inspect(connection).has_table("made")


def test_reading_while_writing(feed: Feed) -> None:
    """Who reads neither waits for a writer nor holds one up, and sees what was committed."""
    count = select(func.count()).select_from(LoadRun)
    with read_connection(feed.url) as reader, make_engine(feed.url).connect() as writer:
        with writer.begin():
            writer.execute(insert(LoadRun).values(run_of(MOMENT)))
            with read_connection(feed.url) as another:
                assert (reader.scalar(count), another.scalar(count)) == (0, 0)
        with read_connection(feed.url) as later:
            assert (reader.scalar(count), later.scalar(count)) == (0, 1)


@contextmanager
def held(feed: Feed) -> Iterator[subprocess.Popen[str]]:
    """Have another process hold the database until its input ends."""
    program = (
        "import sys\n"
        "from visitpay.database.engine import make_engine\n"
        "from visitpay.database.session import ExclusiveSession\n"
        "with ExclusiveSession(make_engine(sys.argv[1]), 0):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, feed.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process


def test_run_lock_outlives_no_process(feed: Feed) -> None:
    """The lock keeps a second holder out, and is gone when its holder is killed."""
    engine = make_engine(feed.url)
    with held(feed) as process:
        with pytest.raises(DatabaseError) as caught, ExclusiveSession(engine, 0):
            pass
        process.kill()
        process.wait()
        with ExclusiveSession(engine, 60):  # a server notices in a moment that its client is gone
            pass
    message = (
        f"another load holds {make_url(feed.url).database}; wait for it, or give a longer --wait"
    )
    assert str(caught.value) == message


def test_run_lock_waits(feed: Feed) -> None:
    """Who waits long enough gets the lock when its holder ends, and can take it once."""
    engine = make_engine(feed.url)
    with held(feed) as process:
        assert process.stdin is not None
        process.stdin.close()
        with (
            ExclusiveSession(engine, 60),
            pytest.raises(DatabaseError, match="another load holds"),
            ExclusiveSession(engine, 0),
        ):
            pass
    with ExclusiveSession(engine, 60):
        pass


def test_permissions(tmp_path: Path) -> None:
    """The database and the files beside it are their owner's alone, whatever the umask."""
    program = """
import os, sys
from sqlalchemy import text
from visitpay.database.dialects import sqlite
from visitpay.database.engine import make_engine, make_migration_engine
os.umask(0)
url = f"sqlite:///{sys.argv[1]}/visitpay.db"
with make_migration_engine(url).connect() as connection:
    with connection.begin():
        connection.execute(text("CREATE TABLE made (id INTEGER)"))
    with sqlite.run_lock(connection):
        for entry in sorted(os.scandir(sys.argv[1]), key=lambda entry: entry.name):
            print(entry.name, oct(entry.stat().st_mode & 0o777))
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    assert printed.splitlines() == [
        "visitpay.db 0o600",
        "visitpay.db-lock 0o600",
        "visitpay.db-shm 0o600",
        "visitpay.db-wal 0o600",
    ]


def test_unusable_place(tmp_path: Path) -> None:
    """A database that cannot be made is refused with its path and the reason."""
    path = tmp_path / "no" / "visitpay.db"
    with pytest.raises(DatabaseError) as caught:
        make_migration_engine(f"sqlite:///{path}")
    message = f"{path} cannot be opened: No such file or directory"
    assert str(caught.value) == f"{message}; check the path and its permissions"


def test_heads() -> None:
    """The heads that are read from the scripts are the ones that Alembic finds."""
    scripts = ScriptDirectory.from_config(alembic_config())
    known = {each.revision for each in scripts.walk_revisions()}
    assert revisions() == (known, set(scripts.get_heads()))


def test_moments(feed: Feed) -> None:
    """A moment comes back as it was, to the microsecond, in UTC."""
    with make_engine(feed.url).begin() as connection:
        connection.execute(insert(LoadRun).values(run_of(MOMENT)))
    with read_connection(feed.url) as connection:
        moment, none = connection.execute(select(LoadRun.started_at, LoadRun.finished_at)).one()
    assert (moment, moment.tzinfo, none) == (MOMENT, UTC, None)


@pytest.mark.parametrize("condition", [True, False])
def test_naive_moments(feed: Feed, *, condition: bool) -> None:
    """A moment without a zone is refused, in a row as in a condition."""
    naive = MOMENT.replace(tzinfo=None)
    row, rows = insert(LoadRun).values(run_of(naive)), select(LoadRun)
    statement = rows.where(LoadRun.started_at > naive) if condition else row
    with (
        make_engine(feed.url).connect() as connection,
        pytest.raises(StatementError, match="a naive datetime has no place in the database"),
    ):
        connection.execute(statement)


@only_sqlite
def test_translated(feed: Feed) -> None:
    """What the driver says becomes a DatabaseError that tells no value, nor does its cause."""
    row = run_of(MOMENT) | {"id": 31337, "host": "secret"}
    with (
        pytest.raises(DatabaseError) as caught,
        translate_errors(make_url(feed.url)),
        make_engine(feed.url).begin() as connection,
    ):
        connection.execute(insert(LoadRun), [row] * 2)
    assert str(caught.value) == (
        "the database cannot be used: UNIQUE constraint failed: load_runs.id; nothing half-done is"
        " kept, mend it and run again"
    )
    told = "".join(traceback.format_exception(caught.value))
    assert "do_execute" in told
    assert not re.search("secret|31337", told)


@only_sqlite
def test_unusable_lock(feed: Feed) -> None:
    """A lock that cannot be opened is refused with its path and the reason."""
    Path(f"{feed.database}-lock").mkdir()
    with (
        pytest.raises(DatabaseError, match="-lock cannot be opened: Is a directory; check the"),
        ExclusiveSession(make_engine(feed.url), 0),
    ):
        pass


PASSWORDS = [
    "hun@ter2",
    "@$$hunter2",
    "hun@@@ter2",
    "hun@#ter2",
    "hun ter@2",
    "@hunter2",
    "hunter2@",
    "hun@ter2/a",
    "hun@ter2:a",
    "hun@ter2?a",
    "hun@2#",
]
AMBIGUOUS = [
    *(f"postgresql+psycopg://visit:{each}@127.0.0.1:1/visitpay" for each in PASSWORDS),
    *(f"postgres://visit:{each}@db.example.org/visitpay" for each in PASSWORDS),
    "postgresql://127.0.0.1:1/visitpay?password=hun@ter2",
    "postgresql://127.0.0.1/visitpay?user=visit&password=hun@ter2",
    "postgresql://visit:hun?er2@127.0.0.1:1/visitpay",
    "postgresql://vi/sit:hunter2@127.0.0.1:1/visitpay",
    "postgresql://visit@127.0.0.1:1/visitpay?password=hun&ter2=x",
    "postgresql://visit:hunter2",
    "postgresql://visit@/visitpay?host=hun%40ter2",
]


@pytest.mark.parametrize("url", AMBIGUOUS)
def test_ambiguous_urls(url: str) -> None:
    """A URL of which a part of a password may be taken for something else is refused unread."""
    with pytest.raises(ConfigurationError) as caught:
        parse_url(url)
    told = "".join(traceback.format_exception(caught.value))
    assert not re.search("hun|ter2|er2", told)
    assert "%40" in str(caught.value) or url.count("@") == 0


@given(st.text("@:/?#%& +=[]ab1", max_size=8), st.sampled_from(["", ":1"]))
def test_any_password(password: str, port: str) -> None:
    """Written as it is it is a password, or the URL is refused; encoded it is one in any case."""
    url = "postgresql://visit:{}@127.0.0.1{}/visitpay"
    with suppress(ConfigurationError):
        parsed = parse_url(url.format(password, port))
        parts = (parsed.host, parsed.database, parsed.username, dict(parsed.query))
        assert parts == ("127.0.0.1", "visitpay", "visit", {})
    assert parse_url(url.format(quote(password, safe=""), port)).password == password


@pytest.mark.parametrize("url", ["sqlite:///visitpay.db", "postgresql://visit:hunter2@127.0.0.1/v"])
@pytest.mark.parametrize(
    "around", ["{}\r", "{}\n", " {}", "{} ", "\t{}", "{}\0", "{}\r\n", "{}\x85"]
)
def test_urls_with_something_around_them(url: str, around: str) -> None:
    """A space or a control character, as of a Windows editor, is refused, without the URL."""
    message = "^the database URL has a space, a line end or a control character around it or in it"
    with pytest.raises(ConfigurationError, match=message) as caught:
        parse_url(around.format(url))
    assert "visitpay.db" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_names_of_postgresql(scheme: str) -> None:
    """What other programs call `postgres://` is taken, with an encoded password and options."""
    url = parse_url(f"{scheme}://me%40site:a%40b%2Fc@host:1/visit?sslmode=require&service=x")
    assert (url.drivername, url.username, url.password) == (
        "postgresql+psycopg",
        "me@site",
        "a@b/c",
    )
    assert (url.host, url.database) == ("host", "visit")


@pytest.mark.parametrize("name", ["a@b.db", "a b.db", "a:b.db", "ä☃.db", "a#b.db", "a\u00a0b.db"])
def test_odd_paths(tmp_path: Path, migrated: Path, name: str) -> None:
    """The path of an SQLite database may hold what a server's URL may not."""
    shutil.copy(migrated, tmp_path / name)
    with read_connection(f"sqlite:///{tmp_path}/{name}") as connection:
        assert connection.scalar(select(func.count()).select_from(LoadRun)) == 0
