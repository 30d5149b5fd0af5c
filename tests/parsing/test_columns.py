"""What the model says of columns: which a file may lack, until when, and what they were called."""

import io
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import MetaData
from sqlalchemy.orm import Mapped, mapped_column

from tests.robustness.fuzzing import compare_as, contents
from tests.robustness.reference import columns_of
from tests.support.entities import SINCE, Apart, Stay
from visitpay.errors import ConfigurationError, FileError
from visitpay.models import ENTITIES, BusinessKey, Code, Entity, Money
from visitpay.parsing.columns import model_columns
from visitpay.parsing.layout import Layout
from visitpay.parsing.parser import Parser
from visitpay.parsing.rows import LINE_SCHEMA, parse_again

DAY_BEFORE = SINCE - timedelta(days=1)

DUE = "Ward LeftOn FloorNumber Rebate"
"""The columns that are due since a day."""
FIRST = b"StayId,BeganOn\n7,2026-01-02\n"
"""A file of the first days, before there was any other column."""
ABSENT = {
    "ward": 'the "old" ward',
    "left_on": date(2026, 2, 28),
    "price": -100550,
    "floor": -1,
    "rebate": None,
    "remark": None,
}


def rows_of(data: bytes, day: date = date.max, entity: type[Entity] = Stay) -> pl.DataFrame:
    """Return the good rows of a file in which all rows are good."""
    (batch,) = Parser(io.BytesIO(data), entity, file_date=day).batches()
    assert batch.rejects.is_empty()
    return batch.rows.drop("raw", "source_line")


def refused(data: bytes, day: date = date.max) -> str:
    """Return why a file is refused."""
    with pytest.raises(FileError) as caught:
        Parser(io.BytesIO(data), Stay, file_date=day)
    return str(caught.value)


def test_absent_columns_have_their_default_or_null() -> None:
    """A file of a day on which they were not due yet is loaded with them, in the model's types."""
    (row,) = rows_of(FIRST, DAY_BEFORE).to_dicts()
    assert row == {"stay_id": 7, "began_on": date(2026, 1, 2), **ABSENT}
    whole = f"StayId,BeganOn,{DUE.replace(' ', ',')},Price,Remark\n8,20260103,x,20260104,1,2,3,y\n"
    frame = rows_of(whole.encode())
    assert rows_of(FIRST, DAY_BEFORE).select(frame.columns).schema == frame.schema


def test_a_column_is_due_since_its_day() -> None:
    """A file of that day must have it, and says since when; one that is optional need not come."""
    lacks = ", ".join(f"{name} (due in files since 2026-12-01)" for name in DUE.split())
    message = f"line 1 lacks the columns {lacks}; the whole file is needed again"
    assert refused(FIRST, SINCE) == message
    assert refused(FIRST) == message
    assert (
        refused(b"")
        == f"is empty; its first line must name StayId, BeganOn, {', '.join(DUE.split())}"
    )
    assert refused(b"", DAY_BEFORE) == "is empty; its first line must name StayId, BeganOn"
    data = FIRST.replace(b"BeganOn", b"Ward,BeganOn").replace(b"7,", b"7,North,")
    assert rows_of(data, DAY_BEFORE)["ward"].to_list() == ["North"]


def test_what_is_wrong_with_a_first_line_follows_what_is_due() -> None:
    """A header further down, or a row instead of one, is known by the columns of the file's day."""
    junk = b"Report of today\n" + FIRST
    assert "line 2 has them all: take away" in refused(junk, DAY_BEFORE)
    assert "has them all" not in refused(junk, SINCE)
    no_header = "it looks like a row, and the header is missing"
    for row in (b"7,2026-01-02", b"7,2026-01-02,North", b"7" + b"," * 7):
        assert no_header in refused(row, DAY_BEFORE)
    for row in (b"7", b"7" + b"," * 8):
        assert no_header not in refused(row, DAY_BEFORE)


