"""A landing directory and the database that it is loaded into."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, MetaData, Table, make_url, select
from sqlalchemy.schema import CreateIndex, CreateTable

from visitpay.database import make_engine, make_migration_engine, reading
from visitpay.landing import scan
from visitpay.loading import Options, RunReport, load
from visitpay.models import ENTITIES, SOURCE_COLUMNS, LoadFile, RejectedRow

HEADERS = {
    "Procedure": "ProcedureId\tProcedureDescription",
    "Visit": "VisitIdentifier\tGuarantorIdentifier\tAdmitDate\tDischargeDate\tVisitBalance"
    "\tInsuranceIdentifier",
    "Transaction": "TransactionIdentifier\tVisitIdentifier\tProcedureId\tAmount",
}


only_sqlite = pytest.mark.parametrize("feed", ["sqlite"], indirect=True)
"""For what only SQLite has, and for what has nothing to do with a database."""


only_postgresql = pytest.mark.parametrize("feed", ["postgresql"], indirect=True)


@dataclass
class Feed:
    """A landing directory and the database that it is loaded into."""

    landing: Path
    url: str

    @property
    def database(self) -> Path:
        """The file of an SQLite database."""
        assert self.url.startswith("sqlite:")
        return Path(str(make_url(self.url).database))

    def deliver(
        self, entity: str, moment: str, *rows: str, header: str | None = None, end: str = "\n"
    ) -> Path:
        """Write a file of the feed: its header, then the rows."""
        lines = (HEADERS[entity] if header is None else header, *rows)
        return self.deliver_bytes(entity, moment, (end.join(lines) + end).encode())

    def deliver_bytes(self, entity: str, moment: str, content: bytes) -> Path:
        """Write a file of the feed as it is."""
        path = self.landing / f"HospitalABC_VisitPay_{entity}_{moment}.txt"
        path.write_bytes(content)
        return path

    def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """Give the rows of the entity tables, without the columns that say where they come from."""
        with reading(self.url) as connection:
            return {
                entity.__name__: [
                    tuple(row)
                    for row in connection.execute(
                        select(
                            *(
                                column
                                for column in entity.__table__.columns
                                if column.name not in SOURCE_COLUMNS
                            )
                        ).order_by(*entity.__table__.primary_key)
                    )
                ]
                for entity in ENTITIES
            }

    def rejects(self, status: str | None = None) -> list[tuple[Any, ...]]:
        """Give the quarantine: file, line, key, reason, column, raw, status."""
        query = select(
            LoadFile.name,
            RejectedRow.line_number,
            RejectedRow.record_key,
            RejectedRow.reason,
            RejectedRow.column_name,
            RejectedRow.raw,
            RejectedRow.status,
        ).join(LoadFile)
        if status is not None:
            query = query.where(RejectedRow.status == status)
        with reading(self.url) as connection:
            ordered = query.order_by(LoadFile.name, RejectedRow.line_number)
            return [tuple(row) for row in connection.execute(ordered)]

    def dump(self) -> list[str | list[str]]:
        """Give everything that the database holds: its tables and indexes, and their rows."""
        tables = MetaData()
        with make_migration_engine(self.url).begin() as connection:
            tables.reflect(connection)
            return [
                *(_created(connection, table) for table in tables.sorted_tables),
                *sorted(
                    str(CreateIndex(index).compile(connection))
                    for table in tables.sorted_tables
                    for index in table.indexes
                ),
                *sorted(
                    f"INSERT INTO {table.name}: {tuple(row)}"
                    for table in tables.sorted_tables
                    for row in connection.execute(select(*table.columns))
                ),
            ]

    def execute(self, *statements: str) -> None:
        """Do something to the database behind visitpay's back."""
        with make_migration_engine(self.url).begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def load(self, options: Options | None = None) -> RunReport:
        """Load what was delivered."""
        return load(make_engine(self.url), self.landing, "HospitalABC", options or Options())

    def names(self) -> list[str]:
        """Give the names of the files that a load would look at, in its order."""
        return [file.name for file in scan(self.landing, "HospitalABC").files]


def _created(connection: Connection, table: Table) -> list[str]:
    """Give the lines of a table's definition; Alembic keeps no order of constraints."""
    lines = str(CreateTable(table).compile(connection)).splitlines()
    return sorted(line.strip(" \t,") for line in lines)
