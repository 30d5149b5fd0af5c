"""What a command imports: scheduled runs that find nothing to do must not wait for libraries."""

import subprocess
import sys

import pytest

from tests.support.command import Visitpay
from tests.support.feed import Feed

HEAVY = ("alembic", "apprise", "jinja2", "polars", "prometheus_client")
REPORT = f"""
import sys
from visitpay.cli.app import main
try:
    main()
except SystemExit:
    print(*(name for name in {(*HEAVY, "sqlalchemy")!r} if name in sys.modules), file=sys.stderr)
"""


def imported(feed: Feed, *arguments: str) -> list[str]:
    """Run a command as a process of its own; return which of the libraries it imported."""
    environment = {"VISITPAY_DATABASE_URL": feed.url, "VISITPAY_LANDING": str(feed.landing)}
    done = subprocess.run(
        [sys.executable, "-c", REPORT, *arguments],
        env=environment | {"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr.splitlines()[-1].split()


@pytest.mark.parametrize(
    "command",
    ["load", "status", "files", "rejects list", "rejects dismiss 1 --why x"],
)
def test_no_polars(feed: Feed, visitpay: Visitpay, command: str) -> None:
    """Neither polars nor what is optional is imported where there is no row to read."""
    visitpay("sample", feed.landing, "--visits", "20")
    visitpay("load")
    assert imported(feed, *command.split()) == ["sqlalchemy"]


def test_help(feed: Feed) -> None:
    """`--help` imports none of them."""
    assert imported(feed, "--help") == []
