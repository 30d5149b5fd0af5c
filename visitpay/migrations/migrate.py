"""What `visitpay migrate` does: upgrade, downgrade, show what is pending, print a script."""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from visitpay.database.dialects import dialect_of
from visitpay.database.engine import make_engine, parse_url, translate_errors
from visitpay.database.naming import shown
from visitpay.database.revision import (
    current_revisions,
    migrations_folder,
    newer_revisions,
    not_ours,
    require_head,
    revisions,
)
from visitpay.errors import ConfigurationError, DatabaseError
from visitpay.migrations.applied import ancestors, is_additive
from visitpay.migrations.run import WAIT_SECONDS, describe_step, exclusive, title
from visitpay.private_files import make_private


class Pending(NamedTuple):
    """A revision that is to be applied."""

    revision: str
    title: str
    is_additive: bool
    """Whether code that does not know it can load as before."""


@dataclass(frozen=True)
class Standing:
    """How the schema of a database stands."""

    database: str
    """Its URL, without the password."""
    current: list[str]
    """The revisions that the database names: none, one, or several heads."""
    pending: list[Pending]
    newer: list[str]
    """Applied revisions that this code does not know, all of them additive."""


def standing(database_url: str) -> Standing:
    """Return how the schema of a database stands, without waiting for a load.

    Raises DatabaseError if the database cannot be used, or has a schema that this code cannot use.
    """
    engine = make_engine(database_url, read_only=True)
    with translate_errors(engine.url), engine.connect() as connection:
        current, newer = _read(connection)
        pending = [] if newer else _pending(_scripts(_config()), current)
        return Standing(shown(engine.url), sorted(current), pending, newer)


def migrate(
    database_url: str,
    target: str = "head",
    *,
    downgrade: bool = False,
    wait_seconds: float = WAIT_SECONDS,
    backup: Path | None = None,
    tell: Callable[[str], None] = print,
) -> None:
    """Bring a database to a revision, and tell in lines what is done.

    It goes back, to an older revision, only with `downgrade`. `backup` is a file for a copy of the
    database, which is made if there is anything to do. Raises ConfigurationError for a revision
    that is not there or not reached this way, and DatabaseError, with nothing changed.
    """
    url = parse_url(database_url)
    name, deadline = shown(url), time.monotonic() + wait_seconds
    if backup and dialect_of(url).local_path(url) is None:
        dialect_of(url).back_up(url, backup)
    with exclusive(url, wait_seconds) as connection:
        current, newer = _read(connection)
        config = _config()
        is_at = f"{name} is at {_listed(current)}"
        if newer or not _is_to_do(_scripts(config), current, target, downgrade=downgrade):
            tell(f"{is_at}: nothing to do")
            return
        tell(is_at)
        if backup and current:
            with make_private(backup) as path:
                dialect_of(url).back_up(url, path)
            tell(f"copied to {backup}")
        config.attributes.update(
            connection=connection,
            deadline=deadline,
            on_step=lambda step: tell(describe_step(step)),
        )
        try:
            with _command_errors():
                (command.downgrade if downgrade else command.upgrade)(config, target)
        finally:  # also after an error: a revision may have committed a part of its own accord
            with suppress(DBAPIError):
                tell(f"{name} is at {_listed(_read(connection)[0])}")


def print_script(database_url: str, target: str = "head", *, downgrade: bool = False) -> None:
    """Print the statements of a migration; `target` is one revision or two, `0004:head`.

    Raises ConfigurationError for a revision that is not there, or for no first one to go back from.
    """
    config = _config()
    config.attributes["url"] = parse_url(database_url)
    with _command_errors():
        (command.downgrade if downgrade else command.upgrade)(config, target, sql=True)


def _config() -> Config:
    config = Config()
    # In Alembic's settings a % begins a reference to another.
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    return config


def _scripts(config: Config) -> ScriptDirectory:
    return ScriptDirectory.from_config(config)


def _read(connection: Connection) -> tuple[set[str], list[str]]:
    """Return the current revisions, and the newer ones; raises DatabaseError for unusable ones."""
    with connection.begin():
        if foreign := not_ours(connection):
            raise DatabaseError(foreign)
        current, newer = current_revisions(connection), newer_revisions(connection)
        if not newer and not current <= revisions()[0]:
            require_head(connection)
        return current, newer


def _listed(current: Collection[str]) -> str:
    return ", ".join(sorted(current)) or "no revision"


def _pending(scripts: ScriptDirectory, current: set[str]) -> list[Pending]:
    applied = ancestors(scripts, current)
    every = ancestors(scripts, scripts.get_heads()).values()
    return [
        Pending(script.revision, title(script), is_additive(script))
        for script in reversed(every)
        if script.revision not in applied
    ]


def _is_to_do(scripts: ScriptDirectory, current: set[str], target: str, *, downgrade: bool) -> bool:
    """Whether a migration has anything to do; raises ConfigurationError if it may not do it."""
    if target[:1] in "+-":  # relative: Alembic counts
        return True
    with _command_errors():
        found = scripts.get_revisions(target)
    wanted = {script.revision for script in found if script}
    applied = ancestors(scripts, current).keys()
    if wanted == current or (wanted and wanted <= current):
        return False
    is_older = wanted <= applied
    if is_older and not downgrade:
        message = (
            f"{target} is older than {_listed(current)}, where the database is;"
            " --downgrade goes back to it, and drops what the revisions since have added"
        )
        raise ConfigurationError(message)
    if downgrade and not is_older:
        message = f"--downgrade goes back, but {target} is not applied yet"
        raise ConfigurationError(message)
    return True


@contextmanager
def _command_errors() -> Iterator[None]:
    """Turn an error of Alembic's, such as a revision that is not there, into one of ours."""
    try:
        yield
    except CommandError as error:
        raise ConfigurationError(str(error)) from error
