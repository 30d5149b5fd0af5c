"""What each database does in its own way (`Dialect`), and the types that it returns."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from sqlalchemy import URL, Connection, Engine, FromClause, Table, or_
from sqlalchemy.exc import DBAPIError

from visitpay.models import SOURCE_COLUMNS

if TYPE_CHECKING:
    import polars as pl
    from sqlalchemy.dialects import postgresql, sqlite

    Insert = TypeVar("Insert", sqlite.Insert, postgresql.Insert)

EXAMPLES = {
    "sqlite": "sqlite:///visitpay.db",
    "postgresql": "postgresql+psycopg://user@host/name",
}
"""The databases that are supported, each with an example of its URL."""


@dataclass(frozen=True)
class UpsertCounts:
    """What became of the rows of one upsert."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0

    @property
    def rows(self) -> int:
        """The number of all rows."""
        return self.inserted + self.updated + self.unchanged


class ErrorSummary(NamedTuple):
    """What a driver's error says, without the values of a row, and what to do about it."""

    what: str
    remedy: str


class Dialect(Protocol):
    """What each database does in its own way; each module beside this one is a `Dialect`."""

    OLDEST_VERSION: tuple[int | str, ...]
    """The oldest version that is supported."""

    def validate_url(self, url: URL) -> URL:
        """Return the URL, complete; raises ConfigurationError if it cannot be used."""

    def local_path(self, url: URL) -> Path | None:
        """Return the database's file on this machine; None if a server keeps it."""

    def size_bytes(self, connection: Connection) -> int:
        """Return how much room the database takes."""

    def setting(self, connection: Connection) -> str:
        """Return in words which part of what kind of server it is; empty for a plain one."""

    def temporary_directory(self) -> Path | None:
        """Return where this machine keeps temporary files; None if nowhere, or on a server."""

    def make_engine(self, url: URL, *, read_only: bool) -> Engine:
        """Return an engine for an existing database, with foreign keys enforced.

        `read_only` connections neither wait for a load nor delay one. Raises DatabaseError if the
        database is known to be missing.
        """

    def make_migration_engine(self, url: URL) -> Engine:
        """Return the engine for Alembic."""

    def migration_preamble(self, script_for: URL | None = None) -> tuple[str, ...]:
        """Return the statements to run before a migration's transaction.

        A script for a database, which people run by hand, also chooses the schema by them, and
        takes the run lock, where a statement can.
        """

    def back_up(self, url: URL, path: Path) -> None:
        """Copy the database, as it is now, into an empty file.

        Raises ConfigurationError, with the command to run, if that is another program's work.
        """

    def incomplete_encoding(self, connection: Connection) -> str:
        """Return the database's encoding if it lacks some characters, else an empty string."""

    def foreign_key_violations(self, connection: Connection) -> set[str]:
        """Return the tables that have rows whose parents are missing."""

    def kept_additions(self, connection: Connection) -> AbstractContextManager[None]:
        """Keep what others added to the database while a migration runs inside."""

    def owner(self, connection: Connection) -> str:
        """Return who alone may migrate the database; empty if the connection may, too."""

    def run_lock(
        self, connection: Connection, *, is_migration: bool = False
    ) -> AbstractContextManager[Callable[[], bool]]:
        """Yield a function that tries to take the run lock; leaving the context releases it."""

    def take_turn(self, connection: Connection) -> bool:
        """Lock the rows of `turns` until the transaction ends, unless another has one of them."""

    def is_migrating(self, connection: Connection) -> bool:
        """Whether the holder of the run lock is a migration; asked outside of a transaction."""

    def is_held(self, connection: Connection) -> bool:
        """Whether anyone holds the run lock now; asking does not keep a load from taking it."""

    def upsert(
        self,
        connection: Connection,
        table: Table,
        rows: "pl.DataFrame",
        constants: Mapping[str, int],
    ) -> UpsertCounts:
        """Insert the rows that are new, update those that differ, do not write the others.

        `constants` are the columns that have the same value in every row; `rows` holds all other
        columns, in the table's order.
        """

    def insert_rows(self, connection: Connection, table: Table, rows: "pl.DataFrame") -> None:
        """Insert rows; the frame's columns are some of the table's, in its order."""

    def keys_as_table(self, keys: Iterable[int]) -> FromClause:
        """Return any number of keys as a table with a column `value`, in one parameter."""

    def is_foreign_key_violation(self, error: DBAPIError) -> bool:
        """Whether a foreign key failed."""

    def is_refused_value(self, error: DBAPIError) -> bool:
        """Whether the database refused a value, rather than the connection or the statement."""

    def is_transient(self, error: DBAPIError) -> bool:
        """Whether the same work may succeed a little later, perhaps on a new connection."""

    def describe_error(self, error: DBAPIError) -> ErrorSummary:
        """Return what happened, in one line, and what to do."""


def do_update_changed(insert: "Insert") -> "Insert":
    """Return the insert, made to update existing rows that differ in a column of the files."""
    table, new = insert.table, insert.excluded
    written = [column for column in table.columns if not column.primary_key]
    compared = [column for column in written if column.name not in SOURCE_COLUMNS]
    return insert.on_conflict_do_update(
        index_elements=table.primary_key,
        set_={column.name: new[column.name] for column in written},
        where=or_(*(column.is_distinct_from(new[column.name]) for column in compared)),
    )
