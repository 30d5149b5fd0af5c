"""What stands in a database before a measurement begins."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import URL, create_engine, insert

from benchmarks.measuring import ROOT
from benchmarks.rivals.tables import METADATA
from visitpay.landing.scan import scan
from visitpay.models import LoadFile, LoadRun
from visitpay.version import __version__
from visitpay.vocabulary import FileStatus

BIN = Path(sys.executable).parent

MakeTables = Callable[[URL], None]


def make_no_tables(_url: URL) -> None:
    """Leave a database empty."""


def make_rivals_tables(url: URL) -> None:
    """Make the rivals' tables, on SQLite with the settings that visitpay's database has."""
    engine = create_engine(url)
    if url.get_backend_name() == "sqlite":
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA page_size = 16384")
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    METADATA.create_all(engine)
    engine.dispose()


def migrate(url: URL) -> None:
    """Make visitpay's tables as a deploy does."""
    subprocess.run(
        [BIN / "alembic", "--config", ROOT / "alembic.ini", "upgrade", "head"],
        env=os.environ | {"VISITPAY_DATABASE_URL": url.render_as_string(hide_password=False)},
        check=True,
        stderr=subprocess.DEVNULL,
    )


def knowing(landing: Path) -> MakeTables:
    """Make visitpay's tables, with every file of a landing directory in the ledger."""

    def make_tables(url: URL) -> None:
        migrate(url)
        now = datetime.now(UTC)
        run = {"id": 1, "started_at": now, "finished_at": now, "status": "ok", "host": "here"}
        entries = [
            {
                "run_id": 1,
                "name": file.name,
                "hospital": file.hospital,
                "entity": file.entity,
                "file_datetime": file.file_datetime,
                "size_bytes": file.size_bytes,
                "version": file.version,
                "sha256": file.sha256(),
                "status": FileStatus.LOADED,
                "loaded_at": now,
            }
            for file in scan(landing, "HospitalABC").files
        ]
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(insert(LoadRun).values(run | {"version": __version__}))
            connection.execute(insert(LoadFile), entries)
        engine.dispose()

    return make_tables
