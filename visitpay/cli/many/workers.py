"""The worker processes of a command with --all, from the side of the command that has them."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from queue import SimpleQueue
from threading import Lock
from typing import IO, Any, cast

from visitpay.settings import Settings

WORKER = "_work"
"""The hidden command that a worker process runs."""


@dataclass(frozen=True)
class Task:
    """What a worker is to do for a hospital."""

    hospital: str
    fault: str
    """What is wrong with its settings; empty if nothing."""
    arguments: Sequence[str]
    """The command; none to ask for the hospital's last run."""


class WorkerDiedError(Exception):
    """The process of a worker ended before it answered; the message says how."""


class _Worker:
    """A process that does one task after the other."""

    def __init__(self, file: Settings) -> None:
        # In a session of its own: Ctrl-C reaches it through the command, once, as SIGTERM does.
        self._process = subprocess.Popen(  # noqa: S603 - this program itself
            [sys.executable, "-P", "-m", "visitpay", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sys.stderr,
            text=True,
            start_new_session=True,
        )
        self._input = cast("IO[str]", self._process.stdin)
        self._output = cast("IO[str]", self._process.stdout)
        with suppress(OSError):
            self._write({"path": str(file.path), "text": file.text})

    def ask(self, task: Task) -> Any:  # noqa: ANN401 - JSON
        """Return the answer to a task; raises WorkerDiedError if the process ends before."""
        with suppress(OSError):
            self._write(asdict(task))
        if (line := self._output.readline()).endswith("\n"):
            return json.loads(line)
        status = self._process.wait()
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        message = f"its process ended early ({how})"
        raise WorkerDiedError(message)

    def _write(self, message: object) -> None:
        self._input.write(f"{json.dumps(message)}\n")
        self._input.flush()

    def stop(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def close(self) -> None:
        """Let it end, and wait for that."""
        with suppress(OSError):
            self._input.close()
        self._process.wait()
        self._output.close()


class Crew:
    """So many workers; a process is started when there is work for it, and lives to the end."""

    def __init__(self, size: int, file: Settings) -> None:
        """Have at most `size` workers, which know the file of hospitals."""
        self._file, self._size = file, size
        self._idle: SimpleQueue[_Worker | None] = SimpleQueue()
        for _ in range(size):
            self._idle.put(None)
        self._busy: set[_Worker] = set()
        self._lock, self._stopped = Lock(), False

    def do(self, tasks: Sequence[Task]) -> dict[str, Any]:
        """Return the answers by hospital, a WorkerDiedError where the process ended before."""
        with ThreadPoolExecutor(self._size) as threads:
            asked = {task.hospital: threads.submit(self._ask, task) for task in tasks}
            try:
                return {hospital: answer.result() for hospital, answer in asked.items()}
            except KeyboardInterrupt as stopped:
                threads.shutdown(wait=False, cancel_futures=True)
                self._stop(*(stopped.args or [signal.SIGINT]))
                raise

    def _ask(self, task: Task) -> Any:  # noqa: ANN401 - JSON
        worker = self._idle.get()
        kept = None
        try:
            with self._lock:
                if self._stopped:
                    return WorkerDiedError("stopped before its turn")
                worker = worker or _Worker(self._file)
                self._busy.add(worker)
            answer = worker.ask(task)
            kept = None if answer.get("is_last") else worker
        except (WorkerDiedError, OSError) as error:
            return error
        else:
            return answer
        finally:
            with self._lock:
                self._busy.discard(cast("_Worker", worker))
            if worker and not kept:
                worker.close()
            self._idle.put(kept)

    def _stop(self, number: int) -> None:
        """Send a signal to those who work, and begin nothing more."""
        with self._lock:
            self._stopped = True
            for worker in self._busy:
                worker.stop(number)

    def close(self) -> None:
        """Let all end; who is still at work, after a second Ctrl-C, is killed."""
        self._stop(signal.SIGKILL)
        for _ in range(self._size):
            if worker := self._idle.get():
                worker.close()


@contextmanager
def crew(size: int, file: Settings) -> Iterator[Crew]:
    """Yield workers for the block."""
    workers = Crew(size, file)
    try:
        yield workers
    finally:
        workers.close()
