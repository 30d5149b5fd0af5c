"""Engines: URLs, connections for reading, and errors that say what to do."""

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
"""The user and password in front of the host, as SQLAlchemy reads them."""


def parse_url(url: str | URL) -> URL:
    """Return a database URL, parsed; raises ConfigurationError if it cannot be used.

    The message does not contain the password.
    """
    if isinstance(url, str):
        _require_unambiguous(url)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # its text may be the part of a password after an @
        raise ConfigurationError(_UNREADABLE) from None
    if parsed.drivername == "postgres":
        parsed = parsed.set(drivername="postgresql")
    if parsed.get_backend_name() not in EXAMPLES:
        message = f"{parsed.drivername} is not supported; use a URL like {DEFAULT_URL}"
        raise ConfigurationError(message)
    return dialect_of(parsed).validate_url(parsed)


def _require_unambiguous(url: str) -> None:
    """Raise ConfigurationError if a part of a password could be read as another part of the URL.

    A driver's errors name hosts, databases and options: they would then contain that part.
    """
    if url != url.strip() or any(category(letter) == "Cc" for letter in url):
        message = (
            "the database URL has a space, a line end or a control character around it or in it;"
            " take it away (a file of settings with Windows line ends has one in each line)"
        )
        raise ConfigurationError(message)
    driver, _, rest = url.partition("://")
    if driver.startswith("postgres"):
        match = _LOGIN.match(rest)
        login, others = (match[0], rest[match.end() :]) if match else ("", rest)
        if "?" in login or "@" in others:
            message = (
                "the database URL can be read in two ways: @ in a password, a user's name or an"
                " option is written %40, and so / %2F, ? %3F"
            )
            raise ConfigurationError(message)


def make_engine(url: str | URL, *, read_only: bool = False) -> Engine:
    """Return an engine for an existing database, with foreign keys enforced.

    `read_only` connections neither wait for a load nor delay one. Raises ConfigurationError if the
    URL cannot be used, DatabaseError if the database does not exist.
    """
    parsed = parse_url(url)
    return dialect_of(parsed).make_engine(parsed, read_only=read_only)


def make_migration_engine(url: str | URL) -> Engine:
    """Return the engine for Alembic; raises ConfigurationError if the URL cannot be used."""
    parsed = parse_url(url)
    return dialect_of(parsed).make_migration_engine(parsed)


@contextmanager
def read_connection(url: str) -> Iterator[Connection]:
    """Yield a connection for reading; raises as `make_engine`, and unless the schema is at head."""
    engine = make_engine(url, read_only=True)
    with translate_errors(engine.url), engine.connect() as connection:
        require_head(connection)
        yield connection


@contextmanager
def translate_errors(url: URL) -> Iterator[None]:
    """Turn the driver's errors into DatabaseError; RefusedError if the database refused a value.

    The message says what to do. The traceback is kept, but not the driver's error: its text may
    contain values of a row.
    """
    try:
        yield
    except DBAPIError as error:
        dialect = dialect_of(url)
        what, remedy = dialect.describe_error(error)
        if dialect.is_refused_value(error):
            raise RefusedError(what, remedy).with_traceback(error.__traceback__) from None
        message = (
            f"the database cannot be used: {what}; "
            f"nothing half-done is kept, {remedy} and run again"
        )
        raise DatabaseError(message).with_traceback(error.__traceback__) from None
