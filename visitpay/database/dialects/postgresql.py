"""PostgreSQL, by psycopg 3: COPY into a temporary table, then one upsert of all its rows."""

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path
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
from visitpay.database.naming import schema_of, shown
from visitpay.errors import ConfigurationError, DatabaseError
from visitpay.text import printable
from visitpay.vocabulary import SCHEMA

if TYPE_CHECKING:
    import polars as pl
    import psycopg

OLDEST_VERSION: tuple[int | str, ...] = (15,)
"""The oldest that is tested."""

RUN_LOCK = 0x76697369_74706179
"""The key of the advisory lock that is the run lock ("visitpay" in ASCII), in schema public."""
MIGRATION_LOCK = RUN_LOCK + 1
"""The key of a second one, by which a migration is known."""

_KEY = (
    "SELECT CASE schema WHEN 'public' THEN {0} ELSE hashtextextended(schema, {0}) END"
    " FROM (SELECT CAST(coalesce((SELECT nspname FROM pg_class"
    " JOIN pg_namespace ON pg_namespace.oid = relnamespace"
    " WHERE pg_class.oid = to_regclass('alembic_version')), current_schema(), 'public') AS text)"
    " AS schema) AS books"
)
"""The key of such a lock in the schema that the session's tables are in, or will be."""

ROWS_PER_WRITE = 10_000

_SETTINGS = {
    "application_name": "visitpay",
    "connect_timeout": "10",
    # A connection to a server that has vanished is noticed in minutes, not hours.
    "keepalives_idle": "60",
}
"""Parameters of the connection (libpq); those in the URL take precedence."""

_SESSION = {
    "TimeZone": "UTC",  # in another a time may be outside of the years of Python
    "DateStyle": "ISO, MDY",  # the only one that psycopg reads
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
}
"""Settings of each session, whatever the server, database, role, environment and URL say."""
_SET = "SELECT " + ", ".join(
    f"set_config('{name}', '{value}', false)" for name, value in _SESSION.items()
)
_CHOOSE = "SELECT set_config('search_path', quote_ident({}), false)"
"""Tables are found, and made, in one schema alone."""
_SEEN = (
    "SELECT current_setting('session_replication_role') = 'origin', current_schema(),"
    " to_regclass('pg_catalog.pg_dist_local_group') IS NOT NULL"
)
_GROUP = "SELECT groupid FROM pg_catalog.pg_dist_local_group"
"""On a server with Citus: 0 if it is the coordinator, or alone."""
_OUT_OF_REACH = (
    "SELECT to_regnamespace(quote_ident(%(schema)s)) IS NOT NULL, quote_ident(%(schema)s),"
    " quote_ident(current_user)"
)

_CITUS_VERSION = "SELECT extversion FROM pg_extension WHERE extname = 'citus'"
_ON_WORKERS = (
    "SELECT sum(pg_catalog.citus_total_relation_size(logicalrelid))"
    " FROM pg_catalog.pg_dist_partition WHERE pg_table_is_visible(logicalrelid)"
)

_LONGEST_NAME = 63
"""PostgreSQL cuts what is longer (in bytes), so that two names could be one."""
_NOT_NAMES = ("pg_", "$user")
"""Of the server itself, and what a search path reads as the user's own."""

_FOR_MIGRATION = """
SELECT set_config(name, wanted, false)
FROM pg_settings JOIN (VALUES
    ('lock_timeout', '5s'),
    ('statement_timeout', '0'),
    ('transaction_timeout', '0'),
    ('idle_in_transaction_session_timeout', '0'),
    ('client_connection_check_interval', '1s')
) AS settings (name, wanted) USING (name)
WHERE source NOT IN ('client', 'session') AND NOT (name = 'lock_timeout' AND setting <> '0')
    AND NOT (name = 'client_connection_check_interval' AND version() ~ 'Visual C')
""".strip()
"""A statement that waits for a table makes all later ones wait behind it: it gives up soon.

A change of a large table takes as long as it takes. Nothing is changed for a client that was
killed: the server looks whether it is there, which it cannot on Windows.
"""

_SAFE = ("08", "0A", "25", "28", "2B", "3D", "3F", "40", "42", "53", "54", "55", "57", "58", "XX")
"""The classes of errors whose message names no value of a row (PostgreSQL, appendix A)."""

_TAKE_AWAY = "take away what is in the way, such as a view of others,"

_OF_OBJECTS = ("0A", "2B")
"""Those whose detail names the objects in the way, such as a view."""

