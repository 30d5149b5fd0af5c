import codecs
import csv
import io
import re
import tracemalloc
from datetime import date
from decimal import Decimal
from itertools import chain, repeat
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.robustness import reference
from tests.support.entities import ENTITIES, Procedure, Transaction, Visit
from tests.support.feed import columns, header_line, line, with_defaults
from visitpay.errors import FileError
from visitpay.models import Entity
from visitpay.parsing.layout import Layout
from visitpay.parsing.lines import MAX_LINE_BYTES
from visitpay.parsing.parser import BLOCK_BYTES, Parser
from visitpay.parsing.rows import REJECT_SCHEMA, parse_again

HEADER = {entity: header_line(entity, ",").encode() for entity in ENTITIES}


def written(entity: type[Entity], **cells: object) -> bytes:
    """Write a line; a cell may be bytes that are no text."""
    texts = {
        name: cell.decode("utf-8", "surrogateescape") if isinstance(cell, bytes) else cell
        for name, cell in cells.items()
    }
    return line(entity, ",", **texts).encode("utf-8", "surrogateescape")


def procedure(key: object, description: object) -> bytes:
    """Write a procedure."""
    return written(Procedure, procedure_id=key, procedure_description=description)


def stay(**cells: object) -> bytes:
    """Write visit 5, of guarantor 6."""
    return written(Visit, **{"visit_identifier": 5, "guarantor_identifier": 6} | cells)


def charge(key: object, visit: object, procedure: object, amount: object) -> bytes:
    """Write a transaction."""
    cells = {"transaction_identifier": key, "visit_identifier": visit}
    return written(Transaction, **cells, procedure_id=procedure, amount=amount)


def read(entity: type[Entity], *first: object) -> tuple[Any, ...]:
    """Return the values of a row, money in cents, by those of its first columns."""
    values = first + tuple(with_defaults(entity).values())[len(first) :]
    return tuple(int(100 * each) if isinstance(each, Decimal) else each for each in values)


FIRST: dict[type[Entity], tuple[bytes, tuple[Any, ...]]] = {
    Procedure: (procedure(1, "one"), read(Procedure, 1, "one")),
    Visit: (
        stay(visit_identifier=1, guarantor_identifier=2, admit_date="12/1/2021"),
        read(Visit, 1, 2, date(2021, 12, 1), None, None, None),
    ),
    Transaction: (charge(1, 2, 3, "4.50"), read(Transaction, 1, 2, 3, 450)),
}
LAST: dict[type[Entity], tuple[bytes, tuple[Any, ...]]] = {
    Procedure: (procedure(9, "nine"), read(Procedure, 9, "nine")),
    Visit: (
        stay(
            visit_identifier=9,
            guarantor_identifier=8,
            admit_date="20211231",
            discharge_date="2022-01-01",
            visit_balance=-7,
            insurance_identifier=6,
        ),
        read(Visit, 9, 8, date(2021, 12, 31), date(2022, 1, 1), -700, 6),
    ),
    Transaction: (charge(9, 8, 7, '"$1,005.50"'), read(Transaction, 9, 8, 7, 100550)),
}
"""Good rows around the row in question, as bytes and as values."""

Row = tuple[Any, ...]
MIB = 1 << 20


def parsed(
    data: bytes, entity: type[Entity] = Procedure, block_bytes: int = BLOCK_BYTES
) -> tuple[list[Row], list[Row]]:
    """Parse a file: its good rows (line, raw, values) and its rejects, both in the file's order."""
    rows, rejects, rows_read = list[Row](), list[Row](), 0
    for batch in Parser(io.BytesIO(data), entity, block_bytes).batches():
        rows += batch.rows.rows()
        rejects += batch.rejects.rows()
        rows_read += batch.rows_read
    assert rows_read == len(rows) + len(rejects)
    return sorted(rows), rejects


def between(entity: type[Entity], line: bytes) -> bytes:
    """Write a file with the line as its third, between two good rows."""
    return b"\n".join([HEADER[entity], FIRST[entity][0], line, LAST[entity][0], b""])


def around(entity: type[Entity], *between: Row, last: int = 4) -> list[Row]:
    """Return the good rows of such a file, with what is expected between them."""
    first_raw, first = FIRST[entity]
    last_raw, final = LAST[entity]
    return [(2, first_raw.decode(), *first), *between, (last, last_raw.decode(), *final)]


