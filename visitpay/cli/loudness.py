"""How much the current command is asked to say."""

from contextvars import ContextVar
from enum import Enum


class Loudness(Enum):
    """How much a command says."""

    QUIET = "quiet"
    USUAL = "usual"
    VERBOSE = "verbose"


LOUDNESS: ContextVar[Loudness] = ContextVar("loudness", default=Loudness.USUAL)
"""That of the current command."""