@pytest.mark.parametrize("name", ["Ward", "WARD", "ward name", '"Ward Name"', " sTATION\u200b"])
def test_a_column_comes_under_any_of_its_names(name: str) -> None:
    """Its own or an alias, in any letter case, with quotes and what cannot be seen."""
    data = f"StayId,BeganOn,{name}\n7,2026-01-02,North\n".encode()
    assert rows_of(data, DAY_BEFORE)["ward"].to_list() == ["North"]
    assert Parser(io.BytesIO(data), Stay, file_date=DAY_BEFORE).layout.extra == ()


def test_names_are_compared_in_one_unicode_form() -> None:
    """A Mac writes an accent apart from its letter."""
    for name in ("Rem\u00e4rk", "rema\u0308rk", "REMA\u0308RK"):
        data = f"StayId,BeganOn,{name}\n7,2026-01-02,x\n".encode()
        assert rows_of(data, DAY_BEFORE)["remark"].to_list() == ["x"]


def test_a_column_is_named_once() -> None:
    """Its name and an alias are two, and so is an alias in two letter cases."""
    of_both = refused(b"StayId,BeganOn,Ward,Station\n", DAY_BEFORE)
    assert of_both == "line 1 names Ward or Station more than once; one of them must go"
    for header in (b"StayId,STAY,BeganOn", b"Stay,sTAY,BeganOn"):
        assert refused(header, DAY_BEFORE).startswith("line 1 names StayId or Stay more than once")


def test_a_delimiter_is_the_one_with_the_most_columns() -> None:
    """Also of those that a file may lack."""
    data = b"StayId;BeganOn;Ward,StayId,BeganOn\tx\n"
    assert Parser(io.BytesIO(data), Stay, file_date=DAY_BEFORE).layout.delimiter == ";"
    data = b"x\tStayId\tBeganOn,StayId,BeganOn,Ward\n"
    assert refused(data, SINCE).startswith("line 1 lacks the columns LeftOn")


OLD_HEADERS = {
    "of the first days": ("StayId,BeganOn", "7,2026-01-02", {"began_on": date(2026, 1, 2)}),
    "with nothing but the key": ("StayId,Other", "7,x", {"began_on": None}),
    "a column that came early": ("Stay,BeganOn,Etage", "7,2026-01-02,3", {"floor": 3}),
    "both names, one of no column then": (
        "Station,StayId,BeganOn,Ward",
        "x,7,20260102,y",
        {"ward": "y"},
    ),
    "a doubled one of no column then": (
        "StayId,Rebate,BeganOn,rebate",
        "7,1,20260102,",
        {"rebate": 100},
    ),
    "a column that was taken away": ("Gone,StayId,BeganOn", "x,7,2026-01-02", {"stay_id": 7}),
}


@pytest.mark.parametrize(("header", "line", "cells"), OLD_HEADERS.values(), ids=OLD_HEADERS)
def test_a_header_that_was_accepted_before(header: str, line: str, cells: dict[str, Any]) -> None:
    """It may lack any column but the key: what the model got since has its default, or NULL.

    A row that so lacks a value that must be there stays rejected.
    """
    lines = pl.DataFrame([(2, line)], LINE_SCHEMA, orient="row")
    batch = parse_again(lines, Layout.of(Stay, header))
    if cells == {"began_on": None}:
        assert batch.rejects.rows() == [(2, 7, "missing_value", "BeganOn", line)]
    else:
        (row,) = batch.rows.to_dicts()
        assert row | cells == row
        assert {name: row[name] for name in set(ABSENT) - set(cells)} == {
            name: value for name, value in ABSENT.items() if name not in cells
        }


def test_a_header_without_the_key_is_none() -> None:
    """Nobody can say which row it is."""
    with pytest.raises(FileError, match="lacks the columns StayId; it was loaded before: give"):
        Layout.of(Stay, "BeganOn,Ward")