def test_frames() -> None:
    """A batch has the model's columns in their types, by key and line; its rows parse again."""
    lines = [
        HEADER[Visit],
        written(Visit, visit_identifier=9, admit_date="1/2/2021", visit_balance=1),
        written(Visit, visit_identifier=1, admit_date="1/3/2021", visit_balance=".5"),
        written(
            Visit,
            visit_identifier=9,
            admit_date="1/4/2021",
            visit_balance="(3)",
            insurance_identifier=7,
        ),
        b"x,y",
        b"",
    ]
    (batch,) = Parser(io.BytesIO(b"\n".join(lines)), Visit).batches()
    days = [date(2021, 1, 3), date(2021, 1, 2), date(2021, 1, 4)]
    rows = {
        "source_line": pl.Series([3, 2, 4], dtype=pl.Int64),
        "raw": [lines[2].decode(), lines[1].decode(), lines[3].decode()],
        "visit_identifier": pl.Series([1, 9, 9], dtype=pl.Int64),
        "guarantor_identifier": pl.Series([7, 7, 7], dtype=pl.Int64),
        "admit_date": pl.Series(days, dtype=pl.Date),
        "discharge_date": pl.Series([None] * 3, dtype=pl.Date),
        "visit_balance": pl.Series([50, 100, -300], dtype=pl.Int64),
        "insurance_identifier": pl.Series([None, None, 7], dtype=pl.Int64),
    }
    assert batch.rows.columns == ["source_line", "raw", *columns(Visit)]
    assert_frame_equal(batch.rows.select(*rows), pl.DataFrame(rows))
    rejects = [(5, None, "malformed", None, "x,y")]
    assert_frame_equal(batch.rejects, pl.DataFrame(rejects, REJECT_SCHEMA, orient="row"))
    assert batch.rows_read == 4
    layout = Layout.of(Visit, HEADER[Visit].decode())
    again = parse_again(batch.rows.select("source_line", "raw"), layout)
    assert_frame_equal(again.rows, batch.rows)
    assert_frame_equal(again.rejects, REJECT_SCHEMA.to_frame())


BAD: dict[str, tuple[type[Entity], bytes, str, str | None, int | None]] = {
    "too few cells": (Transaction, b"5,6,7", "malformed", None, None),
    "too few cells, the key among them": (Visit, b"5,6,1/2/2021,,", "malformed", None, None),
    "too few and one of them quoted": (Transaction, b'5,"6",7', "malformed", None, None),
    "too few with quotes honoured": (
        Transaction,
        charge(5, 6, '"1', '005"'),
        "invalid_integer",
        "ProcedureId",
        None,
    ),
    "too many, too few with quotes honoured": (
        Transaction,
        b'5,6,"1,005,7"',
        "malformed",
        None,
        None,
    ),
    "all quoted and bad": (
        Transaction,
        charge('"5"', '"6"', '"7"', '"x"'),
        "invalid_amount",
        "Amount",
        5,
    ),
    "too many cells": (Transaction, charge(5, 6, 7, 8) + b",9", "malformed", None, 5),
    "too many cells and a bad key": (
        Transaction,
        charge("x", 6, 7, 8) + b",9",
        "malformed",
        None,
        None,
    ),
    "too many, quotes honoured or not": (
        Procedure,
        procedure(5, '"a,b"') + b",c",
        "malformed",
        None,
        5,
    ),
    "a quote closed too early": (Procedure, procedure(5, '"a" b') + b",c", "malformed", None, 5),
    "another delimiter": (Procedure, b"5;five", "malformed", None, None),
    "U+00A0 alone": (Transaction, b"\xc2\xa0", "malformed", None, None),
    "malformed and not UTF-8": (Procedure, procedure(5, "a") + b",b\xff", "malformed", None, 5),
    "not UTF-8": (Procedure, procedure(5, b"caf\xe9"), "invalid_encoding", None, 5),
    "a surrogate in UTF-8": (Procedure, procedure(5, b"\xed\xa0\x80"), "invalid_encoding", None, 5),
    "a NUL": (Procedure, procedure(5, "fi\0ve"), "invalid_encoding", None, 5),
    "a NUL in the key": (Procedure, procedure("\x005", "five"), "invalid_encoding", None, None),
    "not UTF-8 and no number": (
        Transaction,
        charge(5, "x", 6, b"\xff"),
        "invalid_encoding",
        None,
        5,
    ),
    "no key": (Procedure, procedure("", "five"), "missing_value", "ProcedureId", None),
    "no text": (Procedure, procedure(5, "  "), "missing_value", "ProcedureDescription", 5),
    "no text, in quotes": (
        Procedure,
        procedure(5, '" "'),
        "missing_value",
        "ProcedureDescription",
        5,
    ),
    "NULL": (Procedure, procedure(5, " NULL "), "missing_value", "ProcedureDescription", 5),
    r"\N": (Procedure, procedure(5, r"\N"), "missing_value", "ProcedureDescription", 5),
    "delimiters alone": (
        Transaction,
        charge("", "", "", ""),
        "missing_value",
        "TransactionIdentifier",
        None,
    ),
    "the first of two missing": (
        Transaction,
        charge(5, "", 7, ""),
        "missing_value",
        "VisitIdentifier",
        5,
    ),
    "missing after invalid": (Transaction, charge(5, "x", 7, ""), "missing_value", "Amount", 5),
    "missing before invalid": (
        Transaction,
        charge(5, "", "x", 4),
        "missing_value",
        "VisitIdentifier",
        5,
    ),
    "no admit date": (Visit, stay(admit_date="NULL"), "missing_value", "AdmitDate", 5),
    "2^63": (
        Procedure,
        procedure("9223372036854775808", "a"),
        "invalid_integer",
        "ProcedureId",
        None,
    ),
    "-2^63-1": (
        Procedure,
        procedure("-9223372036854775809", "a"),
        "invalid_integer",
        "ProcedureId",
        None,
    ),
    "2^63 elsewhere": (Transaction, charge(5, 6, 2**63, 8), "invalid_integer", "ProcedureId", 5),
    "full-width digits": (
        Procedure,
        procedure("\uff15", "a"),
        "invalid_integer",
        "ProcedureId",
        None,
    ),
    "an underscore": (Procedure, procedure("1_000", "a"), "invalid_integer", "ProcedureId", None),
    "a float": (Transaction, charge(5, "6.0", 7, 8), "invalid_integer", "VisitIdentifier", 5),
    "NaN": (Transaction, charge(5, 6, "NaN", 8), "invalid_integer", "ProcedureId", 5),
    "a BOM before the key": (
        Procedure,
        procedure("\ufeff5", "a"),
        "invalid_integer",
        "ProcedureId",
        None,
    ),
    "integer first": (
        Visit,
        stay(guarantor_identifier="x", admit_date="x", visit_balance="x"),
        "invalid_integer",
        "GuarantorIdentifier",
        5,
    ),
    "2/30/2021": (Visit, stay(admit_date="2/30/2021"), "invalid_date", "AdmitDate", 5),
    "the year 21": (Visit, stay(admit_date="1/2/21"), "invalid_date", "AdmitDate", 5),
    "the year 0021": (Visit, stay(admit_date="1/2/0021"), "invalid_date", "AdmitDate", 5),
    "a time of day": (
        Visit,
        stay(admit_date=20210101, discharge_date="1/2/2021 10:30"),
        "invalid_date",
        "DischargeDate",
        5,
    ),
    "date before amount": (
        Visit,
        stay(admit_date=20210101, discharge_date="x", visit_balance="x"),
        "invalid_date",
        "DischargeDate",
        5,
    ),
    "1e3": (Transaction, charge(5, 6, 7, "1e3"), "invalid_amount", "Amount", 5),
    "NaN as money": (Transaction, charge(5, 6, 7, "NaN"), "invalid_amount", "Amount", 5),
    "a fraction of a cent": (
        Visit,
        stay(admit_date=20210101, visit_balance="1.005"),
        "invalid_amount",
        "VisitBalance",
        5,
    ),
    "thirteen digits": (Transaction, charge(5, 6, 7, 1234567890123), "invalid_amount", "Amount", 5),
}


