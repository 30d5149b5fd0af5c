"""The database for one load at a time: the run lock, and transactions that are retried."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Self, TypeVar

from sqlalchemy import Connection, Engine, RootTransaction
from sqlalchemy.exc import DBAPIError

from visitpay.database.dialects import dialect_of
from visitpay.database.engine import translate_errors
from visitpay.database.naming import title
from visitpay.database.revision import require_head
from visitpay.errors import BusyError, DatabaseError
from visitpay.events import Event

logger = logging.getLogger(__name__)

T = TypeVar("T")

PAUSES = (0.5, 2.0, 8.0)
"""Seconds to wait before each retry: enough for a deadlock, or for a server to restart."""

TURN_SECONDS = 300.0
"""The longest wait for a transaction in doubt; Citus decides them once a minute."""

_POLL_SECONDS = 0.1

_LAST_WAIT_SECONDS = 1.0
"""Enough for a server to notice that a connection has gone, and to release its lock."""


_IN_DOUBT = (
    "a former transaction on {} is neither committed nor rolled back, so nothing was changed; see"
    " pg_prepared_xacts (on Citus, that of its workers: run"
    " SELECT recover_prepared_transactions() on the coordinator), or who has locked the rows of the"
    " table turns; decide it and run again"
)


@contextmanager
def run_lock(
    connection: Connection,
    wait_seconds: float,
    *,
    is_migration: bool = False,
    describe_holder: Callable[[], str] | None = None,
) -> Iterator[None]:
    """Hold the run lock of a database; wait for it outside of any transaction.

    With `describe_holder`, say in the log for whom it waits. Raises BusyError if the lock is not
    free after the wait.
    """
    dialect = dialect_of(connection)
    deadline = time.monotonic() + wait_seconds
    with dialect.run_lock(connection, is_migration=is_migration) as take:
        holder = ""
        while not take():
            if describe_holder and not holder:
                holder = describe_holder()
                logger.warning("waiting for %s, %g s at most", holder.rstrip(","), wait_seconds)
            if time.monotonic() >= deadline:
                by_migration = dialect.is_migrating(connection)
                other = "a migration" if by_migration else "another load"
                name = title(connection.engine.url)
                message = f"{holder or other} holds {name}; wait for it, or give a longer --wait"
                raise BusyError(message, by_migration=by_migration)
            time.sleep(_POLL_SECONDS)
        yield


class ExclusiveSession:
    """A connection with the run lock: no other load works on the database meanwhile.

    The lock is released when the process ends, however it ends. What a transaction of this or a
    former session did may still be in doubt (`turns`), so each one begins by taking its turn.
    """

    def __init__(
        self, engine: Engine, wait_seconds: float, turn_seconds: float = TURN_SECONDS
    ) -> None:
        """Wait at most `wait_seconds` for another load to end.

        Each transaction waits at most `turn_seconds` for a former one that is in doubt.
        """
        self._engine = engine
        self._wait_seconds = wait_seconds
        self._turn_seconds = turn_seconds
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        """Take the run lock; raises BusyError if another load still holds it after the wait.

        Raises DatabaseError if the database cannot be used, or its schema is not at head.
        """
        with translate_errors(self._engine.url):
            self._open()
        return self

    def __exit__(self, *_error: object) -> None:
        """Release the lock and close the connection."""
        self._opened.close()

    def _open(self) -> None:
        self._opened.close()
        with ExitStack() as opened:
            self._connection = opened.enter_context(self._engine.connect())
            opened.enter_context(run_lock(self._connection, self._wait_seconds))
            with self._connection.begin():
                require_head(self._connection)
            self._opened = opened.pop_all()

    @contextmanager
    def dry_run(self) -> Iterator[None]:
        """Roll back at the end what the transactions inside did; none of them is retried."""
        with translate_errors(self._engine.url), self._begin() as everything:
            yield
            everything.rollback()

    def transact(
        self,
        work: Callable[[Connection], T],
        find_result: Callable[[Connection], T | None] | None = None,
    ) -> T:
        """Run `work` in a transaction; retry the whole of it after a transient error.

        A transient error is a deadlock, a failed serialisation or a lost connection. There is one
        retry after each of PAUSES, on a new connection if necessary. A connection may be lost after
        the commit and before its answer: a retry first asks `find_result` for the result of work
        that was committed; None means that it was not. Raises DatabaseError if the database cannot
        be used.
        """
        with translate_errors(self._engine.url):
            if self._connection.in_transaction():
                with self._connection.begin_nested():
                    return work(self._connection)
            attempt = work
            for pause in PAUSES:
                try:
                    return self._once(attempt)
                except DBAPIError as error:
                    dialect = dialect_of(self._engine.url)
                    if not (error.connection_invalidated or dialect.is_transient(error)):
                        raise
                    what = dialect.describe_error(error).what
                    logger.warning(
                        "%s; trying again in %g s", what, pause, extra=Event.TRYING_AGAIN.extra
                    )
                time.sleep(pause)
                if find_result:
                    attempt = partial(_find_or_work, find_result, work)
            return self._once(attempt)

    def transact_after_signal(self, work: Callable[[Connection], T]) -> T:
        """Run a last transaction on a new connection: a signal may leave the old one in any state.

        Raises DatabaseError if the database cannot be used, or another load took the lock at once.
        """
        self._wait_seconds = self._turn_seconds = _LAST_WAIT_SECONDS
        with translate_errors(self._engine.url):
            self._open()
        return self.transact(work)

    def _once(self, work: Callable[[Connection], T]) -> T:
        if self._connection.closed or self._connection.invalidated:
            self._open()
        with self._begin():
            return work(self._connection)

    @contextmanager
    def _begin(self) -> Iterator[RootTransaction]:
        """Begin a transaction that has its turn; raises DatabaseError if it gets none in time.

        It waits between transactions: within one it might not see what was decided meanwhile.
        """
        deadline, is_told = time.monotonic() + self._turn_seconds, False
        while True:
            with self._connection.begin() as transaction:
                if dialect_of(self._connection).take_turn(self._connection):
                    yield transaction
                    return
            name = title(self._engine.url)
            if time.monotonic() >= deadline:
                raise DatabaseError(_IN_DOUBT.format(name))
            if not is_told:
                told = "waiting for a former transaction on %s to be decided, %g s at most"
                logger.warning(told, name, self._turn_seconds)
                is_told = True
            time.sleep(_POLL_SECONDS)


def _find_or_work(
    find_result: Callable[[Connection], T | None],
    work: Callable[[Connection], T],
    connection: Connection,
) -> T:
    found = find_result(connection)
    return work(connection) if found is None else found
