"""dlt: Arrow tables merged by primary key, into tables that dlt makes for itself.

They have no foreign keys and no index. Takes a URL in place of a file's name.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import dlt
import pyarrow as pa
from pyarrow import csv

from benchmarks.rivals import TABLES

TYPES = {
    "procedure_description": pa.string(),
    "admit_date": pa.timestamp("s"),
    "discharge_date": pa.timestamp("s"),
    "visit_balance": pa.decimal128(14, 2),
    "amount": pa.decimal128(14, 2),
}


def read(landing: str, entity: str, columns: list[str]) -> Iterator[pa.Table]:
    """Give the files of a type."""
    types = {name: TYPES.get(name, pa.int64()) for name in columns}
    for path in sorted(Path(landing).glob(f"*_{entity}_*.txt")):
        yield csv.read_csv(
            path,
            csv.ReadOptions(column_names=columns, skip_rows=1),
            csv.ParseOptions(delimiter="\t"),
            csv.ConvertOptions(column_types=types, timestamp_parsers=["%m/%d/%Y"]),
        )


url, landing = sys.argv[1:]
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
            read(landing, entity, columns),
            name=table,
            primary_key=columns[0],
            write_disposition="merge",
        )
        for entity, (table, columns) in TABLES.items()
    ]
)
