"""The landing directory: what lies in it, what the names say, and reading a file safely."""

import hashlib
import os
import stat
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from visitpay.errors import ConfigurationError, FileChangedError, FileError
from visitpay.feed import ALMOST, Names, composed, moment, require_hospital
from visitpay.landing.place import LandedFile, Landing
from visitpay.models import ENTITIES
from visitpay.text import printable

_WENT_AWAY = "went away"


def scan(
    directory: Path, hospital: str, pass_over: Collection[str] = (), settle: float = 0
) -> Landing:
    """List a landing directory: type by type, each in ascending file datetime.

    What is hidden, a file's companion, or named by `pass_over` is passed over (`Names`): uploads in
    progress hide behind a dot. What changed less than `settle` seconds ago may change again: a file
    is unsettled, and a name that nearly is one of the feed's may still be renamed. Raises
    ConfigurationError when the directory cannot be read.
    """
    require_hospital(hospital)
    names = Names(hospital, pass_over)
    order = {entity.__name__: place for place, entity in enumerate(ENTITIES)}
    now = time.time()
    files: list[LandedFile] = []
    strange: dict[str, str] = {}
    near: list[str] = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if names.passes_over(entry.name):
                    continue
                landed = _landed(entry, names, directory, composed(hospital), now)
                if isinstance(landed, LandedFile):
                    files.append(landed)
                    continue
                is_near = names.is_near(entry.name)
                strange[entry.name] = landed or (ALMOST if is_near else "")
                if is_near and _settled(entry, now, settle):
                    near.append(entry.name)
    except OSError as error:
        message = (
            f"the landing directory {printable(str(directory))} cannot be read: {error.strerror}"
        )
        raise ConfigurationError(message) from error
    files.sort(key=lambda file: (order[file.entity], file.file_datetime, file.name))
    unsettled = frozenset(file.name for file in files if now - file.changed_at < settle)
    return Landing(tuple(files), dict(sorted(strange.items())), tuple(sorted(near)), unsettled)


def _landed(
    entry: os.DirEntry[str], names: Names, directory: Path, hospital: str, now: float
) -> LandedFile | str:
    """Give the file, or why it is none of the feed's."""
    match = names.match(entry.name)
    if match is None or not entry.is_file(follow_symlinks=False):
        return _kind_of(entry) or names.wrong_with(entry.name)
    try:
        file_datetime = moment(match["bracketed"] or match["bare"])
    except ValueError as error:
        return str(error)
    seen = LandedFile(directory, entry.name, hospital, match["entity"], file_datetime, 0, "")
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return _WENT_AWAY
    except OSError as error:  # one bad entry must not keep the others back
        return seen._replace(trouble=f"cannot be looked at: {error.strerror}")
    return seen._replace(
        size_bytes=status.st_size, version=_version(status), changed_at=_changed_at(status, now)
    )


def _kind_of(entry: os.DirEntry[str]) -> str:
    """Say what an entry is that is no regular file."""
    if entry.is_symlink():
        return "is a link"
    if entry.is_file():
        return ""
    return "is a directory" if entry.is_dir() else "is no regular file"


def _changed_at(status: os.stat_result, now: float) -> float:
    """Give the later of the times of a file and of its entry; one in the future says nothing."""
    return max((at for at in (status.st_mtime, status.st_ctime) if 0 <= at <= now), default=0)


def _settled(entry: os.DirEntry[str], now: float, settle: float) -> bool:
    """Whether an entry is there, and did not change a moment ago."""
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return now - _changed_at(status, now) >= settle


class Reading:
    """A file that is being read: hashes what it gives, and knows whether it changed meanwhile."""

    def __init__(self, handle: int, file: LandedFile) -> None:
        """Read from an open descriptor of a landed file."""
        self._handle = handle
        self._file = file
        self._before = os.fstat(handle)
        self._hash = hashlib.sha256()
        self.bytes_read = 0

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end; raises FileError when it cannot be read.

        Of a file that grows, no more is read than it held when it was opened.
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
        """Whether it is a regular file, and no directory, FIFO or device."""
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
        """Raise FileChangedError unless the name stands for the same file, whole and unwritten.

        Raises FileError when that cannot be told.
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
    """Write down size, mtime, ctime and inode.

    Size and mtime are not enough: `cp -p` and unzip keep them, which ctime and inode do not.
    """
    seen = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    return " ".join(map(str, seen))


@contextmanager
def open_landed(file: LandedFile) -> Iterator[Reading]:
    """Open a landed file, never a link or a device that took its place.

    Raises FileChangedError when it is gone, FileError when it cannot be opened.
    """
    # Without O_NONBLOCK, opening a FIFO waits for a writer for ever.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    if file.trouble:
        raise FileError(file.trouble)
    try:
        handle = os.open(file.path, flags)
    except FileNotFoundError as error:
        message = "went away before it was read"
        raise FileChangedError(message) from error
    except OSError as error:
        message = f"cannot be opened: {error.strerror}"
        raise FileError(message) from error
    try:
        yield _opened(handle, file)
    finally:
        with suppress(OSError):  # all of it was read; some file systems tell of errors only now
            os.close(handle)


def _opened(handle: int, file: LandedFile) -> Reading:
    try:
        source = Reading(handle, file)
    except OSError as error:
        message = f"cannot be looked at: {error.strerror}"
        raise FileError(message) from error
    if not source.is_regular:
        message = "is no longer a regular file"
        raise FileError(message)
    return source


def sha256_of(file: LandedFile) -> str:
    """Hash a landed file; raises what `reading` raises."""
    with open_landed(file) as source:
        while source.read(1 << 20):
            pass
        return source.sha256
