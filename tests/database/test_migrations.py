import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import (
    ForeignKeyConstraint,
    PrimaryKeyConstraint,
    UniqueConstraint,
    insert,
    inspect,
    make_url,
    select,
    text,
)

from tests.support.command import Visitpay
from tests.support.databases import ROOT, alembic_config, rendered
from tests.support.feed import Feed, only_sqlite, row
from visitpay.database.engine import make_engine, make_migration_engine
from visitpay.database.revision import revisions
from visitpay.models import ENTITIES, Base, Transaction
from visitpay.parsing.columns import file_columns, file_header

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
    " created_at closed_at why",
    "balance_differences": "visit_identifier visit_balance transactions_total found_at closed_at",
    "balance_comparisons": "compared_at compared different",
    "problems": "name subject size message opened_at grown_at told_at closed_at",
    "acknowledgements": "name subject size state why who made_at ended_at",
    "schema_revisions": "revision is_additive applied_at",
    "turns": "entity",
}

OF_REVISIONS = ("alembic_version", "schema_revisions", "turns")
"""The tables that each migration writes to."""

VALUES: dict[type[Any], Any] = {
    int: 1,
    str: "x",
    bool: True,
    Decimal: Decimal("20.50"),
    datetime: datetime(2021, 12, 1, 22, 33, 57, tzinfo=UTC),
}
"""A value for a column of the books, by its type in Python."""

REVISION = """
import sqlalchemy as sa
from alembic import op

revision = "one_more"
down_revision = "{head}"


def upgrade() -> None:
{up}


def downgrade() -> None:
{down}
"""


def revised(feed: Feed, up: str, down: str = "pass") -> Config:
    """Return the settings of an Alembic that has one revision more."""
    _, (head,) = revisions()
    versions = feed.landing.parent / "versions"
    versions.mkdir()
    steps = {"up": indent(dedent(up), "    "), "down": indent(dedent(down), "    ")}
    (versions / "one_more.py").write_text(REVISION.format(head=head, **steps))
    config = alembic_config()
    base = ScriptDirectory.from_config(config).versions
    config.set_main_option("version_locations", os.pathsep.join([base, str(versions)]))
    return config


def rows(feed: Feed) -> list[str]:
    """Return the rows of a database, but for those that revisions make."""
    found = [line for line in feed.dump() if isinstance(line, str) and line.startswith("INSERT")]
    return [row for row in found if row.split()[2].rstrip(":") not in OF_REVISIONS]


def schema(feed: Feed) -> list[str | list[str]]:
    """Return the tables and indexes of a database."""
    return [line for line in feed.dump() if not str(line).startswith("INSERT")]


def populate(feed: Feed, visitpay: Visitpay) -> None:
    """Bring a row into each table of a database."""
    for entity in ENTITIES:
        feed.deliver(entity)
    orphan = row(transaction_identifier=101, visit_identifier=12)
    feed.deliver(Transaction, row(amount="20.5"), orphan)
    assert visitpay("load").status == 1
    with make_migration_engine(feed.url).begin() as connection:
        for table in Base.metadata.sorted_tables:
            if connection.execute(select(table)).first() is None:
                stored = [(each, each.type.dialect_impl(connection.dialect)) for each in table.c]
                values = {
                    column.name: VALUES[getattr(kind, "impl_instance", kind).python_type]
                    for column, kind in stored
                    if not column.nullable
                }
                connection.execute(insert(table).values(values))
    tables = {line.split()[2].rstrip(":") for line in rows(feed)}
    assert tables == Base.metadata.tables.keys() - {*OF_REVISIONS}


@pytest.fixture
def populated(feed: Feed, visitpay: Visitpay) -> Feed:
    """Return a database with a row in each of its tables."""
    populate(feed, visitpay)
    return feed


def test_up_and_down(feed: Feed, visitpay: Visitpay) -> None:
    """Migrating down leaves no table, and up again gives the same schema, ready for a load."""
    fresh = schema(feed)
    populate(feed, visitpay)
    command.downgrade(alembic_config(), "base")
    assert [line for line in feed.dump() if "alembic_version" not in str(line)] == []
    for _ in range(2):
        command.upgrade(alembic_config(), "head")
        assert schema(feed) == fresh
        assert rows(feed) == []
    assert visitpay("load", "--json").document["files"][0]["inserted"] == 1


@pytest.mark.usefixtures("visitpay")
def test_models_need_no_migration() -> None:
    """The migrations give what the models say: `alembic check` finds nothing to do."""
    command.check(alembic_config())


def run_script(url: str, script: str) -> None:
    """Run statements as a database administrator would, with the database's own means."""
    if url.startswith("sqlite:"):
        with closing(sqlite3.connect(str(make_url(url).database))) as connection:
            connection.executescript(script)
    else:
        with psycopg.connect(rendered(make_url(url).set(drivername="postgresql"))) as server:
            server.autocommit = True
            server.execute(script.encode())


