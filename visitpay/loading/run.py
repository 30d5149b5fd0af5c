"""The run: plan, one transaction a file, and another try for rows that miss a reference."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from traceback import clear_frames

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from visitpay.database.dialects import dialect_of
from visitpay.database.session import ExclusiveSession
from visitpay.errors import (
    BusyError,
    ConfigurationError,
    DatabaseError,
    FileChangedError,
    FileError,
    HeldError,
    LeftError,
    RefusedError,
    to_visitpay_error,
)
from visitpay.events import RUN_ID, Event
from visitpay.feed import normalize_name
from visitpay.landing.place import LandedFile, Landing
from visitpay.landing.scan import scan
from visitpay.ledger.changing import record_changing
from visitpay.ledger.files import Counts, counts_of, enter_failure, record_versions
from visitpay.ledger.history import checkpoint
from visitpay.ledger.plan import (
    Plan,
    count_gone,
    make_plan,
    require_one_hospital,
    require_tried,
)
from visitpay.ledger.refused import forget_refusal
from visitpay.ledger.runs import close_run, end_early, last_run, open_run, plan_run
from visitpay.loading import orphans
from visitpay.loading.faults import as_file_error
from visitpay.loading.types import (
    CHANGED,
    AfterLoad,
    FileReport,
    NoProgress,
    Options,
    Progress,
    RunReport,
    total_counts,
)
from visitpay.rejects.queries import count_open
from visitpay.settings import absolute_landing
from visitpay.text import counted, first, iso, printable
from visitpay.verdict.problems import (
    HELD_ADVICE,
    CurrentProblem,
    Feed,
    find_lasting,
)
from visitpay.verdict.record import may_have_changed, record
from visitpay.verdict.verdict import problems_of_run, problems_without_books
from visitpay.vocabulary import FileStatus, RunStatus

logger = logging.getLogger(__name__)

_NAMES_TO_LOG = 10


def load(
    engine: Engine,
    landing_place: Path | str,
    hospital: str,
    options: Options | None = None,
    progress: Progress | None = None,
    afterwards: AfterLoad | None = None,
) -> RunReport:
    """Load the files that were not loaded before, each in one transaction.

    `afterwards` is called at the end, before another load can begin; not after a dry run. Raises
    DatabaseError if the database cannot be used or another load holds it, and ConfigurationError if
    the landing place cannot be read, if a name in the options is that of no file in it or of
    several, if a file that is to be taken again was never loaded, or if the database has files of
    another hospital; LeftError as `Options.unless_after` says.
    """
    options = options or Options()
    RUN_ID.set(None)
    with _exclusive_session(engine, options) as session:
        session.transact(partial(require_one_hospital, hospital=normalize_name(hospital)))
        if options.unless_after is not None:
            session.transact(partial(_require_not_done, after=options.unless_after))
        # Listed under the lock: while this load waited, another one loaded files.
        landing = scan(landing_place, hospital, options.pass_over, options.settle)
        options = _with_whole_names(options, landing)
        run = _Run(session, options, progress or NoProgress(), landing_place)
        if options.dry_run:
            with session.dry_run():
                return run.load(landing)
        forget_refusal(engine.url)
        with run.on_the_books():
            report = run.load(landing)
            rows_changed = report.rows_changed or session.transact(may_have_changed)
            (afterwards or _record_problems)(session, landing, rows_changed=rows_changed)
        return report


@contextmanager
def _exclusive_session(engine: Engine, options: Options) -> Iterator[ExclusiveSession]:
    """Yield the session of a load; raises LeftError if the load is shared, and another has it."""
    with ExitStack() as opened:
        try:
            session = opened.enter_context(ExclusiveSession(engine, options.wait_seconds))
        except BusyError as busy:
            if options.unless_after is None or busy.by_migration:
                raise
            why = "one is under way"
            raise LeftError(why, is_under_way=True) from busy
        yield session


def _require_not_done(connection: Connection, after: int) -> None:
    run = last_run(connection)
    if run and run.id > after and run.status in {RunStatus.OK, RunStatus.ATTENTION}:
        why = f"run {run.id} on {printable(run.host)} has ended"
        raise LeftError(why, is_under_way=False)


def _record_problems(session: ExclusiveSession, landing: Landing, *, rows_changed: bool) -> None:
    """Record what is wrong now, so that people can be told since when."""
    now = datetime.now(UTC)

    def look(connection: Connection) -> None:
        feed = Feed(connection, landing, now, under_lock=True, rows_changed=rows_changed)
        record(connection, find_lasting(feed), now, feed.unseen, told=None)

    try:
        session.transact(look)
    except DatabaseError as error:
        logger.warning("all is loaded, but what is wrong could not be written down: %s", error)


def retry(engine: Engine, wait_seconds: float = 60) -> tuple[int, int]:
    """Retry the rows that miss a reference; return how many are resolved, and how many open.

    Raises DatabaseError as `load` does.
    """
    with ExclusiveSession(engine, wait_seconds) as session:
        return orphans.retry_all(session), session.transact(count_open)


class _Run:
    """One run on the database that is reserved for it."""

    def __init__(
        self, session: ExclusiveSession, options: Options, progress: Progress, place: Path | str
    ) -> None:
        self._session = session
        self._options = options
        self._progress = progress
        self._place = absolute_landing(place)
        self._run_id = 0
        self._files: list[FileReport] = []
        self._held: tuple[str, ...] = ()
        self._waiting: tuple[str, ...] = ()

    @contextmanager
    def on_the_books(self) -> Iterator[None]:
        """Record at once that a signal or an error ended the run, if the database can be had."""
        try:
            yield
        except BaseException as error:
            clear_frames(error.__traceback__)  # their cursors would keep SQLite's lock
            end = partial(end_early, run_id=self._run_id, error=to_visitpay_error(error))
            with suppress(Exception):  # else the next run records that it was interrupted
                self._session.transact_after_signal(end)
            raise

    def load(self, landing: Landing) -> RunReport:
        plan, pending = self._session.transact(partial(self._open, landing=landing))
        run_id = self._run_id
        RUN_ID.set(run_id)
        self._warn_of_again(plan, landing)
        if landing.unrecognised:
            logger.warning(
                "not recognised in the landing directory, left alone: %s",
                landing.describe_unrecognised(),
                extra=Event.NAMES_UNRECOGNISED.extra,
            )
        self._held = tuple(file.name for file in plan.held)
        for hold in plan.held:
            _log_held(hold.name, f"still {hold.error}")
        self._warn_of_loaded(plan)
        self._tell_of_waiting()
        self._progress.begin(len(pending), sum(file.size_bytes for file in pending))
        for file in pending:
            self._progress.file(file.name)
            if file.name in plan.redelivered:
                logger.warning(
                    "%s: was loaded before with other content; loading it again",
                    file.name,
                    extra=Event.FILE_REDELIVERED.extra,
                )
            self._files.append(self._load_file(run_id, file, plan.again.get(file.name)))
        resolved = orphans.retry_all(self._session)
        report = self._session.transact(
            partial(self._close, landing=landing, run_id=run_id, resolved=resolved)
        )
        _log_end(run_id, report)
        return report

    def _open(self, connection: Connection, landing: Landing) -> tuple[Plan, list[LandedFile]]:
        """Enter the run into the ledger; return its plan, and the files to load now."""
        again = self._options.again
        files = [file for file in landing.files if self._is_wanted(file)]
        require_tried(connection, [file.name for file in files if again.names_file(file)])
        self._run_id = open_run(connection, self._place, self._is_tolerated)
        plan = make_plan(connection, files, again, self._options.approved)
        pending = self._without_recently_changed(plan, landing.recently_changed)
        plan_run(connection, self._run_id, pending)
        record_versions(connection, plan.touched)
        return plan, pending

    def _is_tolerated(self, counts: Counts) -> bool:
        return not self._options.tolerance.is_exceeded(counts)

    def _is_wanted(self, file: LandedFile) -> bool:
        options = self._options
        is_left_out = options.since is not None and file.file_datetime < options.since
        is_named = file.name in options.approved or options.again.includes(file)
        return is_named or not is_left_out

    def _warn_of_loaded(self, plan: Plan) -> None:
        """Tell of files that were approved although they were loaded before."""
        for name in sorted(self._options.approved - {file.name for file in plan.pending}):
            what = "was loaded already, so there is nothing to approve"
            logger.warning("%s: %s", name, what, extra=Event.NOTHING_TO_APPROVE.extra)

    def _warn_of_again(self, plan: Plan, landing: Landing) -> None:
        """Tell how many files that were to be taken again are no longer there, or that none is."""
        since = self._options.again.since
        if since is None:
            return
        gone = self._session.transact(partial(count_gone, since=since, present=landing.names))
        if gone:
            files = counted(gone, "file of that time was", "files of that time were")
            logger.warning(
                "%s loaded before and cannot be taken again: no longer in the landing directory",
                files,
                extra=Event.FILES_GONE.extra,
            )
        elif not plan.again:
            logger.warning(
                "no file that was loaded before is dated %s or later: none is taken again",
                iso(since),
                extra=Event.NOTHING_AGAIN.extra,
            )

    def _without_recently_changed(
        self, plan: Plan, recently_changed: frozenset[str]
    ) -> list[LandedFile]:
        """Return the files to load now; the others wait for the next run.

        One that is taken again is whole, whenever it was put there: it has the content of before.
        """
        recently_changed -= plan.again.keys()
        self._waiting = tuple(file.name for file in plan.pending if file.name in recently_changed)
        return [file for file in plan.pending if file.name not in recently_changed]

    def _tell_of_waiting(self) -> None:
        if self._waiting:
            logger.info(
                "changed less than %g s ago, left for the next run: %s",
                self._options.settle,
                first(self._waiting, _NAMES_TO_LOG, len(self._waiting)),
                extra=Event.FILES_WAITING.extra,
            )

    def _load_file(self, run_id: int, file: LandedFile, again: int | None) -> FileReport:
        """Load a file, or take it again; `again` is then the ledger id of its delivery."""
        is_again = again is not None
        try:
            with as_file_error():
                counts = self._consume(run_id, file, again)
        except FileChangedError as error:
            logger.warning(
                "%s: %s; left for the next run", file.name, error, extra=Event.FILE_CHANGED.extra
            )
            return FileReport(file, CHANGED, Counts(), str(error), is_again)
        except FileError as error:
            status = FileStatus.HELD if isinstance(error, HeldError) else FileStatus.FAILED
            message = str(error)
            _log_failure(file, status, message)
            if not is_again:  # else it stays loaded as it was, and no later run tries it
                sha256 = error.sha256 if isinstance(error, HeldError) else None
                self._enter_failure(run_id, file, status, message, sha256)
            return FileReport(file, status, Counts(), message, is_again)
        _log_loaded(file, counts, is_again=is_again)
        return FileReport(file, FileStatus.LOADED, counts, is_again=is_again)

    def _consume(self, run_id: int, file: LandedFile, again: int | None) -> Counts:
        # Imported here: a run that finds nothing to do, as most do, need not wait for polars.
        from visitpay.loading.consume import consume

        work = partial(consume, run_id=run_id, file=file, again=again)
        return self._session.transact(
            partial(work, options=self._options, progress=self._progress),
            find_result=partial(counts_of, run_id=run_id, file=file),
        )

    def _enter_failure(
        self,
        run_id: int,
        file: LandedFile,
        status: FileStatus,
        message: str,
        sha256: str | None,
    ) -> None:
        """Enter a failure into the ledger, in ASCII if the database lacks a character of it."""
        enter = partial(enter_failure, run_id=run_id, file=file, status=status, sha256=sha256)
        ascii_message = printable(message).encode("ascii", "backslashreplace").decode()
        for error in (message, ascii_message):
            with suppress(RefusedError, UnicodeError):
                self._session.transact(partial(enter, error=error))
                return
        logger.warning(
            "%s: that it failed is not in the ledger: the database cannot hold its name",
            file.name,
            extra=Event.FILE_FAILED.extra,
        )

    def _close(
        self, connection: Connection, landing: Landing, run_id: int, resolved: int
    ) -> RunReport:
        """Enter how the run ended into the ledger, and return its report."""
        report = self._report(connection, landing, run_id, resolved)
        close_run(
            connection,
            run_id,
            report.status,
            files_loaded=report.count_files(FileStatus.LOADED),
            files_failed=report.count_files(FileStatus.FAILED)
            + report.count_files(FileStatus.HELD),
            rejects_tolerated=self._is_tolerated(report.counts),
            rejects_resolved=resolved,
            **report.counts.columns(),
        )
        return report

    def _report(
        self, connection: Connection, landing: Landing, run_id: int, resolved: int
    ) -> RunReport:
        problems = self._problems(connection, landing)
        return RunReport(
            run_id=None if self._options.dry_run else run_id,
            status=RunStatus.ATTENTION if problems else RunStatus.OK,
            problems=tuple(problems),
            checkpoint=checkpoint(connection),
            files=tuple(self._files),
            files_held=self._held,
            files_waiting=self._waiting,
            unrecognised=landing.unrecognised,
            near_misses=landing.near_misses,
            rejects_open=count_open(connection),
            rejects_resolved=resolved,
            dry_run=self._options.dry_run,
        )

    def _problems(self, connection: Connection, landing: Landing) -> list[CurrentProblem]:
        """Return what of this run needs a person; record which files it left as they change."""
        now = datetime.now(UTC)
        changed = {file.file.name for file in self._files if file.status == CHANGED}
        changed.update(self._waiting)
        left_out = {file.name for file in landing.files if not self._is_wanted(file)}
        ended_badly = {FileStatus.FAILED, FileStatus.HELD}
        failed = {
            file.file.name: str(file.error) for file in self._files if file.status in ended_badly
        }
        counts = total_counts(self._files)
        rejected = 0 if self._is_tolerated(counts) else counts.rejected
        feed = Feed(connection, landing, now, under_lock=True)
        try:
            with connection.begin_nested():
                record_changing(connection, changed, left_out, now)
                return problems_of_run(feed, failed, rejected)
        except DBAPIError as error:  # no reason to lose what was loaded
            what = dialect_of(connection).describe_error(error).what
            logger.warning("what is wrong could not be written down: %s", what)
            return problems_without_books(failed, landing.near_misses, rejected)


def _with_whole_names(options: Options, landing: Landing) -> Options:
    """Return the options with the whole names of the files that they name.

    Raises ConfigurationError if a name is that of no file in the landing directory, or of several:
    a person means one.
    """
    names = options.approved | options.again.names
    if not names:  # as in nearly every run
        return options
    called = {name: landing.named(name) for name in names}
    if missing := [printable(name) for name in sorted(names) if not called[name]]:
        message = f"not in the landing directory: {', '.join(missing)}"
        raise ConfigurationError(message)
    for name in sorted(names):
        if len(called[name]) > 1:
            message = (
                f"{printable(name)} may be any of {len(called[name])} files, whose names differ"
                " only in how accents are encoded; rename one"
            )
            raise ConfigurationError(message)

    def whole(names: frozenset[str]) -> frozenset[str]:
        return frozenset(called[name][0] for name in names)

    again = replace(options.again, names=whole(options.again.names))
    return replace(options, approved=whole(options.approved), again=again)


def _log_loaded(file: LandedFile, counts: Counts, *, is_again: bool) -> None:
    level = logging.WARNING if counts.rejected else logging.INFO
    ends = ", ".join(f"{rows:,} {end}" for end, rows in asdict(counts).items() if end != "read")
    read = f"{'taken again, ' if is_again else ''}{counted(counts.read, 'row')}"
    logger.log(level, "%s: %s: %s", file.name, read, ends, extra=Event.FILE_LOADED.extra)


def _log_failure(file: LandedFile, status: FileStatus, message: str) -> None:
    if status is FileStatus.HELD:
        _log_held(file.name, message)
    else:
        logger.error("%s: %s", file.name, message, extra=Event.FILE_FAILED.extra)


def _log_held(name: str, why: str) -> None:
    logger.error("%s: %s; %s", name, why, HELD_ADVICE, extra=Event.FILE_HELD.extra)


def _log_end(run_id: int, report: RunReport) -> None:
    counts = report.counts
    parts = (
        report.status,
        counted(len(report.files), "file"),
        f"{report.count_files(FileStatus.FAILED):,} failed",
        f"{report.count_files(FileStatus.HELD):,} held",
        counted(counts.read, "row"),
        f"{counts.rejected:,} rejected",
        f"{counted(report.rejects_open, 'reject')} open",
        f"{report.rejects_resolved:,} resolved",
    )
    kind = "dry run" if report.dry_run else "run"
    logger.info("%s %d: %s", kind, run_id, ", ".join(parts), extra=Event.RUN_ENDED.extra)