@pytest.mark.parametrize("delimiter", ["\t", ","])
def test_exports_may_be_older_than_the_model(delimiter: str) -> None:
    """They may lack any column but the key, whatever their date."""
    names = ("RejectReason", "RejectColumn", "RejectFile", "RejectLine", "StayId", "BeganOn")
    row = ("invalid_date", "BeganOn", "x.txt", "3#1", "7", "2026-01-02")
    data = f"{delimiter.join(names)}\n{delimiter.join(row)}\n".encode()
    (read,) = rows_of(data).to_dicts()
    assert read == {"stay_id": 7, "began_on": date(2026, 1, 2), **ABSENT}
    assert "lacks the columns StayId;" in refused(data.replace(b"StayId", b"Key"))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    data=contents(columns_of(Stay)),
    day=st.sampled_from([DAY_BEFORE, DAY_BEFORE, SINCE]),
    block_bytes=st.sampled_from([20, 1 << 20]),
)
@example(data=FIRST, day=DAY_BEFORE, block_bytes=20)
def test_against_the_plain_parser(data: bytes, day: date, block_bytes: int) -> None:
    """Both read the same rows, whatever a file lacks and what it calls its columns."""
    compare_as(Stay, data, block_bytes, day)


def test_the_plain_parser_reads_what_the_other_does() -> None:
    """A file of the first days is a row of defaults in both, and refused by both when due."""
    read = compare_as(Stay, FIRST, 1 << 20, DAY_BEFORE)
    assert read is not None
    assert read[0] == {(2, 7, date(2026, 1, 2), *ABSENT.values())}
    assert compare_as(Stay, FIRST, 1 << 20, SINCE) is None


@pytest.mark.parametrize("entity", ENTITIES)
def test_the_models_can_be_used(entity: type[Entity]) -> None:
    """What the feed's own columns say of their files is right."""
    assert len(model_columns(entity)) > 1


NUMBERS = count()


def entity_with(annotation: Any, info: dict[str, Any], key_info: dict[str, Any]) -> type[Entity]:
    """Return an entity that has a column, and a key."""
    members = {
        "__tablename__": "odd",
        "__module__": __name__,
        "metadata": MetaData(),
        "__annotations__": {"odd_id": Mapped[BusinessKey], "ward": Mapped[annotation]},
        "odd_id": mapped_column(info=key_info),
        "ward": mapped_column(info=info),
    }
    return type(f"Odd{next(NUMBERS)}", (Apart,), members)


