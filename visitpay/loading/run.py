"""The run: plan, one transaction a file, and another try for rows that miss a reference."""

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from traceback import clear_frames
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InvalidRequestError

from visitpay.database.dialects import dialect_of
from visitpay.database.session import ExclusiveSession
from visitpay.errors import (
    ConfigurationError,
    FileChangedError,
    FileError,
    HeldError,
    RefusedError,
    VisitPayError,
    unforeseen,
)
from visitpay.events import RUN_ID, Event
from visitpay.feed import composed
from visitpay.landing.local import open_landed, scan
from visitpay.landing.place import LandedFile, Landing
from visitpay.ledger.changing import keeps_changing, record_changing
from visitpay.ledger.files import (
    Counts,
    Delivery,
    close_delivery,
    counts_of,
    enter_failure,
    former_deliveries,
    open_delivery,
    record_versions,
    same_content,
)
from visitpay.ledger.history import CLOCKS_APART, checkpoint
from visitpay.ledger.plan import Plan, make_plan, require_one_hospital
from visitpay.ledger.runs import close_run, interrupt_runs, open_run
from visitpay.loading.types import (
    CHANGED,
    TO_APPROVE,
    FileReport,
    NoProgress,
    Options,
    Progress,
    RunReport,
    sum_of,
)
from visitpay.models import entity_named
from visitpay.rejects.queries import OrphanedFile, count_open, count_orphans, files_with_orphans
from visitpay.text import counted, first, minute, printable
from visitpay.vocabulary import FileStatus, RunStatus

if TYPE_CHECKING:
    from visitpay.parsing.parser import Parser
    from visitpay.parsing.rows import Batch

logger = logging.getLogger(__name__)

BATCHES_AHEAD = 2

_NAMES_TO_LOG = 10


def load(
    engine: Engine,
    directory: Path,
    hospital: str,
    options: Options | None = None,
    progress: Progress | None = None,
    afterwards: Callable[[ExclusiveSession, Landing], None] | None = None,
) -> RunReport:
    """Load what was not consumed before; every file is one transaction.

    `afterwards` is called at the end, while no other load has the database, and not with `dry_run`.
    Raises DatabaseError when the database cannot be used or is held by another load, and
    ConfigurationError when the landing directory cannot be read, or lacks an approved file, or when
    files of another hospital are in the database. With `dry_run` all is done, and rolled back at
    the end.
    """
    options = options or Options()
    RUN_ID.set(None)
    with ExclusiveSession(engine, options.wait_seconds) as hold:
        # Listed under the lock: while it was waited for, another load took files in.
        landed = scan(directory, hospital, options.pass_over, options.settle)
        approved = options.approved  # nearly always none
        if strange := approved and approved.difference(*(file.names for file in landed.files)):
            message = f"not in the landing directory: {', '.join(map(printable, sorted(strange)))}"
            raise ConfigurationError(message)
        hold.transact(partial(require_one_hospital, hospital=composed(hospital)))
        run = _Run(hold, options, progress or NoProgress())
        with hold.dry_run() if options.dry_run else nullcontext():
            report = run.load(landed)
        if afterwards and not options.dry_run:
            afterwards(hold, landed)
        return report


def retry(engine: Engine, wait_seconds: float = 60) -> tuple[int, int]:
    """Try the rows again that miss a reference; gives how many found it, and how many stay open.

    Raises DatabaseError as `load` does.
    """
    with ExclusiveSession(engine, wait_seconds) as hold:
        resolved = _Run(hold, Options(), NoProgress()).retry()
        return resolved, hold.transact(count_open)


