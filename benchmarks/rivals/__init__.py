"""What people would use instead, each written as its users would write it.

Each script takes a database and a landing directory, and upserts the files into tables that have
the same keys, foreign keys and index as visitpay's, but for the columns that say where a row came
from.
"""

from collections.abc import Iterator
from pathlib import Path

TABLES = {
    "Procedure": ("procedures", ["procedure_id", "procedure_description"]),
    "Visit": (
        "visits",
        [
            "visit_identifier",
            "guarantor_identifier",
            "admit_date",
            "discharge_date",
            "visit_balance",
            "insurance_identifier",
        ],
    ),
    "Transaction": (
        "transactions",
        ["transaction_identifier", "visit_identifier", "procedure_id", "amount"],
    ),
}
"""For each type of file, parents first, the table and its columns; the first is the key."""


def files(landing: str) -> Iterator[tuple[Path, str, list[str]]]:
    """Give each file of a landing directory in order, with its table and the table's columns."""
    for entity, (table, columns) in TABLES.items():
        for path in sorted(Path(landing).glob(f"*_{entity}_*.txt")):
            yield path, table, columns


def upsert(table: str, columns: list[str], source: str) -> str:
    """Write the upsert of a table from a source: `SELECT ... WHERE true`, or `VALUES (...)`."""
    key, *others = columns
    changes = ", ".join(f"{name} = excluded.{name}" for name in others)
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) {source} "
        f"ON CONFLICT ({key}) DO UPDATE SET {changes}"
    )
