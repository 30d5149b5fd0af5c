"""SQLite: one file, one writer."""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    URL,
    Column,
    Connection,
    Date,
    Engine,
    FromClause,
    NullPool,
    Numeric,
    Table,
    and_,
    bindparam,
    column,
    create_engine,
    event,
    func,
    literal_column,
    select,
    values,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from visitpay.database.dialects.base import EXAMPLES, ErrorSummary, UpsertCounts, do_update_changed
from visitpay.errors import ConfigurationError, DatabaseError
from visitpay.models import SOURCE_COLUMNS, UTCDateTime

if TYPE_CHECKING:
    import polars as pl

ROWS_PER_STATEMENT = 2000
"""Rows in one multi-row VALUES; single rows cost twice as much."""

ROWS_AT_ONCE = 10_000
"""Rows that are made into Python's objects at once."""

_BUSY_SECONDS = 30

_REMEDIES: dict[int | None, str] = {
    sqlite3.SQLITE_FULL: "make room on its disk",
    sqlite3.SQLITE_IOERR: "see whether its disk is full or failing",
    sqlite3.SQLITE_BUSY: "wait for whoever writes into it",
    sqlite3.SQLITE_CORRUPT: "restore it from a backup",
    sqlite3.SQLITE_NOTADB: "restore it from a backup",
    sqlite3.SQLITE_READONLY: "check its permissions",
    sqlite3.SQLITE_CANTOPEN: "check its permissions and those of its directory",
}

_SOURCE_FILE = "$source_file_id"
"""Stands in a statement for the delivery's id: the same in every row, it need not be bound."""


def validate_url(url: URL) -> URL:
    """Give the URL; raises ConfigurationError unless it names a file and nothing else."""
    if url.drivername not in ("sqlite", "sqlite+pysqlite"):
        message = f"{url.drivername} is not supported; use a URL like {EXAMPLES['sqlite']}"
        raise ConfigurationError(message)
    if url.database in (None, "", ":memory:"):
        message = f"a database in memory keeps nothing; use a URL like {EXAMPLES['sqlite']}"
        raise ConfigurationError(message)
    if url.host or url.query:
        message = f"a database URL has a path and nothing else; use one like {EXAMPLES['sqlite']}"
        raise ConfigurationError(message)
    return url


def make_engine(url: URL, *, read_only: bool) -> Engine:
    """Make the engine for an existing database: foreign keys on, one transaction at a time."""
    path = Path(str(url.database))
    try:
        is_there = path.is_file()
    except OSError as error:  # its directory is closed
        raise _unopened(path, error) from error
    if not is_there:
        message = f"there is no database {path}; run: alembic upgrade head"
        raise DatabaseError(message)
    if read_only:
        return _engine(url, "PRAGMA foreign_keys = ON", "PRAGMA query_only = ON")
    engine = _engine(url, "PRAGMA foreign_keys = ON", begin="BEGIN IMMEDIATE")
    event.listen(engine, "connect", require_foreign_keys)
    return engine


def require_foreign_keys(connection: sqlite3.Connection, _record: object) -> None:
    """Raise DatabaseError when foreign keys are off: an SQLite without them takes any PRAGMA."""
    if connection.execute("PRAGMA foreign_keys").fetchone() != (1,):
        message = "this SQLite does not keep foreign keys; use a Python with a full one"
        raise DatabaseError(message)


def make_migration_engine(url: URL) -> Engine:
    """Make the engine for Alembic: creates the database, its owner's alone; foreign keys off.

    With foreign keys on, a batch migration that rebuilds a parent table fails, or deletes rows.
    """
    os.close(_open_private(str(url.database)))
    lasting = ("PRAGMA page_size = 16384", "PRAGMA journal_mode = WAL")
    return _engine(url, *lasting, begin="BEGIN IMMEDIATE")


