"""What closes a file: trailers, words for the end, and the end mark of DOS."""

import io
from collections.abc import Iterator

import pytest

from tests.support.entities import ENTITIES, Procedure, Transaction, Visit
from tests.support.feed import Feed, header_line, line, row
from visitpay import models
from visitpay.errors import FileError
from visitpay.landing.scan import scan
from visitpay.loading.validate import check
from visitpay.models import Entity
from visitpay.parsing.parser import Parser

ROWS: dict[type[Entity], list[str]] = {
    Procedure: [line(Procedure, procedure_id=key) for key in (301, 302, "x")],
    Visit: [
        line(Visit, visit_identifier=101, admit_date="1/31/2021", visit_balance="20.25"),
        line(Visit, visit_identifier=102),
        "x\ty",
    ],
    Transaction: [
        line(Transaction, transaction_identifier=1001),
        line(Transaction, transaction_identifier=1002),
        "1003\t101\t301",
    ],
}
"""Two good rows, and one that is not."""
BAD = ROWS[Procedure][2]
PAD = line(Procedure, procedure_id=304, procedure_description="Pad")
EMPTY = line(Procedure, procedure_id=9, procedure_description="")

COUNTS = [
    "TRL|3|END",
    "TRL\t3",
    "trailer 3",
    "TRAILER: 003",
    "TRLR;3;EOF;;",
    "FTR,ROWS,3",
    "(3 rows affected)",
    "Total: 3",
    "TOTAL\t3\t\t",
    "Total rows = 3",
    "Records: 3",
    "Number of records: 3",
    "3 rows",
    "3 row(s)",
    "3 record(s) selected.",
    "3 rows in set (0.01 sec)",
    "Row count: 3",
    "row_count=3",
    '"Row count: 3"',
    '"TRL"\t"3"\t"END"\t""',
    "--- Total records: 3 ---",
    "*** END OF FILE - 3 RECORDS ***",
    "Total: 3\nEOF",
    "*** END OF REPORT ***\n\nTotal: 3",
    "3 rows selected.\n\nElapsed: 00:00:00.01",
    "(3 rows)\n\nTime: 0.512 ms",
    "\n(3 rows affected)\n\nCompletion time: 2021-12-01T22:30:05.12-05:00",
]
ENDS = [
    "EOF",
    "End",
    "-- END OF FILE --",
    "*** END OF REPORT ***",
    "<EOF>",
    "[eof]",
    "#EOF\t\t",
    '"EOF"',
]
MARKS = ["\x1a", "\n\x1a", "\n\x1a\n", "\x1a\r\n", "\n\x1a\x1a\x1a", "\x1a \n \n"]
NO_TRAILERS = [
    "3",
    "-3",
    "Total",
    "Total 3",
    "Total: x",
    "Total: 3.50",
    "Sum 3",
    "TRL",
    "TRL|3|4",
    "The end",
]


def read(
    data: bytes, entity: type[Entity] = Procedure, block_bytes: int | None = None
) -> tuple[int, list[str], int | None]:
    """Parse a file: how many rows are good, the text of the others, and what its trailer says."""
    parser = Parser(io.BytesIO(data), entity, block_bytes)
    good, bad = 0, list[str]()
    for batch in parser.batches():
        good += len(batch.rows)
        bad.extend(batch.rejects["raw"])
    return good, bad, parser.trailer_rows


def written(entity: type[Entity], *lines: str) -> str:
    """Write a file of the rows and some lines after them."""
    return "\n".join([header_line(entity), *ROWS[entity], *lines])


def ways(text: str) -> Iterator[tuple[bytes, int | None]]:
    """Yield the ways in which a file may come, and be read."""
    for end in ("", "\n", "\n\n  \n"):
        whole = f"{text}{end}"
        yield whole.encode(), None
        yield whole.replace("\n", "\r\n").encode(), 3
        yield whole.encode("utf-16"), 40


@pytest.mark.parametrize("entity", ENTITIES)
@pytest.mark.parametrize("last", COUNTS)
def test_a_trailer_closes_a_file(last: str, entity: type[Entity]) -> None:
    """A trailer is neither row nor reject, and disturbs no row, however the file is written."""
    for data, block_bytes in ways(written(entity, last)):
        assert read(data, entity, block_bytes) == (2, [ROWS[entity][2]], 3)


@pytest.mark.parametrize("last", ENDS)
def test_a_word_for_the_end(last: str) -> None:
    """A last line that says the end is neither row nor reject, and counts nothing."""
    for data, block_bytes in ways(written(Procedure, last)):
        assert read(data, Procedure, block_bytes) == (2, [BAD], None)


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("last", ["", "\nTotal: 3", "\nEOF"])
def test_the_end_mark_of_dos(mark: str, last: str) -> None:
    """A 0x1A with nothing after it ends the file, and is part of no row and no trailer."""
    said = 3 if "3" in last else None
    for data, block_bytes in ways(written(Procedure) + last + mark):
        assert read(data, Procedure, block_bytes) == (2, [BAD], said)


def test_a_single_byte_as_the_end_mark_of_utf_16() -> None:
    """DOS ends a file of UTF-16 with half a character, which is no part of its last row."""
    data = written(Procedure, PAD).encode("utf-16") + b"\x1a"
    assert read(data) == (3, [BAD], None)


