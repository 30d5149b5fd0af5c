"""`visitpay migrate`: what it says, what it refuses, what it leaves to others."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import make_url

from tests.support.command import Outcome, Visitpay
from tests.support.databases import HEAD, OLDEST, ROOT, Postgres, rendered
from tests.support.feed import Feed, only_postgresql, only_sqlite
from visitpay.database.naming import shown
from visitpay.migrations import migrate as migrate_module
from visitpay.migrations import run
from visitpay.migrations.migrate import migrate
from visitpay.models import Procedure

MORE = f'''"""one more.

Revision: one_more
"""
import time
import sqlalchemy as sa
from alembic import op
revision = "one_more"
down_revision = "{HEAD}"
additive = True


def upgrade() -> None:
    op.add_column("visits", sa.Column("ward", sa.Text()))
    op.execute("SELECT 1")


def downgrade() -> None:
    op.drop_column("visits", "ward")
'''


@pytest.fixture
def more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let this visitpay have one revision more; give its file."""
    folder = tmp_path / "100% alembic"
    shutil.copytree(ROOT / "alembic", folder)
    script = folder / "versions" / "one_more.py"
    script.write_text(MORE)
    for module in ("visitpay.database.revision", "visitpay.migrations.migrate"):
        monkeypatch.setattr(f"{module}.migrations_folder", lambda: folder)
    return script


@pytest.mark.usefixtures("more")
def test_up_and_down(feed: Feed, visitpay: Visitpay) -> None:
    """It says which database, from where to where, and goes back only when told to."""
    name, before = shown(make_url(feed.url)), feed.dump()
    outcome = visitpay("migrate", "--check")
    pending = "pending           what it does\none_more additive one more\n"
    assert outcome == Outcome(1, f"{name} is at {HEAD}\n{pending}", "")
    up = f"{name} is at {HEAD}\n{HEAD} -> one_more: one more\n{name} is at one_more\n"
    assert visitpay("migrate") == Outcome(0, up, "")
    assert visitpay("migrate") == Outcome(0, f"{name} is at one_more: nothing to do\n", "")
    outcome = visitpay("migrate", "--check")
    assert outcome == Outcome(0, f"{name} is at one_more\nnothing to do\n", "")
    outcome = visitpay("migrate", HEAD)
    assert outcome.status == 2
    assert f"{HEAD} is older than one_more, where the database is; --downgrade" in outcome.err
    outcome = visitpay("migrate", HEAD, "--downgrade")
    assert outcome.out.splitlines()[1] == f"one_more -> {HEAD}: one more"
    assert feed.dump() == before
    outcome = visitpay("migrate", "one_more", "--downgrade")
    assert outcome.err == "visitpay: --downgrade goes back, but one_more is not applied yet\n"
    assert visitpay("migrate", "nonsense").status == 2
    assert visitpay("migrate", "base", "--downgrade").status == 0
    assert visitpay("migrate", "--check").out.splitlines()[0] == f"{name} is at no revision"


@pytest.mark.usefixtures("more")
def test_several_heads(more: Path, visitpay: Visitpay, feed: Feed) -> None:
    """Two heads are refused until they are merged, or all of them are wanted."""
    other = MORE.replace("one_more", "other").replace('"ward"', '"bed"')
    more.with_name("other.py").write_text(other)
    before = feed.dump()
    outcome = visitpay("migrate")
    assert (outcome.status, feed.dump()) == (2, before)
    assert "Multiple head revisions" in outcome.err
    assert visitpay("migrate", "heads").status == 0
    assert visitpay("status").status == 0
    merge = 'revision = "merged"\ndown_revision = ("one_more", "other")\n'
    steps = "\n\ndef upgrade():\n    pass\n\n\ndef downgrade():\n    pass\n"
    more.with_name("merged.py").write_text(f'"""both."""\n{merge}{steps}')
    assert "schema is one_more, other, older than merged" in visitpay("status").err
    assert "one_more, other -> merged: both" in visitpay("migrate").out


def recorded(feed: Feed) -> list[str]:
    """Return the rows of `schema_revisions`."""
    begin = "INSERT INTO schema_revisions: "
    rows = (line for line in feed.dump() if isinstance(line, str) and line.startswith(begin))
    return [row.removeprefix(begin) for row in rows]


def run_script(feed: Feed, script: str) -> None:
    """Run statements by the database's own means."""
    if feed.url.startswith("sqlite"):
        with closing(sqlite3.connect(feed.database)) as connection:
            connection.executescript(script)
    else:
        url = rendered(make_url(feed.url).set(drivername="postgresql"))
        with psycopg.connect(url, autocommit=True) as server:
            server.execute(script.encode())


@pytest.mark.usefixtures("more")
def test_scripts(feed: Feed, visitpay: Visitpay) -> None:
    """`--sql` prints what does the same by hand, and writes down what was applied."""
    *before_head, at_head = recorded(feed)
    assert at_head.startswith(f"('{HEAD}', ")
    nowhere = make_url(feed.url).set(database="no/such")
    up = visitpay("migrate", f"{HEAD}:head", "--sql", "--database-url", rendered(nowhere))
    down = visitpay("migrate", f"one_more:{HEAD}", "--sql", "--downgrade")
    assert (up.status, down.status, up.err, down.err) == (0, 0, "", "")
    before = feed.dump()
    run_script(feed, up.out)
    assert recorded(feed) == [*before_head, at_head, "('one_more', True)"]
    assert visitpay("migrate", "--check").status == 0
    run_script(feed, down.out)
    assert feed.dump() == before
    outcome = visitpay("migrate", HEAD, "--sql", "--downgrade")
    assert (outcome.status, outcome.out) == (2, "")


