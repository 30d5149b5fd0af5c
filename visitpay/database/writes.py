"""Writing rows: `INSERT ... ON CONFLICT`, built by SQLAlchemy, bound in bulk by the dialect."""

from traceback import clear_frames
from typing import TYPE_CHECKING

from sqlalchemy import Connection, FromClause, Table, or_
from sqlalchemy.exc import IntegrityError

from visitpay.database.dialects import Written, dialect_of
from visitpay.models import SOURCE_COLUMNS, Entity

if TYPE_CHECKING:
    from typing import TypeVar

    import polars as pl
    from sqlalchemy.dialects import postgresql, sqlite

    Insert = TypeVar("Insert", sqlite.Insert, postgresql.Insert)


class OrphanError(Exception):
    """A row refers to a parent that is not in the database."""


def upsert(
    connection: Connection, entity: type[Entity], rows: "pl.DataFrame", source_file_id: int
) -> Written:
    """Insert the rows that are new, update those that differ, leave the others unwritten.

    `rows` holds the columns of the table but `source_file_id`, in its order, one row a key, sorted.
    Raises OrphanError when a foreign key fails; some rows may then have been written, and the
    caller rolls them back.
    """
    if rows.is_empty():
        return Written()
    dialect = dialect_of(connection)
    try:
        return dialect.upsert(connection, entity.__table__, rows, source_file_id)
    except IntegrityError as error:
        if not dialect.is_orphan(error):
            raise
        # Its traceback holds itself, and with it the rows, until the garbage collector comes by.
        clear_frames(error.__traceback__)
        # The error may name the key: it must not stand in a traceback.
        raise OrphanError from None


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


def insert_rows(connection: Connection, table: Table, rows: "pl.DataFrame") -> None:
    """Insert rows into a table of the books; the frame's columns are some of the table's."""
    # SQLAlchemy writes the columns in the table's order, whatever the order of the values.
    rows = rows.select(column.name for column in table.columns if column.name in rows.columns)
    dialect_of(connection).insert_rows(connection, table, rows)


def table_of(connection: Connection, keys: "pl.Series") -> FromClause:
    """Give any number of keys as a table with a column `value`, in one parameter."""
    return dialect_of(connection).table_of(keys)
