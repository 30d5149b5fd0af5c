"""Writing rows: `INSERT ... ON CONFLICT`, built by SQLAlchemy, bound in bulk.

What is SQLite's own stands here: how rows are bound and keys passed, and which error means that a
row refers to something that is not there.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import polars as pl
from sqlalchemy import Column, Connection, FromClause, Numeric, Table, func, literal_column, or_
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import IntegrityError

from visitpay.models import SOURCE_COLUMNS, Entity

ROWS_PER_STATEMENT = 1000
"""Rows in one multi-row VALUES; single rows cost twice as much."""


_SOURCE_FILE = "$source_file_id"
"""Stands in a statement for the delivery's id: the same in every row, it need not be bound."""


@dataclass(frozen=True)
class Written:
    """What became of the rows of one write."""

    inserted: int
    updated: int
    unchanged: int

    @property
    def rows(self) -> int:
        """All of them."""
        return self.inserted + self.updated + self.unchanged


class OrphanError(Exception):
    """A row refers to a parent that is not in the database."""


def upsert(
    connection: Connection, entity: type[Entity], rows: pl.DataFrame, source_file_id: int
) -> Written:
    """Insert the rows that are new, update those that differ, leave the others unwritten.

    `rows` holds the columns of the table but `source_file_id`, in its order, one row a key. Raises
    OrphanError when a foreign key fails; some rows may then have been written, and the caller rolls
    them back.
    """
    try:
        return _write(connection, entity.__table__, rows, str(source_file_id))
    except IntegrityError as error:
        code = getattr(error.orig, "sqlite_errorcode", None)
        if code != sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
            raise
        raise OrphanError from error


def _write(connection: Connection, table: Table, rows: pl.DataFrame, file_id: str) -> Written:
    inserted = updated = 0
    insert = _insert_new(table).replace(_SOURCE_FILE, file_id)
    update = _update_changed(table).replace(_SOURCE_FILE, file_id)
    for count, flat in _slices(table, rows):
        new = connection.exec_driver_sql(_repeated(insert, count), flat).rowcount
        inserted += new
        if new < count:
            update_some = _repeated(update, count)
            updated += connection.exec_driver_sql(update_some, flat).rowcount
    return Written(inserted, updated, len(rows) - inserted - updated)


def insert_rows(connection: Connection, table: Table, rows: pl.DataFrame) -> None:
    """Insert rows into a table of the books; the frame's columns are some of the table's."""
    # SQLAlchemy writes the columns in the table's order, whatever the order of the values.
    rows = rows.select(column.name for column in table.columns if column.name in rows.columns)
    statement = _compiled(sqlite.insert(table).values(dict.fromkeys(rows.columns)))
    for count, flat in _slices(table, rows):
        connection.exec_driver_sql(_repeated(statement, count), flat)


def _slices(table: Table, rows: pl.DataFrame) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Give some rows at a time as one flat tuple of what the driver binds, with their number."""
    width = rows.width
    flat: list[Any] = [None] * (len(rows) * width)
    for place, name in enumerate(rows.columns):
        flat[place::width] = _bound(rows[name], table.columns[name]).to_list()
    for start in range(0, len(rows), ROWS_PER_STATEMENT):
        count = min(ROWS_PER_STATEMENT, len(rows) - start)
        yield count, tuple(flat[start * width : (start + count) * width])


def _bound(values: pl.Series, column: Column[Any]) -> pl.Series:
    """Turn values into what SQLite stores for SQLAlchemy's types."""
    if isinstance(column.type, Numeric):  # from units of 10^-scale; it is kept as a double
        return values / float(10 ** (column.type.scale or 0))
    if isinstance(values.dtype, pl.Date):
        return values.dt.to_string("%Y-%m-%d")
    if isinstance(values.dtype, pl.Datetime):
        return values.dt.to_string("%Y-%m-%d %H:%M:%S%.6f")
    return values


def table_of(keys: pl.Series) -> FromClause:
    """Give any number of keys as a table with a column `value`, in one parameter."""
    return func.json_each(f"[{','.join(map(str, keys))}]").table_valued("value")


@cache
def _insert_new(table: Table) -> str:
    statement = _insert(table)
    return _compiled(statement.on_conflict_do_nothing(index_elements=table.primary_key))


@cache
def _update_changed(table: Table) -> str:
    statement = _insert(table)
    new = statement.excluded
    others = [column for column in table.columns if not column.primary_key]
    fed = [column for column in others if column.name not in SOURCE_COLUMNS]
    return _compiled(
        statement.on_conflict_do_update(
            index_elements=table.primary_key,
            set_={column.name: new[column.name] for column in others},
            where=or_(*(column.is_distinct_from(new[column.name]) for column in fed)),
        )
    )


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
    before, values, rest = statement.partition(" VALUES ")
    row, closing, after = rest.partition(")")
    return before + values + ", ".join([row + closing] * rows) + after
