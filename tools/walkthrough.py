"""A new column on databases that hold data, from edit to deploy: `python -m tools.walkthrough`.

The story is told on a copy of the checkout, once for each kind of database, by the commands that a
developer, a deployer and an operator would type. What the tables hold is read by sqlite3 and
psycopg alone. The first step that does not do what it should ends it.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from tests.support.databases import ROOT, rendered, running

EDITS = {
    "    insurance_identifier: Mapped[int | None]\n": (
        "    discharge_ward: Mapped[str | None] = mapped_column(\n"
        '        info={"since": date(2021, 12, 5)}\n'
        "    )\n"
        '    """The ward that the patient left."""\n'
    ),
    "    amount: Mapped[Money]\n": (
        '    cashier: Mapped[str | None] = mapped_column(info={"optional": True})\n'
        '    """Who took the payment."""\n'
    ),
}
"""What is added to the models, each after a line of them (or after its docstring)."""

TESTS = ("tests/database/test_migrations.py", "tests/test_sample.py", "tests/test_readme.py")
"""What must pass on the copy without a hand laid on it."""

OLD_HEADERS = {
    "Procedure": "ProcedureId\tProcedureDescription",
    "Visit": "VisitIdentifier\tGuarantorIdentifier\tAdmitDate\tDischargeDate\tVisitBalance"
    "\tInsuranceIdentifier",
    "Transaction": "TransactionIdentifier\tVisitIdentifier\tProcedureId\tAmount",
}
NEW_HEADERS = {
    **OLD_HEADERS,
    "Visit": f"{OLD_HEADERS['Visit']}\tDischargeWard",
    "Transaction": f"{OLD_HEADERS['Transaction']}\tCashier",
}

TABLES = {
    "procedures": "procedure_id, procedure_description",
    "visits": "visit_identifier, guarantor_identifier, admit_date, discharge_date,"
    " visit_balance, insurance_identifier",
    "transactions": "transaction_identifier, visit_identifier, procedure_id, amount",
    "rejected_rows": "id, file_id, line_number, reason, raw, status",
    "load_files": "id, name, status, header, rows_read",
    "delivered_keys": "id, file_id, keys",
}
"""The columns that were there before, of each table."""


@dataclass(frozen=True)
class Database:
    """A database, as its own driver reads it."""

    url: str
    select: Callable[[str], list[tuple[Any, ...]]]
    run_script: Callable[[str], None]

    def checksums(self) -> dict[str, str]:
        """Return a hash of each table, of the columns that were there before."""
        return {table: self._checksum(table, columns) for table, columns in TABLES.items()}

    def _checksum(self, table: str, columns: str) -> str:
        rows = self.select(f"SELECT {columns} FROM {table} ORDER BY 1")  # noqa: S608
        return hashlib.sha256(repr(rows).encode()).hexdigest()


@dataclass(frozen=True)
class Story:
    """A checkout's copies, before and after the edit, and what they work on."""

    before: Path
    after: Path
    landing: Path
    database: Database

    def visitpay(self, checkout: Path, *arguments: object, statuses: Iterable[int] = (0,)) -> str:
        """Run the command of a checkout; return what it prints."""
        return self.python(checkout, "visitpay", *arguments, statuses=statuses)

    def alembic(self, *arguments: object) -> str:
        """Run Alembic in the edited checkout; return what it prints."""
        return self.python(self.after, "alembic", *arguments)

    def python(
        self, checkout: Path, module: str, *arguments: object, statuses: Iterable[int] = (0,)
    ) -> str:
        """Run a module of Python in a checkout; return what it prints."""
        command = [sys.executable, "-m", module, *map(str, arguments)]
        return run(command, checkout, statuses, VISITPAY_DATABASE_URL=self.database.url)

    def deliver(
        self, entity: str, day: int, *lines: str, headers: dict[str, str] = OLD_HEADERS
    ) -> str:
        """Write a file of a day of December 2021; return its name."""
        name = f"HospitalABC_VisitPay_{entity}_202112{day:02}_223000.txt"
        text = "".join(f"{line}\n" for line in (headers[entity], *lines))
        (self.landing / name).write_text(text, "utf-8")
        return name

    def findings(self, checkout: Path, check: str) -> list[dict[str, Any]]:
        """Return what a check finds, as `visitpay status` tells it."""
        printed = self.visitpay(checkout, "status", self.landing, "--json", statuses=(0, 1))
        return [each for each in json.loads(printed)["findings"] if each["check"] == check]


