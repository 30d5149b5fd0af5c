"""What Alembic is told for revisions that developers generate.

A revision gets the next number. One that would fail on a table with rows, lose data, or break the
code that still runs during a deploy is refused with the safe steps, unless it is confirmed.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, TypeDecorator
from sqlalchemy.sql.schema import ScalarElementColumnDefault

from visitpay.errors import ConfigurationError
from visitpay.migrations.dangers import Danger, find_dangers, flattened, is_additive
from visitpay.models import Base

_UNNAMED = re.compile("[0-9a-f]{12}")
"""A revision id that Alembic made, because none was given."""

_NOTHING = """no difference between models and database: there is nothing to migrate.
Change visitpay/models.py first. For a revision that only moves data, run:
    alembic revision --rev-id {number} -m "what it does"
(SQLite shows no difference of collations and time zones: for these, name a migrated PostgreSQL in
VISITPAY_DATABASE_URL and run: alembic revision --autogenerate -m "what it does")"""

_HEADS = """the revisions have several heads: {heads}. Join them first:
    alembic merge -m "join {heads}" --rev-id {number} heads"""

_TWICE = """several files have the revision number {number}: {files}.
Give the one that no database has yet the next number: in its file name and in its `revision`,
and name the other in its `down_revision`."""


def render_item(kind: str, thing: object, _context: object) -> str | Literal[False]:
    """Render our own types as the types that they store: revisions must not depend on visitpay."""
    if kind == "type" and isinstance(thing, TypeDecorator):
        variants = sorted(thing._variant_mapping.items())  # noqa: SLF001 - Alembic's own look at it
        others = (f".with_variant(sa.{each!r}, {dialect!r})" for dialect, each in variants)
        return f"sa.{thing.impl_instance!r}" + "".join(others)
    return False


def prepare(
    context: MigrationContext, _revision: object, directives: list[ops.MigrationScript]
) -> None:
    """Give a generated revision its number, and say in it whether it is additive.

    Raises ConfigurationError, which says what to do, if it is empty, dangerous and not confirmed,
    or if there is no single head to put it on. `alembic check` comes here, too, without a message.
    """
    (script,) = directives
    if script.message is None or context.environment_context is None:
        return
    number = next_number(context.environment_context.script)
    if _UNNAMED.fullmatch(str(script.rev_id)):
        script.rev_id = number
    script.message = plain(script.message)
    (upgrade,), (downgrade,) = script.upgrade_ops_list, script.downgrade_ops_list
    if upgrade.is_empty():
        raise ConfigurationError(_NOTHING.format(number=number))
    for operations in (upgrade, downgrade):
        operations.ops = list(without_rebuilds(operations.ops))
    add_defaults(upgrade)
    require_confirmed(find_dangers(upgrade))
    context.opts["template_args"]["additive"] = is_additive(upgrade)


def require_confirmed(dangers: Iterable[Danger]) -> None:
    """Raise ConfigurationError, with the safe steps, unless CONFIRM names what each is about."""
    confirmed = os.environ.get("CONFIRM", "").replace(",", " ").split()
    if refused := [danger for danger in dangers if danger.subject not in confirmed]:
        told = "\n\n".join(str(danger) for danger in refused)
        subjects = " ".join(sorted({danger.subject for danger in refused}))
        message = (
            f"this revision is not safe on a database that holds data.\n\n{told}\n\n"
            f'To write it all the same, confirm what it changes: CONFIRM="{subjects}"'
        )
        raise ConfigurationError(message)


def plain(message: str) -> str:
    """Return a message as one line that can stand in a docstring."""
    printable = "".join(letter if letter.isprintable() else " " for letter in message)
    return " ".join(printable.replace("\\", "/").replace('"', "'").rstrip(" .").split())


def next_number(script: ScriptDirectory) -> str:
    """Return the number of the next revision.

    Raises ConfigurationError if there are several heads, or several revisions of one number.
    """
    files = [path.name for path in Path(script.versions).glob("*.py")]
    numbers = Counter(name.partition("_")[0] for name in files)
    for number, count in numbers.items():
        if count > 1:
            same = ", ".join(sorted(name for name in files if name.startswith(f"{number}_")))
            raise ConfigurationError(_TWICE.format(number=number, files=same))
    number = f"{max((int(each) for each in numbers if each.isdigit()), default=0) + 1:04}"
    heads = script.get_heads()
    if len(heads) > 1:
        raise ConfigurationError(_HEADS.format(heads=" and ".join(sorted(heads)), number=number))
    return number


def without_rebuilds(operations: Iterable[ops.MigrateOperation]) -> Iterator[ops.MigrateOperation]:
    """Yield operations; what SQLite can do without making a table anew stands by itself."""
    simple = (ops.AddColumnOp, ops.DropColumnOp, ops.CreateIndexOp, ops.DropIndexOp)
    for operation in operations:
        if isinstance(operation, ops.ModifyTableOps) and all(
            isinstance(each, simple) for each in operation.ops
        ):
            yield from operation.ops
        else:
            yield operation


def add_defaults(operations: ops.UpgradeOps) -> None:
    """Give new NOT NULL columns the model's default, for the rows that are there."""
    for operation in flattened(operations):
        if isinstance(operation, ops.AddColumnOp):
            operation.column = with_default(operation.column)


def with_default(column: "Column[Any]") -> "Column[Any]":
    """Return a column, with a server default if it needs one and the model has one.

    That is the default in its `info`, or the one that is written where none is given.
    """
    default = column.info.get("default")
    if default is None and isinstance(column.default, ScalarElementColumnDefault):
        default = column.default.arg
    if column.nullable or column.server_default is not None or default is None:
        return column
    if isinstance(default, bool):
        default = int(default)
    text = default.isoformat(" ") if isinstance(default, datetime) else str(default)
    return Column(column.name, column.type, nullable=False, server_default=text)


OPTIONS: Mapping[str, Any] = {
    "target_metadata": Base.metadata,
    "render_as_batch": True,
    "render_item": render_item,
    "process_revision_directives": prepare,
}
"""Options of `alembic.context.configure` that matter to generated revisions."""
