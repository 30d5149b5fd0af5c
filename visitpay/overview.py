"""What an operator asks first: whether all is well, how far the feed has got, what waits."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping

from visitpay import balances, ledger, quality
from visitpay.landing import Landing
from visitpay.models import HELD
from visitpay.quality import Finding
from visitpay.words import counted, minute


@dataclass(frozen=True)
class Overview:
    """The state of the feed; times in UTC."""

    checkpoint: datetime | None
    fed_until: datetime | None
    """The checkpoint, but for files that are dated in the future."""
    last_run: RowMapping | None
    files_waiting: Sequence[str]
    files_failed: Sequence[str]
    """Those of the waiting that could not be loaded, or are held, and are as they were."""
    files_held: Sequence[str]
    """Those of the failed that are held."""
    unrecognised: Sequence[str]
    rejects_open: int
    entities: Sequence[RowMapping]
    """For each entity that was loaded: `entity`, `files`, `newest`."""
    compared: RowMapping | None
    """The newest of `balances.comparisons`."""
    findings: Sequence[Finding]

    @property
    def files_new(self) -> Sequence[str]:
        """Those of the waiting that were not tried yet as they are."""
        failed = set(self.files_failed)
        return [name for name in self.files_waiting if name not in failed]

    @property
    def needs_person(self) -> bool:
        """Whether something will not be right until a person looks into it."""
        return bool(self.files_failed or self.rejects_open or self.findings)

    @property
    def summary(self) -> str:
        """Whether it is all right, in one line of plain words."""
        if self.needs_person:
            counts = [
                (len(self.files_failed), "file failed or held", "files failed or held"),
                (self.rejects_open, "reject open", "rejects open"),
                (len(self.findings), "finding", "findings"),
            ]
            wrong = (counted(*each) for each in counts if each[0])
            is_running = self.last_run and self.last_run["status"] == ledger.RUNNING
            more = "; a load has not ended" if is_running else ""
            return f"needs a person: {', '.join(wrong)}{more}"
        if self.fed_until is None:
            return "all is well: nothing was loaded yet"
        return f"all is well: loaded up to {minute(self.fed_until)} UTC, nothing is open"


def overview(
    connection: Connection,
    landed: Landing,
    now: datetime,
    expect: str | None = None,
    ignore: Collection[str] = (),
) -> Overview:
    """Compare a landing directory with the books; see `quality.findings` for what else it takes."""
    waiting = ledger.plan(connection, landed.files).pending
    failed = ledger.failed(connection, landed.files)
    return Overview(
        checkpoint=ledger.checkpoint(connection),
        fed_until=ledger.checkpoint(connection, now),
        last_run=ledger.last_run(connection),
        files_waiting=[file.name for file in waiting],
        files_failed=[each.name for each in failed],
        files_held=[each.name for each in failed if each.status == HELD],
        unrecognised=landed.unrecognised,
        rejects_open=ledger.open_rejects(connection),
        entities=ledger.progress(connection),
        compared=next(iter(balances.comparisons(connection, 1)), None),
        findings=quality.findings(connection, now, expect, ignore, waiting),
    )
