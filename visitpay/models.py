"""The tables: Procedure, Visit and Transaction, and what the loader records of its own work.

Types, nullability and keys are defined here and nowhere else, and so are the names that headers
are made from (`parsing.columns.file_header`). The parser, the upserts, the quarantine and the
migrations follow them.
"""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, ClassVar

from sqlalchemy import (
    REAL,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from visitpay.errors import ConfigurationError


class UTCDateTime(TypeDecorator[datetime]):
    """A time in UTC: refuses naive datetimes, and restores the time zone, which SQLite drops."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return an aware datetime in UTC; raises ValueError for a naive one."""
        if value is None:
            return None
        if value.tzinfo is None:
            message = "a naive datetime has no place in the database: say which zone it is in"
            raise ValueError(message)
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the stored time as an aware datetime in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# Only a column declared INTEGER becomes SQLite's rowid; BIGINT would cost a second index.
Identifier = BigInteger().with_variant(Integer, "sqlite")

# SQLite stores whole dollars in NUMERIC(14, 2) as integers: a quarter of 10.00 would be 2.
Dollars = Numeric(14, 2).with_variant(REAL(asdecimal=True, decimal_return_scale=2), "sqlite")

# Ordered by bytes, as SQLite orders every text, whatever the collation of the database.
FileName = Text().with_variant(Text(collation="C"), "postgresql")

BusinessKey = Annotated[int, mapped_column(Identifier, primary_key=True, autoincrement=False)]
"""A key that comes from the hospital."""

SurrogateKey = Annotated[int, mapped_column(Identifier, primary_key=True)]
"""A key that the database generates."""

Count = Annotated[int, mapped_column(default=0)]

Money = Annotated[Decimal, mapped_column(Dollars)]

Code = Annotated[str, mapped_column(String(32))]
"""One of a few short words, such as a status."""


class Base(DeclarativeBase):
    """The base of all tables; constraints have names, so that migrations can alter them."""

    __table__: ClassVar[Table]

    type_annotation_map: ClassVar = {
        int: BigInteger,
        str: Text,
        datetime: UTCDateTime,
    }

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Entity(Base):
    """A table that is filled from the hospital's files; its columns are the files' columns.

    A column's header in the files is its name in CamelCase, or `info={"header": ...}`.
    """

    __abstract__ = True

    __ignored_headers__: ClassVar[tuple[str, ...]] = ()
    """Headers that the hospital sends and nobody wants: no warning and no finding tells of them."""

    source_file_id: Mapped[int] = mapped_column(Identifier, sort_order=1)
    """The delivery that last changed the row: `load_files.id`.

    It has no foreign key: on PostgreSQL that would make a load a third longer (measured).
    """
    source_line: Mapped[int] = mapped_column(sort_order=2)
    """The physical line in that file; the header is line 1."""


SOURCE_COLUMNS = ("source_file_id", "source_line")
"""The columns of an entity that are not in its files."""


class Procedure(Entity):
    """Something that is done to a patient and billed."""

    __tablename__ = "procedures"

    procedure_id: Mapped[BusinessKey]
    """The hospital's number of the procedure."""
    procedure_description: Mapped[str]
    """What is done, in the hospital's words."""

    transactions: Mapped[list["Transaction"]] = relationship(back_populates="procedure")


class Visit(Entity):
    """A stay of a patient, from admission to discharge, and what is owed for it."""

    __tablename__ = "visits"

    visit_identifier: Mapped[BusinessKey]
    """The hospital's number of the visit."""
    guarantor_identifier: Mapped[int]
    """The hospital's number of the person who answers for the bill."""
    admit_date: Mapped[date]
    """The day on which the patient was admitted."""
    discharge_date: Mapped[date | None]
    """The day on which the patient was discharged; NULL if that is not known yet."""
    visit_balance: Mapped[Money | None]
    """What is owed for the visit according to the hospital, in dollars; NULL if it does not say."""
    insurance_identifier: Mapped[int | None]
    """The hospital's number of the insurance that pays; NULL if there is none."""

    transactions: Mapped[list["Transaction"]] = relationship(back_populates="visit")


class Transaction(Entity):
    """An amount charged, paid or adjusted for one procedure of one visit."""

    __tablename__ = "transactions"

    transaction_identifier: Mapped[BusinessKey]
    """The hospital's number of the transaction."""
    visit_identifier: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("visits.visit_identifier"), index=True
    )
    """The visit on whose bill it stands."""
    procedure_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("procedures.procedure_id"))
    """The procedure that it is for."""
    amount: Mapped[Money]
    """What it adds to the balance of the visit, in dollars; below zero where it takes off."""

    visit: Mapped[Visit] = relationship(back_populates="transactions")
    procedure: Mapped[Procedure] = relationship(back_populates="transactions")


