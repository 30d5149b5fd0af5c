"""The table `schema_revisions`: which revisions were applied, and whether each is additive."""

from collections.abc import Iterable
from typing import cast

from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Boolean, DateTime, String, column, delete, func, insert, table

SINCE = "0005"
"""The revision that makes the table."""

# As that revision made it: the models may have moved on.
_TABLE = table(
    "schema_revisions",
    column("revision", String),
    column("is_additive", Boolean),
    column("applied_at", DateTime(timezone=True)),
)


def is_additive(script: Script) -> bool:
    """Whether code that does not know a revision can load as before; its file says so."""
    return bool(getattr(script.module, "additive", False))


def ancestors(scripts: ScriptDirectory, heads: Iterable[str]) -> dict[str, Script]:
    """Return the revisions that are applied where these are the heads, newest first."""
    newest = tuple(sorted(heads))
    if not newest:
        return {}
    return {script.revision: script for script in scripts.iterate_revisions(newest, "base")}


def record(ctx: MigrationContext, step: MigrationInfo, heads: Iterable[str]) -> None:
    """Write down what a step applied, or took back, in its transaction."""
    applied = ancestors(cast("ScriptDirectory", ctx.script), heads)
    if SINCE not in applied:  # the table is not there, or gone
        return
    if step.is_stamp:
        ctx.execute(delete(_TABLE))
        changed = list(applied)
    else:
        changed = [str(revision) for revision in step.up_revision_ids]
        ctx.execute(delete(_TABLE).where(_TABLE.c.revision.in_(changed)))
    for revision in changed:
        if revision in applied:
            row = {"revision": revision, "is_additive": is_additive(applied[revision])}
            ctx.execute(insert(_TABLE).values(**row, applied_at=func.current_timestamp()))