_OF_DATA = ("22", "23")

_TRANSIENT = ("08", "40001", "40P01", "55P03", "57P01", "57P02", "57P03")
"""Connection, serialisation, deadlock, lock_timeout, a server that shuts down or starts up."""

_PASSED_ON = ("58030", "XX000")
_LOST = re.compile(r"\bconnection\b|server closed|failed to (complete )?COPY", re.IGNORECASE)
"""By these words a coordinator of Citus says, with those states, that a worker went away.

Of a server alone, the states are a broken disk and a broken table: none of its messages has them.
"""

_REMEDIES = {
    "0A": _TAKE_AWAY,
    "2B": _TAKE_AWAY,
    "25006": "use a server and a role that may write (default_transaction_read_only)",
    "08": "check the server, and the host, database, user and password (PGPASSFILE)",
    "42501": "grant the role what it lacks (docs/postgres.md)",
    "53100": "make room on the server",
    "53300": "free a connection",
    "55P03": "wait until nobody holds the tables",
    "57014": "raise the role's statement_timeout",
}


_LACKING = "a character that the database's encoding lacks: only a database in UTF8 has all"
_REFUSALS = {
    "22021": _LACKING,
    "22P05": _LACKING,
    "DataError": "a NUL, or another value that PostgreSQL cannot hold",
}
"""What is wrong with a value, by SQLSTATE; by the error's name if psycopg refuses it."""

_ODD_HOST = re.compile(r"""(?<!user )(["'])[^"']*@[^"']*\1""")
"""A quoted name with an @, except a user's: the part before the @ may be a password (PGHOST)."""
_IS_HELD = (
    "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database"
    " WHERE datname = current_database() AND locktype = 'advisory' AND granted AND objsubid = 1"
    " AND CAST(classid AS bigint) << 32 | CAST(objid AS bigint) = ({}))"
)
"""Whether an advisory lock is held in this database; the server keeps its key in two halves."""


_TAKE_TURN = text(
    "WITH mine AS (SELECT entity FROM turns FOR UPDATE SKIP LOCKED)"
    " SELECT count(*) > 0 AND count(*) = (SELECT count(*) FROM turns) FROM mine"
)

_OWNER = text(
    "SELECT pg_get_userbyid(owner) FROM (SELECT coalesce((SELECT relowner FROM pg_class"
    " WHERE oid = to_regclass('alembic_version')), (SELECT nspowner FROM pg_namespace"
    " WHERE nspname = current_schema() AND nspname <> 'public'), datdba) AS owner"
    " FROM pg_database WHERE datname = current_database()) AS database"
    " WHERE NOT pg_has_role(owner, 'USAGE')"
)
"""The role that owns what a migration changes, if the session's role is not a member of it."""


def validate_url(url: URL) -> URL:
    """Return the URL for psycopg 3; raises ConfigurationError if psycopg is not installed."""
    if url.drivername not in ("postgresql", "postgresql+psycopg"):
        message = f"{url.drivername} is not supported; use a URL like {EXAMPLES['postgresql']}"
        raise ConfigurationError(message)
    try:
        import psycopg  # noqa: F401 - only the import tells whether it and libpq are there
    except ImportError as error:
        message = "PostgreSQL needs an extra; run: pip install 'visitpay[postgres]'"
        raise ConfigurationError(message) from error
    from psycopg.pq import Conninfo

    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    hosts = url.normalized_query.get("host", ())
    if url.query.keys() - known - {SCHEMA} or any("@" in host for host in hosts):
        # The option is not named: it may be the part of a password after an &.
        message = (
            "an option of the database URL is none that PostgreSQL knows, or its host has an @;"
            " in a password & is written %26, @ %40"
        )
        raise ConfigurationError(message)
    if schema := schema_of(url):
        _require_name(schema)
    return url.set(drivername="postgresql+psycopg")


def _require_name(schema: str) -> None:
    """Raise ConfigurationError unless a schema can have the name."""
    is_printable = schema.isprintable()  # else it has no bytes, perhaps
    if not is_printable or len(schema.encode()) > _LONGEST_NAME or schema.startswith(_NOT_NAMES):
        message = (
            f"{printable(schema)} cannot be a schema's name: that has {_LONGEST_NAME} bytes at"
            " most, no control character, and does not begin with pg_"
        )
        raise ConfigurationError(message)


def local_path(_url: URL) -> None:
    """Return None: the server keeps the database."""


