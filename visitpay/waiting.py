"""Waiting in a way that hears a signal."""

from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")

_HEAR_SECONDS = 0.2


def result_of(future: "Future[T]") -> T:
    """Return what a future gives, or raise what it raises; a signal is heard meanwhile.

    In one wait without an end, SIGINT would not be heard: polars handles it with SA_RESTART.
    """
    while not wait([future], _HEAR_SECONDS).done:
        pass
    return future.result()
