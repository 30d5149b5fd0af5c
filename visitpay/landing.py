"""The landing directory: what lies in it, what the names say, and reading a file safely."""

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from visitpay.errors import ConfigurationError, FileChangedError, FileError
from visitpay.models import ENTITIES
from visitpay.words import first

_NAMES_TO_TELL = 10


class LandedFile(NamedTuple):
    """A file of the feed as it lies in the landing directory; sizes in bytes, times in UTC."""

    directory: Path
    name: str
    hospital: str
    entity: str
    file_datetime: datetime
    size_bytes: int
    version: str
    """What was seen of it (`_version`); when it differs, the content may differ as well."""
    trouble: str = ""
    """Why nothing could be seen of it."""

    @property
    def path(self) -> Path:
        """Where the file lies; made when it is asked for, since most files are known already."""
        return self.directory / self.name

    @property
    def names(self) -> frozenset[str]:
        """The names by which people call it."""
        return frozenset({self.name, short(self.name)})


@dataclass(frozen=True)
class Landing:
    """What a landing directory holds: files of the feed in load order, and what is none of it."""

    files: tuple[LandedFile, ...]
    strange: Mapping[str, str]
    """Names that are none of the feed's, in order, and why; nothing where that is plain to see."""

    @property
    def unrecognised(self) -> tuple[str, ...]:
        """The names of what is none of the feed."""
        return tuple(self.strange)

    @property
    def strangers(self) -> str:
        """The first of the names that are none of the feed's, with the reasons, for people."""
        told = (
            f"{printable(name)} ({why})" if why else printable(name)
            for name, why in self.strange.items()
        )
        return first(told, _NAMES_TO_TELL, len(self.strange))


def scan(directory: Path, hospital: str) -> Landing:
    """List a landing directory: type by type, each in ascending file datetime.

    Hidden files are passed over: uploads in progress hide behind a dot. Raises ConfigurationError
    when the directory cannot be read.
    """
    require_hospital(hospital)
    pattern = _name_pattern(hospital)
    order = {entity.__name__: place for place, entity in enumerate(ENTITIES)}
    files: list[LandedFile] = []
    strange: dict[str, str] = {}
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                landed = _landed(entry, pattern, directory, hospital)
                if isinstance(landed, LandedFile):
                    files.append(landed)
                else:
                    strange[entry.name] = landed
    except OSError as error:
        message = (
            f"the landing directory {printable(str(directory))} cannot be read: {error.strerror}"
        )
        raise ConfigurationError(message) from error
    files.sort(key=lambda file: (order[file.entity], file.file_datetime, file.name))
    return Landing(tuple(files), dict(sorted(strange.items())))


def require_hospital(name: str) -> None:
    """Raise ConfigurationError for a hospital's name with which no file's name can begin."""
    if not (name and name.isprintable() and "/" not in name):
        message = "the hospital's name must be printable, without a slash: files begin with it"
        raise ConfigurationError(message)


def short(name: str) -> str:
    """Give the part of a file's name that tells files apart, so that a table fits a terminal."""
    return name.partition("_VisitPay_")[2].removesuffix(".txt") or name


def _name_pattern(hospital: str) -> re.Pattern[str]:
    entities = "|".join(entity.__name__ for entity in ENTITIES)
    moment = "[0-9]{8}_[0-9]{6}"
    return re.compile(
        rf"{re.escape(hospital)}_VisitPay_(?P<entity>{entities})"
        rf"_(?:\[(?P<bracketed>{moment})\]|(?P<bare>{moment}))\.txt"
    )


def _landed(
    entry: os.DirEntry[str], pattern: re.Pattern[str], directory: Path, hospital: str
) -> LandedFile | str:
    """Give the file, or why it is none of the feed's."""
    match = pattern.fullmatch(entry.name)
    if match is None or not entry.is_file(follow_symlinks=False):
        return _oddity(entry, pattern, hospital)
    try:
        moment = _moment(match["bracketed"] or match["bare"])
    except ValueError:
        return "no such date or time"
    size_bytes, version, trouble = 0, "", ""
    try:
        status = entry.stat(follow_symlinks=False)
        size_bytes, version = status.st_size, _version(status)
    except FileNotFoundError:
        return "went away"
    except OSError as error:  # one bad entry must not keep the others back
        trouble = f"cannot be looked at: {error.strerror}"
    return LandedFile(
        directory=directory,
        name=entry.name,
        hospital=hospital,
        entity=match["entity"],
        file_datetime=moment,
        size_bytes=size_bytes,
        version=version,
        trouble=trouble,
    )


def _oddity(entry: os.DirEntry[str], pattern: re.Pattern[str], hospital: str) -> str:
    """Say what keeps an entry from being a file of the feed, if it nearly is one."""
    if entry.is_symlink():
        return "is a link"
    if not entry.is_file():
        return "is a directory" if entry.is_dir() else "is no regular file"
    if pattern.fullmatch(entry.name.strip()):
        return "spaces around it"
    if re.fullmatch(pattern.pattern, entry.name, re.IGNORECASE):
        return "only the case of letters differs"
    if pattern.fullmatch(hospital + "".join(entry.name.partition("_VisitPay_")[1:])):
        return f"does not begin with {hospital}_"
    return ""


def _moment(digits: str) -> datetime:
    # strptime takes five times as long, half of a scan of many files.
    date = int(digits[:4]), int(digits[4:6]), int(digits[6:8])
    return datetime(*date, int(digits[9:11]), int(digits[11:13]), int(digits[13:]), tzinfo=UTC)


class Source(Protocol):
    """Bytes to read, a block at a time; empty at the end."""

    def read(self, size: int, /) -> bytes:
        """Give up to `size` bytes."""
        ...


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
def reading(file: LandedFile) -> Iterator[Reading]:
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
    with reading(file) as source:
        while source.read(1 << 20):
            pass
        return source.sha256


def printable(name: str) -> str:
    """Give a text from outside with everything that a terminal could act on written out."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in name
    )
