"""A copy of the package whose model has one more record type: a developer's first step."""

import shutil
from pathlib import Path

from tests.support.databases import ROOT

PAYMENT = '''
class Payment(Entity):
    """Something that was paid for a visit."""

    __tablename__ = "payments"

    payment_identifier: Mapped[BusinessKey]
    """The hospital's number of the payment."""
    visit_identifier: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("visits.visit_identifier"), index=True
    )
    """The visit that it is for."""
    paid_on: Mapped[date]
    """The day on which it was paid."""
    paid_amount: Mapped[Money]
    """What was paid, in dollars."""
    method: Mapped[str | None]
    """How it was paid; NULL if that is not known."""
'''

_BEHIND = "class RowCounts:"
"""What follows the entities in the model."""


def grow(folder: Path, entity: str = PAYMENT) -> None:
    """Copy the package and its revisions to a folder, with one more class in the model."""
    for name in ("visitpay", "alembic"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.db")
        )
    models = folder / "visitpay" / "models.py"
    written = models.read_text()
    assert written.count(_BEHIND) == 1
    models.write_text(written.replace(_BEHIND, f"{entity.strip()}\n\n\n{_BEHIND}"))
