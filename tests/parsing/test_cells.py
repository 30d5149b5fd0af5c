import re
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_series_equal
from sqlalchemy import JSON, Boolean, Column, Integer, Numeric, String

from visitpay.models import Procedure, Transaction, Visit
from visitpay.parsing.values import ColumnKind, convert, kind_of, parse_amount, parse_date

INTEGER = kind_of(Visit.__table__.c.insurance_identifier)
DATE = kind_of(Visit.__table__.c.discharge_date)
AMOUNT = kind_of(Transaction.__table__.c.amount)
TEXT = kind_of(Procedure.__table__.c.procedure_description)

BOUND = 2**63
LARGEST = 10**14 - 1
"""The largest amount of numeric(14,2), in cents."""


def converted(cells: list[str | None], kind: ColumnKind) -> list[tuple[Any, bool]]:
    """Convert a column: for each cell its value, and whether it is invalid."""
    values, invalid = convert(pl.Series(cells, dtype=pl.String), kind)
    assert values.dtype == kind.dtype
    return list(zip(values, invalid, strict=True))


MARCH = date(2021, 3, 4)
DATES: dict[str, date | None] = {
    **dict.fromkeys(["3/4/2021", "03/04/2021", "3/04/2021", "2021-03-04", "20210304"], MARCH),
    **dict.fromkeys(["3/4/2021 0:00", "3/4/2021 00:00", "3/4/2021 0:00:00"], MARCH),
    **dict.fromkeys(["3/4/2021 12:00:00 AM", "3/4/2021 12:00 AM", "3/4/2021 12:00AM"], MARCH),
    **dict.fromkeys(["2021-03-04 00:00:00.000", "2021-03-04T00:00:00", "20210304 00:00"], MARCH),
    "2/29/2020": date(2020, 2, 29),
    "1/1/1900": date(1900, 1, 1),
    "12/31/2100": date(2100, 12, 31),
    **dict.fromkeys(["2/30/2021", "2/29/2021", "2/29/1900", "13/1/2021", "0/1/2021", "1/0/2021"]),
    **dict.fromkeys(["20210230", "2021-02-30", "2021-13-01", "00000000", "99999999"]),
    **dict.fromkeys(["3/4/21", "3/4/0021", "0021-03-04", "00210304", "12/31/1899", "1/1/2101"]),
    **dict.fromkeys(["3-4-2021", "2021/03/04", "2021-3-4", "2021-0304", "202103-04", "4.3.2021"]),
    **dict.fromkeys(["3/4/2021 10:30", "2021-03-04 00:01", "2021-03-04T00:00:00.5", "3/4/2021 0"]),
    **dict.fromkeys(["3/4/2021 12:00 PM", "3/4/2021 12:00", "2021-03-04T00:00:00Z"]),
    **dict.fromkeys(["3 /4/2021", " 3/4/2021", "3/4/2021\n", "003/4/2021", "3/4/02021", "2021034"]),
    **dict.fromkeys(["3/4/202\uff11", "\u0663/4/2021", "2021\u221203\u221204", "+3/4/2021", "x"]),
}

AMOUNTS: dict[str, int | None] = {
    "0": 0,
    "-0": 0,
    "-0.00": 0,
    **dict.fromkeys(["5", "+5", "5.", "5.0", "5.00", "5.000", "$5", "$5.00", "0005"], 500),
    **dict.fromkeys(["-20", "-20.0", "(20.00)", "(20)", "($20)", "-$20", "$-20", "-20.000"], -2000),
    **dict.fromkeys([".5", "$.50", "0.5", "+.5"], 50),
    **dict.fromkeys(["1005.5", "$1,005.50", "1,005.50", "+$1,005.5"], 100550),
    **dict.fromkeys(["($1,005.50)", "-1,005.50", "$-1,005.50"], -100550),
    **dict.fromkeys(["999999999999.99", "$999,999,999,999.99"], LARGEST),
    "-999999999999.99": -LARGEST,
    **dict.fromkeys(["0.29", "$0.29"], 29),
    **dict.fromkeys(["1e3", "1E400", "NaN", "nan", "inf", "-Infinity", "0x10", "1_000", "x"]),
    **dict.fromkeys(["1.005", "0.001", "(0.005)", "999999999999.999", "1,005.501"]),
    **dict.fromkeys(["1000000000000", "1234567890123", "-1,000,000,000,000", "9" * 400]),
    **dict.fromkeys(["1,00", "1,0000", "10,05.50", ",100", "1,,000", "1000,000", "1.000,50"]),
    **dict.fromkeys(["--5", "+-5", "-$-5", "(-5)", "($-5)", "-(5)", "(5", "5)", "((5))", "5-"]),
    **dict.fromkeys([".", "$", "-", "+", "()", "($)", "$.", "-.", "1.2.3", "$$5", "5$", "5 USD"]),
    **dict.fromkeys(["- 5", "$ 5", "( 5 )", " 5", "5\n", "\uff15", "\u0665", "\u22125", "\u20ac5"]),
}

