"""The columns of an entity as its files have them, and what the model says of them.

Beside type and nullability, a column of the model may say in `mapped_column(info={...})`:

    "header": "DischargeWard"           its name in files, where that is not its own in CamelCase
    "aliases": ("Ward", "WARD_CODE")    other names under which it came before
    "optional": True                    any file may lack it
    "since": date(2026, 12, 1)          files may lack it whose name is of an earlier day (UTC)
    "default": "unknown"                the value of rows whose file lacks it, instead of NULL

A column without `optional` and `since` may be lacking, too, where it did not exist when the file
was made: in files that were loaded before, and in exports of rejects. The key may never be lacking.
Only a column that is not in the header is absent: an empty cell is NULL, whatever the default.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Column

from visitpay.errors import ConfigurationError
from visitpay.feed import normalize_name
from visitpay.models import SOURCE_COLUMNS, Entity

if TYPE_CHECKING:
    from visitpay.parsing.values import ColumnKind

_INFO: Mapping[str, tuple[type, ...]] = {
    "header": (str,),
    "aliases": (tuple, list),
    "optional": (bool,),
    "since": (date,),
    "default": (int, date, Decimal, str),
}
"""What a column may say of its files, and the types of it."""


class ModelColumn(NamedTuple):
    """A column of an entity as the model describes it."""

    name: str
    header: str
    aliases: tuple[str, ...]
    """Other headers under which it may come."""
    names: tuple[str, ...]
    """The headers under which it may come, in small letters and Unicode form NFC, its own first."""
    kind: "ColumnKind"
    nullable: bool
    is_key: bool
    optional: bool
    """Whether any file may lack it."""
    since: date | None
    """The first day of which files must have it, unless it is optional; None is every day."""
    absent_value: object
    """The value of rows that lack it, as `kind` has it (amounts in cents); None is NULL."""
    absent_cell: str
    """The same as a cell of a file."""

    def is_due(self, file_date: date | None) -> bool:
        """Whether a file of a day must have it; None is a file that was made for another model."""
        if self.is_key or self.optional or file_date is None:
            return self.is_key
        return self.since is None or file_date >= self.since

    def is_among(self, names: Collection[str]) -> bool:
        """Whether one of its names is among those of a header, in small letters."""
        return any(name in names for name in self.names)


class FileColumn(NamedTuple):
    """A column of an entity that a file has."""

    name: str
    header: str
    kind: "ColumnKind"
    nullable: bool
    position: int
    """The index of its cell in a line."""


def locate_columns(
    entity: type[Entity], names: Sequence[str]
) -> tuple[tuple[FileColumn, ...], tuple[ModelColumn, ...]]:
    """Return the columns of an entity that a file has, and those that it lacks, in model order.

    `names` are those of its header, in small letters. Of several that fit, the model's own and then
    the first counts.
    """
    located, absent = [], []
    for column in model_columns(entity):
        found = next((name for name in column.names if name in names), None)
        if found is None:
            absent.append(column)
        else:
            of_both = (column.name, column.header, column.kind, column.nullable)
            located.append(FileColumn(*of_both, position=names.index(found)))
    return tuple(located), tuple(absent)


def file_columns(entity: type[Entity]) -> list[Column[Any]]:
    """Return the columns of an entity that its files fill, in the model's order."""
    return [column for column in entity.__table__.columns if column.name not in SOURCE_COLUMNS]


def file_header(column: Column[Any]) -> str:
    """Return the header under which the hospital sends a column of the model."""
    header: str = column.info.get("header") or "".join(
        word.capitalize() for word in column.name.split("_")
    )
    return header


def comparable(header: str) -> str:
    """Return a header as headers are compared: in small letters and Unicode form NFC."""
    return normalize_name(header).lower()


def key_column(entity: type[Entity]) -> Column[Any]:
    """Return the column that tells an entity's rows apart."""
    (key,) = entity.__table__.primary_key.columns
    return key


