"""The last load that could not begin: there may be no database to record it in.

It is one small private file: beside an SQLite database, as its lock is, else in the directory for
state (`visitpay.state`). If it cannot be read or written, there is none.
"""

import json
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import URL

from visitpay.database.dialects import dialect_of
from visitpay.database.engine import parse_url
from visitpay.errors import VisitPayError
from visitpay.private_files import write_private
from visitpay.state import database_key, state_directory
from visitpay.version import __version__

_BEGIN = b'{"refused_at": '
"""How such a file begins; nothing else is written over."""

_MOST_BYTES = 1 << 16


@dataclass(frozen=True)
class Refusal:
    """A load that could not begin; times in UTC."""

    at: datetime
    since: datetime
    """When the first one could not, of those since a load last began."""
    times: int
    """How many there were since then."""
    reason: str
    exit_status: int
    host: str
    process_id: int
    version: str
    """The version of visitpay."""


def record_refusal(url: str, reason: str, exit_status: int) -> None:
    """Record that a load could not begin, and why; this never fails."""
    with suppress(OSError, ValueError, VisitPayError):
        path = _path(url)
        if path is None:
            return
        now, before = datetime.now(UTC).isoformat(), _read(path)
        record = {
            "refused_at": now,
            "since": before.since.isoformat() if before else now,
            "times": before.times + 1 if before else 1,
            "reason": reason,
            "exit_status": exit_status,
            "host": socket.gethostname(),
            "process_id": os.getpid(),
            "version": __version__,
        }
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with write_private(path, over=_BEGIN) as file:
            json.dump(record, file)
        _give_to_owner(path, url)


def last_refusal(url: str | URL) -> Refusal | None:
    """Return the last load that could not begin, if none has begun since."""
    with suppress(OSError, ValueError, VisitPayError):
        if path := _path(url):
            return _read(path)
    return None


def forget_refusal(url: str | URL) -> None:
    """Forget it: a load has begun."""
    with suppress(OSError, VisitPayError):
        if (path := _path(url)) and _read(path):
            path.unlink()


def _path(url: str | URL) -> Path | None:
    """Return where the file of a database is; None if there is no place for it."""
    parsed = parse_url(url)
    database = dialect_of(parsed).local_path(parsed)
    if database is None:
        directory = state_directory()
        return directory and directory / f"refused-{database_key(parsed)}"
    real = Path(os.path.realpath(database))
    return real.with_name(f"{real.name}-refused") if real.is_file() else None


def _read(path: Path) -> Refusal | None:
    """Return what a file says; None if it is missing, or says nothing of the kind."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            said = json.loads(file.read(_MOST_BYTES))
        return Refusal(
            at=_moment(said["refused_at"]),
            since=_moment(said["since"]),
            times=int(said["times"]),
            reason=str(said["reason"]),
            exit_status=int(said["exit_status"]),
            host=str(said["host"]),
            process_id=int(said["process_id"]),
            version=str(said["version"]),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _give_to_owner(path: Path, url: str) -> None:
    """Let a file that root wrote belong to the database's owner, whose loads will replace it."""
    parsed = parse_url(url)
    database = dialect_of(parsed).local_path(parsed)
    if database and os.geteuid() == 0:
        owner = database.stat()
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
