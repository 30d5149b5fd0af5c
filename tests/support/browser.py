"""A headless Chromium: opens pages, and tells of whatever goes wrong on them."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium")
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
"""So that it works for root, too, and asks no host for anything."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser; where there is none, tests are skipped, but in CI."""
    if CHROMIUM is None and not os.environ.get("CI"):
        pytest.skip("there is no chromium; run: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@dataclass
class Sight:
    """A page that is open, with what it complained of and what it asked for."""

    page: Page
    wrong: list[str]
    requests: list[str]

    def table(self, selector: str) -> list[list[str]]:
        """Return the texts of the rows of a table that are shown."""
        rows: list[list[str]] = self.page.locator(f"{selector} tbody tr").evaluate_all(
            "rows => rows.filter(row => !row.hidden)"
            ".map(row => [...row.cells].map(cell => cell.textContent.trim()))"
        )
        return rows

    def texts(self, selector: str) -> list[str]:
        """Return the texts of elements, with single spaces."""
        return [" ".join(text.split()) for text in self.page.locator(selector).all_text_contents()]

    def tile(self, name: str) -> list[str]:
        """Return the lines of a tile of the report."""
        return self.texts(f"#{name} dt, #{name} dd")


def look(
    browser: Browser,
    path: Path,
    scheme: Literal["light", "dark"] = "light",
    width: int = 1280,
    *,
    at: datetime | None = None,
    script: bool = True,
) -> Sight:
    """Open a page, by a clock that says `at`."""
    page = browser.new_page(
        color_scheme=scheme,
        viewport={"width": width, "height": 800},
        java_script_enabled=script,
    )
    if at is not None:
        page.clock.set_fixed_time(at)
    sight = Sight(page, [], [])
    page.on("console", lambda message: sight.wrong.append(message.text))
    page.on("pageerror", lambda error: sight.wrong.append(str(error)))
    page.on("request", lambda request: sight.requests.append(request.url))
    page.goto(path.as_uri())
    return sight