def test_statements_to_run_by_hand(feed: Feed, capsys: pytest.CaptureFixture[str]) -> None:
    """`--sql` prints statements, down as well as up, that make the same schema."""
    before, fresh = feed.dump(), schema(feed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISITPAY_DATABASE_URL", feed.url)
        command.downgrade(alembic_config(), "head:base", sql=True)
        down = capsys.readouterr().out
        command.upgrade(alembic_config(), "head", sql=True)
        up = capsys.readouterr().out
    assert feed.dump() == before
    run_script(feed.url, down)
    feed.execute("DROP TABLE alembic_version")  # Alembic keeps it
    assert feed.dump() == []
    run_script(feed.url, up)
    assert schema(feed) == fresh
    assert rows(feed) == []


@only_sqlite
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
    before = rows(populated)
    noted = [f"{row[:-1]}, None)" if f"INTO {table}:" in row else row for row in before]
    command.upgrade(config, "head")
    assert rows(populated) == sorted(noted) != before
    with make_migration_engine(populated.url).connect() as connection:
        assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
    command.downgrade(config, "-1")
    assert rows(populated) == before
    command.check(alembic_config())


@pytest.mark.parametrize(
    ("feed", "last_step", "message"),
    [
        ("sqlite", 'op.execute("no such statement")', "syntax error"),
        ("postgresql", 'op.execute("no such statement")', "syntax error"),
        (
            "sqlite",
            'op.execute("DELETE FROM visits"); op.drop_table("procedures")',
            "^the migration leaves rows without what they refer to in: transactions$",
        ),
    ],
    ids=["sqlite", "postgresql", "references"],
    indirect=["feed"],
)
def test_failing(populated: Feed, last_step: str, message: str) -> None:
    """A migration that fails, or would lose references, leaves schema and rows as they were."""
    steps = """
        op.create_table("made", sa.Column("id", sa.Integer()))
        op.execute("UPDATE visits SET guarantor_identifier = 0")
        with op.batch_alter_table("visits") as batch:
            batch.add_column(sa.Column("note", sa.Text()))
    """
    config = revised(populated, f"{dedent(steps)}\n{last_step}")
    before = populated.dump()
    with pytest.raises(CommandError, match=message):
        command.upgrade(config, "head")
    assert populated.dump() == before


def test_entities() -> None:
    """The models have the tables, columns, headers, types and keys of the ER diagram, or more."""
    diagram = [line.split() for line in ER_DIAGRAM.strip().splitlines()]
    found = [
        [
            *(entity.__tablename__, column.name, file_header(column)),
            *(str(column.type).replace(" ", ""), "yes" if column.nullable else "no"),
            *(["PK"] if column.primary_key else []),
            *(word for key in column.foreign_keys for word in ("FK", key.column.table.name)),
        ]
        for entity in ENTITIES
        for column in file_columns(entity)
    ]
    assert [each for each in found if each in diagram] == diagram


def test_books() -> None:
    """The loader's books have the columns of the design, and there is no other table."""
    tables = Base.metadata.tables
    assert tables.keys() == {*BOOKS, *(entity.__tablename__ for entity in ENTITIES)}
    for name, columns in BOOKS.items():
        assert set(columns.split()) <= {column.name for column in tables[name].columns}
    for entity in ENTITIES:
        assert {"source_file_id", "source_line"} <= set(entity.__table__.columns.keys())


def test_constraints_have_names(feed: Feed) -> None:
    """In the database every constraint has a name by which a migration can drop it."""
    with make_engine(feed.url).connect() as connection:
        seen = inspect(connection)
        found: list[Any] = []
        for table in Base.metadata.tables:
            found += [seen.get_pk_constraint(table), *seen.get_foreign_keys(table)]
            found += seen.get_unique_constraints(table)
    names = [str(constraint["name"]) for constraint in found]
    kinds = (PrimaryKeyConstraint, ForeignKeyConstraint, UniqueConstraint)
    modelled = [each for table in Base.metadata.tables.values() for each in table.constraints]
    assert len(names) == len([each for each in modelled if isinstance(each, kinds)])
    assert all(re.match("(pk|fk|uq|ck)_", name) for name in names)


BROKEN = {
    "VISITPAY_DATABASE_URL=sqlite:///no/such/x.db": "no/such/x.db cannot be opened: No such file",
    "VISITPAY_DATABASE_URL=postgresql://u:hun@ter2@127.0.0.1:1/x": "@ in a password",
    "VISITPAY_DATABASE_URL=postgresql://u:hunter2@127.0.0.1:1/x\r": "a control character",
    "VISITPAY_DATABASE_URL=postgresql://u:hunter2@127.0.0.1:1/x": "Connection refused",
    "VISITPAY_DATABASE_URL=mysql://u:hunter2@127.0.0.1:1/x": "mysql is not supported",
    "VISITPAY_DATABASE_URL=sqlite:///alembic.ini": "file is not a database",
}


@pytest.mark.parametrize("setting", BROKEN)
def test_alembic_says_it_in_one_line(tmp_path: Path, setting: str) -> None:
    """What a migration cannot do is told in one line, without a traceback or a password."""
    for name in ("alembic", "visitpay"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "alembic.ini", tmp_path)
    name, _, value = setting.partition("=")
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=tmp_path,
        env=os.environ | {name: value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode not in {0, 1}
    told = done.stdout + done.stderr
    assert "Traceback" not in told
    assert "ter2" not in told
    (line,) = (line for line in told.splitlines() if line.startswith("FAILED: "))
    assert BROKEN[setting] in line
