"""PostgreSQL, through psycopg 3: COPY into a temporary table, then one upsert of all its rows."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    URL,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    FromClause,
    MetaData,
    NullPool,
    Numeric,
    Select,
    Table,
    bindparam,
    cast,
    create_engine,
    event,
    func,
    literal,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.schema import CreateTable, DropTable

from visitpay.database.dialects.base import EXAMPLES, ErrorSummary, UpsertCounts, do_update_changed
from visitpay.errors import ConfigurationError, DatabaseError

if TYPE_CHECKING:
    import polars as pl
    import psycopg

RUN_LOCK = 0x76697369_74706179
"""The key of the advisory lock of the one load of a database ("visitpay")."""
MIGRATION_LOCK = RUN_LOCK + 1

ROWS_PER_WRITE = 10_000

_SETTINGS = {
    "application_name": "visitpay",
    "connect_timeout": "10",
    # A server that went away without a word is noticed in minutes, not hours.
    "keepalives_idle": "60",
}
"""What libpq is told, unless the URL says otherwise."""

_SESSION = {
    "TimeZone": "UTC",  # another may put a time beyond the years that Python knows
    "DateStyle": "ISO, MDY",  # psycopg reads no other
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
}
"""What a session is told, whatever server, database, role, environment and URL say."""
_SET = "SELECT " + ", ".join(
    f"set_config('{name}', '{value}', false)" for name, value in _SESSION.items()
)
_ORIGIN = "SELECT current_setting('session_replication_role') = 'origin'"

_TELLING = ("08", "0A", "25", "28", "3D", "3F", "40", "42", "53", "54", "55", "57", "58", "XX")
"""The classes of errors whose message names no value of a row (PostgreSQL, appendix A)."""

_OF_DATA = ("22", "23")

_TRANSIENT = ("08", "40001", "40P01", "55P03", "57P01", "57P02", "57P03")
"""Connection, serialisation, deadlock, lock_timeout, a server that shuts down or starts up."""

_REMEDIES = {
    "08": "check the server, and the host, database, user and password (PGPASSFILE)",
    "42501": "grant the role what it lacks (docs/postgres.md)",
    "53100": "make room on the server",
    "53300": "free a connection",
    "55P03": "wait until nobody holds the tables",
    "57014": "raise the role's statement_timeout",
}


_LACKING = "a character that the database's encoding lacks (see: visitpay doctor)"
_REFUSALS = {
    "22021": _LACKING,
    "22P05": _LACKING,
    "DataError": "a NUL, or another value that PostgreSQL cannot hold",
}
"""What is wrong with a value, by SQLSTATE, or by the error's name where psycopg refuses it."""

_ODD_HOST = re.compile(r"""(?<!user )(["'])[^"']*@[^"']*\1""")
"""A name with an @, but a user's: what stands before it may be a password (PGHOST)."""
_IS_HELD = text(
    "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database"
    " WHERE datname = current_database() AND locktype = 'advisory' AND granted AND objsubid = 1"
    " AND classid = CAST(:high AS oid) AND objid = CAST(:low AS oid))"
)
"""Whether the lock of a key of 64 bits, given as its halves, is held in this database."""


def validate_url(url: URL) -> URL:
    """Give the URL for psycopg 3; raises ConfigurationError when psycopg is not there."""
    if url.drivername not in ("postgresql", "postgresql+psycopg"):
        message = f"{url.drivername} is not supported; use a URL like {EXAMPLES['postgresql']}"
        raise ConfigurationError(message)
    try:
        import psycopg  # noqa: F401 - whether it can be, only the import tells
    except ImportError as error:
        message = "PostgreSQL needs an extra; run: pip install 'visitpay[postgres]'"
        raise ConfigurationError(message) from error
    from psycopg.pq import Conninfo

    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    hosts = url.normalized_query.get("host", ())
    if url.query.keys() - known or any("@" in host for host in hosts):
        # Not named: it may be what follows an & in a password.
        message = (
            "an option of the database URL is none that PostgreSQL knows, or its host has an @;"
            " in a password & is written %26, @ %40"
        )
        raise ConfigurationError(message)
    return url.set(drivername="postgresql+psycopg")


