"""A schema for each hospital: loads and migrations keep to it, and do not wait for another's."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from alembic import command
from sqlalchemy import make_url

from tests.support.command import Visitpay
from tests.support.databases import Postgres, alembic_config, rendered
from tests.support.feed import Feed, row
from visitpay import api
from visitpay.database.dialects import dialect_of
from visitpay.database.engine import make_engine, parse_url, read_connection
from visitpay.database.naming import migrate_command, shown
from visitpay.database.session import ExclusiveSession
from visitpay.errors import BusyError
from visitpay.hints import SET_URL, Setup
from visitpay.migrations.migrate import migrate, print_script
from visitpay.migrations.run import exclusive
from visitpay.models import Procedure, Visit

NAMES = ("abc", "abcd", "Abc", "a b", "ä.ö", 'quo"te', "it's", "a:b%c\\d&e=f?#@/")
SECRET = "hunter2%"  # noqa: S105 - no server asks for it
EVERYTHING = """
SELECT nspname, kind, count(*) FROM (
    SELECT relnamespace AS place, CAST(relkind AS text) AS kind FROM pg_class
    UNION ALL SELECT typnamespace, 'type' FROM pg_type
    UNION ALL SELECT pronamespace, 'function' FROM pg_proc
) AS things JOIN pg_namespace ON pg_namespace.oid = place
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' GROUP BY 1, 2
"""


@pytest.fixture
def feed(postgres: Postgres, tmp_path: Path) -> Iterator[Feed]:
    """Yield an empty landing directory and a database with nothing in it."""
    landing = tmp_path / "landing"
    landing.mkdir()
    url = postgres.create()
    yield Feed(landing, rendered(url))
    postgres.drop(url)


def ask(feed: Feed, query: str) -> list[tuple[object, ...]]:
    """Ask the server behind visitpay's back."""
    url = rendered(make_url(feed.url).set(drivername="postgresql"))
    with psycopg.connect(url, autocommit=True) as connection:
        done = connection.execute(query.encode())
        return done.fetchall() if done.description else []


def quoted(name: str) -> str:
    """Return a name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def in_schema(feed: Feed, name: str) -> str:
    """Return a URL that names a schema."""
    return rendered(make_url(feed.url).update_query_dict({"schema": name}))


def make(feed: Feed, name: str) -> str:
    """Make a schema with visitpay's tables, and return its URL."""
    ask(feed, f"CREATE SCHEMA {quoted(name)}")
    migrate(in_schema(feed, name), tell=lambda _: None)
    return in_schema(feed, name)


