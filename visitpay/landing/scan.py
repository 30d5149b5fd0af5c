"""Listing a landing place: which of its names are files of the feed."""

import time
from collections.abc import Collection
from datetime import datetime
from pathlib import Path

from visitpay.errors import ConfigurationError
from visitpay.feed import NEAR_MISS, FileNames, parse_name_time, require_hospital
from visitpay.landing.place import Entry, LandedFile, Landing, Place
from visitpay.landing.places import place_of
from visitpay.models import ENTITIES
from visitpay.text import printable

_ENTITY_ORDER = {entity.__name__: index for index, entity in enumerate(ENTITIES)}


def scan(
    landing: Path | str, hospital: str, pass_over: Collection[str] = (), settle: float = 0
) -> Landing:
    """List a landing place, a path or a URL: type by type, each in ascending file datetime.

    Hidden entries, companions of files, and names that match `pass_over` are ignored: uploads in
    progress hide behind a dot. What changed less than `settle` seconds ago may change again: such a
    file is `recently_changed`, and such a name is no near miss yet. Raises ConfigurationError if
    the place cannot be read.
    """
    require_hospital(hospital)
    place = place_of(landing)
    settle = max(settle, place.least_settle)
    names = FileNames(hospital, pass_over)
    now = time.time()
    files: list[LandedFile] = []
    unrecognised: dict[str, str] = {}
    near_misses: list[str] = []
    try:
        for entry in place.entries():
            if names.is_passed_over(entry.name):
                continue
            found = _landed_file(entry, names, place, now)
            if isinstance(found, LandedFile):
                files.append(found)
                continue
            is_near_miss = names.is_near_miss(entry.name)
            unrecognised[entry.name] = found or (NEAR_MISS if is_near_miss else "")
            if is_near_miss and _is_settled(entry, now, settle):
                near_misses.append(entry.name)
    except OSError as error:
        path = printable(str(landing))
        message = f"the landing directory {path} cannot be read: {error.strerror}"
        raise ConfigurationError(message) from error
    return Landing(
        files=tuple(sorted(files, key=_load_order)),
        unrecognised=dict(sorted(unrecognised.items())),
        near_misses=tuple(sorted(near_misses)),
        recently_changed=frozenset(file.name for file in files if now - file.changed_at < settle),
    )


def _load_order(file: LandedFile) -> tuple[int, datetime, str]:
    return _ENTITY_ORDER[file.entity], file.file_datetime, file.name


def _landed_file(entry: Entry, names: FileNames, place: Place, now: float) -> LandedFile | str:
    """Return the file of the feed, or why the entry is none; empty where that is obvious."""
    match = names.match(entry.name)
    kind = entry.describe_type()
    if match is None or kind:
        return kind or names.describe_fault(entry.name)
    try:
        file_datetime = parse_name_time(match["bracketed"] or match["bare"])
    except ValueError as error:
        return str(error)
    named = (place, entry.name, names.hospital, match["entity"], file_datetime)
    try:
        size_bytes, version, changed_at = entry.look(now)
    except FileNotFoundError:
        return "went away"
    except OSError as error:  # one bad entry must not keep the others back
        return LandedFile(*named, 0, "", f"cannot be looked at: {error.strerror}")
    return LandedFile(*named, size_bytes, version, "", changed_at)


def _is_settled(entry: Entry, now: float, settle: float) -> bool:
    """Whether an entry is there, and did not change in the last `settle` seconds."""
    try:
        return now - entry.look(now).changed_at >= settle
    except FileNotFoundError:
        return False
    except OSError:
        return True
