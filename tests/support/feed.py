"""A landing directory and the database that it is loaded into."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Connection, MetaData, Table, insert, make_url, select
from sqlalchemy.schema import CreateIndex, CreateTable

from visitpay.database.engine import make_engine, make_migration_engine, read_connection
from visitpay.landing.scan import scan
from visitpay.loading.run import load
from visitpay.loading.types import Options, RunReport
from visitpay.models import ENTITIES, Entity, LoadFile, Procedure, RejectedRow, Transaction, Visit
from visitpay.parsing.columns import file_columns, file_header

only_sqlite = pytest.mark.parametrize("feed", ["sqlite"], indirect=True)
"""For what only SQLite has, and for what has nothing to do with a database."""
only_postgresql = pytest.mark.parametrize("feed", ["postgresql"], indirect=True)

_SENT_AT = {Procedure: "20211201_223357", Visit: "20211201_223005", Transaction: "20211201_223133"}
_OTHERS_SENT_AT = "20211201_223200"

_DEFAULTS: dict[str, object] = {
    "procedure_id": 1,
    "procedure_description": "bandaid",
    "visit_identifier": 10,
    "guarantor_identifier": 7,
    "admit_date": date(2021, 1, 2),
    "transaction_identifier": 100,
    "amount": Decimal(9),
}
"""A transaction refers to the visit and the procedure; what is nullable is empty."""
_DEFAULTS_BY_TYPE: dict[type[Any], object] = {
    int: 1,
    date: date(2021, 1, 2),
    Decimal: Decimal(1),
    str: "x",
    bool: True,
}
"""For columns that are not among them, by the type of their values in Python."""

_SOURCE = {"source_file_id": 1, "source_line": 2}


def header_line(entity: type[Entity], delimiter: str = "\t") -> str:
    """Return the header of an entity's files."""
    return delimiter.join(file_header(column) for column in file_columns(entity))


def columns(entity: type[Entity]) -> list[str]:
    """Return the names of the columns that an entity's files fill, in the order of the header."""
    return [column.name for column in file_columns(entity)]


def row(**cells: object) -> dict[str, object]:
    """Return a row by the names of its columns; those that are not named have their defaults."""
    return cells


def cells_of(entity: type[Entity], **cells: object) -> list[str]:
    """Return the cells of a row, in the order of the header.

    A cell may be text as it stands in the file, or a value: None is an empty cell.
    """
    return [_cell(value) for value in with_defaults(entity, **cells).values()]


def line(entity: type[Entity], delimiter: str = "\t", /, **cells: object) -> str:
    """Return a row as a line of a file; its cells are given as to `cells_of`."""
    return delimiter.join(cells_of(entity, **cells))


def with_defaults(entity: type[Entity], **values: object) -> dict[str, object]:
    """Return values for all columns of an entity, in the order of the header.

    Raises TypeError for a column that it lacks.
    """
    defaults = {column.name: _default(column) for column in file_columns(entity)}
    if unknown := set(values) - set(defaults):
        message = f"{entity.__name__} has no column {', '.join(sorted(unknown))}"
        raise TypeError(message)
    return defaults | values


def parents(entity: type[Entity], key: int) -> dict[str, object]:
    """Return the cells by which a row of an entity refers to others, all with one key."""
    return {column.name: key for column in file_columns(entity) if column.foreign_keys}


def _default(column: Column[Any]) -> object:
    if column.nullable:
        return None
    return _DEFAULTS.get(column.name, _DEFAULTS_BY_TYPE[column.type.python_type])


def _cell(value: object) -> str:
    if isinstance(value, date):
        return f"{value.month}/{value.day}/{value.year}"
    return "" if value is None else str(value)


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

    def path(self, entity: type[Entity], at: str = "") -> Path:
        """Return where a file lies; `at` is the time in its name, by default of the first day."""
        moment = at or _SENT_AT.get(entity, _OTHERS_SENT_AT)
        return self.landing / f"HospitalABC_VisitPay_{entity.__name__}_{moment}.txt"

    def deliver(
        self,
        entity: type[Entity],
        *rows: Mapping[str, object] | str,
        at: str = "",
        **cells: object,
    ) -> Path:
        """Write a file of the feed, and return its path.

        One row is given by its columns, `deliver(Visit, visit_identifier=1)`, several are rows,
        `deliver(Visit, row(visit_identifier=1), row(visit_identifier=2))`. A row that is text is a
        line as it stands, such as one of too few cells.
        """
        assert not (rows and cells)
        lines = (
            each if isinstance(each, str) else line(entity, **each) for each in rows or (cells,)
        )
        return self.deliver_lines(entity, *lines, at=at)

    def deliver_lines(
        self,
        entity: type[Entity],
        *lines: str,
        at: str = "",
        header: str | None = None,
        end: str = "\n",
    ) -> Path:
        """Write a file of a header and lines as they stand, or of the header alone."""
        whole = (header_line(entity) if header is None else header, *lines)
        return self.deliver_bytes(entity, (end.join(whole) + end).encode(), at=at)

    def deliver_bytes(self, entity: type[Entity], content: bytes, *, at: str = "") -> Path:
        """Write a file as it is."""
        path = self.path(entity, at)
        path.write_bytes(content)
        return path

    def insert(self, entity: type[Entity], **values: object) -> None:
        """Put a row into an entity's table behind visitpay's back, as if from line 2 of file 1."""
        source = {name: values.pop(name, value) for name, value in _SOURCE.items()}
        with make_engine(self.url).begin() as connection:
            connection.execute(insert(entity).values(**with_defaults(entity, **values), **source))

    def rows(self, entity: type[Entity], *names: str) -> list[tuple[Any, ...]]:
        """Return some columns of an entity's table, by its key."""
        table = entity.__table__
        query = select(*(table.c[name] for name in names)).order_by(*table.primary_key)
        with read_connection(self.url) as connection:
            return [tuple(each) for each in connection.execute(query)]

    def column(self, entity: type[Entity], name: str) -> list[Any]:
        """Return one column of an entity's table, by its key."""
        return [value for (value,) in self.rows(entity, name)]

    def keys(self, entity: type[Entity]) -> list[int]:
        """Return the keys of an entity's table."""
        (key,) = entity.__table__.primary_key
        return self.column(entity, key.name)

    def descriptions(self) -> dict[int, str]:
        """Return the description of each procedure."""
        return dict(self.rows(Procedure, "procedure_id", "procedure_description"))

    def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return the rows of all entities, without the columns that say where they come from."""
        return {entity.__name__: self.rows(entity, *columns(entity)) for entity in ENTITIES}

    def rejects(self, status: str | None = None) -> list[tuple[Any, ...]]:
        """Return the quarantine: file, line, key, reason, column, raw, status."""
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
        with read_connection(self.url) as connection:
            ordered = query.order_by(LoadFile.name, RejectedRow.line_number)
            return [tuple(row) for row in connection.execute(ordered)]

    def dump(self) -> list[str | list[str]]:
        """Return everything that the database holds: its tables and indexes, and their rows."""
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
                    for row in connection.execute(select(*_told(table)))
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
        """Return the names of the files that a load would look at, in its order."""
        return [file.name for file in scan(self.landing, "HospitalABC").files]


def _told(table: Table) -> list[Column[Any]]:
    """Return the columns of a table but the one that differs each time it is migrated."""
    return [column for column in table.columns if column.name != "applied_at"]


def _created(connection: Connection, table: Table) -> list[str]:
    """Return the lines of a table's definition; Alembic keeps no order of constraints."""
    lines = str(CreateTable(table).compile(connection)).splitlines()
    return sorted(line.strip(" \t,") for line in lines)
