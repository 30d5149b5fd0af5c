"""Rows of random feeds, and what must hold of every database that was loaded."""

from typing import Any

from hypothesis import strategies as st
from sqlalchemy import func, select

from tests.support.feed import Feed
from visitpay.database import reading
from visitpay.dialects import dialect_of
from visitpay.models import ENTITIES, LoadFile, RejectedRow

KEYS = st.integers(1, 4)


ODD_CELL = st.sampled_from(["", "x", "NULL"])


def row(*cells: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    """Give lines of a file, one in a while with something odd in it."""
    good = st.tuples(*cells).map(lambda values: "\t".join(map(str, values)))
    odd = st.tuples(*(cell | ODD_CELL for cell in cells)).map(
        lambda values: "\t".join(map(str, values))
    )
    return good | good | odd | good.map(lambda line: line + "\t!")


ROWS = {
    "Procedure": row(KEYS, st.sampled_from("ab")),
    "Visit": row(
        KEYS,
        st.just(9),
        st.just("1/1/2021"),
        st.just(""),
        st.sampled_from(["", "1.5", "2"]),
        st.just(""),
    ),
    "Transaction": row(KEYS, KEYS, KEYS, st.sampled_from(["1", "2.50"])),
}


def check_books(feed: Feed) -> None:
    """See that the ledger balances and the quarantine holds what it says."""
    with reading(feed.url) as connection:
        for entry in connection.execute(select(*LoadFile.__table__.columns)).mappings():
            ends = ["inserted", "updated", "unchanged", "stale", "superseded", "rejected"]
            assert entry["rows_read"] == sum(entry[f"rows_{end}"] for end in ends)
            held = select(func.count()).where(RejectedRow.file_id == entry["id"])
            assert connection.scalar(held) == entry["rows_rejected"]
        assert dialect_of(connection).broken_references(connection) == set()
        for entity in ENTITIES:
            known = select(LoadFile.id).where(LoadFile.id == entity.source_file_id)
            assert connection.scalars(select(entity).where(~known.exists())).all() == []
