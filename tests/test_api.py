"""The Python API: the examples of its page, and what importing it costs."""

import subprocess
import sys
from doctest import DocTestParser, DocTestRunner
from pathlib import Path

import pytest

import visitpay
from tests.support.databases import ROOT
from tests.support.feed import Feed, only_sqlite

PAGE = (ROOT / "docs" / "api.md").read_text()


def test_the_examples_print_what_the_page_shows(
    feed: Feed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every line of the page is run, on a migrated database of either kind."""
    monkeypatch.setenv("VISITPAY_DATABASE_URL", feed.url)
    monkeypatch.chdir(tmp_path)
    feed.landing.rmdir()
    page = DocTestParser().get_doctest(PAGE.replace("```\n", "\n"), {}, "api.md", "api.md", 0)
    told: list[str] = []
    assert DocTestRunner().run(page, out=told.append).failed == 0, "".join(told)


def test_the_page_names_everything() -> None:
    """Nothing that can be imported from the package is missing on it."""
    names = {name for name in vars(visitpay)["_MODULES"] if name != "migrate"}
    assert all(callable(getattr(visitpay, name)) for name in names - {"__version__"})
    assert all(f"`{name}" in PAGE for name in names | {"migrate"})
    assert names < set(dir(visitpay))
    modules = {path.stem for path in Path(visitpay.__file__).parent.iterdir()}
    assert not names & modules  # importing the module would hide the function


def test_other_names() -> None:
    """A name that is not there is refused as by any module."""
    with pytest.raises(AttributeError, match="module 'visitpay' has no attribute 'lode'"):
        visitpay.lode  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ImportError):
        from visitpay import lode  # type: ignore[attr-defined]  # noqa: F401


@only_sqlite
@pytest.mark.parametrize("call", ["load(landing)", "status(landing)", "files()", "list_rejects()"])
def test_no_polars(feed: Feed, call: str) -> None:
    """Importing it costs nothing, and what reads no row leaves polars alone, as the commands do."""
    script = f"""
import sys, visitpay
before = {{"sqlalchemy", "polars"}} & set(sys.modules)
landing = {str(feed.landing)!r}
from visitpay import files, list_rejects, load, status
{call}
print(before, "polars" in sys.modules)
"""
    environment = {"VISITPAY_DATABASE_URL": feed.url, "PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "set() False\n"
