"""The README shows what the commands print."""

import re
import shutil

import pytest

from tests.support.command import Visitpay, on_terminal
from tests.support.databases import ROOT
from tests.support.feed import Feed, only_sqlite
from visitpay.cli.app import app
from visitpay.vocabulary import Reason

README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


def block(name: str) -> list[str]:
    """Return the lines of a block of demo output."""
    found = re.search(rf"<!-- demo: {name} -->\n```\n(.*?)```", README, re.DOTALL)
    assert found is not None
    return [line.rstrip() for line in found[1].splitlines()]


def without_ages(lines: list[str]) -> list[str]:
    """Leave out what changes from day to day."""
    text = re.sub(r"(?<=begun ).*| *[0-9,]+ days", "", "\n".join(lines))
    return [line.rstrip() for line in text.splitlines()]


@pytest.fixture
def demo(feed: Feed, visitpay: Visitpay) -> Feed:
    """Return the feed of `make demo`, made as the Makefile says."""
    shutil.rmtree(feed.landing)
    made = re.search(r"visitpay sample \S+ (.*)", MAKEFILE)
    assert made is not None
    assert visitpay("sample", feed.landing, *made[1].split()).status == 0
    return feed


@only_sqlite
def test_the_demo_prints_what_the_readme_shows(demo: Feed, visitpay: Visitpay) -> None:
    """Load, status and rejects, with the arguments of the Makefile."""
    _, lines = on_terminal(demo, 100, "load", "--max-rejects", "5%")
    shown = block("load")
    assert lines[-len(shown) :] == shown
    seen = visitpay("status").out.splitlines()
    assert without_ages(seen) == without_ages(block("status"))
    listed = re.search(r"visitpay (rejects list .*)", MAKEFILE)
    assert listed is not None
    printed = visitpay(*listed[1].split()).out.splitlines()
    assert [line.rstrip() for line in printed] == block("rejects")


def test_the_threat_model_names_tests_that_are_there() -> None:
    """Whatever it promises is shown by a test of that name."""
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "threat-model.md").read_text()))
    defined = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) > 40
    assert named == {name for name in named if f"def {name}(" in defined}


def test_the_readme_names_every_command_and_reason() -> None:
    """Nothing that a user can run or meet is missing."""
    callbacks = (command.callback for command in app.registered_commands)
    names = [callback.__name__ for callback in callbacks if callback is not None]
    looks = {"status", "files", "explain", "doctor", "reconcile", "report", "check"}
    assert looks | {"load", "migrate", "sample"} == set(names)
    rejects = [f"rejects {each}" for each in ("list", "export", "dismiss", "retry")]
    for name in (*names, *rejects):
        assert f"    visitpay {name}" in README
    assert all(f"`{reason}`" in README for reason in Reason)
