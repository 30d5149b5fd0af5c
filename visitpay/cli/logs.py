"""The log of a command: lines of text or of JSON on standard error."""

import json
import logging
from contextlib import suppress
from datetime import UTC, datetime
from traceback import format_tb

from visitpay.cli.console import err
from visitpay.cli.loudness import LOUDNESS, Loudness
from visitpay.errors import VisitPayError
from visitpay.events import RUN_ID
from visitpay.text import iso


def start_log(log_format: str) -> None:
    """Send the log to standard error; on a terminal, where a table follows, warnings only."""
    logger = logging.getLogger("visitpay")
    logger.handlers[:] = [_Handler(log_format)]
    usual = logging.WARNING if err.is_terminal and log_format == "text" else logging.INFO
    levels = {Loudness.QUIET: logging.ERROR, Loudness.VERBOSE: logging.DEBUG}
    logger.setLevel(levels.get(LOUDNESS.get(), usual))
    logger.propagate = False


class _Handler(logging.Handler):
    """Writes past a progress bar, never wrapping, never taking a name for markup."""

    def __init__(self, log_format: str) -> None:
        super().__init__()
        self.as_json = log_format == "json"

    def emit(self, record: logging.LogRecord) -> None:
        moment = datetime.fromtimestamp(record.created, UTC)
        level, message = record.levelname, record.getMessage()
        if record.exc_info and record.exc_info[1]:
            message = _traced(record.exc_info[1])
        line = f"{iso(moment)} {level.lower()}: {message}"
        if self.as_json:
            named = {"event": getattr(record, "event", None), "run_id": RUN_ID.get()}
            line = json.dumps(
                {"time": iso(moment), "level": level.lower(), **named, "message": message}
            )
        with suppress(OSError):  # a log on a full disk, or one nobody reads, costs no load
            if err.is_terminal:
                err.print(line, markup=False, emoji=False, highlight=False, soft_wrap=True)
            else:  # where nobody looks on, rich would take as long as a small file's load
                err.file.write(f"{line}\n")


def _traced(error: BaseException) -> str:
    """Write tracebacks, without the texts of errors that are not ours: they may hold a cell."""
    parts: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        text = f": {cause}" if isinstance(cause, VisitPayError) else ""
        places = "".join(format_tb(cause.__traceback__))
        parts.append(f"Traceback (most recent call last):\n{places}{type(cause).__name__}{text}")
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "\n".join(reversed(parts))
