"""Where a file keeps an entity's columns: its header and its delimiter."""

from collections import Counter
from dataclasses import dataclass

from visitpay.errors import FileError
from visitpay.landing import printable
from visitpay.models import Entity, fed_columns, header_of
from visitpay.quoting import unquoted

DELIMITERS = "\t,|;"


@dataclass(frozen=True)
class Layout:
    """Where a file keeps an entity's columns."""

    entity: type[Entity]
    header: str
    delimiter: str
    width: int
    """Cells in the header, up to the last that has a name."""
    trailer: str
    """The delimiters that end the header after it."""
    positions: tuple[int, ...]
    """For each column of the entity, in the model's order, its place in a line."""
    extra: tuple[str, ...]
    """Columns of the file that the entity does not have."""

    @classmethod
    def of(cls, entity: type[Entity], header: str) -> "Layout":
        """Find the delimiter and the columns in a header line.

        Raises FileError when the line is empty, lacks a column or has one twice. The message names
        the model's columns only: a file without a header has data in its first line.
        """
        if not header.strip():
            message = f"line 1 is empty; it must name {listed(entity)}"
            raise FileError(message)
        delimiter = min(DELIMITERS, key=lambda candidate: len(_missing(entity, header, candidate)))
        if missing := _missing(entity, header, delimiter):
            message = f"line 1 lacks the columns {', '.join(missing)}; ask for the whole file again"
            raise FileError(message)
        names = _names(header, delimiter)
        wanted = [header_of(column) for column in fed_columns(entity)]
        doubled = [name for name, count in Counter(names).items() if name and count > 1]
        if doubled:
            known = [name for name in wanted if name.lower() in doubled]
            which = ", ".join(known) or "a column"
            message = f"line 1 names {which} more than once; one of them must go"
            raise FileError(message)
        width = max(place for place, name in enumerate(names, 1) if name)
        extra = [name for name in names if name and name not in {each.lower() for each in wanted}]
        return cls(
            entity=entity,
            header=header,
            delimiter=delimiter,
            width=width,
            trailer=delimiter * (len(names) - width),
            positions=tuple(names.index(name.lower()) for name in wanted),
            extra=tuple(printable(name[:64]) for name in extra),
        )


def _names(header: str, delimiter: str) -> list[str]:
    return [unquoted(cell.strip(" ")).lower() for cell in header.split(delimiter)]


def _missing(entity: type[Entity], header: str, delimiter: str) -> list[str]:
    names = _names(header, delimiter)
    headers = (header_of(column) for column in fed_columns(entity))
    return [name for name in headers if name.lower() not in names]


def listed(entity: type[Entity]) -> str:
    """Give the headers that a file of the entity must have, for a message."""
    return ", ".join(header_of(column) for column in fed_columns(entity))
