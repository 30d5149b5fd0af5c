"""What can go wrong, as a tree: the first line of each class says what happened."""

from signal import Signals
from traceback import walk_tb

ATTENTION_STATUS = 1
"""The exit status of a command that did its work and found something that needs a person."""


class VisitPayError(Exception):
    """Something stopped visitpay; the message says what, and what to do next."""

    exit_status = 3
    """The exit status of a command that ends with it."""


class ConfigurationError(VisitPayError):
    """An argument or a setting cannot be used."""

    exit_status = 2


class SettingsError(ConfigurationError):
    """Something in the file of settings, or in a file that it names, cannot be used."""


class DatabaseError(VisitPayError):
    """The database cannot be reached, is not at the schema's head, or is held by another load."""


class BusyError(DatabaseError):
    """Another load holds the database, or a migration."""

    def __init__(self, message: str, *, by_migration: bool = False) -> None:
        """Say what holds it, and what to do."""
        super().__init__(message)
        self.by_migration = by_migration


class LeftError(VisitPayError):
    """Another load of the same round has the hospital, or had it: all is well."""

    exit_status = 0

    def __init__(self, why: str, *, is_under_way: bool) -> None:
        """Say why; `is_under_way` if nobody knows yet how the other load ends."""
        super().__init__(f"left to another load: {why}")
        self.is_under_way = is_under_way


class RefusedError(DatabaseError):
    """The database refuses a value, because of its type or of a constraint."""

    def __init__(self, what: str, remedy: str) -> None:
        """Say what it refuses, without the value, and what to do about it."""
        kept = f"nothing half-done is kept, {remedy} and run again"
        super().__init__(f"the database cannot be used: {what}; {kept}")
        self.what = what


class OutputError(VisitPayError):
    """The output of a command cannot be written."""

    def __init__(self, error: OSError) -> None:
        """Say why."""
        super().__init__(f"the output cannot be written: {error.strerror or type(error).__name__}")


class UnforeseenError(VisitPayError):
    """A bug; the message leaves out the text of the error, which may hold a cell."""

    def __init__(self, error: BaseException) -> None:
        """Say which error it is, and where in visitpay it was raised."""
        what = safe_description(error)
        super().__init__(f"unforeseen: {what}; nothing half-done is kept, please report this line")


class StoppedError(VisitPayError):
    """A signal stopped the command; nothing half-done was kept."""

    def __init__(self, signal: Signals, *, rolled_back: bool = True) -> None:
        """Say which signal it was, and whether a file was rolled back."""
        kept = (
            "the file under way was rolled back, nothing was lost; the next load goes on from there"
        )
        super().__init__(f"stopped by {signal.name}" + (f": {kept}" if rolled_back else ""))
        self.exit_status = 128 + signal
        """As of a shell whose command was ended by the signal."""


class FileError(VisitPayError):
    """One file cannot be loaded; nothing of it is kept, and the next run tries it again."""


class HeldError(FileError):
    """A person must approve or replace a file, or its time must come; nothing of it is kept."""

    def __init__(self, why: str, sha256: str | None = None) -> None:
        """Say why; `sha256` is the hash of the file's content if it was read whole."""
        super().__init__(f"held: {why}")
        self.sha256 = sha256


class FileChangedError(VisitPayError):
    """A file grew, changed or went away while it was read; it is left for the next run."""


def to_visitpay_error(error: BaseException) -> VisitPayError:
    """Return an error that can be shown: the same, or one that stands for it."""
    if isinstance(error, VisitPayError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return StoppedError(Signals.SIGINT, rolled_back=False)
    if isinstance(error, OSError) and error.filename is None:  # a stream has no name
        return OutputError(error)
    return UnforeseenError(error)


def safe_description(error: BaseException) -> str:
    """Return the type of an error, and the innermost line of visitpay that raised it.

    The text of the error is left out: it may hold a cell.
    """
    lines = [(str(frame.f_globals["__name__"]), at) for frame, at in walk_tb(error.__traceback__)]
    own = [line for line in lines if line[0].partition(".")[0] == "visitpay"]
    module, number = (own or lines or [("nowhere", 0)])[-1]
    return f"{type(error).__name__} at {module}:{number}"