@pytest.mark.parametrize(("entity", "line", "reason", "column", "key"), BAD.values(), ids=BAD)
def test_bad_rows(
    entity: type[Entity], line: bytes, reason: str, column: str | None, key: int | None
) -> None:
    """A bad row is put aside with line, key, reason, column and text, and its neighbours load."""
    raw = line.decode("utf-8", "backslashreplace").replace("\0", r"\x00")
    reject = (3, key, reason, column, raw)
    assert parsed(between(entity, line), entity) == (around(entity), [reject])


GOOD: dict[str, tuple[type[Entity], bytes, Row]] = {
    "+5": (Procedure, procedure("+5", "five"), (5, "five")),
    "leading zeros": (Procedure, procedure("0005", "five"), (5, "five")),
    "2^63-1": (Procedure, procedure("9223372036854775807", "a"), (2**63 - 1, "a")),
    "-2^63": (Procedure, procedure("-9223372036854775808", "a"), (-(2**63), "a")),
    "spaces around": (Transaction, charge("  5 ", " 6", "7  ", "8.1 "), (5, 6, 7, 810)),
    "whole cells quoted": (Transaction, charge('"5"', '"6"', '" 7 "', ' "-8" '), (5, 6, 7, -800)),
    "a quoted cell": (Procedure, procedure(5, '"Ace ""soft"" bandage"'), (5, 'Ace "soft" bandage')),
    "a delimiter in quotes": (Procedure, procedure(5, '"Ace, soft"'), (5, "Ace, soft")),
    "delimiter and quotes": (Procedure, procedure('"5"', ' "A ""b"", c" '), (5, 'A "b", c')),
    "ends with a delimiter": (Procedure, procedure(5, '"Ace,"'), (5, "Ace,")),
    "money in quotes": (Transaction, charge(5, 6, 7, '"($1,005.50)"'), (5, 6, 7, -100550)),
    "a quote within": (Procedure, procedure(5, '5" bandage'), (5, '5" bandage')),
    "quoted in part": (Procedure, procedure(5, '"Ace" bandage'), (5, '"Ace" bandage')),
    "quoted in part at the end": (Procedure, procedure(5, 'Ace "soft"'), (5, 'Ace "soft"')),
    "a quote that never closes": (Procedure, procedure(5, '"Ace bandage'), (5, '"Ace bandage')),
    "a quote alone": (Procedure, procedure(5, '"'), (5, '"')),
    "three quotes": (Procedure, procedure(5, '"""'), (5, '"""')),
    "four quotes": (Procedure, procedure(5, '""""'), (5, '"')),
    "trailing empty cells": (Procedure, procedure(5, "five") + b",, ,", (5, "five")),
    "quotes and empty cells": (Procedure, procedure(5, '"a,b"') + b",,", (5, "a,b")),
    "no line ends": (Procedure, procedure(5, "a\u2028b\x85c\x1cd"), (5, "a\u2028b\x85c\x1cd")),
    "other spaces stay": (Procedure, procedure(5, "\xa0a	b	"), (5, "\xa0a\tb\t")),
    "text like a number": (Procedure, procedure(5, "007"), (5, "007")),
    "null in lower case is text": (Procedure, procedure(5, "null"), (5, "null")),
    "NULL where it may be": (
        Visit,
        stay(
            visit_identifier=1,
            guarantor_identifier=2,
            admit_date="12/1/2021",
            discharge_date="NULL",
            visit_balance=r"\N",
            insurance_identifier='""',
        ),
        FIRST[Visit][1],
    ),
}


