"""How fast the database and the landing directory grow, as the ledger shows."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from visitpay.database.dialects import dialect_of
from visitpay.ledger.files import IS_OF_FEED
from visitpay.ledger.history import checkpoint
from visitpay.models import LoadFile

HISTORY = timedelta(weeks=4)
"""The files of so long before the newest one say how fast it grows."""

MIN_HISTORY = timedelta(weeks=1)
"""With less, nothing is known."""

_NEW_ROWS = func.coalesce(func.sum(LoadFile.rows_inserted + LoadFile.rows_rejected), 0)
"""What a database keeps for good. Rows that were there before take no room when they come again."""


@dataclass(frozen=True)
class Growth:
    """How many bytes come on a day of the feed."""

    database: float
    files: float
    """The files themselves."""
    oldest: datetime
    """The time (UTC) of the oldest file that was loaded."""


def growth(connection: Connection, now: datetime) -> Growth | None:
    """Return how fast the database grows; None with less than a week of the feed.

    Days are those in the names of files, so that a first load of many old ones is no fast growth.
    """
    newest = checkpoint(connection, now)
    oldest = connection.scalar(select(func.min(LoadFile.file_datetime)).where(*IS_OF_FEED))
    if newest is None or oldest is None:
        return None
    start = oldest if newest - oldest < HISTORY else newest - HISTORY
    if newest - start < MIN_HISTORY:
        return None
    is_lately = LoadFile.file_datetime > start, LoadFile.file_datetime <= newest
    new, size = connection.execute(
        select(_NEW_ROWS, func.sum(LoadFile.size_bytes)).where(*IS_OF_FEED, *is_lately)
    ).one()
    every = connection.scalar(select(_NEW_ROWS).where(*IS_OF_FEED))
    days = (newest - start) / timedelta(days=1)
    share = float(new) / float(every) if every else 0.0
    return Growth(
        share * dialect_of(connection).size_bytes(connection) / days, float(size) / days, oldest
    )