def test_an_end_mark_within_a_file() -> None:
    """A 0x1A before other text is text."""
    marked = line(Procedure, procedure_id=303, procedure_description="5\x1a")
    assert read(written(Procedure, marked, PAD).encode()) == (4, [BAD], None)


@pytest.mark.parametrize("mark", MARKS)
def test_an_end_mark_after_the_header(mark: str) -> None:
    """A file of nothing but its header may end with one."""
    assert read((header_line(Procedure) + mark).encode()) == (0, [], None)


def test_thousands() -> None:
    """A count may have separators, also where the comma parts cells."""
    rows = "".join(line(Procedure, ",", procedure_id=key) + "\n" for key in range(1000))
    for last in ("Total: 1,000", 'TRL,"1,000",END', "(1,000 rows affected),,", "TRL|1'000"):
        data = f"{header_line(Procedure, ',')}\n{rows}{last}\n".encode()
        assert read(data) == (1000, [], 1000)


@pytest.mark.parametrize(
    ("last", "error"),
    [
        ("Total: 1,000", "its trailer says 1,000 rows, 3 are there: cut off?"),
        ("TRL|2|END", "its trailer says 2 rows, 3 are there: is it one file?"),
        ("1 row", "its trailer says 1 row, 3 are there: is it one file?"),
    ],
)
def test_a_count_that_does_not_fit(last: str, error: str) -> None:
    """The file fails whole, wherever its blocks end."""
    for data, block_bytes in ways(written(Procedure, last)):
        with pytest.raises(FileError) as caught:
            read(data, Procedure, block_bytes)
        assert str(caught.value) == error


@pytest.mark.parametrize("last", NO_TRAILERS)
def test_what_closes_nothing(last: str) -> None:
    """A line in another form is put aside, as anywhere in the file."""
    _, bad, said = read(written(Procedure, last).encode())
    assert (last in bad, said) == (True, None)


@pytest.mark.parametrize("within", ["Total: 3", "EOF"])
def test_lines_of_the_kind_within_a_file(within: str) -> None:
    """Only the last line closes a file."""
    _, bad, said = read(written(Procedure, within, PAD).encode())
    assert (bad, said) == ([BAD, within], None)


@pytest.mark.parametrize("between", ["9", EMPTY, EMPTY.replace("\t", '\t"Pads', 1), EMPTY + "\n"])
@pytest.mark.parametrize("last", ["Total: 3", "EOF", "12 rows"])
def test_a_piece_of_a_row_closes_nothing(between: str, last: str) -> None:
    """What makes a good row with a bad line before it, or stands in an open quote, is its piece."""
    _, bad, said = read(written(Procedure, between, last).encode())
    assert (last in bad, said) == (True, None)


@pytest.mark.parametrize(
    ("key", "text", "good"),
    [(12, "Total", 1), (12, "END", 1), ("", "Total: 12", 0), ("", "EOF", 0)],
)
def test_a_row_closes_nothing(key: object, text: str, good: int) -> None:
    """A line that splits into a row, or has text where a row has it, is one."""
    last = turned(line(Procedure, procedure_id=key, procedure_description=text))
    lines = [turned(header_line(Procedure)), turned(line(Procedure)), last, ""]
    rows, bad, said = read("\n".join(lines).encode())
    assert (rows, bad, said) == (1 + good, [last] * (1 - good), None)


def turned(text: str) -> str:
    """Write a line with its first cell last, where a trailer has no text."""
    first, *others = text.split("\t")
    return "\t".join([*others, first])


def test_blank_lines_without_number() -> None:
    """A closing line is looked for near the end only, so that blank lines take no memory."""
    text = written(Procedure, "Total: 3") + "\n" * (1 << 15)
    whole = read(text.encode())
    assert whole == read(text.encode(), block_bytes=1 << 10)
    assert whole[2] is None


def test_check_says_that_a_file_was_cut_off(feed: Feed) -> None:
    """A check tells of a count that does not fit, as a load does."""
    feed.deliver(models.Procedure, row(procedure_id=1, procedure_description="Gauze"), "TRL|2|END")
    feed.deliver(
        models.Procedure,
        row(procedure_id=1, procedure_description="Gauze"),
        "TRL|1|END",
        at="20211202_223357",
    )
    cut, whole = check(scan(feed.landing, "HospitalABC"))
    assert cut.error == "its trailer says 2 rows, 1 is there: cut off?"
    assert (whole.error, whole.rows_read, whole.rejected) == (None, 1, 0)


def test_a_trailer_costs_nobody_a_row(feed: Feed) -> None:
    """A footer every day puts no good row aside, and with it none that refers to it."""
    feed.deliver(
        models.Procedure, row(procedure_id=1, procedure_description="Gauze"), "(1 rows affected)"
    )
    feed.deliver(models.Visit, row(visit_identifier=10, admit_date="1/31/2021"), "TRL\t1")
    feed.deliver(
        models.Transaction, row(transaction_identifier=100, amount="20.5"), "Total: 1", "\x1a"
    )
    report = feed.load()
    assert [(each.status, each.counts.read, each.counts.inserted) for each in report.files] == [
        ("loaded", 1, 1)
    ] * 3
