"""Rejected rows that are exported, mended and loaded: nothing gets in that nobody mended."""

import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.command import Visitpay
from tests.support.databases import MakeDatabase
from tests.support.feed import Feed, header_line, line, only_sqlite, row
from visitpay.database.engine import read_connection
from visitpay.models import Entity, Procedure, Transaction, Visit
from visitpay.rejects.export import export_for_mending
from visitpay.rejects.queries import RejectFilter

ORPHAN = "missing_reference"
NOW = datetime(2022, 1, 1, tzinfo=UTC)
NO_TEXT = [b"\xff", b"\0", b"\xc3", b"\xa9", rb"\xff", rb"\x00", rb"\xc3", rb"\xa9", rb"\xc3\xa9"]


GOOD = {
    Procedure: line(Procedure, procedure_description="cast on the left arm"),
    Visit: line(Visit, visit_balance="5.00"),
    Transaction: line(Transaction),
}


@st.composite
def spoilt_rows(draw: st.DrawFn) -> tuple[type[Entity], bytes]:
    """Return a type and a file of it, columns in any order, its good rows spoilt in some way."""
    entity = draw(st.sampled_from([Procedure, *GOOD]))
    delimiter = draw(st.sampled_from("\t\t,"))
    trailing = delimiter * draw(st.sampled_from([0, 0, 1]))
    columns = list(zip(header_line(entity).split("\t"), GOOD[entity].split("\t"), strict=True))
    columns += draw(st.sampled_from([[], [], [("Extra", "x")]]))
    if draw(st.booleans()):
        columns = draw(st.permutations(columns))
    odd = [*NO_TEXT, *([delimiter.encode()] * 3), b'"', b"\n", b" ", b"7"]
    lines = [(delimiter.join(name for name, _ in columns) + trailing).encode()]
    for _ in range(draw(st.integers(1, 6))):
        row = (delimiter.join(cell for _, cell in columns) + trailing).encode()
        for piece in draw(st.lists(st.sampled_from(odd) | st.binary(max_size=2), max_size=3)):
            start = draw(st.integers(0, len(row)))
            end = draw(st.sampled_from([start, start, min(start + 1, len(row))]))
            row = row[:start] + piece + row[end:]
        lines.append(row)
    return entity, b"\n".join(lines)


@given(file=spoilt_rows())
@example(file=(Procedure, f"{header_line(Procedure)}\n7\tcaf\xe9".encode("latin-1")))
def test_nothing_gets_in_unmended(
    make_database: MakeDatabase, file: tuple[type[Entity], bytes]
) -> None:
    """Of whatever bytes, a rejected row that is exported and comes back is rejected once more."""
    entity, data = file
    with tempfile.TemporaryDirectory() as folder, make_database("sqlite", Path(folder)) as url:
        feed = Feed(Path(folder, "landing"), url)
        feed.landing.mkdir()
        path = feed.deliver_bytes(entity, data, at="20211201_223357")
        feed.load()
        tables, before = feed.tables(), feed.rejects("open")
        with read_connection(url) as connection:
            written = export_for_mending(
                connection, Path(folder, "mended"), "HospitalABC", RejectFilter()
            )
        for each in written:
            shutil.move(each.path, feed.landing)
        rows = sum(each.rows for each in written)
        assert rows == sum(
            why != "line_too_long" and bool(raw.strip(" ")) for *_, why, _, raw, _ in before
        )
        counts = feed.load().counts
        assert (counts.read, counts.rejected, feed.tables()) == (rows, rows, tables)
        after = feed.rejects("open")
        assert [row for row in after if row[3] != ORPHAN] == [
            row for row in before if row[3] != ORPHAN
        ]
        assert len(after) == len(before)
        assert all(name != path.name for name, _, _, why, *_ in after if why == ORPHAN)


def exported(visitpay: Visitpay, directory: Path, *options: str) -> dict[str, Path]:
    """Export rejects; give the files by what they hold."""
    files = visitpay("rejects", "export", directory, *options, "--json").document["written"]
    return {Path(each["path"]).name.split("_")[2]: Path(each["path"]) for each in files}


