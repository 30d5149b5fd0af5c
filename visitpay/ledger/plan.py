"""Which files a run has to load: those that were not loaded before."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Row, select

from visitpay.errors import ConfigurationError, FileChangedError, FileError
from visitpay.landing.place import LandedFile
from visitpay.ledger.files import FailedFile, held_files, same_content
from visitpay.ledger.history import CLOCKS_APART
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
    """Their names."""
    since: datetime | None = None
    """Files with this time (UTC) in their names, or a later one, belong to them."""

    def includes(self, file: LandedFile) -> bool:
        """Whether a file is one of them."""
        is_late_enough = self.since is not None and file.file_datetime >= self.since
        return is_late_enough or self.names_file(file)

    def names_file(self, file: LandedFile) -> bool:
        """Whether a file is one of them by its name."""
        return file.name in self.names


NOTHING_AGAIN = Again()


@dataclass(frozen=True)
class Plan:
    """The files to load, in order, those that stay held, and known ones that were only touched."""

    pending: tuple[LandedFile, ...]
    redelivered: frozenset[str]
    """Names of pending files that were loaded before with other content."""
    again: Mapping[str, int]
    """Names of pending files that are taken again, each with the ledger id of its delivery."""
    held: tuple[FailedFile, ...]
    """The files that are left alone, because they are held."""
    touched: tuple[tuple[int, str], ...]
    """Ledger id and new version of known files that were written again, with the same content."""


def make_plan(
    connection: Connection,
    files: Iterable[LandedFile],
    again: Again = NOTHING_AGAIN,
    approved: Collection[str] = (),
    now: datetime | None = None,
) -> Plan:
    """Return which of the files to load.

    A file is loaded unless the ledger has its name with the same content, and nobody wants it
    `again`. One that is held stays so until its name is `approved`, its content is another, or its
    time has come by `now` (UTC). If the version differs, the content is compared by its hash; else
    the file is not opened.
    """
    now = now or datetime.now(UTC)
    # The newest delivery of a name comes last, and is kept.
    loaded = {row.name: row for row in connection.execute(_LOADED)}
    held = {entry.name: entry for entry in held_files(connection) if entry.name not in approved}
    left: list[FailedFile] = []
    pending: list[LandedFile] = []
    redelivered: set[str] = set()
    taken_again: dict[str, int] = {}
    touched: list[tuple[int, str]] = []
    for file in files:
        delivery, hold = loaded.get(file.name), held.get(file.name) if held else None
        if hold is not None and _has_time_come(file, hold, now):
            hold = None
        is_as_held = hold is not None and hold.version == file.version
        if delivery is not None and not is_as_held and _was_loaded(file, delivery):
            if file.version != delivery.version:
                touched.append((delivery.id, file.version))
            if again.includes(file):
                pending.append(file)
                taken_again[file.name] = delivery.id
        elif hold is not None and hold.is_still(file):
            if not is_as_held and not file.error:
                touched.append((hold.id, file.version))
            left.append(hold)
        else:
            pending.append(file)
            if delivery is not None and not file.error:
                redelivered.add(file.name)
    return Plan(tuple(pending), frozenset(redelivered), taken_again, tuple(left), tuple(touched))


def _has_time_come(file: LandedFile, hold: FailedFile, now: datetime) -> bool:
    """Whether a file was held because its name was dated in the future, and is no longer.

    Of such a file nothing was read, so its hash is unknown.
    """
    is_of_future = hold.sha256 is None and file.file_datetime > hold.tried_at + CLOCKS_APART
    return is_of_future and file.file_datetime <= now + CLOCKS_APART


def _was_loaded(file: LandedFile, delivery: Row[int, str, str | None, int, str]) -> bool:
    if file.version == delivery.version:
        return True
    try:
        return same_content(file, delivery.size_bytes, delivery.sha256)
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
            " hospital needs a database of its own, or on PostgreSQL a schema of its own, which"
            " --schema names"
        )
        raise ConfigurationError(message)
