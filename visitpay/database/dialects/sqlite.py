"""SQLite: one file, one writer."""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import cache, lru_cache
from pathlib import Path
from string import Template
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
    Select,
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

from visitpay.database.dialects.additions import kept_additions as kept_additions  # noqa: PLC0414
from visitpay.database.dialects.base import EXAMPLES, ErrorSummary, UpsertCounts, do_update_changed
from visitpay.database.naming import migrate_command
from visitpay.errors import ConfigurationError, DatabaseError
from visitpay.models import SOURCE_COLUMNS, UTCDateTime
from visitpay.vocabulary import SCHEMA

if TYPE_CHECKING:
    import polars as pl

ROWS_PER_STATEMENT = 2000
"""Rows in one multi-row VALUES; statements of one row take twice as long."""

ROWS_AT_ONCE = 10_000
"""Rows that are converted to Python objects at once, to bound the memory."""

OLDEST_VERSION: tuple[int | str, ...] = (3, 35)
"""The first with RETURNING."""

_MIGRATION = b"migration"
"""What the lock file says while a migration holds it."""

_BUSY_SECONDS = 30
"""The wait for another connection that writes."""

_TEMPORARY = ("/var/tmp", "/usr/tmp", "/tmp", ".")  # noqa: S108 - SQLite's own
"""Where SQLite keeps temporary files if the environment names no directory."""

_REMEDIES: dict[int | None, str] = {
    sqlite3.SQLITE_FULL: "make room on its disk and for temporary files (SQLITE_TMPDIR)",
    sqlite3.SQLITE_IOERR_GETTEMPPATH: "set SQLITE_TMPDIR to a directory that can be written to",
    sqlite3.SQLITE_IOERR: "see whether its disk is full or failing",
    sqlite3.SQLITE_BUSY: "wait for whoever writes into it",
    sqlite3.SQLITE_CORRUPT: "restore it from a backup",
    sqlite3.SQLITE_NOTADB: "restore it from a backup",
    sqlite3.SQLITE_READONLY: "check its permissions",
    sqlite3.SQLITE_CANTOPEN: "check its permissions and those of its directory",
}


def validate_url(url: URL) -> URL:
    """Return the URL; raises ConfigurationError unless it names a file and nothing else."""
    if url.drivername not in ("sqlite", "sqlite+pysqlite"):
        message = f"{url.drivername} is not supported; use a URL like {EXAMPLES['sqlite']}"
        raise ConfigurationError(message)
    if url.database in (None, "", ":memory:"):
        message = f"a database in memory keeps nothing; use a URL like {EXAMPLES['sqlite']}"
        raise ConfigurationError(message)
    if SCHEMA in url.query:
        message = "SQLite has no schemas; leave the schema out, and name a file for each hospital"
        raise ConfigurationError(message)
    if url.host or url.query:
        message = f"an SQLite URL has a path and nothing else; use one like {EXAMPLES['sqlite']}"
        raise ConfigurationError(message)
    return url


def local_path(url: URL) -> Path:
    """Return the database's file."""
    return Path(str(url.database))


def size_bytes(connection: Connection) -> int:
    """Return the size of the database's file."""
    return local_path(connection.engine.url).stat().st_size


def setting(_connection: Connection) -> str:
    """Return nothing: a file is all there is."""
    return ""


def temporary_directory() -> Path | None:
    """Return the directory in which SQLite keeps temporary files, found as it finds it."""
    named = (os.environ.get(name) for name in ("SQLITE_TMPDIR", "TMPDIR"))
    for place in filter(None, (*named, *_TEMPORARY)):
        if os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK):  # noqa: PTH112 - no errors
            return Path(place)
    return None