def test_stamps(feed: Feed, visitpay: Visitpay, more: Path) -> None:
    """A revision that is only noted is on record with all before it."""
    *_, at_head = recorded(feed)
    assert visitpay("migrate").status == 0
    config = Config()
    config.set_main_option("script_location", str(more.parents[1]).replace("%", "%%"))
    command.stamp(config, HEAD)
    assert at_head in recorded(feed)
    assert "('one_more', True)" not in recorded(feed)
    command.stamp(config, "head")
    assert "('one_more', True)" in recorded(feed)
    command.stamp(config, OLDEST)
    assert visitpay("migrate", "--check").status == 1


@only_sqlite
def test_backups(feed: Feed, visitpay: Visitpay, more: Path, tmp_path: Path) -> None:
    """The copy is whole, its owner's alone, made before anything else, and over no file."""
    feed.deliver(Procedure)
    more.unlink()
    feed.load()
    more.write_text(MORE)
    before, backup = feed.dump(), tmp_path / "before.db"
    assert f"copied to {backup}" in visitpay("migrate", "--backup", backup).out
    assert backup.stat().st_mode & 0o777 == 0o600
    assert Feed(feed.landing, f"sqlite:///{backup}").dump() == before != feed.dump()
    assert visitpay("migrate", "--backup", backup).status == 0  # nothing to do
    newer = feed.dump()
    outcome = visitpay("migrate", HEAD, "--downgrade", "--backup", backup)
    assert outcome.status == 2
    assert outcome.err.endswith(f"{backup} cannot be written: File exists\n")
    outcome = visitpay("migrate", HEAD, "--downgrade", "--backup", tmp_path / "no" / "x")
    assert (outcome.status, feed.dump()) == (2, newer)
    assert {path.name for path in tmp_path.glob("*before*")} == {"before.db"}


@only_postgresql
@pytest.mark.usefixtures("more")
def test_no_backup(feed: Feed, visitpay: Visitpay) -> None:
    """For PostgreSQL it says what to run, without the password, and changes nothing."""
    url = make_url(feed.url).set(password="SECRET")  # noqa: S106 - it is none
    outcome = visitpay("migrate", "--backup", "x y", "--database-url", rendered(url))
    server = shown(make_url(feed.url).set(drivername="postgresql"))
    run_this = f"pg_dump --format=custom '--file=x y' {server}"
    told = f"PostgreSQL is backed up by a program of its own; run before: {run_this}"
    assert outcome == Outcome(2, "", f"visitpay: {told}\n")
    assert visitpay("migrate", "--check").status == 1


@only_postgresql
def test_odd_roles(feed: Feed, postgres: Postgres, more: Path) -> None:
    """Limits on statements of a role do not end a migration; what it may not do is said."""
    more.write_text(MORE.replace("SELECT 1", "SELECT pg_sleep(0.2)"))
    more.write_text(
        more.read_text().replace(
            "def upgrade",
            "def upgrade() -> None:\n    time.sleep(0.2)\n    upgrade_()\n\n\ndef upgrade_",
        )
    )
    postgres.execute("CREATE ROLE odd SUPERUSER LOGIN")
    url = make_url(feed.url).set(username="odd")
    try:
        for setting in ("statement_timeout", "idle_in_transaction_session_timeout"):
            postgres.execute(f"ALTER ROLE odd SET {setting} = '100ms'")
        postgres.execute("ALTER ROLE odd SET standard_conforming_strings = off")
        told: list[str] = []
        migrate(rendered(url), tell=told.append)
        assert told[-1].endswith("is at one_more")
    finally:
        postgres.execute("DROP ROLE odd")


REFUSALS = {
    "SET default_transaction_read_only = on": "use a server and a role that may write",
    "SET search_path = nowhere": "no schema has been selected to create in",
    "NOSUPERUSER": "grant the role what it lacks",
}


@only_postgresql
@pytest.mark.usefixtures("more")
@pytest.mark.parametrize("setting", REFUSALS)
def test_roles_that_may_not(
    feed: Feed, postgres: Postgres, visitpay: Visitpay, setting: str
) -> None:
    """What the server refuses is said, with what to do."""
    postgres.execute("CREATE ROLE odd SUPERUSER LOGIN")
    before = feed.dump()
    try:
        postgres.execute(f"ALTER ROLE odd {setting}")
        url = make_url(feed.url).set(username="odd")
        outcome = visitpay("migrate", "--database-url", rendered(url))
    finally:
        postgres.execute("DROP ROLE odd")
    assert (outcome.status, feed.dump()) == (3, before)
    assert REFUSALS[setting] in outcome.err


@only_postgresql
@pytest.mark.usefixtures("more")
def test_a_long_reader(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table in use is not waited for at a stretch, which holds up all others, but again."""
    monkeypatch.setenv("PGOPTIONS", "-c lock_timeout=50ms")
    pauses: list[float] = []
    reader = psycopg.connect(rendered(make_url(feed.url).set(drivername="postgresql")))
    reader.execute("SELECT * FROM visits")

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            reader.close()

    clock = SimpleNamespace(monotonic=lambda: sum(pauses), sleep=pause)
    monkeypatch.setattr(run, "time", clock)
    monkeypatch.setattr(migrate_module, "time", clock)
    told: list[str] = []
    migrate(feed.url, wait_seconds=100, tell=told.append)
    assert (pauses, told[-1][-8:]) == ([1, 2, 4], "one_more")
