"""Which rows are in the quarantine: filter, list, count and dismiss them; without polars."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, func, select, update

from visitpay.database.writes import keys_as_table
from visitpay.errors import ConfigurationError
from visitpay.feed import short_name
from visitpay.landing.place import LandedFile
from visitpay.ledger.files import IN_ORDER, Delivery
from visitpay.models import ENTITIES, Entity, LoadFile, RejectedRow, entity_named
from visitpay.text import first
from visitpay.vocabulary import Reason, RejectStatus

IS_ORPHAN = (
    RejectedRow.status == RejectStatus.OPEN,
    RejectedRow.reason == Reason.MISSING_REFERENCE,
)
"""Whether a rejected row waits for the row that it refers to."""

NOT_IN_TABLES = RejectedRow.status.in_((RejectStatus.OPEN, RejectStatus.DISMISSED))
"""Whether a rejected row is in no table: it was neither loaded later nor replaced."""

IS_KNOWN_TYPE = LoadFile.entity.in_([entity.__name__ for entity in ENTITIES])
"""Whether a file is of a type that this version of visitpay has; a newer one may have had more."""

_IDS_TO_NAME = 3

_ROWS_AT_ONCE = 1000

_ESCAPE = "/"
"""What takes its meaning from a letter of a pattern; no name of a file has it."""


@dataclass(frozen=True)
class RejectFilter:
    """Which rejects are wanted; None stands for any."""

    file: str | None = None
    """A part of what is the file's own in its name, as `is_named` takes it."""
    entity: str | None = None
    reason: str | None = None
    key: int | None = None
    status: str | None = RejectStatus.OPEN
    since: datetime | None = None
    """Rejected at this time (UTC) or later."""
    ids: Sequence[int] | None = None

    @cached_property
    def conditions(self) -> list[ColumnElement[bool]]:
        """The conditions for a query of rejects joined with the ledger."""
        equal = {
            RejectedRow.entity: self.entity,
            RejectedRow.reason: self.reason,
            RejectedRow.record_key: self.key,
            RejectedRow.status: self.status,
        }
        conditions = [column == value for column, value in equal.items() if value is not None]
        if self.since is not None:
            conditions.append(RejectedRow.created_at >= self.since)
        if self.ids is not None:
            conditions.append(RejectedRow.id.in_(self.ids))
        if self.file is not None:
            pattern = _name_pattern(self.file)
            conditions.append(LoadFile.name.ilike(pattern, escape=_ESCAPE))
        return conditions

    def includes_file(self, file: LandedFile, tried_at: datetime) -> bool:
        """Whether a file that was tried at that time is wanted, whatever its rows."""
        return (
            (self.file is None or is_named(file.name, self.file))
            and self.entity in {None, file.entity}
            and (self.since is None or tried_at >= self.since)
        )


def is_named(name: str, part: str) -> bool:
    """Whether a file is meant by a part of its name, in any letter case.

    That is a part of its type and time, which are its own: `Visit` does not mean every file of
    VisitPay. What spells out more, such as a whole name, may be any part.
    """
    own, part = f"_{short_name(name)}".lower(), part.lower()
    return part in own or (_spells_feed(part) and part in name.lower())


def _name_pattern(part: str) -> str:
    """Return the pattern of the names that `is_named` finds, for LIKE."""
    escaped = part.translate({ord(special): f"{_ESCAPE}{special}" for special in f"{_ESCAPE}%_"})
    if _spells_feed(part):
        return f"%{escaped}%"
    return f"%{_ESCAPE}_VisitPay%{escaped}%.txt"


def _spells_feed(part: str) -> bool:
    """Whether a part of a name has more of it than type and time."""
    return "_visitpay_" in part.lower() or part.lower().endswith(".txt")


class Reject(NamedTuple):
    """A row of the quarantine; times in UTC."""

    id: int
    file: str
    """The name of the file that it came in."""
    line: int
    """Its physical line there; the header is line 1."""
    entity: str
    key: int | None
    """Its identifier, if that could be read."""
    reason: str
    """A Reason."""
    column: str | None
    """The header of the column at fault."""
    raw: str
    """The line as it came."""
    status: str
    """A RejectStatus."""
    created_at: datetime
    closed_at: datetime | None
    why: str | None
    """Why a person dismissed it."""
    file_id: int
    """The delivery that it came with, in the ledger: a name may have come several times."""


def list_rejects(connection: Connection, wanted: RejectFilter, limit: int) -> list[Reject]:
    """Return rejects, of the file that was loaded last first, each file's by line."""
    return list(iterate_rejects(connection, wanted, limit))


def iterate_rejects(
    connection: Connection, wanted: RejectFilter, limit: int | None = None
) -> Iterator[Reject]:
    """Yield what `list_rejects` returns, a few at a time: there may be millions."""
    query = (
        select(
            *(RejectedRow.id, LoadFile.name, RejectedRow.line_number, RejectedRow.entity),
            *(RejectedRow.record_key, RejectedRow.reason, RejectedRow.column_name),
            *(RejectedRow.raw, RejectedRow.status, RejectedRow.created_at),
            *(RejectedRow.closed_at, RejectedRow.why, RejectedRow.file_id),
        )
        .join_from(RejectedRow, LoadFile)
        .where(*wanted.conditions)
        .order_by(LoadFile.loaded_at.desc(), RejectedRow.file_id.desc(), RejectedRow.line_number)
        .limit(limit)
    )
    for row in connection.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE}):
        yield Reject._make(row)


