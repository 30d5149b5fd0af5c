"""Checks whether a load can work here, and says what to do if it cannot."""

import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from sqlalchemy import Connection, Engine, false, func, insert, select, update

from visitpay.database.dialects import dialect_of
from visitpay.database.engine import make_engine, read_connection, translate_errors
from visitpay.database.revision import newer_revisions
from visitpay.database.session import ExclusiveSession
from visitpay.errors import BusyError, VisitPayError
from visitpay.landing.local import scan
from visitpay.ledger.runs import Run, last_run
from visitpay.models import ENTITIES, Base, LoadFile, LoadRun
from visitpay.notify.watch import open_channels, open_heartbeat, open_metrics
from visitpay.text import counted, minute, printable, second
from visitpay.vocabulary import RunStatus

ROOM_BYTES = 1 << 30
"""Less free space than this on the database's disk is a warning."""


class State(StrEnum):
    """The result of one check."""

    OK = "ok"
    WARNING = "warning"
    """A load can work, but someone should look into it."""
    ERROR = "error"
    """A load cannot work, or not as it is set up."""


@dataclass(frozen=True)
class Examined:
    """One thing that was checked, what was seen, and what to do about it."""

    name: str
    state: State
    seen: str
    remedy: str = ""


def examine(  # noqa: PLR0913 - each is a setting of a load
    url: str,
    directory: Path,
    hospital: str,
    alert_urls: str = "",
    ping_url: str = "",
    metrics_file: Path | None = None,
    *,
    pass_over: Collection[str] = (),
    send: bool = False,
) -> Iterator[Examined]:
    """Check everything that a load needs; less of it if the database cannot be used.

    With `send`, a test message is sent to the alert channels. The ping URL is not requested: its
    owner would take that for a load.
    """
    yield _landing(directory, hospital, pass_over)
    if send or alert_urls.strip():
        yield _channels(alert_urls, send=send)
    if ping_url.strip():
        yield _ping(ping_url)
    if metrics_file:
        yield _metrics(metrics_file)
    try:
        engine = make_engine(url)
    except VisitPayError as error:
        yield Examined("database", State.ERROR, str(error))
        return
    yield from _database(engine, url)
    path = dialect_of(engine.url).local_path(engine.url)
    for name, check in {"disk": _disk, "permissions": _permissions}.items():
        yield check(path) if path else Examined(name, State.OK, "the server's own matter")


def _landing(directory: Path, hospital: str, pass_over: Collection[str]) -> Examined:
    try:
        landed = scan(directory, hospital, pass_over)
    except VisitPayError as error:
        return Examined(
            "landing directory", State.ERROR, str(error), "check its path and its permissions"
        )
    others = counted(len(landed.unrecognised), "other")
    seen = f"{counted(len(landed.files), 'file')} of the feed, {others}"
    if unreadable := sum(not os.access(file.path, os.R_OK) for file in landed.files):
        remedy = "let the user of the load read them all"
        seen += f"; {counted(unreadable, 'file')} cannot be read"
        return Examined("landing directory", State.ERROR, seen, remedy)
    if landed.unrecognised:
        remedy = (
            "rename the others, take them away, or name them with --pass-over;"
            " `visitpay status --json` names them all"
        )
        return Examined(
            "landing directory", State.WARNING, f"{seen}: {landed.describe_unrecognised()}", remedy
        )
    return Examined("landing directory", State.OK, seen)


def _channels(alert_urls: str, *, send: bool) -> Examined:
    if not alert_urls.strip():
        remedy = "set VISITPAY_ALERT_URLS to Apprise URLs of those who are to be told"
        return Examined("alerts", State.WARNING, "no channel is set", remedy)
    channels, troubles = open_channels(alert_urls)
    if troubles:
        return Examined("alerts", State.ERROR, "; ".join(troubles), "correct VISITPAY_ALERT_URLS")
    count = counted(len(channels), "channel")
    if not send:
        return Examined("alerts", State.OK, f"{count}, not asked (--send does)")
    from visitpay.notify.channels import send as alert

    if not alert(channels, "visitpay: a test", "The doctor looks whether this channel answers."):
        return Examined("alerts", State.ERROR, "no channel took a message", "see the log for which")
    return Examined("alerts", State.OK, f"a message was sent to {count}")


def _ping(url: str) -> Examined:
    _, troubles = open_heartbeat(url)
    if troubles:
        return Examined("ping", State.ERROR, "; ".join(troubles), "correct VISITPAY_PING_URL")
    return Examined("ping", State.OK, "a URL is set, not asked: that would count as a load")


def _metrics(path: Path) -> Examined:
    _, troubles = open_metrics(path)
    if troubles:
        return Examined("metrics", State.ERROR, "; ".join(troubles))
    name, folder = printable(str(path)), printable(str(path.parent))
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises PermissionError
        return Examined("metrics", State.ERROR, f"{name} is a directory", "name a file in it")
    if not os.path.isdir(path.parent):  # noqa: PTH112
        return Examined("metrics", State.ERROR, f"there is no directory {folder}", "make it")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        remedy = f"let the user of the load write to {folder}"
        return Examined("metrics", State.ERROR, f"no file can be written in {folder}", remedy)
    if path.suffix != ".prom":
        remedy = "let its name end with .prom: node_exporter reads no other file"
        return Examined("metrics", State.WARNING, f"{name} can be written", remedy)
    return Examined("metrics", State.OK, f"{name} can be written")


