"""The commands that messages tell people to run: exact, for the database and directory in use."""

import shlex
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from visitpay import settings
from visitpay.database.naming import options_for
from visitpay.vocabulary import DEFAULT_HOSPITAL, DEFAULT_LANDING, DEFAULT_URL

_TAKE_LANDING = {"load", "status", "report", "check", "doctor", "files", "rejects export"}
_TAKE_LANDING_AS_OPTION = {"explain", "acknowledge"}
_TAKE_HOSPITAL = _TAKE_LANDING | _TAKE_LANDING_AS_OPTION
_TAKE_NO_DATABASE = {"check", "sample", "config"}

SET_URL = " (with VISITPAY_DATABASE_URL set to this database)"
"""What follows a command whose database URL holds a secret, and is therefore not in it."""


@dataclass(frozen=True)
class Setup:
    """What commands work on here: the database, the landing directory, the hospital."""

    database_url: str = DEFAULT_URL
    landing: Path | str = DEFAULT_LANDING
    hospital: str = DEFAULT_HOSPITAL
    found: Collection[str] = ()
    """Fields that every command finds by itself, such as in /etc: no hint needs to name them."""
    is_read_elsewhere: bool = False
    """Whether hints are read in another directory, as in a mail: they name defaults, too."""

    def hint(self, command: str, *arguments: str) -> str:
        """Return a command to be run as it stands, from whatever directory and environment.

        `command` is its name, such as `rejects list`, or more of it. Paths are absolute. A database
        URL that holds a secret is never in it; the command takes it from the environment.
        No command gives an empty text.
        """
        if not command:
            return ""
        words = ["visitpay", *command.split(), *arguments]
        command, secret = " ".join(words[1 : 3 if words[1] == "rejects" else 2]), ""
        if self._is_named("landing", DEFAULT_LANDING):
            directory = settings.absolute_landing(self.landing)
            words += [directory] if command in _TAKE_LANDING else []
            words += ["--landing", directory] if command in _TAKE_LANDING_AS_OPTION else []
        is_other = "hospital" not in self.found and self.hospital != DEFAULT_HOSPITAL
        if command in _TAKE_HOSPITAL and is_other:
            words += ["--hospital", self.hospital]
        if command not in _TAKE_NO_DATABASE and self._is_named("database_url", DEFAULT_URL):
            named, is_withheld = _options_for(self.database_url)
            words += named
            secret = SET_URL if is_withheld else ""
        return shlex.join(words) + secret

    def _is_named(self, field: str, default: str) -> bool:
        is_default = str(getattr(self, field)) == default
        return field not in self.found and (self.is_read_elsewhere or not is_default)


def setup_of(
    database_url: str = DEFAULT_URL,
    landing: Path | str = DEFAULT_LANDING,
    hospital: str = DEFAULT_HOSPITAL,
    *,
    is_read_elsewhere: bool = False,
) -> Setup:
    """Return what hints need: what a command works on, and what every command finds by itself."""
    given = {"database_url": database_url, "landing": str(landing), "hospital": hospital}
    found = {key for key, value in given.items() if settings.is_standing(key, value)}
    return Setup(database_url, landing, hospital, found, is_read_elsewhere)


DEFAULT_SETUP = Setup()


def _options_for(url: str) -> tuple[list[str], bool]:
    """Return the options that name a database; none, and True, for what is no URL."""
    try:
        return options_for(make_url(url))
    except (ArgumentError, ValueError):
        return [], True
