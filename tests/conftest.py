"""What the tests share: a migrated database, a landing directory, the command itself."""

import os
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest
import typer.main
from hypothesis import HealthCheck, settings
from sqlalchemy import make_url

from tests.support.command import Outcome, Visitpay, start, without_privilege
from tests.support.databases import MakeDatabase, Postgres, maker, migrate, running
from tests.support.feed import Feed
from tests.support.listeners import Listener, Mailbox
from visitpay.cli.app import main

# Few examples, the same every time; `make torture` takes many, others every time.
_UNHURRIED = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile("few", _UNHURRIED, max_examples=15, derandomize=True, database=None)
settings.register_profile("many", _UNHURRIED, max_examples=150)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "few"))

# A process has one command line; here it would be made anew from its functions every time.
typer.main.get_command = cache(typer.main.get_command)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrate an empty SQLite database once, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "visitpay.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Yield the server that VISITPAY_TEST_POSTGRES_URL names, or one of the tests' own."""
    if named := os.environ.get("VISITPAY_TEST_POSTGRES_URL"):
        with closing(Postgres(make_url(named))) as postgres:
            yield postgres
    else:
        with running() as (_, postgres):
            yield postgres


@pytest.fixture(scope="session")
def make_database(request: pytest.FixtureRequest) -> MakeDatabase:
    """Return what makes an empty, migrated database of a kind, in a folder, and its URL."""
    return maker(
        lambda: request.getfixturevalue("migrated"), lambda: request.getfixturevalue("postgres")
    )


@pytest.fixture(params=["sqlite", "postgresql"])
def feed(
    request: pytest.FixtureRequest, tmp_path: Path, make_database: MakeDatabase
) -> Iterator[Feed]:
    """Yield an empty landing directory and an empty, migrated database."""
    landing = tmp_path / "landing"
    landing.mkdir()
    with make_database(request.param, tmp_path) as url:
        yield Feed(landing, url)


@pytest.fixture(autouse=True)
def _unwatched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tell no one whom the environment of the tests names, and remember nothing beyond a test."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    for name in ("ALERT_URLS", "PING_URL", "METRICS_FILE", "LOG_FILE"):
        monkeypatch.delenv(f"VISITPAY_{name}", raising=False)


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Yield an HTTP server on loopback."""
    with Listener() as listener:
        yield listener


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """Yield an SMTP server on loopback."""
    mailbox = Mailbox()
    mailbox.start()
    yield mailbox
    mailbox.stop()


@pytest.fixture
def visitpay(
    feed: Feed, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Visitpay:
    """Run the command in this process on the feed's landing directory and database."""
    monkeypatch.setenv("VISITPAY_DATABASE_URL", feed.url)
    monkeypatch.setenv("VISITPAY_LANDING", str(feed.landing))

    def run(*arguments: object) -> Outcome:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Outcome(int(stop.value.code or 0), out, err)

    return run


@pytest.fixture
def unprivileged(feed: Feed) -> Iterator[Visitpay]:
    """Run the command as a process of its own that minds permissions; at the end they are open."""

    def run(*arguments: object) -> Outcome:
        given = [str(each) for each in arguments]
        with start(feed, given, preexec_fn=without_privilege) as process:
            out, err = process.communicate()
        return Outcome(process.returncode, out, err)

    yield run
    for path in (feed.landing.parent, feed.landing):
        path.chmod(0o700)
