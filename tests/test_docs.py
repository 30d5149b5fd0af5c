"""The pages follow the code, and none of their links is dead."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.databases import ROOT
from tools import generate_docs
from tools.blocks.markdown import attribute_docs
from visitpay.events import Event
from visitpay.models import ENTITIES
from visitpay.parsing.columns import file_columns

PAGES = generate_docs.pages()
SHOWN = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
"""The pages that no site has: who looks at the project sees them first."""

SOURCES = ("visitpay", "alembic", "benchmarks", "deploy", "tests", "tools", "Makefile", *SHOWN)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if generate_docs.blocks_of(page)], ids=lambda page: page.stem
)
def test_what_is_made_from_the_code_is_as_the_code_says(page: Path) -> None:
    """A page that is stale is mended by `make schema`."""
    assert page.read_text("utf-8") == generate_docs.refreshed(page), "run: make schema"


def test_every_part_has_its_page() -> None:
    """What is made from the code is shown, once."""
    shown = [name for page in PAGES for name in generate_docs.blocks_of(page)]
    assert sorted(shown) == sorted(generate_docs.BLOCKS)


def sphinx(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """Build a site as `make docs` does."""
    command: list[str | Path] = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q"]
    command += [source, target]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_site(tmp_path: Path) -> None:
    """Sphinx builds it, and finds no dead link, no page that nothing leads to, no missing file."""
    done = sphinx(ROOT / "docs", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "index.html").exists()


def test_dead_links(tmp_path: Path) -> None:
    """Sphinx refuses a dead link, so the test above means something."""
    (tmp_path / "conf.py").write_bytes((ROOT / "docs" / "conf.py").read_bytes())
    dead = "# A\n\n[b](b.md) [c](#c) [d](index.md#d) ![e](e.png) [f](../f.txt)\n"
    (tmp_path / "index.md").write_text(dead)
    done = sphinx(tmp_path, tmp_path / "out")
    assert (done.returncode, done.stderr.count("WARNING")) == (1, 5)


@pytest.mark.parametrize("name", SHOWN)
def test_links(name: str) -> None:
    """The other pages name files that are there, and headings that they have."""
    text = (ROOT / name).read_text("utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        assert (ROOT / path).exists(), target
        if anchor:
            page = (ROOT / (path or name)).read_text("utf-8")
            headings = re.findall("^#+ (.*)$", page, re.MULTILINE)
            assert anchor in {slug(heading) for heading in headings}, target


def slug(heading: str) -> str:
    """Return the anchor that a heading has on a site."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_pages_named_elsewhere_are_there() -> None:
    """What code, tests and units say of docs/ leads somewhere."""
    found = {
        (named, str(path.relative_to(ROOT)))
        for source in SOURCES
        for path in ((ROOT / source).rglob("*.*") if (ROOT / source).is_dir() else [ROOT / source])
        if path.suffix != ".pyc"
        for named in re.findall(r"\bdocs/[\w/-]+\.\w+", path.read_text("utf-8", "replace"))
    }
    assert len(found) > 10
    assert {each for each in found if not (ROOT / each[0]).exists()} == set()


def test_every_column_says_what_it_means() -> None:
    """The data dictionary has no gap: below a column in models.py stands its meaning."""
    columns = {
        f"{entity.__name__}.{column.name}": attribute_docs(entity).get(column.name)
        for entity in ENTITIES
        for column in file_columns(entity)
    }
    assert [name for name, meaning in columns.items() if not meaning] == []


def test_every_event_says_what_it_means() -> None:
    """Below an event in events.py stands its meaning."""
    assert [each.name for each in Event if each.name not in attribute_docs(Event)] == []


def test_every_variable_is_a_setting() -> None:
    """Whatever is read from the environment stands on the page of settings."""
    sources = [*(ROOT / "visitpay").rglob("*.py"), *(ROOT / "alembic").rglob("*.py")]
    read = {name for path in sources for name in re.findall(r"VISITPAY_[A-Z_]+", path.read_text())}
    page = (ROOT / "docs" / "reference" / "settings.md").read_text("utf-8")
    assert {name for name in read if f"`{name}`" not in page} == set()
