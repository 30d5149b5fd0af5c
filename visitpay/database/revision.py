"""The revision of the schema: the one of the database, and those of the migrations."""

import ast
import re
from collections.abc import Collection
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, inspect, select, text

from visitpay.database.dialects import dialect_of
from visitpay.database.naming import migrate_command, schema_of
from visitpay.errors import DatabaseError
from visitpay.models import Base, SchemaRevision
from visitpay.text import printable

_IDENTIFIERS = re.compile(
    r"^(revision|down_revision)(?:: [^=\n]+)? = (\([^)]*\)|[^(\n]+)$", re.MULTILINE
)


def require_head(connection: Connection) -> None:
    """Raise DatabaseError, which says what to run, unless this code can work on the schema.

    It can if the schema is at Alembic's head, or newer by revisions that are all additive.
    """
    if current_revisions(connection) != revisions()[1] and not newer_revisions(connection):
        raise DatabaseError(_refusal(connection))


def newer_revisions(connection: Connection) -> list[str]:
    """Return the applied revisions that this code does not know and can work with, sorted.

    There are none if one of them is not additive, or if what was applied is not on record.
    """
    current, (known, heads) = current_revisions(connection), revisions()
    if current <= known:
        return []
    recorded = _recorded(connection)
    unknown = recorded.keys() - known
    if not (current | heads) <= recorded.keys():
        return []
    return sorted(unknown) if all(recorded[revision] for revision in unknown) else []


def current_revisions(connection: Connection) -> set[str]:
    """Return the heads that Alembic noted in the database; none where it never migrated."""
    if not inspect(connection).has_table("alembic_version"):
        return set()
    return set(connection.scalars(text("SELECT version_num FROM alembic_version")))


def not_ours(connection: Connection) -> str:
    """Return why a database is another program's; empty if it is visitpay's, or may become it.

    It has tables with names of ours and no revision, or a revision of Alembic and no such table.
    """
    current = current_revisions(connection)
    tables = set(Base.metadata.tables).intersection(inspect(connection).get_table_names())
    if tables and not current:
        return (
            f"the database has the tables {_listed(tables)}, but no revision of visitpay's"
            " schema: it belongs to another program, or was restored in part; name another database"
        )
    if current and not tables:
        return (
            f"the database has the revision {_listed(current)}, but no table of visitpay's: it"
            " belongs to another program that uses Alembic; name another database"
        )
    return ""


def _recorded(connection: Connection) -> dict[str, bool]:
    """Return whether each revision on record is additive."""
    if not inspect(connection).has_table(SchemaRevision.__tablename__):
        return {}
    query = select(SchemaRevision.revision, SchemaRevision.is_additive)
    return {row.revision: row.is_additive for row in connection.execute(query)}


def _refusal(connection: Connection) -> str:
    if foreign := not_ours(connection):
        return foreign
    current, (known, heads) = current_revisions(connection), revisions()
    migrate = partial(
        migrate_command, connection.engine.url, owner=dialect_of(connection).owner(connection)
    )
    if not current:
        schema = schema_of(connection.engine.url)
        empty = (
            f"the schema {printable(schema)} is empty" if schema else "the database has no schema"
        )
        return f"{empty} yet; run: {migrate()}"
    if current <= known:
        needed = f"older than {_listed(heads)}, which this visitpay needs"
        return f"the database's schema is {_listed(current)}, {needed}; run: {migrate()}"
    back = migrate(*sorted(heads), "--downgrade")
    return (
        f"the database's schema is {_listed(current)}, which this visitpay does not know (it is at"
        f" {_listed(heads)}), and not every newer revision is known to be additive; use the newer"
        f" visitpay, or go back with it: {back}"
    )


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))


def revisions() -> tuple[set[str], set[str]]:
    """Return all revisions of the schema, and the heads: those that no other follows.

    They are read without Alembic, whose import takes 0.15 s.
    """
    named: dict[str, set[str]] = {"revision": set(), "down_revision": set()}
    for path in (migrations_folder() / "versions").glob("*.py"):
        for name, value in _IDENTIFIERS.findall(path.read_text("utf-8")):
            given = ast.literal_eval(value.strip())
            named[name].update(given if isinstance(given, tuple) else {given} - {None})
    return named["revision"], named["revision"] - named["down_revision"]


def migrations_folder() -> Path:
    """Return the folder of migrations: inside an installed package, beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "alembic"
    return inside if inside.is_dir() else package.parent / "alembic"
