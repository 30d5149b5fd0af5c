"""pandas: read_csv, to_sql into a staging table, one upsert from there."""

import sqlite3

import pandas as pd

from benchmarks.rivals import arguments, files, upsert

database, landing, tables = arguments()
connection = sqlite3.connect(database)
connection.execute("PRAGMA foreign_keys = ON")
for path, table, columns in files(landing, tables):
    frame = pd.read_csv(path, sep="\t", names=columns, header=0)
    for name in [column for column in columns if column.endswith("_date")]:
        days = pd.to_datetime(frame[name], format="%m/%d/%Y")
        frame[name] = days.dt.strftime("%Y-%m-%d")
    frame.to_sql("staging", connection, if_exists="replace", index=False)
    with connection:
        selected = f"SELECT {', '.join(columns)} FROM staging WHERE true"  # noqa: S608
        connection.execute(upsert(table, columns, selected))
        connection.execute("DROP TABLE staging")
connection.close()
