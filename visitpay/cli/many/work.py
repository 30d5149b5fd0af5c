"""A worker: does what it is told of one hospital after the other, until its standard input ends.

It is told by lines of JSON, so that no argument of a hospital is one of a process (`ps`), and
answers by such lines.
"""

import json
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from visitpay import settings
from visitpay.errors import LeftError, StoppedError, VisitPayError


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    exit_status: int
    error: VisitPayError | None = None
    """What ended it early."""


Perform = Callable[[Sequence[str]], Ended]


def work(perform: Perform) -> None:
    """Do each task of standard input; `perform` runs a command in this process."""
    from visitpay.hospitals import Hospital

    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # between two commands nothing is to be told
    answers = sys.stdout
    file = json.loads(sys.stdin.readline())
    found = settings.parse(Path(file["path"]), file["text"])
    for line in sys.stdin:
        task = json.loads(line)
        hospital = Hospital(task["hospital"], found, task["fault"])
        with settings.prevail(hospital):
            answer = _run(perform, task["arguments"]) if task["arguments"] else _last_run()
        answers.write(f"{json.dumps(answer)}\n")
        answers.flush()
        if answer.get("is_last"):
            return


def _run(perform: Perform, arguments: Sequence[str]) -> Mapping[str, object]:
    printed = StringIO()
    with redirect_stdout(printed):
        ended = perform(arguments)
    return {
        "exit_status": ended.exit_status,
        "is_error": ended.error is not None,
        "is_last": isinstance(ended.error, StoppedError),  # an import may be half done
        "is_taken": isinstance(ended.error, LeftError) and ended.error.is_under_way,
        "document": _document(printed.getvalue()),
    }


def _document(printed: str) -> Any:  # noqa: ANN401 - whatever the command prints
    try:
        return json.loads(printed)
    except ValueError:
        return None


def _last_run() -> Mapping[str, object]:
    """Return the number of the last run, 0 before the first; None if that cannot be asked."""
    from visitpay.database.dialects import dialect_of
    from visitpay.database.engine import make_engine, translate_errors
    from visitpay.database.revision import require_head
    from visitpay.ledger.runs import last_run

    try:
        url = str(settings.database_in_force().value)
        engine = make_engine(url, read_only=True)
        with translate_errors(engine.url), engine.connect() as connection:
            dialect = dialect_of(connection)
            # A migration would keep the question waiting.
            if dialect.is_migrating(connection) and dialect.is_held(connection):
                return {"last_run": None}
            require_head(connection)
            run = last_run(connection)
    except VisitPayError:
        return {"last_run": None}
    return {"last_run": run.id if run else 0}
