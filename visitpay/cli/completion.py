"""What the shell offers for a word that is begun: never more than FEW, never an error, never late.

Databases and landing directories are those that the command would use.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import islice
from threading import Thread

import typer

from visitpay import settings
from visitpay.vocabulary import DEFAULT_LANDING, DEFAULT_URL

FEW = 50

SECONDS = 1.5
"""The longest time that a database or a directory is waited for."""

_MANY = 50_000


def entities(incomplete: str) -> list[str]:
    """Return the names of entities that begin with a text, in its letter case."""
    from visitpay.models import ENTITIES

    names = [entity.__name__ for entity in ENTITIES]
    begun = [name for name in names if name.lower().startswith(incomplete.lower())]
    return [incomplete + name[len(incomplete) :] for name in begun]


def reasons(incomplete: str) -> list[str]:
    """Return the reasons of rejects that begin with a text."""
    from visitpay.vocabulary import Reason

    return _begun(incomplete, Reason)


def checks(incomplete: str) -> list[str]:
    """Return the names of checks that begin with a text, the last of several with commas."""
    from visitpay.quality.checks import CHECKS

    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in _begun(last, CHECKS)]


def kinds(incomplete: str) -> list[str]:
    """Return the kinds of problems that begin with a text."""
    from visitpay.verdict.kinds import KINDS

    return _begun(incomplete, KINDS)


def reject_statuses(incomplete: str) -> list[str]:
    """Return how rejects may stand, as far as it begins with a text."""
    from visitpay.vocabulary import RejectStatus

    return _begun(incomplete, (*RejectStatus, "all"))


def paths(incomplete: str) -> list[str]:
    """Return the files and directories that begin so, directories with a slash."""
    folder, name = os.path.split(incomplete)
    if "://" in incomplete:
        return []

    def names() -> list[str]:
        with os.scandir(folder or ".") as entries:
            found = [entry for entry in islice(entries, _MANY) if entry.name.startswith(name)]
            return sorted(entry.name + "/" * entry.is_dir() for entry in found)[:FEW]

    return [os.path.join(folder, found) for found in _within(names)]  # noqa: PTH118


def files(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return names of files in the landing directory, the newest first, short unless begun long."""

    def names() -> list[str]:
        with os.scandir(_setting(ctx, "landing", DEFAULT_LANDING)) as entries:
            return [entry.name for entry in islice(entries, _MANY)]

    return _names_begun(incomplete, _within(names))


def known_files(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return names of files in the ledger, the newest first, short unless begun long."""
    from visitpay.database.engine import read_connection
    from visitpay.ledger.files import list_entries

    def names() -> list[str]:
        with read_connection(_database(ctx)) as connection:
            entries = list_entries(connection, entity=None, status=None, limit=FEW)
        return [entry.name for entry in entries]

    return _names_begun(incomplete, _within(names))


def reject_ids(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return ids of open rejects."""
    from visitpay.database.engine import read_connection
    from visitpay.rejects.queries import RejectFilter, list_rejects

    def ids() -> list[str]:
        with read_connection(_database(ctx)) as connection:
            return [str(reject.id) for reject in list_rejects(connection, RejectFilter(), FEW)]

    return _begun(incomplete, _within(ids))


def _begun(incomplete: str, names: Iterable[str]) -> list[str]:
    return [str(name) for name in names if name.startswith(incomplete)][:FEW]


def _names_begun(incomplete: str, names: Iterable[str]) -> list[str]:
    """Return the names of the feed that begin so, once each, by the times in them."""
    from visitpay.feed import short_name

    of_feed = [name for name in names if "_VisitPay_" in name and name.isprintable()]
    newest = sorted(of_feed, key=lambda name: name.removesuffix(".txt")[-15:], reverse=True)
    short = _begun(incomplete, dict.fromkeys(map(short_name, newest)))
    return short or _begun(incomplete, dict.fromkeys(newest))


def _database(ctx: typer.Context) -> str:
    url, schema = _setting(ctx, "database_url", DEFAULT_URL), _setting(ctx, "schema", "")
    return settings.with_schema(url, schema) if schema else url


def _setting(ctx: typer.Context, key: str, default: str) -> str:
    """Return what the command that is being typed has, else what is set."""
    source = ctx.get_parameter_source(key)
    if source is not None and source.name == "COMMANDLINE":
        return str(ctx.params[key])
    return str(settings.in_force(key, default).value)


def _within(names: Callable[[], list[str]]) -> list[str]:
    """Return names; none if they cannot be had in time, for whatever reason."""
    found: list[str] = []

    def find() -> None:
        with suppress(Exception):
            found.extend(names())

    thread = Thread(target=find, daemon=True)
    thread.start()
    thread.join(SECONDS)
    return list(found)
