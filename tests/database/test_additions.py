"""What others added to a database stays through migrations, or stops them with its name."""

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.util import CommandError

from tests.support.databases import Postgres, alembic_config, rendered, revision_before

ADDITIONS = (
    "CREATE VIEW owed AS SELECT visit_identifier, visit_balance FROM visits",
    'CREATE VIEW "of; a ""view""" AS SELECT * FROM owed',
    "CREATE INDEX by_day ON visits (admit_date)",
    "CREATE UNIQUE INDEX ix_own ON transactions (transaction_identifier, amount)",
    "CREATE TABLE notes (visit REFERENCES visits ON DELETE CASCADE, note)",
    "CREATE TRIGGER noted INSERT ON visits BEGIN INSERT INTO notes VALUES (1, 'new'); END",
)


@pytest.fixture
def older(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a database before the revision that makes tables anew."""
    path = tmp_path / "visitpay.db"
    monkeypatch.setenv("VISITPAY_DATABASE_URL", f"sqlite:///{path}")
    command.upgrade(alembic_config(), revision_before("what a delivery means"))
    return path


def run(path: Path, *statements: str) -> list[tuple[object, ...]]:
    """Run statements by Python's own driver; return the rows of the last."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return [connection.execute(statement).fetchall() for statement in statements][-1]


def test_additions_stay(older: Path) -> None:
    """Views, triggers, indexes and tables of others are the same after each direction."""
    visit = "INSERT INTO visits VALUES (1, 7, '2021-01-02', NULL, 9, NULL, 1, 2)"
    run(older, *ADDITIONS, visit)
    before = revision_before("what a delivery means")
    for migrate, target in ((command.upgrade, "head"), (command.downgrade, before)):
        migrate(alembic_config(), target)
        found = run(older, "SELECT sql FROM sqlite_master")
        assert {(statement,) for statement in ADDITIONS} <= set(found)
        assert run(older, "SELECT * FROM notes") == [(1, "new")]
        assert run(older, 'SELECT * FROM "of; a ""view"""') == [(1, 9.0)]


def test_addition_that_no_longer_fits(older: Path) -> None:
    """A trigger on a table that goes is named, and nothing is migrated."""
    trigger = "CREATE TRIGGER seen AFTER INSERT ON problems BEGIN SELECT 1; END"
    run(older, trigger)
    with pytest.raises(CommandError, match="the trigger seen, which is not visitpay's"):
        command.downgrade(alembic_config(), "base")
    assert (trigger,) in run(older, "SELECT sql FROM sqlite_master")
    found = run(older, "SELECT version_num FROM alembic_version")
    assert found == [(revision_before("what a delivery means"),)]


def test_view_in_the_way(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """A view of others that PostgreSQL would have to change is named, and nothing is migrated."""
    url = postgres.create()
    monkeypatch.setenv("VISITPAY_DATABASE_URL", rendered(url))
    before = revision_before("what a delivery means")
    command.upgrade(alembic_config(), before)
    plain = rendered(url.set(drivername="postgresql"))
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute("CREATE VIEW seen AS SELECT name FROM load_files")
        with pytest.raises(CommandError, match=r"view seen depends on column .* take away what"):
            command.upgrade(alembic_config(), "head")
        found = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        assert found == [(before,)]
    postgres.drop(url)
