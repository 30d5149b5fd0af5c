"""A synthetic feed: realistic, repeatable, of any size, with any share of damaged rows.

It has the entities and columns of the model. Procedures, visits and transactions look like real
ones; the cells of whatever else the model has are invented. A row depends on the seed and on its
number alone. So it can be written again on a later day, and memory does not grow with the feed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import accumulate, chain
from os.path import lexists
from pathlib import Path
from random import Random
from typing import Any, TextIO

from sqlalchemy import Column

from visitpay.errors import ConfigurationError
from visitpay.invented import invent_cell, parent_of
from visitpay.models import ENTITIES, Entity, Procedure, Transaction, Visit
from visitpay.parsing.columns import file_columns, file_header

FIRST_DAY = date(2021, 12, 1)
_SENT_AT = {Procedure: "223357", Visit: "223005", Transaction: "223133"}
_OTHERS_SENT_AT = "223200"

_LIFELIKE: dict[type[Entity], tuple[str, ...]] = {
    Procedure: ("procedure_id", "procedure_description"),
    Visit: (
        "visit_identifier",
        "guarantor_identifier",
        "admit_date",
        "discharge_date",
        "visit_balance",
        "insurance_identifier",
    ),
    Transaction: ("transaction_identifier", "visit_identifier", "procedure_id", "amount"),
}
"""The columns that are made here; all others are invented."""

_FIRST_VISIT, _FIRST_GUARANTOR, _FIRST_TRANSACTION = 321_000_001, 9_870_001, 54_321_000_001
_CHARGES = (5, 1, 9, 2, 6, 4, 8, 3, 7)
"""The numbers of transactions of visits, in turn: so the first number of each can be computed."""
_CHARGES_BEFORE = tuple(accumulate(_CHARGES, initial=0))

_DATES = [
    f"{day.month}/{day.day}/{day.year}"
    for day in (date(2020, 1, 1) + timedelta(days) for days in range(690))
]
_CENTS = ["", *(f".{cents:02}".rstrip("0") for cents in range(1, 100))]
_WORDS = (
    ("Extra special", "Gentle", "Routine", "Second", "Express", "Thorough", "Cautious", "Weekly"),
    ("left", "right", "upper", "lower", "inner", "outer", "front", "rear"),
    ("knee", "elbow", "beard", "ankle", "shoulder", "wrist", "thumb", "heel", "ear", "eyebrow"),
    ("bandaid", "massage", "x-ray", "cast", "check", "trim", "brace", "pills", "scan", "ointment"),
)

_ODD_PER_DAMAGED = 0.25
_VISITS_PER_WRONG_BALANCE = 16
_LONGEST_LINE = 1 << 20

_MISSING = ("", "NULL", r"\N")
_NO_INTEGER = ("1_000", "9223372036854775808", "\uff11\uff12\uff13")
_NO_DATE = ("2/30/2021", "1/1/21", "1/1/0021")
_NO_AMOUNT = ("1e3", "NaN", "1.005")
_WRONG = {int: _NO_INTEGER, date: _NO_DATE, Decimal: _NO_AMOUNT}
"""For each type of a column, cells that are invalid there."""


@dataclass(frozen=True)
class _Feed:
    """The feed as requested, and what comes on which day; days count from 0."""

    directory: Path
    hospital: str
    visits: int
    days: int
    dirt: float
    seed: int

    def path(self, entity: type[Entity], day: int) -> Path:
        sent = f"{_date_of(day):%Y%m%d}_{_SENT_AT.get(entity, _OTHERS_SENT_AT)}"
        return self.directory / f"{self.hospital}_VisitPay_{entity.__name__}_{sent}.txt"

    def balance(self, number: int, amounts: Sequence[int]) -> int:
        """Return the balance of a visit in cents: the sum of its transactions, save for dirt."""
        is_wrong = self.dirt and number % _VISITS_PER_WRONG_BALANCE == 0
        return sum(amounts) + (1 + number % 4999 if is_wrong else 0)

    def near_miss(self) -> Path:
        name = f"{self.hospital}_VisitPay_Procedure_{FIRST_DAY:%Y%m%d}_223358.TXT"
        return self.directory / name

    def visits_of(self, day: int) -> range:
        """Return the numbers, from 0, of the visits that are new on a day."""
        per_day, rest = divmod(self.visits, self.days)
        return range(rest + day * per_day if day else 0, rest + (day + 1) * per_day)

    def procedures_by(self, day: int) -> int:
        """Return how many procedures there are on a day: one more on each of the last days."""
        known = max(6, self.visits // 100)
        return max(known // 2, known - (self.days - 1 - day))

    def keys_by(self, entity: type[Entity], day: int) -> range:
        """Return the keys of an entity that the feed has brought by a day."""
        visits = self.visits_of(day).stop
        if entity is Procedure:
            return range(1, 1 + self.procedures_by(day))
        if entity is Visit:
            return range(_FIRST_VISIT, _FIRST_VISIT + visits)
        if entity is Transaction:
            return range(_FIRST_TRANSACTION, _first_charge(visits))
        return range(1, 1 + visits)


class _Layout:
    """The columns of an entity's files of a day, and how its rows stand there."""

    def __init__(self, feed: _Feed, entity: type[Entity], day: int) -> None:
        self._feed = feed
        self._day = day
        lifelike = _LIFELIKE.get(entity, ())
        sent_on = _date_of(day)
        self.columns = [
            column
            for column in file_columns(entity)
            if sent_on >= column.info.get("since", sent_on)
        ]
        self._places = [
            lifelike.index(column.name) if column.name in lifelike else column
            for column in self.columns
        ]
        self._is_lifelike = self._places == list(range(len(lifelike)))

    @property
    def to_damage(self) -> Mapping[int, Column[Any]]:
        """The lifelike columns by index, all if there are none: so a new one changes no damage."""
        columns = dict(enumerate(self.columns))
        places = enumerate(self._places)
        return {at: columns[at] for at, place in places if isinstance(place, int)} or columns

    @property
    def header(self) -> str:
        return "\t".join(map(file_header, self.columns))

    def row(self, key: int, lifelike: Sequence[object] = ()) -> str:
        """Return a row, begun by the line end of the row before; `lifelike` are cells made here."""
        cells = lifelike if self._is_lifelike else self._cells(key, lifelike)
        return "\n" + "\t".join(map(str, cells))

    def _cells(self, key: int, lifelike: Sequence[object]) -> Iterator[object]:
        for place in self._places:
            yield lifelike[place] if isinstance(place, int) else self._invented(key, place)

    def _invented(self, key: int, column: Column[Any]) -> str:
        if column.primary_key:
            return str(key)
        parent = parent_of(column)
        parents = self._feed.keys_by(parent, self._day) if parent else ()
        return invent_cell(column, _random(f"{self._feed.seed} {column} {key}"), parents)


