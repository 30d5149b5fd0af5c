"""turns: a row lock that a transaction keeps while it is in doubt.

Revision: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None
additive = True


def upgrade() -> None:
    op.create_table(
        "turns",
        sa.Column("entity", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("entity", name=op.f("pk_turns")),
    )
    op.execute("INSERT INTO turns (entity) VALUES ('Procedure'), ('Visit'), ('Transaction')")


def downgrade() -> None:
    op.drop_table("turns")
