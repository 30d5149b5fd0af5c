"""The README and the tutorial show what the commands print, and their commands run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import Visitpay, on_terminal
from tests.support.databases import ROOT
from tests.support.feed import Feed, only_sqlite
from visitpay.cli.app import app

README = (ROOT / "README.md").read_text()
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


def block(name: str) -> list[str]:
    """Return the lines of a block of demo output."""
    found = re.search(rf"<!-- demo: {name} -->\n```\n(.*?)```", README + TUTORIAL, re.DOTALL)
    assert found is not None
    return [line.rstrip() for line in found[1].splitlines()]


def script(page: str) -> str:
    """Return the commands of a page that are to be run."""
    return "set -e\n" + "".join(re.findall(r"<!-- run -->\n```sh\n(.*?)```", page, re.DOTALL))


def without_ages(lines: list[str]) -> list[str]:
    """Leave out what changes from day to day, and from database to database."""
    changing = r"(?<=begun ).*| *[0-9,]+ days| --database-url \S+"
    text = re.sub(changing, "", "\n".join(lines))
    return [line.rstrip() for line in text.splitlines()]


def make_demo(visitpay: Visitpay, landing: Path) -> None:
    """Make the feed of `make demo`, as the Makefile says."""
    made = re.search(r"visitpay sample \S+ (.*)", MAKEFILE)
    assert made is not None
    assert visitpay("sample", landing, *made[1].split()).status == 0


@pytest.fixture
def demo(feed: Feed, visitpay: Visitpay) -> Feed:
    """Return the feed of `make demo`."""
    shutil.rmtree(feed.landing)
    make_demo(visitpay, feed.landing)
    return feed


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a directory that has what the commands of a page take from a checkout."""
    place = tmp_path / "checkout"
    (place / ".venv" / "bin").mkdir(parents=True)
    (place / ".venv" / "bin" / "activate").touch()
    for name in ("alembic", "alembic.ini"):
        (place / name).symlink_to(ROOT / name)
    return place


def run(page: str, place: Path) -> str:
    """Run the commands of a page, and return what they print."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    command = ["bash", "-c", script(page)]
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=place, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@only_sqlite
def test_the_demo_prints_what_the_pages_show(demo: Feed, visitpay: Visitpay) -> None:
    """Load and status, with the arguments of the Makefile."""
    _, lines = on_terminal(demo, 100, "load", "--max-rejects", "5%")
    shown = block("load")
    end = lines.index(shown[-1]) + 1
    assert lines[end - len(shown) : end] == shown
    seen = visitpay("status").out.splitlines()
    assert without_ages(seen) == without_ages(block("status"))


@only_sqlite
def test_the_first_file(feed: Feed, checkout: Path) -> None:
    """Who follows the README has loaded a file."""
    printed = run(README, checkout)
    assert "Bandage" in printed
    assert not feed.descriptions()


@only_sqlite
def test_the_tutorial(feed: Feed, checkout: Path, visitpay: Visitpay) -> None:
    """Who follows the tutorial has mended a reject."""
    make_demo(visitpay, checkout / "demo" / "landing")
    shutil.copy(feed.database, database := checkout / "demo" / "visitpay.db")
    url = f"sqlite:///{database}"
    loaded = visitpay("load", checkout / "demo" / "landing", "--database-url", url)
    assert loaded.status == 1
    printed = run(TUTORIAL, checkout).splitlines()
    shown = block("rejects")
    assert [line.rstrip() for line in printed[: len(shown)]] == shown
    assert any(line.startswith("visit_balance ") and "1000.00" in line for line in printed)
    assert "1 of 65; --limit shows more" in printed


def test_the_threat_model_names_tests_that_are_there() -> None:
    """Whatever it promises is shown by a test of that name."""
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "threat-model.md").read_text()))
    defined = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) > 40
    assert named == {name for name in named if f"def {name}(" in defined}


def test_the_readme_names_every_command() -> None:
    """Nothing that a user can run is missing, and it stays short."""
    callbacks = (each.callback for each in app.registered_commands if not each.hidden)
    names = [callback.__name__ for callback in callbacks if callback is not None]
    looks = {"status", "files", "explain", "doctor", "reconcile", "report", "check"}
    others = {"load", "acknowledge", "runs", "config", "migrate", "sample"}
    assert looks | others == set(names)
    rejects = [f"rejects {each}" for each in ("list", "export", "dismiss", "retry")]
    for name in (*names, *rejects):
        assert f"    visitpay {name}" in README
    assert len(README.splitlines()) < 150
