"""What Alembic is told for revisions that developers generate."""

from collections.abc import Mapping
from typing import Any

from visitpay.models import Base, UTCDateTime


def render_item(kind: str, thing: object, _context: object) -> str | bool:
    """Render `UTCDateTime` as SQLAlchemy's own type: revisions must not depend on visitpay."""
    if kind == "type" and isinstance(thing, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    return False


OPTIONS: Mapping[str, Any] = {
    "target_metadata": Base.metadata,
    "render_as_batch": True,
    "render_item": render_item,
}
"""Options of `alembic.context.configure` that matter to generated revisions."""
