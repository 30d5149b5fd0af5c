"""Running migrations: `visitpay migrate`, and what alembic/env.py does for Alembic's commands.

All revisions of one migration are one transaction, under the run lock of loads.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from logging.config import fileConfig
from typing import Any, cast

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import Script
from alembic.util import CommandError
from sqlalchemy import URL, Connection, inspect, select
from sqlalchemy.exc import DBAPIError, PendingRollbackError

from visitpay import settings
from visitpay.database.dialects import dialect_of
from visitpay.database.engine import (
    make_engine,
    make_migration_engine,
    parse_url,
    translate_errors,
)
from visitpay.database.naming import shown
from visitpay.database.session import run_lock
from visitpay.errors import ConfigurationError, DatabaseError, VisitPayError, to_visitpay_error
from visitpay.migrations import applied, authoring
from visitpay.models import LoadRun
from visitpay.text import minute, printable
from visitpay.vocabulary import RunStatus

logger = logging.getLogger(__name__)

WAIT_SECONDS = 600.0
"""The usual wait for a load to end, and for tables that others use."""

_LONGEST_PAUSE = 30.0
"""Seconds between two tries at most."""

_OnStep = Callable[[MigrationInfo], None]


def environment() -> None:
    """Do what Alembic asks: on a connection that `exclusive` gave, or as one of its own commands.

    A command of Alembic's takes the database from the environment or from the settings, and prints
    an error in one line.
    """
    given = context.config.attributes
    if "connection" in given:
        migrate_on(given["connection"], given["deadline"], given["on_step"])
    elif "url" in given:
        _print_script(given["url"])
    else:
        if context.config.config_file_name is not None:
            fileConfig(context.config.config_file_name, disable_existing_loggers=False)
        try:
            _obey_alembic()
        except CommandError:
            raise
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001
            message = str(to_visitpay_error(error))
            raise CommandError(message).with_traceback(error.__traceback__) from None


def _obey_alembic() -> None:
    url = _url_in_force()
    if context.is_offline_mode():
        _print_script(url)
    elif _changes_schema():
        wait_seconds = _wait_in_force()
        deadline = time.monotonic() + wait_seconds
        with exclusive(url, wait_seconds) as connection:
            migrate_on(connection, deadline)
    else:
        engine = make_engine(url, read_only=True)
        with translate_errors(url), engine.connect() as connection:
            _configure(connection=connection, dont_mutate=True)
            with context.begin_transaction():
                context.run_migrations()


def _url_in_force() -> URL:
    found = settings.database_in_force()
    url = parse_url(str(found.value))
    alembic = logging.getLogger("alembic.env")
    if found.origin == settings.DEFAULT:
        alembic.warning("VISITPAY_DATABASE_URL is not set: the database is %s", shown(url))
    else:
        alembic.info("the database is %s (%s)", shown(url), found.origin)
    return url


def _wait_in_force() -> float:
    given = settings.in_force("wait", str(WAIT_SECONDS), ("migrate",))
    with suppress(ValueError):
        if (seconds := float(str(given.value))) >= 0:
            return seconds
    message = f"{given.origin} is not a number of seconds like 600"
    raise ConfigurationError(message)


def _changes_schema() -> bool:
    """Whether the command of Alembic has a revision to go to: upgrade, downgrade and stamp."""
    try:
        context.get_revision_argument()
    except KeyError:
        return False
    except CommandError:  # none that can be found: for the command to say
        return True
    return True


@contextmanager
def exclusive(url: URL, wait_seconds: float) -> Iterator[Connection]:
    """Yield a connection for a migration, while no load and no other migration runs.

    Raises BusyError if one runs after the wait, DatabaseError if the database cannot be used.
    """
    engine = make_migration_engine(url)
    with translate_errors(url), engine.connect() as connection:
        with connection.begin():
            for statement in dialect_of(url).migration_preamble():
                connection.exec_driver_sql(statement)
        holder = partial(_holder, url)
        with run_lock(connection, wait_seconds, is_migration=True, describe_holder=holder):
            yield connection


def _holder(url: URL) -> str:
    """Return who holds the run lock, as far as the database tells, whatever its revision."""
    running = (
        select(LoadRun.id, LoadRun.started_at, LoadRun.host)
        .where(LoadRun.status == RunStatus.RUNNING)
        .order_by(LoadRun.id.desc())
        .limit(1)
    )
    with (
        suppress(DBAPIError, VisitPayError),
        make_engine(url, read_only=True).connect() as connection,
    ):
        if dialect_of(url).is_migrating(connection):
            return "another migration"
        if inspect(connection).has_table(LoadRun.__tablename__):
            for run_id, started_at, host in connection.execute(running):
                return f"load {run_id}, begun {minute(started_at)} UTC on {printable(host)},"
    return "another command"


def migrate_on(connection: Connection, deadline: float, on_step: _OnStep | None = None) -> None:
    """Run the migrations on a connection of `exclusive`, in one transaction.

    While another holds a table, or after a deadlock, try all of it again until the deadline, a
    time of `time.monotonic`. Raises DatabaseError if a foreign key is violated.
    """
    dialect, pause = dialect_of(connection), 1.0
    while True:
        try:
            return _migrate_once(connection, on_step)
        except PendingRollbackError as error:  # a signal has ended the statement and the connection
            raise (_signal_behind(error) or error) from None
        except DBAPIError as error:
            is_over = time.monotonic() + pause > deadline
            if is_over or error.connection_invalidated or not dialect.is_transient(error):
                raise
            what = dialect.describe_error(error).what
            logger.warning("%s; trying again in %g s", what, pause)
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _signal_behind(error: BaseException) -> KeyboardInterrupt | None:
    """Return the stop signal that an error came after, if one did."""
    behind = error.__context__
    while behind:
        if isinstance(behind, KeyboardInterrupt):
            return behind
        behind = behind.__context__
    return None


def _migrate_once(connection: Connection, on_step: _OnStep | None) -> None:
    _configure(connection=connection, on_step=on_step)
    with context.begin_transaction():
        dialect = dialect_of(connection)
        with dialect.kept_additions(connection):
            context.run_migrations()
        if violated := dialect.foreign_key_violations(connection):
            tables = ", ".join(sorted(violated))
            message = f"the migration leaves rows without what they refer to in: {tables}"
            raise DatabaseError(message)


def _print_script(url: URL) -> None:
    _configure(url=url, literal_binds=True)
    for statement in dialect_of(url).migration_preamble(script_for=url):
        context.execute(statement)
    with context.begin_transaction():
        context.run_migrations()


def _configure(
    *,
    on_step: _OnStep | None = None,
    **options: Any,  # noqa: ANN401 - Alembic's, of many types
) -> None:
    def on_version_apply(
        ctx: MigrationContext, step: MigrationInfo, heads: Collection[str], run_args: object
    ) -> None:
        del run_args
        applied.record(ctx, step, heads)
        if on_step:
            on_step(step)

    context.configure(
        **authoring.OPTIONS, transactional_ddl=True, on_version_apply=on_version_apply, **options
    )


def describe_step(step: MigrationInfo) -> str:
    """Return a step in one line: `0004 -> 0005: unknown columns of a delivery`."""
    source = ", ".join(map(str, step.source_revision_ids)) or "base"
    destination = ", ".join(map(str, step.destination_revision_ids)) or "base"
    return f"{source} -> {destination}: {title(cast('Script', step.up_revision))}"


def title(script: Script) -> str:
    """Return what a revision is about: the first line of its docstring."""
    return script.doc.splitlines()[0].rstrip(".")
