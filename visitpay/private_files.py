"""Files that only their owner can read, hidden until they are whole."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from visitpay.errors import ConfigurationError

_ANEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW


def may_replace(path: Path, begin: bytes) -> bool:
    """Say whether there is nothing to lose at a path: no file, an empty one, or one of ours.

    Ours are those that begin so; a link or a device is not. Raises OSError when it cannot be seen,
    as in a directory.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return True
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return False
    with path.open("rb") as file:
        return file.read(len(begin)) in {b"", begin}


@contextmanager
def write_private(path: Path, *, over: bytes | None = None) -> Iterator[TextIO]:
    """Open a file, in UTF-8, that appears under its name when the block ends well.

    Surrogates in it stand for bytes that are no text (`surrogateescape`). Only with `over` does it
    take the place of another, which begins so (`may_write_over`). Raises ConfigurationError when it
    cannot be written.
    """
    hidden = path.with_name(f".{path.name}")
    try:
        if over is not None and not may_replace(path, over):
            message = f"{path} is there, and is not ours to write over; name another place"
            raise ConfigurationError(message)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        # One that was killed left it; a link in its place is neither followed nor taken away.
        flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW
        opened = os.open(hidden, flags, 0o600)
        try:
            with os.fdopen(
                opened, "w", encoding="utf-8", errors="surrogateescape", newline=""
            ) as file:
                with suppress(PermissionError):  # FAT has no permissions
                    os.fchmod(opened, 0o600)
                yield file
            (os.replace if over else _place)(hidden, path)
        finally:
            hidden.unlink(missing_ok=True)
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}"
        raise ConfigurationError(message) from error


def _place(hidden: Path, path: Path) -> None:
    """Give a file its name; raises FileExistsError if there is one of that name."""
    try:
        os.link(hidden, path)
    except FileExistsError:
        raise
    except OSError:  # FAT, network and FUSE file systems have no links, and say so in many ways
        os.close(os.open(path, _ANEW, 0o600))
        try:
            hidden.replace(path)
        except OSError:
            path.unlink()  # the name was ours, and is empty
            raise
