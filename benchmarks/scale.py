"""What it costs to load from elsewhere, and what many hospitals at once gain.

`python -m benchmarks.scale` writes the tables of docs/scale.md.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import URL

from benchmarks.databases import SQLite
from benchmarks.measuring import ROOT, Command, Measurement, Step, Steps, Turn, alternating
from benchmarks.tables import BIN, migrate
from tests.support import object_store
from tests.support.databases import Postgres, Server, rendered
from tests.support.sftp_server import SftpServer
from visitpay.sample import write_sample

PAGE = ROOT / "docs" / "scale.md"
VISITPAY = str(BIN / "visitpay")

HOSPITALS = 50
WORKERS = (1, 2, 4)


def write(page: Path, name: str, made: str) -> None:
    """Put what was measured into its place on a page."""
    begin, end = f"<!-- measured: {name} -->\n", "<!-- end of what is measured -->\n"
    before, _, rest = page.read_text().partition(begin)
    page.write_text(f"{before}{begin}\n{made}\n{end}{rest.partition(end)[2]}")


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a table whose first column is text, and the others numbers."""
    lines = [header, ["---", *("--:" for _ in header[1:])], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


# Landing places


@contextmanager
def places(landing: Path, scratch: Path) -> Iterator[Mapping[str, str]]:
    """Yield the same files in a directory, in an object store and on an SFTP server."""
    with object_store.running() as port, closing(SftpServer(scratch)) as server:
        store = object_store.ObjectStore(port, "feeds")
        store.put_all(landing)
        os.environ.update(store.environment())
        os.environ["HOME"] = str(server.make_home(scratch / "home"))
        for path in landing.iterdir():
            os.utime(path, (1, 1))  # else it waits until it has rested
        yield {"a directory": str(landing), "S3": store.url, "SFTP": server.url(landing)}


def measure_places(scratch: Path, visits: int, rounds: int) -> str:
    """Load the same files from each kind of place, alternating; return the table."""
    landing = scratch / "landing"
    write_sample(landing, visits=visits)
    size = sum(path.stat().st_size for path in landing.iterdir())
    databases = SQLite(scratch)

    def steps(where: str) -> Steps:
        with databases.fresh(migrate) as url:
            command = Command((VISITPAY, "load", where, "--database-url", rendered(url)))
            yield Step("load", 0, (command,))
            yield Step("nothing new", 0, (command,))

    with places(landing, scratch) as found:
        turns = [Turn(name, rounds, partial(steps, where)) for name, where in found.items()]
        measured = alternating(turns)
    header = [f"{size / 1e6:.0f} MB", "seconds", "user CPU s", "peak MiB", "nothing new, seconds"]
    by_name: dict[str, dict[str, Measurement]] = {}
    for each in measured:
        by_name.setdefault(each.contender, {})[each.workload] = each
    rows = [
        [
            name,
            f"{of['load'].summary.wall:.2f}",
            f"{of['load'].summary.user:.2f}",
            f"{of['load'].summary.peak:.0f}",
            f"{of['nothing new'].summary.wall:.2f}",
        ]
        for name, of in by_name.items()
    ]
    return table(header, rows)


# Many hospitals


class Cost(NamedTuple):
    """What a round took: wall time, CPU time of the server and of the clients, in seconds."""

    wall: float
    server: float
    clients: float


@dataclass
class Group:
    """Hospitals in schemas of one database, and their files."""

    folder: Path
    count: int
    names: list[str] = field(init=False)

    def __post_init__(self) -> None:
        """Name them."""
        self.names = [f"Hospital{number:02}" for number in range(self.count)]

    def write_feeds(self, visits: int) -> int:
        """Write their files; return how many rows they hold."""
        rows = 0
        for number, name in enumerate(self.names):
            paths = write_sample(self.folder / name, hospital=name, visits=visits, seed=number)
            rows += sum(path.read_bytes().count(b"\n") - 1 for path in paths)
        return rows

    def name_database(self, url: URL) -> None:
        """Write hospitals.toml for a database."""
        lines = [f'database_url = "{rendered(url)}"']
        for name in self.names:
            landing = self.folder / name
            lines += [f"[{name}]", f'landing = "{landing}"', f'schema = "{name.lower()}"']
        path = self.folder / "hospitals.toml"
        path.write_text("\n".join(lines) + "\n")
        os.environ["VISITPAY_HOSPITALS"] = str(path)

    def single_commands(self, url: URL) -> list[tuple[str, ...]]:
        """Return a load for each, as a process of its own."""
        options = ("--database-url", rendered(url))
        return [
            (*(VISITPAY, "load", str(self.folder / name)), *self._named(name), *options)
            for name in self.names
        ]

    @staticmethod
    def _named(name: str) -> tuple[str, ...]:
        return "--hospital", name, "--schema", name.lower()


def server_cpu(server: Server) -> float:
    """Return the CPU time of a server and its processes so far, also of those that ended."""
    postmaster = int((server.data / "postmaster.pid").read_text().splitlines()[0])
    ticks = 0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if entry.parent.name == str(postmaster):
            ticks += sum(map(int, fields[11:15]))
        elif int(fields[1]) == postmaster:
            ticks += sum(map(int, fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def cost(server: Server, commands: list[tuple[str, ...]]) -> Cost:
    """Run commands one after the other, and measure them as one."""
    os.sync()
    server_before, own, started = server_cpu(server), os.times(), time.perf_counter()
    for words in commands:
        ended = subprocess.run(words, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise SystemExit(ended.stderr or ended.stdout)
    wall, now = time.perf_counter() - started, os.times()
    clients = now.children_user + now.children_system - own.children_user - own.children_system
    return Cost(wall, server_cpu(server) - server_before, clients)


def measure_hospitals(scratch: Path, visits: int, rounds: int) -> str:
    """Load one hospital and many, by one worker and more, alternating; return the table."""
    many, one = Group(scratch / "many", HOSPITALS), Group(scratch / "one", 1)
    with closing(Server()) as server, closing(Postgres(server.url)) as postgres:
        templates = {}
        for group in (many, one):
            group.folder.mkdir()
            print(f"{group.count} hospitals: {group.write_feeds(visits):,} rows")
            url = postgres.create()
            for name in group.names:
                postgres_execute(url, f'CREATE SCHEMA "{name.lower()}"')
            group.name_database(url)
            migrated = cost(server, [(VISITPAY, "migrate", "--all", "--workers", "2")])
            print(f"migrate --all, 2 workers: {migrated}")
            templates[group.count] = str(url.database)
        ways: dict[str, tuple[Group, Callable[[URL], list[tuple[str, ...]]]]] = {
            f"{group.count} hospitals, {workers} workers": (group, round_of(workers))
            for group in (many,)
            for workers in WORKERS
        }
        ways[f"{many.count} hospitals, one command each"] = (many, many.single_commands)
        ways["1 hospital, 1 worker"] = (one, round_of(1))
        ways["1 hospital, one command"] = (one, one.single_commands)
        costs: dict[str, list[tuple[Cost, Cost]]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, (group, commands) in ways.items():
                url = postgres.create(templates[group.count])
                group.name_database(url)
                taken = cost(server, commands(url)), cost(server, commands(url))
                costs[name].append(taken)
                print(f"  {name}: {taken}", flush=True)
                postgres.drop(url)
    header = ["", "seconds", "server CPU s", "client CPU s", "nothing new, seconds"]
    return table(header, [[name, *cells(taken)] for name, taken in costs.items()])


def cells(taken: list[tuple[Cost, Cost]]) -> list[str]:
    """Return the medians of some rounds."""
    loads, idle = zip(*taken, strict=True)
    of_loads = [statistics.median(values) for values in zip(*loads, strict=True)]
    return [f"{value:.1f}" for value in (*of_loads, statistics.median(each.wall for each in idle))]


def round_of(workers: int) -> Callable[[URL], list[tuple[str, ...]]]:
    """Return what makes the command for all hospitals."""
    return lambda _url: [(VISITPAY, "load", "--all", "--workers", str(workers))]


def postgres_execute(url: URL, statement: str) -> None:
    """Run a statement in a database."""
    with closing(Postgres(url)) as database:
        database.execute(statement)


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--visits", type=int, default=250_000, help="for the landing places")
    parser.add_argument("--visits-each", type=int, default=2_000, help="of each hospital")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = measure_places(Path(folder), given.visits, given.rounds)
        write(given.page, "places", made)
    with tempfile.TemporaryDirectory() as folder:
        made = measure_hospitals(Path(folder), given.visits_each, given.rounds)
        write(given.page, "hospitals", made)


if __name__ == "__main__":
    main()