def mend(feed: Feed, path: Path, *changes: tuple[bytes, bytes]) -> None:
    """Change what a person changes, each in one place, and move the file to the landing."""
    content = path.read_bytes()
    for was, is_now in changes:
        assert content.count(was) == 1, was
        content = content.replace(was, is_now)
    path.unlink()
    (feed.landing / path.name).write_bytes(content)


@pytest.mark.parametrize(
    ("sent", "comes_back", "mended"),
    [
        (b"caf\xe9 \xff au lait", b"caf\xe9 \xff au lait", b"caf\xc3\xa9 au lait"),
        (b"gau\0ze", b"gau\0ze", b"gauze"),
        (rb"C:\xff \xFF" + b"\xe9\xff", b"C:\xff \\xFF\xe9\xff", rb"C:\xff"),
        (rb"\xc3\xa9" + b"\xff", b"\xc3\\xa9\xff", rb"\xc3\xa9"),
        (b"\xc3" + rb"\xa9", b"\xc3" + rb"\xa9", b"x"),
        (b"\xed\xa0\x80", b"\xed\xa0\x80", b"x"),
        (b"\xff=1+1", b"\xff=1+1", b"x"),
        (b"\0=1+1", b" \0=1+1", b"x"),
        (b"x\ty\xe9", b"x\ty\xe9", b"x y"),
    ],
)
@only_sqlite
def test_bytes_that_are_no_text(
    feed: Feed, visitpay: Visitpay, tmp_path: Path, sent: bytes, comes_back: bytes, mended: bytes
) -> None:
    """They come out as they are, and are refused again; words for them become no character."""
    feed.deliver_bytes(Procedure, header_line(Procedure).encode() + b"\n" + described(sent))
    mend_twice(feed, visitpay, tmp_path, described(comes_back), described(mended))
    assert feed.descriptions() == {1: mended.decode()}


@only_sqlite
def test_bytes_in_another_column(feed: Feed, visitpay: Visitpay, tmp_path: Path) -> None:
    """A row of another layout whose bad bytes are not exported comes out with a mark."""
    header = header_line(Procedure, ",") + ",Note\n"
    sent = line(Procedure, ",") + ",\xe9\n"
    feed.deliver_bytes(Procedure, header.encode() + sent.encode("latin-1"))
    good = line(Procedure).encode()
    mend_twice(feed, visitpay, tmp_path, good + b"\t?", good)


def described(description: bytes) -> bytes:
    """Write a procedure with a description of any bytes."""
    text = line(Procedure, procedure_description=description.decode("latin-1"))
    return text.encode("latin-1")


def mend_twice(
    feed: Feed, visitpay: Visitpay, tmp_path: Path, comes_back: bytes, mended: bytes
) -> None:
    """Load a file of one bad row; send its export back as it is, and then mended."""
    visitpay("load")
    path = exported(visitpay, tmp_path / "1")["Procedure"]
    assert path.read_bytes().splitlines()[1].split(b"\t", 4)[4] == comes_back
    mend(feed, path)
    assert visitpay("load", "--json").document["files"][0]["rejected"] == 1
    path = exported(visitpay, tmp_path / "2")["Procedure"]
    _, exported_row = path.read_bytes().splitlines()
    assert exported_row.split(b"\t", 4)[4] == comes_back
    mend(feed, path, (b"\t" + comes_back, b"\t" + mended))
    visitpay("load")
    assert feed.rejects("open") == []


