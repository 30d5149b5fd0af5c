"""What an operator asks first: whether all is well, how far the feed has got, what waits."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping

from visitpay.database.dialects import dialect_of
from visitpay.landing.place import Landing
from visitpay.ledger.changing import keeps_changing
from visitpay.ledger.files import failed_files
from visitpay.ledger.history import checkpoint, loaded_types
from visitpay.ledger.plan import make_plan
from visitpay.ledger.runs import last_run
from visitpay.quality import checks as quality
from visitpay.quality.balances import comparisons
from visitpay.quality.checks import Finding
from visitpay.rejects.queries import count_open
from visitpay.text import counted, minute
from visitpay.vocabulary import FileStatus, RunStatus


@dataclass(frozen=True)
class FeedStatus:
    """The state of the feed; times in UTC."""

    checkpoint: datetime | None
    fed_until: datetime | None
    """The checkpoint, but for files that are dated in the future."""
    last_run: RowMapping | None
    run_died: bool
    """Whether the last run stands as running, though no load has the database."""
    files_waiting: Sequence[str]
    """Those that were not tried yet as they are."""
    files_failed: Sequence[str]
    """Those that could not be loaded, or are held, and are as they were."""
    files_held: Sequence[str]
    """Those of the failed that are held."""
    files_changing: Sequence[str]
    """Those of the waiting that changed in every run for more than a day."""
    unrecognised: Sequence[str]
    near_misses: Sequence[str]
    """Those of the unrecognised that nearly are names of the feed."""
    rejects_open: int
    entities: Sequence[RowMapping]
    """For each entity that was loaded: `entity`, `files`, `newest`."""
    compared: RowMapping | None
    """The newest of `balances.comparisons`."""
    findings: Sequence[Finding]

    @property
    def needs_person(self) -> bool:
        """Whether something will not be right until a person looks into it."""
        return any(count for count, *_ in self._wrong)

    @property
    def _wrong(self) -> Sequence[tuple[int, str, str]]:
        """How many there are of what needs a person, and what one, or several, are called."""
        is_lost = self.fed_until is None and not self.near_misses  # else they say enough
        return [
            (len(self.files_failed), "file failed or held", "files failed or held"),
            (len(self.near_misses), "misnamed file", "misnamed files"),
            (len(self.files_changing), "file keeps changing", "files keep changing"),
            (
                len(self.unrecognised) if is_lost else 0,
                "name not recognised and nothing loaded yet",
                "names not recognised and nothing loaded yet",
            ),
            (self.rejects_open, "reject open", "rejects open"),
            (len(self.findings), "finding", "findings"),
        ]

    @property
    def summary(self) -> str:
        """Whether it is all right, in one line of plain words."""
        if self.needs_person:
            wrong = (counted(*each) for each in self._wrong if each[0])
            is_running = self.last_run and self.last_run["status"] == RunStatus.RUNNING
            ended = "the last load died" if self.run_died else "a load has not ended"
            more = f"; {ended}" if is_running else ""
            return f"needs a person: {', '.join(wrong)}{more}"
        if self.fed_until is None:
            return "all is well: nothing was loaded yet"
        return f"all is well: loaded up to {minute(self.fed_until)} UTC, nothing is open"


def feed_status(
    connection: Connection,
    landed: Landing,
    now: datetime,
    expect: str | None = None,
    ignore: Collection[str] = (),
) -> FeedStatus:
    """Compare a landing directory with the books; see `quality.findings` for what else it takes."""
    waiting = make_plan(connection, landed.files).pending
    failed = failed_files(connection, landed.files)
    tried = {each.name for each in failed}
    run = last_run(connection)
    return FeedStatus(
        checkpoint=checkpoint(connection),
        fed_until=checkpoint(connection, now),
        last_run=run,
        run_died=_died(connection, run),
        files_waiting=[file.name for file in waiting if file.name not in tried],
        files_failed=[each.name for each in failed],
        files_held=[each.name for each in failed if each.status == FileStatus.HELD],
        files_changing=[each.name for each in keeps_changing(connection, landed.names, now)],
        unrecognised=tuple(landed.unrecognised),
        near_misses=landed.near_misses,
        rejects_open=count_open(connection),
        entities=loaded_types(connection),
        compared=next(iter(comparisons(connection, 1)), None),
        findings=quality.findings(connection, now, expect, ignore, waiting),
    )


def _died(connection: Connection, run: RowMapping | None) -> bool:
    """Whether a run stands as running that does so no more."""
    if (
        run is None
        or run["status"] != RunStatus.RUNNING
        or dialect_of(connection).is_held(connection)
    ):
        return False
    with connection.engine.connect() as later:  # it may have ended since its book was read
        now = last_run(later)
    return now is not None and (now["id"], now["status"]) == (run["id"], RunStatus.RUNNING)
