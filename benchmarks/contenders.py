"""Who is measured: how each is run, and what it leaves out."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL

from benchmarks.measuring import Command
from benchmarks.rivals import files, upsert
from benchmarks.rivals.tables import TABLES
from benchmarks.tables import BIN, MakeTables, make_no_tables, make_rivals_tables, migrate

_UPSERTS = [
    upsert(name, list(cells), f"SELECT {', '.join(cells)} FROM new_{name} WHERE true") + ";"  # noqa: S608
    for _, name, cells in TABLES
]
"""What the shells do once the files are in temporary tables."""


@dataclass(frozen=True)
class Contender:
    """A way to get a landing directory's files into a database."""

    name: str
    leaves_out: str
    command: Callable[[URL, Path], Command]
    make_tables: MakeTables = make_rivals_tables
    skips_known_files: bool = False
    """Whether it can be given all files in every run; others are given the new ones only."""
    loads_once: bool = False
    """Whether only its first load is of use: a second does not end in a reasonable time."""


def _visitpay(url: URL, landing: Path) -> Command:
    address = url.render_as_string(hide_password=False)
    options = ("--database-url", address, "--max-rejects", "100%")
    return Command((str(BIN / "visitpay"), "load", str(landing), *options))


def _sqlite3(url: URL, landing: Path) -> Command:
    script = [
        "PRAGMA foreign_keys = ON;",
        ".mode tabs",
        *(f"CREATE TEMP TABLE new_{name} ({', '.join(cells)});" for _, name, cells in TABLES),
        *(f".import --skip 1 {path} new_{name}" for path, name, _ in files(str(landing), TABLES)),
        "BEGIN;",
        *_UPSERTS,
        "COMMIT;",
    ]
    return Command(("sqlite3", "-bail", str(url.database)), "\n".join(script))


def _psql(url: URL, landing: Path) -> Command:
    layout = r"FORMAT csv, DELIMITER E'\t', HEADER"
    script = [
        "BEGIN;",
        "SET LOCAL datestyle = 'ISO, MDY';",
        *(f"CREATE TEMP TABLE new_{name} (LIKE {name});" for _, name, _ in TABLES),
        *(
            rf"\copy new_{name} ({', '.join(cells)}) FROM '{path}' WITH ({layout})"
            for path, name, cells in files(str(landing), TABLES)
        ),
        *_UPSERTS,
        "COMMIT;",
    ]
    arguments = ("psql", "-qX", "-v", "ON_ERROR_STOP=1", _libpq(url))
    return Command(arguments, "\n".join(script))


def _script(name: str) -> Callable[[URL, Path], Command]:
    module = f"benchmarks.rivals.{name}"

    def command(url: URL, landing: Path) -> Command:
        database = str(url.database) if url.get_backend_name() == "sqlite" else _libpq(url)
        return Command((sys.executable, "-m", module, database, str(landing), json.dumps(TABLES)))

    return command


def _libpq(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


_TEXT_ONLY = "dates, NULLs, checks, rejects, ledger"

VISITPAY = Contender("visitpay", "", _visitpay, migrate, skips_known_files=True)
SHELL = Contender("sqlite3 shell", _TEXT_ONLY, _sqlite3)
PLAIN = Contender("plain script", _TEXT_ONLY, _script("plain"))
CORE = Contender("plain SQLAlchemy", "rejects, ledger", _script("core"))
PANDAS = Contender("pandas", "checks of numbers, rejects, ledger", _script("pandas_staging"))
UTILS = Contender("sqlite-utils", _TEXT_ONLY, _script("utils"))
DUCKDB = Contender("DuckDB", "rejects, ledger", _script("duck"))
# Over a million rows that were there, its second merge was stopped after ten minutes.
DLT = Contender(
    "dlt",
    "keys, foreign keys, index, rejects, ledger",
    _script("merge"),
    make_no_tables,
    loads_once=True,
)
PSQL = Contender("psql", "rejects, ledger", _psql)

RIVALS = (SHELL, DUCKDB, PLAIN, PANDAS, DLT, CORE, UTILS)
"""On SQLite, the fastest first."""
QUICK = (SHELL, PLAIN, CORE)
LEAVES_OUT = {each.name: each.leaves_out for each in (VISITPAY, *RIVALS, PSQL)}
