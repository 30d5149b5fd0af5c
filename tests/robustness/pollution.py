"""A clean feed, damaged in one place at a time, and what a load makes of it.

The kinds of damage follow the Pollock benchmark (VLDB 2023, doi 10.14778/3594512.3594518).
"""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import select

from tests.robustness.reference import closes_file, lines_of
from tests.support.feed import cells_of, columns, header_line
from visitpay.database.engine import make_engine, read_connection
from visitpay.loading.run import load
from visitpay.models import ENTITIES, Procedure, Transaction, Visit, entity_named
from visitpay.vocabulary import FileStatus

ROWS = 200
ROWS_HIT = 20
MOMENT = "20211202_223357"


@dataclass(frozen=True)
class Damaged:
    """A file with one damage."""

    kind: str
    content: bytes
    rows: frozenset[int] = frozenset()
    """The clean rows that it hit."""
    inserted: str = ""
    """What it put into cells, so that text may hold it."""
    header: bool = False
    """Whether the header is hit, so that the file may be refused."""


@dataclass(frozen=True)
class Sheet:
    """A clean file."""

    entity: str
    delimiter: str
    rows: list[list[str]]

    @property
    def header(self) -> list[str]:
        """Its header's cells."""
        return header_line(entity_named(self.entity)).split("\t")

    @property
    def lines(self) -> list[str]:
        """Its lines, the header first."""
        return [self.delimiter.join(cells) for cells in (self.header, *self.rows)]


def sheets(seed: int = 0, rows: int = ROWS) -> Iterator[Sheet]:
    """Yield clean files of every type, with cells that are near to something else."""
    random = Random(seed)  # noqa: S311 - no secret
    texts = ["Ace wrap", '"Ace ""soft"" wrap"', "5 in wrap", 'Wrap, 5" wide', "7", "Gauze 4x4"]

    def maybe(cell: str) -> str:
        return cell if random.random() < 0.6 else ""

    def text(delimiter: str) -> str:
        text = random.choice(texts)
        return '"Ace, ""soft"" wrap"' if delimiter in text else text

    def money() -> str:
        form = random.choice(["{}", "{}.5", "{}.25", "-{}", "{}.00"])
        return form.format(random.randrange(1, 3000))

    for delimiter in "\t,":
        yield Sheet(
            "Procedure",
            delimiter,
            [
                cells_of(Procedure, procedure_id=300 + key, procedure_description=text(delimiter))
                for key in range(rows)
            ],
        )
        yield Sheet(
            "Visit",
            delimiter,
            [
                cells_of(
                    Visit,
                    visit_identifier=100 + key,
                    guarantor_identifier=random.randrange(10**6),
                    admit_date=f"{random.randrange(1, 13)}/{random.randrange(1, 29)}/2021",
                    discharge_date=maybe("2021-12-31"),
                    visit_balance=maybe(money()),
                    insurance_identifier=maybe(str(random.randrange(100))),
                )
                for key in range(rows)
            ],
        )
        yield Sheet(
            "Transaction",
            delimiter,
            [
                cells_of(
                    Transaction,
                    transaction_identifier=1000 + key,
                    visit_identifier=100 + random.randrange(rows),
                    procedure_id=300 + random.randrange(rows),
                    amount=money(),
                )
                for key in range(rows)
            ],
        )


def damages(sheet: Sheet) -> Iterator[Damaged]:
    """Yield the file with every damage: some rows are hit at every place, and every header."""
    random = Random(sheet.entity + sheet.delimiter)  # noqa: S311 - no secret
    numbers = sorted(random.sample(range(len(sheet.rows)), ROWS_HIT))
    yield from _in_rows(sheet, numbers)
    yield from _between_rows(sheet, numbers)
    yield from _in_header(sheet)
    yield from _around(sheet)


def _file(lines: Iterable[str], end: str = "\n") -> bytes:
    return "".join(line + end for line in lines).encode()


