"""A copy of the package whose model has more columns, and one more record type."""

import shutil
from pathlib import Path

from tests.support.databases import ROOT

REFUND = '''
class Refund(Entity):
    """Something that was paid back for a visit."""

    __tablename__ = "refunds"

    refund_identifier: Mapped[BusinessKey]
    """The hospital's number of the refund."""
    visit_identifier: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("visits.visit_identifier"), index=True
    )
    """The visit that it is for."""
    repaid_on: Mapped[date]
    """The day on which it was paid back."""
    repaid_amount: Mapped[Money]
    """What was paid back, in dollars."""
    method: Mapped[str | None]
    """How it was paid back; NULL if that is not known."""
'''

COLUMNS = {
    "visit_balance: Mapped[Money | None]": "spare_code: Mapped[str | None]",
    "visit: Mapped[Visit] =": "spare_on: Mapped[date]",
    "procedure_description: Mapped[str]": "spare_price: Mapped[Money | None]",
}
"""Columns to add, each by what it stands ahead of."""

_BEHIND = "class RowCounts:"
"""What follows the entities in the model."""


def grow(folder: Path) -> None:
    """Copy the package and its revisions to a folder, with more columns, and a class `Refund`."""
    for name in ("visitpay", "alembic"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.db")
        )
    models = folder / "visitpay" / "models.py"
    text = models.read_text()
    added = {_BEHIND: f"{REFUND.strip()}\n\n\n"}
    added |= {place: f"{column}\n    " for place, column in COLUMNS.items()}
    for place, addition in added.items():
        assert text.count(place) == 1
        text = text.replace(place, addition + place)
    models.write_text(text)