def key_names(entity: type[Entity]) -> tuple[str, ...]:
    """Return the headers under which an entity's key may come, in small letters."""
    return next(column.names for column in model_columns(entity) if column.is_key)


def due_headers(entity: type[Entity], file_date: date | None) -> list[str]:
    """Return the headers that a file of a day must have, in the model's order."""
    return [column.header for column in model_columns(entity) if column.is_due(file_date)]


@cache
def model_columns(entity: type[Entity]) -> tuple[ModelColumn, ...]:
    """Return what the model says of an entity's columns, in its order.

    Raises ConfigurationError if it cannot be used.
    """
    columns = tuple(map(_model_column, file_columns(entity)))
    seen: dict[str, str] = {}
    for column in columns:
        for name in column.names:
            if name in seen:
                fault = f"has the name {name} in files, which {seen[name]} has already"
                raise _unusable(entity.__table__.columns[column.name], fault)
            seen[name] = column.name
    return columns


def _model_column(column: Column[Any]) -> ModelColumn:
    for fault in _faults(column):
        raise _unusable(column, fault)
    kind, info = _kind(column), column.info
    absent_value, absent_cell = _absent(column, kind)
    header, aliases = file_header(column), tuple(info.get("aliases", ()))
    return ModelColumn(
        name=column.name,
        header=header,
        aliases=aliases,
        names=tuple(map(comparable, (header, *aliases))),
        kind=kind,
        nullable=bool(column.nullable),
        is_key=column.primary_key,
        optional=info.get("optional", False),
        since=info.get("since"),
        absent_value=absent_value,
        absent_cell=absent_cell,
    )


def _faults(column: Column[Any]) -> Iterator[str]:
    """Yield what is wrong with what a column says of its files."""
    info = column.info
    for name, value in info.items():
        if name not in _INFO:
            yield f"has {name!r} in its info, which may hold {', '.join(_INFO)}"
        elif type(value) not in _INFO[name]:
            types = " or ".join(each.__name__ for each in _INFO[name])
            yield f"has {name!r} of a wrong type in its info: it must be {types}"
    names = (file_header(column), *info.get("aliases", ()))
    if not all(isinstance(name, str) and name.isprintable() and name.strip() for name in names):
        yield "has a header or an alias that is no name"
    may_be_absent = bool(info.get("optional")) or "since" in info
    if column.primary_key and (may_be_absent or "default" in info):
        yield "is the key: every file must have it, so it cannot be optional or have a default"
    if info.get("optional") and "since" in info:
        yield "is optional and due since a day: only one of the two can be"
    if may_be_absent and not column.nullable and "default" not in info:
        yield "is NOT NULL and may be absent: it needs a 'default' in its info"


def _kind(column: Column[Any]) -> "ColumnKind":
    # Imported here: who only asks for headers need not wait for polars.
    from visitpay.parsing.values import kind_of

    try:
        return kind_of(column)
    except TypeError as error:
        raise _unusable(column, str(error)) from None


def _absent(column: Column[Any], kind: "ColumnKind") -> tuple[object, str]:
    """Return the value of rows that lack a column, and how a file would have it."""
    if "default" not in column.info:
        return None, ""
    import polars as pl

    from visitpay.parsing.quoting import trim_cells
    from visitpay.parsing.values import convert

    default, wanted = column.info["default"], column.type.python_type
    if type(default) is not wanted:
        raise _unusable(column, f"has a default that is no {wanted.__name__}")
    text = f"{default:f}" if isinstance(default, Decimal) else str(default)
    doubled = text.replace('"', '""')
    cell = f'"{doubled}"' if '"' in text else text
    values, _ = convert(trim_cells(pl.Series([cell])), kind)
    value = values[0]
    if value is None or not text.isprintable() or (isinstance(default, str) and value != default):
        raise _unusable(column, "has a default that no cell of a file can hold")
    return value, cell


def _unusable(column: Column[Any], fault: str) -> ConfigurationError:
    return ConfigurationError(
        f"the model cannot be used: {column.table.name}.{column.name} {fault}"
    )