@dataclass(frozen=True, slots=True)
class _Visit:
    """A visit and its transactions; dates are indexes of _DATES, amounts are in cents."""

    number: int
    admitted: int
    discharged: int | None
    balance: int | None
    insurance: int | None
    procedures: list[int]
    amounts: list[int]

    @property
    def key(self) -> int:
        return _FIRST_VISIT + self.number

    @property
    def cells(self) -> tuple[object, ...]:
        return (
            self.key,
            _FIRST_GUARANTOR + self.number * 4 // 5,
            _DATES[self.admitted],
            "" if self.discharged is None else _DATES[self.discharged],
            "" if self.balance is None else _money(self.balance),
            self.insurance or "",
        )

    def charges(self, indexes: Sequence[int]) -> list[tuple[int, int, int, str]]:
        """Return the cells of some of its transactions, the key first."""
        first = _first_charge(self.number)
        return [
            (first + index, self.key, self.procedures[index], _money(self.amounts[index]))
            for index in indexes
        ]


def _first_charge(number: int) -> int:
    """Return the key of the first transaction of a visit."""
    rounds, turn = divmod(number, len(_CHARGES))
    return _FIRST_TRANSACTION + rounds * sum(_CHARGES) + _CHARGES_BEFORE[turn]


def _date_of(day: int) -> date:
    return FIRST_DAY + timedelta(day)


def write_sample(
    directory: Path,
    *,
    visits: int,
    days: int = 1,
    dirt: float = 0.0,
    seed: int = 0,
    hospital: str = "HospitalABC",
) -> list[Path]:
    """Write a feed of `visits`, spread over consecutive days from 2021-12-01 on.

    A visit has 1 to 9 transactions, 5 on average, and one row of each other entity that the model
    has. Later days also correct 2 % of the visits of the day before.

    Without `dirt` no check finds anything in it: each balance that is there is the sum of the
    transactions. `dirt` is the share of rows that cannot be loaded, in percent (0 to 100). With
    `dirt`, a quarter as many rows have an unusual form but can be loaded; every sixteenth visit,
    the first to begin with, has a wrong balance, if it has one; one line is longer than 1 MiB; the
    Transaction file of the last day is cut off within a row; and one file has a name that is almost
    right. In Visit and Procedure files a damaged row comes after the good one, so that the rows
    that refer to it can be loaded.

    The same arguments give the same bytes, in constant memory. A file gets its name when it is
    complete; the directory is created if necessary. Returns the paths day by day, the misnamed file
    last. Raises ConfigurationError if writing fails; also, with nothing written, if an argument is
    out of range or one of the files exists already.
    """
    feed = _Feed(directory, hospital, visits, days, dirt, seed)
    paths = [feed.path(entity, day) for day in range(days) for entity in ENTITIES]
    if dirt:
        paths.append(feed.near_miss())
    _require_usable(feed, paths)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for day in range(days):
            _write_procedures(feed, day)
            _write_visits(feed, day)
            for entity in ENTITIES:
                if entity not in _LIFELIKE:
                    _write_invented(feed, entity, day)
        if dirt:
            feed.near_miss().write_text(_Layout(feed, Procedure, 0).header)
    except OSError as error:
        message = f"{directory} cannot be written to: {error.strerror}; choose another directory"
        raise ConfigurationError(message) from error
    return paths


