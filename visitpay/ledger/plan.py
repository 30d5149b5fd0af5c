"""Which files a run has to load: those that were not loaded before."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from visitpay.errors import ConfigurationError, FileChangedError, FileError
from visitpay.landing.local import sha256_of
from visitpay.landing.place import LandedFile
from visitpay.models import LoadFile
from visitpay.text import printable
from visitpay.vocabulary import FileStatus

_LOADED = (
    select(
        *(LoadFile.id, LoadFile.name, LoadFile.sha256, LoadFile.size_bytes, LoadFile.version),
    )
    .where(LoadFile.status == FileStatus.LOADED)
    .order_by(LoadFile.id)
)

_HOSPITALS = select(LoadFile.hospital).where(LoadFile.status == FileStatus.LOADED).distinct()


@dataclass(frozen=True)
class Again:
    """The files that are to be taken again, although they were loaded before."""

    names: frozenset[str] = frozenset()
    """Their names, whole or short."""
    since: datetime | None = None
    """Files with this time (UTC) in their names, or a later one, belong to them."""

    def includes(self, file: LandedFile) -> bool:
        """Whether a file is one of them."""
        is_late_enough = self.since is not None and file.file_datetime >= self.since
        return is_late_enough or self.names_file(file)

    def names_file(self, file: LandedFile) -> bool:
        """Whether a file is one of them by its name."""
        return bool(self.names) and not self.names.isdisjoint(file.names)


NOTHING_AGAIN = Again()


@dataclass(frozen=True)
class Plan:
    """The files to load, in order, and the loaded ones that were only touched."""

    pending: tuple[LandedFile, ...]
    redelivered: frozenset[str]
    """Names of pending files that were loaded before with other content."""
    again: Mapping[str, int]
    """Names of pending files that are taken again, each with the ledger id of its delivery."""
    touched: tuple[tuple[int, str], ...]
    """Ledger id and new version of loaded files that were written again, with the same content."""


def make_plan(
    connection: Connection, files: Iterable[LandedFile], again: Again = NOTHING_AGAIN
) -> Plan:
    """Return which of the files to load.

    A file is loaded unless the ledger has its name with the same content and nobody wants it
    `again`. If the version differs, the content is compared by its hash; else the file is not
    opened.
    """
    # The newest delivery of a name comes last, and is kept.
    loaded = {row.name: row for row in connection.execute(_LOADED)}
    pending: list[LandedFile] = []
    redelivered: set[str] = set()
    taken_again: dict[str, int] = {}
    touched: list[tuple[int, str]] = []
    for file in files:
        delivery = loaded.get(file.name)
        if delivery is None:
            pending.append(file)
            continue
        if file.version != delivery.version:
            if not _same_content(file, delivery.size_bytes, delivery.sha256):
                pending.append(file)
                if not file.error:
                    redelivered.add(file.name)
                continue
            touched.append((delivery.id, file.version))
        if again.includes(file):
            pending.append(file)
            taken_again[file.name] = delivery.id
    return Plan(tuple(pending), frozenset(redelivered), taken_again, tuple(touched))


def _same_content(file: LandedFile, size_bytes: int, sha256: str | None) -> bool:
    try:
        return file.size_bytes == size_bytes and sha256_of(file) == sha256
    except (FileError, FileChangedError):
        return False  # loading it will say what is wrong


def require_tried(connection: Connection, names: Collection[str]) -> None:
    """Raise ConfigurationError unless a run has tried all files of these names before."""
    if not names:
        return
    known = connection.scalars(select(LoadFile.name).where(LoadFile.name.in_(names)))
    if new := sorted(set(names).difference(known)):
        message = f"never loaded before: {', '.join(map(printable, new))}; leave out --again"
        raise ConfigurationError(message)


def count_gone(connection: Connection, since: datetime, present: Collection[str]) -> int:
    """Count the loaded files, dated `since` or later, that are not among those `present`."""
    loaded = select(LoadFile.name).where(LoadFile.status == FileStatus.LOADED)
    names = connection.scalars(loaded.where(LoadFile.file_datetime >= since))
    return len(set(names).difference(present))


def require_one_hospital(connection: Connection, hospital: str) -> None:
    """Raise ConfigurationError if files of another hospital were loaded into the database.

    Two hospitals may use the same identifiers, and would overwrite each other's rows.
    """
    # Compared here: the database's encoding may lack a letter of the name.
    for other in set(connection.scalars(_HOSPITALS)) - {hospital}:
        message = (
            f"the database holds files of {printable(other)}, not of {printable(hospital)}: each"
            " hospital needs a database (on PostgreSQL, or a schema) of its own"
        )
        raise ConfigurationError(message)
