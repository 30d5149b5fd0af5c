"""Names of log events, for programs that read the log in JSON; they do not change."""

from contextvars import ContextVar
from enum import StrEnum

RUN_ID: ContextVar[int | None] = ContextVar("run_id", default=None)
"""The id of the current run, once the ledger has it."""


class Event(StrEnum):
    """What a line of the log is about."""

    SETTINGS_READ = "settings_read"
    """Where the settings are from that no argument gives (`-v`)."""
    RUN_ENDED = "run_ended"
    """A load ended; the line has its counts."""
    NEEDS_PERSON = "needs_person"
    """A load ended with status 1; the line says why, and which command shows it."""
    RUN_STOPPED = "run_stopped"
    """A signal stopped the command; nothing half-done was kept."""
    FILE_LOADED = "file_loaded"
    """A file was loaded; the line has the counts of its rows."""
    FILE_PROGRESS = "file_progress"
    """A file is being loaded; so many rows of it are done (`-v`)."""
    FILE_FAILED = "file_failed"
    """Nothing of a file was loaded; the next run tries it again."""
    FILE_HELD = "file_held"
    """Nothing of a file was loaded, until a person approves it or its time comes."""
    NOTHING_TO_APPROVE = "nothing_to_approve"
    """A file was approved although it was loaded before."""
    NOTHING_AGAIN = "nothing_again"
    """Files were to be taken again, and none was loaded before."""
    FILE_CHANGED = "file_changed"
    """A file changed while it was read; the next run loads it."""
    FILES_WAITING = "files_waiting"
    """Files are younger than `--settle` allows; a later run loads them."""
    FILES_GONE = "files_gone"
    """Files that were to be loaded again no longer lie in the landing directory."""
    FILE_CUT_OFF = "file_cut_off"
    """The last line of a file has no line end, as earlier files had: that row is put aside."""
    FILE_EMPTY = "file_empty"
    """A file has a header, but no rows."""
    FILE_REDELIVERED = "file_redelivered"
    """A name came again with other content."""
    CONTENT_REPEATED = "content_repeated"
    """The content of a file came before under another name."""
    COLUMNS_UNKNOWN = "columns_unknown"
    """A file has columns that its type does not have; they are not loaded."""
    NAMES_UNRECOGNISED = "names_unrecognised"
    """Names in the landing directory are not of the feed."""
    ROWS_CONFLICTING = "rows_conflicting"
    """A file has several rows of one identifier with different values; the last won."""
    ROWS_WITHDRAWN = "rows_withdrawn"
    """A file came again without rows that it had brought before; they stay."""
    ROWS_RESOLVED = "rows_resolved"
    """Rows that had waited for a visit or a procedure were loaded."""
    ROWS_LOST_THEIR_LAYOUT = "rows_lost_their_layout"
    """Rejected rows cannot be read again, as the columns changed."""
    TRYING_AGAIN = "trying_again"
    """The connection to the database failed; the file is loaded again."""
    FAILURE = "failure"
    """The command ended with an error."""

    @property
    def extra(self) -> dict[str, str]:
        """The argument `extra` of a logger's method, so that the line has this name."""
        return {"event": self.value}
