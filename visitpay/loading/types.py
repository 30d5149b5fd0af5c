"""What a run is given, and what it returns."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from visitpay.landing.place import LandedFile
from visitpay.ledger.files import Counts

CHANGED = "changed"

HELD_ADVICE = "ask for a better one, or load it with --approve"
"""What a person does about a file that is held."""


class Progress(Protocol):
    """Someone who wants to see how a run gets on."""

    def begin(self, files: int, size_bytes: int) -> None:
        """Hear how many files, and how many bytes, are to be loaded."""

    def file(self, name: str) -> None:
        """Hear which file comes next."""

    def advance(self, size_bytes: int) -> None:
        """Hear that so many bytes more were dealt with."""


class NoProgress:
    """Progress that nobody watches."""

    def begin(self, files: int, size_bytes: int) -> None:
        """Do nothing."""

    def file(self, name: str) -> None:
        """Do nothing."""

    def advance(self, size_bytes: int) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Tolerance:
    """How many rejected rows a run may have before a person is needed."""

    rows: float = 0
    percent: bool = False

    def exceeded(self, counts: Counts) -> bool:
        """Say whether a run rejected more than that."""
        return counts.rejected > (self.rows * counts.read / 100 if self.percent else self.rows)


@dataclass(frozen=True)
class Options:
    """How a run is to be done."""

    since: datetime | None = None
    dry_run: bool = False
    wait_seconds: float = 60
    tolerance: Tolerance = field(default_factory=Tolerance)
    hold_above: float = 100
    """Percent of a file's rows; with more rejected it is held, unless it is `approved`."""
    approved: frozenset[str] = frozenset()
    """Names of files, whole or `landing.short`, that are loaded whatever is rejected of them."""
    pass_over: tuple[str, ...] = ()
    """Patterns of names of which nothing is said (`naming.Names`)."""
    settle: float = 0
    """A file that changed less than so many seconds ago is left for the next run."""
    block_bytes: int | None = None


@dataclass(frozen=True)
class FileReport:
    """What came of one file."""

    file: LandedFile
    status: str
    counts: Counts
    error: str | None = None


@dataclass(frozen=True)
class RunReport:
    """What came of a run."""

    run_id: int | None
    status: str
    checkpoint: datetime | None
    files: tuple[FileReport, ...]
    files_waiting: tuple[str, ...]
    """Those that were left for the next run since they changed a moment ago."""
    unrecognised: tuple[str, ...]
    rejects_open: int
    rejects_resolved: int
    dry_run: bool

    @property
    def counts(self) -> Counts:
        """The rows of all its files."""
        return total_counts(self.files)


def total_counts(reports: Iterable[FileReport]) -> Counts:
    """Add up the rows of files."""
    total = Counts()
    for report in reports:
        total.add(report.counts)
    return total
