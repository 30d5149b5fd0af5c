"""A checkout that has one revision more, to be run as processes of their own."""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent

from tests.support.command import Outcome
from tests.support.databases import HEAD, ROOT
from tests.support.feed import Feed

_REVISION = '''"""one more.

Revision: one_more
"""

import os
import time
from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "one_more"
down_revision = "{head}"
additive = {additive}

WAITING, GO = Path("{folder}/waiting"), Path("{folder}/go")


def wait() -> None:
    """Say that this point is reached, and wait until the test lets it go on."""
    WAITING.touch()
    while not GO.exists():
        time.sleep(0.02)


def upgrade() -> None:
{up}


def downgrade() -> None:
{down}
'''


@dataclass
class Checkout:
    """A checkout with one revision more."""

    folder: Path

    @classmethod
    def make(
        cls, folder: Path, up: str, down: str = "pass", *, is_additive: bool = False
    ) -> "Checkout":
        """Make it in a folder, by the steps up and down."""
        (folder / "visitpay").symlink_to(ROOT / "visitpay")
        shutil.copytree(ROOT / "alembic", folder / "alembic")
        shutil.copy(ROOT / "alembic.ini", folder)
        steps = {"up": indent(dedent(up), "    "), "down": indent(dedent(down), "    ")}
        script = _REVISION.format(head=HEAD, additive=is_additive, folder=folder, **steps)
        (folder / "alembic" / "versions" / "one_more.py").write_text(script)
        return cls(folder)

    def start(self, feed: Feed, *arguments: str, **settings: str) -> subprocess.Popen[str]:
        """Start `visitpay` on the database of a feed."""
        environment = os.environ | {
            "PYTHONPATH": str(self.folder),
            "VISITPAY_DATABASE_URL": feed.url,
        }
        return subprocess.Popen(
            [sys.executable, "-m", "visitpay", *arguments],
            cwd=self.folder,
            env=environment | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, feed: Feed, *arguments: str, **settings: str) -> Outcome:
        """Run `visitpay` to its end."""
        return finished(self.start(feed, *arguments, **settings))

    def reach(self, process: "subprocess.Popen[str]") -> None:
        """Return when a migration waits in its revision; fail with what it said if it ended."""
        while not (self.folder / "waiting").exists():
            if process.poll() is not None:
                raise AssertionError(process.communicate())
            time.sleep(0.01)

    def go_on(self) -> None:
        """Let the revision, and all after it, go on."""
        (self.folder / "go").touch()


def finished(process: "subprocess.Popen[str]") -> Outcome:
    """Return how a process ended."""
    out, err = process.communicate(timeout=120)
    return Outcome(process.returncode, out, err)
