"""Files that nobody would write, and how the parser and the plain one read them."""

import io
import re
import unicodedata
from datetime import date
from functools import partial

import pytest
from hypothesis import strategies as st

from tests.robustness import reference
from visitpay.errors import FileError
from visitpay.models import Entity, entity_named
from visitpay.parsing.columns import file_columns
from visitpay.parsing.parser import Parser

GOOD = {
    "integer": ["1", "23", "+7", "-0", "9223372036854775807"],
    "date": ["1/2/2021", "12/31/2021 0:00", "2021-02-28", "20211231", "2021-12-31T00:00:00"],
    "amount": ["5", "500", "5.5", "-20.25", "$1,005.50", "(20.00)", "7.500"],
    "text": ["Ace wrap", '5" wide', '"Ace" wrap', "7", "é", "a,b;c|d"],
}
ODD = [
    "",
    " ",
    "NULL",
    "\\N",
    "x",
    '"',
    '""',
    '"x',
    'x"',
    "1.234",
    "2/30/2021",
    "99999999999999999999",
]
ODD += [
    "1e3",
    "NaN",
    "--1",
    "$",
    "(5",
    "1/2/21",
    "\u00a05",
    "\x00",
    "\ufeff1",
    "12:00 AM",
    "\u2028",
    ".5",
    "5.",
]
GOOD["date"] += ["13/1/2021", "25/12/2020 0:00"]
CLOSING = [
    "",
    "",
    "",
    "",
    "Total: {}",
    "TRL|{}|END",
    "TRL\t{}",
    "TRAILER,{}",
    "({} rows affected)",
    "{} rows",
]
CLOSING += [
    '"Row count: {}"',
    '"TRL"|"{}"',
    "records = {} ",
    "EOF",
    "*** END OF REPORT ***",
    "<EOF>",
    "END",
]
CLOSING += [
    "Total: {}\nEOF",
    "EOF\n\nTRAILER {}",
    "EOF\nEOF",
    "Total {}",
    "{}",
    "Totals",
    "Total;{};;",
    "TRL",
]
UNSEEN = [
    "",
    "",
    "",
    "",
    "\u00a0",
    "\u200b",
    "\ufeff",
    "\u00ad ",
    "\u2060\u200d",
    "\u00ef\u00bb\u00bf",
]
ENDS = ["\n", "\n", "\n", "\n", "\r\n", "\r", "\n\n"]


@st.composite
def cells(draw: st.DrawFn, kind: str, delimiter: str) -> str:
    """Return a cell: good most of the time, quoted now and then, with a delimiter or a line end."""
    cell = draw(st.sampled_from(GOOD[kind] * 3 + ODD))
    how = draw(st.integers(0, 19))
    if how == 0:
        cell = '"' + cell.replace('"', '""') + '"'
    elif how == 1:
        cell = f'"{cell}{delimiter}{cell}"'
    elif how == 2:
        cell = f" {cell}  "
    elif how == 3:
        place = draw(st.integers(0, len(cell)))
        cell = cell[:place] + draw(st.sampled_from([delimiter, "\n", '"', "\r"])) + cell[place:]
    return cell


@st.composite
def files(draw: st.DrawFn) -> tuple[str, bytes]:
    """Return a type and a file of it, more or less."""
    entity = draw(st.sampled_from(list(reference.COLUMNS)))
    return entity, draw(contents(reference.COLUMNS[entity]))


@st.composite
def headers(draw: st.DrawFn, column: reference.Column) -> list[str]:
    """Return what a header calls a column: once, or perhaps not at all, or twice."""
    called = [column.name, *column.others]
    if column.due == date.min and not column.others:
        return called
    called += [form for name in called for form in (name.upper(), name.swapcase(), f'"{name}"')]
    called += [unicodedata.normalize("NFD", name) for name in called]
    times = draw(st.sampled_from([0, 0, 1, 1, 1, 1, 1, 2]))
    return [draw(st.sampled_from(called)) for _ in range(times)]


