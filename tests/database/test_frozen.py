"""Databases that older code left (`freezing.py` made them): each is upgraded, and goes on."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from decimal import Decimal
from itertools import compress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import make_url

from tests.database.freezing import FOLDER, deliver_first_day, deliver_second_day
from tests.database.test_migrations import run_script, schema
from tests.support.command import Visitpay
from tests.support.databases import MakeDatabase, Postgres, alembic_config, rendered
from tests.support.feed import Feed, columns, row
from tools.lint_migrations import RELEASED
from visitpay.models import Entity, Procedure, Transaction, Visit

OLDEST = str(ScriptDirectory.from_config(alembic_config()).get_base())
TABLES = ("procedures", "visits", "transactions")

Rows = dict[str, list[dict[str, Any]]]


def test_each_revision_has_its_frozen_database() -> None:
    """A release freezes its database (`make freeze`)."""
    scripts = ScriptDirectory.from_config(alembic_config())
    names = {path.name for path in FOLDER.iterdir()}
    for each in scripts.iterate_revisions(RELEASED, "base"):
        assert {f"{each.revision}.sqlite.sql", f"{each.revision}.postgresql.sql"} <= names


def ask(feed: Feed, query: str) -> list[dict[str, Any]]:
    """Return the rows of a query, by the database's own driver."""
    if feed.url.startswith("sqlite:"):
        with closing(sqlite3.connect(feed.database)) as connection:
            cursor = connection.execute(query)
            names = [each[0] for each in cursor.description]
            return [dict(zip(names, each, strict=True)) for each in cursor]
    url = rendered(make_url(feed.url).set(drivername="postgresql"))
    with psycopg.connect(url) as server:
        found = server.execute(query.encode())
        names = [each.name for each in found.description or ()]
        return [dict(zip(names, each, strict=True)) for each in found]


def entities(feed: Feed) -> Rows:
    """Return the rows of the entities; amounts in cents."""
    found = {table: ask(feed, f"SELECT * FROM {table} ORDER BY 1") for table in TABLES}
    for table, column in (("visits", "visit_balance"), ("transactions", "amount")):
        for each in found[table]:
            if (amount := each[column]) is not None:
                each[column] = round(Decimal(str(amount)) * 100)
    return found


def kept(now: Rows, before: Rows) -> Rows:
    """Return rows with the columns only that there were before."""
    return {
        table: [{name: each[name] for name in before[table][0]} for each in rows]
        for table, rows in now.items()
    }


def books(feed: Feed) -> list[list[dict[str, Any]]]:
    """Return what no upgrade may change of the books."""
    return [
        ask(feed, "SELECT id, name, status, rows_read, error FROM load_files ORDER BY id"),
        ask(feed, "SELECT id, file_id, line_number, reason, raw FROM rejected_rows ORDER BY id"),
        ask(feed, "SELECT count(*), sum(first_key), sum(last_key) FROM delivered_keys"),
    ]


class FormerFeed(Feed):
    """A landing directory with files as they came then: by their bytes they are known."""

    def deliver(
        self, entity: type[Entity], *rows: Mapping[str, object] | str, at: str = "", **cells: object
    ) -> Path:
        """Write a file with the header of then, and without the columns that have come since."""
        query = f"SELECT header FROM load_files WHERE entity = '{entity.__name__}' ORDER BY id"
        header = next(each["header"] for each in ask(self, query) if each["header"])
        (there,) = ask(self, f"SELECT * FROM {entity.__tablename__} LIMIT 1")
        kept = [name in there for name in columns(entity)]
        path = super().deliver(entity, *rows, at=at, **cells)
        lines = (compress(each.split("\t"), kept) for each in path.read_text().splitlines()[1:])
        return self.deliver_lines(entity, *map("\t".join, lines), at=at, header=header)


@pytest.fixture
def feed(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Feed]:
    """Yield a frozen database, restored, and the landing directory that its files lay in."""
    dump: Path = request.param
    landing = tmp_path / "landing"
    landing.mkdir()
    with restored(dump, tmp_path, request) as url:
        monkeypatch.setenv("VISITPAY_DATABASE_URL", url)
        feed = Feed(landing, url)
        former = FormerFeed(landing, url)
        deliver_first_day(former)
        deliver_second_day(former)
        yield feed


