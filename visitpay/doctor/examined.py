"""What the doctor says of one thing."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """The result of one check."""

    OK = "ok"
    WARNING = "warning"
    """A load can work, but someone should look into it."""
    ERROR = "error"
    """A load cannot work, or not as it is set up."""


@dataclass(frozen=True)
class Examined:
    """One thing that was checked, what was seen, and what to do about it."""

    name: str
    state: State
    seen: str
    remedy: str = ""
    command: str = ""
    """The command that helps, to be run as it stands."""