INTEGERS: dict[str, int | None] = {
    **dict.fromkeys(["5", "+5", "005", "+0005", "0" * 40 + "5"], 5),
    **dict.fromkeys(["0", "-0", "+0"], 0),
    "-5": -5,
    **dict.fromkeys([str(BOUND - 1), f"+{BOUND - 1}"], BOUND - 1),
    str(-BOUND): -BOUND,
    **dict.fromkeys([str(BOUND), str(-BOUND - 1), "9" * 400]),
    **dict.fromkeys(["1_000", "1,000", "5.0", "5.", "1e3", "NaN", "inf", "true", "0x10", "x"]),
    **dict.fromkeys(["+", "-", "--5", "+-5", "5-", " 5", "5 5", "5\n", "5\t", "5\0"]),
    **dict.fromkeys(["\uff15", "\u0665", "\u00b2", "\u22125", "\ufeff5"]),
}

TEXTS = {
    text: text for text in ["x", "null", "Null", r"\n", "N/A", "0", '"', "\xa0", "\0", "NULL."]
}


@pytest.mark.parametrize(("cell", "expected"), DATES.items(), ids=map(ascii, DATES))
def test_parse_date(cell: str, expected: date | None) -> None:
    """A date is read in three forms, at midnight, in a plausible year, or not at all."""
    assert parse_date(cell) == expected


@pytest.mark.parametrize(
    ("cell", "expected"), AMOUNTS.items(), ids=[ascii(a)[:30] for a in AMOUNTS]
)
def test_parse_amount(cell: str, expected: int | None) -> None:
    """An amount is read exactly, as it is usually written, or not at all."""
    assert parse_amount(cell) == expected


@pytest.mark.parametrize(
    ("kind", "reason", "table"),
    [
        (INTEGER, "invalid_integer", INTEGERS),
        (DATE, "invalid_date", DATES),
        (AMOUNT, "invalid_amount", AMOUNTS),
        (TEXT, None, TEXTS),
    ],
    ids=["integer", "date", "amount", "text"],
)
def test_convert(kind: ColumnKind, reason: str | None, table: dict[str, Any]) -> None:
    """A whole column and each cell alone say the same; no value at all is not invalid."""
    cells = [None, "", "NULL", r"\N", *table, *table]
    expected = [(value, value is None) for value in table.values()]
    assert kind.reason == reason
    assert converted(cells, kind) == [(None, False)] * 4 + expected * 2
    assert [converted([cell], kind)[0] for cell in table] == expected
    assert converted([None, ""], kind) == [(None, False)] * 2
    assert converted([], kind) == []


def test_other_columns() -> None:
    """Scale and precision come from the column, and a type that no kind reads is refused."""
    tenths = kind_of(Column(Numeric(3, 1)))
    assert converted(["99.9", "$9.90", "9.95", "100", "0.10"], tenths) == [
        *[(999, False), (99, False), (None, True), (None, True), (1, False)]
    ]
    for unsupported in (Boolean(), Integer(), String(32), JSON()):
        with pytest.raises(TypeError, match="take "):
            kind_of(Column(unsupported))


