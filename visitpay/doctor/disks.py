"""Disks and files: whether there is room, for how long, and whether the load may write."""

import os
import pwd
import shlex
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from visitpay.doctor.examined import Examined, State
from visitpay.landing.place import Landing
from visitpay.ledger.growth import Growth

ROOM_BYTES = 1 << 30
"""Less free space than this on the database's disk is a warning."""

_TEMPORARY_BYTES = 1 << 25
"""SQLite sorts so much in memory (its cache); what is larger needs a file."""

_WARN_DAYS, _FAIL_DAYS = 30, 3
_MANY_DAYS = 36_500

_MAKE_ROOM = "make room, or move it to a larger disk"


def of_server(size: int | None, growth: Growth | None) -> Iterator[Examined]:
    """Say what can be known of the disks of a server."""
    seen = "the server's own matter"
    if size is not None:
        seen += f"; the database takes {_size(size)}{_grows(growth.database if growth else None)}"
    yield Examined("disk", State.OK, seen)
    for name in ("temporary files", "permissions"):
        yield Examined(name, State.OK, "the server's own matter")


def of_file(
    path: Path, temporary: Path | None, growth: Growth | None, landing_grows: float
) -> Iterator[Examined]:
    """Check the disk of a database's file, the directory for temporary files, the permissions.

    `landing_grows` by so many bytes a day on the same disk.
    """
    yield _disk(path, growth, landing_grows)
    yield _temporary_files(temporary, path)
    yield _permissions(path)


def of_landing(directory: Path, landed: Landing, growth: Growth | None) -> Examined:
    """Check the disk of the landing directory."""
    free, grown = shutil.disk_usage(directory).free, landing_growth(landed, growth)
    taken = sum(file.size_bytes for file in landed.files)
    seen = f"{_size(free)} free; the directory takes {_size(taken)}{_grows(grown)}"
    return _how_long("landing disk", seen, free, grown, "take away files that a backup has")


def _disk(path: Path, growth: Growth | None, landing_grows: float) -> Examined:
    free, taken = shutil.disk_usage(path.parent).free, path.stat().st_size
    grown = growth.database if growth else None
    seen = f"{_size(free)} free; the database takes {_size(taken)}{_grows(grown)}"
    if grown is not None and landing_grows:
        seen, grown = (
            f"{seen}, the landing directory by {_size(landing_grows)}",
            grown + landing_grows,
        )
    found = _how_long("disk", seen, free, grown, _MAKE_ROOM)
    if found.state is State.OK and free < max(ROOM_BYTES, taken // 10):
        remedy = "make room: a load needs some for its journal"
        return Examined("disk", State.WARNING, found.seen, remedy)
    return found


def landing_growth(landed: Landing, growth: Growth | None) -> float | None:
    """Return how much the landing directory grows a day; None if that is unknown.

    It does not grow if old files are taken away.
    """
    if growth is None:
        return None
    oldest = min((file.file_datetime for file in landed.files), default=None)
    return growth.files if oldest and oldest <= growth.oldest else 0.0


def _grows(a_day: float | None) -> str:
    return "" if a_day is None else f" and grows by {_size(a_day)} a day"


def _how_long(name: str, seen: str, free: int, a_day: float | None, remedy: str) -> Examined:
    """Say in how many days the disk runs out."""
    if a_day is None:
        seen += "; a week of loaded files says how fast it grows"
        return Examined(name, State.OK, seen)
    days = free / a_day if a_day else _MANY_DAYS
    if days >= _MANY_DAYS:
        return Examined(name, State.OK, f"{seen}: more than {_MANY_DAYS // 365} years left")
    seen = f"{seen}: {int(days):,} day{'' if int(days) == 1 else 's'} left"
    if days >= _WARN_DAYS:
        return Examined(name, State.OK, seen)
    return Examined(name, State.ERROR if days < _FAIL_DAYS else State.WARNING, seen, remedy)


def is_same_disk(one: Path, other: Path) -> bool:
    """Whether two directories are on one file system."""
    return one.stat().st_dev == other.stat().st_dev


def _size(count: float) -> str:
    whole = count >= 1 << 30
    return f"{count / (1 << 30):,.1f} GiB" if whole else f"{count / (1 << 20):,.1f} MiB"


def _temporary_files(directory: Path | None, path: Path) -> Examined:
    name, remedy = "temporary files", "set SQLITE_TMPDIR to a directory with room for them"
    if directory is None:
        seen = "SQLite finds no directory to which it may write them"
        return Examined(name, State.ERROR, seen, remedy)
    free = shutil.disk_usage(directory).free
    needed = max(_TEMPORARY_BYTES, path.stat().st_size // 4)
    seen = f"{_size(free)} free in {directory}"
    if free < needed:
        seen += f"; a migration, or a sort of this database, may need {_size(needed)}"
        return Examined(name, State.WARNING, seen, remedy)
    return Examined(name, State.OK, seen)


def _permissions(path: Path) -> Examined:
    # Whoever read the database while it was read-only left read-only files beside it.
    beside = (path.with_name(f"{path.name}-{end}") for end in ("wal", "shm", "lock"))
    needed = [file for file in (path.parent, path, *beside) if file.exists()]
    if read_only := [str(file) for file in needed if not os.access(file, os.W_OK)]:
        seen = f"cannot be written to: {', '.join(read_only)}"
        remedy = "let the user of the load write to all of it"
        return Examined("permissions", State.ERROR, seen, remedy)
    if os.geteuid() == 0 and (found := _permissions_of_loader(path, needed)):
        return found
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        command = shlex.join(["chmod", "600", str(path)])
        seen = f"{path} is mode {mode:o}"
        return Examined("permissions", State.WARNING, seen, "let its owner alone read it", command)
    return Examined("permissions", State.OK, "the database is its owner's alone")


def _permissions_of_loader(path: Path, needed: list[Path]) -> Examined | None:
    """Return what the user of the loads may not write: root, who asks, may write everything.

    It is the owner of the database; if that is root, perhaps by mistake, the one of its directory.
    """
    is_roots = path.stat().st_uid == 0
    loader = _user((path.parent if is_roots else path).stat().st_uid)
    if loader is None or loader.pw_uid == 0:
        return None
    groups = os.getgrouplist(loader.pw_name, loader.pw_gid)
    refused = [file for file in needed if not _may_write(file.stat(), loader.pw_uid, groups)]
    if not refused:
        return None
    names = [str(file) for file in refused]
    seen = f"{loader.pw_name}, whose {'directory' if is_roots else 'database'} it is,"
    seen += f" cannot write to: {', '.join(names)}"
    command = shlex.join(["chown", f"{loader.pw_name}:", *names])
    state = State.WARNING if is_roots else State.ERROR
    return Examined("permissions", state, seen, "let that user load", command)


def _user(number: int) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(number)
    except KeyError:
        return None


def _may_write(status: os.stat_result, user: int, groups: list[int]) -> bool:
    if status.st_uid == user:
        return bool(status.st_mode & stat.S_IWUSR)
    return bool(status.st_mode & (stat.S_IWGRP if status.st_gid in groups else stat.S_IWOTH))
