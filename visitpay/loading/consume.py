"""One file, in one transaction: read it, merge its batches, close its entry in the ledger."""

import json
import logging
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime

from sqlalchemy import Connection

from visitpay.errors import FileError, HeldError
from visitpay.events import Event
from visitpay.landing.place import LandedFile, Reader
from visitpay.ledger.files import (
    Counts,
    Delivery,
    close_delivery,
    former_deliveries,
    open_delivery,
    other_with_content,
)
from visitpay.ledger.history import CLOCKS_APART, ends_with_line_end
from visitpay.ledger.keys import count_withdrawn
from visitpay.loading.again import TakenAgain
from visitpay.loading.merge import merge_batch
from visitpay.loading.types import HOLD_PERCENT, HOLD_ROWS, Options, Progress
from visitpay.models import entity_named
from visitpay.parsing.blocks import FIRST_BLOCK_BYTES
from visitpay.parsing.layout import Layout
from visitpay.parsing.parser import DAY_FIRST_ERROR, Parser
from visitpay.parsing.rows import Batch
from visitpay.quality.columns import without_ignored
from visitpay.rejects.queries import count_orphans
from visitpay.rejects.store import supersede_former, supersede_keyless
from visitpay.text import counted, first, minute
from visitpay.waiting import result_of

logger = logging.getLogger(__name__)

_BATCHES_AHEAD = 2
_NAMES_TO_LOG = 10


def consume(
    connection: Connection,
    run_id: int,
    file: LandedFile,
    options: Options,
    progress: Progress,
    again: int | None = None,
) -> Counts:
    """Load a file within the caller's transaction, and return how its rows ended.

    A file that is taken `again`, with the ledger id of its delivery, is the same delivery: it was
    let in before, and what people did about its rejects stays. Raises HeldError if a person must
    approve the file, FileError if it cannot be loaded, and FileChangedError if it changed
    meanwhile; the caller then rolls back.
    """
    with file.open() as source:
        entity, file_date = entity_named(file.entity), file.file_datetime.date()
        parser = Parser(source, entity, options.block_bytes, file_date)
        layout = parser.layout
        _warn_of_columns(file, layout)
        # What a person mended is loaded, even if only some of it is right.
        is_approved = layout.is_resubmission or file.name in options.approved
        was_let_in = is_approved or again is not None
        if not was_let_in:
            require_past_time(file)
        # A person who takes a file again by its name, and approves it, says that it is whole.
        is_whole = is_approved and (layout.is_resubmission or again is not None)
        line_ends_expected = not is_whole and ends_with_line_end(connection, file.entity, again)
        delivery = open_delivery(connection, run_id, file)
        taken_again = None if again is None else TakenAgain.begin(connection, again)
        # Closed before the file is: the thread must not read from a closed descriptor.
        parsed = parser.batches(line_ends_expected=line_ends_expected)
        with closing(_read_batches(parsed, source, progress)) as batches:
            counts, conflicting = _merge_batches(connection, delivery, batches, layout)
        source.require_unchanged()
        if not was_let_in:
            _require_month_first(parser, source)
        if not is_approved:
            _require_few_rejects(connection, delivery, counts, options.hold_above, source)
        _warn_of_conflicts(file, conflicting)
        if parser.is_cut_off:
            _warn_of_cut(file)
        if taken_again:
            taken_again.end(connection, delivery, source.sha256)
            withdrawn = taken_again.former.rows_withdrawn
        else:
            _warn_of_repetition(connection, file, source.sha256, counts)
            withdrawn = 0 if layout.is_resubmission else _replace_former(connection, delivery)
        close_delivery(
            connection,
            delivery,
            source,
            counts,
            trailer_rows=parser.trailer_rows,
            has_last_line_end=parser.has_last_line_end if counts.read else None,
            rows_conflicting=conflicting,
            rows_withdrawn=withdrawn,
            **_of_header(layout),
        )
    if not counts.balanced:
        message = f"its books do not balance ({counts}); nothing of it was kept, report this"
        raise FileError(message)
    if not counts.read:
        logger.warning("%s: holds a header and no rows", file.name, extra=Event.FILE_EMPTY.extra)
    return counts


def _read_batches(
    batches: Generator[Batch], source: Reader, progress: Progress
) -> Generator[Batch]:
    """Yield the batches of a file; report progress when the caller asks for the next one."""
    if source.size_bytes > FIRST_BLOCK_BYTES:  # else a thread costs more than it saves
        batches = _read_ahead(batches, source)
    reported = 0
    with closing(batches):
        for batch in batches:
            yield batch
            progress.advance(source.bytes_read - reported)
            reported = source.bytes_read


def _read_ahead(batches: Iterator[Batch], source: Reader) -> Generator[Batch]:
    """Yield batches that another thread reads, some of them before they are needed."""
    with ThreadPoolExecutor(1) as pool, _stopping(source):
        coming = deque(pool.submit(next, batches, None) for _ in range(_BATCHES_AHEAD))
        while (batch := result_of(coming.popleft())) is not None:
            coming.append(pool.submit(next, batches, None))
            yield batch


