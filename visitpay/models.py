"""Visit, Procedure, Transaction and the loader's books: the one description of the data.

Types, nullability, keys and header names stand here and nowhere else; the parser, the upserts, the
quarantine and the migrations follow them.
"""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, ClassVar

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
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


class UTCDateTime(TypeDecorator[datetime]):
    """A moment in UTC: refuses naive datetimes, and gives the zone back that SQLite forgets."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Turn an aware datetime into UTC; raises ValueError for a naive one."""
        if value is None:
            return None
        if value.tzinfo is None:
            message = "a naive datetime has no place in the database: say which zone it is in"
            raise ValueError(message)
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give the stored moment as an aware datetime in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# Only a column declared INTEGER becomes SQLite's rowid; BIGINT would cost a second index.
Identifier = BigInteger().with_variant(Integer, "sqlite")

BusinessKey = Annotated[int, mapped_column(Identifier, primary_key=True, autoincrement=False)]

BookKey = Annotated[int, mapped_column(Identifier, primary_key=True)]

Number = Annotated[int, mapped_column(BigInteger)]

Count = Annotated[int, mapped_column(BigInteger, default=0)]

# SQLite keeps NUMERIC(14, 2) of whole dollars as integers: then a quarter of 10.00 would be 2.
Dollars = Numeric(14, 2).with_variant(REAL(asdecimal=True, decimal_return_scale=2), "sqlite")

# Ordered by its bytes, as SQLite orders every text, whatever the collation of the database.
FileName = Text().with_variant(Text(collation="C"), "postgresql")

Money = Annotated[Decimal, mapped_column(Dollars)]

Day = Annotated[date, mapped_column(Date)]

Words = Annotated[str, mapped_column(Text)]

Code = Annotated[str, mapped_column(String(32))]

Moment = Annotated[datetime, mapped_column(UTCDateTime)]


class Base(DeclarativeBase):
    """Every table of visitpay, its constraints named so that they can be altered."""

    __table__: ClassVar[Table]

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
    """A table that the hospital's files fill; its columns are the files' columns.

    A column's header in the files is its name in CamelCase, or `info={"header": ...}`.
    """

    __abstract__ = True

    source_file_id: Mapped[int] = mapped_column(Identifier, sort_order=1)
    """The delivery that last changed the row: `load_files.id`.

    Without a constraint, which on PostgreSQL would make a load a third longer (measured).
    """
    source_line: Mapped[int] = mapped_column(BigInteger, sort_order=2)
    """The physical line of it; the header is line 1."""


SOURCE_COLUMNS = ("source_file_id", "source_line")
"""The columns of an entity that its files do not fill."""


class Procedure(Entity):
    """Something that is done to a patient and billed."""

    __tablename__ = "procedures"

    procedure_id: Mapped[BusinessKey]
    procedure_description: Mapped[Words]

    transactions: Mapped[list["Transaction"]] = relationship(back_populates="procedure")


class Visit(Entity):
    """A stay of a patient, from admission to discharge, and what is owed for it."""

    __tablename__ = "visits"

    visit_identifier: Mapped[BusinessKey]
    guarantor_identifier: Mapped[Number]
    admit_date: Mapped[Day]
    discharge_date: Mapped[Day | None]
    visit_balance: Mapped[Money | None]
    insurance_identifier: Mapped[Number | None]

    transactions: Mapped[list["Transaction"]] = relationship(back_populates="visit")


class Transaction(Entity):
    """An amount charged, paid or adjusted for one procedure of one visit."""

    __tablename__ = "transactions"

    transaction_identifier: Mapped[BusinessKey]
    visit_identifier: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("visits.visit_identifier"), index=True
    )
    procedure_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("procedures.procedure_id"))
    amount: Mapped[Money]

    visit: Mapped[Visit] = relationship(back_populates="transactions")
    procedure: Mapped[Procedure] = relationship(back_populates="transactions")


class RowCounts:
    """How the rows of a file, or of a run, ended; the rest add up to `rows_read`."""

    rows_read: Mapped[Count]
    rows_inserted: Mapped[Count]
    rows_updated: Mapped[Count]
    rows_unchanged: Mapped[Count]
    rows_stale: Mapped[Count]
    rows_superseded: Mapped[Count]
    rows_rejected: Mapped[Count]


class LoadRun(RowCounts, Base):
    """One run of `visitpay load`; status is running, ok, attention or interrupted."""

    __tablename__ = "load_runs"

    id: Mapped[BookKey]
    started_at: Mapped[Moment]
    finished_at: Mapped[Moment | None]
    status: Mapped[Code]
    version: Mapped[Code]
    host: Mapped[Words]
    files_loaded: Mapped[Count]
    files_failed: Mapped[Count]
    rejects_resolved: Mapped[Count]