def test_every_date() -> None:
    """Every day of the window is read in every form."""
    first, last = date(1900, 1, 1), date(2100, 12, 31)
    days = [first + timedelta(n) for n in range((last - first).days + 1)]
    expected = pl.Series(days, dtype=pl.Date)
    none_invalid = pl.Series([False] * len(days))
    for write in ("{0.month}/{0.day}/{0.year}", "{0}", "{0:%Y%m%d}"):
        values, invalid = convert(pl.Series([write.format(day) for day in days]), DATE)
        assert_series_equal(values, expected)
        assert_series_equal(invalid, none_invalid)


def written(cents: int, form: str) -> str:
    """Write an amount as a form says: parentheses, dollar sign, commas, zeros more or fewer."""
    text = f"{abs(cents) // 100:{',' if ',' in form else ''}}.{abs(cents) % 100:02}"
    text = text.rstrip("0").rstrip(".") if "r" in form else text
    text = f"{text}00" if "z" in form and "." in text else text
    text = f"${text}" if "$" in form else text
    return text if cents >= 0 else f"({text})" if "(" in form else f"-{text}"


def test_written() -> None:
    """The forms in which amounts are written here are those that the feed uses."""
    assert [written(-100550, form) for form in ("", "(", "$", "$,(", "r", "z", "rz")] == [
        *["-1005.50", "(1005.50)", "-$1005.50", "($1,005.50)", "-1005.5", "-1005.5000"],
        "-1005.500",
    ]


CENTS = st.integers(-LARGEST, LARGEST) | st.integers(-(10**6), 10**6)
AMOUNT_LISTS = st.lists(st.tuples(CENTS, st.text("(,$rz", max_size=5)), max_size=20)


@given(AMOUNT_LISTS)
def test_amounts_are_exact(amounts: list[tuple[int, str]]) -> None:
    """Any amount in range comes back to the cent, however it is written."""
    cells: list[str | None] = [written(cents, form) for cents, form in amounts]
    assert converted(cells, AMOUNT) == [(cents, False) for cents, _ in amounts]


@given(AMOUNT_LISTS, st.integers(1, 10**6))
def test_fractions_of_a_cent(amounts: list[tuple[int, str]], beyond: int) -> None:
    """An amount with a fraction of a cent is never rounded."""
    texts = [written(cents, form.translate({ord("r"): None})) for cents, form in amounts]
    cells: list[str | None] = [re.sub(r"\)?$", rf"{beyond}\g<0>", text, count=1) for text in texts]
    assert converted(cells, AMOUNT) == [(None, True)] * len(amounts)


def integer_of(cell: str) -> int | None:
    """Read a whole number of 64 bits, slowly and obviously."""
    if not re.fullmatch("[+-]?[0-9]+", cell):
        return None
    return int(cell) if -BOUND <= int(cell) < BOUND else None


@given(
    st.lists(
        st.integers(BOUND - 2, BOUND + 1).map(str)
        | st.integers(-BOUND - 2, -BOUND + 1).map(str)
        | st.integers().map("{:+}".format)
        | st.text("0123456789+-_., e\uff15\u0665", min_size=1, max_size=8),
        max_size=20,
    )
)
def test_integers(cells: list[str]) -> None:
    """A whole number is a sign and ASCII digits within 64 bits, and nothing else is."""
    expected = [integer_of(cell) for cell in cells]
    assert converted([*cells], INTEGER) == [(value, value is None) for value in expected]


@given(st.lists(st.text("0123456789.,$()+-", min_size=1, max_size=9), max_size=20))
def test_one_rule_for_amounts(cells: list[str]) -> None:
    """The rule for whole columns and the exact one agree on every cell."""
    expected = [parse_amount(cell) for cell in cells]
    assert converted([*cells], AMOUNT) == [(value, value is None) for value in expected]


@pytest.mark.parametrize(
    "numeric", [Numeric(), Numeric(14, 0), Numeric(2, 2), Numeric(18, 2)], ids=repr
)
def test_amounts_that_cannot_be_kept_exactly(numeric: Numeric[Any]) -> None:
    """A column of amounts without cents, or of more digits than a double holds, is refused."""
    with pytest.raises(TypeError, match="an amount has cents and at most 15 digits"):
        kind_of(Column("amount", numeric))
