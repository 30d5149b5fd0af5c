"""Names of log events, for programs that read the log in JSON; they do not change."""

from contextvars import ContextVar
from enum import StrEnum

RUN_ID: ContextVar[int | None] = ContextVar("run_id", default=None)
"""The id of the current run, once the ledger has it."""


class Event(StrEnum):
    """What a line of the log is about."""

    RUN_ENDED = "run_ended"
    RUN_STOPPED = "run_stopped"
    FILE_LOADED = "file_loaded"
    FILE_PROGRESS = "file_progress"
    FILE_FAILED = "file_failed"
    FILE_HELD = "file_held"
    FILE_CHANGED = "file_changed"
    FILES_WAITING = "files_waiting"
    FILES_GONE = "files_gone"
    FILE_EMPTY = "file_empty"
    FILE_REDELIVERED = "file_redelivered"
    CONTENT_REPEATED = "content_repeated"
    COLUMNS_UNKNOWN = "columns_unknown"
    NAMES_UNRECOGNISED = "names_unrecognised"
    ROWS_CONFLICTING = "rows_conflicting"
    ROWS_WITHDRAWN = "rows_withdrawn"
    ROWS_RESOLVED = "rows_resolved"
    ROWS_LOST_THEIR_LAYOUT = "rows_lost_their_layout"
    TRYING_AGAIN = "trying_again"
    FAILURE = "failure"

    @property
    def extra(self) -> dict[str, str]:
        """The argument `extra` of a logger's method, so that the line has this name."""
        return {"event": self.value}
