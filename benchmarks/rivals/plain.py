"""csv.reader and executemany: what a careful person writes in ten minutes."""

import csv
import sqlite3

from benchmarks.rivals import arguments, files, upsert

database, landing, tables = arguments()
connection = sqlite3.connect(database)
connection.execute("PRAGMA foreign_keys = ON")
for path, table, columns in files(landing, tables):
    with connection, path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file, delimiter="\t")
        next(rows)
        values = ", ".join("?" * len(columns))
        connection.executemany(upsert(table, columns, f"VALUES ({values})"), rows)
connection.close()
