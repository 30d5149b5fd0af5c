import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    Column,
    DefaultClause,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    text,
)

from tests.support.databases import ROOT, Postgres, alembic_config, rendered
from tests.support.feed import Feed, header_line, line
from visitpay.database.engine import make_migration_engine
from visitpay.errors import ConfigurationError
from visitpay.migrations import authoring
from visitpay.migrations.authoring import next_number, plain, with_default
from visitpay.migrations.dangers import find_dangers, is_additive
from visitpay.models import Base, UTCDateTime, Visit

HEADS = ScriptDirectory.from_config(alembic_config()).get_heads()
NEXT = f"{int(max(HEADS)) + 1:04}"
AFTER = f"{int(NEXT) + 1:04}"


class Checkout:
    """A copy of the checkout, whose models are edited."""

    def __init__(self, folder: Path) -> None:
        """Copy what migrations need."""
        self.folder = folder
        for name in ("visitpay", "alembic", "tools"):
            shutil.copytree(ROOT / name, folder / name)
        for name in ("alembic.ini", "pyproject.toml"):
            shutil.copy(ROOT / name, folder)

    def edit(self, old: str, new: str) -> None:
        """Change the model."""
        model = self.folder / "visitpay" / "models.py"
        assert old in model.read_text()
        model.write_text(model.read_text().replace(old, new))

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a module of Python in it."""
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(self.folder)} | settings,
            capture_output=True,
            text=True,
            check=False,
        )

    def revise(self, message: str, confirm: str = "") -> subprocess.CompletedProcess[str]:
        """Generate a revision, as `make revision` does."""
        return self.run("tools.revise", message, CONFIRM=confirm)

    def written(self, number: str = NEXT) -> list[Path]:
        """Return the files of a revision: one, or none."""
        return list((self.folder / "alembic" / "versions").glob(f"{number}_*"))


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """Return a copy of the checkout."""
    return Checkout(tmp_path)


def migrate(checkout: Checkout, url: str, *commands: list[str]) -> None:
    """Run commands of Alembic on a database, in one process."""
    script = f"from alembic.config import main\nfor each in {commands}: main(each)"
    (checkout.folder / "migrate.py").write_text(script)
    done = checkout.run("migrate", VISITPAY_DATABASE_URL=url)
    assert done.returncode == 0, done.stdout + done.stderr


INSURANCE = "    insurance_identifier: Mapped[int | None]\n"
COLUMNS = """\
    ward: Mapped[str | None] = mapped_column(index=True)
    owed: Mapped[Money | None]
    kind: Mapped[str] = mapped_column(info={"default": "it's 5% :x"})
"""
RESOLVED = "    rejects_resolved: Mapped[Count]\n"
BOOKS = """\
    stopped_at: Mapped[datetime | None]
    paper: Mapped[str | None] = mapped_column(FileName)
    rows_odd: Mapped[Count]
"""


def test_a_developer_adds_columns(checkout: Checkout, postgres: Postgres) -> None:
    """One edit of the model and one revision, generated without a database, and a load fills them.

    Rows that were there have the default of the column.
    """
    landing = checkout.folder / "landing"
    landing.mkdir()
    server = postgres.create()
    urls = (f"sqlite:///{checkout.folder}/visitpay.db", rendered(server))
    feeds = [Feed(landing, url) for url in urls]
    old = (
        "INSERT INTO visits (visit_identifier, guarantor_identifier, admit_date, source_file_id,"
        " source_line) VALUES (9, 1, '2021-01-01', 1, 2)"
    )
    for feed in feeds:
        migrate(checkout, feed.url, ["upgrade", "head"])
        feed.execute(old)
    checkout.edit(INSURANCE, INSURANCE + COLUMNS)
    checkout.edit(RESOLVED, RESOLVED + BOOKS)
    done = checkout.revise('visits "know"\n their\\ ward ')
    assert done.returncode == 0, done.stderr
    (path,) = checkout.written()
    revision = path.read_text()
    assert path.name == f"{NEXT}_visits_know_their_ward.py"
    assert revision.startswith(f'"""visits \'know\' their/ ward.\n\nRevision: {NEXT}\n')
    assert f'\nrevision = "{NEXT}"\n' in revision
    assert "\nadditive = True\n" in revision
    assert "batch_alter_table" not in revision.partition("\nrevision = ")[2]
    header, cells = f"{header_line(Visit)}\tWard\tOwed\tKind", "north\t1.10\tx"
    feeds[0].deliver_lines(Visit, f"{line(Visit)}\t{cells}", header=header)
    for feed in feeds:
        migrate(checkout, feed.url, ["upgrade", "head"])
        done = checkout.run("visitpay", "load", str(landing), VISITPAY_DATABASE_URL=feed.url)
        assert done.returncode == 0, done.stderr
        with make_migration_engine(feed.url).connect() as connection:
            visits = text("SELECT ward, kind FROM visits ORDER BY visit_identifier")
            found = [tuple(row) for row in connection.execute(visits)]
            assert found == [(None, "it's 5% :x"), ("north", "x")]
        migrate(checkout, feed.url, ["downgrade", "-1"], ["upgrade", "head"], ["check"])
    postgres.drop(server)


