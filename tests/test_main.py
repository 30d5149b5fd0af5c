import subprocess
import sys

import pytest

from tests.support.feed import Feed, only_sqlite

STOPPED_AT = """
import os, signal, sys
from visitpay.__main__ import run

class Finder:
    def find_spec(name, *_):
        if name == sys.argv[-1]:
            os.kill(os.getpid(), signal.SIGTERM)

sys.meta_path.insert(0, Finder)
run()
"""


@pytest.mark.parametrize("module", ["visitpay.cli.app", "visitpay.loading.run"])
@only_sqlite
def test_stopped_early(feed: Feed, module: str) -> None:
    """SIGTERM ends the command in words also while its modules are imported."""
    arguments = ["load", str(feed.landing), "--database-url", feed.url, "--approve", module]
    command = [sys.executable, "-c", STOPPED_AT, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    said = "visitpay: stopped by SIGTERM; run it again\n"
    assert (done.returncode, done.stdout, done.stderr) == (143, "", said)
