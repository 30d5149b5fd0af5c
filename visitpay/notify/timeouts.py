"""Work with a time limit, for what depends on other machines."""

import time
from collections.abc import Callable, Sequence
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def run_within(seconds: float, tasks: Sequence[Callable[[], T]]) -> list[T | None]:
    """Run all tasks at once; return their results, None for each that is not done in time.

    Such a task runs on in its thread, which does not keep the process alive. No task may raise.
    """
    results: list[T | None] = [None] * len(tasks)

    def run(index: int) -> None:
        results[index] = tasks[index]()

    threads = [Thread(target=run, args=(index,), daemon=True) for index in range(len(tasks))]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0, deadline - time.monotonic()))
    return results.copy()  # a late task must not change what was returned
