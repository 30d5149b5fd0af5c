"""what a run was told and how it failed, how files end, and what people have acknowledged.

Revision: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None
additive = True

IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column(
        "load_runs",
        sa.Column("rejects_tolerated", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.execute("UPDATE load_runs SET rejects_tolerated = (status = 'ok')")
    op.add_column("load_runs", sa.Column("error", sa.Text(), nullable=True))
    op.add_column("load_runs", sa.Column("landing", sa.Text(), nullable=True))
    op.add_column("load_runs", sa.Column("process_id", sa.BigInteger(), nullable=True))
    for name in ("files_planned", "bytes_planned"):
        column = sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)
        op.add_column("load_runs", column)
    op.add_column("load_files", sa.Column("has_last_line_end", sa.Boolean(), nullable=True))
    # Rejects were one problem of a type, and are one of a type and reason; held files were failed.
    op.execute(
        "UPDATE problems SET closed_at = CURRENT_TIMESTAMP"
        " WHERE name = 'rows_rejected' AND closed_at IS NULL"
    )
    op.execute(
        "UPDATE problems SET name = 'file_held' WHERE name = 'file_failed' AND closed_at IS NULL"
        " AND subject IN (SELECT name FROM load_files WHERE status = 'held')"
    )
    op.add_column("problems", sa.Column("grown_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "acknowledgements",
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_acknowledgements")),
    )


def downgrade() -> None:
    op.execute("UPDATE problems SET name = 'file_failed' WHERE name = 'file_held'")
    op.drop_table("acknowledgements")
    op.drop_column("problems", "grown_at")
    op.drop_column("load_files", "has_last_line_end")
    for name in ("bytes_planned", "files_planned", "process_id", "landing", "error"):
        op.drop_column("load_runs", name)
    op.drop_column("load_runs", "rejects_tolerated")
