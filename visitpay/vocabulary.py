"""The words of the ledger, the commands and the messages; it imports nothing of visitpay."""

from enum import StrEnum

DEFAULT_URL = "sqlite:///visitpay.db"
"""The database that is used when none is named."""

SCHEMA = "schema"
"""The option of a database URL that names a schema of PostgreSQL."""

DEFAULT_LANDING = "landing"
"""The landing directory that is read when none is named."""

DEFAULT_HOSPITAL = "HospitalABC"
"""The hospital whose files are read when none is named."""


class RunStatus(StrEnum):
    """How a run of `visitpay load` stands."""

    RUNNING = "running"
    """It is under way, or it died."""
    OK = "ok"
    """It ended, and all is well."""
    ATTENTION = "attention"
    """It ended, and something needs a person."""
    FAILED = "failed"
    """An error ended it; what it had loaded before is kept."""
    INTERRUPTED = "interrupted"
    """It was stopped, or killed."""


class FileStatus(StrEnum):
    """What came of a file, in the ledger."""

    LOADED = "loaded"
    """Its good rows are in the tables."""
    FAILED = "failed"
    """Nothing of it was loaded; each run tries it again."""
    HELD = "held"
    """Nothing of it was loaded: a person must approve or replace it, or its time must come."""


class RejectStatus(StrEnum):
    """Whether a rejected row still waits for something."""

    OPEN = "open"
    """It waits: for a person, or for what it refers to."""
    RESOLVED = "resolved"
    """It was loaded, since what it refers to has come."""
    SUPERSEDED = "superseded"
    """A later row took its place."""
    DISMISSED = "dismissed"
    """A person decided that nobody will mend it."""


class Reason(StrEnum):
    """Why a row is rejected. A row has one reason: the first of these that applies.

    None may go or be renamed: the quarantine and old exports hold them. At most 32 letters.
    """

    NO_LINE_END = "no_line_end"
    MALFORMED = "malformed"
    INVALID_ENCODING = "invalid_encoding"
    LINE_TOO_LONG = "line_too_long"
    MISSING_VALUE = "missing_value"
    INVALID_INTEGER = "invalid_integer"
    INVALID_DATE = "invalid_date"
    INVALID_AMOUNT = "invalid_amount"
    MISSING_REFERENCE = "missing_reference"


class Health(StrEnum):
    """Whether all is well with the feed: the state of a verdict (`visitpay.verdict`)."""

    WELL = "well"
    """Nothing needs a person."""
    NEEDS_PERSON = "needs a person"
    """Something stays wrong until a person looks into it."""
    UNKNOWN = "unknown"
    """Nothing was loaded yet, or it cannot be told."""
