"""Compare a load with the sqlite3 shell: the same files, side by side, alternating.

The shell does what a careful person would type: `.import` into temporary tables, then `INSERT ...
SELECT ... ON CONFLICT DO UPDATE` with foreign keys on and the same index. It leaves out types,
checks, rejects, the ledger, and the columns that say where a row came from.

Run: .venv/bin/python benchmarks/shell.py [--visits 200000] [--rounds 5] [--dirt 0]
Needs the sqlite3 shell (Debian: sqlite3).
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from visitpay.models import ENTITIES, SOURCE_COLUMNS, key_of
from visitpay.sample import write_sample

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


def measured(command: list[str], stdin: str = "") -> tuple[float, float]:
    """Run a command to its end; give its wall time in seconds and its peak memory in MiB."""
    started = time.perf_counter()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin is not None  # noqa: S101
        process.stdin.write(stdin.encode())
        process.stdin.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def shell_script(landing: Path) -> str:
    """Write what a person would type into the shell."""
    lines = ["PRAGMA foreign_keys = ON;", ".mode tabs"]
    upserts = ["BEGIN;"]
    for entity in ENTITIES:
        table = entity.__table__
        names = [column.name for column in table.columns if column.name not in SOURCE_COLUMNS]
        columns, key = ", ".join(names), key_of(entity).name
        lines.append(f"CREATE TEMP TABLE new_{table.name} ({columns});")
        lines += [
            f".import --skip 1 {path} new_{table.name}"
            for path in sorted(landing.glob(f"*_{entity.__name__}_*.txt"))
        ]
        changes = ", ".join(f"{name} = excluded.{name}" for name in names if name != key)
        upserts.append(
            f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM new_{table.name} "  # noqa: S608
            f"WHERE true ON CONFLICT ({key}) DO UPDATE SET {changes};"
        )
    return "\n".join([*lines, *upserts, "COMMIT;"])


def make_shell_database(path: Path) -> None:
    """Make the same tables without the source columns and the books."""
    statements = ["PRAGMA page_size = 16384;", "PRAGMA journal_mode = WAL;"]
    for entity in ENTITIES:
        ddl = str(CreateTable(entity.__table__).compile(dialect=sqlite.dialect()))
        kept = [
            line for line in ddl.splitlines() if not any(name in line for name in SOURCE_COLUMNS)
        ]
        statements.append(re.sub(r",\s*\)$", ")", "\n".join(kept).strip()) + ";")
        statements += [f"{CreateIndex(index)};" for index in entity.__table__.indexes]
    subprocess.run(
        ["sqlite3", path],
        input="\n".join(statements).encode(),
        check=True,
        stdout=subprocess.DEVNULL,
    )


def make_database(path: Path) -> None:
    """Make a database as a deploy does."""
    os.environ["VISITPAY_DATABASE_URL"] = f"sqlite:///{path}"
    subprocess.run(
        [BIN / "alembic", "--config", ROOT / "alembic.ini", "upgrade", "head"],
        check=True,
        stderr=subprocess.DEVNULL,
    )


def redeliver(landing: Path, later: Path) -> None:
    """Lay the same files under the names of other days."""
    later.mkdir()
    for path in landing.glob("*.txt"):
        os.link(path, later / path.name.replace("_2021", "_2022"))


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visits", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dirt", type=float, default=0)
    given = parser.parse_args()
    figures: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        landing, later = Path(folder, "landing"), Path(folder, "later")
        write_sample(landing, visits=given.visits, dirt=given.dirt)
        redeliver(landing, later)
        for turn in range(given.rounds):
            shell, ours = Path(folder, f"shell{turn}.db"), Path(folder, f"visitpay{turn}.db")
            make_shell_database(shell)
            make_database(ours)
            load = [str(BIN / "visitpay"), "load"]
            for name, command, stdin in (
                ("sqlite3 shell", ["sqlite3", str(shell)], shell_script(landing)),
                ("visitpay load", [*load, str(landing)], ""),
                ("visitpay load, redelivery", [*load, str(later)], ""),
            ):
                figures.setdefault(name, []).append(measured(command, stdin))
            for path in Path(folder).glob(f"*{turn}.db*"):
                path.unlink()
    base = statistics.median(wall for wall, _ in figures["sqlite3 shell"])
    print(f"{'':28}{'seconds':>9}{'MiB':>6}{'ratio':>7}")
    for name, runs in figures.items():
        wall = statistics.median(each[0] for each in runs)
        print(f"{name:28}{wall:9.2f}{max(each[1] for each in runs):6.0f}{wall / base:7.2f}")


if __name__ == "__main__":
    main()
