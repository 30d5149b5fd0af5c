import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from textwrap import dedent, indent

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from tests.conftest import HEADERS, ROOT, Feed, Visitpay, alembic_config
from visitpay.database import make_migration_engine, revisions
from visitpay.models import ENTITIES, Base, fed_columns, header_of

ER_DIAGRAM = """
procedures   procedure_id           ProcedureId           BIGINT         no  PK
procedures   procedure_description  ProcedureDescription  TEXT           no
visits       visit_identifier       VisitIdentifier       BIGINT         no  PK
visits       guarantor_identifier   GuarantorIdentifier   BIGINT         no
visits       admit_date             AdmitDate             DATE           no
visits       discharge_date         DischargeDate         DATE           yes
visits       visit_balance          VisitBalance          NUMERIC(14,2)  yes
visits       insurance_identifier   InsuranceIdentifier   BIGINT         yes
transactions transaction_identifier TransactionIdentifier BIGINT         no  PK
transactions visit_identifier       VisitIdentifier       BIGINT         no  FK visits
transactions procedure_id           ProcedureId           BIGINT         no  FK procedures
transactions amount                 Amount                NUMERIC(14,2)  no
"""

BOOKS = {
    "load_runs": "id started_at finished_at status version host",
    "load_files": "id run_id name hospital entity file_datetime sha256 size_bytes header status"
    " rows_read rows_inserted rows_updated rows_unchanged rows_stale rows_rejected error loaded_at",
    "delivered_keys": "file_id first_key last_key keys",
    "rejected_rows": "id file_id line_number entity record_key reason column_name raw status"
    " created_at closed_at",
}

REVISION = """
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{head}"


def upgrade() -> None:
{up}


def downgrade() -> None:
{down}
"""


def revised(feed: Feed, up: str, down: str = "pass") -> Config:
    """Give the settings of an Alembic that has one revision more."""
    _, (head,) = revisions()
    versions = feed.database.parent / "versions"
    versions.mkdir()
    steps = {"up": indent(dedent(up), "    "), "down": indent(dedent(down), "    ")}
    (versions / "9999_one_more.py").write_text(REVISION.format(head=head, **steps))
    config = alembic_config()
    base = ScriptDirectory.from_config(config).versions
    config.set_main_option("version_locations", os.pathsep.join([base, str(versions)]))
    return config


def dump(path: Path) -> list[str]:
    """Give the statements that would make a database again, but for its revision."""
    with closing(sqlite3.connect(path)) as connection:
        return [line for line in connection.iterdump() if "alembic_version" not in line]


def rows(path: Path) -> list[str]:
    """Give the statements that would insert a database's rows again."""
    return sorted(line for line in dump(path) if line.startswith("INSERT"))


@pytest.fixture
def populated(feed: Feed, visitpay: Visitpay) -> Feed:
    """Give a database with a row in each of its tables."""
    feed.deliver("Procedure", "20211201_223357", "1\tbandaid")
    feed.deliver("Visit", "20211201_223005", "10\t7\t1/2/2021\t\t20.50\t", "11\t7\t1/2/2021\t\t\t")
    feed.deliver("Transaction", "20211201_223133", "100\t10\t1\t20.5", "101\t12\t1\t9")
    assert visitpay("load").status == 1
    assert len({line.split()[2] for line in rows(feed.database)}) == len(Base.metadata.tables)
    return feed


def test_up_and_down(populated: Feed, visitpay: Visitpay, migrated: Path) -> None:
    """Migrating down leaves no table, and up again gives the same schema, ready for a load."""
    command.downgrade(alembic_config(), "base")
    assert dump(populated.database) == dump(populated.landing / "of nothing")
    for _ in range(2):
        command.upgrade(alembic_config(), "head")
        assert dump(populated.database) == dump(migrated)
    assert visitpay("load", "--json").document["files"][0]["inserted"] == 1


@pytest.mark.usefixtures("visitpay")
def test_models_need_no_migration() -> None:
    """The migrations give what the models say: `alembic check` finds nothing to do."""
    command.check(alembic_config())


@pytest.mark.parametrize("table", ["visits", "procedures", "load_files", "load_runs"])
def test_rebuilding_a_parent(populated: Feed, table: str) -> None:
    """Rebuilding a table that others refer to, up and down, loses no row and no reference."""
    config = revised(
        populated,
        f"""
        with op.batch_alter_table("{table}", recreate="always") as batch:
            batch.add_column(sa.Column("note", sa.Text()))
        """,
        f"""
        with op.batch_alter_table("{table}", recreate="always") as batch:
            batch.drop_column("note")
        """,
    )
    before = rows(populated.database)
    noted = [f"{row[:-2]},NULL);" if f'INTO "{table}"' in row else row for row in before]
    command.upgrade(config, "head")
    assert rows(populated.database) == sorted(noted) != before
    with make_migration_engine(populated.url).connect() as connection:
        assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
    command.downgrade(config, "-1")
    assert rows(populated.database) == before
    command.check(alembic_config())