class RowCounts:
    """What became of the rows of a file, or of a run; the others add up to `rows_read`."""

    rows_read: Mapped[Count]
    """Rows that are not blank."""
    rows_inserted: Mapped[Count]
    """Rows with a new key."""
    rows_updated: Mapped[Count]
    """Rows that changed the values of their key."""
    rows_unchanged: Mapped[Count]
    """Rows with the values that were there."""
    rows_stale: Mapped[Count]
    """Rows whose key a newer delivery had brought before; they were not written."""
    rows_superseded: Mapped[Count]
    """Rows that a later line of the same file replaced."""
    rows_rejected: Mapped[Count]
    """Rows that went into the quarantine."""


class LoadRun(RowCounts, Base):
    """One run of `visitpay load`; status is a `RunStatus`."""

    __tablename__ = "load_runs"

    id: Mapped[SurrogateKey]
    started_at: Mapped[datetime]
    """When it began, in UTC."""
    finished_at: Mapped[datetime | None]
    """When it ended, in UTC; NULL while it runs, or if it died."""
    status: Mapped[Code]
    version: Mapped[Code]
    """The version of visitpay."""
    host: Mapped[str]
    """The name of the machine."""
    files_loaded: Mapped[Count]
    """Files that were loaded."""
    files_failed: Mapped[Count]
    """Files that failed or are held."""
    rejects_resolved: Mapped[Count]
    """Rejected rows of before that it loaded, since what they refer to has come."""
    rejects_tolerated: Mapped[bool] = mapped_column(default=False)
    """Whether it ended with no more rejected rows than it was told to tolerate."""
    error: Mapped[str | None]
    """What ended it early; NULL if nothing did, or if it was killed."""
    landing: Mapped[str | None]
    """The landing directory that it read; NULL if that is unknown."""
    process_id: Mapped[int | None]
    """Its process on that machine; NULL if that is unknown."""
    files_planned: Mapped[Count]
    """Files that it set out to load."""
    bytes_planned: Mapped[Count]
    """Their size."""


class LoadFile(RowCounts, Base):
    """The ledger: one delivery of one file; status is a `FileStatus`."""

    __tablename__ = "load_files"
    __table_args__ = (Index(None, "entity", "file_datetime"),)

    id: Mapped[SurrogateKey]
    run_id: Mapped[int] = mapped_column(ForeignKey("load_runs.id"))
    """The run that loaded it, or tried it last."""
    name: Mapped[str] = mapped_column(FileName, index=True)
    """The name of the file."""
    hospital: Mapped[str]
    """The hospital, as the name begins with it."""
    entity: Mapped[Code]
    """The record type, such as `Visit`."""
    file_datetime: Mapped[datetime]
    """The time in its name, in UTC."""
    sha256: Mapped[str | None] = mapped_column(String(64), index=True)
    """The hash of its content; NULL if it was not read whole."""
    size_bytes: Mapped[int]
    """Its size."""
    version: Mapped[str]
    """Size, times and inode of the file; if they differ, the hash decides. Empty if unknown."""
    header: Mapped[str | None]
    """Its first line, up to its last column; NULL if it was not loaded."""
    columns_unknown: Mapped[str | None]
    """Headers of columns that no entity had when it was loaded, as a JSON list; NULL if none."""
    is_resubmission: Mapped[bool] = mapped_column(default=False)
    """Whether its rows are exported rejects: such a file does not move the checkpoint."""
    has_last_line_end: Mapped[bool | None]
    """Whether its last line ended with a line end; NULL if that is unknown."""
    trailer_rows: Mapped[int | None]
    """The number of rows according to its trailer; NULL without one."""
    rows_conflicting: Mapped[Count]
    """The superseded rows whose values differ from those of the later row of their key."""
    rows_withdrawn: Mapped[Count]
    """Keys of former deliveries of the same name that this delivery does not contain."""
    status: Mapped[Code]
    error: Mapped[str | None]
    """Why nothing of it was loaded."""
    loaded_at: Mapped[datetime | None]
    """When it was loaded, in UTC."""


class DeliveredKeys(Base):
    """The accepted keys of one batch of one delivery, packed."""

    __tablename__ = "delivered_keys"

    id: Mapped[SurrogateKey]
    file_id: Mapped[int] = mapped_column(ForeignKey("load_files.id"), index=True)
    """The delivery."""
    first_key: Mapped[int]
    """The lowest of the keys."""
    last_key: Mapped[int]
    """The highest of the keys."""
    keys: Mapped[bytes]
    """The keys, packed (`visitpay.ledger.keys`)."""


class RejectedRow(Base):
    """The quarantine: one rejected row; status is a `RejectStatus`, reason is a `Reason`.

    `why` says why a person dismissed it.
    """

    __tablename__ = "rejected_rows"
    __table_args__ = (
        UniqueConstraint("file_id", "line_number"),
        Index(
            "ix_rejected_rows_open",
            "entity",
            "record_key",
            sqlite_where=text("status = 'open'"),
            postgresql_where=text("status = 'open'"),
        ),
    )

    id: Mapped[SurrogateKey]
    file_id: Mapped[int] = mapped_column(ForeignKey("load_files.id"))
    """The delivery that it came with."""
    line_number: Mapped[int]
    """The physical line in that file; the header is line 1."""
    entity: Mapped[Code]
    """The record type, such as `Visit`."""
    record_key: Mapped[int | None]
    """The key of the row; NULL if nobody can tell it."""
    reason: Mapped[Code]
    column_name: Mapped[str | None]
    """The header of the column that is to blame; NULL if it is the whole row."""
    raw: Mapped[str]
    """The line as it came: health and payment data."""
    status: Mapped[Code]
    created_at: Mapped[datetime]
    """When it was rejected, in UTC."""
    closed_at: Mapped[datetime | None]
    """When it was closed, in UTC; NULL while it is open."""
    why: Mapped[str | None]
    """Why a person dismissed it."""