def make_engine(url: URL, *, read_only: bool) -> Engine:
    """Return an engine with foreign keys on; its writers begin one after the other."""
    path = local_path(url)
    try:
        is_there = path.is_file()
    except OSError as error:  # no permission to search its directory
        raise _unopened(path, error) from error
    if not is_there:
        message = f"there is no database {path}; run: {migrate_command(url)}"
        raise DatabaseError(message)
    if read_only:
        return _engine(url, "PRAGMA foreign_keys = ON", "PRAGMA query_only = ON")
    engine = _engine(url, "PRAGMA foreign_keys = ON", begin="BEGIN IMMEDIATE")
    event.listen(engine, "connect", require_foreign_keys)
    return engine


def require_foreign_keys(connection: sqlite3.Connection, _record: object) -> None:
    """Raise DatabaseError if foreign keys are off.

    An SQLite that was compiled without foreign keys accepts the PRAGMA all the same.
    """
    if connection.execute("PRAGMA foreign_keys").fetchone() != (1,):
        message = "this SQLite does not keep foreign keys; use a Python with a full one"
        raise DatabaseError(message)


def make_migration_engine(url: URL) -> Engine:
    """Return the engine for Alembic; creates the database, private to its owner.

    Foreign keys are off: with them, a migration that rebuilds a parent table fails, or deletes
    rows.
    """
    os.close(_open_private(local_path(url)))
    permanent = ("PRAGMA page_size = 16384", "PRAGMA journal_mode = WAL")
    return _engine(url, *permanent, begin="BEGIN IMMEDIATE")


def _engine(url: URL, *pragmas: str, begin: str = "BEGIN") -> Engine:
    engine = create_engine(
        url,
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"timeout": _BUSY_SECONDS},
    )

    def on_connect(connection: sqlite3.Connection, _record: object) -> None:
        # With the driver's own transactions a rollback would not undo DDL and savepoints.
        connection.isolation_level = None
        for pragma in ("PRAGMA synchronous = FULL", "PRAGMA cache_size = -32768", *pragmas):
            connection.execute(pragma)

    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    return engine


def migration_preamble(script_for: URL | None = None) -> tuple[str, ...]:  # noqa: ARG001 - as base
    """Return none: a statement cannot take the run lock, and there is nothing to set."""
    return ()


def back_up(url: URL, path: Path) -> None:
    """Copy the database while others may use it; raises ConfigurationError if the copy fails."""
    try:
        with (
            closing(sqlite3.connect(local_path(url))) as source,
            closing(sqlite3.connect(path)) as target,
        ):
            source.backup(target)
    except sqlite3.Error as error:
        message = f"the backup cannot be written: {error}; nothing was migrated"
        raise ConfigurationError(message) from error


def incomplete_encoding(_connection: Connection) -> str:
    """Return an empty string: each of SQLite's encodings has every character."""
    return ""


def foreign_key_violations(connection: Connection) -> set[str]:
    """Return the tables that have rows whose parents are missing."""
    return {row[0] for row in connection.exec_driver_sql("PRAGMA foreign_key_check")}


def owner(_connection: Connection) -> str:
    """Return an empty string: whoever may write the file may migrate it."""
    return ""


@contextmanager
def run_lock(connection: Connection, *, is_migration: bool = False) -> Iterator[Callable[[], bool]]:
    """Yield a function that tries to lock a file beside the database.

    The kernel releases the lock however the process ends. The database file itself is not locked:
    closing another handle of it would drop SQLite's own locks. The file says what its holder is.
    """
    handle = _open_private(_lock_path(connection))
    _give_to_owner(handle, local_path(connection.engine.url))

    def take() -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        with suppress(OSError):  # a full disk: it is only for a message
            os.ftruncate(handle, 0)
            if is_migration:
                os.pwrite(handle, _MIGRATION, 0)
        return True

    try:
        yield take
    finally:
        os.close(handle)


def take_turn(_connection: Connection) -> bool:
    """Return True: no transaction is ever in doubt."""
    return True


def is_migrating(connection: Connection) -> bool:
    """Whether the last who took the run lock is a migration."""
    try:
        return Path(_lock_path(connection)).read_bytes() == _MIGRATION
    except OSError:
        return False


