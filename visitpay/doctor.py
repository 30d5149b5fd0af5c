"""Whether a load can work here: what it needs is looked at, with what to do where it lacks."""

import os
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, false, func, insert, select, update

from visitpay.database.dialects import dialect_of
from visitpay.database.engine import make_engine, read_connection, translate_errors
from visitpay.database.session import ExclusiveSession
from visitpay.errors import BusyError, VisitPayError
from visitpay.landing.local import scan
from visitpay.ledger.runs import Run, last_run
from visitpay.models import ENTITIES, Base, LoadFile, LoadRun
from visitpay.notify.watch import open_channels, open_heartbeat, open_metrics
from visitpay.text import counted, minute, printable, second
from visitpay.vocabulary import RunStatus

OK = "ok"
WARNING = "warning"
ERROR = "error"

ROOM_BYTES = 1 << 30
"""With less room than this on its disk, a database gets a warning."""

OLDEST: dict[str, tuple[int | str, ...]] = {"sqlite": (3, 35), "postgresql": (15,)}
"""The oldest versions: SQLite's first with RETURNING, and the oldest PostgreSQL that is tested."""


@dataclass(frozen=True)
class Examined:
    """One thing that was looked at: its name, `ok`, `warning` or `error`, and what was seen."""

    name: str
    state: str
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
    """Look at everything that a load needs; without a database that can be used, not much.

    With `send`, the alert channels are sent a message, to see whether they take it. The ping URL is
    not asked: whoever is pinged would take it for a load.
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
        yield Examined("database", ERROR, str(error))
        return
    yield from _database(engine, url)
    is_file = engine.url.get_backend_name() == "sqlite"
    for name, look_at in {"disk": _disk, "permissions": _permissions}.items():
        path = Path(str(engine.url.database))
        yield look_at(path) if is_file else Examined(name, OK, "the server's own matter")


def _landing(directory: Path, hospital: str, pass_over: Collection[str]) -> Examined:
    try:
        landed = scan(directory, hospital, pass_over)
    except VisitPayError as error:
        return Examined(
            "landing directory", ERROR, str(error), "check its path and its permissions"
        )
    others = counted(len(landed.unrecognised), "other")
    seen = f"{counted(len(landed.files), 'file')} of the feed, {others}"
    if closed := sum(not os.access(each.path, os.R_OK) for each in landed.files):
        remedy = "let the user of the load read them all"
        what = f"{seen}; {counted(closed, 'file')} cannot be read"
        return Examined("landing directory", ERROR, what, remedy)
    if landed.unrecognised:
        remedy = (
            "rename the others, take them away, or name them with --pass-over;"
            " `visitpay status --json` names them all"
        )
        return Examined(
            "landing directory", WARNING, f"{seen}: {landed.describe_unrecognised()}", remedy
        )
    return Examined("landing directory", OK, seen)


def _channels(alert_urls: str, *, send: bool) -> Examined:
    if not alert_urls.strip():
        remedy = "set VISITPAY_ALERT_URLS to Apprise URLs of those who are to be told"
        return Examined("alerts", WARNING, "no channel is set", remedy)
    channels, troubles = open_channels(alert_urls)
    if troubles:
        return Examined("alerts", ERROR, "; ".join(troubles), "correct VISITPAY_ALERT_URLS")
    asked = counted(len(channels), "channel")
    if not send:
        return Examined("alerts", OK, f"{asked}, not asked (--send does)")
    from visitpay.notify.channels import send as tell

    if not tell(channels, "visitpay: a test", "The doctor looks whether this channel answers."):
        return Examined("alerts", ERROR, "no channel took a message", "see the log for which")
    return Examined("alerts", OK, f"a message was sent to {asked}")


def _ping(url: str) -> Examined:
    _, troubles = open_heartbeat(url)
    if troubles:
        return Examined("ping", ERROR, "; ".join(troubles), "correct VISITPAY_PING_URL")
    return Examined("ping", OK, "a URL is set, not asked: that would count as a load")


def _metrics(path: Path) -> Examined:
    _, troubles = open_metrics(path)
    if troubles:
        return Examined("metrics", ERROR, "; ".join(troubles))
    name, folder = printable(str(path)), printable(str(path.parent))
    if os.path.isdir(path):  # noqa: PTH112 - Path's own raises where it may not look
        return Examined("metrics", ERROR, f"{name} is a directory", "name a file in it")
    if not os.path.isdir(path.parent):  # noqa: PTH112
        return Examined("metrics", ERROR, f"there is no directory {folder}", "make it")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        remedy = f"let the user of the load write to {folder}"
        return Examined("metrics", ERROR, f"no file can be written in {folder}", remedy)
    if path.suffix != ".prom":
        remedy = "let its name end with .prom: node_exporter reads no other file"
        return Examined("metrics", WARNING, f"{name} can be written", remedy)
    return Examined("metrics", OK, f"{name} can be written")


def _database(engine: Engine, url: str) -> Iterator[Examined]:
    try:
        with read_connection(url), translate_errors(engine.url), engine.connect() as connection:
            # It is at head, and the engine of a load keeps foreign keys.
            version = connection.dialect.server_version_info or ()
            lacking = dialect_of(connection).lacking_encoding(connection)
    except VisitPayError as error:
        yield Examined("database", ERROR, str(error))
        return
    yield _version(engine.name, version)
    if lacking:
        remedy = (
            "make a database with ENCODING 'UTF8' TEMPLATE template0, run: alembic upgrade head,"
            " and load the files into it"
        )
        seen = f"{lacking}: a file with a character that it lacks fails whole"
        yield Examined("encoding", WARNING, seen, remedy)
    yield from _as_a_load(engine, url)
    with read_connection(url) as connection:
        for look in (_references, _clock):
            yield look(connection)


def _version(name: str, version: tuple[int | str, ...]) -> Examined:
    seen = f"{name} {_dotted(version)} answers, and its schema is at head"
    if version < OLDEST[name]:
        remedy = f"use {_dotted(OLDEST[name])} or a newer one"
        return Examined("database", WARNING, f"{seen}, but it is an old one", remedy)
    return Examined("database", OK, seen)


def _dotted(version: tuple[int | str, ...]) -> str:
    return ".".join(map(str, version))


def _as_a_load(engine: Engine, url: str) -> list[Examined]:
    """Look from where a load stands: its lock, what it may write, what the one before left."""
    try:
        with ExclusiveSession(engine, 0) as hold:
            last = _last_run(hold.transact(last_run), is_over=True)
        lock = Examined("lock", OK, "no load holds the database; foreign keys are kept")
        return [lock, _writing(engine), last]  # without the lock: it may wait for a table
    except BusyError as error:
        lock = Examined("lock", WARNING, str(error), "see whether that load still gets on")
    except VisitPayError as error:
        lock = Examined("lock", ERROR, str(error))
    with read_connection(url) as connection:
        return [lock, _last_run(last_run(connection), is_over=False)]


def _writing(engine: Engine) -> Examined:
    try:
        with translate_errors(engine.url), engine.connect() as connection:
            _write_nothing(connection)
            connection.rollback()
    except VisitPayError as error:
        return Examined("writing", ERROR, str(error))
    return Examined("writing", OK, "every table can be written to; nothing was")


def _write_nothing(connection: Connection) -> None:
    """Insert and update no rows: a database that would refuse some refuses that, too."""
    import polars as pl

    for table in Base.metadata.sorted_tables:
        names = [column.name for column in table.columns]
        connection.execute(insert(table).from_select(names, select(table).where(false())))
        connection.execute(update(table).where(false()).values(dict(table.columns)))
    for entity in ENTITIES:  # by way of a temporary table, perhaps
        table = entity.__table__
        given = [each.name for each in table.columns if each.name != "source_file_id"]
        dialect_of(connection).upsert(connection, table, pl.DataFrame(schema=given), 0)


def _references(connection: Connection) -> Examined:
    broken = sorted(dialect_of(connection).foreign_key_violations(connection))
    known = select(LoadFile.id)
    for entity in ENTITIES:
        strays = select(entity).where(entity.source_file_id.not_in(known))
        if connection.scalar(select(strays.exists())):
            broken.append(f"{entity.__tablename__} (to the ledger)")
    if broken:
        remedy = "restore a backup, and load what came since"
        return Examined(
            "references", ERROR, f"rows refer to nothing in {', '.join(broken)}", remedy
        )
    return Examined("references", OK, "every row refers to what is there")


def _last_run(run: Run | None, *, is_over: bool) -> Examined:
    if run is None:
        return Examined("last run", WARNING, "none yet", "run: visitpay load")
    began = f"{minute(run.started_at)} UTC on {printable(run.host)}"
    seen = f"{run.id}: {run.status}, begun {began}"
    if is_over and run.status == RunStatus.RUNNING:
        remedy = "the next load marks it interrupted, and goes on from there"
        return Examined("last run", WARNING, f"{seen}, but no load is there: it died", remedy)
    state = OK if run.status in ("ok", RunStatus.RUNNING) else WARNING
    remedies = {
        "attention": "see `visitpay rejects list`, `visitpay files --status failed` (or held)",
        "interrupted": "the next load goes on from there",
    }
    return Examined("last run", state, seen, remedies.get(run.status, ""))


def _clock(connection: Connection) -> Examined:
    now, newest = datetime.now(UTC), connection.scalar(select(func.max(LoadRun.started_at)))
    seen = f"{second(now)} UTC"
    if newest is not None and newest > now:
        seen += f", but a run began at {second(newest)}"
        return Examined("clock", ERROR, seen, "set the clock; is it kept by NTP?")
    return Examined("clock", OK, seen)


def _disk(path: Path) -> Examined:
    free, taken = shutil.disk_usage(path.parent).free, path.stat().st_size
    seen = f"{_size(free)} free; the database takes {_size(taken)}"
    if free < max(ROOM_BYTES, taken // 10):
        return Examined("disk", WARNING, seen, "make room: a load needs some for its journal")
    return Examined("disk", OK, seen)


def _size(count: int) -> str:
    whole = count >= 1 << 30
    return f"{count / (1 << 30):,.1f} GiB" if whole else f"{count / (1 << 20):,.1f} MiB"


def _permissions(path: Path) -> Examined:
    # A reader of a database that is read-only leaves a journal that is so, too.
    beside = (path.with_name(f"{path.name}-{each}") for each in ("wal", "shm", "lock"))
    needed = [each for each in (path.parent, path, *beside) if each.exists()]
    if closed := [str(each) for each in needed if not os.access(each, os.W_OK)]:
        seen = f"cannot be written to: {', '.join(closed)}"
        return Examined("permissions", ERROR, seen, "let the user of the load write to all of it")
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        remedy = f"run: chmod 600 {path}"
        return Examined("permissions", WARNING, f"{path} is mode {mode:o}", remedy)
    return Examined("permissions", OK, "the database is its owner's alone")
