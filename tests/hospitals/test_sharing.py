"""Several machines share the hospitals of a round, and are killed at any moment."""

import os
import signal
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.robustness.kills import state
from tests.robustness.promise import check_books
from tests.robustness.test_promise import files
from tests.support.databases import MakeDatabase
from tests.support.hospitals import Group, group, workers_of

if TYPE_CHECKING:
    from subprocess import Popen

NAMES = ("Abc", "Mercy", "St. John")

Kill = tuple[str, int]
"""Who is killed: `all` of a machine, or a `worker`; and after so many lines of its log."""

kills = st.none() | st.tuples(st.sampled_from(["all", "worker"]), st.integers(1, 12))


def kill(process: "Popen[str]", who: str, lines: int) -> None:
    """Kill a worker of a command, or all its processes, once it has logged so many lines."""
    assert process.stderr
    for _ in range(lines):
        if not process.stderr.readline():
            break
    with suppress(FileNotFoundError, ProcessLookupError):  # it had come to its end
        for pid in workers_of(process):
            os.kill(pid, signal.SIGKILL)
            if who == "worker":
                break
    if who == "all":
        process.kill()


def loaded_at_once(hospitals: Group, killed: Sequence[Kill | None]) -> list[int]:
    """Load all by several commands at once, some of which are killed; return how they ended."""
    workers = ["2", *("1" for _ in killed[1:])]  # each process costs a second of the test
    machines = [hospitals.start("load", "--all", "--workers", each) for each in workers]
    for machine, how in zip(machines, killed, strict=True):
        if how:
            kill(machine, *how)
    for machine in machines:
        machine.communicate()
    return [machine.returncode for machine in machines]


def states(hospitals: Group) -> dict[str, Any]:
    """Return tables, rejects and ledger of each hospital."""
    for feed in hospitals.feeds.values():
        check_books(feed)
    return {name: state(feed) for name, feed in hospitals.feeds.items()}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@settings(max_examples=2)
@given(
    worlds=st.tuples(*(files() for _ in NAMES)),
    killed=st.tuples(kills, kills, st.none()),
)
def test_machines_share_the_hospitals(
    kind: str,
    make_database: MakeDatabase,
    worlds: Sequence[dict[str, bytes]],
    killed: Sequence[Kill | None],
) -> None:
    """Whoever is killed, one more round ends as if each was loaded alone, and none twice."""
    with tempfile.TemporaryDirectory() as folder:
        ends = []
        for way in ("alone", "at once"):
            with group(kind, Path(folder, way), make_database, *NAMES) as hospitals:
                for name, world in zip(NAMES, worlds, strict=True):
                    hospitals.deliver(name, world)
                if way == "alone":
                    hospitals.load_one_by_one()
                else:
                    loaded_at_once(hospitals, killed)
                    loaded_at_once(hospitals, [None])
                ends.append(states(hospitals))
        assert ends[0] == ends[1]