@contextmanager
def restored(dump: Path, folder: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Yield the URL of a database that a dump was restored to."""
    if dump.name.endswith(".sqlite.sql"):
        with closing(sqlite3.connect(folder / "visitpay.db")) as connection:
            connection.executescript(dump.read_text())
        yield f"sqlite:///{folder}/visitpay.db"
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    server = postgres.create()
    with psycopg.connect(rendered(server.set(drivername="postgresql"))) as connection:
        connection.execute(dump.read_bytes())
    yield rendered(server)
    postgres.drop(server)


def frozen(pattern: str = "*") -> pytest.MarkDecorator:
    """Return what runs a test on frozen databases."""
    dumps = sorted(FOLDER.glob(f"{pattern}.sql"))
    names = [path.name.removesuffix(".sql") for path in dumps]
    return pytest.mark.parametrize("feed", dumps, ids=names, indirect=True)


@frozen()
def test_a_frozen_database_goes_on(
    feed: Feed, visitpay: Visitpay, tmp_path: Path, make_database: MakeDatabase
) -> None:
    """It is upgraded without a row lost, loads the next day, and goes down and up with its rows."""
    config = alembic_config()
    frozen_at = current(feed)
    before, noted = entities(feed), books(feed)
    command.upgrade(config, "head")
    assert kept(entities(feed), before) == before
    assert books(feed) == noted
    command.check(config)
    (tmp_path / "fresh").mkdir()
    with make_database(make_url(feed.url).get_backend_name(), tmp_path / "fresh") as fresh:
        assert schema(feed) == schema(Feed(feed.landing, fresh))

    loaded = visitpay("load", "--json")
    assert loaded.status == 1, loaded.err
    again = {each["name"][21:-4] for each in loaded.document["files"]}
    assert again - {"Procedure_20990101_223357"} == {"Visit_20211202_223005"}  # the failed one
    go_on(feed, visitpay, tmp_path)
    assert_references(feed)

    last = entities(feed)
    while current(feed) != frozen_at:
        command.downgrade(config, "-1")
        now = entities(feed)
        assert {table: len(rows) for table, rows in now.items()} == {
            table: len(rows) for table, rows in last.items()
        }
        assert now == kept(last, now)
    command.upgrade(config, "head")
    command.check(config)
    assert kept(entities(feed), before) == kept(last, before)
    assert visitpay("status", feed.landing).status == 0


@frozen(f"{OLDEST}.*")
def test_by_hand(feed: Feed, capsys: pytest.CaptureFixture[str]) -> None:
    """The statements of `--sql` keep the rows of a database that holds some, up and down."""
    config = alembic_config()
    before = entities(feed)
    at = current(feed)
    scripts = []
    for change, revisions in ((command.upgrade, f"{at}:head"), (command.downgrade, f"head:{at}")):
        change(config, revisions, sql=True)
        scripts.append(capsys.readouterr().out)
    run_script(feed.url, scripts[0])
    command.check(config)
    assert kept(entities(feed), before) == before
    run_script(feed.url, scripts[1])
    assert entities(feed) == before


def current(feed: Feed) -> str:
    """Return the revision of a database."""
    (found,) = ask(feed, "SELECT version_num FROM alembic_version")
    return str(found["version_num"])


def go_on(feed: Feed, visitpay: Visitpay, folder: Path) -> None:
    """Load another day, heal, and use every command on what older code wrote."""
    rejects = ask(feed, "SELECT DISTINCT entity, record_key FROM rejected_rows")
    feed.deliver(Visit, row(visit_identifier=41, visit_balance="9.00"), at="20211204_223005")
    feed.deliver(Procedure, row(procedure_id=5), at="20211204_223357")
    feed.deliver(Transaction, row(transaction_identifier=101, amount="6"), at="20211130_223133")
    loaded = visitpay("load", "--json")
    assert loaded.document["rejects_resolved"] >= 1
    found = {each["name"][21:-4]: each for each in loaded.document["files"]}
    late = found["Transaction_20211130_223133"]
    assert (late["stale"], late["inserted"], late["updated"]) == (1, 0, 0)
    assert 41 in feed.keys(Visit)
    assert 201 in feed.keys(Transaction)
    assert visitpay("rejects", "retry").status == 0
    for each in rejects:
        if each["record_key"] is not None:
            shown = visitpay("explain", each["entity"].lower(), each["record_key"], "--json")
            assert shown.status == 0, shown.err
            assert shown.document["rejects"]
    for options in ((), ("--response",)):
        exported = visitpay("rejects", "export", folder / f"out{len(options)}", *options)
        assert exported.status == 0, exported.err
    assert visitpay("reconcile").status == 1
    assert visitpay("status", feed.landing, "--json").document["rejects_open"] >= 1
    assert visitpay("files").status == 0
    assert visitpay("report", feed.landing, "--output", folder / "report.html").status == 0


def assert_references(feed: Feed) -> None:
    """Every row has its parents."""
    if feed.url.startswith("sqlite:"):
        assert ask(feed, "PRAGMA foreign_key_check") == []
        assert ask(feed, "PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    else:
        invalid = "SELECT conname FROM pg_constraint WHERE NOT convalidated"
        assert ask(feed, invalid) == []
