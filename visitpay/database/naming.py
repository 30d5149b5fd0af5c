"""How messages name a database: whole, without its password, from whatever directory."""

import shlex
from pathlib import Path

from sqlalchemy import URL

from visitpay.text import printable
from visitpay.vocabulary import SCHEMA


def shown(url: URL) -> str:
    """Return the URL as people may see it: a file by its absolute path, no password, its schema.

    Another option may be a password, or a part of one that was not written as it must be.
    """
    if url.get_backend_name() == "sqlite":
        url = url.set(database=str(Path(str(url.database)).absolute()))
    schema = schema_of(url)
    return url.set(query={SCHEMA: schema} if schema else {}).render_as_string()


def schema_of(url: URL) -> str:
    """Return the schema that a URL names; empty if it names none.

    Several are no schema's name: a line end is between them.
    """
    return "\n".join(url.normalized_query.get(SCHEMA, ()))


def title(url: URL) -> str:
    """Return what a database is called, with the schema if the URL names one."""
    schema = schema_of(url)
    return f"the schema {printable(schema)} of {url.database}" if schema else str(url.database)


def options_for(url: URL) -> tuple[list[str], bool]:
    """Return the options of a command that name a database, and whether they lack its URL.

    They lack one with a password, or with an option other than the schema.
    """
    schema = schema_of(url)
    named = ["--schema", schema] if schema else []
    if url.password or url.query.keys() - {SCHEMA}:
        return named, True
    return ["--database-url", shown(url.difference_update_query([SCHEMA])), *named], False


def migrate_command(url: URL, *arguments: str, owner: str = "") -> str:
    """Return the command that migrates a database, to be run as it stands.

    A URL that holds a secret is not in it: the command takes it from the environment. The `owner`
    is the role that alone may migrate it, if that is another than the URL's.
    """
    named, is_withheld = options_for(url.set(username=owner) if owner else url)
    command = shlex.join(["visitpay", "migrate", *arguments, *named])
    if is_withheld:
        who = f", as its owner {printable(owner)}" if owner else ""
        return f"{command} (with VISITPAY_DATABASE_URL set to this database{who})"
    return command
