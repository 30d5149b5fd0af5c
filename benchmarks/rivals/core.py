"""SQLAlchemy as its documentation shows upserts: lists of typed dicts, some thousands at a time."""

import csv
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from typing import Any

from sqlalchemy import create_engine, event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from benchmarks.rivals import arguments, files
from benchmarks.rivals.tables import METADATA


def day(cell: str) -> date:
    """Read M/D/YYYY."""
    return datetime.strptime(cell, "%m/%d/%Y").date()  # noqa: DTZ007 - a day has no zone


READ: dict[type, Callable[[str], Any]] = {int: int, str: str, date: day, Decimal: Decimal}

database, landing, tables = arguments()
engine = create_engine(f"sqlite:///{database}")


@event.listens_for(engine, "connect")
def on_connect(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's
    """Let foreign keys hold."""
    connection.execute("PRAGMA foreign_keys = ON")


for path, name, columns in files(landing, tables):
    table = METADATA.tables[name]
    readers = [(column, READ[table.columns[column].type.python_type]) for column in columns]
    statement = insert(table)
    changes = {column: statement.excluded[column] for column in columns[1:]}
    upsert = statement.on_conflict_do_update(index_elements=columns[:1], set_=changes)
    with path.open(newline="", encoding="utf-8") as file, Session(engine) as session:
        rows = csv.reader(file, delimiter="\t")
        next(rows)
        while some := list(islice(rows, 10_000)):
            typed = [
                {
                    column: read(cell) if cell else None
                    for (column, read), cell in zip(readers, row, strict=True)
                }
                for row in some
            ]
            session.execute(upsert, typed)
        session.commit()
