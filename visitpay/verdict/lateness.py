"""How often a load runs, and after which time the next one is late."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from sqlalchemy import ColumnElement, Connection, func, select

from visitpay.models import LoadRun

A_DAY = timedelta(days=1)
"""How often a load is taken to run as long as nothing else is known: the feed comes every day."""

HISTORY = timedelta(weeks=5)
"""The runs of so long before the last one say what is usual."""

MIN_INTERVALS = 4
"""With fewer intervals, nothing is known of what is usual."""

_OUTAGE_EVERY = timedelta(weeks=2)
_SHORTEST_GRACE, _LONGEST_GRACE = timedelta(minutes=10), timedelta(hours=3)


@dataclass(frozen=True)
class Schedule:
    """How often a load runs."""

    interval: timedelta

    @property
    def limit(self) -> timedelta:
        """The time from the beginning of a load after which the next one is late.

        It is the interval and a quarter of it, which is at least 10 minutes and at most 3 hours.
        """
        grace = min(max(self.interval / 4, _SHORTEST_GRACE), _LONGEST_GRACE)
        return self.interval + grace


def schedule(connection: Connection, every: timedelta | None = None) -> Schedule:
    """Return how often a load runs: `every` if a person says so, else as the ledger shows."""
    if every is not None:
        return Schedule(every)
    return Schedule(usual_interval(_starts(connection)))


def feed_schedule(connection: Connection) -> tuple[datetime, Schedule] | None:
    """Return when files were last loaded (UTC), and how often they are; None if that is unknown."""
    starts = _starts(connection, LoadRun.files_loaded > 0)
    if len(starts) <= MIN_INTERVALS or starts[-1] - starts[0] < MIN_INTERVALS * A_DAY:
        return None
    return starts[-1], Schedule(usual_interval(starts))


def _starts(connection: Connection, *conditions: ColumnElement[bool]) -> list[datetime]:
    """Return when the runs of late began, the oldest first: those that meet the conditions."""
    newest = connection.scalar(select(func.max(LoadRun.started_at)).where(*conditions))
    if newest is None:
        return []
    lately = LoadRun.started_at >= newest - HISTORY
    return sorted(connection.scalars(select(LoadRun.started_at).where(lately, *conditions)))


def usual_interval(starts: Sequence[datetime]) -> timedelta:
    """Return the usual interval of runs, by the times at which they began, the oldest first.

    It is the longest one, so that weekends and nights without runs are usual. Of every two weeks,
    the longest one of all is taken for an outage and left out. Runs of less than a day say nothing:
    someone may have tried the command by hand.
    """
    intervals = sorted(later - earlier for earlier, later in pairwise(starts))
    if len(intervals) < MIN_INTERVALS or starts[-1] - starts[0] < A_DAY:
        return A_DAY
    outages = (starts[-1] - starts[0]) // _OUTAGE_EVERY
    return intervals[-1 - min(outages, len(intervals) - MIN_INTERVALS)]