class _Run:
    """One run, unit by unit, on the database that is held for it."""

    def __init__(self, hold: ExclusiveSession, options: Options, progress: Progress) -> None:
        self._hold = hold
        self._options = options
        self._progress = progress
        self._reports: list[FileReport] = []
        self._waiting: tuple[str, ...] = ()

    def load(self, landed: Landing) -> RunReport:
        try:
            return self._load(landed)
        except VisitPayError:
            raise
        except BaseException as ended:
            if not self._options.dry_run:
                self._interrupt(ended)
            raise

    def _interrupt(self, ended: BaseException) -> None:
        """Write down at once that a signal, or what nobody foresaw, ended the run."""
        clear_frames(ended.__traceback__)  # their cursors would keep SQLite's lock
        # If it cannot be written down, the next run does so.
        with suppress(Exception):
            self._hold.transact_after_signal(partial(interrupt_runs, finished_at=datetime.now(UTC)))

    def _load(self, landed: Landing) -> RunReport:
        since = self._options.since
        files = [file for file in landed.files if since is None or file.file_datetime >= since]
        run_id, plan = self._hold.transact(partial(_open, files))
        RUN_ID.set(run_id)
        if landed.unrecognised:
            message = "not recognised in the landing directory, left alone: %s"
            logger.warning(
                message, landed.describe_unrecognised(), extra=Event.NAMES_UNRECOGNISED.extra
            )
        pending = self._settled(plan.pending, landed.unsettled)
        self._progress.begin(len(pending), sum(file.size_bytes for file in pending))
        for file in pending:
            redelivered = file.name in plan.redelivered
            self._reports.append(self._load_file(run_id, file, redelivered=redelivered))
        resolved = self.retry()
        return self._hold.transact(lambda each: self._close(each, landed, run_id, resolved))

    def _settled(
        self, pending: tuple[LandedFile, ...], unsettled: frozenset[str]
    ) -> list[LandedFile]:
        """Leave those for the next run that changed a moment ago; give the others."""
        self._waiting = tuple(file.name for file in pending if file.name in unsettled)
        if self._waiting:
            named = first(self._waiting, _NAMES_TO_LOG, len(self._waiting))
            message = "changed less than %g s ago, left for the next run: %s"
            logger.info(message, self._options.settle, named, extra=Event.FILES_WAITING.extra)
        return [file for file in pending if file.name not in unsettled]

    def _keeps_changing(self, connection: Connection, landed: Landing) -> bool:
        """Write down which files this run left since they change; say whether one does for long."""
        changed = {each.file.name for each in self._reports if each.status == CHANGED}
        changed.update(self._waiting)
        since, now = self._options.since, datetime.now(UTC)
        left_out = {file.name for file in landed.files if since and file.file_datetime < since}
        try:
            with connection.begin_nested():
                record_changing(connection, changed, left_out, now)
                return bool(keeps_changing(connection, changed, now))
        except DBAPIError as error:  # what was loaded is not lost for a book of problems
            message = "which files keep changing could not be written down: %s"
            logger.warning(message, dialect_of(connection).describe_error(error).what)
            return False

    def _close(
        self, connection: Connection, landed: Landing, run_id: int, resolved: int
    ) -> RunReport:
        counts = sum_of(self._reports)
        failed, held = self._ended(FileStatus.FAILED), self._ended(FileStatus.HELD)
        to_see = bool(landed.near_misses) | self._keeps_changing(connection, landed)
        attention = to_see or failed or held or self._options.tolerance.exceeded(counts)
        report = RunReport(
            run_id=None if self._options.dry_run else run_id,
            status=RunStatus.ATTENTION if attention else RunStatus.OK,
            checkpoint=checkpoint(connection),
            files=tuple(self._reports),
            files_waiting=self._waiting,
            unrecognised=tuple(landed.unrecognised),
            rejects_open=count_open(connection),
            rejects_resolved=resolved,
            dry_run=self._options.dry_run,
        )
        close_run(
            connection,
            run_id,
            report.status,
            datetime.now(UTC),
            files_loaded=self._ended(FileStatus.LOADED),
            files_failed=failed,
            rejects_resolved=resolved,
            **counts.columns(),
        )
        told = (
            report.status,
            counted(len(self._reports), "file"),
            f"{failed:,} failed",
            f"{held:,} held",
            counted(counts.read, "row"),
            f"{counts.rejected:,} rejected",
            f"{counted(report.rejects_open, 'reject')} open",
            f"{resolved:,} resolved",
        )
        run = "dry run" if report.dry_run else "run"
        logger.info("%s %d: %s", run, run_id, ", ".join(told), extra=Event.RUN_ENDED.extra)
        return report

    def _ended(self, status: str) -> int:
        return sum(report.status == status for report in self._reports)

    def _load_file(self, run_id: int, file: LandedFile, *, redelivered: bool) -> FileReport:
        self._progress.file(file.name)
        if redelivered:
            message = "%s: was loaded before with other content; loading it again"
            logger.warning(message, file.name, extra=Event.FILE_REDELIVERED.extra)
        attempts = count()

        def consume(connection: Connection) -> Counts:
            # When a connection is lost at the end, its last word may have been heard.
            done = counts_of(connection, run_id, file) if next(attempts) else None
            return done or self._consume(connection, run_id, file)

        try:
            with file_faults():
                counts = self._hold.transact(consume)
        except FileChangedError as error:
            message = "%s: %s; left for the next run"
            logger.warning(message, file.name, error, extra=Event.FILE_CHANGED.extra)
            report = FileReport(file, CHANGED, Counts(), str(error))
        except FileError as error:
            held = isinstance(error, HeldError)
            status, event = (
                (FileStatus.HELD, Event.FILE_HELD)
                if held
                else (FileStatus.FAILED, Event.FILE_FAILED)
            )
            told = str(error)
            advice = f"; {TO_APPROVE}" if held else ""
            logger.error("%s: %s%s", file.name, told, advice, extra=event.extra)  # noqa: TRY400 - no bug
            self._enter_failure(run_id, file, status, told)
            report = FileReport(file, status, Counts(), told)
        else:
            _log_loaded(file, counts)
            report = FileReport(file, FileStatus.LOADED, counts)
        return report

    def _enter_failure(self, run_id: int, file: LandedFile, status: str, told: str) -> None:
        """Enter it into the ledger, in ASCII if the database lacks a character of the error."""
        enter = partial(enter_failure, run_id=run_id, file=file, status=status)
        plain = printable(told).encode("ascii", "backslashreplace").decode()
        for error in (told, plain):
            with suppress(RefusedError, UnicodeError):
                self._hold.transact(partial(enter, error=error))
                return
        message = "%s: that it failed is not in the ledger: the database cannot hold its name"
        logger.warning(message, file.name, extra=Event.FILE_FAILED.extra)

    def _consume(self, connection: Connection, run_id: int, file: LandedFile) -> Counts:
        """Load one file, within a transaction of its own."""
        # A run that finds nothing to do, as most do, need not wait for polars.
        from visitpay.loading.merge import merge_batch
        from visitpay.parsing.blocks import FIRST_BLOCK_BYTES
        from visitpay.parsing.parser import Parser

        counts, conflicting = Counts(), 0
        with open_landed(file) as source:
            parser = Parser(source, entity_named(file.entity), self._options.block_bytes)
            layout = parser.layout
            _warn_of_columns(file, layout.extra)
            # What a person mended, if only some of it, comes in.
            is_approved = layout.is_resubmission or bool(self._options.approved & file.names)
            if not is_approved:
                _require_time_come(file)
            delivery = open_delivery(connection, run_id, file)
            done = 0
            batches = parser.batches()
            if file.size_bytes > FIRST_BLOCK_BYTES:  # else a thread costs more than it saves
                batches = ahead(batches)
            # Closed before the file is: the thread must not read from a closed descriptor.
            with closing(batches):
                for batch in batches:
                    ends, differing = merge_batch(connection, delivery, batch, layout)
                    counts.add(ends)
                    conflicting += differing
                    rows = counted(counts.read, "row")
                    message = "%s: %s so far"
                    logger.debug(message, file.name, rows, extra=Event.FILE_PROGRESS.extra)
                    self._progress.advance(source.bytes_read - done)
                    done = source.bytes_read
            source.require_unchanged()
            if not is_approved:
                _require_month_first(parser)
                self._require_few_rejects(connection, delivery, counts)
            _warn_of_content(connection, file, source.sha256, counts, conflicting)
            close_delivery(
                connection,
                delivery,
                source,
                counts,
                header=layout.header,
                is_resubmission=layout.is_resubmission,
                trailer_rows=parser.trailer_rows,
                rows_conflicting=conflicting,
                rows_withdrawn=0
                if layout.is_resubmission
                else _replace_former(connection, delivery),
            )
        if not counts.balanced:
            message = f"its books do not balance ({counts}); nothing of it was kept, report this"
            raise FileError(message)
        if not counts.read:
            message = "%s: holds a header and no rows"
            logger.warning(message, file.name, extra=Event.FILE_EMPTY.extra)
        return counts

    def _require_few_rejects(
        self, connection: Connection, delivery: Delivery, counts: Counts
    ) -> None:
        if counts.rejected * 100 <= self._options.hold_above * counts.read:
            return
        message = (
            f"held: {counts.rejected:,} of {counted(counts.read, 'row')} rejected, more than"
            f" {self._options.hold_above:g} %"
        )
        if orphans := count_orphans(connection, delivery):
            what = ("of them refers to a row not there", "of them refer to rows not there")
            message += f"; {counted(orphans, *what)}: see first what became of their files"
        raise HeldError(message)

    def retry(self) -> int:
        """Try the rows again that miss a reference, a transaction a delivery; count the healed."""
        resolved = 0
        for orphanage in self._hold.transact(files_with_orphans):
            closed = self._heal(orphanage)
            if closed:
                what = ("row found what it refers to", "rows found what they refer to")
                found = counted(closed, *what)
                logger.info("%s: %s", orphanage.name, found, extra=Event.ROWS_RESOLVED.extra)
            resolved += closed
        return resolved

    def _heal(self, orphanage: OrphanedFile) -> int:
        from visitpay.loading.merge import retry_orphans

        try:
            with file_faults():
                return self._hold.transact(partial(retry_orphans, orphanage=orphanage))
        except FileError as error:
            message = "%s: its rejected rows cannot be tried again: %s"
            logger.warning(message, orphanage.name, error, extra=Event.ROWS_LOST_THEIR_LAYOUT.extra)
            return 0