def is_held(connection: Connection) -> bool:
    """Whether anyone holds the lock; also if that cannot be found out.

    Who holds it is not disturbed. If nobody does, this takes a shared lock for an instant; a
    load that starts in that instant tries again, unless it was told not to wait.
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
    # The real path: a database that is reached by several links still has one lock.
    return f"{os.path.realpath(local_path(connection.engine.url))}-lock"


def _give_to_owner(handle: int, database: Path) -> None:
    """Let a file that root opened belong to the database's owner, whose loads will open it.

    SQLite does so with its own files.
    """
    owner = database.stat()
    if os.geteuid() == 0 and os.fstat(handle).st_uid != owner.st_uid:
        with suppress(OSError):  # a root that may not do it, as in a container
            os.fchown(handle, owner.st_uid, owner.st_gid)


def _open_private(path: str | Path) -> int:
    """Open a file; if it is missing, create it private to its owner, whatever the umask."""
    try:
        return os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unopened(path, error) from error


def _unopened(path: str | Path, error: OSError) -> DatabaseError:
    return DatabaseError(
        f"{path} cannot be opened: {error.strerror}; check the path and its permissions"
    )


def upsert(
    connection: Connection, table: Table, rows: "pl.DataFrame", constants: Mapping[str, int]
) -> UpsertCounts:
    """Insert what is new; only if rows are left over, update those that differ.

    After a slice that wrote nothing, one query first asks whether the next slice is unchanged as
    well: it costs half as much as two statements that write nothing.
    """
    inserted = updated = 0
    names, nothing_written = tuple(constants), False
    unchanged = _count_unchanged(table, names)
    insert = Template(_insert_new(table, names)).substitute(constants)
    update = Template(_update_changed(table, names)).substitute(constants)
    for count, flat in _slices(table, rows):
        if nothing_written:
            found = connection.exec_driver_sql(_repeated(unchanged, count), flat).scalar()
            if found == count:
                continue
        new = changed = connection.exec_driver_sql(_repeated(insert, count), flat).rowcount
        if new < count:
            changed = connection.exec_driver_sql(_repeated(update, count), flat).rowcount
            updated += changed
        inserted += new
        nothing_written = not new and not changed
    return UpsertCounts(inserted, updated, len(rows) - inserted - updated)


def insert_rows(connection: Connection, table: Table, rows: "pl.DataFrame") -> None:
    """Insert rows, ROWS_PER_STATEMENT in each statement."""
    statement = _compiled(sqlite.insert(table).values(dict.fromkeys(rows.columns)))
    for count, flat in _slices(table, rows):
        connection.exec_driver_sql(_repeated(statement, count), flat)


def _slices(table: Table, rows: "pl.DataFrame") -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Yield slices of the rows: the number of rows, and their cells, row by row, in one tuple."""
    width = rows.width
    for chunk in rows.iter_slices(ROWS_AT_ONCE):
        flat: list[Any] = [None] * (len(chunk) * width)
        for index, name in enumerate(chunk.columns):
            flat[index::width] = _bound(chunk[name], table.columns[name]).to_list()
        for start in range(0, len(chunk), ROWS_PER_STATEMENT):
            count = min(ROWS_PER_STATEMENT, len(chunk) - start)
            yield count, tuple(flat[start * width : (start + count) * width])


def _bound(values: "pl.Series", column: Column[Any]) -> "pl.Series":
    """Return values in the form in which SQLAlchemy's types are stored in SQLite."""
    if isinstance(column.type, Numeric):
        return _quotients(values, 10 ** (column.type.scale or 0))
    if isinstance(column.type, Date):
        return values.dt.to_string("%Y-%m-%d")
    if isinstance(column.type, UTCDateTime):
        return values.dt.to_string("%Y-%m-%d %H:%M:%S%.6f")
    return values