@pytest.mark.parametrize(("entity", "line", "values"), GOOD.values(), ids=GOOD)
def test_good_rows(entity: type[Entity], line: bytes, values: Row) -> None:
    """A row that is written oddly but says what it means is kept, as are its neighbours."""
    row = (3, line.decode(), *read(entity, *values))
    assert parsed(between(entity, line), entity) == (around(entity, row), [])


@pytest.mark.parametrize("start", ["x^", "x\x01", "x\u0680"])
def test_magic_numbers(start: str) -> None:
    """A first line that starts like compressed data is a line like any other."""
    row = procedure(start, "a")
    data = b"\n".join([HEADER[Procedure], row, LAST[Procedure][0]])
    reject = (2, None, "invalid_integer", "ProcedureId", row.decode())
    assert parsed(data) == (around(Procedure, last=3)[1:], [reject])


SPANS: dict[str, tuple[bytes, list[int], list[int]]] = {
    "two lines": (b'5,"Ace\nsoft"', [], [3, 4]),
    "two lines, the second splits evenly": (b'5,"Ace\nsoft, red"\n6,six', [5], [3, 4]),
    "three lines": (b'5,"Ace\nsoft\nbandage"', [], [3, 4, 5]),
    "three lines, the last splits evenly": (b'5,"Ace\nsoft\n6,bandage"', [], [3, 4, 5]),
    "three lines, each splits evenly": (b'5,"Ace\nsoft, red\nor, blue"', [], [3, 4, 5]),
    "three lines, one of them holds quotes": (b'5,"Ace\nx""y\n6,bandage"', [], [3, 4, 5]),
    "three lines, one holds a lone quote": (b'5,"Ace\nx"y\n6,bandage"', [], [3, 4, 5]),
    "a blank line within": (b'5,"Ace\n\nbandage"', [], [3, 5]),
    "a delimiter within": (b'5,"Ace, soft\nand, red"', [], [3, 4]),
    "two cells in turn": (b'5,"a\nb"\n6,"c\nd"', [], [3, 4, 5, 6]),
    "one closes where the next opens": (b'"\n",', [], [3, 4]),
    "in the first cell": (b'"5\n6",six', [], [3, 4]),
    "a stray quote, then good rows": (b'5,"Ace\n6,six', [3, 4], []),
    "a stray quote, then a malformed line": (b'5,"Ace\n7,7,7\n6,six', [3, 5], [4]),
    "two stray quotes, then a malformed line": (b'5,"a\n6,"b\n7,7,7', [3, 4], [5]),
    "a stray quote, then quoted cells": (b'5,"Ace\n6,"six"', [3, 4], []),
    "a malformed line, then a quote that closes": (b'7,7,7\n5,5"\n6,six', [4, 5], [3]),
    "a whole cell that ends like an opening one": (b'5,"Ace,"""\n7,7,7"', [3], [4]),
}


