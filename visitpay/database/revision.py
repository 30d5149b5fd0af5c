"""The revision of the schema: the one of the database, and those of the migrations."""

import re
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from visitpay.errors import DatabaseError

MIGRATE = "run: alembic upgrade head"


def require_head(connection: Connection) -> None:
    """Raise DatabaseError, which says what to run, unless the schema is at Alembic's head."""
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
    """Return all revisions of the schema, and the heads: those that no other follows.

    They are read without Alembic, whose import takes 0.15 s.
    """
    scripts = [path.read_text("utf-8") for path in (_migrations() / "versions").glob("*.py")]
    known, followed = (
        {
            revision
            for script in scripts
            for value in re.findall(rf"^{name} = (.+)$", script, re.MULTILINE)
            for revision in re.findall(r"['\"](.+?)['\"]", value)  # of a merge, several
        }
        for name in ("revision", "down_revision")
    )
    return known, known - followed


def _migrations() -> Path:
    """Return the folder of migrations: inside an installed package, beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "alembic"
    return inside if inside.is_dir() else package.parent / "alembic"
