"""What closes a file: trailers, words for the end, and the end mark of DOS."""

import io
from collections.abc import Iterator

import pytest

from tests.support.feed import HEADERS, Feed, row
from visitpay.checking import check
from visitpay.database import make_engine
from visitpay.errors import FileError
from visitpay.landing import scan
from visitpay.loading import load
from visitpay.models import Entity, Procedure, Transaction, Visit, entity_named
from visitpay.parsing import Parser

ROWS: dict[type[Entity], list[str]] = {
    Procedure: ["301\tGauze", "302\tWrap", "x\tTape"],
    Visit: ["101\t7\t1/31/2021\t\t20.25\t5", "102\t7\t1/1/2021\t\t\t", "x"],
    Transaction: ["1001\t101\t301\t5.50", "1002\t101\t301\t5.50", "1003\t101\t301"],
}
"""Two good rows, and one that is not."""

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
    return "\n".join([HEADERS[entity.__name__], *ROWS[entity], *lines])


def ways(text: str) -> Iterator[tuple[bytes, int | None]]:
    """Give the ways in which a file may come, and be read."""
    for end in ("", "\n", "\n\n  \n"):
        whole = f"{text}{end}"
        yield whole.encode(), None
        yield whole.replace("\n", "\r\n").encode(), 3
        yield whole.encode("utf-16"), 40


@pytest.mark.parametrize("entity", HEADERS)
@pytest.mark.parametrize("line", COUNTS)
def test_a_trailer_closes_a_file(line: str, entity: str) -> None:
    """A trailer is neither row nor reject, and disturbs no row, however the file is written."""
    model = entity_named(entity)
    for data, block_bytes in ways(written(model, line)):
        assert read(data, model, block_bytes) == (2, [ROWS[model][2]], 3)


@pytest.mark.parametrize("line", ENDS)
def test_a_word_for_the_end(line: str) -> None:
    """A last line that says the end is neither row nor reject, and counts nothing."""
    for data, block_bytes in ways(written(Procedure, line)):
        assert read(data, Procedure, block_bytes) == (2, ["x\tTape"], None)


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("line", ["", "\nTotal: 3", "\nEOF"])
def test_the_end_mark_of_dos(mark: str, line: str) -> None:
    """A 0x1A with nothing after it ends the file, and is part of no row and no trailer."""
    said = 3 if "3" in line else None
    for data, block_bytes in ways(written(Procedure) + line + mark):
        assert read(data, Procedure, block_bytes) == (2, ["x\tTape"], said)


def test_a_single_byte_as_the_end_mark_of_utf_16() -> None:
    """DOS ends a file of UTF-16 with half a character, which is no part of its last row."""
    data = written(Procedure, "304\tPad").encode("utf-16") + b"\x1a"
    assert read(data) == (3, ["x\tTape"], None)


def test_an_end_mark_within_a_file() -> None:
    """A 0x1A before other text is text."""
    assert read(written(Procedure, "304\t5\x1a", "305\tPad").encode()) == (4, ["x\tTape"], None)


@pytest.mark.parametrize("mark", MARKS)
def test_an_end_mark_after_the_header(mark: str) -> None:
    """A file of nothing but its header may end with one."""
    assert read((HEADERS["Procedure"] + mark).encode()) == (0, [], None)


def test_thousands() -> None:
    """A count may have separators, also where the comma parts cells."""
    rows = "".join(f"{key},Gauze\n" for key in range(1000))
    for line in ("Total: 1,000", 'TRL,"1,000",END', "(1,000 rows affected),,", "TRL|1'000"):
        data = f"ProcedureId,ProcedureDescription\n{rows}{line}\n".encode()
        assert read(data) == (1000, [], 1000)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("Total: 1,000", "its trailer says 1,000 rows, 3 are there: cut off?"),
        ("TRL|2|END", "its trailer says 2 rows, 3 are there: is it one file?"),
        ("1 row", "its trailer says 1 row, 3 are there: is it one file?"),
    ],
)
def test_a_count_that_does_not_fit(line: str, error: str) -> None:
    """The file fails whole, wherever its blocks end."""
    for data, block_bytes in ways(written(Procedure, line)):
        with pytest.raises(FileError) as caught:
            read(data, Procedure, block_bytes)
        assert str(caught.value) == error


@pytest.mark.parametrize("line", NO_TRAILERS)
def test_what_closes_nothing(line: str) -> None:
    """A line in another form is put aside, as anywhere in the file."""
    _, bad, said = read(written(Procedure, line).encode())
    assert (line in bad, said) == (True, None)


@pytest.mark.parametrize("line", ["Total: 3", "EOF"])
def test_lines_of_the_kind_within_a_file(line: str) -> None:
    """Only the last line closes a file."""
    _, bad, said = read(written(Procedure, line, "304\tPad").encode())
    assert (bad, said) == (["x\tTape", line], None)


@pytest.mark.parametrize("between", ["9", "9\t", '9\t"Pads', "9\t\n"])
@pytest.mark.parametrize("line", ["Total: 3", "EOF", "12 rows"])
def test_a_piece_of_a_row_closes_nothing(between: str, line: str) -> None:
    """What makes a good row with a bad line before it, or stands in an open quote, is its piece."""
    _, bad, said = read(written(Procedure, between, line).encode())
    assert (line in bad, said) == (True, None)


@pytest.mark.parametrize(
    ("line", "good"), [("Total\t12", 1), ("END\t12", 1), ("Total: 12\t", 0), ("EOF\t", 0)]
)
def test_a_row_closes_nothing(line: str, good: int) -> None:
    """A line that splits into a row, or has text where a row has it, is one."""
    rows, bad, said = read(f"ProcedureDescription\tProcedureId\nGauze\t1\n{line}\n".encode())
    assert (rows, bad, said) == (1 + good, [line] * (1 - good), None)


def test_blank_lines_without_number() -> None:
    """A closing line is looked for near the end only, so that blank lines take no memory."""
    text = written(Procedure, "Total: 3") + "\n" * (1 << 15)
    whole = read(text.encode())
    assert whole == read(text.encode(), block_bytes=1 << 10)
    assert whole[2] is None


def test_check_says_that_a_file_was_cut_off(feed: Feed) -> None:
    """A check tells of a count that does not fit, as a load does."""
    feed.deliver(Procedure, row(procedure_id=1, procedure_description="Gauze"), "TRL|2|END")
    feed.deliver(
        Procedure,
        row(procedure_id=1, procedure_description="Gauze"),
        "TRL|1|END",
        at="20211202_223357",
    )
    cut, whole = check(scan(feed.landing, "HospitalABC"))
    assert cut.error == "its trailer says 2 rows, 1 is there: cut off?"
    assert (whole.error, whole.rows_read, whole.rejected) == (None, 1, 0)


def test_a_trailer_costs_nobody_a_row(feed: Feed) -> None:
    """A footer every day puts no good row aside, and with it none that refers to it."""
    feed.deliver(Procedure, row(procedure_id=1, procedure_description="Gauze"), "(1 rows affected)")
    feed.deliver(Visit, row(visit_identifier=10, admit_date="1/31/2021"), "TRL\t1")
    feed.deliver(Transaction, row(transaction_identifier=100, amount="20.5"), "Total: 1", "\x1a")
    report = load(make_engine(feed.url), feed.landing, "HospitalABC")
    assert [(each.status, each.counts.read, each.counts.inserted) for each in report.files] == [
        ("loaded", 1, 1)
    ] * 3