def _require_usable(feed: _Feed, paths: list[Path]) -> None:
    if feed.visits < 0 or feed.days < 1 or not 0 <= feed.dirt <= 100:  # noqa: PLR2004 - percent
        message = "a sample takes 0 visits or more, 1 day or more, and dirt from 0 to 100 percent"
        raise ConfigurationError(message)
    if existing := [path for path in paths if lexists(path)]:
        message = f"{existing[0]} exists already; give a directory without a sample"
        raise ConfigurationError(message)


def _write_procedures(feed: _Feed, day: int) -> None:
    before = feed.procedures_by(day - 1) if day else 0
    with _open_file(feed, Procedure, day) as write:
        if day:
            revised = day % before + 1
            revision = f"{_description(feed, revised)}, revised {_date_of(day)}"
            write(revised, (revised, revision))
        for number in range(before + 1, feed.procedures_by(day) + 1):
            write(number, (number, _description(feed, number)))


def _write_visits(feed: _Feed, day: int) -> None:
    known = feed.procedures_by(day)
    with (
        _open_file(feed, Visit, day) as write_visit,
        _open_file(feed, Transaction, day) as write_charge,
    ):
        new = (_random_visit(feed, number, known) for number in feed.visits_of(day))
        whole = ((visit, range(len(visit.amounts))) for visit in new)
        for visit, charges in chain(_sent_again(feed, day), whole):
            write_visit(visit.key, visit.cells)
            for charge in visit.charges(charges):
                write_charge(charge[0], charge)


def _write_invented(feed: _Feed, entity: type[Entity], day: int) -> None:
    with _open_file(feed, entity, day) as write:
        for number in feed.visits_of(day):
            write(number + 1, ())


def _sent_again(feed: _Feed, day: int) -> Iterator[tuple[_Visit, range]]:
    """Yield some visits of the day before, with the indexes of the transactions to send again.

    Of five, two have other amounts, two have another discharge date, and one is unchanged.
    """
    if not day:
        return
    known = feed.procedures_by(day - 1)
    for turn, number in enumerate(feed.visits_of(day - 1)[::40]):
        visit = _random_visit(feed, number, known)
        if turn % 5 == 4:  # noqa: PLR2004
            yield visit, range(len(visit.amounts))
        elif turn % 2:
            yield replace(visit, discharged=(visit.discharged or visit.admitted) + 1), range(0)
        else:
            corrected = range(0, len(visit.amounts), 2)
            amounts = [
                cents + 1999 * (index in corrected) for index, cents in enumerate(visit.amounts)
            ]
            yield replace(visit, amounts=amounts, balance=feed.balance(number, amounts)), corrected


def _random_visit(feed: _Feed, number: int, known: int) -> _Visit:
    """Return a random visit that refers to procedures from 1 to `known`."""
    bits = _random((feed.seed << 40) + number).getrandbits
    count = _CHARGES[number % len(_CHARGES)]
    amounts = [bits(17) + 1 if bits(3) else -bits(15) - 1 for _ in range(count)]
    luck, admitted = bits(5), bits(16) % 670
    return _Visit(
        number=number,
        admitted=admitted,
        discharged=admitted + bits(4) if bits(4) else None,
        balance=feed.balance(number, amounts) if luck else None,
        insurance=bits(2) + 1 if bits(4) else None,
        procedures=[bits(32) % known + 1 for _ in range(count)],
        amounts=amounts,
    )


def _description(feed: _Feed, number: int) -> str:
    return " ".join(map(_random(f"{feed.seed} Procedure {number}").choice, _WORDS))


def _money(cents: int) -> str:
    whole, rest = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}{whole}{_CENTS[rest]}"


def _random(seed: int | str) -> Random:
    return Random(seed)  # noqa: S311 - a sample must be repeatable, and has no secrets


