"""unknown columns of a delivery, and which revisions were applied.

Revision: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
additive = False  # code from before it refuses every schema that it does not know

IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("load_files", sa.Column("columns_unknown", sa.Text(), nullable=True))
    op.create_table(
        "schema_revisions",
        sa.Column("revision", sa.String(length=32), nullable=False),
        sa.Column("is_additive", sa.Boolean(), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("revision", name=op.f("pk_schema_revisions")),
    )

    if op.get_context().dialect.name == "sqlite":
        forget_reference_to_ledger()


def forget_reference_to_ledger() -> None:
    """Make `procedures` anew: in the first form of 0001 it had a foreign key to `load_files`.

    So had the other entities, which 0004 has made anew; PostgreSQL never had it.
    """
    procedures = sa.Table(
        "procedures",
        sa.MetaData(),
        sa.Column("procedure_id", IDENTIFIER, autoincrement=False, nullable=False),
        sa.Column("procedure_description", sa.Text(), nullable=False),
        sa.Column("source_file_id", IDENTIFIER, nullable=False),
        sa.Column("source_line", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("procedure_id", name="pk_procedures"),
    )
    with op.batch_alter_table("procedures", copy_from=procedures, recreate="always"):
        pass


def downgrade() -> None:
    op.drop_table("schema_revisions")
    op.drop_column("load_files", "columns_unknown")
