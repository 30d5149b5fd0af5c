"""What every database answers in its own way (`Dialect`), and what the answers are made of."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
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
"""The databases, each with a URL as it may look."""


@dataclass(frozen=True)
class UpsertCounts:
    """What became of the rows of one write."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0

    @property
    def rows(self) -> int:
        """All of them."""
        return self.inserted + self.updated + self.unchanged


class ErrorSummary(NamedTuple):
    """What a driver's error says, without any value of a row, and what to do about it."""

    what: str
    remedy: str


class Dialect(Protocol):
    """What a database does in a way of its own."""

    def validate_url(self, url: URL) -> URL:
        """Give the URL as it is used; raises ConfigurationError when it cannot be."""

    def make_engine(self, url: URL, *, read_only: bool) -> Engine:
        """Make the engine for an existing database; raises DatabaseError if it is known not to be.

        Foreign keys hold; `read_only` connections neither wait for a load nor hold one up.
        """

    def make_migration_engine(self, url: URL) -> Engine:
        """Make the engine for Alembic."""

    def migration_preamble(self) -> tuple[str, ...]:
        """Give the statements with which a migration begins."""

    def lacking_encoding(self, connection: Connection) -> str:
        """Give the name of the database's encoding, unless it has every character."""

    def foreign_key_violations(self, connection: Connection) -> set[str]:
        """Give the tables of which rows refer to nothing, where the database lets that happen."""

    def run_lock(self, connection: Connection) -> AbstractContextManager[Callable[[], bool]]:
        """Give a function that tries to take the lock of the one load; it is held to the end."""

    def is_held(self, connection: Connection) -> bool:
        """Say whether a load has that lock now; asking keeps none from taking it."""

    def upsert(
        self, connection: Connection, table: Table, rows: "pl.DataFrame", source_file_id: int
    ) -> UpsertCounts:
        """Insert the rows that are new, update those that differ, leave the others unwritten."""

    def insert_rows(self, connection: Connection, table: Table, rows: "pl.DataFrame") -> None:
        """Insert rows; the frame's columns are some of the table's, in its order."""

    def keys_as_table(self, keys: Iterable[int]) -> FromClause:
        """Give any number of keys as a table with a column `value`, in one parameter."""

    def is_foreign_key_violation(self, error: DBAPIError) -> bool:
        """Say whether a foreign key failed."""

    def is_of_data(self, error: DBAPIError) -> bool:
        """Say whether the database refused what it was given, and not its being used."""

    def is_transient(self, error: DBAPIError) -> bool:
        """Say whether the same work may succeed in a moment, on another connection perhaps."""

    def describe_error(self, error: DBAPIError) -> ErrorSummary:
        """Say what happened, in one line, and what to do."""


def do_update_changed(insert: "Insert") -> "Insert":
    """Let an insert update the rows that are there and differ in what the files say."""
    table, new = insert.table, insert.excluded
    others = [column for column in table.columns if not column.primary_key]
    fed = [column for column in others if column.name not in SOURCE_COLUMNS]
    return insert.on_conflict_do_update(
        index_elements=table.primary_key,
        set_={column.name: new[column.name] for column in others},
        where=or_(*(column.is_distinct_from(new[column.name]) for column in fed)),
    )