def size_bytes(connection: Connection) -> int:
    """Return the size of the database, as the server counts it, and of its tables on workers."""
    size = select(func.pg_database_size(func.current_database()))
    on_workers = connection.scalar(text(_ON_WORKERS)) if _is_citus(connection) else 0
    return int(connection.execute(size).scalar_one()) + int(on_workers or 0)


def setting(connection: Connection) -> str:
    """Return the schema, unless it is public, and whether the server is one of Citus."""
    schema = str(connection.scalar(select(func.current_schema())))
    parts = [] if schema == "public" else [f"schema {printable(schema)}"]
    if _is_citus(connection):
        version = connection.scalar(text(_CITUS_VERSION))
        parts.append(f"coordinator of Citus {version or ''}".rstrip())
    return ", ".join(parts)


def _is_citus(connection: Connection) -> bool:
    found = select(func.to_regclass("pg_catalog.pg_dist_local_group").is_not(None))
    return bool(connection.scalar(found))


def temporary_directory() -> None:
    """Return None: they are on the server."""


def make_engine(url: URL, *, read_only: bool) -> Engine:
    """Return the engine; a reader sees the database as it was when its transaction began."""
    engine = _engine(url)
    if read_only:
        return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return engine


def make_migration_engine(url: URL) -> Engine:
    """Return the engine for Alembic; the database must exist."""
    return _engine(url)


def _engine(url: URL) -> Engine:
    settings = {name: value for name, value in _SETTINGS.items() if name not in url.query}
    schema = schema_of(url)
    engine = create_engine(
        url.difference_update_query(["client_encoding"]),
        poolclass=NullPool,
        hide_parameters=True,
        connect_args=settings | {"client_encoding": "utf8"},
    )

    def hide_schema(
        _dialect: object, _record: object, _: object, parameters: dict[str, Any]
    ) -> None:
        parameters.pop(SCHEMA, None)  # libpq does not know it; the engine's URL keeps it

    def set_up(connection: "psycopg.Connection[tuple[Any, ...]]", _record: object) -> None:
        _set_up(connection, schema)

    event.listen(engine, "do_connect", hide_schema)
    event.listen(engine, "connect", set_up, insert=True)  # before SQLAlchemy's first query
    return engine


def _set_up(connection: "psycopg.Connection[tuple[Any, ...]]", schema: str) -> None:
    """Set up the session; raises DatabaseError if it cannot work on the schema as it must.

    By statements, not by options of the connection: a pooler (PgBouncer) refuses most of those.
    """
    connection.execute(_SET)
    if schema:
        connection.execute(_CHOOSE.format("%s"), [schema])
    keeps_foreign_keys, current, is_citus = connection.execute(_SEEN).fetchone() or (False, "", 0)
    if schema and current != schema:
        raise _out_of_reach(connection, schema, is_citus=bool(is_citus))
    if is_citus and connection.execute(_GROUP).fetchone() != (0,):
        message = (
            "this server is a worker of Citus, where locks and numbers are its own; name the"
            " coordinator in the database URL"
        )
        raise DatabaseError(message)
    connection.commit()
    if not keeps_foreign_keys:
        message = (
            "this role's sessions do not keep foreign keys; take its session_replication_role away"
        )
        raise DatabaseError(message)


def _out_of_reach(
    connection: "psycopg.Connection[tuple[Any, ...]]", schema: str, *, is_citus: bool
) -> DatabaseError:
    """Return the error for a schema that is missing, or that the role may not use.

    It is not made here: a slip of the pen would make one.
    """
    asked = connection.execute(_OUT_OF_REACH, {"schema": schema}).fetchone()
    is_there, name, role = asked or (False, schema, "")
    name, role, database = printable(name), printable(role), connection.info.dbname
    if is_there:
        statement = f"GRANT USAGE ON SCHEMA {name} TO {role}"
        what = f"the role {role} may not use the schema {name} of {database}; as its owner run"
    else:
        on_a_worker = "SET citus.enable_schema_based_sharding TO on; " if is_citus else ""
        statement = f"{on_a_worker}CREATE SCHEMA {name} AUTHORIZATION {role}"
        what = (
            f"there is no schema {name} in {database}; correct the name, or, as the owner of"
            " the database, run"
        )
    return DatabaseError(f"{what}: {statement}")


def incomplete_encoding(connection: Connection) -> str:
    """Return the database's encoding if it lacks some characters, else an empty string."""
    encoding = str(connection.scalar(select(func.current_setting("server_encoding"))))
    return "" if encoding == "UTF8" else encoding