def _engine(url: URL, *pragmas: str, begin: str = "BEGIN") -> Engine:
    engine = create_engine(
        url,
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"timeout": _BUSY_SECONDS},
    )

    def on_connect(connection: sqlite3.Connection, _record: object) -> None:
        # The driver's own transactions let DDL and savepoints escape a rollback.
        connection.isolation_level = None
        for pragma in ("PRAGMA synchronous = FULL", "PRAGMA cache_size = -32768", *pragmas):
            connection.execute(pragma)

    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    return engine


def migration_preamble() -> tuple[str, ...]:
    """Give none: BEGIN IMMEDIATE keeps two migrations apart."""
    return ()


def lacking_encoding(_connection: Connection) -> str:
    """Give none: each of SQLite's encodings has every character."""
    return ""


def foreign_key_violations(connection: Connection) -> set[str]:
    """Give the tables of which rows refer to nothing; a migration runs with foreign keys off."""
    return {row[0] for row in connection.exec_driver_sql("PRAGMA foreign_key_check")}


@contextmanager
def run_lock(connection: Connection) -> Iterator[Callable[[], bool]]:
    """Give a function that tries to lock a file beside the database.

    The kernel lets go of it however the process ends. The database itself is not locked, since
    closing another handle of it would drop SQLite's own locks.
    """
    handle = _open_private(_lock_path(connection))

    def take() -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    try:
        yield take
    finally:
        os.close(handle)