@pytest.mark.parametrize(
    ("last_step", "message"),
    [
        ('op.execute("no such statement")', "syntax error"),
        (
            'op.execute("DELETE FROM visits"); op.drop_table("procedures")',
            "^the migration leaves rows without what they refer to in: transactions$",
        ),
    ],
    ids=["halfway", "references"],
)
def test_failing(populated: Feed, last_step: str, message: str) -> None:
    """A migration that fails, or would lose references, leaves schema and rows as they were."""
    steps = """
        op.create_table("made", sa.Column("id", sa.Integer()))
        op.execute("UPDATE visits SET guarantor_identifier = 0")
        with op.batch_alter_table("visits", recreate="always") as batch:
            batch.add_column(sa.Column("note", sa.Text()))
    """
    config = revised(populated, f"{dedent(steps)}\n{last_step}")
    before = dump(populated.database)
    with pytest.raises((OperationalError, RuntimeError), match=message):
        command.upgrade(config, "head")
    assert dump(populated.database) == before


def test_entities() -> None:
    """The models have the tables, columns, headers, types and keys of the ER diagram."""
    assert [
        [
            *(entity.__tablename__, column.name, header_of(column)),
            *(str(column.type).replace(" ", ""), "yes" if column.nullable else "no"),
            *(["PK"] if column.primary_key else []),
            *(word for key in column.foreign_keys for word in ("FK", key.column.table.name)),
        ]
        for entity in ENTITIES
        for column in fed_columns(entity)
    ] == [line.split() for line in ER_DIAGRAM.strip().splitlines()]


def test_books() -> None:
    """The loader's books have the columns of the design, and there is no other table."""
    tables = Base.metadata.tables
    assert tables.keys() == {*BOOKS, *(entity.__tablename__ for entity in ENTITIES)}
    for name, columns in BOOKS.items():
        assert set(columns.split()) <= {column.name for column in tables[name].columns}
    for entity in ENTITIES:
        (key,) = entity.__table__.columns["source_file_id"].foreign_keys
        assert key.column.table.name == "load_files"


def test_constraints_have_names(migrated: Path) -> None:
    """In the database every constraint has a name by which a migration can drop it."""
    lines = [line.strip() for line in "".join(dump(migrated)).splitlines()]
    constraints = [
        line for line in lines if re.search("PRIMARY KEY|FOREIGN KEY|UNIQUE|CHECK", line)
    ]
    assert len(constraints) == 7 + 8 + 1
    assert all(re.match("CONSTRAINT (pk|fk|uq|ck)_", line) for line in constraints)


def test_a_developer_adds_a_column(tmp_path: Path) -> None:
    """One edit of the model and one generated revision, and a load fills the new column."""
    for name in ("visitpay", "alembic"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "alembic.ini", tmp_path)
    model = tmp_path / "visitpay" / "models.py"
    old = "    insurance_identifier: Mapped[Number | None]\n"
    assert old in model.read_text()
    model.write_text(model.read_text().replace(old, f"{old}    ward: Mapped[Words | None]\n"))
    feed = Feed(tmp_path / "landing", tmp_path / "visitpay.db")
    feed.landing.mkdir()
    bin_folder = Path(sys.executable).parent
    environment = os.environ | {
        "PYTHONPATH": str(tmp_path),
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "VISITPAY_DATABASE_URL": feed.url,
    }

    def run(*command: str) -> None:
        python = (sys.executable, "-m", *command)
        done = subprocess.run(
            python, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    run("alembic.config", "upgrade", "head")
    run("alembic.config", "revision", "--autogenerate", "-m", "visits know their ward")
    run("alembic.config", "upgrade", "head")
    header, row = f"{HEADERS['Visit']}\tWard", "1\t2\t1/1/2021\t\t\t\tnorth"
    feed.deliver("Visit", "20211201_223005", row, header=header)
    run("visitpay", "load", str(feed.landing))
    with closing(sqlite3.connect(feed.database)) as connection:
        assert connection.execute("SELECT ward FROM visits").fetchall() == [("north",)]
    run("alembic.config", "downgrade", "-1")
    run("alembic.config", "upgrade", "head")
    run("alembic.config", "check")