def migration_preamble(script_for: URL | None = None) -> tuple[str, ...]:
    """Return statements that set the session up for a migration.

    A script also chooses the schema of its database, and takes the run lock. What is set for the
    connection itself (PGOPTIONS) is kept, and any lock_timeout.
    """
    if script_for is None:
        return (_FOR_MIGRATION,)
    name = schema_of(script_for)
    keys = (_KEY.format(each) for each in (RUN_LOCK, MIGRATION_LOCK))
    locks = (f"SELECT pg_advisory_lock(({key}))" for key in keys)
    return (*([_CHOOSE.format(_literal(name))] if name else ()), *locks, _FOR_MIGRATION)


def _literal(name: str) -> str:
    r"""Return a name as a text in SQL: `a_b` as 'a_b', `a:b` as U&'a\+00003Ab'.

    In a statement of a script, a colon would begin a parameter, and a % become two.
    """
    letters = (each if each.isalnum() or each in "_ -." else f"\\+{ord(each):06X}" for each in name)
    written = "".join(letters)
    return f"'{written}'" if written == name else f"U&'{written}'"


def back_up(url: URL, path: Path) -> None:
    """Raise ConfigurationError: PostgreSQL has a program for it."""
    server = shown(URL.create("postgresql", url.username, None, url.host, url.port, url.database))
    # In quotes it is a name: without, a pattern.
    name = schema_of(url).replace('"', '""')
    schema = [f'--schema="{name}"'] if name else []
    command = shlex.join(["pg_dump", "--format=custom", f"--file={path}", *schema, server])
    message = f"PostgreSQL is backed up by a program of its own; run before: {command}"
    raise ConfigurationError(message)


def owner(connection: Connection) -> str:
    """Return the owner of the schema's tables, else of the database, unless this role is one."""
    return str(connection.scalar(_OWNER) or "")


def foreign_key_violations(_connection: Connection) -> set[str]:
    """Return none: PostgreSQL enforces foreign keys in migrations, too."""
    return set()


def kept_additions(_connection: Connection) -> AbstractContextManager[None]:
    """Do nothing: PostgreSQL keeps what others added, or refuses the change."""
    return nullcontext()


@contextmanager
def run_lock(connection: Connection, *, is_migration: bool = False) -> Iterator[Callable[[], bool]]:
    """Yield a function that tries to take an advisory lock of the session.

    The server releases it when the connection ends. A migration takes a second one, as its sign.
    """

    def take() -> bool:
        with connection.begin():
            is_taken = _try_lock(connection, RUN_LOCK)
            if is_taken and is_migration:
                _try_lock(connection, MIGRATION_LOCK)
            return is_taken

    yield take


def _try_lock(connection: Connection, seed: int) -> bool:
    return bool(connection.scalar(text(f"SELECT pg_try_advisory_lock(({_KEY.format(seed)}))")))


def take_turn(connection: Connection) -> bool:
    """Lock all rows of `turns`; a transaction that is prepared keeps its locks.

    Nothing waits in the server: lock_timeout does not reach the workers of Citus.
    """
    return bool(connection.scalar(_TAKE_TURN))


def is_migrating(connection: Connection) -> bool:
    """Whether a migration holds the run lock."""
    with connection.begin():
        return _is_held(connection, MIGRATION_LOCK)


def is_held(connection: Connection) -> bool:
    """Whether a session holds the run lock of the schema."""
    return _is_held(connection, RUN_LOCK)


def _is_held(connection: Connection, seed: int) -> bool:
    return bool(connection.scalar(text(_IS_HELD.format(_KEY.format(seed)))))


def upsert(
    connection: Connection, table: Table, rows: "pl.DataFrame", constants: Mapping[str, int]
) -> UpsertCounts:
    """Copy the rows into a temporary table, and upsert from there.

    The rows are sorted by key, so that two writers cannot deadlock: a temporary table is read in
    the order in which it was written. An ORDER BY would make a load 3 % slower (measured).
    """
    staging = _staging(table, tuple(constants))
    connection.execute(CreateTable(staging.table))
    _copy(connection, staging.table, rows)
    inserted, updated = connection.execute(staging.upsert, dict(constants)).one()
    connection.execute(DropTable(staging.table))
    return UpsertCounts(inserted, updated, len(rows) - inserted - updated)


class _Staging(NamedTuple):
    """A temporary table for the rows of an entity, and the statement that upserts them.

    The statement returns the number of rows inserted and the number updated.
    """

    table: Table
    upsert: Select[int, int]


