"""Files that only their owner can read, hidden until they are whole."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from visitpay.errors import ConfigurationError


@contextmanager
def writing(path: Path, *, over: bool = False) -> Iterator[TextIO]:
    """Open a file, in UTF-8, that appears under its name when the block ends well.

    Surrogates in it stand for bytes that are no text (`surrogateescape`). Only with `over` does it
    take the place of another, of one that is a file itself, not a link or a device. Raises
    ConfigurationError when it cannot be written.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        message = f"{path} is a link, or no file; name another one to write to"
        raise ConfigurationError(message)
    hidden = path.with_name(f".{path.name}")
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW
        opened = os.open(hidden, flags, 0o600)
        try:
            with os.fdopen(
                opened, "w", encoding="utf-8", errors="surrogateescape", newline=""
            ) as file:
                os.fchmod(opened, 0o600)
                yield file
            (os.replace if over else os.link)(hidden, path)
        finally:
            hidden.unlink(missing_ok=True)
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}"
        raise ConfigurationError(message) from error
