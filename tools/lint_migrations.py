"""Looks with squawk for what hurts a PostgreSQL in use, in the SQL of the unreleased revisions.

Breaking changes are let through only in revisions that say that they are not additive.
"""

import io
import logging
import os
import subprocess
import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory

ROOT = Path(__file__).parents[1]

RELEASED = "0004"
"""The head of the last release: a release sets it to its own, and runs `make freeze`."""

OLDEST_POSTGRESQL = "15"

SQUAWK = Path(sys.executable).with_name("squawk")
"""Where pip puts the program of squawk-cli."""

NOWHERE = "postgresql+psycopg://nobody@nowhere/none"
"""The database of the SQL; it is not opened."""

NOT_WANTED = {
    "require-lock-timeout": "the migration sets it, by set_config, which squawk does not see",
    "require-statement-timeout": "a large table takes its time; it is the waiting that is limited",
    "require-concurrent-index-creation": "only loads write, and they wait for a migration anyway",
    "prefer-text-field": "codes are short words of our own, of a fixed length since the beginning",
    "prefer-identity": "SQLAlchemy makes the keys of the books SERIAL",
}
"""Rules of squawk, and why they do not apply here."""

BREAKING = (
    "adding-not-nullable-field",
    "adding-required-field",
    "ban-drop-column",
    "ban-drop-not-null",
    "ban-drop-table",
    "changing-column-type",
    "renaming-column",
    "renaming-table",
)
"""Rules against what older code cannot live with; such a revision is not additive."""


def script_of(revision: Script, config: Config) -> str:
    """Return the SQL of one revision for the database that the environment names."""
    config.output_buffer = io.StringIO()
    command.upgrade(config, f"{revision.down_revision or 'base'}:{revision.revision}", sql=True)
    return config.output_buffer.getvalue()


def lint(revision: Script, sql: str) -> bool:
    """Whether squawk finds nothing in the SQL of a revision; it prints what it finds."""
    excluded = (*NOT_WANTED, *(() if revision.module.additive else BREAKING))
    command = [
        *(str(SQUAWK), "--pg-version", OLDEST_POSTGRESQL, "--exclude", ",".join(excluded)),
        *("--stdin-filepath", Path(revision.path).with_suffix(".sql").name),
    ]
    done = subprocess.run(command, input=sql, text=True, check=False)
    return done.returncode == 0


def main() -> None:
    """Look at all revisions since the last release; exit with 1 if there is something to mend."""
    logging.disable(logging.INFO)
    os.environ["VISITPAY_DATABASE_URL"] = NOWHERE
    config = Config(ROOT / "alembic.ini")
    scripts = ScriptDirectory.from_config(config)
    unreleased = [*scripts.iterate_revisions("heads", RELEASED)][::-1]
    found = [
        lint(each, script_of(each, config)) for each in unreleased if each.is_merge_point is False
    ]
    sys.exit(0 if all(found) else 1)


if __name__ == "__main__":
    main()