def is_held(connection: Connection) -> bool:
    """Try the lock, where its file is there; what cannot be tried is taken as held.

    A load that has it is not disturbed. Where none has, this one has it for an instant, shared with
    others that look; a load that comes just then tries again, unless it was told not to wait.
    """
    try:
        handle = os.open(_lock_path(connection), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(handle)


def _lock_path(connection: Connection) -> str:
    # One database has one lock, by whatever link it is reached.
    return f"{os.path.realpath(str(connection.engine.url.database))}-lock"


def _open_private(path: str) -> int:
    """Open a file that is made, if it is not there, for its owner only, whatever the umask."""
    try:
        return os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unopened(path, error) from error


def _unopened(path: str | Path, error: OSError) -> DatabaseError:
    return DatabaseError(
        f"{path} cannot be opened: {error.strerror}; check the path and its permissions"
    )


def upsert(
    connection: Connection, table: Table, rows: "pl.DataFrame", source_file_id: int
) -> UpsertCounts:
    """Insert what is new; only where rows are left over, update those that differ.

    After rows of which nothing was written it is first asked whether the next are there as well,
    just as they are: asking costs half as much as two statements that write nothing.
    """
    inserted = updated = 0
    same, quiet = _count_same(table), False
    insert = _insert_new(table).replace(_SOURCE_FILE, str(source_file_id))
    update = _update_changed(table).replace(_SOURCE_FILE, str(source_file_id))
    for count, flat in _slices(table, rows):
        if quiet and connection.exec_driver_sql(_repeated(same, count), flat).scalar() == count:
            continue
        new = changed = connection.exec_driver_sql(_repeated(insert, count), flat).rowcount
        if new < count:
            changed = connection.exec_driver_sql(_repeated(update, count), flat).rowcount
            updated += changed
        inserted += new
        quiet = not new and not changed
    return UpsertCounts(inserted, updated, len(rows) - inserted - updated)


def insert_rows(connection: Connection, table: Table, rows: "pl.DataFrame") -> None:
    """Insert rows, a thousand a statement."""
    statement = _compiled(sqlite.insert(table).values(dict.fromkeys(rows.columns)))
    for count, flat in _slices(table, rows):
        connection.exec_driver_sql(_repeated(statement, count), flat)


def _slices(table: Table, rows: "pl.DataFrame") -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Give some rows at a time as one flat tuple of what the driver binds, with their number."""
    width = rows.width
    for some in rows.iter_slices(ROWS_AT_ONCE):
        flat: list[Any] = [None] * (len(some) * width)
        for place, name in enumerate(some.columns):
            flat[place::width] = _bound(some[name], table.columns[name]).to_list()
        for start in range(0, len(some), ROWS_PER_STATEMENT):
            count = min(ROWS_PER_STATEMENT, len(some) - start)
            yield count, tuple(flat[start * width : (start + count) * width])


def _bound(values: "pl.Series", column: Column[Any]) -> "pl.Series":
    """Turn values into what SQLite stores for SQLAlchemy's types."""
    if isinstance(column.type, Numeric):
        return _quotients(values, 10 ** (column.type.scale or 0))
    if isinstance(column.type, Date):
        return values.dt.to_string("%Y-%m-%d")
    if isinstance(column.type, UTCDateTime):
        return values.dt.to_string("%Y-%m-%d %H:%M:%S%.6f")
    return values


def _quotients(units: "pl.Series", divisor: int) -> "pl.Series":
    """Divide whole units, such as cents, into the doubles nearest to the amounts.

    polars multiplies by the inverse of a constant, which is off by one unit in the last place for
    one amount in seven; it takes a divisor of length one for a constant.
    """
    import polars as pl

    rows = len(units)
    padded = units.extend_constant(0, 1) if rows == 1 else units
    return (padded / pl.repeat(float(divisor), len(padded), eager=True)).head(rows)


def keys_as_table(keys: Iterable[int]) -> FromClause:
    """Give the keys as a JSON array, of which SQLite makes a table."""
    return func.json_each(f"[{','.join(map(str, keys))}]").table_valued("value")


@cache
def _insert_new(table: Table) -> str:
    statement = _insert(table)
    return _compiled(statement.on_conflict_do_nothing(index_elements=table.primary_key))


@cache
def _update_changed(table: Table) -> str:
    return _compiled(do_update_changed(_insert(table)))


@cache
def _count_same(table: Table) -> str:
    names = [each.name for each in table.columns if each.name != "source_file_id"]
    (key,) = table.primary_key.columns
    given: tuple[Any, ...] = tuple(bindparam(name) for name in names)
    row = values(*(column(name) for name in names)).data([given])
    incoming = row.cte("incoming")
    new = incoming.columns
    fed = [each for each in table.columns if each.name not in SOURCE_COLUMNS]
    same = and_(*(each.is_not_distinct_from(new[each.name]) for each in fed if each is not key))
    found = select(func.count()).join_from(incoming, table, key == new[key.name]).where(same)
    return str(found.compile(dialect=sqlite.dialect(paramstyle="qmark")))


def _insert(table: Table) -> sqlite.Insert:
    values: dict[str, Any] = dict.fromkeys(table.columns.keys())
    values["source_file_id"] = literal_column(_SOURCE_FILE)
    return sqlite.insert(table).values(values)


def _compiled(statement: sqlite.Insert) -> str:
    return str(statement.compile(dialect=sqlite.dialect(paramstyle="qmark")))


@lru_cache(maxsize=64)
def _repeated(statement: str, rows: int) -> str:
    """Repeat the row of a one-row statement.

    SQLAlchemy takes a quarter of a second to compile a thousand rows (measured).
    """
    before, word, rest = statement.partition("VALUES ")
    row, closing, after = rest.partition(")")
    return before + word + ", ".join([row + closing] * rows) + after


def is_foreign_key_violation(error: DBAPIError) -> bool:
    """Say whether a foreign key failed."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    return code == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY


def is_of_data(error: DBAPIError) -> bool:
    """Say whether SQLite refused a value, or what a constraint or a trigger says of it."""
    return isinstance(error, DataError | IntegrityError)


def is_transient(_error: DBAPIError) -> bool:
    """Say no: a busy database was waited for already."""
    return False


def describe_error(error: DBAPIError) -> ErrorSummary:
    """Say what SQLite says: it names tables and columns, never a value, but a trigger may."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_CONSTRAINT_TRIGGER:
        return ErrorSummary("a trigger does not let a row in", "mend it")
    # The lowest byte is the kind of error, the others say more.
    return ErrorSummary(str(error.orig), _REMEDIES.get(code and code & 0xFF, "mend it"))