@contextmanager
def file_faults() -> Iterator[None]:
    """Turn whatever one file can cause into a FileError, so that the others go on.

    polars panics with a BaseException. No fault of a file is what ends a run: a database that
    cannot be used, a signal, and a misuse of SQLAlchemy.
    """
    try:
        yield
    except RefusedError as error:
        _log_traceback(error)
        message = f"the database refuses it: {error.what}; nothing of it was loaded"
        raise FileError(message) from error
    except (VisitPayError, KeyboardInterrupt, SystemExit, GeneratorExit, InvalidRequestError):
        raise
    except BaseException as error:
        _log_traceback(error)
        message = f"cannot be loaded: {unforeseen(error)}; nothing of it was, please report this"
        raise FileError(message) from error


def _log_traceback(error: BaseException) -> None:
    logger.debug("traceback", exc_info=error, extra=Event.FILE_FAILED.extra)
    clear_frames(error.__traceback__)  # they would keep the rows of a batch


def _open(files: list[LandedFile], connection: Connection) -> tuple[int, Plan]:
    run_id = open_run(connection)
    plan = make_plan(connection, files)
    record_versions(connection, plan.touched)
    return run_id, plan


def _require_time_come(file: LandedFile) -> None:
    """Raise HeldError for a file that is dated in the future: its rows would win until then."""
    if file.file_datetime > datetime.now(UTC) + CLOCKS_APART:
        message = f"held: its name is dated in the future, {minute(file.file_datetime)} UTC"
        raise HeldError(message)


