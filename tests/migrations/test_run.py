"""Migrations beside loads and beside each other, failing, and killed."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import make_url, text

from tests.support.command import Visitpay, start
from tests.support.databases import HEAD, alembic_config
from tests.support.feed import Feed, only_postgresql, only_sqlite
from tests.support.revisions import Checkout, finished
from visitpay.database.engine import make_engine, make_migration_engine
from visitpay.database.session import ExclusiveSession
from visitpay.ledger.runs import open_run
from visitpay.migrations.run import exclusive
from visitpay.models import Procedure, Transaction, Visit


@pytest.fixture
def loaded(feed: Feed) -> Feed:
    """Return a database with a row in each table of the feed."""
    for entity in (Procedure, Visit, Transaction):
        feed.deliver(entity)
    feed.load()
    return feed


def test_a_migration_waits_for_a_load(feed: Feed, tmp_path: Path) -> None:
    """It says for which one, and does nothing until that ends."""
    checkout = Checkout.make(tmp_path, 'op.create_table("made", sa.Column("id", sa.Integer()))')
    before = feed.dump()
    with ExclusiveSession(make_engine(feed.url), 0) as session:
        session.transact(open_run)
        migration = checkout.start(feed, "migrate")
        assert migration.stderr is not None
        assert "waiting for load 1, begun " in migration.stderr.readline()
        refused = checkout.run(feed, "migrate", "--wait", "0")
        assert [line for line in feed.dump() if "load_runs" not in line] == before
    assert refused.status == 3
    assert f", holds {make_url(feed.url).database}; wait for it" in refused.err
    done = finished(migration)
    assert done.status == 0, done.err
    assert f"{HEAD} -> one_more: one more" in done.out.splitlines()


def test_a_load_finds_a_migration(feed: Feed, visitpay: Visitpay) -> None:
    """It says so, as another migration does; who only looks does not wait."""
    name = make_url(feed.url).database
    wait = f"holds {name}; wait for it, or give a longer --wait"
    with exclusive(make_url(feed.url), 0):
        outcome = visitpay("load", "--wait", "0")
        assert (outcome.status, outcome.said) == (3, f"visitpay: a migration {wait}\n")
        outcome = visitpay("migrate", "--wait", "0")
        assert outcome.err.endswith(f"visitpay: another migration {wait}\n")
        assert visitpay("migrate", "--check").status == visitpay("status").status == 0
        for look in (command.current, command.check, command.history):
            look(alembic_config())
    assert visitpay("load").status == 0
    with ExclusiveSession(make_engine(feed.url), 0):
        assert "another load holds" in visitpay("load", "--wait", "0").err
        assert "visitpay: another command holds" in visitpay("migrate", "--wait", "0").err


@pytest.mark.parametrize("is_additive", [True, False])
def test_a_load_during_a_migration(feed: Feed, tmp_path: Path, *, is_additive: bool) -> None:
    """It waits; then it goes on if what was migrated is additive, and refuses if not."""
    up = 'op.create_table("made", sa.Column("id", sa.Integer()))\nwait()'
    checkout = Checkout.make(tmp_path, up, is_additive=is_additive)
    feed.deliver(Procedure)
    migration = checkout.start(feed, "migrate")
    checkout.reach(migration)
    load = start(feed, ["load"])
    checkout.go_on()
    assert finished(migration).status == 0
    outcome = finished(load)
    assert outcome.status == (0 if is_additive else 3), outcome.err
    assert is_additive or "which this visitpay does not know" in outcome.err


INDEX = """
with op.get_context().autocommit_block():
    op.create_index("made", "visits", ["guarantor_identifier"], postgresql_concurrently=True)
