import pytest
from alembic.script import ScriptDirectory

from tests.support.databases import alembic_config
from tools.lint_migrations import NOWHERE, RELEASED, SQUAWK, lint, script_of

BREAKING = "BEGIN;\nALTER TABLE visits DROP COLUMN admit_date;\nCOMMIT;\n"

needs_squawk = pytest.mark.skipif(
    not SQUAWK.exists(), reason="squawk-cli has no wheel for this machine"
)


@pytest.fixture
def scripts() -> ScriptDirectory:
    """Return the revisions."""
    return ScriptDirectory.from_config(alembic_config())


def test_the_last_release_is_known(scripts: ScriptDirectory) -> None:
    """The revision that was released last is one of the revisions."""
    assert RELEASED in {each.revision for each in scripts.walk_revisions()}


@needs_squawk
def test_what_hurts_is_found(
    scripts: ScriptDirectory, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column may be dropped by a revision that says that it is not additive, and by no other."""
    revision = scripts.get_revision(RELEASED)
    monkeypatch.setattr(revision.module, "additive", False)
    assert lint(revision, BREAKING)
    monkeypatch.setattr(revision.module, "additive", True)
    assert not lint(revision, BREAKING)
    assert "ban-drop-column" in "".join(capfd.readouterr())


def test_the_script_of_a_revision(
    scripts: ScriptDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is what the revision does to a PostgreSQL database, and nothing else."""
    monkeypatch.setenv("VISITPAY_DATABASE_URL", NOWHERE)
    first = scripts.get_revision(str(scripts.get_base()))
    script = script_of(first, alembic_config())
    assert "CREATE TABLE visits (" in script
    assert script.count("-- Running upgrade") == 1
