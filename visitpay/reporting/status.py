"""What an operator asks first: whether all is well, how far the feed has got, what waits."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from visitpay.database.dialects import dialect_of
from visitpay.landing.place import Landing
from visitpay.ledger.changing import keeps_changing
from visitpay.ledger.files import failed_files
from visitpay.ledger.history import LoadedType, checkpoint, loaded_types
from visitpay.ledger.plan import make_plan
from visitpay.ledger.runs import Run, last_run
from visitpay.quality.balances import Comparison, comparisons
from visitpay.quality.checks import Finding, findings
from visitpay.rejects.queries import count_open
from visitpay.text import counted, minute
from visitpay.vocabulary import FileStatus, RunStatus


@dataclass(frozen=True)
class FeedStatus:
    """The state of the feed; times in UTC.

    Its verdict, `needs_person`, is about all that is open now, whichever run it came from. Two
    others ask less: the status of a run (`loading.run`) is about what that run met, and an alert
    (`notify.problems`) is about what no person was told yet.
    """

    checkpoint: datetime | None
    fed_until: datetime | None
    """The checkpoint without files that are dated in the future."""
    last_run: Run | None
    run_died: bool
    """Whether the ledger says that the last run is running, and no load is alive."""
    files_waiting: Sequence[str]
    """Files that no run has tried as they are now."""
    files_failed: Sequence[str]
    """Files that failed, or are held, and have not changed since."""
    files_held: Sequence[str]
    """The failed files that are held."""
    files_changing: Sequence[str]
    """The waiting files that changed in every run for more than a day."""
    unrecognised: Mapping[str, str]
    """Names that are not the feed's, each with the reason."""
    near_misses: Sequence[str]
    """The unrecognised names that are nearly right."""
    rejects_open: int
    entities: Sequence[LoadedType]
    compared: Comparison | None
    """The last comparison of balances with transactions."""
    findings: Sequence[Finding]

    @property
    def needs_person(self) -> bool:
        """Whether something stays wrong until a person looks into it."""
        return any(self._wrong())

    @property
    def summary(self) -> str:
        """Whether all is well, in one line of words."""
        if wrong := ", ".join(self._wrong()):
            is_running = self.last_run and self.last_run.status == RunStatus.RUNNING
            ended = "the last load died" if self.run_died else "a load has not ended"
            return f"needs a person: {wrong}{f'; {ended}' if is_running else ''}"
        if self.fed_until is None:
            return "all is well: nothing was loaded yet"
        return f"all is well: loaded up to {minute(self.fed_until)} UTC, nothing is open"

    def _wrong(self) -> Iterator[str]:
        """Yield what needs a person, each with its number."""
        nothing_loaded = self.fed_until is None and not self.near_misses  # else these say enough
        kinds = (
            (len(self.files_failed), "file failed or held", "files failed or held"),
            (len(self.near_misses), "misnamed file", "misnamed files"),
            (len(self.files_changing), "file keeps changing", "files keep changing"),
            (
                len(self.unrecognised) if nothing_loaded else 0,
                "name not recognised and nothing loaded yet",
                "names not recognised and nothing loaded yet",
            ),
            (self.rejects_open, "reject open", "rejects open"),
            (len(self.findings), "finding", "findings"),
        )
        return (counted(number, one, many) for number, one, many in kinds if number)


def feed_status(
    connection: Connection,
    landed: Landing,
    now: datetime,
    expect: str | None = None,
    ignore: Collection[str] = (),
) -> FeedStatus:
    """Return the state of the feed `now` (UTC): the landing directory held against the ledger.

    `expect` and `ignore` are as `quality.checks.findings` takes them.
    """
    waiting = make_plan(connection, landed.files).pending
    failed = failed_files(connection, landed.files)
    tried = {file.name for file in failed}
    run = last_run(connection)
    return FeedStatus(
        checkpoint=checkpoint(connection),
        fed_until=checkpoint(connection, now),
        last_run=run,
        run_died=_has_died(connection, run),
        files_waiting=[file.name for file in waiting if file.name not in tried],
        files_failed=[file.name for file in failed],
        files_held=[file.name for file in failed if file.status == FileStatus.HELD],
        files_changing=[file.name for file in keeps_changing(connection, landed.names, now)],
        unrecognised=landed.unrecognised,
        near_misses=landed.near_misses,
        rejects_open=count_open(connection),
        entities=loaded_types(connection),
        compared=next(iter(comparisons(connection, 1)), None),
        findings=findings(connection, now, expect, ignore, waiting),
    )


def _has_died(connection: Connection, run: Run | None) -> bool:
    """Whether a run that the ledger calls running is not alive."""
    is_running = run is not None and run.status == RunStatus.RUNNING
    if not is_running or dialect_of(connection).is_held(connection):
        return False
    with connection.engine.connect() as later:  # it may have ended since it was read
        return last_run(later) == run