@st.composite
def contents(draw: st.DrawFn, of_model: list[reference.Column]) -> bytes:
    """Return a file of some columns, more or less."""
    delimiter = draw(st.sampled_from("\t\t,|;"))
    sent = [(name, column.kind) for column in of_model for name in draw(headers(column))]
    columns = draw(st.permutations(sent))
    extra = draw(st.lists(st.sampled_from(["", "Extra", "Other", "extra", "835"]), max_size=2))
    trailing = [delimiter * draw(st.sampled_from([0, 0, 0, 1, 2])) for _ in range(2)]
    kinds = [kind for _, kind in columns] + ["text"] * len(extra)
    names = [*(name for name, _ in columns), *extra]
    if draw(st.integers(0, 4)) == 0:
        unseen = st.sampled_from(UNSEEN)
        names = [draw(unseen) + name + draw(unseen) for name in names]
    header = delimiter.join(names) + trailing[0]
    lines = [header]
    for _ in range(draw(st.integers(0, 8))):
        row = [draw(cells(kind, delimiter)) for kind in kinds]
        lines.append(delimiter.join(row) + trailing[1])
        if draw(st.integers(0, 9)) == 0:
            damaged = draw(
                st.sampled_from(["x", "5", '5"', delimiter, "", header, lines[-1] + delimiter])
            )
            lines.append(damaged)
    count = sum(bool(line.strip(" ")) for each in lines[1:] for line in re.split("[\r\n]", each))
    said = f"{count + draw(st.sampled_from([0, 0, 0, 1])):,}"
    lines += draw(st.sampled_from(CLOSING)).format(said).split("\n")
    lines[-1] += delimiter * draw(st.sampled_from([0, 0, 0, 3]))
    text = "".join(line + draw(st.sampled_from(ENDS)) for line in lines)
    text += draw(st.sampled_from(["", "", "", "\x1a", "\x1a\r\n", " \n\x1a\x1a"]))
    text = text[: len(text) - draw(st.sampled_from([0, 0, 1, 1, 2, 5]))]
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16"]))
    data = text.encode(encoding)
    if draw(st.integers(0, 9)) == 0:
        place = draw(st.integers(0, len(data)))
        data = data[:place] + draw(st.binary(max_size=3)) + data[place:]
    return data


def parsed(
    model: type[Entity], data: bytes, block_bytes: int, day: date, *, ended: bool
) -> reference.Read:
    """Parse a file as a load does; whether files before it `ended` with a line end is known."""
    names = [column.name for column in file_columns(model)]
    rows: set[reference.Verdict] = set()
    rejects: set[reference.Verdict] = set()
    lines = 0
    parser = Parser(io.BytesIO(data), model, block_bytes, day)
    for batch in parser.batches(line_ends_expected=ended):
        rows |= set(batch.rows.select("source_line", *names).iter_rows())
        columns = ("line_number", "record_key", "reason", "column_name")
        rejects |= set(batch.rejects.select(columns).iter_rows())
        lines += batch.rows_read
        assert batch.rows_read == len(batch.rows) + len(batch.rejects)
    assert lines == len(rows) + len(rejects)
    return rows, rejects, parser.trailer_rows, parser.is_day_first


def compare(entity: str, data: bytes, block_bytes: int) -> None:
    """Read a file of a type both ways."""
    compare_as(entity_named(entity), data, block_bytes)


def compare_as(
    model: type[Entity], data: bytes, block_bytes: int, day: date = date.max
) -> reference.Read | None:
    """Read a file of a model and of a day both ways; return what it holds, None if refused."""
    read = partial(reference.read, reference.columns_of(model), data, day)
    parse = partial(parsed, model, data, block_bytes, day)
    try:
        expected = read()
    except reference.RefusedError:
        with pytest.raises(FileError):
            parse(ended=False)
        return None
    assert parse(ended=False) == expected
    if reference.is_cut(data):
        assert parse(ended=True) == read(ended=True)
    return expected
