"""How messages name a database: whole, without its password, from whatever directory."""

import shlex
from pathlib import Path

from sqlalchemy import URL

from visitpay.text import printable


def shown(url: URL) -> str:
    """Return the URL as people may see it: a file by its absolute path, no password, no options.

    An option may be a password, or a part of one that was not written as it must be.
    """
    if url.get_backend_name() == "sqlite":
        url = url.set(database=str(Path(str(url.database)).absolute()))
    return url.set(query={}).render_as_string()


def migrate_command(url: URL, *arguments: str, owner: str = "") -> str:
    """Return the command that migrates a database, to be run as it stands.

    A URL with a password or options is not in it: the command takes it from the environment. The
    `owner` is the role that alone may migrate it, if that is another than the URL's.
    """
    command = shlex.join(["visitpay", "migrate", *arguments])
    if url.password or url.query:
        who = f", as its owner {printable(owner)}" if owner else ""
        return f"{command} (with VISITPAY_DATABASE_URL set to this database{who})"
    if owner:
        url = url.set(username=owner)
    return f"{command} --database-url {shlex.quote(shown(url))}"
