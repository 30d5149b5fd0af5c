"""What any landing place gives: files of the feed, and names that are not the feed's.

`landing.local` is a directory of this machine; each other kind of place is one module beside it
with a `Place`, which `landing.scan` and all who read files use without knowing which it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from visitpay.errors import FileError
from visitpay.feed import normalize_name, short_name
from visitpay.text import first, printable

_NAMES_TO_DESCRIBE = 10
_HASHED_BYTES = 1 << 20


class Seen(NamedTuple):
    """What a place tells of a file without reading it; its size in bytes."""

    size_bytes: int
    version: str
    """A text that differs if the content may have changed; each kind of place has its own."""
    changed_at: float
    """When it last changed, in seconds since the epoch; 0 if that is unknown."""


class Entry(Protocol):
    """A name in a landing place."""

    @property
    def name(self) -> str:
        """The name, without that of the place."""

    def describe_type(self) -> str:
        """Return in words what it is; empty for a file. Raises OSError."""

    def look(self, now: float) -> Seen:
        """Look at a file; a time after `now` is ignored. Raises OSError if that cannot be done."""


class Reader(Protocol):
    """A landed file, open: it hashes what is read, and tells whether the file changed meanwhile."""

    bytes_read: int

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end.

        Raises FileError if they cannot be read, FileChangedError if it is known to be another file.
        Of a file that grows, only the bytes are read that it had when it was opened.
        """

    @property
    def sha256(self) -> str:
        """The SHA-256 of the bytes read so far, in hexadecimal."""

    @property
    def size_bytes(self) -> int:
        """The size of the file when it was opened, in bytes."""

    @property
    def version(self) -> str:
        """The version of the file when it was opened."""

    def stop(self) -> None:
        """Let a read that waits, in another thread, end at once with a FileError."""

    def require_unchanged(self) -> None:
        """Raise FileChangedError unless the name is still the same file, unchanged and wholly read.

        Raises FileError if the name cannot be looked at.
        """


class Place(Protocol):
    """A place where files arrive; it is never written to."""

    @property
    def name(self) -> str:
        """How people call it: an absolute path, or a URL without a secret."""

    @property
    def local_path(self) -> Path | None:
        """The directory, if it is one of this machine."""

    @property
    def least_settle(self) -> float:
        """For how many seconds a file waits at least after its last change."""

    def entries(self) -> Iterable[Entry]:
        """Yield what is in it, in any order; raises OSError or ConfigurationError.

        OSError stands for a directory of this machine that cannot be listed.
        """

    def count_unreadable(self, files: Sequence["LandedFile"]) -> int:
        """Count the files that may not be read, as far as that can be told without reading them."""

    def open(self, file: "LandedFile") -> AbstractContextManager[Reader]:
        """Open a file; raises FileChangedError if it is gone, FileError if it cannot be opened."""


class LandedFile(NamedTuple):
    """A file of the feed in the landing place; size in bytes, times in UTC."""

    place: Place
    name: str
    hospital: str
    entity: str
    file_datetime: datetime
    """The time in its name."""
    size_bytes: int
    version: str
    error: str = ""
    """Why size and version could not be read; empty if they were."""
    changed_at: float = 0

    def open(self) -> AbstractContextManager[Reader]:
        """Open it; raises FileChangedError if it is gone, FileError if it cannot be opened."""
        if self.error:
            raise FileError(self.error)
        return self.place.open(self)

    def sha256(self) -> str:
        """Return the SHA-256 of its content, in hexadecimal; raises what reading it raises."""
        with self.open() as source:
            while source.read(_HASHED_BYTES):
                pass
            return source.sha256

    @property
    def names(self) -> frozenset[str]:
        """The names by which people call it: whole or short, in its own Unicode form or in NFC."""
        known = (self.name, normalize_name(self.name))
        return frozenset({*known, *map(short_name, known)})


@dataclass(frozen=True)
class Landing:
    """The content of a landing place: files of the feed in load order, and other names."""

    files: tuple[LandedFile, ...]
    unrecognised: Mapping[str, str]
    """Names that are not the feed's, sorted, each with the reason; empty where it is obvious."""
    near_misses: tuple[str, ...] = ()
    """The unrecognised names that are nearly the feed's: a person must look at them."""
    recently_changed: frozenset[str] = frozenset()
    """Names of files that changed a moment ago: they wait for a later run."""

    @property
    def names(self) -> frozenset[str]:
        """The names of its files."""
        return frozenset(file.name for file in self.files)

    def named(self, name: str) -> Sequence[str]:
        """Return the whole names of the files that people call so: one, unless accents differ."""
        if name in self.names:
            return [name]
        return [file.name for file in self.files if normalize_name(name) in file.names]

    def describe_unrecognised(self) -> str:
        """Return the first unrecognised names with their reasons, for people; near misses first."""
        names = dict.fromkeys((*self.near_misses, *self.unrecognised))
        described = (
            f"{printable(name)} ({self.unrecognised[name]})"
            if self.unrecognised[name]
            else printable(name)
            for name in names
        )
        return first(described, _NAMES_TO_DESCRIBE, len(names))
