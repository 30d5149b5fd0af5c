"""sqlite-utils: upsert_all of dicts. Values stay text, which SQLite turns into numbers."""

import csv

from sqlite_utils import Database

from benchmarks.rivals import arguments, files

name, landing, tables = arguments()
database = Database(name)
database.execute("PRAGMA foreign_keys = ON")
for path, table, columns in files(landing, tables):
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file, columns, delimiter="\t")
        next(rows)
        database.table(table).upsert_all(rows, pk=columns[0])
