"""Entities of the tests' own, for the parser alone: no table of a database, no type of a name.

A column that the models get costs no test that is written on these.
"""

from datetime import date
from decimal import Decimal

from sqlalchemy import MetaData
from sqlalchemy.orm import Mapped, mapped_column, registry

from visitpay.models import Base, BusinessKey, Entity, Money


class Apart(Entity):
    """The base of entities that are no part of the schema; their names may be those of others."""

    __abstract__ = True
    metadata = MetaData()
    _sa_registry = registry(metadata=metadata, type_annotation_map=Base.type_annotation_map)


class Procedure(Apart):
    """As the feed had it in 2021: what is known of lines and quotes can be written out."""

    __tablename__ = "procedures"

    procedure_id: Mapped[BusinessKey]
    procedure_description: Mapped[str]


class Visit(Apart):
    """As the feed had it in 2021."""

    __tablename__ = "visits"

    visit_identifier: Mapped[BusinessKey]
    guarantor_identifier: Mapped[int]
    admit_date: Mapped[date]
    discharge_date: Mapped[date | None]
    visit_balance: Mapped[Money | None]
    insurance_identifier: Mapped[int | None]


class Transaction(Apart):
    """As the feed had it in 2021."""

    __tablename__ = "transactions"

    transaction_identifier: Mapped[BusinessKey]
    visit_identifier: Mapped[int]
    procedure_id: Mapped[int]
    amount: Mapped[Money]


ENTITIES: tuple[type[Entity], ...] = (Procedure, Visit, Transaction)


SINCE = date(2026, 12, 1)
"""The first day of which files must have the columns that came late."""


class Stay(Apart):
    """An entity that got most of its columns over time, under several names, of every type."""

    __tablename__ = "stays"

    stay_id: Mapped[BusinessKey] = mapped_column(info={"aliases": ("Stay", "STAY NUMBER")})
    began_on: Mapped[date]
    ward: Mapped[str] = mapped_column(
        info={"since": SINCE, "default": 'the "old" ward', "aliases": ("Ward Name", "Station")}
    )
    left_on: Mapped[date] = mapped_column(info={"since": SINCE, "default": date(2026, 2, 28)})
    price: Mapped[Money] = mapped_column(info={"optional": True, "default": Decimal("-1005.5")})
    floor: Mapped[int] = mapped_column(
        info={"header": "FloorNumber", "since": SINCE, "default": -1, "aliases": ["Etage"]}
    )
    rebate: Mapped[Money | None] = mapped_column(info={"since": SINCE})
    remark: Mapped[str | None] = mapped_column(info={"optional": True, "aliases": ("Rem\u00e4rk",)})