def _quotients(units: "pl.Series", divisor: int) -> "pl.Series":
    """Return whole units, such as cents, divided: each the double nearest to the exact amount.

    polars multiplies by the inverse if the divisor is a constant, or a column of length one. For
    one amount in seven that is not the nearest double.
    """
    import polars as pl

    rows = len(units)
    padded = units.extend_constant(0, 1) if rows == 1 else units
    return (padded / pl.repeat(float(divisor), len(padded), eager=True)).head(rows)


def keys_as_table(keys: Iterable[int]) -> FromClause:
    """Return the keys as a table: a JSON array that SQLite expands."""
    return func.json_each(f"[{','.join(map(str, keys))}]").table_valued("value")


@cache
def _insert_new(table: Table, constants: tuple[str, ...]) -> str:
    statement = _insert(table, constants)
    return _compiled(statement.on_conflict_do_nothing(index_elements=table.primary_key))


@cache
def _update_changed(table: Table, constants: tuple[str, ...]) -> str:
    return _compiled(do_update_changed(_insert(table, constants)))


@cache
def _count_unchanged(table: Table, constants: tuple[str, ...]) -> str:
    """Return the query for the number of rows that are in the table with the same values."""
    names = [name for name in table.columns.keys() if name not in constants]  # noqa: SIM118
    (key,) = table.primary_key.columns
    row: tuple[Any, ...] = tuple(bindparam(name) for name in names)
    incoming = values(*(column(name) for name in names)).data([row]).cte("incoming")
    new = incoming.columns
    compared = [name for name in names if name not in (key.name, *SOURCE_COLUMNS)]
    same = and_(*(table.columns[name].is_not_distinct_from(new[name]) for name in compared))
    found = select(func.count()).join_from(incoming, table, key == new[key.name]).where(same)
    return _compiled(found)


def _insert(table: Table, constants: tuple[str, ...]) -> sqlite.Insert:
    """Build the insert of one row; a constant is `$name`, for `Template`, and is not bound."""
    row: dict[str, Any] = dict.fromkeys(table.columns.keys())
    row |= {name: literal_column(f"${name}") for name in constants}
    return sqlite.insert(table).values(row)


def _compiled(statement: sqlite.Insert | Select[int]) -> str:
    return str(statement.compile(dialect=sqlite.dialect(paramstyle="qmark")))


@lru_cache(maxsize=64)
def _repeated(statement: str, rows: int) -> str:
    """Return a statement for one row as a statement for many.

    SQLAlchemy takes a quarter of a second to compile a thousand rows (measured). With 3 rows,

    in:  INSERT INTO t (id, name, file) VALUES (?, ?, 7) ON CONFLICT (id) DO NOTHING
    out: INSERT INTO t (id, name, file) VALUES (?, ?, 7), (?, ?, 7), (?, ?, 7) ON CONFLICT ...
    """
    before, word, rest = statement.partition("VALUES ")
    row, closing, after = rest.partition(")")
    return before + word + ", ".join([row + closing] * rows) + after


def is_foreign_key_violation(error: DBAPIError) -> bool:
    """Whether a foreign key failed."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    return code == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY


def is_refused_value(error: DBAPIError) -> bool:
    """Whether SQLite, a constraint or a trigger refused a value."""
    return isinstance(error, DataError | IntegrityError)


def is_transient(_error: DBAPIError) -> bool:
    """Return False: a busy database was already waited for."""
    return False


def describe_error(error: DBAPIError) -> ErrorSummary:
    """Return SQLite's own message: it names tables and columns, but no values.

    The message of a trigger may name some, and is withheld.
    """
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_CONSTRAINT_TRIGGER:
        return ErrorSummary("a trigger does not let a row in", "mend it")
    # The lowest byte of an extended error code is the primary code.
    remedies = (_REMEDIES.get(part) for part in (code, code and code & 0xFF))
    return ErrorSummary(str(error.orig), next(filter(None, remedies), "mend it"))
