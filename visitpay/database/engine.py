"""The database: engines, the check that its schema is at head, errors that say what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from unicodedata import category

from sqlalchemy import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from visitpay.database.dialects import dialect_of
from visitpay.database.dialects.base import EXAMPLES
from visitpay.database.revision import require_head
from visitpay.errors import ConfigurationError, DatabaseError, RefusedError
from visitpay.vocabulary import DEFAULT_URL

_UNREADABLE = f"the database URL cannot be read; it looks like {DEFAULT_URL}"

_LOGIN = re.compile("[^:/]*(?::[^@]*)?@")
"""What stands before the host, as SQLAlchemy reads it."""


def parse_url(url: str | URL) -> URL:
    """Read a database URL; raises ConfigurationError, without the URL's password, if it is none."""
    if isinstance(url, str):
        _require_unambiguous(url)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # which may name what follows an @ in a password
        raise ConfigurationError(_UNREADABLE) from None
    if parsed.drivername == "postgres":
        parsed = parsed.set(drivername="postgresql")
    if parsed.get_backend_name() not in EXAMPLES:
        message = f"{parsed.drivername} is not supported; use a URL like {DEFAULT_URL}"
        raise ConfigurationError(message)
    return dialect_of(parsed).validate_url(parsed)


def _require_unambiguous(url: str) -> None:
    """Refuse a URL of which a part could be taken for another: what is left of a password is told.

    A driver's errors name hosts, databases and options, and never a password.
    """
    if url != url.strip() or any(category(letter) == "Cc" for letter in url):
        message = (
            "the database URL has a space, a line end or a control character around it or in it;"
            " take it away (a file of settings with Windows line ends has one in each line)"
        )
        raise ConfigurationError(message)
    driver, _, rest = url.partition("://")
    if driver.startswith("postgres"):
        login = _LOGIN.match(rest)
        ours, others = (login[0], rest[login.end() :]) if login else ("", rest)
        if "?" in ours or "@" in others:
            message = (
                "the database URL can be read in two ways: @ in a password, a user's name or an"
                " option is written %40, and so / %2F, ? %3F"
            )
            raise ConfigurationError(message)


def make_engine(url: str | URL, *, read_only: bool = False) -> Engine:
    """Make the engine for an existing database, on which foreign keys hold.

    `read_only` connections neither wait for a load nor hold one up. Raises ConfigurationError for a
    URL that cannot be used, DatabaseError when the database is not there.
    """
    parsed = parse_url(url)
    return dialect_of(parsed).make_engine(parsed, read_only=read_only)


def make_migration_engine(url: str | URL) -> Engine:
    """Make the engine for Alembic; raises as `make_engine` does."""
    parsed = parse_url(url)
    return dialect_of(parsed).make_migration_engine(parsed)


@contextmanager
def read_connection(url: str) -> Iterator[Connection]:
    """Open a database at the schema's head to look at it; raises DatabaseError if it cannot be."""
    engine = make_engine(url, read_only=True)
    with translate_errors(engine.url), engine.connect() as connection:
        require_head(connection)
        yield connection


@contextmanager
def translate_errors(url: URL) -> Iterator[None]:
    """Turn the driver's errors into a DatabaseError that says what to do.

    The traceback stays, without the driver's error: that may name values of a row. What the
    database refused for the sake of the data is a RefusedError.
    """
    try:
        yield
    except DBAPIError as error:
        dialect = dialect_of(url)
        what, remedy = dialect.describe_error(error)
        if dialect.is_of_data(error):
            raise RefusedError(what, remedy).with_traceback(error.__traceback__) from None
        message = (
            f"the database cannot be used: {what}; "
            f"nothing half-done is kept, {remedy} and run again"
        )
        raise DatabaseError(message).with_traceback(error.__traceback__) from None
