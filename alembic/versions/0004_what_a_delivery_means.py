"""what a delivery means.

Amounts become the numbers that were sent, a file is known by more than its size and time, and of
rejects that replace each other only the newest stays open.

Revision: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None
additive = False

IDENTIFIER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NUMERIC = sa.Numeric(precision=14, scale=2)
DOUBLE = NUMERIC.with_variant(sa.REAL(), "sqlite")

CLOSED = "status = 'superseded', closed_at = CURRENT_TIMESTAMP"

# What a load does since: of open rejects of a key, or of a line without one, the newest stays.
# Rows of exports replace none, since each comes back for its own; what waits for a reference stays.
REPLACED = """
    SELECT id FROM (
        SELECT rejected_rows.id, reason, rank() OVER (
            PARTITION BY rejected_rows.entity, {same}
            ORDER BY file_datetime DESC, name DESC, file_id DESC{line}
        ) AS place
        FROM rejected_rows JOIN load_files ON load_files.id = file_id
        WHERE rejected_rows.status = 'open' AND NOT is_resubmission AND record_key {is_null}
    ) AS ranked
    WHERE place > 1 AND reason <> 'missing_reference'
"""


def upgrade() -> None:
    op.add_column("load_files", sa.Column("version", sa.Text(), server_default="", nullable=False))
    op.add_column(
        "load_files",
        sa.Column("is_resubmission", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.add_column("load_files", sa.Column("trailer_rows", sa.BigInteger(), nullable=True))
    for name in ("rows_conflicting", "rows_withdrawn"):
        column = sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)
        op.add_column("load_files", column)
    op.drop_column("load_files", "mtime_ns")
    op.create_index("ix_load_files_sha256", "load_files", ["sha256"])
    if is_postgresql():
        op.alter_column("load_files", "name", type_=sa.Text(collation="C"))
    else:
        for table in tables_with_money(NUMERIC):
            for column in retype(table, DOUBLE):
                cents = f"CAST(ROUND({column} * 100) AS INTEGER)"
                op.execute(f"UPDATE {table} SET {column} = {cents} / 100.0")
    carry_over()


def is_postgresql() -> bool:
    return op.get_context().dialect.name == "postgresql"


def tables_with_money(money: sa.Numeric) -> tuple[sa.Table, ...]:
    """As they are on SQLite, which takes another type only in a table that is made anew."""
    metadata = sa.MetaData()
    sources = (("source_file_id", IDENTIFIER), ("source_line", sa.BigInteger()))
    visits = sa.Table(
        "visits",
        metadata,
        sa.Column("visit_identifier", IDENTIFIER, autoincrement=False, nullable=False),
        sa.Column("guarantor_identifier", sa.BigInteger(), nullable=False),
        sa.Column("admit_date", sa.Date(), nullable=False),
        sa.Column("discharge_date", sa.Date(), nullable=True),
        sa.Column("visit_balance", money, nullable=True),
        sa.Column("insurance_identifier", sa.BigInteger(), nullable=True),
        *(sa.Column(*source, nullable=False) for source in sources),
        sa.PrimaryKeyConstraint("visit_identifier", name="pk_visits"),
    )
    procedures = sa.Table("procedures", metadata, sa.Column("procedure_id", IDENTIFIER))
    transactions = sa.Table(
        "transactions",
        metadata,
        sa.Column("transaction_identifier", IDENTIFIER, autoincrement=False, nullable=False),
        sa.Column("visit_identifier", sa.BigInteger(), nullable=False),
        sa.Column("procedure_id", sa.BigInteger(), nullable=False),
        sa.Column("amount", money, nullable=False),
        *(sa.Column(*source, nullable=False) for source in sources),
        sa.PrimaryKeyConstraint("transaction_identifier", name="pk_transactions"),
        sa.ForeignKeyConstraint(
            ["visit_identifier"],
            [visits.c.visit_identifier],
            name="fk_transactions_visit_identifier_visits",
        ),
        sa.ForeignKeyConstraint(
            ["procedure_id"],
            [procedures.c.procedure_id],
            name="fk_transactions_procedure_id_procedures",
        ),
        sa.Index("ix_transactions_visit_identifier", "visit_identifier"),
    )
    differences = sa.Table(
        "balance_differences",
        metadata,
        sa.Column("id", IDENTIFIER, nullable=False),
        sa.Column("visit_identifier", sa.BigInteger(), nullable=False),
        sa.Column("visit_balance", money, nullable=False),
        sa.Column("transactions_total", money, nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_balance_differences"),
        sa.Index("ix_balance_differences_visit_identifier", "visit_identifier"),
    )
    return visits, transactions, differences


def retype(table: sa.Table, money: sa.Numeric) -> list[str]:
    """Give the columns of money another type; return their names."""
    columns = [column for column in table.columns if isinstance(column.type, sa.Numeric)]
    with op.batch_alter_table(table.name, copy_from=table) as batch_op:
        for column in columns:
            batch_op.alter_column(column.name, existing_type=column.type, type_=money)
    return [column.name for column in columns]


def carry_over() -> None:
    op.execute(
        "UPDATE load_files SET is_resubmission = true WHERE"
        " lower(replace(replace(header, '\"', ''), ' ', ''))"
        " LIKE 'rejectreason_rejectcolumn_rejectfile_rejectline_%'"
    )
    forget_keys_of_short_rows()
    op.execute(
        f"UPDATE rejected_rows SET {CLOSED} WHERE status = 'open' AND file_id IN ("
        "SELECT former.id FROM load_files AS former JOIN load_files AS later"
        " ON later.name = former.name AND later.id > former.id"
        " WHERE former.status = 'loaded' AND later.status = 'loaded'"
        " AND NOT later.is_resubmission)"
    )
    keyed = {"same": "record_key", "is_null": "IS NOT NULL", "line": ", line_number DESC"}
    keyless = {"same": "raw", "is_null": "IS NULL", "line": ""}
    for how in (keyed, keyless):
        op.execute(f"UPDATE rejected_rows SET {CLOSED} WHERE id IN ({REPLACED.format(**how)})")


def forget_keys_of_short_rows() -> None:
    """Forget them: the first cell of a row with too few may be that of another column."""
    tab = "chr(9)" if is_postgresql() else "char(9)"  # in a script, Alembic turns tabs into spaces
    others: list[str] = []
    for delimiter in (tab, "','", "'|'", "';'"):
        header = f"rtrim((SELECT header FROM load_files WHERE id = file_id), {delimiter})"
        cells = (
            f"length({text}) - length(replace({text}, {delimiter}, ''))" for text in ("raw", header)
        )
        splits = [f"{header} LIKE '%' || {delimiter} || '%'"]
        splits += [f"{header} NOT LIKE '%' || {other} || '%'" for other in others]
        op.execute(
            "UPDATE rejected_rows SET record_key = NULL WHERE reason = 'malformed'"
            f" AND record_key IS NOT NULL AND {' AND '.join(splits)} AND {' < '.join(cells)}"
        )
        others.append(delimiter)


def downgrade() -> None:
    if is_postgresql():
        op.alter_column("load_files", "name", type_=sa.Text(collation="default"))
    else:
        for table in tables_with_money(DOUBLE):
            retype(table, NUMERIC)
    op.drop_index("ix_load_files_sha256", "load_files")
    # Nothing is known of it: the next load compares the hashes.
    column = sa.Column("mtime_ns", sa.BigInteger(), server_default="0", nullable=False)
    op.add_column("load_files", column)
    names = ("rows_withdrawn", "rows_conflicting", "trailer_rows", "is_resubmission", "version")
    for name in names:
        op.drop_column("load_files", name)