@pytest.mark.parametrize(
    ("entity", "header", "sent"),
    [
        (
            Transaction,
            header_line(Transaction, ",").replace("r,VisitI", "r,Extra,VisitI"),
            line(Transaction, ",", visit_identifier=1),
        ),
        (Transaction, header_line(Transaction) + "\tNote", line(Transaction, visit_identifier=1)),
        (
            Procedure,
            header_line(Procedure),
            line(Procedure, procedure_id=3, procedure_description='"first\nsecond"'),
        ),
        (
            Procedure,
            header_line(Procedure),
            line(Procedure, procedure_id=3, procedure_description="first\nsecond"),
        ),
        (Visit, header_line(Visit) + "\t", line(Visit, visit_identifier=3, visit_balance=5)),
    ],
)
@only_sqlite
def test_what_would_be_let_in_is_marked(
    feed: Feed, visitpay: Visitpay, tmp_path: Path, entity: type[Entity], header: str, sent: str
) -> None:
    """A row that is good only because of how it is exported does not get in by itself."""
    feed.deliver(
        Procedure,
        row(procedure_id=1, procedure_description="x"),
        row(procedure_id=2, procedure_description="y"),
    )
    feed.deliver(Visit, row(visit_identifier=1), row(visit_identifier=2))
    feed.deliver_lines(entity, sent, at="20211202_223133", header=header)
    visitpay("load")
    tables = feed.tables()
    mend(feed, exported(visitpay, tmp_path)[entity.__name__])
    assert visitpay("load", "--json").document["files"][0]["inserted"] == 0
    assert feed.tables() == tables
    mended = exported(visitpay, tmp_path / "again")[entity.__name__]
    assert [each[-2:] for each in mended.read_text().splitlines()].count("\t?") == 1


def test_mending_twice(feed: Feed, visitpay: Visitpay, tmp_path: Path) -> None:
    """What was mended in vain comes out again as it first was, and what was mended well is closed.

    A row needs no identifier for that: its place says which reject it came from.
    """
    empty = line(Procedure, procedure_id=1, procedure_description="")
    too_long = line(Procedure, procedure_id=2, procedure_description="x") + "\ty"
    no_text = line(Procedure, procedure_id=3, procedure_description="\xe9")
    no_key = line(Procedure, procedure_id="x", procedure_description="y")
    sent = "\n".join([header_line(Procedure), empty, too_long, no_text, no_key])
    procedures = feed.deliver_bytes(Procedure, sent.encode("latin-1"))
    no_date = line(Visit, visit_identifier=10, discharge_date="x", visit_balance=5)
    undated = line(Visit, visit_identifier=11, admit_date="")
    no_numbers = line(Visit, visit_identifier=12, visit_balance="x", insurance_identifier="y")
    too_short = line(Visit, visit_identifier=13).rpartition("\t")[0]
    visits = feed.deliver_lines(
        Visit,
        *(each.replace("\t", ";") for each in (no_date, undated, no_numbers + "\t", too_short)),
        header=header_line(Visit, ";"),
    )
    visitpay("load")
    first = exported(visitpay, tmp_path / "first")
    cast = line(Procedure, procedure_id=1, procedure_description="cast")
    mended_in_vain = (too_long.encode(), f"{too_long}z".encode())
    mend(
        feed,
        first["Procedure"],
        (f"1\t{empty}\n".encode(), f"1\t{cast}\n".encode()),
        mended_in_vain,
    )
    first_rejects = feed.rejects("open")
    mend(feed, first["Visit"], (b"\tx\t5", b"\ty\t5"), (b"\t11\t7\t", b"\t11\t7\t1/2/2021"))
    assert visitpay("load", "--json").document["rejects_open"] == 6
    assert set(feed.rejects("open")) < set(first_rejects)
    second = exported(visitpay, tmp_path / "second")
    about = "RejectReason\tRejectColumn\tRejectFile\tRejectLine\t"
    assert second["Procedure"].read_bytes().decode("latin-1").splitlines() == [
        about + header_line(Procedure),
        f"malformed\t\t{procedures.name}\t3#2\t{too_long}",
        f"invalid_encoding\t\t{procedures.name}\t4#3\t{no_text}",
        f"invalid_integer\tProcedureId\t{procedures.name}\t5#4\t{no_key}",
    ]
    assert second["Visit"].read_text().splitlines() == [
        about + header_line(Visit),
        f"invalid_date\tDischargeDate\t{visits.name}\t2#5\t{no_date}",
        f"invalid_integer\tInsuranceIdentifier\t{visits.name}\t4#7\t{no_numbers}",
        f"malformed\t\t{visits.name}\t5#8\t{too_short}",
    ]
    whole = line(Procedure, procedure_id=2, procedure_description="x y")
    mended = (too_long.encode(), whole.encode())
    mend(feed, second["Procedure"], mended, (b"\xe9", b"e"), (b"#4\tx", b"#4\t4"))
    mend(
        feed,
        second["Visit"],
        (b"x\t5", b"1/3/2021\t5"),
        (b"x\ty", b"1\t2"),
        (too_short.encode(), f"{too_short}\t".encode()),
    )
    assert visitpay("load", "--json").document["rejects_open"] == 0
    assert feed.descriptions() == {1: "cast", 2: "x y", 3: "e", 4: "y"}
    assert feed.keys(Visit) == [10, 11, 12, 13]


