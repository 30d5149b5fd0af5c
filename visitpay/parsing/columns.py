"""The columns of an entity as its files have them."""

from typing import Any

from sqlalchemy import Column

from visitpay.models import SOURCE_COLUMNS, Entity


def file_columns(entity: type[Entity]) -> list[Column[Any]]:
    """Give the columns of an entity that its files fill, in the model's order."""
    return [column for column in entity.__table__.columns if column.name not in SOURCE_COLUMNS]


def file_header(column: Column[Any]) -> str:
    """Give the header under which the hospital sends a column of the model."""
    named: str = column.info.get("header") or "".join(
        word.capitalize() for word in column.name.split("_")
    )
    return named


def key_column(entity: type[Entity]) -> Column[Any]:
    """Give the column that tells an entity's rows apart."""
    (key,) = entity.__table__.primary_key.columns
    return key