@contextmanager
def _open_file(
    feed: _Feed, entity: type[Entity], day: int
) -> Iterator[Callable[[int, Sequence[object]], object]]:
    """Yield a function that writes a row to a file of the feed; the file is hidden until the end.

    It takes the row's key and its lifelike cells. A row begins with the line end of the row before:
    few of the real files end with one.
    """
    layout = _Layout(feed, entity, day)
    path = feed.path(entity, day)
    hidden = path.with_name(f".{path.name}.part")
    try:
        with hidden.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(layout.header)
            write = _DirtyWriter(feed, entity, day, layout, file).write if feed.dirt else file.write
            yield lambda key, lifelike: write(layout.row(key, lifelike))
            if entity is Transaction:
                file.write("\n")
                if feed.dirt and day == feed.days - 1:
                    file.write(_too_long_line() + _cut_off_row())
        hidden.replace(path)
    finally:
        hidden.unlink(missing_ok=True)


def _too_long_line() -> str:
    return f"{_FIRST_TRANSACTION - 1}\t{_FIRST_VISIT}\t1\t{'9' * _LONGEST_LINE}\n"


def _cut_off_row() -> str:
    """Return the beginning of a row, too short to be taken for one."""
    return f"{_FIRST_TRANSACTION - 2}\t{_FIRST_VISIT}"


class _DirtyWriter:
    """Writes the rows of a file, some of them damaged, some in an unusual form."""

    def __init__(
        self, feed: _Feed, entity: type[Entity], day: int, layout: _Layout, file: TextIO
    ) -> None:
        self._file = file
        self._dirt = feed.dirt / 100
        self._random = _random(f"{feed.seed} {entity.__name__} {day} dirt")
        self._columns = layout.to_damage
        self._wrong = _wrong_cells(self._columns)
        self._of_visit = [
            index for index, column in self._columns.items() if parent_of(column) is Visit
        ]
        self._has_children = any(
            parent_of(column) is entity for each in ENTITIES for column in file_columns(each)
        )
        tomorrow = feed.keys_by(Visit, day).stop
        self._not_yet = range(tomorrow, tomorrow + max(1, feed.visits // feed.days))

    def write(self, row: str) -> None:
        draw = self._random.random()
        if draw < self._dirt:
            if self._has_children:
                self._file.write(row)
            self._file.write("\n" + "\t".join(self._damaged(row[1:].split("\t"))))
        elif draw < self._dirt * (1 + _ODD_PER_DAMAGED):
            self._file.write(self._odd(row))
        else:
            self._file.write(row)

    def _damaged(self, cells: list[str]) -> list[str]:
        """Return the cells of a row, changed so that it cannot be loaded."""
        index = self._random.choice(list(self._columns))
        match self._random.randrange(10):
            case 0:
                return cells[:-1]
            case 1:
                return [*cells, "7"]
            case 2:
                cells[index] = f'"{cells[index][:2]}\n{cells[index][2:]}"'
            case 3:
                cells[index] += self._random.choice(("\udcff", "\0"))  # written as 0xFF, and NUL
            case 4 if self._of_visit:
                cells[self._of_visit[0]] = str(self._random.choice(self._not_yet))
            case _:
                indexes, wrong = self._random.choice(self._wrong)
                cells[self._random.choice(indexes)] = self._random.choice(wrong)
        return cells

    def _odd(self, row: str) -> str:
        """Return a row in an unusual form that can still be loaded."""
        match self._random.randrange(5):
            case 0:
                return row + "\t\t"
            case 1:
                return "\n" + row
            case 2:
                return row + row
            case 3:
                first, tab, rest = row[1:].partition("\t")
                return f'\n"{first}"{tab}{rest}'
            case _:
                return self._rewritten(row)

    def _rewritten(self, row: str) -> str:
        """Return a row with its first text, date or amount in another form."""
        cells = row.split("\t")
        for index, column in self._columns.items():
            if rewritten := not column.nullable and self._in_another_form(column, cells[index]):
                cells[index] = rewritten
                break
        return "\t".join(cells)

    def _in_another_form(self, column: Column[Any], cell: str) -> str | None:
        kind = column.type.python_type
        if kind is str and getattr(column.type, "length", None) is None:
            return self._random.choice((f'5" {cell}', f'"{cell} ""soft"""'))
        if kind is date:
            month, day, year = cell.split("/")
            return f"{year}-{month:0>2}-{day:0>2} 00:00:00"
        if kind is Decimal:
            amount = Decimal(cell)
            return f"${amount:,.2f}" if amount > 0 else f"({-amount:,.2f})"
        return None


def _wrong_cells(columns: Mapping[int, Column[Any]]) -> list[tuple[list[int], tuple[str, ...]]]:
    """Return pairs: indexes of columns, and cells that are invalid there."""
    wrong = [
        ([index for index, column in columns.items() if column.type.python_type is kind], cells)
        for kind, cells in _WRONG.items()
    ]
    required = [index for index, column in columns.items() if not column.nullable]
    return [pair for pair in (*wrong, (required, _MISSING)) if pair[0]]
