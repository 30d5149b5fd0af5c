"""Validation of a landing directory without a database."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from visitpay.errors import FileChangedError, FileError
from visitpay.landing.local import open_landed
from visitpay.landing.place import LandedFile, Landing
from visitpay.models import entity_named
from visitpay.parsing.parser import DAY_FIRST_ERROR, Parser

MAX_EXAMPLES = 20
"""Rejects of a file that are kept as examples."""


@dataclass
class CheckedFile:
    """What a load would find in a file."""

    file: LandedFile
    rows_read: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[int, str, str | None]] = field(default_factory=list)
    """The first rejects: line, reason, column."""
    error: str | None = None

    @property
    def rejected(self) -> int:
        """How many rows would be rejected."""
        return self.reasons.total()


def check(landed: Landing) -> Iterator[CheckedFile]:
    """Read the files of a landing directory as a load does, in the same order.

    References between files are not checked.
    """
    for file in landed.files:
        checked = CheckedFile(file)
        try:
            _read(checked)
        except (FileError, FileChangedError) as error:
            checked.error = str(error)
        yield checked


def _read(checked: CheckedFile) -> None:
    with open_landed(checked.file) as source:
        file_date = checked.file.file_datetime.date()
        parser = Parser(source, entity_named(checked.file.entity), file_date=file_date)
        for batch in parser.batches():
            checked.rows_read += batch.rows_read
            checked.reasons.update(batch.rejects["reason"])
            missing = MAX_EXAMPLES - len(checked.examples)
            first = batch.rejects.head(missing).select("line_number", "reason", "column_name")
            checked.examples.extend(first.rows())
        source.require_unchanged()
    if parser.is_day_first and not parser.layout.is_resubmission:
        checked.error = DAY_FIRST_ERROR
