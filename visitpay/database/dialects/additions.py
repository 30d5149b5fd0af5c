"""What others added to an SQLite database: views, triggers, and indexes of their own."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from visitpay.errors import DatabaseError
from visitpay.text import printable

_ADDITIONS = """
    SELECT type, name, sql FROM sqlite_master
    WHERE sql IS NOT NULL AND (type IN ('view', 'trigger')
        OR type = 'index' AND substr(name, 1, length(tbl_name) + 4) <> 'ix_' || tbl_name || '_')
    ORDER BY rowid
"""
"""The names of visitpay's own indexes begin with `ix_` and their table; it has nothing else."""


@contextmanager
def kept_additions(connection: Connection) -> Iterator[None]:
    """Take views and triggers away for the time of a migration; put back at its end what is gone.

    SQLite refuses to rename a table while a view names one that is not there, and a table that is
    made anew loses its triggers and indexes. Raises DatabaseError if one cannot be put back.
    """
    before = connection.exec_driver_sql(_ADDITIONS).all()
    for kind, name, _ in before:
        if kind != "index":
            connection.exec_driver_sql(f"DROP {kind} {_quoted(name)}")
    yield
    present = set(connection.exec_driver_sql("SELECT name FROM sqlite_master").scalars())
    for kind, name, statement in before:
        if name in present:
            continue
        try:
            connection.exec_driver_sql(statement)
        except DBAPIError as error:
            message = (
                f"the database has the {kind} {printable(name)}, which is not visitpay's and does"
                f" not fit the new schema ({error.orig}); drop it, migrate, and make it anew"
            )
            raise DatabaseError(message) from None


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'
