"""dlt: Arrow tables merged by primary key, into tables that dlt makes for itself.

They have no foreign keys and no index. Takes a URL in place of a file's name.
"""

import os
import re
from collections.abc import Iterator

import dlt
import pyarrow as pa
from pyarrow import csv

from benchmarks.rivals import RivalTable, arguments, files

TYPES = {"TEXT": pa.string(), "DATE": pa.timestamp("s"), "BIGINT": pa.int64()}


def arrow(sql: str) -> pa.DataType:
    """Return the type of a column for a type in SQL, such as NUMERIC(14, 2)."""
    return TYPES.get(sql) or pa.decimal128(*map(int, re.findall("[0-9]+", sql)))


def read(landing: str, table: RivalTable) -> Iterator[pa.Table]:
    """Give the files of a table."""
    types = {name: arrow(sql) for name, sql in table.columns.items()}
    for path, _, columns in files(landing, [table]):
        yield csv.read_csv(
            path,
            csv.ReadOptions(column_names=columns, skip_rows=1),
            csv.ParseOptions(delimiter="\t"),
            csv.ConvertOptions(column_types=types, timestamp_parsers=["%m/%d/%Y"]),
        )


url, landing, tables = arguments()
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["LOAD__WORKERS"] = "1"  # SQLite has one writer
on_server = url.startswith("postgresql")
pipeline = dlt.pipeline(
    "feed",
    destination=(
        dlt.destinations.postgres(url)
        if on_server
        else dlt.destinations.sqlalchemy(f"sqlite:///{url}")
    ),
    dataset_name="feed",
    pipelines_dir=f"{landing}-{url.rpartition('/')[2]}" if on_server else f"{url}-dlt",
)
pipeline.run(
    [
        dlt.resource(
            read(landing, table),
            name=table.name,
            primary_key=next(iter(table.columns)),
            write_disposition="merge",
        )
        for table in tables
    ]
)
