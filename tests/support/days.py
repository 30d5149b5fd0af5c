"""Days of a feed."""

from tests.support.feed import Feed
from visitpay.models import Procedure, Transaction


def deliver_bad_day(feed: Feed) -> None:
    """Deliver a transaction that refers to no visit, and a file that is empty."""
    feed.deliver(Procedure)
    feed.deliver(Transaction, transaction_identifier=101, visit_identifier=11)
    feed.deliver_bytes(Procedure, b"", at="20211202_223357")
