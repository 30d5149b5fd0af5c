"""The seam between the databases: all that differs between SQLite and PostgreSQL.

Each module here answers the same questions (`Dialect`); who asks does not know which one answers.
"""

from sqlalchemy import URL, Connection

from visitpay.database.dialects.base import Dialect


def dialect_of(database: URL | Connection) -> Dialect:
    """Give the dialect of a URL or of a connection."""
    url = database if isinstance(database, URL) else database.engine.url
    if url.get_backend_name() == "postgresql":
        from visitpay.database.dialects import postgresql

        return postgresql
    from visitpay.database.dialects import sqlite

    return sqlite
