"""Many hospitals: the file `hospitals.toml`, with a table for each.

The file is the one that VISITPAY_HOSPITALS names, else `hospitals.toml` in the working directory,
else the machine's. What stands above the first table is for all hospitals.
"""

import os
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from visitpay import settings
from visitpay.errors import ConfigurationError, SettingsError
from visitpay.feed import normalize_name
from visitpay.settings import Setting, Settings

NAME = "hospitals.toml"

_FOR_ALL = ("output", "wait")
"""What only the round as a whole has."""

_COMMON = {"ping_url", "log_file", "log_format", "quiet", "verbose"}
"""What the command has itself; the rest is for the hospitals."""

_POSTGRESQL_PORT = 5432


@dataclass(frozen=True)
class Hospital:
    """A hospital, with what the file says of it; it stands above the environment (`prevail`)."""

    name: str
    """That of its table."""
    file: Settings
    fault: str = ""
    """Why nothing can be done for it."""

    def keys(self) -> Collection[str]:
        """Return what is set for it; its ping is never the round's."""
        tables = (self.file.tables.get(place, {}) for place in self._places())
        given = {key for table in tables for key in table}
        named = {key.removesuffix("_file") for key in given} & set(settings.REFERABLE)
        return given | named | {"hospital", "ping_url"}

    def get(self, key: str) -> Setting | None:
        """Return what a key is set to; raises SettingsError if something cannot be used."""
        if self.fault:
            raise SettingsError(self.fault)
        return self.salvaged(key)

    def salvaged(self, key: str) -> Setting | None:
        """Return it although something else cannot be used; raises SettingsError if it cannot."""
        if key == "hospital":
            return self.file.first(key, [(self.name,)]) or Setting(self.name, self.file.name)
        if key == "ping_url":
            return self.file.first(key, [(self.name,)]) or Setting("", "default")
        return self.file.first(key, self._places())

    def _places(self) -> list[tuple[str, ...]]:
        return [(self.name,), ()]

    def __str__(self) -> str:
        """Return the file and the line where its table begins, and its name."""
        return self.file.place_of_table((self.name,))


@dataclass(frozen=True)
class Common:
    """What the file says for all hospitals; it stands above the environment (`prevail`)."""

    file: Settings
    name: str = ""

    def keys(self) -> Collection[str]:
        """Return what is set."""
        given = self.file.tables[()]
        return {*given, *(key.removesuffix("_file") for key in given)} & _COMMON

    def get(self, key: str) -> Setting | None:
        """Return what a key is set to; raises SettingsError if a secret cannot be read."""
        return self.file.first(key, [()]) if key in _COMMON else None

    salvaged = get


def read() -> list[Hospital]:
    """Return the hospitals, in the order of the file; raises SettingsError if there are none.

    What is wrong with one of them is its `fault`: the others can go on.
    """
    path = settings.find("VISITPAY_HOSPITALS", NAME, settings.MACHINE / NAME)
    if path is None:
        message = (
            f"there is no {NAME} here, and no {settings.MACHINE / NAME};"
            " write one, with a table for each hospital, or name it in VISITPAY_HOSPITALS"
        )
        raise SettingsError(message)
    return of(settings.parse(path))


def of(file: Settings) -> list[Hospital]:
    """Return the hospitals of a file; raises SettingsError as `read` does."""
    for key, value in file.tables[()].items():
        settings.require_usable(file, (), key, value)
    if "hospital" in file.tables[()]:
        file.refuse("hospital", (), "is of one hospital: put it into the table of that one")
    names = dict.fromkeys(path[0] for path in file.tables if path)
    if not names:
        message = f"{file.name}: no hospital; one is a table like [HospitalABC] with its landing"
        raise SettingsError(message)
    found = [Hospital(name, file, _said(partial(_require_usable, file, name))) for name in names]
    return _without_collisions(found)


