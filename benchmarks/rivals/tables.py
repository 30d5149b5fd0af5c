"""The rivals' tables, for SQLAlchemy; a module of its own, since most of them do without it."""

from sqlalchemy import Column, ForeignKey, MetaData, Table

from visitpay.models import ENTITIES, SOURCE_COLUMNS

METADATA = MetaData()
"""The rivals' tables: visitpay's, but for the columns that say where a row came from."""

for _entity in ENTITIES:
    Table(
        _entity.__tablename__,
        METADATA,
        *(
            Column(
                column.name,
                column.type,
                *(ForeignKey(key.target_fullname) for key in column.foreign_keys),
                primary_key=column.primary_key,
                autoincrement=False,
                nullable=column.nullable,
                index=column.index,
            )
            for column in _entity.__table__.columns
            if column.name not in SOURCE_COLUMNS
        ),
    )