def make_engine(url: URL, *, read_only: bool) -> Engine:
    """Make the engine; a reader sees the database as it was when it began to look."""
    engine = _engine(url)
    if read_only:
        return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return engine


def make_migration_engine(url: URL) -> Engine:
    """Make the engine for Alembic; the database must be there."""
    return _engine(url)


def _engine(url: URL) -> Engine:
    settings = {name: value for name, value in _SETTINGS.items() if name not in url.query}
    engine = create_engine(
        url.difference_update_query(["client_encoding"]),
        poolclass=NullPool,
        hide_parameters=True,
        connect_args=settings | {"client_encoding": "utf8"},
    )
    event.listen(engine, "connect", _set_up, insert=True)  # before SQLAlchemy asks anything
    return engine


def _set_up(connection: "psycopg.Connection[tuple[Any, ...]]", _record: object) -> None:
    """Say what the session needs; raises DatabaseError where it would not keep foreign keys.

    In statements and not as it connects: a pooler (PgBouncer) refuses most options.
    """
    connection.execute(_SET)
    (kept,) = connection.execute(_ORIGIN).fetchone() or (False,)
    connection.commit()
    if not kept:
        message = (
            "this role's sessions do not keep foreign keys; take its session_replication_role away"
        )
        raise DatabaseError(message)


def lacking_encoding(connection: Connection) -> str:
    """Give the name of the database's encoding, unless it has every character."""
    encoding = str(connection.scalar(select(func.current_setting("server_encoding"))))
    return "" if encoding == "UTF8" else encoding


def migration_preamble() -> tuple[str, ...]:
    """Wait for a migration that another deploy runs, but not long for what reads the tables.

    A statement that waits for a table's lock makes all others wait behind it. Who sets lock_timeout
    (PGOPTIONS) keeps it.
    """
    patience = "SELECT set_config('lock_timeout', '10s', false)"
    return (
        f"SELECT pg_advisory_lock({MIGRATION_LOCK})",
        f"{patience} WHERE current_setting('lock_timeout') = '0'",
    )


def foreign_key_violations(_connection: Connection) -> set[str]:
    """Give none: the constraints hold in migrations as well."""
    return set()


@contextmanager
def run_lock(connection: Connection) -> Iterator[Callable[[], bool]]:
    """Give a function that tries to take a session's advisory lock, gone with the connection."""

    def take() -> bool:
        with connection.begin():
            return bool(connection.scalar(select(func.pg_try_advisory_lock(RUN_LOCK))))

    yield take


def is_held(connection: Connection) -> bool:
    """Look for the lock among those of the server."""
    key = {"high": RUN_LOCK >> 32, "low": RUN_LOCK & 0xFFFFFFFF}
    return bool(connection.scalar(_IS_HELD, key))


def upsert(
    connection: Connection, table: Table, rows: "pl.DataFrame", source_file_id: int
) -> UpsertCounts:
    """Copy the rows into a temporary table, and upsert from there, in the order of the keys.

    In one order, so that two who write cannot hold each other up. A temporary table is read in the
    order in which it was written; an ORDER BY besides costs 3 % of a load (measured).
    """
    staging = _staging(table)
    connection.execute(CreateTable(staging.table))
    _copy(connection, staging.table, rows)
    inserted, updated = connection.execute(staging.upsert, {"file_id": source_file_id}).one()
    connection.execute(DropTable(staging.table))
    return UpsertCounts(inserted, updated, len(rows) - inserted - updated)


class _Staging(NamedTuple):
    """A temporary table for rows of an entity, and the statement that takes them over."""

    table: Table
    upsert: Select[int, int]


@cache
def _staging(table: Table) -> _Staging:
    staged = Table(
        f"incoming_{table.name}",
        MetaData(),
        *(Column(each.name, each.type) for each in table.columns if each.name != "source_file_id"),
        prefixes=["TEMPORARY"],
    )
    file_id = bindparam("file_id", type_=BigInteger())
    rows = select(*staged.columns, file_id)
    insert = postgresql.insert(table).from_select([*staged.columns.keys(), "source_file_id"], rows)
    # A row that was just inserted was never locked; one that is updated was locked before.
    is_new = literal_column("xmax = 0", Boolean).label("is_new")
    written = do_update_changed(insert).returning(is_new).cte("written")
    new = written.columns.is_new
    return _Staging(staged, select(func.count().filter(new), func.count().filter(~new)))