def test_all_is_in_the_schema(
    feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its name, a schema gets all tables and rows; nothing is in another, or in public."""
    feed.deliver(Procedure)
    for number, name in enumerate(NAMES, 1):
        make(feed, name)
        feed.deliver(Visit, *(row(visit_identifier=key) for key in range(number)))
        monkeypatch.setenv("VISITPAY_SCHEMA", name)
        assert visitpay("load").status == 0
        command.check(alembic_config())
    counts = [
        ask(feed, f"SELECT count(*) FROM {quoted(name)}.visits") == [(number,)]
        for number, name in enumerate(NAMES, 1)
    ]
    assert all(counts)
    things = ask(feed, EVERYTHING)
    assert {each[0] for each in things} == set(NAMES)
    kinds = {each[1:] for each in things}
    assert len(kinds) == len({kind for kind, _count in kinds}) == 4  # tables, sequences and so on


def test_alembic_alone(feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch) -> None:
    """`alembic upgrade` and `downgrade` work on the schema that the environment names."""
    ask(feed, "CREATE SCHEMA abc")
    monkeypatch.setenv("VISITPAY_DATABASE_URL", feed.url)
    monkeypatch.setenv("VISITPAY_SCHEMA", "abc")
    command.upgrade(alembic_config(), "head")
    assert visitpay("migrate", "--check").out.endswith("nothing to do\n")
    command.downgrade(alembic_config(), "base")
    assert {each[:2] for each in ask(feed, EVERYTHING)} == {
        ("abc", "r"),
        ("abc", "i"),
        ("abc", "type"),
    }  # alembic_version alone


@pytest.mark.parametrize("name", ["abc", NAMES[-1] + "'"])
def test_by_hand(feed: Feed, capfd: pytest.CaptureFixture[str], name: str) -> None:
    """The statements of `--sql` make all in the schema; where it is missing they make nothing."""
    print_script(in_schema(feed, name))
    script = capfd.readouterr().out
    with pytest.raises(psycopg.Error, match="no schema has been selected"):
        ask(feed, script)
    ask(feed, f"CREATE SCHEMA {quoted(name)}")
    ask(feed, script)
    with read_connection(in_schema(feed, name)):
        pass
    assert {each[0] for each in ask(feed, EVERYTHING)} == {name}


def test_what_is_missing(feed: Feed, visitpay: Visitpay) -> None:
    """A schema that is not there, or may not be used, is told with the statement to run."""
    missing = visitpay("load", "--schema", 'A"b')
    assert missing.status == 3
    statement = 'CREATE SCHEMA "A""b" AUTHORIZATION postgres'
    assert missing.said.endswith(f"as the owner of the database, run: {statement}\n")
    assert ask(feed, "SELECT count(*) FROM pg_namespace WHERE nspname = 'A\"b'") == [(0,)]
    ask(feed, statement)
    empty = visitpay("load", "--schema", 'A"b')
    assert empty.status == 3
    assert 'the schema A"b is empty yet; run: visitpay migrate --database-url' in empty.said
    ask(feed, "CREATE ROLE passer_by LOGIN")
    try:
        url = rendered(make_url(feed.url).set(username="passer_by"))
        refused = visitpay("status", "--schema", 'A"b', "--database-url", url)
        assert refused.status == 3
        grant = 'GRANT USAGE ON SCHEMA "A""b" TO passer_by'
        assert refused.said.endswith(f"as its owner run: {grant}\n")
        ask(feed, grant)
        told = visitpay("status", "--schema", 'A"b', "--database-url", url)
        assert "visitpay migrate" in told.said
    finally:
        ask(feed, "DROP OWNED BY passer_by; DROP ROLE passer_by")


@pytest.mark.parametrize(
    ("url", "schema", "told"),
    [
        ("{}?schema=abc", "abd", "names the schema abc, and --schema or VISITPAY_SCHEMA names abd"),
        ("sqlite:///x.db", "abc", "SQLite has no schemas"),
        ("sqlite:///x.db?schema=abc", None, "SQLite has no schemas"),
        ("{}", "", "--schema is empty"),
        ("{}", "pg_temp", "cannot be a schema's name"),
        ("{}", "$user", "cannot be a schema's name"),
        ("{}", "a\x1bb", r"a\x1bb cannot be a schema's name"),
        ("{}", "ä" * 32, "cannot be a schema's name"),
        ("{}?schema=a&schema=b", None, "cannot be a schema's name"),
    ],
)
def test_what_cannot_be(
    feed: Feed, visitpay: Visitpay, url: str, schema: str | None, told: str
) -> None:
    """A schema that cannot be meant is refused, whichever command it is."""
    named = [] if schema is None else ["--schema", schema]
    for words in (["status"], ["load"], ["migrate"], ["rejects", "list"]):
        outcome = visitpay(*words, "--database-url", url.format(feed.url), *named)
        assert (outcome.status, told in outcome.err) == (2, True), outcome.err


def test_argument_and_environment(
    feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An argument wins over the environment, also over that of Python's functions."""
    make(feed, "abc")
    make(feed, "abd")
    feed.deliver(Procedure)
    monkeypatch.setenv("VISITPAY_SCHEMA", "abd")
    assert visitpay("load", "--schema", "abc").status == 0
    assert api.files(database_url=in_schema(feed, "abc"))
    assert not api.files(database_url=feed.url)
    assert not api.files()


def test_locks(feed: Feed) -> None:
    """A load of one hospital does not wait for another's; two of one exclude each other."""
    one, other = make(feed, "abc"), make(feed, "abcd")
    by_path = f"{feed.url}?options=-csearch_path%3Dabc"
    database = make_url(feed.url).database
    with ExclusiveSession(make_engine(one), 0):
        for url in (one, by_path):
            assert is_held(url)
            assert busy(url)
        assert not is_held(other)
        with ExclusiveSession(make_engine(other), 0):
            assert is_held(other)
    with exclusive(parse_url(one), 0):
        assert busy(one) == (
            f"a migration holds the schema abc of {database}; wait for it, or give a longer --wait"
        )
        with ExclusiveSession(make_engine(other), 0):
            assert busy(other).startswith(f"another load holds the schema abcd of {database};")


def busy(url: str) -> str:
    """Return what is told to a load that finds another one."""
    with pytest.raises(BusyError) as error, ExclusiveSession(make_engine(url), 0):
        pass
    return str(error.value)


def is_held(url: str) -> bool:
    """Whether a load holds the schema, as commands that only read see it."""
    with read_connection(url) as connection:
        return dialect_of(connection).is_held(connection)


def test_the_lock_of_public_is_as_before(feed: Feed) -> None:
    """Older versions, which know one key, and this one exclude each other."""
    migrate(feed.url, tell=lambda _: None)
    url = rendered(make_url(feed.url).set(drivername="postgresql"))
    with psycopg.connect(url) as older:
        older.execute("SELECT pg_advisory_lock(8532477865792397689)")
        for same in (feed.url, in_schema(feed, "public")):
            assert busy(same)


def test_a_command_can_be_run_as_it_is_shown(feed: Feed) -> None:
    """A command names the schema, also where it leaves the URL out."""
    url = in_schema(feed, "a b")
    base = shown(make_url(feed.url))
    hint = Setup(url).hint("status")
    assert shlex.split(hint) == ["visitpay", "status", "--database-url", base, "--schema", "a b"]
    withheld = rendered(make_url(url).set(password=SECRET))
    assert Setup(withheld).hint("status") == f"visitpay status --schema 'a b'{SET_URL}"
    assert migrate_command(make_url(url)).endswith(f"--database-url {base} --schema 'a b'")
    assert migrate_command(make_url(withheld), owner="o") == (
        "visitpay migrate --schema 'a b' (with VISITPAY_DATABASE_URL set to this database, as its"
        " owner o)"
    )