def _require_month_first(parser: "Parser") -> None:
    """Raise HeldError for a file whose dates with slashes would be read as other days."""
    from visitpay.parsing.parser import DAY_FIRST_ERROR

    if parser.is_day_first:
        message = f"held: {DAY_FIRST_ERROR}"
        raise HeldError(message)


def _replace_former(connection: Connection, delivery: Delivery) -> int:
    """Close what is open of former deliveries of the name; count the keys not brought again."""
    from visitpay.ledger.keys import count_withdrawn
    from visitpay.rejects.store import supersede_former

    former = former_deliveries(connection, delivery)
    if not former:
        return 0
    supersede_former(connection, former)
    gone = count_withdrawn(connection, delivery, former)
    if gone:
        what = ("row of its former delivery is", "rows of its former deliveries are")
        message = "%s: %s not in it; the rows stay"
        missing, event = counted(gone, *what), Event.ROWS_WITHDRAWN
        logger.warning(message, delivery.parameters["name"], missing, extra=event.extra)
    return gone


def _warn_of_content(
    connection: Connection, file: LandedFile, sha256: str, counts: Counts, conflicting: int
) -> None:
    if conflicting:
        what = ("row is replaced by a later one", "rows are replaced by later ones")
        message = "%s: %s of the same identifier with other values"
        rows, event = counted(conflicting, *what), Event.ROWS_CONFLICTING
        logger.warning(message, file.name, rows, extra=event.extra)
    if counts.read and (other := same_content(connection, file.name, sha256)):
        message = "%s: has the same content as %s, and may put old values back"
        logger.warning(message, file.name, other, extra=Event.CONTENT_REPEATED.extra)


def _warn_of_columns(file: LandedFile, extra: tuple[str, ...]) -> None:
    if extra:
        names = ", ".join(extra[:_NAMES_TO_LOG])
        columns = counted(len(extra), "unknown column")
        logger.warning("%s: %s: %s", file.name, columns, names, extra=Event.COLUMNS_UNKNOWN.extra)


def _log_loaded(file: LandedFile, counts: Counts) -> None:
    level = logging.WARNING if counts.rejected else logging.INFO
    ends = ", ".join(f"{count:,} {end}" for end, count in asdict(counts).items() if end != "read")
    rows = counted(counts.read, "row")
    logger.log(level, "%s: %s: %s", file.name, rows, ends, extra=Event.FILE_LOADED.extra)


def ahead(batches: "Iterator[Batch]") -> "Generator[Batch]":
    """Give batches that a thread of their own prepares, some ahead of their use."""
    with ThreadPoolExecutor(1) as pool:
        coming = deque(pool.submit(next, batches, None) for _ in range(BATCHES_AHEAD))
        while (batch := coming.popleft().result()) is not None:
            coming.append(pool.submit(next, batches, None))
            yield batch
