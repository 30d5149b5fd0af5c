"""Which files a run has to load: those that were not loaded before."""

from collections.abc import Iterable
from dataclasses import dataclass

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
class Plan:
    """The files to load, in order, and the loaded ones that were only touched."""

    pending: tuple[LandedFile, ...]
    redelivered: frozenset[str]
    """Names of pending files that were loaded before with other content."""
    touched: tuple[tuple[int, str], ...]
    """Ledger id and new version of loaded files that were written again, with the same content."""


def make_plan(connection: Connection, files: Iterable[LandedFile]) -> Plan:
    """Return which of the files to load.

    A file is loaded unless the ledger has its name with the same content. If the version differs,
    the content is compared by its hash; else the file is not opened.
    """
    # The newest delivery of a name comes last, and is kept.
    loaded = {row.name: row for row in connection.execute(_LOADED)}
    pending: list[LandedFile] = []
    redelivered: set[str] = set()
    touched: list[tuple[int, str]] = []
    for file in files:
        delivery = loaded.get(file.name)
        if delivery is None:
            pending.append(file)
        elif file.version == delivery.version:
            continue
        elif _same_content(file, delivery.size_bytes, delivery.sha256):
            touched.append((delivery.id, file.version))
        else:
            pending.append(file)
            if not file.error:
                redelivered.add(file.name)
    return Plan(tuple(pending), frozenset(redelivered), tuple(touched))


def _same_content(file: LandedFile, size_bytes: int, sha256: str | None) -> bool:
    try:
        return file.size_bytes == size_bytes and sha256_of(file) == sha256
    except (FileError, FileChangedError):
        return False  # loading it will say what is wrong


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
