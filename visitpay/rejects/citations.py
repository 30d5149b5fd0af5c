r"""Mended rows: which rejects they were exported from.

An export puts four cells before each row (`feed.REJECT_HEADERS`): the reason, the column, the file,
and the line with the id of the reject. A mended row cites the reject that they name. Exports of
older versions have the line without the id. With tabs for delimiters:

    in:  invalid_date\tDischargeDate\tHospitalABC_VisitPay_Visit_20211201_223005.txt\t3#12\t10\t...
    out: file HospitalABC_VisitPay_Visit_20211201_223005.txt, line 3, id 12
"""

import re
from collections.abc import Iterable

import polars as pl
from sqlalchemy import ColumnElement, Connection, and_, or_, select
from sqlalchemy.orm import aliased

from visitpay.database.writes import keys_as_table
from visitpay.ledger.files import Delivery
from visitpay.models import LoadFile, RejectedRow
from visitpay.parsing.layout import Layout
from visitpay.vocabulary import Reason, RejectStatus


def cited_line(line: str, reject_id: int) -> str:
    """Return the line of a reject as an export cites it: `3#12`."""
    return f"{line}#{reject_id}"


def citation_pattern(delimiter: str) -> str:
    """Return the pattern of the cells before an exported row: groups `file`, `line` and `id`.

    A spreadsheet may have put quotes around each cell.
    """
    cell, around = f"[^{delimiter}]*?", '[" ]*'
    reason = f"(?:{'|'.join(Reason)})"
    line = "(?P<line>[0-9]+)(?:#(?P<id>[0-9]+))?"
    cells = (reason, cell, f"(?P<file>{cell})", line)
    return "^" + "".join(f"{around}{pattern}{around}[{delimiter}]" for pattern in cells)


def find_cited(
    connection: Connection, delivery: Delivery, rows: pl.Series, delimiter: str
) -> pl.DataFrame:
    """Return the rejects of other deliveries that the rows of a delivery cite.

    Columns: `row` (the index of the row that cites it, from 0), `id` and `is_open`. A row with an
    id cites only that reject, and those that took its place when its file was taken again; and only
    if file and line are right. A row without one may cite rejects of several deliveries of the
    file.
    """
    cells = rows.str.extract_groups(citation_pattern(delimiter)).struct.unnest()
    cited = cells.with_row_index("row").select(
        *("row", "file"),
        *(pl.col(name).cast(pl.Int64, strict=False) for name in ("line", "id")),
    )
    cited = cited.drop_nulls("line")
    cited = cited.vstack(_of_files_taken_again(connection, cited))
    schema = {"known": pl.Int64, "file": pl.String, "line": pl.Int64, "is_open": pl.Boolean}
    candidates = [] if cited.is_empty() else list(_candidates(connection, delivery, cited))
    known = pl.DataFrame(candidates, schema, orient="row")
    is_meant = pl.col("id").is_null() | (pl.col("id") == pl.col("known"))
    matches = cited.join(known, on=["file", "line"]).filter(is_meant)
    return matches.select("row", "is_open", id="known")


def _of_files_taken_again(connection: Connection, cited: pl.DataFrame) -> pl.DataFrame:
    """Return the citations again whose rejects have later ones, with the ids of those.

    They are rejects of the same line of the same content of the same name.
    """
    ids = cited["id"].drop_nulls().unique()
    if ids.is_empty():
        return cited.clear()
    before, file_before = aliased(RejectedRow), aliased(LoadFile)
    later = (
        select(before.id, RejectedRow.id)
        .join_from(before, file_before)
        .join(
            LoadFile,
            and_(LoadFile.name == file_before.name, LoadFile.sha256 == file_before.sha256),
        )
        .join(RejectedRow)
        .where(RejectedRow.line_number == before.line_number, LoadFile.id > file_before.id)
        .where(before.id.in_(select(keys_as_table(connection, ids).c.value)))
    )
    pairs = connection.execute(later).all()
    known = pl.DataFrame(pairs, {"id": pl.Int64, "later": pl.Int64}, orient="row")
    return cited.join(known, on="id").with_columns(id="later").drop("later")


def unambiguous_ids(cited: pl.DataFrame) -> pl.Series:
    """Return the ids of the open rejects that are the only open one that their row cites."""
    is_open = cited.filter("is_open")
    return is_open.filter(pl.len().over("row") == 1)["id"]


def _candidates(
    connection: Connection, delivery: Delivery, cited: pl.DataFrame
) -> Iterable[tuple[int, str, int, bool]]:
    """Yield rejects: id, the file and line that an export of them cites, whether they are open.

    File and line are those where the row was rejected first, also if it was mended and rejected
    again.
    """
    query = (
        select(
            *(RejectedRow.id, RejectedRow.line_number, RejectedRow.raw, RejectedRow.status),
            *(LoadFile.name, LoadFile.header, LoadFile.is_resubmission),
        )
        .join_from(RejectedRow, LoadFile)
        .where(LoadFile.entity == delivery.entity.__name__, LoadFile.id != delivery.file_id)
        .where(_may_be_cited(connection, cited))
    )
    for reject in connection.execute(query):
        file, line = reject.name, reject.line_number
        if reject.is_resubmission:
            delimiter = Layout.of(delivery.entity, reject.header).delimiter
            if citation := re.match(citation_pattern(delimiter), reject.raw):
                file, line = citation["file"], int(citation["line"])
        yield reject.id, file, line, reject.status == RejectStatus.OPEN


def _may_be_cited(connection: Connection, cited: pl.DataFrame) -> ColumnElement[bool]:
    """Return the condition on rejects that have a cited id or, for older exports, may be meant."""
    conditions: list[ColumnElement[bool]] = []
    ids = cited["id"].drop_nulls().unique()
    if len(ids):
        conditions.append(RejectedRow.id.in_(select(keys_as_table(connection, ids).c.value)))
    without_id = cited.filter(pl.col("id").is_null())
    if len(without_id):
        files, lines = without_id["file"].unique().to_list(), without_id["line"]
        is_near = RejectedRow.line_number.between(lines.min(), lines.max())
        conditions.append(and_(LoadFile.name.in_(files), is_near))
    return or_(*conditions)
