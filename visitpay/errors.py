"""What can go wrong, as a tree: each class says in its first line what happened."""


class VisitPayError(Exception):
    """Something stopped visitpay; the message says what, and what to do next."""


class ConfigurationError(VisitPayError):
    """An argument or a setting cannot be used."""


class DatabaseError(VisitPayError):
    """The database cannot be reached, is not at the schema's head, or is held by another load."""


class FileError(VisitPayError):
    """One file cannot be loaded; nothing of it is kept, and the next run tries it again."""


class FileChangedError(VisitPayError):
    """A file grew, changed or went away while it was read; it is left for the next run."""
