"""The columns of an entity as its files have them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Column

from visitpay.models import SOURCE_COLUMNS, Entity
from visitpay.parsing.values import ColumnKind, kind_of


class FileColumn(NamedTuple):
    """A column of an entity, and where a file has it."""

    name: str
    header: str
    kind: ColumnKind
    nullable: bool
    position: int
    """The index of its cell in a line."""


def locate_columns(entity: type[Entity], names: Sequence[str]) -> tuple[FileColumn, ...]:
    """Return the columns of an entity, in the model's order, and where `names` has each.

    `names` are those of a header, in small letters; raises ValueError where one is missing.
    """
    return tuple(
        FileColumn(
            name=column.name,
            header=(header := file_header(column)),
            kind=kind_of(column),
            nullable=bool(column.nullable),
            position=names.index(header.lower()),
        )
        for column in file_columns(entity)
    )


def file_columns(entity: type[Entity]) -> list[Column[Any]]:
    """Return the columns of an entity that its files fill, in the model's order."""
    return [column for column in entity.__table__.columns if column.name not in SOURCE_COLUMNS]


def file_header(column: Column[Any]) -> str:
    """Return the header under which the hospital sends a column of the model."""
    header: str = column.info.get("header") or "".join(
        word.capitalize() for word in column.name.split("_")
    )
    return header


def file_headers(entity: type[Entity]) -> list[str]:
    """Return the headers that a file of an entity must have, in the model's order."""
    return [file_header(column) for column in file_columns(entity)]


def key_column(entity: type[Entity]) -> Column[Any]:
    """Return the column that tells an entity's rows apart."""
    (key,) = entity.__table__.primary_key.columns
    return key
