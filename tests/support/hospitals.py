"""A group of hospitals: a file that names them, each with a landing directory and a database."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.databases import MakeDatabase
from tests.support.feed import Feed
from visitpay.database.engine import make_engine
from visitpay.loading.run import load


@dataclass
class Group:
    """Hospitals by their names, and the file that names them."""

    folder: Path
    feeds: dict[str, Feed] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        """The file of hospitals."""
        return self.folder / "hospitals.toml"

    def write(self, *above: str, **tables: str) -> None:
        """Write the file: lines for all hospitals, and more lines for one of them."""
        lines = list(above)
        for name, feed in self.feeds.items():
            lines += [f"[{json.dumps(name)}]", f"landing = {json.dumps(str(feed.landing))}"]
            lines += [f"database_url = {json.dumps(feed.url)}", tables.get(name, "")]
        self.file.write_text("\n".join(lines))

    def deliver(self, name: str, content: dict[str, bytes]) -> None:
        """Write files, which are named as HospitalABC's are, as those of another hospital."""
        for each, data in content.items():
            target = each.replace("HospitalABC", name)
            (self.feeds[name].landing / target).write_bytes(data)

    def load_one_by_one(self) -> None:
        """Load each, in this process, undisturbed."""
        for name, feed in self.feeds.items():
            load(make_engine(feed.url), feed.landing, name)

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start the command as a process of its own, with options of Popen."""
        environment = os.environ | {"VISITPAY_HOSPITALS": str(self.file)}
        return subprocess.Popen(
            [sys.executable, "-m", "visitpay", *arguments],
            env=environment,
            text=True,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options,
        )


@contextmanager
def group(kind: str, folder: Path, make_database: MakeDatabase, *names: str) -> Iterator[Group]:
    """Yield hospitals with empty landing directories and empty, migrated databases."""
    made = Group(folder)
    with ExitStack() as databases:
        for number, name in enumerate(names):
            place = folder / str(number)
            (place / "landing").mkdir(parents=True)
            url = databases.enter_context(make_database(kind, place))
            made.feeds[name] = Feed(place / "landing", url)
        made.write()
        yield made


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """Return the ids of the processes that a process has started."""
    path = Path(f"/proc/{process.pid}/task")
    return [
        int(child) for task in path.iterdir() for child in (task / "children").read_text().split()
    ]
