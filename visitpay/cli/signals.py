"""Signals: how a command is stopped, in words."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from visitpay.errors import StoppedError


@contextmanager
def stoppable(*, rolled_back: bool = True) -> Iterator[None]:
    """Let SIGTERM stop the block as Ctrl-C does; raises StoppedError for either.

    Its message says, with `rolled_back`, what that means for a load.
    """

    def stop(number: int, _frame: object) -> NoReturn:
        # The one exception at which the drivers let go of a statement.
        raise KeyboardInterrupt(number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt as stopped:
        number = signal.Signals(*(stopped.args or [signal.SIGINT]))
        raise StoppedError(number, rolled_back=rolled_back) from None
    finally:
        signal.signal(signal.SIGTERM, before)