class LoadFile(RowCounts, Base):
    """One delivery of one file: the ledger; status is loaded, failed or held."""

    __tablename__ = "load_files"
    __table_args__ = (Index(None, "entity", "file_datetime"),)

    id: Mapped[BookKey]
    run_id: Mapped[int] = mapped_column(ForeignKey("load_runs.id"))
    name: Mapped[str] = mapped_column(FileName, index=True)
    hospital: Mapped[Words]
    entity: Mapped[Code]
    file_datetime: Mapped[Moment]
    sha256: Mapped[str | None] = mapped_column(String(64), index=True)
    size_bytes: Mapped[Number]
    version: Mapped[Words]
    """What was seen of the file, such as size, times and inode; when it differs, the hash decides.

    Empty where nothing is known.
    """
    header: Mapped[Words | None]
    is_resubmission: Mapped[bool] = mapped_column(Boolean, default=False)
    """Whether its rows are exported rejects: it says nothing of how far the feed has got."""
    trailer_rows: Mapped[Number | None]
    """The rows that its trailer says there are; NULL without one."""
    rows_conflicting: Mapped[Count]
    """Of the superseded rows, those with other values than the later row of their key."""
    rows_withdrawn: Mapped[Count]
    """Keys that former deliveries of its name brought and that it does not bring."""
    status: Mapped[Code]
    error: Mapped[Words | None]
    loaded_at: Mapped[Moment | None]


class DeliveredKeys(Base):
    """The keys that one batch of one delivery brought and that were accepted, packed."""

    __tablename__ = "delivered_keys"

    id: Mapped[BookKey]
    file_id: Mapped[int] = mapped_column(ForeignKey("load_files.id"), index=True)
    first_key: Mapped[Number]
    last_key: Mapped[Number]
    keys: Mapped[bytes] = mapped_column(LargeBinary)


class RejectedRow(Base):
    """One row that was thrown back: the quarantine.

    Its status is open, resolved, superseded or dismissed; `why` says why a person dismissed it.
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

    id: Mapped[BookKey]
    file_id: Mapped[int] = mapped_column(ForeignKey("load_files.id"))
    line_number: Mapped[Number]
    entity: Mapped[Code]
    record_key: Mapped[Number | None]
    reason: Mapped[Code]
    column_name: Mapped[Words | None]
    raw: Mapped[Words]
    status: Mapped[Code]
    created_at: Mapped[Moment]
    closed_at: Mapped[Moment | None]
    why: Mapped[Words | None]


class BalanceDifference(Base):
    """A visit whose balance is not the sum of its transactions; open until it is, or is another."""

    __tablename__ = "balance_differences"

    id: Mapped[BookKey]
    visit_identifier: Mapped[Number] = mapped_column(index=True)
    visit_balance: Mapped[Money]
    transactions_total: Mapped[Money]
    found_at: Mapped[Moment]
    closed_at: Mapped[Moment | None]


class BalanceComparison(Base):
    """One comparison of all balances with the transactions."""

    __tablename__ = "balance_comparisons"

    id: Mapped[BookKey]
    compared_at: Mapped[Moment]
    compared: Mapped[Number]
    """Visits that have a balance."""
    different: Mapped[Number]
    """Those of which it is not the sum of the transactions."""


class Problem(Base):
    """Something that needs a person, who is told of it; open until it is over."""

    __tablename__ = "problems"

    id: Mapped[BookKey]
    name: Mapped[Code]
    """Which kind it is: a stable name, such as `file_failed`."""
    subject: Mapped[Words]
    """What it is about, such as a file's name; empty where there is but one of its kind."""
    size: Mapped[Number]
    """How bad a person knows it to be, such as how many rows: told again when it is worse.

    It falls as the problem gets better, so that what comes anew is told as well.
    """
    message: Mapped[Words]
    opened_at: Mapped[Moment]
    told_at: Mapped[Moment | None]
    """When a person was last told; NULL as long as no message got through."""
    closed_at: Mapped[Moment | None]


ENTITIES: tuple[type[Entity], ...] = (Procedure, Visit, Transaction)
"""In the order in which they are loaded: parents before children."""


def entity_named(name: str) -> type[Entity]:
    """Give the entity class of a name as it stands in file names and in the books."""
    return next(entity for entity in ENTITIES if entity.__name__ == name)
