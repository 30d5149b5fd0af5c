"""Rows that read well in two ways, and headers that do not fit their rows."""

import io

import pytest

from tests.support.feed import HEADERS
from visitpay.errors import FileError
from visitpay.layout import Layout
from visitpay.models import Entity, Procedure, Transaction, Visit, entity_named
from visitpay.parsing import Parser

PLAIN = {
    Procedure: ["301\tGauze", "302\tWrap", "303\tTape"],
    Visit: ["101\t7\t1/1/2021\t\t20.25\t5"] * 3,
    Transaction: ["1001\t101\t301\t5.50"] * 3,
}


def read(entity: type[Entity], *lines: str, header: str = "", last: bool = True) -> dict[int, str]:
    """Parse lines after three plain rows, and before one; give the reason of each but those."""
    plain = PLAIN[entity]
    text = [header or HEADERS[entity.__name__], *plain, *lines, *plain[:last], ""]
    verdicts: dict[int, str] = {}
    for batch in Parser(io.BytesIO("\n".join(text).encode()), entity).batches():
        verdicts |= dict.fromkeys(batch.rows["source_line"], "good")
        verdicts |= dict(batch.rejects.select("line_number", "reason").iter_rows())
    return {line: reason for line, reason in sorted(verdicts.items()) if line > 4}


@pytest.mark.parametrize(
    ("entity", "line", "verdict"),
    [
        (Visit, "102\t7\t1/1/2021\t\t\t500\t", "malformed"),  # or the balance, and no insurance
        (Visit, "102\t7\t1/1/2021\t\t5\t00\t", "malformed"),  # or a balance of 500
        (Visit, "102\t7\t1/1/2021\t\t20.25\t5\t", "good"),  # nothing else it could be
        (Visit, "102\t7\t1/1/2021\t\t\t\t", "good"),
        (Visit, "102\t7\t1/1/2021\t\t\t500\t\t", "good"),  # two more than there should be
        (Transaction, "1002\t101\t301\t5.50\t", "good"),
        (Procedure, "304\tGauze\t", "good"),
        (Procedure, '304\t"Gauze\twide"', "good"),
    ],
)
def test_a_delimiter_too_many(entity: type[Entity], line: str, verdict: str) -> None:
    """A row with an empty cell at its end is malformed if it reads well without another one."""
    assert read(entity, line) == {5: verdict, 6: "good"}


@pytest.mark.parametrize(
    ("entity", "lines", "verdicts"),
    [
        (Procedure, ["304\tGauze", " wide"], ["malformed", "malformed", "good"]),
        (Procedure, ["30", "4\tGauze"], ["malformed", "malformed", "good"]),
        (Procedure, ["304\tGauze", "", "wide"], ["good", "malformed", "good"]),
        (Procedure, ["304\tGauze", "305;Wrap"], ["good", "malformed", "good"]),
        (Procedure, ["304\tGauze", "305"], ["good", "malformed", "good"]),
        (Transaction, ["1002\t101\t301\t10", "5.50"], ["malformed", "malformed", "good"]),
        (Transaction, ["1002\t101\t301\t10.00", "Total: 7"], ["good", "malformed", "good"]),
        (Visit, ["102\t7\t1/1/2021\t\t5\t7", "3"], ["malformed", "malformed", "malformed"]),
        (Visit, ["102\t7\t1/1/2021\t\t5\t7", "x"], ["good", "malformed", "good"]),
    ],
)
def test_a_line_end_too_many(entity: type[Entity], lines: list[str], verdicts: list[str]) -> None:
    """A row beside a line of one cell is malformed if the two together read well as one."""
    assert list(read(entity, *lines).values()) == verdicts


def test_every_reading_is_judged_by_itself() -> None:
    """Quotes in one of them are no pieces of a cell of another."""
    header = "ProcedureId;ProcedureDescription;Other;Extra;"
    lines = [header, "1;x;y;z;", "2;x;y;z;", "3;x;y;z;", '7;$;NaN;";;', '8;x;y";"z;']
    (batch,) = Parser(io.BytesIO("\n".join(lines).encode()), Procedure).batches()
    assert batch.rejects.select("line_number", "reason").rows() == [(5, "malformed")]


def test_pieces_of_a_quoted_cell_are_no_piece_of_the_row_before() -> None:
    """What a quote opened belongs to the row that it is in."""
    verdicts = read(Procedure, "304\tGauze", '"30', '5"\tWrap')
    assert list(verdicts.values()) == ["good", "malformed", "malformed", "good"]


@pytest.mark.parametrize(
    ("trailer", "line", "verdict"),
    [
        ("\t", "102\t7\t1/1/2021\t\t500\t", "malformed"),  # any delimiter may be missing
        ("\t", "102\t7\t1/1/2021\t\t500\t7", "good"),  # only the last one can
        ("\t", "102\t7\t1/1/2021\t\t500\t\t", "good"),
        ("", "102\t7\t1/1/2021\t\t500\t", "good"),
    ],
)
@pytest.mark.parametrize("header_trailer", ["", "\t", "\t\t"])
def test_most_rows_say_how_a_row_ends(
    header_trailer: str, trailer: str, line: str, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Delimiters at the end of most rows are part of every row, whatever the header has."""
    monkeypatch.setitem(PLAIN, Visit, [row + trailer for row in PLAIN[Visit]])
    header = HEADERS["Visit"] + header_trailer
    assert read(Visit, line, header=header)[5] == verdict


LACKS = "line 1 lacks the columns ProcedureId, ProcedureDescription; "
AGAIN = "the whole file is needed again"


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            "Report\n \nProcedureId\tProcedureDescription",
            LACKS + "line 3 has them all: take away what stands before it",
        ),
        (
            "300\tGauze",
            LACKS + "it looks like a row, and the header is missing: " + AGAIN,
        ),
        ("Procedure\tDescription", LACKS + AGAIN),
        (
            "ProcedureId,ProcedureDescription",
            "line 1 is split by commas, the rows by tabs; make them the same",
        ),
        (
            "ProcedureId\t\tProcedureDescription",
            "line 1 has a column without a name, and the rows lack it; take it away",
        ),
        (
            "\tProcedureId\tProcedureDescription",
            "line 1 has a column without a name, and the rows lack it; take it away",
        ),
    ],
)
def test_a_header_that_does_not_fit(header: str, message: str) -> None:
    """The whole file is refused, and the message says what is wrong with line 1."""
    with pytest.raises(FileError) as caught:
        read(Procedure, header=header)
    assert str(caught.value) == message


@pytest.mark.parametrize("entity", HEADERS)
def test_few_rows_are_not_held_against_a_header(entity: str) -> None:
    """Two rows may themselves be what is damaged."""
    rows = [PLAIN[entity_named(entity)][0].replace("\t", "|")] * 2
    assert Layout.of(entity_named(entity), HEADERS[entity], rows).cells == len(
        HEADERS[entity].split("\t")
    )