@contextmanager
def _stopping(source: Reader) -> Iterator[None]:
    """Let the other thread read no more at the end: a read may wait for another machine."""
    try:
        yield
    finally:
        source.stop()


def _merge_batches(
    connection: Connection, delivery: Delivery, batches: Iterable[Batch], layout: Layout
) -> tuple[Counts, int]:
    """Write the batches of a delivery; return its counts, and how many rows are conflicting."""
    counts, conflicting, expects_orphans = Counts(), 0, False
    for batch in batches:
        merged = merge_batch(connection, delivery, batch, layout, expects_orphans=expects_orphans)
        counts.add(merged.counts)
        conflicting += merged.conflicting
        expects_orphans = merged.has_orphans
        name, rows = delivery.parameters["name"], counted(counts.read, "row")
        logger.debug("%s: %s so far", name, rows, extra=Event.FILE_PROGRESS.extra)
    if counts.rejected and not layout.is_resubmission:
        supersede_keyless(connection, delivery)
    return counts, conflicting


def _of_header(layout: Layout) -> dict[str, str | bool | None]:
    """Return what the ledger records of a header."""
    return {
        "header": layout.header,
        "columns_unknown": json.dumps(layout.extra) if layout.extra else None,
        "is_resubmission": layout.is_resubmission,
    }


def _replace_former(connection: Connection, delivery: Delivery) -> int:
    """Close the open rejects of former deliveries of the name; count the keys that are missing."""
    former = former_deliveries(connection, delivery)
    if not former:
        return 0
    supersede_former(connection, former)
    withdrawn = count_withdrawn(connection, delivery, former)
    if withdrawn:
        rows = counted(
            withdrawn, "row of its former delivery is", "rows of its former deliveries are"
        )
        name, event = delivery.parameters["name"], Event.ROWS_WITHDRAWN
        logger.warning("%s: %s not in it; the rows stay", name, rows, extra=event.extra)
    return withdrawn


def require_past_time(file: LandedFile) -> None:
    """Raise HeldError for a file dated in the future: its rows would win until then."""
    if file.file_datetime > datetime.now(UTC) + CLOCKS_APART:
        message = f"its name is dated in the future, {minute(file.file_datetime)} UTC"
        raise HeldError(message)


def _require_month_first(parser: Parser, source: Reader) -> None:
    """Raise HeldError for a file whose dates with slashes would be read as other days."""
    if parser.is_day_first:
        raise HeldError(DAY_FIRST_ERROR, source.sha256)


def _require_few_rejects(
    connection: Connection,
    delivery: Delivery,
    counts: Counts,
    hold_above: float | None,
    source: Reader,
) -> None:
    """Raise HeldError for a file of which more than `hold_above` percent were rejected.

    By default (`Options.hold_above`) orphans do not count, since they are loaded by themselves
    once their parents have come; nor is a file held that is small, or has no row to load.
    """
    rejected, percent = counts.rejected, HOLD_PERCENT if hold_above is None else hold_above
    if rejected * 100 <= percent * counts.read:
        return
    orphans = count_orphans(connection, delivery)
    if hold_above is None:
        rejected -= orphans
        would_load_few = counts.read < HOLD_ROWS or rejected == counts.read
        if would_load_few or rejected * 100 <= percent * counts.read:
            return
    message = f"{rejected:,} of {counted(counts.read, 'row')} rejected, more than {percent:g} %"
    if orphans and hold_above is not None:
        refer = ("of them refers to a row not there", "of them refer to rows not there")
        message += f"; {counted(orphans, *refer)}: see first what became of their files"
    raise HeldError(message, source.sha256)


def _warn_of_columns(file: LandedFile, layout: Layout) -> None:
    if extra := without_ignored(layout.entity, layout.extra):
        names = first(extra, _NAMES_TO_LOG, len(extra))
        columns = counted(len(extra), "unknown column")
        logger.warning("%s: %s: %s", file.name, columns, names, extra=Event.COLUMNS_UNKNOWN.extra)


def _warn_of_conflicts(file: LandedFile, conflicting: int) -> None:
    if conflicting:
        logger.warning(
            "%s: %s of the same identifier with other values",
            file.name,
            counted(
                conflicting, "row is replaced by a later one", "rows are replaced by later ones"
            ),
            extra=Event.ROWS_CONFLICTING.extra,
        )


def _warn_of_cut(file: LandedFile) -> None:
    logger.warning(
        "%s: its last line has no line end, as all files before it had; that line is put aside",
        file.name,
        extra=Event.FILE_CUT_OFF.extra,
    )


def _warn_of_repetition(
    connection: Connection, file: LandedFile, sha256: str, counts: Counts
) -> None:
    if counts.read and (other := other_with_content(connection, file.name, sha256)):
        logger.warning(
            "%s: has the same content as %s, and may put old values back",
            file.name,
            other,
            extra=Event.CONTENT_REPEATED.extra,
        )
