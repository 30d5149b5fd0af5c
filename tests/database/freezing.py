"""Freezes a database as today's code leaves it, so that every later revision is tried on it.

`python -m tests.database.freezing` (or `make freeze`) writes `frozen/NNNN.sqlite.sql` and
`frozen/NNNN.postgresql.sql` for the newest revision. To freeze what older code left, name its
checkout and the files: `python -m tests.database.freezing /tmp/old 0003`. Frozen are:

- `NNNN`: by the last code whose newest revision that was;
- `0001_first_form` (SQLite): by the first form of 0001, in which entities had a foreign key to the
  ledger, and by the first packing of delivered keys, a file of Arrow IPC;
- `0001_first_packing` (PostgreSQL): the same packing, by the first code that knew PostgreSQL.
"""

import os
import re
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import make_url

from tests.support.databases import HEAD, ROOT, Server, rendered, running
from tests.support.feed import Feed, row
from visitpay.models import Procedure, Transaction, Visit

FOLDER = Path(__file__).parent / "frozen"

AMOUNTS = ["0.1", ".005", ".29", "1.15", "19.99", "-20", "$1,005.50", "(20.00)", "123456789012.34"]
"""As the hospital writes them; the second is none."""


def deliver_first_day(feed: Feed) -> None:
    """Deliver rows of every kind, rejects of several reasons, orphans, a file that fails."""
    procedures = ((1, "bandaid"), (2, 'Schiene 5" für Daumen \N{SNOWMAN} 指'), (2**40, "x" * 40))
    feed.deliver(
        Procedure,
        *(row(procedure_id=key, procedure_description=text) for key, text in procedures),
        row(procedure_id="three"),
        row(procedure_id=4, procedure_description=""),
    )
    visits = (row(visit_identifier=10 + n, visit_balance=each) for n, each in enumerate(AMOUNTS))
    feed.deliver(
        Visit,
        *visits,
        row(visit_identifier=2**62, discharge_date="2021-01-05", insurance_identifier=5),
        row(visit_identifier=30, admit_date="1/41/2021"),
        row(visit_identifier=31, guarantor_identifier=""),
        "32\t7",
    )
    feed.deliver(
        Transaction,
        *(
            row(transaction_identifier=100 + n, visit_identifier=10 + n, amount=each)
            for n, each in enumerate(AMOUNTS)
        ),
        row(transaction_identifier=200, visit_identifier=40),
        row(transaction_identifier=201, visit_identifier=41),
        row(transaction_identifier=202, procedure_id=99),
        row(transaction_identifier=203, amount="1e3"),
    )
    feed.deliver_lines(Visit, "1\t2", at="20211202_223005", header="Nonsense\tHeader")


def deliver_second_day(feed: Feed) -> None:
    """Deliver a visit that was missing, a file with other content, a late and a future one."""
    feed.deliver(
        Visit,
        row(visit_identifier=40, visit_balance="9.00"),
        row(visit_identifier=11, visit_balance="5.00"),
        at="20211203_223005",
    )
    feed.deliver(
        Transaction,
        row(transaction_identifier=101, visit_identifier=11, amount="5.00"),
        row(transaction_identifier=103, visit_identifier=13, amount="1.15"),
        row(transaction_identifier=204, visit_identifier=42),
        at="20211203_223133",
    )
    feed.deliver(
        Procedure,
        row(procedure_description="bandage"),
        row(procedure_id=2**40, procedure_description="x" * 40),
        row(procedure_id="drei"),
    )
    feed.deliver(Procedure, procedure_description="plaster", at="20211130_223357")
    feed.deliver(Procedure, row(procedure_id=7), at="20990101_223357")


def deliver_mended(feed: Feed, exports: Path) -> None:
    """Deliver the exported visits, one of them mended."""
    for path in exports.glob("*_Visit_*"):
        content = path.read_bytes()
        assert content.count(b"1/41/2021") == 1
        (feed.landing / path.name).write_bytes(content.replace(b"1/41/2021", b"1/4/2021"))


def fill(feed: Feed, run: Callable[..., object], exports: Path) -> None:
    """Deliver the days and load them by a command; what older code lacks is left out."""
    deliver_first_day(feed)
    run("load")
    deliver_second_day(feed)
    run("load")
    run("rejects", "dismiss", "1", "--why", "test patient")
    run("rejects", "export", exports, "--entity", "visit")
    deliver_mended(feed, exports)
    run("load")
    run("reconcile")


def freeze(checkout: Path, feed: Feed, folder: Path) -> None:
    """Migrate a database and fill it, by the code of a checkout."""
    environment = os.environ | {
        "PYTHONPATH": str(checkout),
        "VISITPAY_DATABASE_URL": feed.url,
        "VISITPAY_LANDING": str(feed.landing),
    }

    def run(*arguments: object, module: str = "visitpay") -> None:
        command = [sys.executable, "-m", module, *map(str, arguments)]
        done = subprocess.run(
            command, cwd=checkout, env=environment, capture_output=True, text=True, check=False
        )
        print(*arguments, done.returncode, done.stderr.strip()[-300:], sep="\n    ")  # noqa: T201

    run("upgrade", "head", module="alembic.config")
    fill(feed, run, folder / "exports")
    feed.execute("UPDATE load_runs SET host = 'host'")


def dump_sqlite(feed: Feed) -> str:
    """Return a database as SQL."""
    with closing(sqlite3.connect(feed.database)) as connection:
        return "\n".join(connection.iterdump()) + "\n"


def dump_postgresql(feed: Feed, server: Server) -> str:
    """Return a database as SQL, without what only psql or this server understands."""
    url = rendered(make_url(feed.url).set(drivername="postgresql"))
    command = [str(server.programs / "pg_dump"), "--inserts", "--no-owner", "--no-privileges", url]
    dump = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    dump = re.sub(r"(?m)^(--|\\|SET |SELECT pg_catalog.set_config).*\n", "", dump)
    return re.sub(r"\n{3,}", "\n\n", dump).lstrip()


def main() -> None:
    """Write the dumps of a checkout's databases."""
    checkout, name, *dialects = [*sys.argv[1:], *(str(ROOT), HEAD)[len(sys.argv) - 1 :]]
    FOLDER.mkdir(exist_ok=True)
    with running() as (server, postgres):
        for dialect in dialects or ("sqlite", "postgresql"):
            with TemporaryDirectory(prefix="visitpay-") as name_of_folder:
                folder = Path(name_of_folder)
                (folder / "landing").mkdir()
                is_sqlite = dialect == "sqlite"
                url = (
                    f"sqlite:///{folder}/visitpay.db" if is_sqlite else rendered(postgres.create())
                )
                feed = Feed(folder / "landing", url)
                freeze(Path(checkout), feed, folder)
                dump = dump_sqlite(feed) if is_sqlite else dump_postgresql(feed, server)
                assert socket.gethostname() not in dump
                (FOLDER / f"{name}.{dialect}.sql").write_text(dump)


if __name__ == "__main__":
    main()
