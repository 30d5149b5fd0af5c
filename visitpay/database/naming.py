"""How messages name a database: whole, without its password, from whatever directory."""

import shlex
from pathlib import Path

from sqlalchemy import URL

_SECRETS = ("password", "sslpassword", "passfile")
"""Options of a URL that are not shown."""


def shown(url: URL) -> str:
    """Return the URL as people may see it: a file by its absolute path, no password."""
    if url.get_backend_name() == "sqlite":
        url = url.set(database=str(Path(str(url.database)).absolute()))
    return url.difference_update_query(_SECRETS).render_as_string()


def migrate_command(url: URL, *arguments: str) -> str:
    """Return the command that migrates a database, to be run as it stands.

    A URL with a password is not in it: the command then takes it from the environment.
    """
    command = shlex.join(["visitpay", "migrate", *arguments])
    if url.password or set(_SECRETS) & url.query.keys():
        return f"{command} (with VISITPAY_DATABASE_URL set to this database)"
    return f"{command} --database-url {shlex.quote(shown(url))}"
