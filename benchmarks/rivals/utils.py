"""sqlite-utils: upsert_all of dicts. Values stay text, which SQLite turns into numbers."""

import csv
import sys

from sqlite_utils import Database

from benchmarks.rivals import files

name, landing = sys.argv[1:]
database = Database(name)
database.execute("PRAGMA foreign_keys = ON")
for path, table, columns in files(landing):
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file, columns, delimiter="\t")
        next(rows)
        database.table(table).upsert_all(rows, pk=columns[0])
