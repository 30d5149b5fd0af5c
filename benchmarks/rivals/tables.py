"""The rivals' tables, from the model; a module of its own, since most of them do without it."""

from sqlalchemy import Column, ForeignKey, MetaData, Table

from benchmarks.rivals import RivalTable
from visitpay.models import ENTITIES
from visitpay.parsing.columns import file_columns

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
            for column in file_columns(_entity)
        ),
    )

TABLES = [
    RivalTable(
        entity.__name__,
        entity.__tablename__,
        {column.name: str(column.type) for column in file_columns(entity)},
    )
    for entity in ENTITIES
]
"""The same for those who do without SQLAlchemy, parents first."""