def run(command: list[str], folder: Path, statuses: Iterable[int], **environment: str) -> str:
    """Run a command that must end with one of the statuses; return its standard output."""
    settings = os.environ | {"PYTHONPATH": str(folder), **environment}
    done = subprocess.run(
        command, cwd=folder, env=settings, check=False, capture_output=True, text=True
    )
    if done.returncode not in statuses:
        shown = " ".join(command)
        sys.exit(f"{shown}\nended with {done.returncode}\n{done.stdout[-4000:]}{done.stderr}")
    return done.stdout


def copy_checkout(target: Path) -> Path:
    """Copy the files of the checkout, and its virtual environment by a link."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in run(command, ROOT, (0,)).split("\0"):
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    (target / ".venv").symlink_to(Path(sys.prefix))
    return target


def add_columns(checkout: Path) -> None:
    """Make the two edits, and have the revision generated."""
    path = checkout / "visitpay/models.py"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    for after, added in EDITS.items():
        place = lines.index(after) + 1
        if lines[place].lstrip().startswith('"""'):
            place += 1
        lines.insert(place, added)
    path.write_text("".join(lines), "utf-8")
    run(
        ["make", "revision", "M=visits know their ward, transactions their cashier"], checkout, (0,)
    )


def expect(what: str, *, holds: bool) -> None:
    """Say what holds, or end the story where it does not."""
    if not holds:
        sys.exit(f"NOT SO: {what}")
    print(f"  {what}")


def load_with_old_program(story: Story) -> Path:
    """Load a dirty feed; return the folder of an export of its rejects."""
    story.visitpay(story.before, "migrate")
    story.deliver("Procedure", 1, "1\tbandaid", "2\tcast")
    story.deliver(
        "Visit",
        1,
        "10\t7\t1/2/2021\t\t9\t",
        "11\t7\t2/30/2021\t\t9\t",  # no such day
    )
    story.deliver("Transaction", 1, "100\t10\t1\t9", "101\t12\t2\t5.5")  # visit 12 is not there
    early = story.deliver("Visit", 2, "13\t7\t1/3/2021\t\t1.1\t\tNorth", headers=NEW_HEADERS)
    story.deliver(
        "Transaction", 2, "102\t13\t1\t1.1\tAnn", "103\t14\t1\t2\tBob", headers=NEW_HEADERS
    )
    story.visitpay(story.before, "load", story.landing, statuses=(1,))  # rows were rejected
    unknown = story.findings(story.before, "columns_unknown")
    expect(f"the load goes on, and finds unknown columns in {early}", holds=bool(unknown))
    exported = story.landing.parent / "exported before"
    exported.mkdir()
    story.visitpay(story.before, "rejects", "export", exported, "--entity", "Visit")
    return exported


def migrate_up_and_down(story: Story) -> None:
    """Upgrade, check, downgrade, the same by SQL, and upgrade again; nothing else changes."""
    database, before = story.database, story.database.checksums()
    story.visitpay(story.after, "migrate")
    expect("an upgrade changes nothing else", holds=database.checksums() == before)
    story.alembic("check")
    head = database.select("SELECT version_num FROM alembic_version")[0][0]
    story.alembic("downgrade", "-1")
    expect("nor does a downgrade", holds=database.checksums() == before)
    former = database.select("SELECT version_num FROM alembic_version")[0][0]
    database.run_script(story.alembic("upgrade", f"{former}:{head}", "--sql"))
    expect("nor does an upgrade by SQL", holds=database.checksums() == before)
    story.alembic("check")
    database.run_script(story.alembic("downgrade", f"{head}:{former}", "--sql"))
    expect("nor does a downgrade by SQL", holds=database.checksums() == before)
    story.visitpay(story.after, "migrate")
    expect("and up again", holds=database.checksums() == before)


