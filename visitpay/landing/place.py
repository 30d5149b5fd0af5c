"""What any landing place gives: files of the feed, and names that are not the feed's.

`landing.local` reads a directory. A remote place, such as an object store, would be one more module
beside it, with the same functions: `scan`, `open_landed`, `sha256_of`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from visitpay.feed import normalize_name, short_name
from visitpay.text import first, printable

_NAMES_TO_DESCRIBE = 10


class LandedFile(NamedTuple):
    """A file of the feed in the landing place; size in bytes, times in UTC."""

    directory: Path
    name: str
    hospital: str
    entity: str
    file_datetime: datetime
    """The time in its name."""
    size_bytes: int
    version: str
    """A text that differs if the content may have changed; each kind of place has its own."""
    error: str = ""
    """Why size and version could not be read; empty if they were."""
    changed_at: float = 0
    """When it last changed, in seconds since the epoch; 0 if that is unknown."""

    @property
    def path(self) -> Path:
        """Where the file is; made on demand, since most files are known already."""
        return self.directory / self.name

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