def insert_rows(connection: Connection, table: Table, rows: "pl.DataFrame") -> None:
    """Copy rows into a table."""
    _copy(connection, table, rows)


def _copy(connection: Connection, table: Table, rows: "pl.DataFrame") -> None:
    """Send rows as CSV, which polars writes and PostgreSQL reads without a Python object a cell."""
    import polars as pl

    amounts = [
        (pl.col(name).cast(pl.Decimal(38, scale)) / 10**scale).cast(pl.Decimal(38, scale))
        for name in rows.columns
        if isinstance(kind := table.columns[name].type, Numeric) and (scale := kind.scale or 0)
    ]
    preparer = connection.dialect.identifier_preparer
    names = ", ".join(preparer.quote(name) for name in rows.columns)
    statement = f"COPY {preparer.format_table(table)} ({names}) FROM STDIN (FORMAT csv)"
    cursor: Any = connection.connection.cursor()
    with _as_sqlalchemy(connection, statement), cursor, cursor.copy(statement) as copy:
        # The server reads some while polars writes the next.
        for some in rows.with_columns(amounts).iter_slices(ROWS_PER_WRITE):
            # Quoted: else a lone `\.` would end the data, and an empty text would be NULL.
            copy.write(some.write_csv(include_header=False, quote_style="non_numeric"))


@contextmanager
def _as_sqlalchemy(connection: Connection, statement: str) -> Iterator[None]:
    """Wrap the driver's errors as SQLAlchemy does, which knows of no COPY."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise DBAPIError.instance(
            statement, None, error, psycopg.Error, hide_parameters=True, dialect=connection.dialect
        ) from error


def keys_as_table(keys: Iterable[int]) -> FromClause:
    """Give the keys as an array, of which PostgreSQL makes a table."""
    array = cast(literal(f"{{{','.join(map(str, keys))}}}"), ARRAY(BigInteger))
    return func.unnest(array).table_valued("value").render_derived()


def is_foreign_key_violation(error: DBAPIError) -> bool:
    """Say whether a foreign key failed."""
    return _sqlstate(error) == "23503"


def is_of_data(error: DBAPIError) -> bool:
    """Say whether a value, or what a constraint says of it, was refused, be it by psycopg."""
    return _sqlstate(error).startswith(_OF_DATA) or (
        isinstance(error, DataError) and not _sqlstate(error)
    )


def is_transient(error: DBAPIError) -> bool:
    """Say whether the same work may succeed in a moment."""
    return _sqlstate(error).startswith(_TRANSIENT)


def describe_error(error: DBAPIError) -> ErrorSummary:
    """Say what the server says, unless it may name values of a row: then only what it is about."""
    state = _sqlstate(error)
    if known := _REFUSALS.get(state or type(error).__name__):
        return ErrorSummary(known, "mend it")
    diagnosis = getattr(error.orig, "diag", None)
    if state.startswith(_TELLING):
        what = getattr(diagnosis, "message_primary", None) or str(error.orig)
    else:
        named = ("table_name", "column_name", "constraint_name")
        parts = (getattr(diagnosis, name, None) for name in named)
        what = " ".join([type(error.orig).__name__, *filter(None, parts)])
    remedies = (_REMEDIES.get(part) for part in (state, state[:2]))
    what = _ODD_HOST.sub("(a name with an @, withheld)", what)
    return ErrorSummary(" ".join(what.split()), next(filter(None, remedies), "mend it"))


def _sqlstate(error: DBAPIError) -> str:
    """Give the SQLSTATE; trouble that libpq tells of, and not the server, is the connection's."""
    local = "08000" if isinstance(error, OperationalError | InterfaceError) else ""
    return getattr(error.orig, "sqlstate", None) or local