@cache
def _staging(table: Table, constants: tuple[str, ...]) -> _Staging:
    staged = Table(
        f"incoming_{table.name}",
        MetaData(),
        *(Column(c.name, c.type) for c in table.columns if c.name not in constants),
        prefixes=["TEMPORARY"],
    )
    bound = [bindparam(name, type_=table.columns[name].type) for name in constants]
    rows = select(*staged.columns, *bound)
    insert = postgresql.insert(table).from_select([*staged.columns.keys(), *constants], rows)
    # xmax is 0 in a row that was just inserted; an update locks the row, which sets it.
    is_new = literal_column("xmax = 0", Boolean).label("is_new")
    written = do_update_changed(insert).returning(is_new).cte("written")
    new = written.columns.is_new
    return _Staging(staged, select(func.count().filter(new), func.count().filter(~new)))


def insert_rows(connection: Connection, table: Table, rows: "pl.DataFrame") -> None:
    """Copy rows into a table."""
    _copy(connection, table, rows)


def _copy(connection: Connection, table: Table, rows: "pl.DataFrame") -> None:
    """Send rows as CSV: polars writes it without making a Python object for each cell."""
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
        # In chunks: the server reads one while polars writes the next.
        for chunk in rows.with_columns(amounts).iter_slices(ROWS_PER_WRITE):
            # Quoted: without quotes a line `\.` would end the data, and an empty text be NULL.
            copy.write(chunk.write_csv(include_header=False, quote_style="non_numeric"))


@contextmanager
def _as_sqlalchemy(connection: Connection, statement: str) -> Iterator[None]:
    """Turn psycopg's errors into SQLAlchemy's; SQLAlchemy does so for its own statements only."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise DBAPIError.instance(
            statement, None, error, psycopg.Error, hide_parameters=True, dialect=connection.dialect
        ) from error


def keys_as_table(keys: Iterable[int]) -> FromClause:
    """Return the keys as a table: an array that PostgreSQL expands."""
    array = cast(literal(f"{{{','.join(map(str, keys))}}}"), ARRAY(BigInteger))
    return func.unnest(array).table_valued("value").render_derived()


def is_foreign_key_violation(error: DBAPIError) -> bool:
    """Whether a foreign key failed."""
    return _sqlstate(error) == "23503"


def is_refused_value(error: DBAPIError) -> bool:
    """Whether the server, a constraint or psycopg refused a value."""
    return _sqlstate(error).startswith(_OF_DATA) or (
        isinstance(error, DataError) and not _sqlstate(error)
    )


def is_transient(error: DBAPIError) -> bool:
    """Whether the same work may succeed a little later."""
    return _sqlstate(error).startswith(_TRANSIENT) or _is_lost_behind(error)


def _is_lost_behind(error: DBAPIError) -> bool:
    """Whether the server has lost a server of its own."""
    message = getattr(getattr(error.orig, "diag", None), "message_primary", None) or ""
    return _sqlstate(error) in _PASSED_ON and bool(_LOST.search(message))


def describe_error(error: DBAPIError) -> ErrorSummary:
    """Return the server's message; if that may name values of a row, only what it is about."""
    state = _sqlstate(error)
    if known := _REFUSALS.get(state or type(error).__name__):
        return ErrorSummary(known, "mend it")
    diagnosis = getattr(error.orig, "diag", None)
    if state.startswith(_SAFE):
        what = getattr(diagnosis, "message_primary", None) or str(error.orig)
        detail = getattr(diagnosis, "message_detail", None)
        if detail and state.startswith(_OF_OBJECTS):
            what = f"{what} ({detail})"
    else:
        names = ("table_name", "column_name", "constraint_name")
        parts = [part for name in names if (part := getattr(diagnosis, name, None))]
        what = " ".join(
            [type(error.orig).__name__, *(parts or ["(the server does not say where)"])]
        )
    remedies = (_REMEDIES.get(part) for part in (state, state[:2]))
    remedy = next(filter(None, remedies), "mend it")
    if _is_lost_behind(error):
        remedy = "see that the workers of the server answer"
    what = _ODD_HOST.sub("(a name with an @, withheld)", what)
    return ErrorSummary(" ".join(what.split()), remedy)


def _sqlstate(error: DBAPIError) -> str:
    """Return the SQLSTATE; "08000" (connection) if the error comes from libpq, not the server."""
    of_connection = "08000" if isinstance(error, OperationalError | InterfaceError) else ""
    return getattr(error.orig, "sqlstate", None) or of_connection