def test_a_rename_is_confirmed(checkout: Checkout) -> None:
    """It is refused with the safe steps, and nothing is written, until what goes is confirmed."""
    checkout.edit(INSURANCE, INSURANCE.replace("insurance", "insurer"))
    for confirm in ("", "visits.insurer_identifier"):
        done = checkout.revise("rename", confirm)
        assert done.returncode == 1
        assert done.stderr.startswith("this revision is not safe on a database that holds data.\n")
        assert 'op.execute("UPDATE visits SET insurer_identifier = insurance_' in done.stderr
        assert done.stderr.endswith(': CONFIRM="visits.insurance_identifier"\n')
        assert checkout.written() == []
    assert checkout.revise("rename", "visits.insurance_identifier").returncode == 0
    (path,) = checkout.written()
    assert "\nadditive = False\n" in path.read_text()


def test_a_message_is_needed_and_a_difference(checkout: Checkout) -> None:
    """Nothing is written for models that are as the database is."""
    assert checkout.revise(" ").stderr.startswith("say what the revision does: make revision M=")
    done = checkout.revise("nothing")
    assert done.returncode == 1
    assert done.stderr.startswith("no difference between models and database: ")
    assert f'alembic revision --rev-id {NEXT} -m "what it does"\n' in done.stderr
    assert checkout.written() == []


Tables = dict[str, Table]
Edit = Callable[[MetaData], object]


def changes(edit: Edit) -> ops.UpgradeOps:
    """Return what Alembic finds between a database and its models after an edit.

    `rich` has a column of many types, `parent` is what it refers to.
    """
    old, new = MetaData(), MetaData()
    for metadata in (old, new):
        parent = Table("parent", metadata, Column("id", Integer, primary_key=True))
        rich = Table("rich", metadata, Column("id", Integer, primary_key=True))
        for name, kind in (("short", String(8)), ("many", Numeric(14, 2)), ("count", Integer())):
            rich.append_column(Column(name, kind, nullable=True))
        rich.append_column(Column("needed", Text, nullable=False))
        assert parent is not None
    edit(new)
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        old.create_all(connection)
        script = produce_migrations(MigrationContext.configure(connection), new)
    (upgrade,) = script.upgrade_ops_list
    authoring.add_defaults(upgrade)
    return upgrade


def add(column: Column[Any]) -> Edit:
    """Add a column to `rich`."""
    return lambda metadata: metadata.tables["rich"].append_column(column)


def replace(*columns: Column[Any]) -> Edit:
    """Give columns of `rich` another type or nullability."""

    def edit(metadata: MetaData) -> None:
        for column in columns:
            metadata.tables["rich"].append_column(column, replace_existing=True)

    return edit


def without(name: str, *columns: Column[Any]) -> Edit:
    """Take a column out of `rich`, and add others."""

    def edit(metadata: MetaData) -> None:
        kept = [each._copy() for each in metadata.tables["rich"].columns if each.name != name]  # noqa: SLF001
        metadata.remove(metadata.tables["rich"])
        Table("rich", metadata, *kept, *columns)

    return edit


