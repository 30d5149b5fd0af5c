"""Makes the pictures of the README, of what the commands really show: `python -m tools.pictures`.

A dirty month is loaded day by day, as it would come.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from html import escape
from pathlib import Path

from playwright.sync_api import FloatRect

from tests.support.browser import chromium, look
from tests.support.command import on_terminal
from tests.support.databases import ROOT
from tests.support.feed import Feed

COLUMNS = 80
TOP: FloatRect = {"x": 0, "y": 0, "width": 1100, "height": 1250}
TERMINAL = """<!DOCTYPE html><meta charset="utf-8"><style>
body {{ margin: 0; padding: 1rem; background: #14181d; color: #e4e8ec; width: max-content; }}
pre {{ margin: 0; font: 14px/1.35 "DejaVu Sans Mono", monospace; }}
</style><pre>{}</pre>"""


def run(feed: Feed, *arguments: object) -> None:
    """Run a command on a feed, whatever it makes of it."""
    command = [sys.executable, "-m", *map(str, arguments)]
    environment = os.environ | {"VISITPAY_DATABASE_URL": feed.url}
    subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True)


def load_month(feed: Feed) -> None:
    """Load a month of which two rows in a hundred are damaged, each day by itself."""
    made = feed.landing.parent / "made"
    sample = ("--visits", 3000, "--days", 30, "--dirt", 2, "--seed", 7)
    run(feed, "visitpay", "sample", made, *sample)
    days = defaultdict(list)
    for path in made.iterdir():
        found = re.search(r"_(\d{8})_\d{6}\.txt$", path.name)
        days[found[1] if found else ""].append(path)
    feed.landing.mkdir()
    for day in sorted(days):
        for path in days[day]:
            path.rename(feed.landing / path.name)
        run(feed, "visitpay", "load", feed.landing)
        run(feed, "visitpay", "reconcile")


def terminal(feed: Feed, path: Path) -> None:
    """Write what `visitpay status` shows on a terminal as a page."""
    _, lines = on_terminal(feed, COLUMNS, "status")
    path.write_text(TERMINAL.format(escape("\n".join(["$ visitpay status", *lines]))))


def main() -> None:
    """Write docs/report.png and docs/status.png."""
    docs = ROOT / "docs"
    with tempfile.TemporaryDirectory() as place:
        feed = Feed(Path(place) / "landing", f"sqlite:///{place}/visitpay.db")
        run(feed, "alembic", "upgrade", "head")
        load_month(feed)
        report, status = Path(place) / "report.html", Path(place) / "status.html"
        run(feed, "visitpay", "report", feed.landing, "--output", report)
        terminal(feed, status)
        with chromium() as browser:
            page = look(browser, report).page
            page.set_viewport_size({"width": 1100, "height": 1250})
            page.screenshot(path=docs / "report.png", clip=TOP)
            look(browser, status).page.locator("body").screenshot(path=docs / "status.png")


if __name__ == "__main__":
    main()
