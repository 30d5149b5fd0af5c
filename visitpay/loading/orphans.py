"""Another try for orphans: rows that wait for the row that they refer to."""

import logging
from functools import partial

from visitpay.database.session import ExclusiveSession
from visitpay.errors import FileError
from visitpay.events import Event
from visitpay.loading.faults import as_file_error
from visitpay.rejects.queries import OrphanedFile, files_with_orphans
from visitpay.text import counted

logger = logging.getLogger(__name__)


def retry_all(session: ExclusiveSession) -> int:
    """Retry the rows that miss a reference, a transaction a delivery; count the resolved."""
    total = 0
    for orphaned in session.transact(files_with_orphans):
        resolved = _retry(session, orphaned)
        if resolved:
            rows = counted(resolved, "row found what it refers to", "rows found what they refer to")
            logger.info("%s: %s", orphaned.name, rows, extra=Event.ROWS_RESOLVED.extra)
        total += resolved
    return total


def _retry(session: ExclusiveSession, orphaned: OrphanedFile) -> int:
    # Imported here: most runs have no orphans, and need not wait for polars.
    from visitpay.loading.merge import retry_orphans

    try:
        with as_file_error():
            return session.transact(partial(retry_orphans, orphaned=orphaned))
    except FileError as error:
        logger.warning(
            "%s: its rejected rows cannot be tried again: %s",
            orphaned.name,
            error,
            extra=Event.ROWS_LOST_THEIR_LAYOUT.extra,
        )
        return 0
