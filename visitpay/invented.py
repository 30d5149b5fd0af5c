"""Made-up cells for columns of which no more is known than their type and name."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from sqlalchemy import Column, Table

from visitpay.models import ENTITIES, Entity

_EMPTY_IN = 4
"""Of so many cells of a nullable column one is empty."""

_FIRST_DATE, _DATES = date(2020, 1, 1), 690

_WORDS: Mapping[str, Sequence[str]] = {
    "name": ("Alvarez", "Becker", "Chen", "Dubois", "Eriksson", "Fofana", "Garcia", "Haddad"),
    "code": ("A10", "B25", "C07", "D41", "E13", "F30", "G62", "H88"),
    "method": ("cash", "card", "check", "transfer"),
    "status": ("new", "open", "closed", "final"),
    "type": ("first", "repeat", "urgent", "planned"),
    "unit": ("North", "South", "East", "West"),
}
"""Texts of columns whose names end so."""
_OTHER_WORDS = ("blue", "green", "amber", "violet", "silver", "copper", "ivory", "scarlet")


def invent_cell(column: Column[Any], random: Random, parents: Sequence[int] = ()) -> str:
    """Return a cell as the hospital would write it; sometimes empty where the column is nullable.

    A column that refers to another entity gets one of the keys of its `parents`. Raises KeyError
    for a type that no column of a file has.
    """
    if column.nullable and not random.randrange(_EMPTY_IN):
        return ""
    if parents:
        return str(random.choice(parents))
    return _INVENT[column.type.python_type](column, random)


def parent_of(column: Column[Any]) -> type[Entity] | None:
    """Return the entity that a column refers to, if any."""
    tables: set[Table] = {key.column.table for key in column.foreign_keys}
    return next((entity for entity in ENTITIES if entity.__table__ in tables), None)


def _integer(column: Column[Any], random: Random) -> str:
    is_identifier = column.name.endswith(("_id", "_identifier"))
    return str(random.randrange(100_001, 200_000) if is_identifier else random.randrange(1, 100))


def _text(column: Column[Any], random: Random) -> str:
    words = _WORDS.get(column.name.rpartition("_")[2], _OTHER_WORDS)
    return random.choice(words)[: getattr(column.type, "length", None)]


def _date(_column: Column[Any], random: Random) -> str:
    day = _FIRST_DATE + timedelta(random.randrange(_DATES))
    return f"{day.month}/{day.day}/{day.year}"


def _decimal(column: Column[Any], random: Random) -> str:
    """Return at most five digits, in cents where the column has them."""
    scale, precision = getattr(column.type, "scale", None), getattr(column.type, "precision", None)
    digits = min(5, precision or 5)
    return str(Decimal(random.randrange(10**digits)).scaleb(-(2 if scale is None else scale)))


def _boolean(_column: Column[Any], random: Random) -> str:
    return random.choice(("true", "false"))


_INVENT: Mapping[type, Callable[[Column[Any], Random], str]] = {
    int: _integer,
    str: _text,
    date: _date,
    Decimal: _decimal,
    bool: _boolean,
}
