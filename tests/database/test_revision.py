"""Which schemas this code can work on, and what is said of the others."""

import re
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from tests.support.command import Visitpay
from tests.support.databases import HEAD, OLDEST, Postgres, migrate, rendered
from tests.support.feed import Feed
from visitpay.database.engine import read_connection
from visitpay.database.naming import migrate_command, shown
from visitpay.database.revision import revisions
from visitpay.errors import DatabaseError
from visitpay.models import Procedure


def newer(revision: str, *, is_additive: bool, instead_of: str = HEAD) -> list[str]:
    """Return statements after which a newer visitpay seems to have migrated the database."""
    row = f"('{revision}', {str(is_additive).lower()}, CURRENT_TIMESTAMP)"
    return [
        f"UPDATE alembic_version SET version_num = '{revision}' WHERE version_num = '{instead_of}'",
        f"INSERT INTO schema_revisions VALUES {row}",
    ]


NOT_OURS = "it belongs to another program, or was restored in part; name another database"
UNKNOWN = "and not every newer revision is known to be additive; use the newer visitpay"
UNUSABLE = [
    (["DROP TABLE alembic_version"], NOT_OURS),
    (["DELETE FROM alembic_version"], NOT_OURS),
    (
        [f"UPDATE alembic_version SET version_num = '{OLDEST}'"],
        f"the database's schema is {OLDEST}, older than {HEAD}, which this visitpay needs; run: ",
    ),
    (newer("next", is_additive=False), UNKNOWN),
    (newer("next", is_additive=True)[:1], UNKNOWN),  # not on record
    (
        [*newer("gap", is_additive=False), *newer("next", is_additive=True, instead_of="gap")],
        UNKNOWN,
    ),
    (
        [
            *newer("next", is_additive=True),
            f"DELETE FROM schema_revisions WHERE revision = '{HEAD}'",
        ],
        UNKNOWN,
    ),
    ([*newer("next", is_additive=True), "DROP TABLE schema_revisions"], UNKNOWN),
    (["INSERT INTO alembic_version VALUES ('another_branch')"], f"is {HEAD}, another_branch, "),
]


@pytest.mark.parametrize(("statements", "message"), UNUSABLE)
def test_unusable_schema(feed: Feed, statements: list[str], message: str) -> None:
    """A schema that this code cannot use is refused with what it is and what to run."""
    with read_connection(feed.url):
        pass
    feed.execute(*statements)
    with pytest.raises(DatabaseError) as caught, read_connection(feed.url):
        pass
    assert message in str(caught.value)


def test_an_empty_database(tmp_path: Path, postgres: Postgres) -> None:
    """One without tables is told from one of another program, which is left alone."""
    server = postgres.create()
    for url in (f"sqlite:///{tmp_path / 'x.db'}", rendered(server)):
        feed = Feed(tmp_path, url)
        feed.execute("CREATE TABLE others (id INTEGER)")
        message = f"no schema yet; run: {migrate_command(make_url(url))}$"
        with pytest.raises(DatabaseError, match=re.escape(message[:-1])), read_connection(url):
            pass
        migrate(url)
        with read_connection(url) as connection:
            assert connection.execute(text("SELECT * FROM others")).all() == []
    postgres.drop(server)


def test_newer_schema(feed: Feed, visitpay: Visitpay) -> None:
    """Revisions that only add let older code go on: it loads, and says so where it is asked."""
    feed.execute(*newer("next", is_additive=True))
    feed.execute(*newer("last", is_additive=True, instead_of="next"))
    feed.deliver(Procedure)
    assert visitpay("load").status == 0
    assert feed.keys(Procedure) == [1]
    outcome = visitpay("migrate", "--check")
    told = "newer than this visitpay, which can work on it (additive): last, next"
    assert (outcome.status, outcome.out.splitlines()[1]) == (0, told)
    assert visitpay("migrate").out.endswith("is at last: nothing to do\n")
    assert "which this visitpay can work with: last, next" in visitpay("doctor").out


URLS = {
    "sqlite:////srv/a b.db": "--database-url 'sqlite:////srv/a b.db'",
    "postgresql+psycopg://me@host/db": "--database-url postgresql+psycopg://me@host/db",
    "postgresql+psycopg://me:SECRET@host/db": None,
    "postgresql+psycopg://me@host/db?password=SECRET": None,
    "postgresql+psycopg://me@host/db?options=SECRET": None,
}


@pytest.mark.parametrize("url", URLS)
def test_commands(url: str) -> None:
    """The command to run stands as it is for a shell, and has no password."""
    named = URLS[url] or "(with VISITPAY_DATABASE_URL set to this database)"
    assert migrate_command(make_url(url)) == f"visitpay migrate {named}"
    assert "SECRET" not in shown(make_url(url))


def test_a_file_is_named_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command works from whatever directory."""
    monkeypatch.chdir(tmp_path)
    expected = f"visitpay migrate --database-url sqlite:///{tmp_path}/x.db"
    assert migrate_command(make_url("sqlite:///x.db")) == expected


def test_merged_revisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads are known from scripts of every form that Alembic and formatters write."""
    versions = tmp_path / "versions"
    versions.mkdir()
    scripts = {
        "a": "revision = 'a'\ndown_revision = None\n",
        "b": 'revision: str = "b"\ndown_revision: str | None = "a"  # why\n',
        "c": 'revision = "c"\ndown_revision = "a"\nother = ("x")\n',
        "d": 'revision = "d"\ndown_revision = (\n    "b",\n    "c",\n)\n',
        "e": 'revision = "e"\ndown_revision = ("b", "c")\n',
    }
    for name, script in scripts.items():
        (versions / f"{name}.py").write_text(script)
    monkeypatch.setattr("visitpay.database.revision.migrations_folder", lambda: tmp_path)
    assert revisions() == (set("abcde"), {"d", "e"})
