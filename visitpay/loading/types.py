"""What a run is given, and what it returns."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from visitpay.database.session import ExclusiveSession
from visitpay.landing.place import LandedFile, Landing
from visitpay.ledger.files import Counts
from visitpay.ledger.plan import NOTHING_AGAIN, Again
from visitpay.verdict.problems import CurrentProblem
from visitpay.vocabulary import FileStatus

CHANGED = "changed"
"""The status of a file that changed while it was read; the ledger has no entry for it."""


HOLD_PERCENT = 90
"""Without another limit, a file of which more than this is rejected is held."""
HOLD_ROWS = 1000
"""If it has fewer rows than this, it is not: no more than a hundred of them would be loaded."""


class Progress(Protocol):
    """A display of how far a run has come."""

    def begin(self, files: int, size_bytes: int) -> None:
        """Show how many files, and how many bytes, the run will load."""

    def file(self, name: str) -> None:
        """Show which file is loaded now."""

    def advance(self, size_bytes: int) -> None:
        """Show that this many more bytes were loaded."""


class AfterLoad(Protocol):
    """What is called at the end of a load, before another load can begin."""

    def __call__(
        self, session: ExclusiveSession, landed: Landing, /, *, rows_changed: bool
    ) -> None:
        """Look at what was loaded; `rows_changed` is whether rows of entities were written."""


class NoProgress:
    """A progress display that shows nothing."""

    def begin(self, files: int, size_bytes: int) -> None:
        """Do nothing."""

    def file(self, name: str) -> None:
        """Do nothing."""

    def advance(self, size_bytes: int) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Tolerance:
    """How many rejected rows of a run need no person: a number, or a percentage of its rows."""

    rows: float = 0
    percent: bool = False

    def is_exceeded(self, counts: Counts) -> bool:
        """Whether a run rejected more rows than that."""
        return counts.rejected > (self.rows * counts.read / 100 if self.percent else self.rows)


@dataclass(frozen=True)
class Options:
    """How a run is to be done."""

    since: datetime | None = None
    """Files with an older time (UTC) in their names are left out."""
    again: Again = NOTHING_AGAIN
    """The loaded files that are taken again, as the same deliveries."""
    dry_run: bool = False
    """Everything is done, and rolled back at the end."""
    wait_seconds: float = 60
    """How long to wait for another load to end."""
    unless_after: int | None = None
    """Leave everything to another load, if one is under way or a later run than this ended well."""
    tolerance: Tolerance = field(default_factory=Tolerance)
    hold_above: float | None = None
    """A file is held if more than this percentage of its rows is rejected.

    None stands for a limit that catches only files that are broken as a whole, so that the few
    rows that happen to read well are no good either: of HOLD_ROWS rows or more, more than
    HOLD_PERCENT but not all are rejected. Rows that miss a reference do not count as rejected.
    """
    approved: frozenset[str] = frozenset()
    """Names of files, whole or short, that are loaded and never held."""
    pass_over: tuple[str, ...] = ()
    """Shell patterns of names to ignore (`feed.FileNames`)."""
    settle: float = 0
    """A file that changed less than this many seconds ago is left for the next run."""
    block_bytes: int | None = None
    """How many bytes are read at once; None for the parser's default."""


@dataclass(frozen=True)
class FileReport:
    """What became of one file."""

    file: LandedFile
    status: str
    """A FileStatus, or CHANGED."""
    counts: Counts
    error: str | None = None
    is_again: bool = False
    """Whether it was loaded before with the same content, and was taken again."""


@dataclass(frozen=True)
class RunReport:
    """What became of a run."""

    run_id: int | None
    """Its id in the ledger; None after a dry run."""
    status: str
    """RunStatus.OK or RunStatus.ATTENTION."""
    problems: tuple[CurrentProblem, ...]
    """What of the run needs a person, and nobody has acknowledged."""
    checkpoint: datetime | None
    """The newest time (UTC) among the loaded files of the feed; None before the first."""
    files: tuple[FileReport, ...]
    """Those that it tried."""
    files_held: tuple[str, ...]
    """Names of files that it left alone, because an earlier run held them."""
    files_waiting: tuple[str, ...]
    """Names of files left for the next run because they changed a moment ago."""
    unrecognised: Mapping[str, str]
    """Names that are not the feed's, each with the reason."""
    near_misses: tuple[str, ...]
    """The unrecognised names that are nearly the feed's."""
    rejects_open: int
    rejects_resolved: int
    dry_run: bool

    @property
    def counts(self) -> Counts:
        """How the rows of all its files ended."""
        return total_counts(self.files)

    @property
    def files_again(self) -> tuple[str, ...]:
        """Names of the files that were loaded again, with the content that they had before."""
        loaded = (file for file in self.files if file.status == FileStatus.LOADED)
        return tuple(file.file.name for file in loaded if file.is_again)

    @property
    def rows_changed(self) -> bool:
        """Whether rows of entities were written."""
        counts = self.counts
        return bool(counts.inserted or counts.updated or self.rejects_resolved)

    def count_files(self, status: str) -> int:
        """Return how many of its files have a status."""
        return sum(file.status == status for file in self.files)


def total_counts(reports: Iterable[FileReport]) -> Counts:
    """Return the sum of the counts of files."""
    total = Counts()
    for report in reports:
        total.add(report.counts)
    return total
