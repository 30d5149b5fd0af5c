<%
    # A merge changes nothing itself; what is written by hand must be judged by hand.
    is_additive = context.get("additive", isinstance(down_revision, tuple))
%>\
"""${message}.

Revision: ${up_revision}
Revises: ${down_revision | comma,n}
"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
# Rules (take these lines away when the revision keeps them):
# - additive is True only if code that does not know this revision can go on loading: new tables,
#   indexes that are not unique, columns that are nullable or have a server_default; nothing else.
#   Then the code can be rolled back without a downgrade.
# - Plain types of SQLAlchemy, no import of visitpay: the revision must mean the same in ten years.
# - `op.add_column` and `op.drop_column` as they are. Whatever else changes a table is done in
#   `op.batch_alter_table`: on SQLite it makes the table anew. Give it `copy_from` with all columns,
#   constraints and FOREIGN KEYS of the table, or they are lost and `--sql` fails.
# - Rows are filled in by SQL that SQLite and PostgreSQL both know, in one statement:
#   op.execute("UPDATE visits SET ward = '' WHERE ward IS NULL"); op.get_bind() fails with `--sql`.
# - An index on a large table that others than visitpay write to (loads wait for a migration anyway)
#   is made CONCURRENTLY, as the only step of its revision. One that was cut off stays, invalid, and
#   IF NOT EXISTS would pass over it, so it is dropped first:
#   with op.get_context().autocommit_block():
#       op.drop_index("ix_...", "visits", if_exists=True, postgresql_concurrently=True)
#       op.create_index("ix_...", "visits", ["..."], postgresql_concurrently=True)
# - downgrade() undoes upgrade(). `--sql` works for both, on both databases: the tests try it.
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}
additive = ${is_additive}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
