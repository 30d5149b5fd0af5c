"""The revision of the schema: what the database has, and what the migrations say."""

import re
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from visitpay.errors import DatabaseError

MIGRATE = "run: alembic upgrade head"


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
    package = Path(__file__).parents[1]
    inside = package / "alembic"
    return inside if inside.is_dir() else package.parent / "alembic"
