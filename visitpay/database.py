"""The database: engines, the check that its schema is at head, the one-load-at-a-time lock."""

import fcntl
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    NullPool,
    create_engine,
    event,
    inspect,
    make_url,
    text,
)
from sqlalchemy.exc import ArgumentError, DBAPIError

from visitpay import DEFAULT_URL
from visitpay.errors import ConfigurationError, DatabaseError

MIGRATE = "run: alembic upgrade head"

_BUSY_SECONDS = 30
_POLL_SECONDS = 0.1


def parse_url(url: str) -> URL:
    """Read a database URL; raises ConfigurationError, without the URL's password, if it is none."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        message = f"the database URL cannot be read; it looks like {DEFAULT_URL}"
        raise ConfigurationError(message) from error
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        message = f"{parsed.drivername} is not supported; use a URL like {DEFAULT_URL}"
        raise ConfigurationError(message)
    if parsed.database in (None, "", ":memory:"):
        message = f"a database in memory keeps nothing; use a URL like {DEFAULT_URL}"
        raise ConfigurationError(message)
    if parsed.host or parsed.query:
        message = f"a database URL has a path and nothing else; use one like {DEFAULT_URL}"
        raise ConfigurationError(message)
    return parsed


def make_engine(url: str, *, read_only: bool = False) -> Engine:
    """Make the engine for an existing database: foreign keys on, one transaction at a time.

    `read_only` connections neither wait for a load nor hold one up. Raises DatabaseError when the
    database is not there.
    """
    parsed = parse_url(url)
    path = Path(str(parsed.database))
    if not path.is_file():
        message = f"there is no database {path}; {MIGRATE}"
        raise DatabaseError(message)
    if read_only:
        return _sqlite_engine(parsed, "PRAGMA foreign_keys = ON", "PRAGMA query_only = ON")
    return _sqlite_engine(parsed, "PRAGMA foreign_keys = ON", begin="BEGIN IMMEDIATE")


def make_migration_engine(url: str) -> Engine:
    """Make the engine for Alembic: creates the database, its owner's alone; foreign keys off.

    With foreign keys on, a batch migration that rebuilds a parent table fails, or deletes rows.
    """
    parsed = parse_url(url)
    os.close(_open_private(str(parsed.database)))
    lasting = ("PRAGMA page_size = 16384", "PRAGMA journal_mode = WAL")
    return _sqlite_engine(parsed, *lasting, begin="BEGIN IMMEDIATE")


def _sqlite_engine(url: URL, *pragmas: str, begin: str = "BEGIN") -> Engine:
    engine = create_engine(
        url,
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"timeout": _BUSY_SECONDS},
    )

    def on_connect(connection: sqlite3.Connection, _record: object) -> None:
        # The driver's own transactions let DDL and savepoints escape a rollback.
        connection.isolation_level = None
        for pragma in ("PRAGMA synchronous = FULL", "PRAGMA cache_size = -65536", *pragmas):
            connection.execute(pragma)

    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    return engine


@contextmanager
def reading(url: str) -> Iterator[Connection]:
    """Open a database at the schema's head to look at it; raises DatabaseError if it cannot be."""
    with translated(), make_engine(url, read_only=True).connect() as connection:
        require_head(connection)
        yield connection


def require_head(connection: Connection) -> None:
    """Check that the schema is at Alembic's head; raises DatabaseError that says what to run."""
    current: set[str] = set()
    if inspect(connection).has_table("alembic_version"):
        current = set(connection.scalars(text("SELECT version_num FROM alembic_version")))
    known, heads = revisions()
    if current == heads:
        return
    found = ", ".join(sorted(current)) or "empty"
    message = f"the database's schema is {found}, not {', '.join(sorted(heads))}; {MIGRATE}"
    if current - known:
        message += ", with the visitpay that knows this schema if it is a newer one"
    raise DatabaseError(message)


def revisions() -> tuple[set[str], set[str]]:
    """Give all revisions of the schema, and those that no other follows.

    They are read without Alembic, which takes 0.15 s to import.
    """
    scripts = [path.read_text("utf-8") for path in (_scripts() / "versions").glob("*.py")]
    known, followed = (
        {
            name
            for script in scripts
            for name in re.findall(rf"^{word} = ['\"](.+)['\"]$", script, re.MULTILINE)
        }
        for word in ("revision", "down_revision")
    )
    return known, known - followed


def _scripts() -> Path:
    """Find the migrations: inside an installed package, beside it in a checkout."""
    package = Path(__file__).parent
    inside = package / "alembic"
    return inside if inside.is_dir() else package.parent / "alembic"


@contextmanager
def run_lock(engine: Engine, wait_seconds: float) -> Iterator[None]:
    """Hold the database for one load; the kernel lets go of it however the process ends.

    The lock is on a file beside the database, since closing another handle of the database itself
    would drop SQLite's own locks. Raises DatabaseError when another load still holds it after
    `wait_seconds`.
    """
    # One database has one lock, by whatever link it is reached.
    handle = _open_private(f"{os.path.realpath(str(engine.url.database))}-lock")
    try:
        deadline = time.monotonic() + wait_seconds
        while not _locked(handle):
            if time.monotonic() >= deadline:
                message = f"another load holds {engine.url.database}; wait for it, or give --wait"
                raise DatabaseError(message)
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(handle)


def _open_private(path: str) -> int:
    """Open a file that is made, if it is not there, for its owner only, whatever the umask."""
    try:
        return os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        message = f"{path} cannot be opened: {error.strerror}; check the path and its permissions"
        raise DatabaseError(message) from error


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into a DatabaseError that says what to do."""
    try:
        yield
    except DBAPIError as error:
        message = (
            f"the database cannot be used: {error.orig}; "
            "nothing half-done is kept, mend it and run again"
        )
        raise DatabaseError(message) from error
