"""Rows that come back mended: which rejects they were exported from.

An export puts reason, column, file, and line with the id of the reject (`3#12`) ahead of each row
(`models.REJECT_HEADERS`). Exports of older versions lack the id.
"""

import re
from collections.abc import Iterable

import polars as pl
from sqlalchemy import ColumnElement, Connection, and_, or_, select

from visitpay.database.writes import keys_as_table
from visitpay.ledger.files import Delivery
from visitpay.models import LoadFile, RejectedRow
from visitpay.parsing.layout import Layout
from visitpay.vocabulary import Reason, RejectStatus


def cited_line(line: str, reject_id: int) -> str:
    """Return a line of a file as an export names it, with the reject that is meant."""
    return f"{line}#{reject_id}"


def citation_pattern(delimiter: str) -> str:
    """Return the pattern of what stands ahead of an exported row: groups `file`, `line` and `id`.

    A spreadsheet may have put quotes around each of them.
    """
    cell, around = f"[^{delimiter}]*?", '[" ]*'
    line = "(?P<line>[0-9]+)(?:#(?P<id>[0-9]+))?"
    cells = (f"(?:{'|'.join(Reason)})", cell, f"(?P<file>{cell})", line)
    return "^" + "".join(f"{around}{each}{around}[{delimiter}]" for each in cells)


def find_cited(
    connection: Connection, delivery: Delivery, rows: pl.Series, delimiter: str
) -> pl.DataFrame:
    """Return the rejects of other deliveries that rows of this one cite.

    Each has the `place` of its row among the rows, its `id`, and whether it `is_open`. A row that
    names an id cites that reject and no other, and only if file and line are those of it; one
    without an id may cite rejects of several deliveries of the file.
    """
    found = rows.str.extract_groups(citation_pattern(delimiter)).struct.unnest()
    cited = found.with_row_index("place").select(
        *("place", "file"),
        *(pl.col(name).cast(pl.Int64, strict=False) for name in ("line", "id")),
    )
    cited = cited.drop_nulls("line")
    schema = {"known": pl.Int64, "file": pl.String, "line": pl.Int64, "is_open": pl.Boolean}
    candidates = [] if cited.is_empty() else list(_candidates(connection, delivery, cited))
    known = pl.DataFrame(candidates, schema, orient="row")
    meant = pl.col("id").is_null() | (pl.col("id") == pl.col("known"))
    return (
        cited.join(known, on=["file", "line"]).filter(meant).select("place", "is_open", id="known")
    )


def unambiguous_ids(cited: pl.DataFrame) -> pl.Series:
    """Return the ids of the open rejects that are the only open one their row cites."""
    is_open = cited.filter("is_open")
    return is_open.filter(pl.len().over("place") == 1)["id"]


def _chosen(connection: Connection, cited: pl.DataFrame) -> ColumnElement[bool]:
    ids = cited["id"].drop_nulls().unique()
    by_id = RejectedRow.id.in_(select(keys_as_table(connection, ids).c.value)) if len(ids) else None
    older = cited.filter(pl.col("id").is_null())
    names, lines = older["file"].unique().to_list(), older["line"]
    within = RejectedRow.line_number.between(lines.min(), lines.max())
    by_place = and_(LoadFile.name.in_(names), within) if names else None
    return or_(*(each for each in (by_id, by_place) if each is not None))


def _candidates(
    connection: Connection, delivery: Delivery, cited: pl.DataFrame
) -> Iterable[tuple[int, str, int, bool]]:
    """Give rejects with the file and line that an export of them names, and whether they are open.

    Those are where the row first stood, also when it was mended, and rejected again, since.
    """
    query = (
        select(
            *(RejectedRow.id, RejectedRow.line_number, RejectedRow.raw, RejectedRow.status),
            *(LoadFile.name, LoadFile.header, LoadFile.is_resubmission),
        )
        .join_from(RejectedRow, LoadFile)
        .where(LoadFile.entity == delivery.entity.__name__, LoadFile.id != delivery.file_id)
        .where(_chosen(connection, cited))
    )
    for row in connection.execute(query):
        file, line = row.name, row.line_number
        if row.is_resubmission:
            delimiter = Layout.of(delivery.entity, row.header).delimiter
            if first := re.match(citation_pattern(delimiter), row.raw):
                file, line = first["file"], int(first["line"])
        yield row.id, file, line, row.status == RejectStatus.OPEN