def _places(line: str, delimiter: str) -> Iterator[int]:
    """Yield the start, a place within and the end of each cell."""
    start = 0
    for cell in line.split(delimiter):
        yield from sorted({start, start + len(cell) // 2, start + len(cell)})
        start += len(cell) + 1


def _in_rows(sheet: Sheet, numbers: Iterable[int]) -> Iterator[Damaged]:
    lines, sign = sheet.lines, sheet.delimiter
    inserted = {
        "delimiter added": sign,
        "quote added": '"',
        "two quotes added": '""',
        "backslash added": "\\",
        "NUL added": "\0",
        "byte order mark added": "\ufeff",
        "line end added": "\n",
        "CR added": "\r",
        "CRLF added": "\r\n",
        "line separator added": "\u2028",
        "no-break space added": "\u00a0",
    }
    for number, line in ((number, lines[number + 1]) for number in numbers):

        def with_line(kind: str, *changed: str, put: str = "") -> Damaged:
            content = _file([*lines[: number + 1], *changed, *lines[number + 2 :]])  # noqa: B023
            return Damaged(kind, content, frozenset([number]), put)  # noqa: B023

        for place in _places(line, sign):
            for kind, sort in inserted.items():
                yield with_line(kind, line[:place] + sort + line[place:], put=sort)
            cut = line[:place].encode() + b"\xe9" + line[place:].encode()
            before, _, after = with_line("", "\0\0").content.partition(b"\0\0")
            content = before + cut + after
            yield Damaged("byte of another encoding added", content, frozenset([number]))
            if line[place : place + 1] == sign:
                yield with_line("delimiter missing", line[:place] + line[place + 1 :])
                yield with_line("delimiter escaped", line[:place] + "\\" + line[place:], put="\\")
        for other in "\t,|; :":
            if other != sign:
                yield with_line("another delimiter in a row", line.replace(sign, other))
        for kind, sort in {"cells quoted": '"', "cells quoted twice": '""'}.items():
            cells = [f"{sort}{cell}{sort}" for cell in line.split(sign)]
            yield with_line(kind, sign.join(cells), put='"')
        yield with_line("row cut short", line[: len(line) // 2].rpartition(sign)[0])


def _between_rows(sheet: Sheet, numbers: Iterable[int]) -> Iterator[Damaged]:
    lines = sheet.lines
    strange = {
        "blank line": "",
        "line of spaces": "   ",
        "line of delimiters": sheet.delimiter * (len(sheet.header) - 1),
        "comment": "# corrected by hand",
        "total": f"Total: {len(sheet.rows)} rows",
        "header again": lines[0],
    }
    for number in (number + 1 for number in numbers):
        before, after = lines[: number + 1], lines[number + 1 :]
        for kind, line in strange.items():
            yield Damaged(kind, _file([*before, line, *after]))
        yield Damaged("row twice", _file([*before, lines[number], *after]))
        if after:
            joined = [*before[:-1], before[-1] + after[0], *after[1:]]
            yield Damaged("line end missing", _file(joined), frozenset([number - 1, number]))
        for end in ("\r", "\r\n", "\n\r", "\v", "\f", "\x85", "\u2028", "\x1e"):
            content = _file(before)[:-1] + end.encode() + _file(after)
            hit = frozenset([number - 1, number])
            yield Damaged("another line end in a row", content, hit, end)


def _in_header(sheet: Sheet) -> Iterator[Damaged]:
    header, *rows = sheet.lines
    names, sign = sheet.header, sheet.delimiter

    def headed(kind: str, *lines: str) -> Damaged:
        return Damaged(kind, _file([*lines, *rows]), header=True)

    for place in _places(header, sign):
        yield headed("header: delimiter added", header[:place] + sign + header[place:])
        yield headed("header: quote added", header[:place] + '"' + header[place:])
        yield headed("header: line end added", header[:place], header[place:])
        yield headed("header: NUL added", header[:place] + "\0" + header[place:])
    for number, name in enumerate(names):
        others = [*names[:number], *names[number + 1 :]]
        yield headed("header: name missing", sign.join(others))
        yield headed("header: name empty", sign.join([*names[:number], "", *names[number + 1 :]]))
        yield headed("header: name twice", sign.join([*names, name]))
        yield headed("header: name misspelt", header.replace(name, name[1:], 1))
        if number:
            gone = sign.join(names[:number]) + sign.join(names[number:])
            yield headed("header: delimiter missing", gone)
    for other in "\t,|; :":
        if other != sign:
            yield headed("header: another delimiter", header.replace(sign, other))
    yield headed("header: none")
    yield headed("header: in two rows", header, sign.join("(unit)" for _ in names))
    for count in (1, 2, 3):
        preamble = ["Hospital ABC", "", "Report of 2021-12-02"][:count]
        yield headed("header: lines before it", *preamble, header)
    yield Damaged("header: alone", _file([header]), frozenset(range(len(rows))), header=True)
    yield Damaged("empty file", b"", frozenset(range(len(rows))), header=True)


def _around(sheet: Sheet) -> Iterator[Damaged]:
    lines = sheet.lines
    text = _file(lines).decode()
    for kind, content in {
        "CRLF": _file(lines, "\r\n"),
        "CR": _file(lines, "\r"),
        "no line end at the end": _file(lines)[:-1],
        "UTF-8 with byte order mark": text.encode("utf-8-sig"),
        "UTF-16 with byte order mark": text.encode("utf-16"),
    }.items():
        yield Damaged(f"file: {kind}", content)
    everything = frozenset(range(len(sheet.rows)))
    without_mark = text.encode("utf-16-le")
    yield Damaged("file: UTF-16 without byte order mark", without_mark, everything, header=True)
    for entity in ENTITIES:
        if entity.__name__ != sheet.entity:
            other = next(each for each in sheets() if each.entity == entity.__name__)
            width = len(sheet.header)
            table = [sheet.delimiter.join(cells) for cells in (other.header, *other.rows)]
            assert all(len(cells) != width for cells in other.rows)
            yield Damaged("file: two tables", _file([*lines, "", *table]))
    for kind, *closing in (
        ("a trailer", f"TRL{sheet.delimiter}{len(sheet.rows)}{sheet.delimiter}END"),
        ("a count of rows", "", f"({len(sheet.rows)} rows affected)"),
        ("a word for the end", "-- END OF FILE --"),
        ("the end mark of DOS", "\x1a"),
    ):
        yield Damaged(f"file: {kind}", _file([*lines, *closing]))
    short = [*lines[:-9], f"Total: {len(sheet.rows)}"]
    yield Damaged("file: cut off, with a trailer", _file(short), everything, header=True)
    signature = ["", "Yours sincerely", "the hospital"]
    yield Damaged("file: trailing text", _file([*lines, *signature]))
    yield Damaged("file: trailing text", _file([*lines, signature[1]]))


@dataclass
class Figures:
    """What became of the files of one kind of damage."""

    files: int = 0
    refused: int = 0
    undamaged: int = 0
    undamaged_loaded: int = 0
    damaged: int = 0
    damaged_loaded: int = 0
    as_sent: int = 0
    rows: int = 0
    """Rows that were read."""
    missing: int = 0
    """Rows that are in no count of the ledger."""
    corrupt: list[Damaged] = field(default_factory=list)
    lost: list[Damaged] = field(default_factory=list)
    unnamed: list[Damaged] = field(default_factory=list)

    def add(self, other: "Figures") -> None:
        """Add another's figures to these."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


class Polluted:
    """A database with the parents of a clean file; damaged ones are loaded into copies of it."""

    def __init__(self, sheet: Sheet, template: Path, scratch: Path) -> None:
        """Load the clean file, to know what is right."""
        self._sheet, self._scratch = sheet, scratch
        self._base = scratch / "base.db"
        shutil.copy(template, self._base)
        parents = [each for each in sheets() if each.delimiter == sheet.delimiter]
        for each in parents if sheet.entity == "Transaction" else []:
            if each.entity != sheet.entity:
                self._load(self._base, each.entity, _file(each.lines), "20211201_000000")
        self.clean, _ = self.loaded(_file(sheet.lines))
        assert len(self.clean) == len(sheet.rows)

    def _load(self, database: Path, entity: str, content: bytes, moment: str = MOMENT) -> Any:
        landing = self._scratch / "landing"
        shutil.rmtree(landing, ignore_errors=True)
        landing.mkdir()
        (landing / f"HospitalABC_VisitPay_{entity}_{moment}.txt").write_bytes(content)
        return load(make_engine(f"sqlite:///{database}"), landing, "HospitalABC").files[0]

    def loaded(self, content: bytes) -> tuple[dict[int, tuple[Any, ...]], Any]:
        """Load a file; give the table's rows by key, and the file's report."""
        database = self._scratch / "visitpay.db"
        for beside in self._scratch.glob("visitpay.db*"):
            beside.unlink()
        shutil.copy(self._base, database)
        report = self._load(database, self._sheet.entity, content)
        entity = entity_named(self._sheet.entity)
        values = [entity.__table__.c[name] for name in columns(entity)]
        with read_connection(f"sqlite:///{database}") as connection:
            rows = {row[0]: tuple(row) for row in connection.execute(select(*values))}
        return rows, report

    def measure(self, damaged: Damaged, figures: Figures) -> None:
        """Load a damaged file, and count what came of its rows."""
        rows, report = self.loaded(damaged.content)
        figures.files += 1
        clean = list(self.clean.values())
        if report.status != FileStatus.LOADED:
            figures.refused += 1
            assert not rows
            if not (damaged.header and report.error):
                figures.unnamed.append(damaged)
            return
        if damaged.header and rows != self.clean and damaged.content.count(b"\n") > 1:
            figures.unnamed.append(damaged)
        right = {row[0] for row in clean if rows.get(row[0]) == row}
        strange = [row for key, row in rows.items() if key not in right]
        as_sent = [row for row in strange if self._as_sent(row, damaged)]
        figures.as_sent += len(as_sent)
        if len(as_sent) < len(strange):
            figures.corrupt.append(damaged)
        undamaged = [row[0] for place, row in enumerate(clean) if place not in damaged.rows]
        loaded = sum(key in right for key in undamaged)
        figures.undamaged += len(undamaged)
        figures.undamaged_loaded += loaded
        if loaded < len(undamaged):
            figures.lost.append(damaged)
        hit = [row[0] for place, row in enumerate(clean) if place in damaged.rows]
        figures.damaged += len(hit)
        figures.damaged_loaded += sum(key in right for key in hit)
        assert report.counts.balanced
        lines = [line for line in lines_of(damaged.content)[1:] if line.strip(b" ")]
        if lines and closes_file(lines[-1], self._sheet.delimiter) is not None:
            del lines[-1]
        figures.rows += len(lines)
        figures.missing += len(lines) - report.counts.read

    def _as_sent(self, row: tuple[Any, ...], damaged: Damaged) -> bool:
        """Whether text alone differs, and only by what the damage put into it."""
        clean = self.clean.get(row[0])
        if clean is None or not damaged.inserted:
            return False
        entity = entity_named(self._sheet.entity)
        is_texts = [entity.__table__.c[name].type.python_type is str for name in columns(entity)]

        def bare(text: str) -> str:
            for letter in {*damaged.inserted, '"'}:
                text = text.replace(letter, "")
            return text.strip()

        return all(
            bare(value or "") == bare(sent or "") if is_text else value == sent
            for value, sent, is_text in zip(row, clean, is_texts, strict=True)
        )


def all_damages(seed: int = 0) -> Iterator[tuple[Sheet, list[Damaged]]]:
    """Yield every clean file with all its damages."""
    for sheet in sheets(seed):
        yield sheet, list(damages(sheet))
