"""Rows of random feeds, and what must hold of every database that was loaded."""

from typing import Any

from hypothesis import strategies as st
from sqlalchemy import func, select

from tests.support.feed import Feed, cells_of, columns, header_line, line
from visitpay.database.dialects import dialect_of
from visitpay.database.engine import read_connection
from visitpay.models import ENTITIES, Entity, LoadFile, Procedure, RejectedRow, Transaction, Visit

KEYS = st.integers(1, 4)
ODD_CELL = st.sampled_from(["", "x", "NULL"])


def rows(entity: type[Entity], **cells: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    """Return lines of a file, one in a while with something odd in it."""
    defaults = dict(zip(columns(entity), cells_of(entity), strict=True))
    every = {name: st.just(cell) for name, cell in defaults.items()} | cells

    def written(values: dict[str, object]) -> str:
        return line(entity, **values)

    good = st.fixed_dictionaries(every).map(written)
    odd = st.fixed_dictionaries({name: cell | ODD_CELL for name, cell in every.items()})
    return good | good | odd.map(written) | good.map(lambda text: text + "\t!")


ROWS = {
    "Procedure": rows(Procedure, procedure_id=KEYS, procedure_description=st.sampled_from("ab")),
    "Visit": rows(Visit, visit_identifier=KEYS, visit_balance=st.sampled_from(["", "1.5", "2"])),
    "Transaction": rows(
        Transaction,
        transaction_identifier=KEYS,
        visit_identifier=KEYS,
        procedure_id=KEYS,
        amount=st.sampled_from(["1", "2.50"]),
    ),
}
HEADERS = {entity.__name__: header_line(entity) for entity in ENTITIES}


def check_books(feed: Feed) -> None:
    """See that the ledger balances and the quarantine holds what it says."""
    with read_connection(feed.url) as connection:
        for entry in connection.execute(select(*LoadFile.__table__.columns)).mappings():
            ends = ["inserted", "updated", "unchanged", "stale", "superseded", "rejected"]
            assert entry["rows_read"] == sum(entry[f"rows_{end}"] for end in ends)
            held = select(func.count()).where(RejectedRow.file_id == entry["id"])
            assert connection.scalar(held) == entry["rows_rejected"]
        assert dialect_of(connection).foreign_key_violations(connection) == set()
        for entity in ENTITIES:
            known = select(LoadFile.id).where(LoadFile.id == entity.source_file_id)
            assert connection.scalars(select(entity).where(~known.exists())).all() == []
