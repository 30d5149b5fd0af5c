"""Validation of a file, or of a landing directory, without a database."""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from visitpay.errors import ConfigurationError, FileChangedError, FileError
from visitpay.landing.place import LandedFile, Landing
from visitpay.landing.places import place_of
from visitpay.landing.scan import scan
from visitpay.loading.consume import require_past_time
from visitpay.models import ENTITIES, entity_named
from visitpay.parsing.parser import DAY_FIRST_ERROR, Parser
from visitpay.settings import is_url
from visitpay.text import printable

MAX_EXAMPLES = 20
"""Rejects of a file that are kept as examples, unless more are asked for."""


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


def find(
    landing: Path | str, hospital: str, pass_over: Collection[str] = (), entity: str | None = None
) -> Landing:
    """Return what there is to check: a single file, or what a landing place has.

    A single file that is not named as the feed's are needs its `entity`. Raises ConfigurationError
    if there is nothing of the kind.
    """
    folder, file_name = _single_file(landing)
    if not file_name:
        if entity is not None:
            message = f"{printable(str(landing))} is no file; --entity is the type of a single one"
            raise ConfigurationError(message)
        return scan(landing, hospital, pass_over)
    if entity is not None:
        place = (place_of(folder), file_name, hospital)
        return Landing((LandedFile(*place, entity, datetime.now(UTC), 0, ""),), {})
    landed = scan(folder, hospital)
    files = tuple(file for file in landed.files if file.name == file_name)
    if not files:
        name, why = printable(file_name), landed.unrecognised.get(file_name, "")
        what = f"the name of {name} is none of the feed's" + (f": {why}" if why else "")
        message = f"{what}; to check it all the same, say what it holds: --entity {_type_in(name)}"
        raise ConfigurationError(message)
    return Landing(files, {})


def _single_file(landing: Path | str) -> tuple[str, str]:
    """Return the landing place and the name of a single file; no name if it is none."""
    if is_url(str(landing)):
        folder, _, name = str(landing).rpartition("/")
        return (folder, name) if name.endswith(".txt") else ("", "")
    path = Path(landing)
    if not path.is_file():
        return "", ""
    path = path.resolve()
    return str(path.parent), path.name


def _type_in(name: str) -> str:
    """Return the record type that a name of a file says, or one to go by."""
    words = name.lower().replace("visitpay", "")
    types = [entity.__name__.lower() for entity in ENTITIES]
    return next((each for each in types if each in words), "visit")


@dataclass(frozen=True)
class Totals:
    """What all files that were checked come to."""

    files: int
    unusable: int
    """Files that cannot be used."""
    rows_read: int
    reasons: Counter[str]
    """Rows that would be rejected, by reason."""

    @classmethod
    def of(cls, checked: Collection[CheckedFile]) -> "Totals":
        """Return the totals of some files."""
        return cls(
            files=len(checked),
            unusable=sum(file.error is not None for file in checked),
            rows_read=sum(file.rows_read for file in checked),
            reasons=sum((file.reasons for file in checked), Counter()),
        )


def check(landed: Landing, max_examples: int = MAX_EXAMPLES) -> Iterator[CheckedFile]:
    """Read the files of a landing directory as a load does, in the same order.

    References between files are not checked. Of a file, `max_examples` rejects are kept.
    """
    for file in landed.files:
        checked = CheckedFile(file)
        try:
            _read(checked, max_examples)
        except (FileError, FileChangedError) as error:
            checked.error = str(error)
        yield checked


def _read(checked: CheckedFile, max_examples: int) -> None:
    with checked.file.open() as source:
        file_date = checked.file.file_datetime.date()
        parser = Parser(source, entity_named(checked.file.entity), file_date=file_date)
        for batch in parser.batches():
            checked.rows_read += batch.rows_read
            checked.reasons.update(batch.rejects["reason"])
            missing = max_examples - len(checked.examples)
            first = batch.rejects.head(missing).select("line_number", "reason", "column_name")
            checked.examples.extend(first.rows())
        source.require_unchanged()
    if parser.is_day_first and not parser.layout.is_resubmission:
        checked.error = DAY_FIRST_ERROR
    require_past_time(checked.file)
