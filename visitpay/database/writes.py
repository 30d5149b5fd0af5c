"""Writing rows in bulk."""

from collections.abc import Iterable
from traceback import clear_frames
from typing import TYPE_CHECKING

from sqlalchemy import Connection, FromClause, Table
from sqlalchemy.exc import IntegrityError

from visitpay.database.dialects import dialect_of
from visitpay.database.dialects.base import UpsertCounts
from visitpay.models import Entity

if TYPE_CHECKING:
    import polars as pl


class OrphanError(Exception):
    """A row refers to a parent that is not in the database."""


def upsert(
    connection: Connection, entity: type[Entity], rows: "pl.DataFrame", source_file_id: int
) -> UpsertCounts:
    """Insert the rows that are new, update those that differ, do not write the others.

    `rows` holds the table's columns except `source_file_id`, in the table's order; one row for
    each key, sorted by key. Raises OrphanError if a foreign key fails: some rows may then have been
    written, and the caller rolls them back.
    """
    if rows.is_empty():
        return UpsertCounts()
    dialect = dialect_of(connection)
    try:
        constants = {"source_file_id": source_file_id}
        return dialect.upsert(connection, entity.__table__, rows, constants)
    except IntegrityError as error:
        # The server may go away right after it said so: then nothing can be asked of it.
        if error.connection_invalidated or not dialect.is_foreign_key_violation(error):
            raise
        # Its frames refer to the error, and to the rows: a cycle that only the collector frees.
        clear_frames(error.__traceback__)
        # The error's text may contain the key: it must not be in a traceback.
        raise OrphanError from None


def insert_rows(connection: Connection, table: Table, rows: "pl.DataFrame") -> None:
    """Insert rows into a table; the frame's columns are some of the table's, in any order."""
    # SQLAlchemy names the columns in the table's order, whatever the order of the values.
    rows = rows.select(column.name for column in table.columns if column.name in rows.columns)
    dialect_of(connection).insert_rows(connection, table, rows)


def keys_as_table(connection: Connection, keys: Iterable[int]) -> FromClause:
    """Return any number of keys as a table with a column `value`, in one parameter."""
    return dialect_of(connection).keys_as_table(keys)