"""


def test_two_migrations_at_once(loaded: Feed, tmp_path: Path) -> None:
    """One migrates, the other waits and finds nothing to do, also where an index is concurrent."""
    checkout = Checkout.make(tmp_path, INDEX, 'op.drop_index("made", "visits")')
    with ExclusiveSession(make_engine(loaded.url), 0):
        both = [checkout.start(loaded, "migrate") for _ in range(2)]
        for migration in both:
            assert migration.stderr is not None
            assert "waiting for another command" in migration.stderr.readline()
    ends = [finished(migration) for migration in both]
    assert [end.status for end in ends] == [0, 0], ends
    assert sorted("nothing to do" in end.out for end in ends) == [False, True]
    assert checkout.run(loaded, "migrate", "--downgrade", HEAD).status == 0


REBUILD = """
@sa.event.listens_for(op.get_bind(), "after_cursor_execute")
def at(connection, cursor, statement, *_):
    if {point!r} in statement:
        wait()

op.create_table("made", sa.Column("id", sa.Integer()))
op.execute("UPDATE visits SET guarantor_identifier = 0")
with op.batch_alter_table("visits") as batch:
    batch.alter_column("insurance_identifier", type_=sa.Text())
"""


@only_sqlite
@pytest.mark.parametrize(
    "point",
    ["CREATE TABLE _alembic_tmp", "INSERT INTO _alembic_tmp", "DROP TABLE", "RENAME", "alembic_v"],
)
def test_killed_on_sqlite(loaded: Feed, tmp_path: Path, point: str) -> None:
    """Killed at any statement of a rebuild, a migration leaves nothing behind, and runs again."""
    before, checkout = loaded.dump(), Checkout.make(tmp_path, REBUILD.format(point=point))
    migration = checkout.start(loaded, "migrate")
    checkout.reach(migration)
    migration.kill()
    assert finished(migration).status < 0
    assert loaded.dump() == before
    beside = {path.name for path in loaded.database.parent.glob("visitpay.db*")}
    assert beside == {"visitpay.db", "visitpay.db-lock"}
    assert loaded.load().status == "ok"
    checkout.go_on()
    assert checkout.run(loaded, "migrate").status == 0


def backends(feed: Feed) -> Iterator[int]:
    """Yield how many sessions of the command the server has, for some seconds."""
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    count = f"SELECT count(*) FROM pg_stat_activity WHERE {others}"
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with make_engine(feed.url).connect() as connection:
            yield connection.execute(text(count)).scalar_one()


@only_postgresql
@pytest.mark.parametrize("step", ["wait()", 'WAITING.touch(); op.execute("SELECT pg_sleep(600)")'])
def test_killed_on_postgresql(loaded: Feed, tmp_path: Path, step: str) -> None:
    """Killed, also in the middle of a statement, a migration leaves nothing, and no session."""
    up = REBUILD.format(point="-") + f"if not GO.exists():\n    {step}"
    before, checkout = loaded.dump(), Checkout.make(tmp_path, up)
    migration = checkout.start(loaded, "migrate")
    checkout.reach(migration)
    migration.kill()
    assert finished(migration).status < 0
    assert 0 in backends(loaded)
    assert loaded.dump() == before
    assert loaded.load().status == "ok"
    checkout.go_on()
    assert checkout.run(loaded, "migrate").status == 0


def test_failing(loaded: Feed, tmp_path: Path) -> None:
    """A migration that fails says where the database is: where it was, with all that it held."""
    up = REBUILD.format(point="-") + 'op.execute("no such statement")'
    before, checkout = loaded.dump(), Checkout.make(tmp_path, up)
    outcome = checkout.run(loaded, "migrate")
    assert (outcome.status, loaded.dump()) == (3, before)
    assert outcome.out.splitlines()[-1].endswith(f" is at {HEAD}")
    assert "syntax error" in outcome.err.splitlines()[-1]
    assert "Traceback" not in outcome.err


def test_failing_after_a_commit(loaded: Feed, tmp_path: Path) -> None:
    """What comes before a block of its own transactions stays: the revision is run again whole."""
    up = 'op.create_table("made", sa.Column("id", sa.Integer()), if_not_exists=True)\n'
    checkout = Checkout.make(tmp_path, f"{up}{INDEX}\nif not GO.exists():\n    raise KeyError")
    assert checkout.run(loaded, "migrate").status == 3
    with make_migration_engine(loaded.url).connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM made")) == 0
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == HEAD
