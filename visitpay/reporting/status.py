"""What an operator asks first: whether all is well, how far the feed has got, what waits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from visitpay.landing.place import Landing
from visitpay.ledger.history import LoadedType, checkpoint, loaded_types
from visitpay.ledger.runs import Run
from visitpay.quality.balances import Comparison, comparisons
from visitpay.quality.checks import Finding
from visitpay.verdict.problems import Feed
from visitpay.verdict.verdict import Verdict, judge
from visitpay.vocabulary import FileStatus, Health


@dataclass(frozen=True)
class FeedStatus:
    """The state of the feed; times in UTC."""

    verdict: Verdict
    """Whether all is well."""
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
    landed: Landing
    """What is in the landing directory."""
    entities: Sequence[LoadedType]
    compared: Comparison | None
    """The last comparison of balances with transactions."""
    findings: Sequence[Finding]

    @property
    def unrecognised(self) -> Mapping[str, str]:
        """Names that are not the feed's, each with the reason."""
        return self.landed.unrecognised

    @property
    def near_misses(self) -> Sequence[str]:
        """The unrecognised names that are nearly right."""
        return self.landed.near_misses

    @property
    def rejects_open(self) -> int:
        """How many rejects are open."""
        return self.verdict.rejects_open

    @property
    def needs_person(self) -> bool:
        """Whether something stays wrong until a person looks into it."""
        return self.verdict.state is Health.NEEDS_PERSON

    @property
    def summary(self) -> str:
        """The verdict, in one line of words."""
        return self.verdict.summary


def feed_status(feed: Feed) -> FeedStatus:
    """Return the state of the feed: the landing directory held against the ledger."""
    connection = feed.connection
    return FeedStatus(
        verdict=judge(feed),
        checkpoint=checkpoint(connection),
        fed_until=checkpoint(connection, feed.now),
        last_run=feed.last_run,
        run_died=feed.run_died,
        files_waiting=[file.name for file in feed.waiting],
        files_failed=[file.name for file in feed.failed],
        files_held=[file.name for file in feed.failed if file.status == FileStatus.HELD],
        files_changing=[file.name for file in feed.changing],
        landed=feed.landed,
        entities=loaded_types(connection),
        compared=next(iter(comparisons(connection, 1)), None),
        findings=feed.findings,
    )