class BalanceDifference(Base):
    """A visit whose balance is not the sum of its transactions.

    Open until they agree; if they then differ by other amounts, a new row takes its place.
    """

    __tablename__ = "balance_differences"

    id: Mapped[SurrogateKey]
    visit_identifier: Mapped[int] = mapped_column(index=True)
    """The visit."""
    visit_balance: Mapped[Money]
    """Its balance."""
    transactions_total: Mapped[Money]
    """The sum of its transactions."""
    found_at: Mapped[datetime]
    """When it was found, in UTC."""
    closed_at: Mapped[datetime | None]
    """When it was over, in UTC; NULL while it lasts."""


class BalanceComparison(Base):
    """One comparison of all balances with the transactions."""

    __tablename__ = "balance_comparisons"

    id: Mapped[SurrogateKey]
    compared_at: Mapped[datetime]
    """When it was made, in UTC."""
    compared: Mapped[int]
    """Visits that have a balance."""
    different: Mapped[int]
    """Visits whose balance is not the sum of their transactions."""


class Problem(Base):
    """Something that needs a person; open until it is over."""

    __tablename__ = "problems"

    id: Mapped[SurrogateKey]
    name: Mapped[Code]
    """Its kind: a stable name, such as `file_failed`."""
    subject: Mapped[str]
    """What it is about, such as a file's name."""
    size: Mapped[int]
    """How large it is, such as the number of rows; when it grows, people are told again.

    It is lowered when the problem gets smaller, so that the next growth is told as well.
    """
    message: Mapped[str]
    """What people are told."""
    opened_at: Mapped[datetime]
    """When it began, in UTC."""
    grown_at: Mapped[datetime | None]
    """When it last became larger, in UTC; NULL if it never did."""
    told_at: Mapped[datetime | None]
    """When people were last told; NULL as long as no message got through."""
    closed_at: Mapped[datetime | None]
    """When it was over, in UTC; NULL while it lasts."""


class Acknowledgement(Base):
    """A person knows of a problem: it needs no person until it gets worse, or is over."""

    __tablename__ = "acknowledgements"

    id: Mapped[SurrogateKey]
    name: Mapped[Code]
    """The kind of the problem, as in `problems`."""
    subject: Mapped[str]
    """What the problem is about, as in `problems`."""
    size: Mapped[int]
    """How large the problem was: when it is larger, it needs a person again.

    It is lowered when the problem gets smaller.
    """
    state: Mapped[str]
    """The version of the file that it is about: another one needs a person again. Else empty."""
    why: Mapped[str]
    """Why it may stay as it is."""
    who: Mapped[str]
    """The account that said so."""
    made_at: Mapped[datetime]
    """When it was said, in UTC."""
    ended_at: Mapped[datetime | None]
    """When the problem was over, or the word was taken back, in UTC; NULL while it holds."""


class Turn(Base):
    """A row that a transaction under the run lock locks, and keeps locked while it is in doubt.

    On Citus a commit may be in doubt: the load goes on, and its rows are not to be seen yet.
    """

    __tablename__ = "turns"

    entity: Mapped[Code] = mapped_column(primary_key=True)
    """The record type: Procedure, Visit or Transaction."""


class SchemaRevision(Base):
    """A revision of the schema that was applied: older code asks whether it may go on."""

    __tablename__ = "schema_revisions"

    revision: Mapped[Code] = mapped_column(primary_key=True)
    """Its number, such as `0005`."""
    is_additive: Mapped[bool]
    """Whether code that does not know the revision can load as before."""
    applied_at: Mapped[datetime]
    """When it was applied, in UTC."""


def _parents_above(table: Table) -> int:
    """Return how many tables stand above a table, each the parent of the next."""
    parents = {key.column.table for key in table.foreign_keys} - {table}
    return max((1 + _parents_above(parent) for parent in parents), default=0)


ENTITIES: tuple[type[Entity], ...] = tuple(
    sorted(Entity.__subclasses__(), key=lambda entity: _parents_above(entity.__table__))
)
"""All entities, in the order in which they are loaded: parents before children."""


def entity_named(name: str) -> type[Entity]:
    """Return the entity of a name, in any letter case; raises ConfigurationError for no entity."""
    named = {entity.__name__.lower(): entity for entity in ENTITIES}
    if entity := named.get(name.lower()):
        return entity
    message = f"{name!r} is none of {', '.join(entity.__name__ for entity in ENTITIES)}"
    raise ConfigurationError(message)