@only_sqlite
def test_mended_elsewhere(feed: Feed, visitpay: Visitpay, tmp_path: Path) -> None:
    """A mended file that a spreadsheet wrote is read, and rows without what stood ahead."""
    empty = [line(Procedure, procedure_id=key, procedure_description="") for key in (1, 2, 3)]
    path = feed.deliver(Procedure, *empty)
    visitpay("load")
    mended = exported(visitpay, tmp_path / "1")["Procedure"]
    header, first, second, _ = mended.read_text().replace("\t", ",").splitlines()
    lines = (header, first + ",x", second.rpartition(f"{path.name},")[2], "4,", first[:-2])
    (feed.landing / mended.name).write_text("\n".join(lines))
    visitpay("load")
    _, *rows = exported(visitpay, tmp_path / "2")["Procedure"].read_text().splitlines()
    assert rows == [
        *(
            f"missing_value\tProcedureDescription\t{path.name}\t{number + 1}#{number}\t{each}"
            for number, each in enumerate(empty, 1)
        ),
        f"malformed\t\t{mended.name}\t3#5\t3#2\t2",
        f"malformed\t\t{mended.name}\t4#6\t4\t",
    ]


@pytest.mark.parametrize("quoted", [False, True])
def test_mended_in_part(feed: Feed, visitpay: Visitpay, tmp_path: Path, *, quoted: bool) -> None:
    """What was mended comes in, whatever share was not; quotes of a spreadsheet change nothing."""
    sent = feed.deliver(
        Procedure,
        row(procedure_id=1, procedure_description="cast"),
        row(procedure_id="x", procedure_description="y"),
        row(procedure_id="y", procedure_description="z"),
    )
    visitpay("load")
    before = visitpay("status", "--json").document["checkpoint"]
    mended = exported(visitpay, tmp_path)["Procedure"]
    mend(feed, mended, (b"\ty\tz", b"\t2\tz"))
    if quoted:
        lines = (feed.landing / mended.name).read_text().splitlines()
        cells = ['"' + each.replace("\t", '"\t"') + '"' for each in lines]
        (feed.landing / mended.name).write_text("\n".join(cells))
    document = visitpay("load", "--hold-above", "10", "--json").document
    assert [each["status"] for each in document["files"]] == ["loaded"]
    assert feed.descriptions() == {1: "cast", 2: "z"}
    (still,) = feed.rejects("open")
    assert still[:2] == (sent.name, 3)
    assert visitpay("status", "--json").document["checkpoint"] == before
    reject, trailer = responded(visitpay, tmp_path / "response")
    assert reject.startswith(f"{sent.name}\t3\t")
    assert trailer == f"TRAILER\t{sent.name}\t3\t2\t1"