def mend(exported: Path, landing: Path) -> None:
    """Mend the date of the exported row, and deliver the file."""
    (path,) = exported.iterdir()
    mended = path.read_text("utf-8").replace("2/30/2021", "2/28/2021").replace("\t?\n", "\n")
    (landing / path.name).write_text(mended, "utf-8")


def load_with_new_program(story: Story, exported: Path) -> None:
    """Load old files and exports, new files, and once more what came before its time."""
    select = story.database.select
    story.deliver("Visit", 3, "12\t7\t1/4/2021\t\t5.5\t")
    story.deliver("Visit", 4, "14\t7\t1/4/2021\t\t2\t")
    story.visitpay(story.after, "load", story.landing)
    cashiers = select("SELECT transaction_identifier, cashier FROM transactions ORDER BY 1")
    expect(
        "a file of the old format is loaded, orphans of old files heal",
        holds=(101, None) in cashiers,
    )
    expect("with the values that came early", holds=(103, "Bob") in cashiers)
    rejects = story.landing.parent / "exported after"
    rejects.mkdir()
    story.visitpay(story.after, "rejects", "export", rejects)
    lines = next(rejects.iterdir()).read_text("utf-8").splitlines()
    expect("rejects of old files are exported", holds=lines[0].endswith("\tDischargeWard"))
    explained = story.visitpay(story.after, "explain", "Visit", 11)
    expect("and explained", holds="invalid_date" in explained)
    mend(exported, story.landing)
    story.deliver("Visit", 6, "15\t7\t1/5/2021\t\t\t\tSouth", headers=NEW_HEADERS)
    story.visitpay(story.after, "load", story.landing)
    still_open = select("SELECT count(*) FROM rejected_rows WHERE status = 'open'")
    expect("an export of before the deploy mends its reject", holds=still_open == [(0,)])
    wards = "SELECT visit_identifier, discharge_ward FROM visits ORDER BY 1"
    expect("a file of the new format is loaded", holds=(15, "South") in select(wards))
    expect("values that came before the deploy are not there", holds=(13, None) in select(wards))
    story.visitpay(story.after, "load", story.landing, "--again-since", "2021-12-02")
    expect("load --again-since brings them", holds=(13, "North") in select(wards))
    unknown = story.findings(story.after, "columns_unknown")
    expect("and no column is unknown any more", holds=not unknown)
    late = story.deliver("Visit", 7, "16\t7\t1/5/2021\t\t\t")
    story.visitpay(story.after, "load", story.landing, statuses=(1,))
    error = select(f"SELECT error FROM load_files WHERE name = '{late}'")[0][0]  # noqa: S608
    expect(f"a file without a column that is due fails: {error}", holds="2021-12-05" in error)


def tell(story: Story) -> None:
    """Tell the whole story on one database."""
    story.landing.mkdir()
    exported = load_with_old_program(story)
    migrate_up_and_down(story)
    load_with_new_program(story, exported)


def sqlite(path: Path) -> Database:
    """Return an SQLite database, read by sqlite3."""

    def select(query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute(query).fetchall()

    def run_script(script: str) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(script)

    return Database(f"sqlite:///{path}", select, run_script)


def postgresql(url: str) -> Database:
    """Return a PostgreSQL database, read by psycopg."""
    conninfo = url.replace("+psycopg", "")

    def select(query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(conninfo) as connection:
            return connection.execute(query.encode()).fetchall()

    def run_script(script: str) -> None:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(script.encode())

    return Database(url, select, run_script)


def main() -> None:
    """Tell the story on both databases, then run the tests of the edited copy."""
    with tempfile.TemporaryDirectory() as folder, running() as (_, server):
        here = Path(folder)
        before, after = copy_checkout(here / "before"), copy_checkout(here / "after")
        add_columns(after)
        databases = (sqlite(here / "visitpay.db"), postgresql(rendered(server.create())))
        for number, database in enumerate(databases):
            print(database.url.partition(":")[0])
            landing = here / f"landing {number}" / "landing"
            landing.parent.mkdir()
            tell(Story(before, after, landing, database))
        run([sys.executable, "-m", "pytest", "-q", *TESTS], after, (0,))
        expect(f"the copy passes {', '.join(TESTS)}", holds=True)


if __name__ == "__main__":
    main()
