"""What any landing place has: files of the feed, and names that are none of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from visitpay.feed import composed, short
from visitpay.text import first, printable

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
    changed_at: float = 0
    """When it last changed, in seconds since the epoch; 0 where that is not known."""

    @property
    def path(self) -> Path:
        """Where the file lies; made when it is asked for, since most files are known already."""
        return self.directory / self.name

    @property
    def names(self) -> frozenset[str]:
        """The names by which people call it."""
        known = (self.name, composed(self.name))
        return frozenset({*known, *map(short, known)})


@dataclass(frozen=True)
class Landing:
    """What a landing directory holds: files of the feed in load order, and what is none of it."""

    files: tuple[LandedFile, ...]
    unrecognised: Mapping[str, str]
    """Names that are not the feed's, in order, each with the reason; empty where it is obvious."""
    near_misses: tuple[str, ...] = ()
    """Those of them that nearly are the feed's, so that a person must see to them."""
    unsettled: frozenset[str] = frozenset()
    """Names of files that changed a moment ago, so that they wait for a later run."""

    @property
    def names(self) -> frozenset[str]:
        """The names of its files."""
        return frozenset(file.name for file in self.files)

    def describe_unrecognised(self) -> str:
        """Return the first unrecognised names with their reasons, for people; near misses first."""
        names = dict.fromkeys((*self.near_misses, *self.unrecognised))
        told = (
            f"{printable(name)} ({self.unrecognised[name]})"
            if self.unrecognised[name]
            else printable(name)
            for name in names
        )
        return first(told, _NAMES_TO_TELL, len(names))
