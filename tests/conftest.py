"""What the tests share: a migrated database, a landing directory, the command itself."""

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, MetaData, Table, make_url, select
from sqlalchemy.schema import CreateIndex, CreateTable

from tests.databases import MakeDatabase, Postgres, maker, migrate, running
from tests.listeners import Listener, Mailbox
from visitpay.cli.app import main
from visitpay.database.engine import make_migration_engine, read_connection
from visitpay.landing.local import scan
from visitpay.models import ENTITIES, SOURCE_COLUMNS, LoadFile, RejectedRow

HEADERS = {
    "Procedure": "ProcedureId\tProcedureDescription",
    "Visit": "VisitIdentifier\tGuarantorIdentifier\tAdmitDate\tDischargeDate\tVisitBalance"
    "\tInsuranceIdentifier",
    "Transaction": "TransactionIdentifier\tVisitIdentifier\tProcedureId\tAmount",
}


only_sqlite = pytest.mark.parametrize("feed", ["sqlite"], indirect=True)
"""For what only SQLite has, and for what has nothing to do with a database."""
only_postgresql = pytest.mark.parametrize("feed", ["postgresql"], indirect=True)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrate an empty SQLite database once, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "visitpay.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Give the server that VISITPAY_TEST_POSTGRES_URL names, or one of the tests' own."""
    if named := os.environ.get("VISITPAY_TEST_POSTGRES_URL"):
        with closing(Postgres(make_url(named))) as postgres:
            yield postgres
    else:
        with running() as (_, postgres):
            yield postgres


@pytest.fixture(scope="session")
def make_database(request: pytest.FixtureRequest) -> MakeDatabase:
    """Give what makes an empty, migrated database of a kind, in a folder, and its URL."""
    return maker(
        lambda: request.getfixturevalue("migrated"), lambda: request.getfixturevalue("postgres")
    )


@dataclass
class Feed:
    """A landing directory and the database that it is loaded into."""

    landing: Path
    url: str

    @property
    def database(self) -> Path:
        """The file of an SQLite database."""
        assert self.url.startswith("sqlite:")
        return Path(str(make_url(self.url).database))

    def deliver(
        self, entity: str, moment: str, *rows: str, header: str | None = None, end: str = "\n"
    ) -> Path:
        """Write a file of the feed: its header, then the rows."""
        lines = (HEADERS[entity] if header is None else header, *rows)
        return self.deliver_bytes(entity, moment, (end.join(lines) + end).encode())

    def deliver_bytes(self, entity: str, moment: str, content: bytes) -> Path:
        """Write a file of the feed as it is."""
        path = self.landing / f"HospitalABC_VisitPay_{entity}_{moment}.txt"
        path.write_bytes(content)
        return path

    def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """Give the rows of the entity tables, without the columns that say where they come from."""
        with read_connection(self.url) as connection:
            return {
                entity.__name__: [
                    tuple(row)
                    for row in connection.execute(
                        select(
                            *(
                                column
                                for column in entity.__table__.columns
                                if column.name not in SOURCE_COLUMNS
                            )
                        ).order_by(*entity.__table__.primary_key)
                    )
                ]
                for entity in ENTITIES
            }

    def rejects(self, status: str | None = None) -> list[tuple[Any, ...]]:
        """Give the quarantine: file, line, key, reason, column, raw, status."""
        query = select(
            LoadFile.name,
            RejectedRow.line_number,
            RejectedRow.record_key,
            RejectedRow.reason,
            RejectedRow.column_name,
            RejectedRow.raw,
            RejectedRow.status,
        ).join(LoadFile)
        if status is not None:
            query = query.where(RejectedRow.status == status)
        with read_connection(self.url) as connection:
            ordered = query.order_by(LoadFile.name, RejectedRow.line_number)
            return [tuple(row) for row in connection.execute(ordered)]

    def dump(self) -> list[str | list[str]]:
        """Give everything that the database holds: its tables and indexes, and their rows."""
        tables = MetaData()
        with make_migration_engine(self.url).begin() as connection:
            tables.reflect(connection)
            return [
                *(_created(connection, table) for table in tables.sorted_tables),
                *sorted(
                    str(CreateIndex(index).compile(connection))
                    for table in tables.sorted_tables
                    for index in table.indexes
                ),
                *sorted(
                    f"INSERT INTO {table.name}: {tuple(row)}"
                    for table in tables.sorted_tables
                    for row in connection.execute(select(*table.columns))
                ),
            ]

    def execute(self, *statements: str) -> None:
        """Do something to the database behind visitpay's back."""
        with make_migration_engine(self.url).begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def names(self) -> list[str]:
        """Give the names of the files that a load would look at, in its order."""
        return [file.name for file in scan(self.landing, "HospitalABC").files]


def _created(connection: Connection, table: Table) -> list[str]:
    """Give the lines of a table's definition; Alembic keeps no order of constraints."""
    lines = str(CreateTable(table).compile(connection)).splitlines()
    return sorted(line.strip(" \t,") for line in lines)


@pytest.fixture(params=["sqlite", "postgresql"])
def feed(
    request: pytest.FixtureRequest, tmp_path: Path, make_database: MakeDatabase
) -> Iterator[Feed]:
    """Give an empty landing directory and an empty, migrated database."""
    landing = tmp_path / "landing"
    landing.mkdir()
    with make_database(request.param, tmp_path) as url:
        yield Feed(landing, url)


@pytest.fixture(autouse=True)
def _unwatched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tell no one whom the environment of the tests names, and remember nothing beyond a test."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    for name in ("VISITPAY_ALERT_URLS", "VISITPAY_PING_URL", "VISITPAY_METRICS_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Give an HTTP server on loopback."""
    with Listener() as listener:
        yield listener


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """Give an SMTP server on loopback."""
    mailbox = Mailbox()
    mailbox.start()
    yield mailbox
    mailbox.stop()


@dataclass
class Outcome:
    """What a command printed and how it ended."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document on standard output."""
        return json.loads(self.out)


Visitpay = Callable[..., Outcome]


@pytest.fixture
def visitpay(
    feed: Feed, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Visitpay:
    """Run the command in this process on the feed's landing directory and database."""
    monkeypatch.setenv("VISITPAY_DATABASE_URL", feed.url)
    monkeypatch.setenv("VISITPAY_LANDING", str(feed.landing))

    def run(*arguments: object) -> Outcome:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Outcome(int(stop.value.code or 0), out, err)

    return run


def without_privilege() -> None:
    """Let even root mind permissions."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


@pytest.fixture
def unprivileged(feed: Feed) -> Iterator[Visitpay]:
    """Run the command as a process of its own that minds permissions; at the end they are open."""

    def run(*arguments: object) -> Outcome:
        given = [str(each) for each in arguments]
        with start(feed, given, preexec_fn=without_privilege) as process:
            out, err = process.communicate()
        return Outcome(process.returncode, out, err)

    yield run
    for path in (feed.landing.parent, feed.landing):
        path.chmod(0o700)


def start(feed: Feed, arguments: Sequence[str], **options: Any) -> subprocess.Popen[str]:
    """Start the command as a process of its own, with options of Popen."""
    environment = os.environ | {
        "VISITPAY_DATABASE_URL": feed.url,
        "VISITPAY_LANDING": str(feed.landing),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "visitpay", *arguments],
        env=environment,
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options,
    )
