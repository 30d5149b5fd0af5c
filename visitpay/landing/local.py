"""A landing directory: listing its files, and reading one safely."""

import hashlib
import os
import stat
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from visitpay.errors import ConfigurationError, FileChangedError, FileError
from visitpay.feed import NEAR_MISS, FileNames, parse_name_time, require_hospital
from visitpay.landing.place import LandedFile, Landing
from visitpay.models import ENTITIES
from visitpay.text import printable

_ENTITY_ORDER = {entity.__name__: index for index, entity in enumerate(ENTITIES)}


def scan(
    directory: Path, hospital: str, pass_over: Collection[str] = (), settle: float = 0
) -> Landing:
    """List a landing directory: type by type, each in ascending file datetime.

    Hidden entries, companions of files, and names that match `pass_over` are ignored: uploads in
    progress hide behind a dot. What changed less than `settle` seconds ago may change again: such a
    file is `recently_changed`, and such a name is no near miss yet. Raises ConfigurationError if
    the directory cannot be read.
    """
    require_hospital(hospital)
    names = FileNames(hospital, pass_over)
    now = time.time()
    files: list[LandedFile] = []
    unrecognised: dict[str, str] = {}
    near_misses: list[str] = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if names.is_passed_over(entry.name):
                    continue
                found = _landed_file(entry, names, directory, now)
                if isinstance(found, LandedFile):
                    files.append(found)
                    continue
                is_near_miss = names.is_near_miss(entry.name)
                unrecognised[entry.name] = found or (NEAR_MISS if is_near_miss else "")
                if is_near_miss and _is_settled(entry, now, settle):
                    near_misses.append(entry.name)
    except OSError as error:
        path = printable(str(directory))
        message = f"the landing directory {path} cannot be read: {error.strerror}"
        raise ConfigurationError(message) from error
    return Landing(
        files=tuple(sorted(files, key=_load_order)),
        unrecognised=dict(sorted(unrecognised.items())),
        near_misses=tuple(sorted(near_misses)),
        recently_changed=frozenset(file.name for file in files if now - file.changed_at < settle),
    )


def _load_order(file: LandedFile) -> tuple[int, datetime, str]:
    return _ENTITY_ORDER[file.entity], file.file_datetime, file.name


def _landed_file(
    entry: os.DirEntry[str], names: FileNames, directory: Path, now: float
) -> LandedFile | str:
    """Return the file of the feed, or why the entry is none; empty where that is obvious."""
    match = names.match(entry.name)
    if match is None or not entry.is_file(follow_symlinks=False):
        return _describe_type(entry) or names.describe_fault(entry.name)
    try:
        file_datetime = parse_name_time(match["bracketed"] or match["bare"])
    except ValueError as error:
        return str(error)
    file = LandedFile(directory, entry.name, names.hospital, match["entity"], file_datetime, 0, "")
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return "went away"
    except OSError as error:  # one bad entry must not keep the others back
        return file._replace(error=f"cannot be looked at: {error.strerror}")
    return file._replace(
        size_bytes=status.st_size, version=_version(status), changed_at=_changed_at(status, now)
    )


def _describe_type(entry: os.DirEntry[str]) -> str:
    """Return in words the type of an entry; empty for a regular file."""
    if entry.is_symlink():
        return "is a link"
    if entry.is_file():
        return ""
    return "is a directory" if entry.is_dir() else "is no regular file"


def _changed_at(status: os.stat_result, now: float) -> float:
    """Return the later of mtime and ctime; a time in the future is ignored."""
    return max((at for at in (status.st_mtime, status.st_ctime) if 0 <= at <= now), default=0)


def _is_settled(entry: os.DirEntry[str], now: float, settle: float) -> bool:
    """Whether an entry is there, and did not change in the last `settle` seconds."""
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return now - _changed_at(status, now) >= settle


class OpenFile:
    """A landed file, open: it hashes what is read, and tells whether the file changed meanwhile."""

    def __init__(self, handle: int, file: LandedFile) -> None:
        """Take an open descriptor of a landed file; raises OSError if it cannot be looked at."""
        self._handle = handle
        self._file = file
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

    def require_unchanged(self) -> None:
        """Raise FileChangedError unless the name is still the same file, unchanged and wholly read.

        Raises FileError if the name cannot be looked at.
        """
        try:
            now = self._file.path.lstat()
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


@contextmanager
def open_landed(file: LandedFile) -> Iterator[OpenFile]:
    """Open a landed file, never a link or a device that took its place.

    Raises FileChangedError if it is gone, FileError if it cannot be opened.
    """
    # Without O_NONBLOCK, opening a FIFO waits for a writer for ever.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    if file.error:
        raise FileError(file.error)
    try:
        handle = os.open(file.path, flags)
    except FileNotFoundError as error:
        message = "went away before it was read"
        raise FileChangedError(message) from error
    except OSError as error:
        message = f"cannot be opened: {error.strerror}"
        raise FileError(message) from error
    try:
        yield _require_regular(handle, file)
    finally:
        with suppress(OSError):  # all of it was read; some file systems report errors only now
            os.close(handle)


def _require_regular(handle: int, file: LandedFile) -> OpenFile:
    """Return the open file; raises FileError unless it is a regular one."""
    try:
        source = OpenFile(handle, file)
    except OSError as error:
        message = f"cannot be looked at: {error.strerror}"
        raise FileError(message) from error
    if not source.is_regular:
        message = "is no longer a regular file"
        raise FileError(message)
    return source


def sha256_of(file: LandedFile) -> str:
    """Return the SHA-256 of a landed file, in hexadecimal; raises what `open_landed` raises."""
    with open_landed(file) as source:
        while source.read(1 << 20):
            pass
        return source.sha256