def made(metadata: MetaData) -> None:
    """Make a table, with all that a new table may have."""
    Table(
        "made",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("needed", Text, nullable=False, index=True, unique=True),
        Column("rich_id", ForeignKey("rich.id"), nullable=False),
    )


ADDITIVE = {
    "nullable": add(Column("new", Text)),
    "default": add(Column("new", Text, nullable=False, server_default="")),
    "default of the files": add(Column("new", Integer, nullable=False, info={"default": 0})),
    "default of the model": add(Column("new", Integer, nullable=False, default=0)),
    "index": lambda metadata: Index("ix_rich_count", metadata.tables["rich"].c["count"]),
    "table": made,
}


@pytest.mark.parametrize("edit", ADDITIVE.values(), ids=ADDITIVE)
def test_additive(edit: Edit) -> None:
    """What code of before need not know is additive, and in no danger."""
    found = changes(edit)
    assert not found.is_empty()
    assert find_dangers(found) == []
    assert is_additive(found)


SAFE = {
    "wider": replace(Column("short", Text), Column("many", Numeric(16, 3))),
    "longer": replace(Column("short", String(9))),
    "nullable": replace(Column("needed", Text, nullable=True)),
    "unique": lambda metadata: Index("ix", metadata.tables["rich"].c["count"], unique=True),
    "constraint": lambda metadata: metadata.tables["rich"].append_constraint(
        UniqueConstraint("count", name="uq_rich_count")
    ),
}


@pytest.mark.parametrize("edit", SAFE.values(), ids=SAFE)
def test_not_additive(edit: Edit) -> None:
    """What code of before may stumble over is not additive, though no data is in danger."""
    found = changes(edit)
    assert not found.is_empty()
    assert find_dangers(found) == []
    assert not is_additive(found)


DANGEROUS = {
    "NOT NULL": ("rich.new", add(Column("new", Text, nullable=False))),
    "made NOT NULL": ("rich.short", replace(Column("short", String(8), nullable=False))),
    "column": ("rich.short", without("short")),
    "rename": ("rich.many", without("many", Column("amount", Numeric(14, 2)))),
    "table": ("parent", lambda metadata: metadata.remove(metadata.tables["parent"])),
    "shorter": ("rich.short", replace(Column("short", String(7)))),
    "limited": ("rich.needed", replace(Column("needed", String(99), nullable=False))),
    "smaller": ("rich.many", replace(Column("many", Numeric(13, 2)))),
    "fewer decimals": ("rich.many", replace(Column("many", Numeric(14, 1)))),
    "fewer whole digits": ("rich.many", replace(Column("many", Numeric(14, 3)))),
    "another": ("rich.short", replace(Column("short", Integer))),
}


@pytest.mark.parametrize(("subject", "edit"), DANGEROUS.values(), ids=DANGEROUS)
def test_dangerous(subject: str, edit: Edit, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails on rows or loses them is told with the steps, until its subject is confirmed."""
    found = changes(edit)
    (danger,) = find_dangers(found)
    assert danger.subject == subject
    assert not is_additive(found)
    with pytest.raises(ConfigurationError, match="Instead:\n") as refused:
        authoring.require_confirmed([danger])
    assert str(refused.value).endswith(f': CONFIRM="{subject}"')
    assert "{" not in str(refused.value).replace('={"', "")
    monkeypatch.setenv("CONFIRM", f"other, {subject}")
    authoring.require_confirmed([danger])


@pytest.mark.parametrize(
    ("message", "line"),
    [("a\r\nb\tc", "a b c"), ('"""', "'''"), ("né\u2028\x00\ud800.", "né"), ("\\N{x}", "/N{x}")],
)
def test_a_message_is_one_line(message: str, line: str) -> None:
    """Whatever a message has in it, it is one line of a docstring."""
    assert plain(message) == line
    assert compile(f'"""{plain(message)}."""', "revision", "eval").co_consts[0] == f"{line}."


HAND_WRITTEN = '"""{0}."""\n\nrevision = "{0}"\ndown_revision = "{1}"\ndef upgrade(): pass\n'


