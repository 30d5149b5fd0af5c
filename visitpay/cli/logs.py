"""The log of a command: lines of text or of JSON, on standard error or in a file.

Cron mails what a job prints: with a log file that is one line, where a person must know (`tell`).
"""

import json
import logging
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from traceback import format_tb

from visitpay.cli import console
from visitpay.cli.console import err
from visitpay.cli.loudness import LOUDNESS, Loudness
from visitpay.errors import VisitPayError
from visitpay.events import RUN_ID, Event
from visitpay.settings import one_of_many
from visitpay.text import iso, printable

_LOGGER = logging.getLogger("visitpay")


def start_log(log_format: str, *, scheduled: bool = False, path: Path | None = None) -> None:
    """Begin the log, on standard error, or at the end of the file `path`.

    On a terminal, where a table follows, it has warnings only. In the log of a `scheduled` command
    what ends it is a line like the others. A file that cannot be written costs no load.
    """
    stop_log()
    handle, fault = _open(path) if path else (None, "")
    _LOGGER.handlers[:] = [_Handler(log_format, handle, scheduled=scheduled)]
    is_watched = err.is_terminal and log_format == "text" and handle is None
    levels = {Loudness.QUIET: logging.ERROR, Loudness.VERBOSE: logging.DEBUG}
    usual = logging.WARNING if is_watched else logging.INFO
    _LOGGER.setLevel(levels.get(LOUDNESS.get(), usual))
    _LOGGER.propagate = False
    if fault:
        _LOGGER.warning("%s; the log goes on here", fault)


def stop_log() -> None:
    """End the log of a command that ran before in this process."""
    for log in _logs():
        _LOGGER.removeHandler(log)
        log.close()


def tell(message: str, event: Event) -> None:
    """Say one line that a person must see, on standard error; where there is a log, in it as well.

    To a terminal, and of a command that nobody schedules, it has neither time nor level.
    """
    log = next((log for log in _logs() if log.takes_all), None)
    line = f"visitpay: {message}"
    if log:
        _LOGGER.error("%s", message if log.as_json else line, extra=event.extra)
    if not log or log.is_file:
        moment = f"{iso(datetime.now(UTC))} error: " if log and not err.is_terminal else ""
        with suppress(OSError):  # who cannot hear us must go by the exit status
            console.say(f"{moment}{_about_hospital()}{line}", err)


def _about_hospital() -> str:
    hospital = one_of_many()
    return f"{printable(hospital)}: " if hospital else ""


def _logs() -> "list[_Handler]":
    return [handler for handler in _LOGGER.handlers if isinstance(handler, _Handler)]


def _open(path: Path) -> tuple[int | None, str]:
    """Open the file of a log, private if it is new; return its descriptor, or what is wrong.

    It is opened anew by every run, so that a tool may move it away in between.
    """
    # Without a reader, a FIFO would keep the load waiting.
    flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    try:
        is_new = not path.exists()
        handle = os.open(path, flags, 0o600)
        if is_new and os.geteuid() == 0:  # the loads of its directory's owner will write it
            owner = path.parent.stat()
            os.fchown(handle, owner.st_uid, owner.st_gid)
    except OSError as error:
        return None, f"the log file {printable(str(path))} cannot be written: {error.strerror}"
    return handle, ""


class _Handler(logging.Handler):
    """Writes past a progress bar, never wrapping, never taking a name for markup."""

    def __init__(self, log_format: str, handle: int | None, *, scheduled: bool) -> None:
        super().__init__()
        self.as_json = log_format == "json"
        self._handle = handle
        self._is_scheduled = scheduled
        self._was_lost = False

    @property
    def is_file(self) -> bool:
        """Whether the lines go to a file, and not to standard error."""
        return self._handle is not None

    @property
    def takes_all(self) -> bool:
        """Whether what ends the command is a line of this log."""
        is_watched = err.is_terminal and not self.as_json and not self.is_file
        return self._is_scheduled and not is_watched

    def close(self) -> None:
        """Close the file."""
        super().close()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def emit(self, record: logging.LogRecord) -> None:
        line = self._line(record)
        if self._handle is None:
            with suppress(OSError):  # a log on a full disk, or one nobody reads, costs no load
                _print(line)
            return
        try:
            os.write(self._handle, f"{line}\n".encode(errors="backslashreplace"))
        except OSError as error:
            if not self._was_lost:
                self._was_lost = True
                now = iso(datetime.now(UTC))
                with suppress(OSError):
                    _print(f"{now} warning: the log file cannot be written: {error.strerror}")

    def _line(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        level, message = record.levelname, record.getMessage()
        if record.exc_info and record.exc_info[1]:
            message = _traced(record.exc_info[1])
        if not self.as_json:
            return f"{iso(moment)} {level.lower()}: {_about_hospital()}{message}"
        named = {"event": getattr(record, "event", None), "run_id": RUN_ID.get()}
        if hospital := one_of_many():
            named["hospital"] = hospital
        return json.dumps(
            {"time": iso(moment), "level": level.lower(), **named, "message": message}
        )


def _print(line: str) -> None:
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
