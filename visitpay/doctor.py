"""Whether a load can work here: what it needs is looked at, with what to do where it lacks."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, func, select

from visitpay import landing, ledger
from visitpay.alerting import open_channels
from visitpay.database import make_engine, reading, translated
from visitpay.dialects import dialect_of
from visitpay.errors import VisitPayError
from visitpay.hold import Hold
from visitpay.models import ENTITIES, LoadFile, LoadRun
from visitpay.words import counted

OK = "ok"
WARNING = "warning"
ERROR = "error"

ROOM_BYTES = 1 << 30
"""With less room than this on its disk, a database gets a warning."""


@dataclass(frozen=True)
class Examined:
    """One thing that was looked at: its name, `ok`, `warning` or `error`, and what was seen."""

    name: str
    state: str
    seen: str
    remedy: str = ""


def examine(
    url: str, directory: Path, hospital: str, alert_urls: str = "", *, send: bool = False
) -> Iterator[Examined]:
    """Look at everything that a load needs; without a database that can be used, not much.

    With `send`, the alert channels are sent a message, to see whether they take it.
    """
    yield _landing(directory, hospital)
    if send or alert_urls.strip():
        yield _channels(alert_urls, send=send)
    try:
        engine = make_engine(url)
        with reading(url), translated(engine.url), engine.connect():
            pass  # it is at head, and the engine of a load keeps foreign keys
    except VisitPayError as error:
        yield Examined("database", ERROR, str(error))
        return
    yield Examined("database", OK, f"{engine.name} answers, and its schema is at head")
    yield _lock(engine)
    with reading(url) as connection:
        for look in (_references, _last_run, _clock):
            yield look(connection)
    is_file = engine.url.get_backend_name() == "sqlite"
    for name, look_at in {"disk": _disk, "permissions": _permissions}.items():
        path = Path(str(engine.url.database))
        yield look_at(path) if is_file else Examined(name, OK, "the server's own matter")


def _landing(directory: Path, hospital: str) -> Examined:
    try:
        landed = landing.scan(directory, hospital)
    except VisitPayError as error:
        return Examined(
            "landing directory", ERROR, str(error), "check its path and its permissions"
        )
    seen = (
        f"{counted(len(landed.files), 'file')} of the feed, "
        f"{counted(len(landed.unrecognised), 'other')}"
    )
    if landed.unrecognised:
        remedy = "`visitpay status --json` names the others: rename them, or take them away"
        return Examined("landing directory", WARNING, seen, remedy)
    return Examined("landing directory", OK, seen)


def _channels(alert_urls: str, *, send: bool) -> Examined:
    if not alert_urls.strip():
        remedy = "set VISITPAY_ALERT_URLS to Apprise URLs of those who are to be told"
        return Examined("alerts", WARNING, "no channel is set", remedy)
    try:
        channels = open_channels(alert_urls)
    except VisitPayError as error:
        return Examined("alerts", ERROR, str(error), "correct VISITPAY_ALERT_URLS")
    asked = counted(len(channels), "channel")
    if not send:
        return Examined("alerts", OK, f"{asked}, not asked (--send does)")
    from visitpay.channels import send as tell

    if not tell(channels, "visitpay: a test", "The doctor looks whether this channel answers."):
        return Examined("alerts", ERROR, "no channel took a message", "see the log for which")
    return Examined("alerts", OK, f"a message was sent to {asked}")


def _lock(engine: Engine) -> Examined:
    try:
        with Hold(engine, 0):
            return Examined("lock", OK, "no load holds the database; foreign keys are kept")
    except VisitPayError as error:
        return Examined("lock", WARNING, str(error), "see whether that load still gets on")


def _references(connection: Connection) -> Examined:
    broken = sorted(dialect_of(connection).broken_references(connection))
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


def _last_run(connection: Connection) -> Examined:
    run = ledger.last_run(connection)
    if run is None:
        return Examined("last run", WARNING, "none yet", "run: visitpay load")
    seen = f"{run['id']}: {run['status']}, begun {run['started_at']:%Y-%m-%d %H:%M} UTC"
    state = OK if run["status"] in ("ok", "running") else WARNING
    remedies = {
        "attention": "see `visitpay rejects list`, `visitpay files --status failed` (or held)",
        "interrupted": "the next load goes on from there",
    }
    return Examined("last run", state, seen, remedies.get(run["status"], ""))


def _clock(connection: Connection) -> Examined:
    now, newest = datetime.now(UTC), connection.scalar(select(func.max(LoadRun.started_at)))
    seen = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if newest is not None and newest > now:
        seen += f", but a run began at {newest:%Y-%m-%d %H:%M:%S}"
        return Examined("clock", ERROR, seen, "set the clock; is it kept by NTP?")
    return Examined("clock", OK, seen)


def _disk(path: Path) -> Examined:
    free = shutil.disk_usage(path.parent).free
    seen = f"{free / (1 << 30):,.1f} GiB free beside {path.stat().st_size / (1 << 30):,.1f} GiB"
    if free < max(ROOM_BYTES, path.stat().st_size // 10):
        return Examined("disk", WARNING, seen, "make room: a load needs some for its journal")
    return Examined("disk", OK, seen)


def _permissions(path: Path) -> Examined:
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        remedy = f"run: chmod 600 {path}"
        return Examined("permissions", WARNING, f"{path} is mode {mode:o}", remedy)
    if not os.access(path.parent, os.W_OK):
        remedy = f"let the user of the load write to {path.parent}"
        return Examined("permissions", ERROR, "no journal can be written", remedy)
    return Examined("permissions", OK, "the database is its owner's alone")