def test_heads_are_joined(checkout: Checkout) -> None:
    """Two heads are told, with the command that joins them; what it writes can be read."""
    versions = checkout.folder / "alembic" / "versions"
    config = alembic_config()
    config.set_main_option("version_locations", str(versions))
    (head,) = HEADS
    for number in (NEXT, AFTER):
        (versions / f"{number}_x.py").write_text(HAND_WRITTEN.format(number, head))
    last = f"{int(AFTER) + 1:04}"
    joining = ("merge", "-m", f"join {NEXT} and {AFTER}", "--rev-id", last, "heads")
    with pytest.raises(ConfigurationError) as several:
        next_number(ScriptDirectory.from_config(config))
    assert f"alembic {shlex.join(joining)}".replace("'", '"') in str(several.value)
    migrate(checkout, f"sqlite:///{checkout.folder}/visitpay.db", [*joining], ["upgrade", "head"])
    (path,) = checkout.written(last)
    assert f'\ndown_revision = ("{NEXT}", "{AFTER}")\n' in path.read_text()
    assert "\nadditive = True\n" in path.read_text()
    (checkout.folder / "heads.py").write_text(
        "from visitpay.database.revision import revisions\nprint(*revisions()[1])"
    )
    assert checkout.run("heads").stdout.split() == [last]
    assert next_number(ScriptDirectory.from_config(config)) == f"{int(last) + 1:04}"


def test_a_number_twice(tmp_path: Path) -> None:
    """Two developers who took one number are told what to do."""
    shutil.copytree(ROOT / "alembic" / "versions", tmp_path / "versions")
    config = alembic_config()
    config.set_main_option("version_locations", str(tmp_path / "versions"))
    (head,) = HEADS
    for name in "ab":
        path = tmp_path / "versions" / f"{NEXT}_{name}.py"
        path.write_text(HAND_WRITTEN.format(NEXT, head))
    with pytest.raises(ConfigurationError, match=f"number {NEXT}: {NEXT}_a.py, {NEXT}_b.py.\n"):
        next_number(ScriptDirectory.from_config(config))


def test_the_line_of_revisions() -> None:
    """There is one head, numbers follow each other, and no revision needs visitpay."""
    script = ScriptDirectory.from_config(alembic_config())
    found = list(script.walk_revisions())[::-1]
    files = sorted(Path(script.versions).glob("*.py"))
    assert [Path(each.path).name for each in found] == [path.name for path in files]
    assert [each.revision for each in found] == [f"{n:04}" for n in range(1, len(found) + 1)]
    for path, each in zip(files, found, strict=True):
        assert path.name.startswith(f"{each.revision}_")
        assert isinstance(each.module.additive, bool)
        assert not re.search(r"^\s*(import|from) visitpay", path.read_text(), re.MULTILINE)


def test_types_of_our_own_are_plain() -> None:
    """Every type of the models is rendered as one of SQLAlchemy's."""
    context = MigrationContext.configure(dialect_name="sqlite", opts=dict(authoring.OPTIONS))
    upgrade = ops.UpgradeOps(
        [ops.CreateTableOp.from_table(each) for each in Base.metadata.tables.values()]
    )
    rendered = render_python_code(
        upgrade, migration_context=context, render_item=authoring.render_item
    )
    assert "sa.DateTime(timezone=True)" in rendered
    assert "visitpay" not in rendered
    assert "UTCDateTime" not in rendered
    varied = UTCDateTime().with_variant(Text(), "sqlite")
    plain_type = "sa.DateTime(timezone=True).with_variant(sa.Text(), 'sqlite')"
    assert authoring.render_item("type", varied, None) == plain_type


def test_a_default_as_text() -> None:
    """A default of the model is written as the database reads it."""
    for value, expected in (
        (True, "1"),
        (date(2021, 1, 2), "2021-01-02"),
        (Decimal("0.10"), "0.10"),
    ):
        column = with_default(Column("x", Text, nullable=False, info={"default": value}))
        assert isinstance(column.server_default, DefaultClause)
        assert column.server_default.arg == expected
