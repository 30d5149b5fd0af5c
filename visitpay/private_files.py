"""Files that only their owner can read; they appear under their names when they are complete."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from visitpay.errors import ConfigurationError

_CREATE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW


def may_replace(path: Path, begin: bytes) -> bool:
    """Whether nothing is lost if a path is written: no file, an empty one, or one of ours.

    A file of ours begins with `begin`. A link or a device may not be replaced. Raises OSError if
    the path cannot be read, as when it is a directory.
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
    """Open a text file, in UTF-8, that appears under its name when the block ends without error.

    Surrogates are written as the bytes that they stand for (`surrogateescape`). Another file is
    replaced only with `over`, and only if it begins with that (`may_replace`). Raises
    ConfigurationError if the file cannot be written.
    """
    hidden = _hidden(path)
    with _errors_of(path):
        if over is not None and not may_replace(path, over):
            message = f"{path} is there, and is not ours to write over; name another place"
            raise ConfigurationError(message)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        # A process that was killed may have left it; a link there is neither followed nor removed.
        flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW
        opened = os.open(hidden, flags, 0o600)
        try:
            with os.fdopen(
                opened, "w", encoding="utf-8", errors="surrogateescape", newline=""
            ) as file:
                with suppress(PermissionError):  # FAT has no permissions
                    os.fchmod(opened, 0o600)
                yield file
            (os.replace if over else _rename_new)(hidden, path)
        finally:
            hidden.unlink(missing_ok=True)


@contextmanager
def make_private(path: Path) -> Iterator[Path]:
    """Yield the path of an empty file, which gets its name when the block ends without error.

    Raises ConfigurationError if it cannot be written, or a file of its name is there.
    """
    hidden = _hidden(path)
    with _errors_of(path):
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        hidden.unlink(missing_ok=True)  # a process that was killed may have left it
        os.close(os.open(hidden, _CREATE, 0o600))
        try:
            yield hidden
            _rename_new(hidden, path)
        finally:
            hidden.unlink(missing_ok=True)


def _hidden(path: Path) -> Path:
    """Return the name that a file has until it is complete; raises ConfigurationError for none."""
    if not path.name:
        message = f"{path} is no name of a file"
        raise ConfigurationError(message)
    return path.with_name(f".{path.name}")


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    """Turn an error of the file system into a ConfigurationError that names the file."""
    try:
        yield
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}"
        raise ConfigurationError(message) from error


def _rename_new(hidden: Path, path: Path) -> None:
    """Rename a file; raises FileExistsError if the new name exists."""
    try:
        os.link(hidden, path)
    except FileExistsError:
        raise
    except OSError:  # FAT, network and FUSE file systems have no links, and many errors for it
        os.close(os.open(path, _CREATE, 0o600))
        try:
            hidden.replace(path)
        except OSError:
            path.unlink()  # it is ours, and empty
            raise
