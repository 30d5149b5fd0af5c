"""Hospitals share a database of PostgreSQL, each in a schema of its own."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg
import pytest

from tests.support.command import Outcome
from tests.support.databases import Postgres, rendered
from tests.support.hospitals import Group
from visitpay.database.engine import make_engine
from visitpay.database.session import ExclusiveSession

SCHEMAS = {"Abc": "abc", "Mercy": 'Mercy\'s "own"', "St. John": "public"}


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """Yield the URL of an empty database with a schema for each hospital."""
    url = postgres.create()
    with closing(psycopg.connect(rendered(url.set(drivername="postgresql")))) as connection:
        for schema in SCHEMAS.values():
            name = schema.replace('"', '""')
            connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{name}"'.encode())
        connection.commit()
    yield rendered(url)
    postgres.drop(url)


@pytest.fixture
def sharing(hospitals: Group, database: str) -> Group:
    """Return three hospitals that share a database, whose files wait."""
    lines = [f"database_url = {json.dumps(database)}"]
    for name, schema in SCHEMAS.items():
        landing = hospitals.feeds[name].landing
        lines += [f"[{json.dumps(name)}]", f"landing = {json.dumps(str(landing))}"]
        lines += [f"schema = {json.dumps(schema)}"]
    hospitals.file.write_text("\n".join(lines))
    return hospitals


def counted(url: str) -> dict[str, int]:
    """Return the rows of each schema's table of visits, by psycopg alone."""
    names = "SELECT table_schema FROM information_schema.tables WHERE table_name = 'visits'"
    found = {}
    with closing(psycopg.connect(url.replace("+psycopg", ""))) as connection:
        for (schema,) in connection.execute(names).fetchall():
            name = schema.replace('"', '""')
            count = connection.execute(f'SELECT count(*) FROM "{name}".visits'.encode()).fetchone()
            found[schema] = count[0] if count else 0
    return found


@pytest.mark.usefixtures("sharing")
def test_each_has_its_own_tables(for_all: Callable[..., Outcome], database: str) -> None:
    """They are migrated, loaded and looked at with --all, and none sees another's rows."""
    assert for_all("load").status == 3  # no schema has tables yet
    assert for_all("migrate", "--workers", "2").status == 0
    assert counted(database) == dict.fromkeys(SCHEMAS.values(), 0)
    loaded = for_all("load", "--workers", "2", "--json")
    assert (loaded.status, loaded.document["status"]) == (0, "ok")
    assert counted(database) == dict.fromkeys(SCHEMAS.values(), 1)
    assert for_all("status", "--json").document["status"] == "ok"


def test_a_lock_is_of_one_schema(
    sharing: Group, for_all: Callable[..., Outcome], database: str
) -> None:
    """While a load holds one hospital, the others are loaded, and that one is left to it."""
    assert for_all("migrate").status == 0
    engine = make_engine(f"{database}?schema=abc")
    with ExclusiveSession(engine, 0):
        ended = for_all("load", "--json")
    found = {name: each["status"] for name, each in ended.document["hospitals"].items()}
    assert (ended.status, found) == (0, {"Abc": "left", "Mercy": "ok", "St. John": "ok"})
    assert sharing.feeds.keys() == found.keys()
    assert counted(database) == {"abc": 0, SCHEMAS["Mercy"]: 1, "public": 1}


def test_a_database_of_another(
    hospitals: Group, visitpay_alone: Callable[..., Outcome], database: str
) -> None:
    """Whoever looks at a database under another hospital's name is refused, as a load is."""
    url = f"{database}?schema=abc"
    landing = hospitals.feeds["Abc"].landing
    assert visitpay_alone("migrate", "--database-url", url).status == 0
    named = ("--database-url", url, "--hospital")
    assert visitpay_alone("load", landing, *named, "Abc").status == 0
    for command in ("load", "status", "report"):
        refused = visitpay_alone(command, landing, *named, "Mercy")
        assert refused.status == 2
        assert "the database holds files of Abc, not of Mercy" in refused.err
