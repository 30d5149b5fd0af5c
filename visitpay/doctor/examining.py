"""Everything that a load needs, looked at one after the other."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, false, func, insert, select, update

from visitpay.database.dialects import dialect_of
from visitpay.database.engine import make_engine, read_connection, translate_errors
from visitpay.database.revision import newer_revisions
from visitpay.database.session import ExclusiveSession
from visitpay.doctor import disks, telling
from visitpay.doctor.examined import Examined, State
from visitpay.doctor.telling import NOBODY_TOLD, Told
from visitpay.errors import BusyError, VisitPayError
from visitpay.hints import Setup
from visitpay.landing.place import Landing
from visitpay.landing.places import place_of
from visitpay.landing.scan import scan
from visitpay.ledger.growth import growth
from visitpay.ledger.runs import Run, last_run
from visitpay.models import ENTITIES, Base, LoadFile, LoadRun
from visitpay.text import counted, minute, printable, second
from visitpay.verdict.problems import NOTHING_EXPECTED, Expectations, Feed
from visitpay.verdict.verdict import judge
from visitpay.vocabulary import Health, RunStatus

_LOAD = "load the files"


def examine(
    setup: Setup,
    told: Told = NOBODY_TOLD,
    expectations: Expectations = NOTHING_EXPECTED,
    *,
    pass_over: Collection[str] = (),
    send: bool = False,
) -> Iterator[Examined]:
    """Check everything that a load needs; less of it if the database cannot be used.

    With `send`, a test message is sent to the alert channels. The ping URL is not requested: its
    owner would take that for a load.
    """
    landed, found = _landing(setup, pass_over)
    yield found
    yield from telling.look(told, send=send)
    try:
        engine = make_engine(setup.database_url)
    except VisitPayError as error:
        yield Examined("database", State.ERROR, str(error))
        yield Examined("verdict", State.WARNING, "unknown: the database cannot be used")
        return
    yield from _database(engine, setup, landed, expectations)
    yield from _room(engine, setup, landed)


def _landing(setup: Setup, pass_over: Collection[str]) -> tuple[Landing | None, Examined]:
    name = "landing directory"
    try:
        landed = scan(setup.landing, setup.hospital, pass_over)
    except VisitPayError as error:
        remedy = "check its path and its permissions"
        return None, Examined(name, State.ERROR, str(error), remedy)
    others = counted(len(landed.unrecognised), "other")
    seen = f"{counted(len(landed.files), 'file')} of the feed, {others}"
    if unreadable := place_of(setup.landing).count_unreadable(landed.files):
        remedy = "let the user of the load read them all"
        seen += f"; {counted(unreadable, 'file')} cannot be read"
        return landed, Examined(name, State.ERROR, seen, remedy)
    if landed.unrecognised:
        remedy = "rename the others, take them away, or name them with --pass-over; see all of them"
        seen = f"{seen}: {landed.describe_unrecognised()}"
        see_all = setup.hint("status", "--json")
        return landed, Examined(name, State.WARNING, seen, remedy, see_all)
    return landed, Examined(name, State.OK, seen)


def _room(engine: Engine, setup: Setup, landed: Landing | None) -> Iterator[Examined]:
    """Check whether there is room, and for how long; what the ledger says may not be had."""
    size, grown = None, None
    with suppress(VisitPayError), read_connection(setup.database_url) as connection:
        size = dialect_of(connection).size_bytes(connection)
        grown = growth(connection, datetime.now(UTC))
    dialect, directory = dialect_of(engine.url), landed and place_of(setup.landing).local_path
    path, landing_grows = dialect.local_path(engine.url), 0.0
    is_apart = not (directory and path and disks.is_same_disk(directory, path.parent))
    if landed and not is_apart:
        landing_grows = disks.landing_growth(landed, grown) or 0.0
    if path:
        yield from disks.of_file(path, dialect.temporary_directory(), grown, landing_grows)
    else:
        yield from disks.of_server(size, grown)
    if landed and directory and is_apart:
        yield disks.of_landing(directory, landed, grown)


def _database(
    engine: Engine, setup: Setup, landed: Landing | None, expectations: Expectations
) -> Iterator[Examined]:
    dialect, url = dialect_of(engine.url), setup.database_url
    try:
        # The first requires a schema that can be used, the second requires foreign keys.
        with (
            read_connection(url) as reader,
            translate_errors(engine.url),
            engine.connect() as connection,
        ):
            version = connection.dialect.server_version_info or ()
            setting = dialect.setting(connection)
            lacking = dialect.incomplete_encoding(connection)
            newer = newer_revisions(reader)
    except VisitPayError as error:
        yield Examined("database", State.ERROR, str(error))
        yield Examined("verdict", State.WARNING, "unknown: the database cannot be used")
        return
    name = f"{engine.name} {_dotted(version)}" + (f" ({setting})" if setting else "")
    yield _version(name, version, dialect.OLDEST_VERSION, newer)
    if lacking:
        remedy = (
            "make a database with ENCODING 'UTF8' TEMPLATE template0, migrate it, and load the"
            " files into it"
        )
        seen = f"{lacking}: a file with a character that it lacks fails whole"
        yield Examined("encoding", State.WARNING, seen, remedy)
    yield from _as_a_load(engine, setup)
    with read_connection(url) as connection:
        yield _verdict(connection, setup, landed, expectations)
        yield _references(connection)
        yield _clock(connection)


def _version(
    name: str,
    version: tuple[int | str, ...],
    oldest: tuple[int | str, ...],
    newer: Collection[str],
) -> Examined:
    seen = f"{name} answers, and its schema is at head"
    if newer:
        remedy = "install the visitpay that migrated it, when you can"
        seen = f"{seen}, and beyond, which this visitpay can work with: {', '.join(newer)}"
        return Examined("database", State.WARNING, seen, remedy)
    if version < oldest:
        remedy = f"use {_dotted(oldest)} or a newer one"
        return Examined("database", State.WARNING, f"{seen}, but it is an old one", remedy)
    return Examined("database", State.OK, seen)


def _dotted(version: tuple[int | str, ...]) -> str:
    return ".".join(map(str, version))


def _as_a_load(engine: Engine, setup: Setup) -> list[Examined]:
    """Check what a load does first: take the lock, write, look at the run before."""
    try:
        with ExclusiveSession(engine, 0, 0) as session:
            last = _last_run(session.transact(last_run), setup, is_over=True)
        lock = Examined("lock", State.OK, "no load holds the database; foreign keys are kept")
        return [lock, _writing(engine), last]  # writing may wait for a table: not under the lock
    except BusyError as error:
        lock = Examined("lock", State.WARNING, str(error), "see whether that load still gets on")
    except VisitPayError as error:
        lock = Examined("lock", State.ERROR, str(error))
    with read_connection(setup.database_url) as connection:
        return [lock, _last_run(last_run(connection), setup, is_over=False)]


def _writing(engine: Engine) -> Examined:
    try:
        with translate_errors(engine.url), engine.connect() as connection:
            _write_nothing(connection)
            connection.rollback()
    except VisitPayError as error:
        return Examined("writing", State.ERROR, str(error))
    return Examined("writing", State.OK, "every table can be written to; nothing was")


def _write_nothing(connection: Connection) -> None:
    """Insert and update zero rows: the database still checks whether it is allowed."""
    import polars as pl

    for table in Base.metadata.sorted_tables:
        names = [column.name for column in table.columns]
        connection.execute(insert(table).from_select(names, select(table).where(false())))
        connection.execute(update(table).where(false()).values(dict(table.columns)))
    constants = {"source_file_id": 0}
    for entity in ENTITIES:  # PostgreSQL makes a temporary table for these
        table = entity.__table__
        names = [column.name for column in table.columns if column.name not in constants]
        rows = pl.DataFrame(schema=names)
        dialect_of(connection).upsert(connection, table, rows, constants)


def _references(connection: Connection) -> Examined:
    broken = sorted(dialect_of(connection).foreign_key_violations(connection))
    files = select(LoadFile.id)
    for entity in ENTITIES:
        unknown = select(entity).where(entity.source_file_id.not_in(files))
        if connection.scalar(select(unknown.exists())):
            broken.append(f"{entity.__tablename__} (to the ledger)")
    if broken:
        remedy = "restore a backup, and load what came since"
        return Examined(
            "references", State.ERROR, f"rows refer to nothing in {', '.join(broken)}", remedy
        )
    return Examined("references", State.OK, "every row refers to what is there")


def _last_run(run: Run | None, setup: Setup, *, is_over: bool) -> Examined:
    if run is None:
        return Examined("last run", State.WARNING, "none yet", _LOAD, setup.hint("load"))
    began = f"{minute(run.started_at)} UTC on {printable(run.host)}"
    seen = f"{run.id}: {run.status}, begun {began}"
    if is_over and run.status == RunStatus.RUNNING:
        remedy = "the next load marks it interrupted, and goes on from there"
        return Examined("last run", State.WARNING, f"{seen}, but no load is there: it died", remedy)
    fine = {RunStatus.OK, RunStatus.RUNNING, RunStatus.ATTENTION}  # that is for the verdict
    state = State.OK if run.status in fine else State.WARNING
    remedies: Mapping[str, tuple[str, str]] = {
        RunStatus.FAILED: ("see its error", setup.hint("runs last")),
        RunStatus.INTERRUPTED: ("the next load goes on from there", ""),
    }
    return Examined("last run", state, seen, *remedies.get(run.status, ("", "")))


def _verdict(
    connection: Connection, setup: Setup, landed: Landing | None, expectations: Expectations
) -> Examined:
    """Say whether all is well with the feed, by the verdict that everybody is given."""
    if landed is None:
        seen = "unknown: the landing directory cannot be read"
        return Examined("verdict", State.WARNING, seen)
    feed = Feed(connection, landed, datetime.now(UTC), expectations, setup)
    verdict = judge(feed)
    if verdict.state is Health.WELL:
        return Examined("verdict", State.OK, verdict.summary)
    if verdict.state is Health.NEEDS_PERSON:
        what = "see what needs a person", setup.hint("status")
    else:
        what = _LOAD, setup.hint("load")
    return Examined("verdict", State.WARNING, verdict.summary, *what)


def _clock(connection: Connection) -> Examined:
    now, newest = datetime.now(UTC), connection.scalar(select(func.max(LoadRun.started_at)))
    seen = f"{second(now)} UTC"
    if newest is not None and newest > now:
        seen += f", but a run began at {second(newest)}"
        return Examined("clock", State.ERROR, seen, "set the clock; is it kept by NTP?")
    return Examined("clock", State.OK, seen)
