"""Writes rejected rows, and their money, as CSV (RFC 4180) that no spreadsheet calculates with.

Cells of the hospital's rows are in it only where people ask for them. Letters that a terminal could
act on are escaped, tabs too; JSON has them as they are.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING

from visitpay.rejects.export import escape_formula
from visitpay.text import iso, printable

if TYPE_CHECKING:
    from visitpay.rejects.money import MoneySums
    from visitpay.rejects.queries import Reject

_REJECT = ("id", "file", "line", "entity", "reason", "column", "status", "created_at", "closed_at")
_RAW = ("key", "raw")

_PIECES = re.compile(r"([,;|])")
"""What some spreadsheet may split a cell at, in its country, whatever the quotes around it."""


def rejects(rows: "Iterable[Reject]", *, raw: bool) -> Iterator[str]:
    """Yield the lines of rejects, with what the rows hold if `raw`."""
    columns = (*_REJECT, "why", *(_RAW if raw else ()))
    return _lines(columns, ([getattr(row, name) for name in columns] for row in rows))


def money(sums: "MoneySums") -> Iterator[str]:
    """Yield the lines of the money of rejects by visit; no amount where none can be read."""
    columns = ("entity", "visit", "rows", "amount", "unreadable", "repeated")
    return _lines(
        columns,
        (
            (
                *(each.entity, each.visit, each.rows, each.amount if each.readable else None),
                *(each.unreadable, each.repeated),
            )
            for each in sums.by_visit
        ),
    )


def _lines(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    for row in chain([header], rows):
        line = io.StringIO()
        csv.writer(line).writerow(map(_cell, row))
        yield line.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, str):
        return "".join(map(escape_formula, _PIECES.split(printable(value))))
    return value
