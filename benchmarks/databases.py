"""Fresh databases, on SQLite and on PostgreSQL."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import URL

from benchmarks.tables import MakeTables

if TYPE_CHECKING:
    from tests.support.databases import Postgres


class Databases(Protocol):
    """Where fresh databases come from; tables are made once, and copied from then on."""

    def fresh(self, make_tables: MakeTables) -> AbstractContextManager[URL]:
        """Give a database with some tables, for a while."""
        ...

    def settle(self) -> None:
        """Have everything written that was left to write."""
        ...


class SQLite:
    """Databases in a folder."""

    def __init__(self, folder: Path) -> None:
        """Use a folder."""
        self._folder = folder
        self._templates: dict[MakeTables, Path] = {}

    @contextmanager
    def fresh(self, make_tables: MakeTables) -> Iterator[URL]:
        """Give a database with some tables, for a while."""
        template = self._templates.get(make_tables)
        if template is None:
            template = self._folder / f"template{len(self._templates)}.db"
            make_tables(_sqlite(template))
            template.touch()
            self._templates[make_tables] = template
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            path = Path(folder, "feed.db")
            shutil.copy(template, path)
            yield _sqlite(path)

    def settle(self) -> None:
        """Have everything written that was left to write."""
        os.sync()


def _sqlite(path: Path) -> URL:
    return URL.create("sqlite", database=str(path))


class PostgreSQL:
    """Databases of a server."""

    def __init__(self, postgres: "Postgres") -> None:
        """Use a server."""
        self._postgres = postgres
        self._templates: dict[MakeTables, str] = {}

    @contextmanager
    def fresh(self, make_tables: MakeTables) -> Iterator[URL]:
        """Give a database with some tables, for a while."""
        template = self._templates.get(make_tables)
        if template is None:
            url = self._postgres.create()
            make_tables(url)
            template = self._templates[make_tables] = str(url.database)
        url = self._postgres.create(template)
        yield url.set(password="none")  # noqa: S106 - the server asks for none, but dlt insists
        self._postgres.drop(url)

    def settle(self) -> None:
        """Have everything written that was left to write."""
        self._postgres.execute("CHECKPOINT")
        os.sync()


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """Start a server on loopback that waits for the disk, as a server should."""
    from tests.support.databases import running

    with running() as (server, postgres):
        postgres.execute("ALTER SYSTEM SET fsync = on")
        server.reload()
        yield PostgreSQL(postgres)
