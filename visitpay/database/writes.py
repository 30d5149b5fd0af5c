"""Writing rows: `INSERT ... ON CONFLICT`, built by SQLAlchemy, bound in bulk by the dialect."""

from collections.abc import Iterable
from traceback import clear_frames
from typing import TYPE_CHECKING

from sqlalchemy import Connection, FromClause, Table
from sqlalchemy.exc import IntegrityError

from visitpay.database.dialects import dialect_of
from visitpay.database.dialects.base import UpsertCounts
from visitpay.models import Entity

if TYPE_CHECKING:
    from typing import TypeVar

    import polars as pl
    from sqlalchemy.dialects import postgresql, sqlite

    Insert = TypeVar("Insert", sqlite.Insert, postgresql.Insert)


class OrphanError(Exception):
    """A row refers to a parent that is not in the database."""


def upsert(
    connection: Connection, entity: type[Entity], rows: "pl.DataFrame", source_file_id: int
) -> UpsertCounts:
    """Insert the rows that are new, update those that differ, leave the others unwritten.

    `rows` holds the columns of the table but `source_file_id`, in its order, one row a key, sorted.
    Raises OrphanError when a foreign key fails; some rows may then have been written, and the
    caller rolls them back.
    """
    if rows.is_empty():
        return UpsertCounts()
    dialect = dialect_of(connection)
    try:
        return dialect.upsert(connection, entity.__table__, rows, source_file_id)
    except IntegrityError as error:
        if not dialect.is_foreign_key_violation(error):
            raise
        # Its traceback holds itself, and with it the rows, until the garbage collector comes by.
        clear_frames(error.__traceback__)
        # The error may name the key: it must not stand in a traceback.
        raise OrphanError from None


def insert_rows(connection: Connection, table: Table, rows: "pl.DataFrame") -> None:
    """Insert rows into a table of the books; the frame's columns are some of the table's."""
    # SQLAlchemy writes the columns in the table's order, whatever the order of the values.
    rows = rows.select(column.name for column in table.columns if column.name in rows.columns)
    dialect_of(connection).insert_rows(connection, table, rows)


def keys_as_table(connection: Connection, keys: Iterable[int]) -> FromClause:
    """Give any number of keys as a table with a column `value`, in one parameter."""
    return dialect_of(connection).keys_as_table(keys)
