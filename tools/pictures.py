"""Makes the pictures of the README, of what the commands really show: `python -m tools.pictures`.

A month that ends today is loaded day by day, as it would come; two rows in a hundred are damaged.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from datetime import UTC, datetime, time, timedelta
from html import escape
from pathlib import Path

from playwright.sync_api import ViewportSize

from tests.support.browser import chromium, look
from tests.support.command import on_terminal
from tests.support.databases import ROOT
from tests.support.feed import Feed
from visitpay.vocabulary import DEFAULT_LANDING, DEFAULT_URL

COLUMNS = 80
SIZE: ViewportSize = {"width": 1100, "height": 1250}
TERMINAL = """<!DOCTYPE html><meta charset="utf-8"><style>
body {{ margin: 0; padding: 1rem; background: #14181d; color: #e4e8ec; width: max-content; }}
pre {{ margin: 0; font: 14px/1.35 "DejaVu Sans Mono", monospace; }}
</style><pre>{}</pre>"""

_TIMES = {
    "load_runs": ("started_at", "finished_at"),
    "load_files": ("loaded_at",),
    "rejected_rows": ("created_at", "closed_at"),
    "balance_comparisons": ("compared_at",),
    "balance_differences": ("found_at", "closed_at"),
    "problems": ("opened_at", "closed_at"),
}


def run(feed: Feed, *arguments: object) -> None:
    """Run a command where the feed is found without being named, whatever comes of it."""
    command = [sys.executable, "-m", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(
        command, cwd=feed.landing.parent, env=environment, check=False, capture_output=True
    )


@contextmanager
def as_if(feed: Feed, at: datetime) -> Iterator[None]:
    """Let what is recorded be as if it had been done then (UTC), on SQLite."""
    begin = datetime.now(UTC)
    yield
    seconds = (begin - at).total_seconds()
    of_now = f">= '{begin:%Y-%m-%d %H:%M:%S}'"
    for table, columns in _TIMES.items():
        for column in columns:
            then = f"strftime('%Y-%m-%d %H:%M:%f', {column}, '-{seconds} seconds')"
            feed.execute(f"UPDATE {table} SET {column} = {then} WHERE {column} {of_now}")  # noqa: S608


def deliver_days(feed: Feed, *sample: object) -> Iterator[datetime]:
    """Deliver a made-up feed day by day, the last one yesterday; yield when each is to be loaded.

    That is 10 minutes to 6 (UTC) of the day after.
    """
    made = feed.landing.parent / "made"
    run(feed, "visitpay", "sample", made, *sample)
    days = defaultdict(list)
    for path in made.iterdir():
        days[re.findall(r"_(\d{8})_\d{6}\.", path.name)[0]].append(path)
    first = datetime.now(UTC).date() - timedelta(len(days))
    feed.landing.mkdir(exist_ok=True)
    for number, day in enumerate(sorted(days)):
        dated = first + timedelta(number)
        for path in days[day]:
            path.rename(feed.landing / path.name.replace(day, f"{dated:%Y%m%d}"))
        yield datetime.combine(dated + timedelta(1), time(5, 50), UTC)
    shutil.rmtree(made)


def load_month(feed: Feed) -> None:
    """Load a month of which two rows in a hundred are damaged, each day by itself."""
    for at in deliver_days(feed, "--visits", 3000, "--days", 30, "--dirt", 2, "--seed", 7):
        with as_if(feed, min(at, datetime.now(UTC) - timedelta(minutes=5))):
            run(feed, "visitpay", "load")
            run(feed, "visitpay", "reconcile")


def terminal(feed: Feed, path: Path) -> None:
    """Write what `visitpay status` shows on a terminal as a page."""
    found = {"VISITPAY_DATABASE_URL": DEFAULT_URL, "VISITPAY_LANDING": DEFAULT_LANDING}
    with chdir(feed.landing.parent):
        _, lines = on_terminal(feed, COLUMNS, "status", PYTHONPATH=str(ROOT), **found)
    path.write_text(TERMINAL.format(escape("\n".join(["$ visitpay status", *lines]))))


def main() -> None:
    """Write docs/report.png and docs/status.png."""
    docs = ROOT / "docs"
    with tempfile.TemporaryDirectory() as place:
        feed = Feed(Path(place) / "landing", f"sqlite:///{place}/visitpay.db")
        run(feed, "visitpay", "migrate")
        load_month(feed)
        report, status = Path(place) / "report.html", Path(place) / "status.html"
        run(feed, "visitpay", "report", "--output", report)
        terminal(feed, status)
        with chromium() as browser:
            page = look(browser, report).page
            page.set_viewport_size(SIZE)
            page.screenshot(path=docs / "report.png")
            look(browser, status).page.locator("body").screenshot(path=docs / "status.png")


if __name__ == "__main__":
    main()
