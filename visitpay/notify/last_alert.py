"""The last alert about a load that could not run: there may be no database to record it in."""

import os
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from visitpay.state import database_key

SECONDS = 3600
"""The time before the same message is sent again."""


class LastAlert:
    """A private file that holds the hash of the last message, for each database its own.

    If it cannot be read or written, there is no last message.
    """

    def __init__(self, directory: Path | None, url: str, hospital: str = "") -> None:
        """Keep the file in `directory`; without one nothing is remembered.

        One `hospital` of many has a file of its own, though its database may not be known.
        """
        key = _digest(hospital)[:16] if hospital else database_key(url)
        self._path = directory and directory / f"alerted-{key}"

    def was_sent(self, message: str) -> bool:
        """Whether this was the last message, and was sent less than SECONDS ago."""
        if self._path is None:
            return False
        try:
            age = time.time() - self._path.stat().st_mtime
            return 0 <= age < SECONDS and self._path.read_text("ascii") == _digest(message)
        except (OSError, ValueError):
            return False

    def record(self, message: str) -> None:
        """Record that this message was sent now."""
        if self._path is None:
            return
        with suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            with os.fdopen(os.open(self._path, flags, 0o600), "w", encoding="ascii") as file:
                file.write(_digest(message))

    @property
    def is_open(self) -> bool:
        """Whether a message was sent, and not yet that it is over."""
        return self._path is not None and self._path.is_file()

    def forget(self) -> None:
        """Forget the last message: people were told that it is over."""
        with suppress(OSError):
            if self._path:
                self._path.unlink()


def _digest(text: str) -> str:
    return sha256(text.encode(errors="surrogateescape")).hexdigest()
