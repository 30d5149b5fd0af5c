"""DuckDB reads, types and stages the rows in the attached database; SQLite upserts from there.

DuckDB itself has no ON CONFLICT for a table of SQLite's.
"""

import sqlite3

import duckdb
from duckdb_extensions import import_extension

from benchmarks.rivals import arguments, files, upsert

import_extension("sqlite_scanner")
database, landing, tables = arguments()
duck = duckdb.connect()
duck.execute(f"ATTACH '{database}' AS target (TYPE sqlite)")
types_of = {table.name: dict(table.columns) for table in tables}
for path, table, columns in files(landing, tables):
    duck.execute(
        f"CREATE TABLE target.staging AS SELECT * FROM read_csv('{path}', delim = '\t',"  # noqa: S608
        f" header = true, dateformat = '%m/%d/%Y', columns = {types_of[table]})"
    )
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA foreign_keys = ON")
    with connection:
        selected = f"SELECT {', '.join(columns)} FROM staging WHERE true"  # noqa: S608
        connection.execute(upsert(table, columns, selected))
        connection.execute("DROP TABLE staging")
    connection.close()
