"""What was told lately, where there is no database to write it down in."""

import os
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

SECONDS = 3600
"""The same message is not told again before."""


class LastAlert:
    """A small private file that remembers the last message; it holds a hash, and no word of it.

    Where it cannot be read or written, nothing was told lately.
    """

    def __init__(self, directory: Path | None, url: str) -> None:
        """Say where the file lies, if there is a place, and which database it is about."""
        self._path = directory and directory / f"alerted-{_digest(_place(url))[:16]}"

    def was_told(self, message: str) -> bool:
        """Whether this was the last message, and is not long ago."""
        if self._path is None:
            return False
        try:
            age = time.time() - self._path.stat().st_mtime
            return 0 <= age < SECONDS and self._path.read_text("ascii") == _digest(message)
        except (OSError, ValueError):
            return False

    def tell(self, message: str) -> None:
        """Remember that this was told now."""
        if self._path is None:
            return
        with suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            with os.fdopen(os.open(self._path, flags, 0o600), "w", encoding="ascii") as file:
                file.write(_digest(message))


def _place(url: str) -> str:
    """Give what tells databases apart, without the secrets of their URLs."""
    try:
        parts = make_url(url)
    except (ArgumentError, ValueError):
        return ""
    return f"{parts.host} {parts.port} {parts.database}"


def _digest(text: str) -> str:
    return sha256(text.encode(errors="surrogateescape")).hexdigest()
