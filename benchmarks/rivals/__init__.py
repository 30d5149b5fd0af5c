"""What people would use instead, each written as its users would write it.

Each script takes a database, a landing directory and the tables, and upserts the files into tables
that have the same keys, foreign keys and index as visitpay's, but for the columns that say where a
row came from.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple


class RivalTable(NamedTuple):
    """A table, and the files that it is filled from."""

    entity: str
    """The type in the files' names."""
    name: str
    columns: Mapping[str, str]
    """The type in SQL of each column, in the order of the files; the first is the key."""


def arguments() -> tuple[str, str, list[RivalTable]]:
    """Return what a script is given: a database, a landing directory and the tables.

    The tables come as text: the model would take its time to import.
    """
    database, landing, tables = sys.argv[1:]
    return database, landing, [RivalTable(*table) for table in json.loads(tables)]


def files(landing: str, tables: Iterable[RivalTable]) -> Iterator[tuple[Path, str, list[str]]]:
    """Give each file of a landing directory in order, with its table and the table's columns."""
    for table in tables:
        for path in sorted(Path(landing).glob(f"*_{table.entity}_*.txt")):
            yield path, table.name, list(table.columns)


def upsert(table: str, columns: list[str], source: str) -> str:
    """Write the upsert of a table from a source: `SELECT ... WHERE true`, or `VALUES (...)`."""
    key, *others = columns
    changes = ", ".join(f"{name} = excluded.{name}" for name in others)
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) {source} "
        f"ON CONFLICT ({key}) DO UPDATE SET {changes}"
    )
