"""Days of a feed."""

from tests.support.feed import Feed


def deliver_bad_day(feed: Feed) -> None:
    """Deliver a transaction that refers to no visit, and a file that is empty."""
    feed.deliver("Procedure", "20211201_223357", "1\tbandaid")
    feed.deliver("Transaction", "20211201_223133", "101\t11\t1\t9")
    feed.deliver_bytes("Procedure", "20211202_223357", b"")