@pytest.mark.parametrize("block_bytes", [1, 2, 7, 40, BLOCK_BYTES])
@pytest.mark.parametrize(("lines", "good", "bad"), SPANS.values(), ids=SPANS)
def test_cells_across_lines(
    lines: bytes, good: list[int], bad: list[int], block_bytes: int
) -> None:
    """The pieces of a cell that spans lines are rejected, and nothing else, wherever blocks end."""
    rows, rejects = parsed(between(Procedure, lines), block_bytes=block_bytes)
    every = [b"", HEADER[Procedure], FIRST[Procedure][0], *lines.split(b"\n")]
    ends = [(2, "1,one"), *((n, every[n].decode()) for n in good), (len(every), "9,nine")]
    assert [row[:2] for row in rows] == ends
    where = [(line, reason, column, raw) for line, _, reason, column, raw in rejects]
    assert where == [(n, "malformed", None, every[n].decode()) for n in bad]


@pytest.mark.parametrize("block_bytes", [1 << 16, BLOCK_BYTES, 8 * MIB])
@pytest.mark.parametrize("letter", ["x", "é"])
def test_line_limit(letter: str, block_bytes: int) -> None:
    """A line of 1 MiB is read, one byte more is too long, and what is kept are 1,024 characters."""
    text = "55,-" + letter * ((MIB - 4) // len(letter.encode()))
    full = text.encode()
    assert len(full) == MAX_LINE_BYTES == MIB
    rows = around(Procedure, (3, text, 55, text[3:]))
    assert parsed(between(Procedure, full), block_bytes=block_bytes) == (rows, [])
    reject = (3, 55, "line_too_long", None, text[:1024])
    for beyond in (b"x", letter.encode() * MIB, b",", b'"\xff\0'):
        data = between(Procedure, full + beyond)
        assert parsed(data, block_bytes=block_bytes) == (around(Procedure), [reject])


@pytest.mark.parametrize("end", [b'7,soft"', b'soft",'], ids=["a good row", "no row"])
@pytest.mark.parametrize("where", ["first", "between", "last"])
def test_a_line_that_is_too_long_is_no_piece_of_a_cell(where: str, end: bytes) -> None:
    """What was kept of it says nothing of quotes, so it stays too long, and its neighbours rows."""
    long = {
        "first": b'5,"' + b"x" * MIB + b"\n" + end,
        "between": b'4,"four\n' + b"x" * MIB + b"x\n" + end,
        "last": b'4,"four\nx' + b"x" * MIB + b'"',
    }[where]
    file = between(Procedure, long)
    _, rejects = parsed(file)
    assert [reason for _, _, reason, _, _ in rejects].count("line_too_long") == 1
    expected = reference.read("Procedure", file)[1]
    assert {(line, reason) for line, _, reason, _, _ in rejects} == {
        (line, reason) for line, _, reason, _ in expected
    }


def test_short_line_of_long_escapes() -> None:
    """Whether a line is too long is asked of its bytes, not of how they are written out."""
    line = b"5," + b"\xff" * (MIB // 2)
    reject = (3, 5, "invalid_encoding", None, "5," + r"\xff" * (MIB // 2))
    assert parsed(between(Procedure, line)) == (around(Procedure), [reject])


class Endless:
    """A source of a header, then 200 MB without a line end, then a good row."""

    def __init__(self) -> None:
        """Start with the header."""
        self._blocks = chain(
            [HEADER[Procedure] + b"\n1,one\n5,"], repeat(b"x" * 1_000_000, 200), [b"\n9,nine"]
        )

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, which may be fewer than asked for."""
        block = next(self._blocks, b"")
        assert size >= len(block)
        return block


def test_endless_line() -> None:
    """A line of 200 MB is rejected in constant memory."""
    tracemalloc.start()
    try:
        batches = list(Parser(Endless(), Procedure).batches())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [row for batch in batches for row in batch.rows.rows()] == around(Procedure)
    assert [row for batch in batches for row in batch.rejects.rows()] == [
        (3, 5, "line_too_long", None, "5," + "x" * 1022)
    ]
    assert peak < 32 * MIB


WANTED = header_line(Procedure, ", ")
EMPTY = f"is empty; its first line must name {WANTED}"
BLANK = f"line 1 is empty; it must name {WANTED}"
LACKS = "line 1 lacks the columns {}; the whole file is needed again"
NO_HEADER = (
    "line 1 lacks the columns {}; it looks like a row, and the header is missing: the whole file is"
    " needed again"
)
DOUBLED = "line 1 names {} more than once; one of them must go"
BAD_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", EMPTY),
    "UTF-8 BOM alone": (codecs.BOM_UTF8, EMPTY),
    "UTF-16 BOM alone": (codecs.BOM_UTF16_LE, EMPTY),
    "blank first line": (b" \n" + between(Procedure, b""), BLANK),
    "no header": (b"5\tJane Doe\n6\tJohn Doe\n", NO_HEADER.format(WANTED)),
    "a column missing": (b"ProcedureId,Jane Doe\n5,x\n", LACKS.format("ProcedureDescription")),
    "another type's header": (HEADER[Visit], LACKS.format(WANTED)),
    "two delimiters": (b"ProcedureId,x\tProcedureDescription", LACKS.format("ProcedureId")),
    "UTF-16 without a BOM": (
        HEADER[Procedure].decode().encode("utf-16-le"),
        "is text in UTF-16 without a byte order mark: ask for UTF-8",
    ),
    "a doubled column": (HEADER[Procedure] + b", PROCEDUREid ", DOUBLED.format("ProcedureId")),
    "two doubled columns": (b"|".join(HEADER[Procedure].split(b",") * 2), DOUBLED.format(WANTED)),
    "a row run into the header": (
        HEADER[Procedure] + b",5,five\n",
        "line 1 names a column with a number; a row has run into it: part the two",
    ),
    "too many columns": (
        HEADER[Procedure] + b"".join(b",x%d" % number for number in range(1000)),
        "line 1 has 1,002 columns, more than 1,000; is it one line?",
    ),
    "a row run into the header, and rows": (
        HEADER[Procedure] + b",5,five\n6,six\n7,seven\n",
        "line 1 names a column with a number; a row has run into it: part the two",
    ),
    "SQL": (HEADER[Procedure] + b"); DROP TABLE x; --", LACKS.format("ProcedureDescription")),
    "a header beyond the limit": (b"Doe," * MIB + HEADER[Procedure], LACKS.format(WANTED)),
}


@pytest.mark.parametrize(("data", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_files(data: bytes, message: str) -> None:
    """A file without a usable header fails, and the message names columns of the model only."""
    with pytest.raises(FileError) as caught:
        Parser(io.BytesIO(data), Procedure, MIB)
    assert str(caught.value) == message


SQL = '"x"); DROP TABLE visits; --'
LAYOUTS: dict[str, tuple[bytes, bytes, str, tuple[str, ...]]] = {
    "another order": (b"ProcedureDescription,ProcedureId", b"five,5", ",", ()),
    "another letter case": (b"PROCEDUREID,procedureDESCRIPTION", b"5,five", ",", ()),
    "spaces": (b"  ProcedureId ,ProcedureDescription  ", b"5,five", ",", ()),
    "quotes": (b'"ProcedureId", "ProcedureDescription" ', b"5,five", ",", ()),
    "tabs": (b"ProcedureId\tProcedureDescription", b"5\tfive", "\t", ()),
    "pipes": (b"ProcedureId|ProcedureDescription", b"5|five", "|", ()),
    "semicolons": (b"ProcedureId;ProcedureDescription", b"5;five", ";", ()),
    "extra columns": (b"X,%s,Z" % HEADER[Procedure], b'"a,b",5,five,x', ",", ("X", "Z")),
    "trailing delimiters": (HEADER[Procedure] + b",,", b"5,five,,", ",", ()),
    "trailing delimiters, less in the row": (HEADER[Procedure] + b",,", b"5,five", ",", ()),
    "trailing delimiters, more in the row": (HEADER[Procedure] + b",", b'5,"five",,,', ",", ()),
    "a nameless column": (b"ProcedureId,,ProcedureDescription", b"5,x,five", ",", ()),
    "an extra column doubled": (HEADER[Procedure] + b",Doe,doe", b"5,five,,", ",", ("Doe", "doe")),
    "a number": (HEADER[Procedure] + b",835", b"5,five,x", ",", ("(a number)",)),
    "two numbers": (HEADER[Procedure] + b",835,837", b"5,five,,", ",", ("(a number)",) * 2),
    "a number, and trailing delimiters": (
        HEADER[Procedure] + b",835,,",
        b"5,five,x",
        ",",
        ("(a number)",),
    ),
    "a number ahead": (b"835,%s" % HEADER[Procedure], b"x,5,five", ",", ("(a number)",)),
    "one of an export's columns": (
        b"RejectReason,%s" % HEADER[Procedure],
        b"x,5,five",
        ",",
        ("RejectReason",),
    ),
    "two marks": (b"\xef\xbb\xbf" * 2 + HEADER[Procedure], b"5,five", ",", ()),
    "a mark in quotes": (b'"\xef\xbb\xbfProcedureId",ProcedureDescription', b"5,five", ",", ()),
    "a mark taken for letters": (
        "\u00ef\u00bb\u00bf".encode() + HEADER[Procedure],
        b"5,five",
        ",",
        (),
    ),
    "no-break spaces": (
        "\u00a0ProcedureId\u202f,ProcedureDescription\u2007 ".encode(),
        b"5,five",
        ",",
        (),
    ),
    "a no-break space of Windows": (HEADER[Procedure] + b"\xa0", b"5,five", ",", ()),
    "no width": (
        "\u200bProcedureId\u2060,\u200dProcedureDescription\u00ad\u200c".encode(),
        b"5,five",
        ",",
        (),
    ),
    "ANSI": (HEADER[Procedure] + b",\x1b[1m\xff", b"5,five,x", ",", (r"\x1b[1m\xff",)),
    "a very long name": (HEADER[Procedure] + b"," + b"x" * 99, b"5,five,x", ",", ("x" * 64,)),
    "SQL": (HEADER[Procedure] + b"," + SQL.encode(), b"5,five,x", ",", (SQL,)),
}


@pytest.mark.parametrize(("header", "line", "delimiter", "extra"), LAYOUTS.values(), ids=LAYOUTS)
def test_layouts(header: bytes, line: bytes, delimiter: str, extra: tuple[str, ...]) -> None:
    """Columns are found by name under any delimiter, and unknown ones are told."""
    data = header + b"\n" + line
    layout = Parser(io.BytesIO(data), Procedure).layout
    unmarked = header.removeprefix(codecs.BOM_UTF8)
    assert layout.header == unmarked.decode("utf-8", "backslashreplace")
    assert (layout.entity, layout.delimiter, layout.extra) == (Procedure, delimiter, extra)
    assert parsed(data) == ([(2, line.decode(), 5, "five")], [])


MENDED = ("RejectReason", "RejectColumn", "RejectFile", "RejectLine")


@pytest.mark.parametrize(
    ("names", "mended"),
    [
        (MENDED, True),
        (tuple(f'"{name.upper()}"' for name in MENDED), True),
        (("\ufeffRejectReason ", *MENDED[1:]), True),
        (("RejectReasonCode",), False),
        (MENDED[:1], False),
        (MENDED[:3], False),
        ((*MENDED[1:], MENDED[0]), False),
        (("Other", *MENDED), False),
        (("RejectReason Code", *MENDED[1:]), False),
    ],
)
@pytest.mark.parametrize("delimiter", ["\t", ",", "|", ";"])
def test_mended_files(names: tuple[str, ...], delimiter: str, *, mended: bool) -> None:
    """A file holds mended rows if all that an export puts ahead is there, in its order."""
    header = delimiter.join([*names, header_line(Procedure, delimiter)])
    row = delimiter.join([*"x" * len(names), line(Procedure, delimiter)])
    data = f"{header}\n{row}\n".encode()
    layout = Parser(io.BytesIO(data), Procedure).layout
    assert layout.is_resubmission is mended
    assert Layout.of(Procedure, layout.header).is_resubmission is mended


DATES: dict[str, tuple[list[bytes], bool]] = {
    "no dates": ([b"", b"NULL"], False),
    "either": ([b"5/3/2021", b"12/12/2021"], False),
    "month first": ([b"5/3/2021", b"5/13/2021"], False),
    "day first": ([b"5/3/2021", b"13/3/2021"], True),
    "day first, the last of all": ([b"5/3/2021"] * 9 + [b"31/12/2021"], True),
    "both": ([b"13/3/2021", b"5/3/2021", b"3/13/2021"], False),
    "both in one": ([b"13/3/2021", b"14/14/2021"], False),
    "with a time": ([b"5/3/2021 0:00", b"13/3/2021 10:30"], True),
    "in quotes and spaces": ([b' "13/03/2021" '], True),
    "no day of any month": ([b"32/3/2021", b"13/0/2021"], False),
    "another shape": ([b"13/3/21", b"13-3-2021", b"13.3.2021", b"2021-12-13"], False),
}


@pytest.mark.parametrize("block_bytes", [30, BLOCK_BYTES])
@pytest.mark.parametrize("column", ["admit_date", "discharge_date"])
@pytest.mark.parametrize(("cells", "expected"), DATES.values(), ids=DATES)
def test_day_first(cells: list[bytes], column: str, block_bytes: int, *, expected: bool) -> None:
    """Dates are day-first if a day stands first somewhere and second nowhere, also in bad rows."""
    rows = (written(Visit, visit_identifier="x", **{column: cell}) for cell in cells)
    lines = [HEADER[Visit], *rows]
    parser = Parser(io.BytesIO(b"\n".join(lines)), Visit, block_bytes)
    assert sum(batch.rows_read for batch in parser.batches()) == len(cells)
    assert parser.is_day_first is expected


def test_a_slashed_text_is_no_date() -> None:
    """Only the columns of dates say how dates are written."""
    parser = Parser(io.BytesIO(HEADER[Procedure] + b"\n5,13/3/2021\n"), Procedure)
    assert sum(batch.rows_read for batch in parser.batches()) == 1
    assert parser.is_day_first is False


LINE_ENDS = {
    "LF": ("H\nA\n5\nZ\n", (2, 3, 4)),
    "CRLF": ("H\r\nA\r\n5\r\nZ\r\n", (2, 3, 4)),
    "CR": ("H\rA\r5\rZ\r", (2, 3, 4)),
    "mixed": ("H\rA\r\n5\nZ", (2, 3, 4)),
    "no end": ("H\nA\n5\nZ", (2, 3, 4)),
    "blanks between": ("H\r\n\r\nA\r\r5\n \n   \n\rZ\r\r", (3, 5, 9)),
    "blanks at the end": ("H\n\n\nA\n\n5\nZ\n\n \n  ", (4, 6, 7)),
}


@pytest.mark.parametrize(("text", "lines"), LINE_ENDS.values(), ids=LINE_ENDS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be"])
def test_line_ends_and_encodings(text: str, lines: tuple[int, ...], encoding: str) -> None:
    """Line ends of any kind count once, blank lines are passed over, wherever blocks end."""
    marked = text if encoding.startswith("utf-8") else f"\ufeff{text}"
    good = {"A": (1, "one"), "5": (5, "\U0001f9e8"), "Z": (9, "é")}
    whole = {short: procedure(*values).decode() for short, values in good.items()}
    data = "".join(({"H": HEADER[Procedure].decode()} | whole).get(each, each) for each in marked)
    rows = [
        (number, whole[short], *read(Procedure, *values))
        for number, (short, values) in zip(lines, good.items(), strict=True)
    ]
    for block_bytes in (1, 2, 3, 4, 7, 30, BLOCK_BYTES):
        assert parsed(data.encode(encoding), block_bytes=block_bytes) == (rows, [])


@pytest.mark.parametrize("block_bytes", [5, BLOCK_BYTES])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_broken_utf_16(encoding: str, block_bytes: int) -> None:
    """Lone surrogates and half a character at the end reject their lines, and no others."""
    text = "\ufeffProcedureId,ProcedureDescription\n1,one\n5,\ud83e\n6,\udde8x\n7,\0\n9,nine\n8,a"
    data = text.encode(encoding, "surrogatepass") + b"\x63"
    assert parsed(data, block_bytes=block_bytes) == (
        around(Procedure, last=6),
        [
            (3, 5, "invalid_encoding", None, r"5,\xed\xa0\xbe"),
            (4, 6, "invalid_encoding", None, r"6,\xed\xb7\xa8x"),
            (5, 7, "invalid_encoding", None, r"7,\x00"),
            (7, 8, "invalid_encoding", None, r"8,a\xff"),
        ],
    )


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\r", b"\n \n\n"])
def test_header_only(end: bytes) -> None:
    """A file of nothing but its header, or blank lines after it, has no rows."""
    assert parsed(HEADER[Procedure] + end) == ([], [])


PIECES = [b"1", b"a", b'"', b'"', b'""', b",", b",", b" ", b"\xff", b"\0", b"\xc3\xa9"]
USUAL = [b"", b"  ", b"1,one", b'5,"a, b"', b'6,"open', b'7,close"', b"x", b'y"z', b",,"]
LINES = st.sampled_from(USUAL) | st.lists(st.sampled_from(PIECES), max_size=9).map(b"".join)
ENDS = st.sampled_from([b"\n", b"\n", b"\r\n", b"\r"])


@given(
    lines=st.lists(st.tuples(LINES, ENDS), max_size=12),
    block_bytes=st.integers(1, 200),
    bom=st.sampled_from([b"", codecs.BOM_UTF8]),
    ended=st.booleans(),
)
def test_block_ends(
    lines: list[tuple[bytes, bytes]], block_bytes: int, bom: bytes, *, ended: bool
) -> None:
    """Where blocks end changes nothing, and each line that is not blank is told of once."""
    body = b"".join(line + end for line, end in lines)
    body = body if ended else body.rstrip(b"\r\n")
    data = HEADER[Procedure] + b"\n" + body
    rows, rejects = parsed(data)
    physical = enumerate(re.split(b"\r\n|\r|\n", data), 1)
    numbers = [number for number, line in physical if number > 1 and line.strip(b" ")]
    assert sorted([*(row[0] for row in rows), *(row[0] for row in rejects)]) == numbers
    assert parsed(bom + data, block_bytes=block_bytes) == (rows, rejects)


LETTERS = st.sampled_from('",;|\t \\aé') | st.characters(
    exclude_categories=["Cs"],
    exclude_characters="\r\n\0\x1a",  # the last of them would end the file
)
TEXTS = st.text(LETTERS).filter(lambda text: text.strip(" ") not in {"", "NULL", r"\N"})


@given(
    values=st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), TEXTS), max_size=12),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    delimiter=st.sampled_from("\t,|;"),
    block_bytes=st.sampled_from([9, 100, BLOCK_BYTES]),
)
def test_csv_reads_back(
    values: list[tuple[int, str]], quoting: Any, delimiter: str, block_bytes: int
) -> None:
    """What Python's csv wrote comes out as it went in, but for spaces around it."""
    target = io.StringIO()
    writer = csv.writer(target, delimiter=delimiter, quoting=quoting)
    writer.writerows([("ProcedureId", "ProcedureDescription"), *values])
    rows, rejects = parsed(target.getvalue().encode(), block_bytes=block_bytes)
    assert rejects == []
    assert [row[2:] for row in rows] == [(key, text.strip(" ")) for key, text in values]
