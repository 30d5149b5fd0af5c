"""What a generated revision would break: a table with rows, data, or code that still runs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from alembic.operations import ops
from sqlalchemy import BigInteger, Integer, Numeric, SmallInteger, String, Text
from sqlalchemy.types import TypeEngine

_NOT_NULL = """
1. Say in the model what the rows that are there shall have: mapped_column(info={"default": ...}).
   The revision then gets a server_default, and code that does not know the column goes on loading.
2. Or make it nullable (Mapped[... | None]), deploy, fill it, and make it NOT NULL in a later
   revision."""

_MADE_NOT_NULL = """
1. Deploy code that no longer writes NULL, and let no older code run.
2. In this revision, before the constraint, fill what is empty, in SQL that both databases know:
   op.execute("UPDATE {table} SET {name} = ... WHERE {name} IS NULL")
3. Apply it when nothing loads. Rollback of the code needs the downgrade first."""

_DROP_COLUMN = """
1. Deploy code that can do without it: nullable, with info={{"optional": True}}, and read nowhere.
2. When no older code will run again, back up (pg_dump, or a copy of the SQLite file).
3. Take it out of the model, and generate this revision in a deploy of its own. A downgrade brings
   the column back, never its values."""

_DROP_TABLE = """
1. Deploy code that neither reads nor writes it.
2. When no older code will run again, back up (pg_dump, or a copy of the SQLite file).
3. Take the model out, and generate this revision in a deploy of its own. A downgrade brings the
   table back, never its rows."""

_RENAME = """
If only the hospital's header has changed, keep the column and say in the model
info={{"header": "NewName", "aliases": ("OldName",)}}: no revision is needed. Else:
1. Add the new column beside the old one (nullable), deploy code that writes both, and copy:
   op.execute("UPDATE {table} SET {name} = {old}")
2. Deploy code that reads and writes the new one only.
3. Drop the old one in a later revision (its own steps are printed then).
In one step, with no load meanwhile and no rollback of the code alone:
   op.alter_column("{table}", "{old}", new_column_name="{name}")"""

_RETYPE = """
1. Count what does not fit: a value that does not, stops the migration on PostgreSQL, and stays as
   it is on SQLite.
2. Add a column of the new type beside the old one, deploy code that writes both, copy with a
   CAST, and compare.
3. Deploy code that uses the new one only, and drop the old one in a later revision."""


@dataclass(frozen=True)
class Danger:
    """Something that a revision must not do in one step."""

    subject: str
    """The table, or `table.column`, by which it is confirmed."""
    what: str
    steps: str

    def __str__(self) -> str:
        """Return what is wrong, and what to do instead, in order."""
        return f"{self.subject}: {self.what}. Instead:{self.steps}"


def find_dangers(operations: ops.UpgradeOps) -> list[Danger]:
    """Return what must not be done in one step to tables that hold data."""
    found = list(flattened(operations))
    added = [each for each in found if isinstance(each, ops.AddColumnOp)]
    dangers: list[Danger] = []
    for each in found:
        if isinstance(each, ops.DropTableOp):
            dangers.append(Danger(each.table_name, "the table and its rows go", _DROP_TABLE))
        elif isinstance(each, ops.DropColumnOp):
            dangers.append(_of_drop(each, added))
        elif isinstance(each, ops.AddColumnOp) and not _is_additive_column(each):
            what = "a NOT NULL column without a default fails on a table with rows"
            dangers.append(Danger(_subject(each), what, _NOT_NULL))
        elif isinstance(each, ops.AlterColumnOp):
            dangers += _of_change(each)
    return dangers


def _of_drop(drop: ops.DropColumnOp, added: Iterable[ops.AddColumnOp]) -> Danger:
    old = drop.column_name
    for each in added:
        same = family(each.column.type) is family(drop.to_column().type)
        if each.table_name == drop.table_name and same:
            what = f"it goes while {each.column.name} of the same type comes: a rename loses values"
            steps = _RENAME.format(table=drop.table_name, old=old, name=each.column.name)
            return Danger(_subject(drop), what, steps)
    return Danger(_subject(drop), "the column and its values go", _DROP_COLUMN.format())


def _of_change(change: ops.AlterColumnOp) -> Iterator[Danger]:
    old, new = change.existing_type, change.modify_type
    if new is not None and not is_wider(old, new):
        yield Danger(_subject(change), f"{old!r} becomes {new!r}, which holds less", _RETYPE)
    if change.modify_nullable is False and change.existing_nullable is not False:
        steps = _MADE_NOT_NULL.format(table=change.table_name, name=change.column_name)
        yield Danger(_subject(change), "NOT NULL fails where a row has no value", steps)


def is_additive(operations: ops.UpgradeOps) -> bool:
    """Whether code that does not know the revision can go on loading.

    So it is with new tables, indexes that are not unique, and columns that may be left out.
    """
    made = {each.table_name for each in operations.ops if isinstance(each, ops.CreateTableOp)}
    return all(
        isinstance(each, ops.CreateTableOp)
        or getattr(each, "table_name", None) in made
        or (isinstance(each, ops.CreateIndexOp) and not each.unique)
        or (isinstance(each, ops.AddColumnOp) and _is_additive_column(each))
        for each in flattened(operations)
    )


def _is_additive_column(operation: ops.AddColumnOp) -> bool:
    return bool(operation.column.nullable) or operation.column.server_default is not None


def flattened(operations: ops.OpContainer) -> Iterator[ops.MigrateOperation]:
    """Yield operations one by one, those of a table as well."""
    for operation in operations.ops:
        if isinstance(operation, ops.OpContainer):
            yield from flattened(operation)
        else:
            yield operation


def _subject(operation: ops.AlterTableOp) -> str:
    column = getattr(operation, "column", None)
    name = getattr(operation, "column_name", None) if column is None else column.name
    return f"{operation.table_name}.{name}"


def family(kind: TypeEngine[Any]) -> type[Any]:
    """Return the type of a column's values in Python; Decimal for all that has a fraction."""
    python = getattr(kind, "impl_instance", kind).python_type
    return Decimal if python is float else python


def is_wider(old: TypeEngine[Any] | None, new: TypeEngine[Any]) -> bool:
    """Whether all that a column of the old type may hold fits the new one."""
    if isinstance(old, String) and isinstance(new, String):
        return new.length is None or (old.length is not None and old.length <= new.length)
    sizes = (SmallInteger, Integer, BigInteger)
    if isinstance(old, Integer) and isinstance(new, Integer):
        return _size(old, sizes) <= _size(new, sizes)
    if isinstance(old, Numeric) and isinstance(new, Numeric):
        old_scale, new_scale = old.scale or 0, new.scale or 0
        whole = (new.precision or 0) - new_scale >= (old.precision or 0) - old_scale
        return new.precision is None or (old_scale <= new_scale and whole)
    return isinstance(new, Text) and isinstance(old, Integer)


def _size(kind: Integer, sizes: tuple[type[Integer], ...]) -> int:
    return max(index for index, each in enumerate(sizes) if isinstance(kind, each))
