"""What an operator asks first: how far the feed has got, what waits, what needs a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping

from visitpay import ledger
from visitpay.landing import Landing


@dataclass(frozen=True)
class Overview:
    """The state of the feed; times in UTC."""

    checkpoint: datetime | None
    last_run: RowMapping | None
    files_waiting: Sequence[str]
    unrecognised: Sequence[str]
    rejects_open: int
    entities: Sequence[RowMapping]
    """For each entity that was loaded: `entity`, `files`, `newest`."""


def overview(connection: Connection, landed: Landing) -> Overview:
    """Compare a landing directory with the books."""
    return Overview(
        checkpoint=ledger.checkpoint(connection),
        last_run=ledger.last_run(connection),
        files_waiting=[file.name for file in ledger.plan(connection, landed.files).pending],
        unrecognised=landed.unrecognised,
        rejects_open=ledger.open_rejects(connection),
        entities=ledger.progress(connection),
    )
