"""Rows that read well in two ways, and headers that do not fit their rows."""

import io

import pytest

from tests.support.entities import ENTITIES, Procedure, Transaction, Visit
from tests.support.feed import columns, header_line, line
from visitpay.errors import FileError
from visitpay.models import Entity
from visitpay.parsing.layout import Layout
from visitpay.parsing.parser import Parser

PLAIN: dict[type[Entity], list[str]] = {
    Procedure: [
        line(Procedure, procedure_id=301, procedure_description="Gauze"),
        line(Procedure, procedure_id=302, procedure_description="Wrap"),
        line(Procedure, procedure_id=303, procedure_description="Tape"),
    ],
    Visit: [line(Visit, visit_identifier=101, visit_balance="20.25", insurance_identifier=5)] * 3,
    Transaction: [line(Transaction, transaction_identifier=1001, amount="5.50")] * 3,
}


def gauze(key: object = 304, description: str = "Gauze", delimiter: str = "\t") -> str:
    """Write a line of a procedure."""
    return line(Procedure, delimiter, procedure_id=key, procedure_description=description)


def visit(**cells: object) -> str:
    """Write a line of visit 102."""
    return line(Visit, visit_identifier=102, **cells)


def charge(amount: str) -> str:
    """Write a line of a transaction."""
    return line(Transaction, transaction_identifier=1002, amount=amount)


def read(entity: type[Entity], *lines: str, header: str = "", last: bool = True) -> dict[int, str]:
    """Parse lines after three plain rows, and before one; give the reason of each but those."""
    plain = PLAIN[entity]
    text = [header or header_line(entity), *plain, *lines, *plain[:last], ""]
    verdicts: dict[int, str] = {}
    for batch in Parser(io.BytesIO("\n".join(text).encode()), entity).batches():
        verdicts |= dict.fromkeys(batch.rows["source_line"], "good")
        verdicts |= dict(batch.rejects.select("line_number", "reason").iter_rows())
    return {line: reason for line, reason in sorted(verdicts.items()) if line > 4}


@pytest.mark.parametrize(
    ("entity", "row", "verdict"),
    [
        (Visit, visit(insurance_identifier=500) + "\t", "malformed"),  # or the balance
        (Visit, visit(visit_balance=5, insurance_identifier="00") + "\t", "malformed"),  # or 500
        (Visit, visit(visit_balance="20.25", insurance_identifier=5) + "\t", "good"),
        (Visit, visit() + "\t", "good"),
        (Visit, visit(insurance_identifier=500) + "\t\t", "good"),  # two more than there should be
        (Transaction, charge("5.50") + "\t", "good"),
        (Procedure, gauze() + "\t", "good"),
        (Procedure, gauze(304, '"Gauze\twide"'), "good"),
    ],
)
def test_a_delimiter_too_many(entity: type[Entity], row: str, verdict: str) -> None:
    """A row with an empty cell at its end is malformed if it reads well without another one."""
    assert read(entity, row) == {5: verdict, 6: "good"}


@pytest.mark.parametrize(
    ("entity", "lines", "verdicts"),
    [
        (Procedure, [gauze(), " wide"], ["malformed", "malformed", "good"]),
        (Procedure, ["30", gauze(4)], ["malformed", "malformed", "good"]),
        (Procedure, [gauze(), "", "wide"], ["good", "malformed", "good"]),
        (Procedure, [gauze(), gauze(305, "Wrap", ";")], ["good", "malformed", "good"]),
        (Procedure, [gauze(), "305"], ["good", "malformed", "good"]),
        (Transaction, [charge("10"), "5.50"], ["malformed", "malformed", "good"]),
        (Transaction, [charge("10.00"), "Total: 7"], ["good", "malformed", "good"]),
        (Visit, [visit(insurance_identifier=7), "3"], ["malformed", "malformed", "malformed"]),
        (Transaction, [charge("5"), "x"], ["good", "malformed", "good"]),
    ],
)
def test_a_line_end_too_many(entity: type[Entity], lines: list[str], verdicts: list[str]) -> None:
    """A row beside a line of one cell is malformed if the two together read well as one."""
    assert list(read(entity, *lines).values()) == verdicts


def test_every_reading_is_judged_by_itself() -> None:
    """Quotes in one of them are no pieces of a cell of another."""
    lines = [header_line(Procedure, ";") + ";Other;Extra;"]
    lines += [gauze(key, "x", ";") + ";y;z;" for key in (1, 2, 3)]
    lines += [gauze(7, "$", ";") + ';NaN;";;', gauze(8, "x", ";") + ';y";"z;']
    (batch,) = Parser(io.BytesIO("\n".join(lines).encode()), Procedure).batches()
    assert batch.rejects.select("line_number", "reason").rows() == [(5, "malformed")]


def test_pieces_of_a_quoted_cell_are_no_piece_of_the_row_before() -> None:
    """What a quote opened belongs to the row that it is in."""
    verdicts = read(Procedure, gauze(), *gauze('"30\n5"', "Wrap").split("\n"))
    assert list(verdicts.values()) == ["good", "malformed", "malformed", "good"]


@pytest.mark.parametrize(
    ("trailer", "row", "verdict"),
    [
        ("\t", visit(visit_balance=500), "malformed"),  # any delimiter may be missing
        ("\t", visit(visit_balance=500, **{columns(Visit)[-1]: 7}), "good"),  # only the last can
        ("\t", visit(visit_balance=500) + "\t", "good"),
        ("", visit(visit_balance=500), "good"),
    ],
)
@pytest.mark.parametrize("header_trailer", ["", "\t", "\t\t"])
def test_most_rows_say_how_a_row_ends(
    header_trailer: str, trailer: str, row: str, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Delimiters at the end of most rows are part of every row, whatever the header has."""
    entity: type[Entity] = Visit
    monkeypatch.setitem(PLAIN, entity, [each + trailer for each in PLAIN[entity]])
    header = header_line(Visit) + header_trailer
    assert read(Visit, row, header=header)[5] == verdict


LACKS = f"line 1 lacks the columns {header_line(Procedure, ', ')}; "
AGAIN = "the whole file is needed again"


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            f"Report\n \n{header_line(Procedure)}",
            LACKS + "line 3 has them all: take away what stands before it",
        ),
        (
            gauze(300),
            LACKS + "it looks like a row, and the header is missing: " + AGAIN,
        ),
        ("Procedure\tDescription", LACKS + AGAIN),
        (
            header_line(Procedure, ","),
            "line 1 is split by commas, the rows by tabs; make them the same",
        ),
        (
            header_line(Procedure).replace("\t", "\t\t", 1),
            "line 1 has a column without a name, and the rows lack it; take it away",
        ),
        (
            "\t" + header_line(Procedure),
            "line 1 has a column without a name, and the rows lack it; take it away",
        ),
    ],
)
def test_a_header_that_does_not_fit(header: str, message: str) -> None:
    """The whole file is refused, and the message says what is wrong with line 1."""
    with pytest.raises(FileError) as caught:
        read(Procedure, header=header)
    assert str(caught.value) == message


@pytest.mark.parametrize("entity", ENTITIES)
def test_few_rows_are_not_held_against_a_header(entity: type[Entity]) -> None:
    """Two rows may themselves be what is damaged."""
    rows = [PLAIN[entity][0].replace("\t", "|")] * 2
    assert Layout.of(entity, header_line(entity), rows).cell_count == len(columns(entity))
