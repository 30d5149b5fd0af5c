"""How Alembic reaches the database: the same URL as visitpay, an engine of its own."""

import os
from logging.config import fileConfig

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from visitpay import DEFAULT_URL
from visitpay.database import make_migration_engine, parse_url, translated
from visitpay.dialects import dialect_of
from visitpay.errors import VisitPayError
from visitpay.models import Base, UTCDateTime

try:
    URL = parse_url(os.environ.get("VISITPAY_DATABASE_URL", DEFAULT_URL))
except VisitPayError as error:
    raise CommandError(str(error)) from error


def render_item(kind: str, thing: object, _context: object) -> str | bool:
    """Write a moment as the plain type, so that revisions do not depend on the package."""
    if kind == "type" and isinstance(thing, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    return False


def configure(**how: object) -> None:
    """Set up Alembic alike for a connection and for SQL scripts."""
    context.configure(
        target_metadata=Base.metadata,
        render_as_batch=True,
        render_item=render_item,
        transactional_ddl=True,
        **how,
    )


def migrate(connection: Connection) -> None:
    """Run the migrations in one transaction, and check that no reference was lost."""
    configure(connection=connection)
    with context.begin_transaction():
        run()
        if broken := dialect_of(URL).broken_references(connection):
            tables = ", ".join(sorted(broken))
            message = f"the migration leaves rows without what they refer to in: {tables}"
            raise RuntimeError(message)


def run() -> None:
    """Run the migrations, one deploy at a time."""
    for statement in dialect_of(URL).migration_opening():
        context.execute(statement)
    context.run_migrations()


if context.config.config_file_name is not None:
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)


def online() -> None:
    """Migrate the database; what a deploy can mend is told in one line."""
    engine = make_migration_engine(URL)
    with translated(URL):
        database = engine.connect()
    with database:
        try:
            migrate(database)
        except DBAPIError as error:
            if not dialect_of(URL).is_transient(error):
                raise
            with translated(URL):
                raise


if context.is_offline_mode():
    configure(url=URL, literal_binds=True)
    with context.begin_transaction():
        run()
else:
    try:
        online()
    except VisitPayError as error:
        raise CommandError(str(error)) from None