TYPES = "take one of int, date, Decimal, str"
MAY_HOLD = "which may hold header, aliases, optional, since, default"
NO_CELL = "ward has a default that no cell of a file can hold"
ONLY_ONE = "ward is optional and due since a day: only one of the two can be"
NEEDS = "ward is NOT NULL and may be absent: it needs a 'default' in its info"
REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "a typing error": (str, {"sinse": SINCE}, f"ward has 'sinse' in its info, {MAY_HOLD}"),
    "since a text": (
        str | None,
        {"since": "2026-12-01"},
        "ward has 'since' of a wrong type in its info: it must be date",
    ),
    "since a time": (
        str | None,
        {"since": datetime(2026, 12, 1)},  # noqa: DTZ001
        "ward has 'since' of a wrong type in its info: it must be date",
    ),
    "optional, in words": (
        str | None,
        {"optional": "no"},
        "ward has 'optional' of a wrong type in its info: it must be bool",
    ),
    "one alias without a comma": (
        str | None,
        {"aliases": ("Old")},
        "ward has 'aliases' of a wrong type in its info: it must be tuple or list",
    ),
    "an alias that is no text": (
        str | None,
        {"aliases": (5,)},
        "ward has a header or an alias that is no name",
    ),
    "an empty alias": (
        str | None,
        {"aliases": ("",)},
        "ward has a header or an alias that is no name",
    ),
    "a header that cannot be seen": (
        str | None,
        {"header": "\u200b"},
        "ward has a header or an alias that is no name",
    ),
    "an alias that is another's": (
        str | None,
        {"aliases": ("oddID",)},
        "ward has the name oddid in files, which odd_id has already",
    ),
    "an alias that is its own": (
        str | None,
        {"aliases": ("WARD",)},
        "ward has the name ward in files, which ward has already",
    ),
    "NOT NULL since a day": (str, {"since": SINCE}, NEEDS),
    "NOT NULL and optional": (str, {"optional": True}, NEEDS),
    "both": (str | None, {"optional": True, "since": SINCE}, ONLY_ONE),
    "a default of another type": (int, {"default": "1"}, "ward has a default that is no int"),
    "a default that is a bool": (
        int,
        {"default": True},
        "ward has 'default' of a wrong type in its info: it must be int or date or Decimal or str",
    ),
    "no default": (
        int | None,
        {"default": None},
        "ward has 'default' of a wrong type in its info: it must be int or date or Decimal or str",
    ),
    "an empty text": (str, {"default": ""}, NO_CELL),
    "a text that means NULL": (str, {"default": "NULL"}, NO_CELL),
    "a text with spaces around": (str, {"default": "x "}, NO_CELL),
    "a text of two lines": (str, {"default": "x\ny"}, NO_CELL),
    "a fraction of a cent": (Money, {"default": Decimal("1.005")}, NO_CELL),
    "a number beyond 64 bits": (int, {"default": 1 << 63}, NO_CELL),
    "a date beyond the years": (date, {"default": date(1899, 12, 31)}, NO_CELL),
    "a type of no cell": (
        bool,
        {},
        f"ward is of type Boolean(), and no cell becomes one: {TYPES}",
    ),
    "a short text": (
        Code,
        {},
        "ward is String(length=32): one cell that is too long fails its whole file, take Text",
    ),
}


@pytest.mark.parametrize(("annotation", "info", "message"), REFUSED.values(), ids=REFUSED)
def test_a_model_that_cannot_be_used(annotation: Any, info: dict[str, Any], message: str) -> None:
    """What a column says wrong of its files is told when the model is first used."""
    entity = entity_with(annotation, info, {})
    with pytest.raises(ConfigurationError) as caught:
        Parser(io.BytesIO(b"OddId,Ward\n"), entity)
    assert str(caught.value) == f"the model cannot be used: odd.{message}"


@pytest.mark.parametrize("info", [{"optional": True}, {"since": SINCE}, {"default": 1}])
def test_a_key_is_never_absent(info: dict[str, Any]) -> None:
    """It may have aliases, and nothing that lets a file lack it."""
    with pytest.raises(ConfigurationError, match="odd_id is the key: every file must have it"):
        model_columns(entity_with(str, {}, info))
    assert model_columns(entity_with(str, {}, {"aliases": ("Old",)}))[0].names == ("oddid", "old")


DEFAULTS = {
    "a whole number": (int, -7, "-7", -7),
    "money": (Money, Decimal("1E+2"), "100", 10000),
    "a date": (date, date(2026, 2, 28), "2026-02-28", date(2026, 2, 28)),
    "a text with a quote": (str, '5" wide', '"5"" wide"', '5" wide'),
    "a text that is quoted": (str, '"x"', '"""x"""', '"x"'),
    "a text like a formula": (str, "=x", "=x", "=x"),
}


@pytest.mark.parametrize(
    ("annotation", "default", "cell", "value"), DEFAULTS.values(), ids=DEFAULTS
)
def test_a_default_as_a_cell(annotation: Any, default: Any, cell: str, value: object) -> None:
    """A file that has it, as an export does, brings the value that an older file means."""
    entity = entity_with(annotation, {"optional": True, "default": default}, {})
    column = model_columns(entity)[1]
    assert (column.absent_cell, column.absent_value) == (cell, value)
    for data in (f"OddId;Ward\n7;{cell}\n", "OddId\n7\n"):
        assert rows_of(data.encode(), entity=entity)["ward"].to_list() == [value]
