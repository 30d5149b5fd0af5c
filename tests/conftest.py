"""What the tests share: a migrated database, a landing directory, the command itself."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import select

from visitpay.cli import main
from visitpay.database import reading
from visitpay.landing import scan
from visitpay.models import ENTITIES, SOURCE_COLUMNS, LoadFile, RejectedRow

ROOT = Path(__file__).parent.parent

HEADERS = {
    "Procedure": "ProcedureId\tProcedureDescription",
    "Visit": "VisitIdentifier\tGuarantorIdentifier\tAdmitDate\tDischargeDate\tVisitBalance"
    "\tInsuranceIdentifier",
    "Transaction": "TransactionIdentifier\tVisitIdentifier\tProcedureId\tAmount",
}


def alembic_config() -> Config:
    """Give the settings of the checkout's Alembic."""
    return Config(ROOT / "alembic.ini")


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrate an empty database once, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "visitpay.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISITPAY_DATABASE_URL", f"sqlite:///{path}")
        command.upgrade(alembic_config(), "head")
    return path


@dataclass
class Feed:
    """A landing directory and the database that it is loaded into."""

    landing: Path
    database: Path

    @property
    def url(self) -> str:
        """The database's URL."""
        return f"sqlite:///{self.database}"

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
        with reading(self.url) as connection:
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
        with reading(self.url) as connection:
            ordered = query.order_by(LoadFile.name, RejectedRow.line_number)
            return [tuple(row) for row in connection.execute(ordered)]

    def names(self) -> list[str]:
        """Give the names of the files that a load would look at, in its order."""
        return [file.name for file in scan(self.landing, "HospitalABC").files]


@pytest.fixture
def feed(tmp_path: Path, migrated: Path) -> Feed:
    """Give an empty landing directory and an empty, migrated database."""
    landing = tmp_path / "landing"
    landing.mkdir()
    database = tmp_path / "visitpay.db"
    shutil.copy(migrated, database)
    return Feed(landing, database)


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


def start(feed: Feed, arguments: Sequence[str]) -> subprocess.Popen[str]:
    """Start the command as a process of its own."""
    environment = os.environ | {
        "VISITPAY_DATABASE_URL": feed.url,
        "VISITPAY_LANDING": str(feed.landing),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "visitpay", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
