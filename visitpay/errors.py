"""What can go wrong, as a tree: each class says in its first line what happened."""

from signal import Signals


class VisitPayError(Exception):
    """Something stopped visitpay; the message says what, and what to do next."""


class ConfigurationError(VisitPayError):
    """An argument or a setting cannot be used."""


class DatabaseError(VisitPayError):
    """The database cannot be reached, is not at the schema's head, or is held by another load."""


class BusyError(DatabaseError):
    """Another load holds the database."""


class StoppedError(VisitPayError):
    """A signal stopped the command; nothing half-done was kept."""

    def __init__(self, signal: Signals) -> None:
        """Say which signal it was."""
        super().__init__(
            f"stopped by {signal.name}: the file under way was rolled back, nothing was lost; "
            "the next load goes on from there"
        )
        self.exit_status = 128 + signal
        """What a shell gives for a command that the signal ended."""


class FileError(VisitPayError):
    """One file cannot be loaded; nothing of it is kept, and the next run tries it again."""


class HeldError(FileError):
    """Too large a share of a file's rows was rejected; nothing of it is kept unless approved."""


class FileChangedError(VisitPayError):
    """A file grew, changed or went away while it was read; it is left for the next run."""
