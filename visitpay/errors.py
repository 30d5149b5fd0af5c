"""What can go wrong, as a tree: each class says in its first line what happened."""

from signal import Signals
from traceback import walk_tb


class VisitPayError(Exception):
    """Something stopped visitpay; the message says what, and what to do next."""

    exit_status = 3
    """The exit status of a command that ends with it."""


class ConfigurationError(VisitPayError):
    """An argument or a setting cannot be used."""

    exit_status = 2


class DatabaseError(VisitPayError):
    """The database cannot be reached, is not at the schema's head, or is held by another load."""


class BusyError(DatabaseError):
    """Another load holds the database."""


class RefusedError(DatabaseError):
    """The database refuses a value, as it stands or for one of its constraints."""

    def __init__(self, what: str, remedy: str) -> None:
        """Say what it refuses, without the value."""
        kept = f"nothing half-done is kept, {remedy} and run again"
        super().__init__(f"the database cannot be used: {what}; {kept}")
        self.what = what


class OutputError(VisitPayError):
    """What a command has to say cannot be written."""

    def __init__(self, error: OSError) -> None:
        """Say why."""
        super().__init__(f"the output cannot be written: {error.strerror or type(error).__name__}")


class UnforeseenError(VisitPayError):
    """Nobody thought of this; it is told without the error's text, which may hold a cell."""

    def __init__(self, error: BaseException) -> None:
        """Say what it is, and the innermost place of ours."""
        super().__init__(
            f"unforeseen: {safe_description(error)}; nothing half-done is kept, please report this line"
        )


def to_visitpay_error(error: BaseException) -> VisitPayError:
    """Give an error as it can be told."""
    if isinstance(error, VisitPayError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return StoppedError(Signals.SIGINT, rolled_back=False)
    if isinstance(error, OSError) and error.filename is None:  # a stream has no name
        return OutputError(error)
    return UnforeseenError(error)


def safe_description(error: BaseException) -> str:
    """Say what an error is and where it came up, without its text."""
    places = [(str(frame.f_globals["__name__"]), at) for frame, at in walk_tb(error.__traceback__)]
    ours = [place for place in places if place[0].partition(".")[0] == "visitpay"]
    module, line = (ours or places or [("nowhere", 0)])[-1]
    return f"{type(error).__name__} at {module}:{line}"


class StoppedError(VisitPayError):
    """A signal stopped the command; nothing half-done was kept."""

    def __init__(self, signal: Signals, *, rolled_back: bool = True) -> None:
        """Say which signal it was, and whether there was something to be rolled back."""
        kept = (
            "the file under way was rolled back, nothing was lost; the next load goes on from there"
        )
        super().__init__(f"stopped by {signal.name}" + (f": {kept}" if rolled_back else ""))
        self.exit_status = 128 + signal
        """What a shell gives for a command that the signal ended."""


class FileError(VisitPayError):
    """One file cannot be loaded; nothing of it is kept, and the next run tries it again."""


class HeldError(FileError):
    """Too large a share of a file's rows was rejected; nothing of it is kept unless approved."""


class FileChangedError(VisitPayError):
    """A file grew, changed or went away while it was read; it is left for the next run."""