def _database(engine: Engine, url: str) -> Iterator[Examined]:
    dialect = dialect_of(engine.url)
    try:
        # The first requires a schema that can be used, the second requires foreign keys.
        with (
            read_connection(url) as reader,
            translate_errors(engine.url),
            engine.connect() as connection,
        ):
            version = connection.dialect.server_version_info or ()
            lacking = dialect.incomplete_encoding(connection)
            newer = newer_revisions(reader)
    except VisitPayError as error:
        yield Examined("database", State.ERROR, str(error))
        return
    yield _version(engine.name, version, dialect.OLDEST_VERSION, newer)
    if lacking:
        remedy = (
            "make a database with ENCODING 'UTF8' TEMPLATE template0, migrate it with:"
            " visitpay migrate, and load the files into it"
        )
        seen = f"{lacking}: a file with a character that it lacks fails whole"
        yield Examined("encoding", State.WARNING, seen, remedy)
    yield from _as_a_load(engine, url)
    with read_connection(url) as connection:
        yield _references(connection)
        yield _clock(connection)


def _version(
    name: str,
    version: tuple[int | str, ...],
    oldest: tuple[int | str, ...],
    newer: Collection[str],
) -> Examined:
    seen = f"{name} {_dotted(version)} answers, and its schema is at head"
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


def _as_a_load(engine: Engine, url: str) -> list[Examined]:
    """Check what a load does first: take the lock, write, look at the run before."""
    try:
        with ExclusiveSession(engine, 0) as session:
            last = _last_run(session.transact(last_run), is_over=True)
        lock = Examined("lock", State.OK, "no load holds the database; foreign keys are kept")
        return [lock, _writing(engine), last]  # writing may wait for a table: not under the lock
    except BusyError as error:
        lock = Examined("lock", State.WARNING, str(error), "see whether that load still gets on")
    except VisitPayError as error:
        lock = Examined("lock", State.ERROR, str(error))
    with read_connection(url) as connection:
        return [lock, _last_run(last_run(connection), is_over=False)]


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


def _last_run(run: Run | None, *, is_over: bool) -> Examined:
    if run is None:
        return Examined("last run", State.WARNING, "none yet", "run: visitpay load")
    began = f"{minute(run.started_at)} UTC on {printable(run.host)}"
    seen = f"{run.id}: {run.status}, begun {began}"
    if is_over and run.status == RunStatus.RUNNING:
        remedy = "the next load marks it interrupted, and goes on from there"
        return Examined("last run", State.WARNING, f"{seen}, but no load is there: it died", remedy)
    state = State.OK if run.status in (RunStatus.OK, RunStatus.RUNNING) else State.WARNING
    remedies: Mapping[str, str] = {
        RunStatus.ATTENTION: (
            "see `visitpay rejects list`, `visitpay files --status failed` (or held)"
        ),
        RunStatus.INTERRUPTED: "the next load goes on from there",
    }
    return Examined("last run", state, seen, remedies.get(run.status, ""))


def _clock(connection: Connection) -> Examined:
    now, newest = datetime.now(UTC), connection.scalar(select(func.max(LoadRun.started_at)))
    seen = f"{second(now)} UTC"
    if newest is not None and newest > now:
        seen += f", but a run began at {second(newest)}"
        return Examined("clock", State.ERROR, seen, "set the clock; is it kept by NTP?")
    return Examined("clock", State.OK, seen)


def _disk(path: Path) -> Examined:
    free, taken = shutil.disk_usage(path.parent).free, path.stat().st_size
    seen = f"{_size(free)} free; the database takes {_size(taken)}"
    if free < max(ROOM_BYTES, taken // 10):
        return Examined("disk", State.WARNING, seen, "make room: a load needs some for its journal")
    return Examined("disk", State.OK, seen)


def _size(count: int) -> str:
    whole = count >= 1 << 30
    return f"{count / (1 << 30):,.1f} GiB" if whole else f"{count / (1 << 20):,.1f} MiB"


def _permissions(path: Path) -> Examined:
    # Whoever read the database while it was read-only left read-only files beside it.
    beside = (path.with_name(f"{path.name}-{suffix}") for suffix in ("wal", "shm", "lock"))
    needed = [file for file in (path.parent, path, *beside) if file.exists()]
    if read_only := [str(file) for file in needed if not os.access(file, os.W_OK)]:
        seen = f"cannot be written to: {', '.join(read_only)}"
        return Examined(
            "permissions", State.ERROR, seen, "let the user of the load write to all of it"
        )
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        remedy = f"run: chmod 600 {path}"
        return Examined("permissions", State.WARNING, f"{path} is mode {mode:o}", remedy)
    return Examined("permissions", State.OK, "the database is its owner's alone")