def reject_ids(connection: Connection, wanted: RejectFilter) -> list[int]:
    """Return the ids of rejects, in order."""
    query = select(RejectedRow.id).join_from(RejectedRow, LoadFile).order_by(RejectedRow.id)
    return list(connection.scalars(query.where(*wanted.conditions)))


def count_by_reason(connection: Connection, wanted: RejectFilter) -> dict[str, int]:
    """Return how many rejects there are by reason, the most frequent first."""
    number = func.count().label("number")
    query = select(RejectedRow.reason, number).join_from(RejectedRow, LoadFile)
    grouped = query.group_by(RejectedRow.reason).order_by(number.desc(), RejectedRow.reason)
    return {row.reason: row.number for row in connection.execute(grouped.where(*wanted.conditions))}


class RejectSource(NamedTuple):
    """A delivery that rejects came in."""

    file_id: int
    name: str
    entity: type[Entity]
    header: str
    is_resubmission: bool
    rows_read: int
    rows_left_out: int
    """Its rows that are in no table (NOT_IN_TABLES)."""


def reject_sources(connection: Connection, wanted: RejectFilter) -> list[RejectSource]:
    """Return the deliveries that the wanted rejects came in, the oldest first."""
    out = select(func.count()).where(RejectedRow.file_id == LoadFile.id, NOT_IN_TABLES)
    query = (
        select(
            *(LoadFile.id, LoadFile.name, LoadFile.entity, LoadFile.header),
            *(LoadFile.is_resubmission, LoadFile.rows_read, out.scalar_subquery()),
        )
        .where(
            LoadFile.id.in_(select(RejectedRow.file_id).join(LoadFile).where(*wanted.conditions)),
            IS_KNOWN_TYPE,
        )
        .order_by(*IN_ORDER)
    )
    return [
        RejectSource(file_id, name, entity_named(entity), header or "", *others)
        for file_id, name, entity, header, *others in connection.execute(query)
    ]


def count_open(connection: Connection) -> int:
    """Return how many rejects are open."""
    query = (
        select(func.count()).select_from(RejectedRow).where(RejectedRow.status == RejectStatus.OPEN)
    )
    return connection.scalar(query) or 0


def count_orphans(connection: Connection, delivery: Delivery) -> int:
    """Return how many rows of a delivery miss a reference, also those that are closed already."""
    is_one = RejectedRow.reason == Reason.MISSING_REFERENCE
    mine = RejectedRow.file_id == delivery.file_id
    query = select(func.count()).select_from(RejectedRow).where(mine, is_one)
    return connection.scalar(query) or 0


class OrphanedFile(NamedTuple):
    """A delivery that has orphans: rows that wait for the row that they refer to."""

    file_id: int
    entity: str
    file_datetime: datetime
    name: str
    header: str

    def delivery(self, connection: Connection) -> Delivery:
        """Return it as it is now: after a lost connection another load may have come between."""
        return Delivery.of(connection, *self[:4])


def files_with_orphans(connection: Connection) -> list[OrphanedFile]:
    """Return the deliveries that have orphans, the oldest first."""
    files = connection.execute(
        select(LoadFile.id, LoadFile.entity, LoadFile.file_datetime, LoadFile.name, LoadFile.header)
        .where(LoadFile.id.in_(select(RejectedRow.file_id).where(*IS_ORPHAN)), IS_KNOWN_TYPE)
        .order_by(*IN_ORDER)
    )
    return [OrphanedFile._make(file) for file in files]


def dismiss(
    connection: Connection, chosen: Sequence[int] | RejectFilter, why: str
) -> Sequence[int]:
    """Close open rejects that nobody will mend, record why, and return their ids.

    They are chosen by ids or by a filter. Raises ConfigurationError, with nothing changed, when an
    id is not that of an open reject.
    """
    ids = reject_ids(connection, chosen) if isinstance(chosen, RejectFilter) else chosen
    if not ids:
        return ids
    are_chosen = RejectedRow.id.in_(select(keys_as_table(connection, ids).c.value))
    are_open = select(RejectedRow.id).where(are_chosen, RejectedRow.status == RejectStatus.OPEN)
    if others := sorted(set(ids).difference(connection.scalars(are_open))):
        ends = (f"{each} ({_end_of(connection, each)})" for each in others)
        named = first(ends, _IDS_TO_NAME, len(others))
        message = f"no open rejects: {named}; nothing was dismissed"
        raise ConfigurationError(message)
    closing = {"status": RejectStatus.DISMISSED, "closed_at": datetime.now(UTC), "why": why}
    connection.execute(update(RejectedRow).where(are_chosen).values(closing))
    return ids


def _end_of(connection: Connection, reject_id: int) -> str:
    """Return what became of a reject that is not open."""
    query = select(RejectedRow.status, RejectedRow.entity, RejectedRow.record_key)
    found = connection.execute(query.where(RejectedRow.id == reject_id)).first()
    if found is None:
        return "not there"
    status, entity, key = found
    wanted = RejectFilter(entity=entity, key=key)
    later = [] if key is None else reject_ids(connection, wanted)
    is_replaced = status == RejectStatus.SUPERSEDED and later
    return f"{status} by {later[-1]}" if is_replaced else str(status)