@only_sqlite
def test_a_redelivered_name_is_exported_as_well(
    feed: Feed, visitpay: Visitpay, tmp_path: Path
) -> None:
    """Of a name that came again the rows are exported that are wrong in it, and no others."""
    feed.deliver(
        Procedure,
        row(procedure_id=1, procedure_description="cast"),
        row(procedure_id="x2", procedure_description="two"),
    )
    visitpay("load")
    mend(feed, exported(visitpay, tmp_path / "1")["Procedure"])
    visitpay("load")
    feed.deliver(
        Procedure,
        row(procedure_id=1, procedure_description="cast"),
        row(procedure_id="x9", procedure_description="nine"),
    )
    visitpay("load")
    written = exported(visitpay, tmp_path / "2")["Procedure"].read_text()
    assert ("x2\ttwo" in written, "x9\tnine" in written) == (False, True)


@only_sqlite
def test_mended_rows_are_held_against_our_own_header(
    feed: Feed, visitpay: Visitpay, tmp_path: Path
) -> None:
    """Also where most rows of a mended file still have a cell too many."""
    rows = [line(Visit, visit_identifier=number) + "\tx" for number in range(10, 14)]
    undated = row(visit_identifier=19, admit_date="")
    feed.deliver(Visit, row(visit_identifier=9), *[undated] * 5, *rows)
    visitpay("load")
    path = exported(visitpay, tmp_path, "--reason", "malformed")["Visit"]
    mend(feed, path, (rows[0].encode(), rows[0].removesuffix("\tx").encode()))
    visitpay("load")
    assert feed.keys(Visit) == [9, 10]


def responded(visitpay: Visitpay, directory: Path, *options: str) -> list[str]:
    """Write the file for the hospital; give its lines below the header."""
    (path,) = visitpay("rejects", "export", directory, *options, "--response", "--json").document[
        "written"
    ]
    return Path(path["path"]).read_text().splitlines()[1:]


def test_response_without_what_was_mended(feed: Feed, visitpay: Visitpay, tmp_path: Path) -> None:
    """The hospital reads of its own files only, and not of those that were taken away."""
    empty = line(Procedure, procedure_id=2, procedure_description="")
    too_long = line(Procedure, procedure_id=3, procedure_description=r"caf\xe9") + "\ty"
    sent = feed.deliver(
        Procedure,
        row(procedure_id=1, procedure_description="x"),
        empty,
        too_long,
    )
    visitpay("load")
    kept = [
        f"{sent.name}\t3\tmissing_value\tProcedureDescription\t{empty}",
        f"{sent.name}\t4\tmalformed\t\t{too_long}",
        f"TRAILER\t{sent.name}\t3\t1\t2",
    ]
    mended = exported(visitpay, tmp_path / "mended")["Procedure"]
    mend(feed, mended)
    nothing = feed.deliver_bytes(Visit, b"")
    visitpay("load", "--hold-above", "50")
    names = header_line(Visit, ", ")
    failed = f"FAILED\t{nothing.name}\tis empty; its first line must name {names}"
    statuses = [each["status"] for each in visitpay("files", "--json").document["files"]]
    assert statuses == ["failed", "loaded", "loaded"]
    assert responded(visitpay, tmp_path / "loaded") == [*kept, failed]
    nothing.unlink()
    assert responded(visitpay, tmp_path / "gone") == kept


@only_sqlite
def test_response_without_a_landing_directory(
    feed: Feed, visitpay: Visitpay, tmp_path: Path
) -> None:
    """Only the response looks into the landing directory; it may be named after the other one."""
    feed.deliver(Procedure, procedure_id=2, procedure_description="")
    feed.deliver_bytes(Visit, b"")
    visitpay("load")
    moved, gone = feed.landing.rename(tmp_path / "moved"), feed.landing
    assert list(exported(visitpay, tmp_path / "1")) == ["Procedure"]
    outcome = visitpay("rejects", "export", tmp_path / "2", "--response")
    reason = "cannot be read: No such file or directory"
    assert outcome.err == f"visitpay: the landing directory {gone} {reason}\n"
    assert outcome.status == 2
    assert len(responded(visitpay, tmp_path / "3", str(moved))) == 3
