"""The database: engines, the check that its schema is at head, errors that say what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError

from visitpay import DEFAULT_URL
from visitpay.dialects import EXAMPLES, dialect_of
from visitpay.errors import ConfigurationError, DatabaseError

MIGRATE = "run: alembic upgrade head"


def parse_url(url: str | URL) -> URL:
    """Read a database URL; raises ConfigurationError, without the URL's password, if it is none."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        message = f"the database URL cannot be read; it looks like {DEFAULT_URL}"
        raise ConfigurationError(message) from error
    if parsed.get_backend_name() not in EXAMPLES:
        message = f"{parsed.drivername} is not supported; use a URL like {DEFAULT_URL}"
        raise ConfigurationError(message)
    return dialect_of(parsed).checked(parsed)


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
def reading(url: str) -> Iterator[Connection]:
    """Open a database at the schema's head to look at it; raises DatabaseError if it cannot be."""
    engine = make_engine(url, read_only=True)
    with translated(engine.url), engine.connect() as connection:
        require_head(connection)
        yield connection


def require_head(connection: Connection) -> None:
    """Check that the schema is at Alembic's head; raises DatabaseError that says what to run."""
    current: set[str] = set()
    if inspect(connection).has_table("alembic_version"):
        current = set(connection.scalars(text("SELECT version_num FROM alembic_version")))
    known, heads = revisions()
    if current == heads:
        return
    found = ", ".join(sorted(current)) or "empty"
    message = f"the database's schema is {found}, not {', '.join(sorted(heads))}; {MIGRATE}"
    if current - known:
        message += ", with the visitpay that knows this schema if it is a newer one"
    raise DatabaseError(message)


def revisions() -> tuple[set[str], set[str]]:
    """Give all revisions of the schema, and those that no other follows.

    They are read without Alembic, which takes 0.15 s to import.
    """
    scripts = [path.read_text("utf-8") for path in (_scripts() / "versions").glob("*.py")]
    known, followed = (
        {
            name
            for script in scripts
            for name in re.findall(rf"^{word} = ['\"](.+)['\"]$", script, re.MULTILINE)
        }
        for word in ("revision", "down_revision")
    )
    return known, known - followed


def _scripts() -> Path:
    """Find the migrations: inside an installed package, beside it in a checkout."""
    package = Path(__file__).parent
    inside = package / "alembic"
    return inside if inside.is_dir() else package.parent / "alembic"


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """Turn the driver's errors into a DatabaseError that says what to do.

    The traceback stays, without the driver's error: that may name values of a row.
    """
    try:
        yield
    except DBAPIError as error:
        what, remedy = dialect_of(url).explained(error)
        message = (
            f"the database cannot be used: {what}; "
            f"nothing half-done is kept, {remedy} and run again"
        )
        raise DatabaseError(message).with_traceback(error.__traceback__) from None
