"""A landing directory of this machine, and reading a file of it safely."""

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from visitpay.errors import FileChangedError, FileError
from visitpay.landing.place import LandedFile, Seen


@dataclass(frozen=True)
class LocalPlace:
    """A landing directory of this machine."""

    local_path: Path

    @property
    def name(self) -> str:
        """Its absolute path."""
        return str(self.local_path.absolute())

    @property
    def least_settle(self) -> float:
        """None: a file is as old as it looks."""
        return 0

    def entries(self) -> Iterator["LocalEntry"]:
        """Yield what is in it, in any order; raises OSError if it cannot be listed."""
        with os.scandir(self.local_path) as entries:
            yield from map(LocalEntry, entries)

    def count_unreadable(self, files: Sequence[LandedFile]) -> int:
        """Count the files that may not be read, by their permissions."""
        return sum(not os.access(self.local_path / file.name, os.R_OK) for file in files)

    @contextmanager
    def open(self, file: LandedFile) -> Iterator["OpenFile"]:
        """Open a file of it, never a link or a device that took its place.

        Raises FileChangedError if it is gone, FileError if it cannot be opened.
        """
        # Without O_NONBLOCK, opening a FIFO waits for a writer for ever.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        path = self.local_path / file.name
        try:
            handle = os.open(path, flags)
        except FileNotFoundError as error:
            message = "went away before it was read"
            raise FileChangedError(message) from error
        except OSError as error:
            message = f"cannot be opened: {error.strerror}"
            raise FileError(message) from error
        try:
            yield _require_regular(handle, path)
        finally:
            with suppress(OSError):  # all of it was read; some file systems report errors only now
                os.close(handle)


class LocalEntry:
    """An entry of a directory; it is looked at only when that is asked for."""

    __slots__ = ("_entry", "name")

    def __init__(self, entry: os.DirEntry[str]) -> None:
        """Take an entry as `os.scandir` gives it."""
        self._entry = entry
        self.name = entry.name

    def describe_type(self) -> str:
        """Return in words what it is; empty for a regular file."""
        if self._entry.is_file(follow_symlinks=False):
            return ""
        if self._entry.is_symlink():
            return "is a link"
        return "is a directory" if self._entry.is_dir() else "is no regular file"

    def look(self, now: float) -> Seen:
        """Look at it, never at what a link leads to; raises OSError if that cannot be done."""
        status = self._entry.stat(follow_symlinks=False)
        return Seen(status.st_size, _version(status), _changed_at(status, now))


def _changed_at(status: os.stat_result, now: float) -> float:
    """Return the later of mtime and ctime; a time in the future is ignored."""
    return max((at for at in (status.st_mtime, status.st_ctime) if 0 <= at <= now), default=0)


class OpenFile:
    """A file of a landing directory, open."""

    def __init__(self, handle: int, path: Path) -> None:
        """Take an open descriptor of a file; raises OSError if it cannot be looked at."""
        self._handle = handle
        self._path = path
        self._before = os.fstat(handle)
        self._hash = hashlib.sha256()
        self.bytes_read = 0

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end; raises FileError if they cannot be read.

        Of a file that grows, only the bytes are read that it had when it was opened.
        """
        try:
            block = os.read(self._handle, min(size, self.size_bytes - self.bytes_read))
        except OSError as error:
            message = f"cannot be read: {error.strerror}"
            raise FileError(message) from error
        self._hash.update(block)
        self.bytes_read += len(block)
        return block

    @property
    def is_regular(self) -> bool:
        """Whether it is a regular file, not a directory, FIFO or device."""
        return stat.S_ISREG(self._before.st_mode)

    @property
    def sha256(self) -> str:
        """The SHA-256 of the bytes read so far, in hexadecimal."""
        return self._hash.hexdigest()

    @property
    def size_bytes(self) -> int:
        """The size of the file when it was opened, in bytes."""
        return self._before.st_size

    @property
    def version(self) -> str:
        """The version of the file when it was opened."""
        return _version(self._before)

    def stop(self) -> None:
        """Do nothing: a read of a disk does not wait."""

    def require_unchanged(self) -> None:
        """Raise FileChangedError unless the name is still the same file, unchanged and wholly read.

        Raises FileError if the name cannot be looked at.
        """
        try:
            now = self._path.lstat()
        except FileNotFoundError as error:
            message = "went away while it was read"
            raise FileChangedError(message) from error
        except OSError as error:
            message = f"cannot be looked at after it was read: {error.strerror}"
            raise FileError(message) from error
        if _version(now) != self.version or self.bytes_read != self.size_bytes:
            message = "changed while it was read"
            raise FileChangedError(message)


def _version(status: os.stat_result) -> str:
    """Return size, mtime, ctime and inode as a text.

    Size and mtime are not enough: `cp -p` and unzip keep them, but not ctime and inode.
    """
    parts = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    return " ".join(map(str, parts))


def _require_regular(handle: int, path: Path) -> OpenFile:
    """Return the open file; raises FileError unless it is a regular one."""
    try:
        source = OpenFile(handle, path)
    except OSError as error:
        message = f"cannot be looked at: {error.strerror}"
        raise FileError(message) from error
    if not source.is_regular:
        message = "is no longer a regular file"
        raise FileError(message)
    return source