def _said(check: Callable[[], object]) -> str:
    """Return what a check refuses; empty if nothing."""
    try:
        check()
    except ConfigurationError as error:
        return str(error)
    return ""


def _require_usable(file: Settings, name: str) -> None:
    """Raise SettingsError unless a hospital's table can be used, and says where its files are."""
    for path in file.tables:
        if path[:1] == (name,) and len(path) > 1:
            what = "is in another table; a hospital's name with a dot in it stands in quotes"
            file.refuse_table(path, what)
    for key, value in file.tables.get((name,), {}).items():
        settings.require_usable(file, (name,), key, value)
        if key in _FOR_ALL:
            file.refuse(key, (name,), "is for all hospitals: put it above the first [table]")
    hospital = Hospital(name, file)
    for key, what in (("landing", "landing"), ("database_url", "database_url_file")):
        if _in_force(hospital, key) is None:
            file.refuse_table((name,), f"has no {key}; say {what}, or set it for all")


def _in_force(hospital: Hospital, key: str) -> str | None:
    """Return what a hospital has, be it from the environment; None if nobody says."""
    found = hospital.salvaged(key) or settings.in_force(key)
    return None if found.origin == "default" else str(found.value)


def _without_collisions(hospitals: list[Hospital]) -> list[Hospital]:
    """Return the hospitals, with a fault where two have the same database, or the same files."""
    faults: dict[str, str] = {}
    for place_of, what in ((_database, "database"), (_files, "files")):
        for first, second in _alike(hospitals, place_of):
            remedy = (
                "each hospital needs a database of its own, or a schema"
                if what == "database"
                else "give them other names, or other landing places"
            )
            message = f"{second} has the same {what} as {first}: {remedy}"
            for each in (first, second):
                faults.setdefault(each.name, message)
    return [replace(each, fault=each.fault or faults.get(each.name, "")) for each in hospitals]


def _alike(
    hospitals: Collection[Hospital], place_of: Callable[[Hospital], object]
) -> Iterator[tuple[Hospital, Hospital]]:
    seen: dict[object, Hospital] = {}
    for hospital in hospitals:
        if hospital.fault:
            continue
        with suppress(SettingsError):  # a secret that is out of reach: the hospital itself says so
            place = place_of(hospital)
            if place in seen:
                yield seen[place], hospital
            seen.setdefault(place, hospital)


def _database(hospital: Hospital) -> object:
    """Return what tells a hospital's database from others: not how it is reached, nor by whom."""
    text = str(_in_force(hospital, "database_url"))
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # its own load says so
        return hospital.name, text
    if url.get_backend_name() == "sqlite":
        return os.path.realpath(url.database or "")
    schema = hospital.salvaged("schema")
    named = schema.value if schema else url.query.get("schema", url.query.get("options", ""))
    host = (url.host or str(url.query.get("host", ""))).lower()
    return host, url.port or _POSTGRESQL_PORT, url.database, named


def _files(hospital: Hospital) -> object:
    landing = str(_in_force(hospital, "landing"))
    place = landing.rstrip("/") if settings.is_url(landing) else os.path.realpath(landing)
    return place, normalize_name(str(_in_force(hospital, "hospital")))


def choose(hospitals: Collection[Hospital], only: Collection[str]) -> list[Hospital]:
    """Return those that are named, all if none is; raises ConfigurationError for another name."""
    known = [hospital.name for hospital in hospitals]
    for name in only:
        if name not in known:
            message = f"--only {name}: no hospital of the file{settings.nearest(name, known)}"
            raise ConfigurationError(message)
    return [hospital for hospital in hospitals if not only or hospital.name in only]


def file_stem(name: str) -> str:
    """Return a hospital's name as a part of a file's name, another one for each, and safe.

    A name that is not plain, or too long, is shortened, and ends with letters of its hash.
    """
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", name).lstrip(".-")[:60]
    if plain == name and name.lower() != "index":
        return name
    return f"{plain}-{sha256(name.encode(errors='surrogateescape')).hexdigest()[:8]}"
