"""Alembic's configuration: the database URL of visitpay, an engine of its own."""

import os
from logging.config import fileConfig

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection

from visitpay.database.dialects import dialect_of
from visitpay.database.engine import make_migration_engine, parse_url, translate_errors
from visitpay.errors import DatabaseError, VisitPayError, to_visitpay_error
from visitpay.migrations import authoring
from visitpay.vocabulary import DEFAULT_URL

try:
    URL = parse_url(os.environ.get("VISITPAY_DATABASE_URL", DEFAULT_URL))
except VisitPayError as error:
    raise CommandError(str(error)) from None


def configure(**options: object) -> None:
    """Configure Alembic, for a connection or for SQL scripts."""
    context.configure(**authoring.OPTIONS, transactional_ddl=True, **options)


def migrate(connection: Connection) -> None:
    """Run the migrations in one transaction; raises DatabaseError if a foreign key is violated."""
    configure(connection=connection)
    with context.begin_transaction():
        run()
        if violated := dialect_of(URL).foreign_key_violations(connection):
            tables = ", ".join(sorted(violated))
            message = f"the migration leaves rows without what they refer to in: {tables}"
            raise DatabaseError(message)


def run() -> None:
    """Run the migrations; another migration that runs is waited for."""
    for statement in dialect_of(URL).migration_preamble():
        context.execute(statement)
    context.run_migrations()


if context.config.config_file_name is not None:
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)


def online() -> None:
    """Migrate the database."""
    engine = make_migration_engine(URL)
    with translate_errors(URL), engine.connect() as connection:
        migrate(connection)


def command_error(error: BaseException) -> CommandError:
    """Return an error that Alembic prints in one line (without --raiseerr)."""
    return CommandError(str(to_visitpay_error(error))).with_traceback(error.__traceback__)


if context.is_offline_mode():
    configure(url=URL, literal_binds=True)
    with context.begin_transaction():
        run()
else:
    try:
        online()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001
        raise command_error(error) from None
