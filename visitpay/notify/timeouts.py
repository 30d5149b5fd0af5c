"""Patience: work that depends on others is waited for only so long."""

import time
from collections.abc import Callable, Sequence
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def run_within(seconds: float, works: Sequence[Callable[[], T]]) -> list[T | None]:
    """Do all works at once; gives what each gave, None for one that takes longer.

    That one is left to itself, and does not keep the process alive. No work may raise.
    """
    given: list[T | None] = [None] * len(works)

    def do(place: int) -> None:
        given[place] = works[place]()

    threads = [Thread(target=do, args=(place,), daemon=True) for place in range(len(works))]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0, deadline - time.monotonic()))
    return given.copy()
