"""Entities of the tests' own: no table of a database, and no type of a file's name."""

from datetime import date
from decimal import Decimal

from sqlalchemy import MetaData
from sqlalchemy.orm import Mapped, mapped_column

from visitpay.models import BusinessKey, Entity, Money


class Apart(Entity):
    """The base of entities that are no part of the schema."""

    __abstract__ = True
    metadata = MetaData()


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
