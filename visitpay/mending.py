"""Rows that come back mended: which rejects they were exported from.

An export puts reason, column, file and line ahead of each row (`models.REJECT_HEADERS`).
"""

import polars as pl
from sqlalchemy import Connection, select

from visitpay.ledger import Delivery
from visitpay.models import LoadFile, RejectedRow
from visitpay.parsing import REASONS


def about(delimiter: str) -> str:
    """Give the pattern of what stands ahead of an exported row; its groups are file and line.

    A spreadsheet may have put quotes around each of them.
    """
    cell, around = f"[^{delimiter}]*?", '[" ]*'
    cells = (f"(?:{'|'.join(REASONS)})", cell, f"({cell})", "([0-9]+)")
    return "^" + "".join(f"{around}{each}{around}[{delimiter}]" for each in cells)


def originals(
    connection: Connection, delivery: Delivery, rows: pl.Series, delimiter: str
) -> pl.DataFrame:
    """Give the rejects of other deliveries that rows of this one were exported from.

    They have an `id` and the `place` of their row among the rows.
    """
    pattern = about(delimiter)
    cited = pl.DataFrame(
        {
            "file": rows.str.extract(pattern, 1),
            "line": rows.str.extract(pattern, 2).cast(pl.Int64, strict=False),
        }
    ).with_row_index("place")
    names, lines = cited["file"].drop_nulls().unique().to_list(), cited["line"]
    query = (
        select(LoadFile.name, RejectedRow.line_number, RejectedRow.id)
        .join_from(RejectedRow, LoadFile)
        .where(LoadFile.name.in_(names), LoadFile.entity == delivery.entity.__name__)
        .where(RejectedRow.line_number.between(lines.min(), lines.max()))
        .where(LoadFile.id != delivery.file_id)
    )
    schema = {"file": pl.String, "line": pl.Int64, "id": pl.Int64}
    known = pl.DataFrame(connection.execute(query).all(), schema, orient="row")
    return cited.join(known, on=["file", "line"]).select("place", "id")
