"""Running commands and taking their measure, alternating, so that a slow minute hits all alike."""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
STOPWATCH = (sys.executable, "-I", "-S", str(Path(__file__).with_name("stopwatch.py")))


@dataclass(frozen=True)
class Command:
    """A program to run to its end: its arguments, and what it reads on standard input."""

    arguments: tuple[str, ...]
    stdin: str = ""


class Figure(NamedTuple):
    """What a command took: wall and user CPU time in seconds, peak memory in MiB."""

    wall: float
    user: float
    peak: float


@dataclass(frozen=True)
class Step:
    """Commands to measure as one, for a workload of so many rows."""

    workload: str
    rows: int
    commands: tuple[Command, ...]
    may_stop: bool = False
    """Whether to find out if a command fails is what it is for."""


Steps = Generator[Step, None, None]


@dataclass(frozen=True)
class Turn:
    """What a contender does in each of its rounds; what lies between the steps is not measured."""

    contender: str
    rounds: int
    steps: Callable[[], Steps]


@dataclass(frozen=True)
class Measurement:
    """What a workload took a contender, round by round; no figures if it stopped."""

    workload: str
    contender: str
    rows: int
    figures: list[Figure] = field(default_factory=list)

    @property
    def summary(self) -> Figure:
        """The medians of wall and CPU time, and the highest peak."""
        walls, users, peaks = zip(*self.figures, strict=True)
        return Figure(statistics.median(walls), statistics.median(users), max(peaks))

    @property
    def rows_per_second(self) -> float:
        """How many rows a second took, by the median wall time."""
        return self.rows / self.summary.wall


class FailedError(Exception):
    """A command did not end with exit status 0."""


def alternating(turns: Iterable[Turn], settle: Callable[[], None] = os.sync) -> list[Measurement]:
    """Give each turn its rounds, one turn after the other in each round. Raises FailedError.

    `settle` is called before each measurement: nobody pays for what another has left to write.
    """
    turns = list(turns)
    taken: dict[tuple[str, str], Measurement] = {}
    for number in range(max(turn.rounds for turn in turns)):
        for turn in [turn for turn in turns if number < turn.rounds]:
            with closing(turn.steps()) as steps:
                for step in steps:
                    measurement = Measurement(step.workload, turn.contender, step.rows)
                    measurement = taken.setdefault((step.workload, turn.contender), measurement)
                    settle()
                    measurement.figures.extend(_measured(step))
                    told = f"{measurement.figures[-1].wall:.2f} s" if measurement.figures else "-"
                    print(f"  {step.workload}, {turn.contender}: {told}", flush=True)
    return list(taken.values())


def _measured(step: Step) -> list[Figure]:
    """Give the figure of a step, or none if it stops and may."""
    try:
        walls, users, peaks = zip(*map(_run, step.commands), strict=True)
    except FailedError as error:
        if not step.may_stop:
            raise
        print(f"  {error}")
        return []
    return [Figure(sum(walls), sum(users), max(peaks))]


def _run(command: Command) -> Figure:
    with tempfile.TemporaryFile() as told:
        process = subprocess.run(
            [*STOPWATCH, *command.arguments],
            cwd=ROOT,
            input=command.stdin.encode(),
            stdout=subprocess.PIPE,
            stderr=told,
            check=False,
        )
        if process.returncode:
            told.seek(0)
            last = told.read().decode(errors="replace").strip().rpartition("\n")[2]
            message = f"{' '.join(command.arguments)} ended with {process.returncode}: {last}"
            raise FailedError(message)
    wall, user, peak = map(float, process.stdout.split())
    return Figure(wall, user, peak / 1024)
