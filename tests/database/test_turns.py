"""A transaction in doubt: on Citus a load may be told that all is committed, before it is.

PostgreSQL does the same here: instead of being committed, the transaction that has loaded a file is
prepared, and decided only when somebody waits for it.
"""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, event, make_url, select
from sqlalchemy.exc import OperationalError

from tests.support.command import Visitpay
from tests.support.databases import rendered
from tests.support.feed import Feed, only_postgresql
from visitpay.database import session
from visitpay.database.dialects import postgresql
from visitpay.database.engine import make_engine, read_connection
from visitpay.database.session import ExclusiveSession
from visitpay.errors import DatabaseError
from visitpay.loading import run
from visitpay.models import LoadFile, Procedure, Turn

OLD, NEW = "20211201_223357", "20211202_223357"

pytestmark = only_postgresql


class Doubt:
    """What makes the commit of a file doubtful, and decides it once a transaction waits for it."""

    def __init__(self, feed: Feed, patch: pytest.MonkeyPatch) -> None:
        """Let the files be loaded without temporary tables, which cannot be prepared."""
        self.decision = "COMMIT PREPARED 'doubt'"
        self.waits = 0
        self._feed, self._patch = feed, patch
        self._is_file = self._is_done = False
        self._staging = postgresql._staging  # noqa: SLF001 - the table of rows that come
        self._take = postgresql.take_turn
        patch.setattr(postgresql, "_staging", self._permanent)
        patch.setattr(postgresql, "take_turn", self._take_or_decide)

    def _permanent(self, *arguments: Any) -> Any:
        self._is_file = True
        staging = self._staging(*arguments)
        self._patch.setattr(staging.table, "_prefixes", ["UNLOGGED"])
        return staging

    def _take_or_decide(self, connection: Connection) -> bool:
        is_taken = self._take(connection)
        if not is_taken:
            self.waits += 1
            self.decide()
        return is_taken

    def decide(self) -> None:
        """Commit the transaction, or roll it back."""
        url = rendered(make_url(self._feed.url).set(drivername="postgresql"))
        with psycopg.connect(url, autocommit=True) as decider:
            if decider.execute("SELECT FROM pg_prepared_xacts WHERE gid = 'doubt'").fetchall():
                decider.execute(self.decision.encode())

    def load(self, ending: Callable[[Connection], None]) -> Any:
        """Load what was delivered; the end of the first file is in doubt, and then `ending`."""
        engine, self._is_file = make_engine(self._feed.url), False

        def prepare(connection: Connection) -> None:
            if self._is_file and not self._is_done:
                self._is_done = True
                connection.exec_driver_sql("PREPARE TRANSACTION 'doubt'")
                ending(connection)

        event.listen(engine, "commit", prepare)
        return run.load(engine, self._feed.landing, "HospitalABC")


@pytest.fixture
def doubt(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> Iterator[Doubt]:
    """Yield it; at the end nothing is in doubt."""
    url = rendered(make_url(feed.url).set(drivername="postgresql"))
    with psycopg.connect(url) as connection:
        if connection.execute("SHOW max_prepared_transactions").fetchone() == ("0",):
            pytest.skip("the server has no max_prepared_transactions")
    doubt = Doubt(feed, monkeypatch)
    yield doubt
    doubt.decide()


def go_on(_connection: Connection) -> None:
    """Say that all is committed."""


def die(_connection: Connection) -> None:
    """Be stopped."""
    raise KeyboardInterrupt


def lose(connection: Connection) -> None:
    """Lose the connection."""
    connection.invalidate()
    message = "COMMIT"
    raise OperationalError(message, None, psycopg.OperationalError("gone"))


def ledger(feed: Feed) -> list[tuple[str, str, int]]:
    """Return what the ledger says of each file."""
    columns = (LoadFile.name, LoadFile.status, LoadFile.rows_stale)
    with read_connection(feed.url) as connection:
        found = connection.execute(select(*columns).order_by(LoadFile.name)).all()
    return [(name[-19:-4], status, stale) for name, status, stale in found]


@pytest.mark.parametrize("decision", ["COMMIT", "ROLLBACK"])
def test_a_late_file_waits(
    feed: Feed, visitpay: Visitpay, doubt: Doubt, monkeypatch: pytest.MonkeyPatch, decision: str
) -> None:
    """A load that finds a file in doubt waits before it plans, and the newer values stand."""
    monkeypatch.setattr(session, "_LAST_WAIT_SECONDS", 0)  # of the load that is stopped
    feed.deliver(Procedure, at=OLD, procedure_description="first")
    assert visitpay("load").status == 0
    feed.deliver(Procedure, at=NEW, procedure_description="new")
    doubt.decision = "SELECT 1"
    with pytest.raises(KeyboardInterrupt):
        doubt.load(die)
    doubt.decision = f"{decision} PREPARED 'doubt'"
    doubt.waits = 0
    feed.deliver(Procedure, at="20211202_000000", procedure_description="late")
    outcome = visitpay("load", "--json")
    assert outcome.status == 0
    assert doubt.waits == 1
    database = make_url(feed.url).database
    told = f"waiting for a former transaction on {database} to be decided, 300 s at most"
    assert outcome.err.count(told) == 1
    assert feed.descriptions() == {1: "new"}
    loaded = [file["name"][-19:-4] for file in outcome.document["files"]]
    stale = int(decision == "COMMIT")
    assert loaded == ["20211202_000000", NEW][: 2 - stale]
    assert ledger(feed) == [
        (OLD, "loaded", 0),
        ("20211202_000000", "loaded", stale),
        (NEW, "loaded", 0),
    ]


@pytest.mark.parametrize("ending", [go_on, lose])
def test_a_load_waits_for_itself(
    feed: Feed, doubt: Doubt, ending: Callable[[Connection], None]
) -> None:
    """A load goes on when its own file is decided; one that was committed is loaded once."""
    feed.deliver(Procedure, at=NEW, procedure_description="new")
    report = doubt.load(ending)
    assert (doubt.waits, report.status) == (1, "ok")
    assert [(file.status, file.counts.inserted) for file in report.files] == [("loaded", 1)]
    assert ledger(feed) == [(NEW, "loaded", 0)]


def test_what_is_rolled_back_is_loaded_again(feed: Feed, doubt: Doubt) -> None:
    """After a lost connection a file is loaded anew once it is known not to be committed."""
    doubt.decision = "ROLLBACK PREPARED 'doubt'"
    feed.deliver(Procedure, at=NEW, procedure_description="new")
    report = doubt.load(lose)
    assert (doubt.waits, report.status) == (1, "ok")
    assert ledger(feed) == [(NEW, "loaded", 0)]
    assert feed.descriptions() == {1: "new"}


def test_it_does_not_wait_for_ever(feed: Feed) -> None:
    """One locked row is enough to wait for; in the end it is said where to look."""
    url = rendered(make_url(feed.url).set(drivername="postgresql"))
    with psycopg.connect(url) as holder, ExclusiveSession(make_engine(feed.url), 0, 0) as load:
        holder.execute("SELECT FROM turns WHERE entity = 'Visit' FOR UPDATE")
        with pytest.raises(DatabaseError, match=r"neither committed nor rolled back.*pg_prepared"):
            load.transact(lambda connection: connection.scalars(select(Turn.entity)).all())
        with pytest.raises(DatabaseError), load.dry_run():
            pytest.fail("a dry run has no turn, either")
        holder.rollback()
        turns = load.transact(lambda connection: connection.scalars(select(Turn.entity)).all())
    assert sorted(turns) == ["Procedure", "Transaction", "Visit"]
