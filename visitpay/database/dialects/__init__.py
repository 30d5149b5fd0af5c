"""All that differs between SQLite and PostgreSQL.

Each database is one module with the functions of `Dialect`; their callers do not know which it is.
"""

from sqlalchemy import URL, Connection

from visitpay.database.dialects.base import Dialect


def dialect_of(database: URL | Connection) -> Dialect:
    """Return the dialect of a URL or of a connection."""
    url = database if isinstance(database, URL) else database.engine.url
    if url.get_backend_name() == "postgresql":
        from visitpay.database.dialects import postgresql

        return postgresql
    from visitpay.database.dialects import sqlite

    return sqlite
