"""How a load grows: with rows, with files, with what it knows already; visitpay alone."""

from dataclasses import replace
from pathlib import Path

from benchmarks.contenders import VISITPAY
from benchmarks.databases import SQLite
from benchmarks.feeds import Delivery, one_day, small_files
from benchmarks.measuring import Command, Measurement, Step, Steps, Turn, alternating
from benchmarks.tables import BIN, knowing
from benchmarks.workloads import turn

SIZES = {"size 0.1": 0.1, "size 1": 1, "size 5": 5, "size 20": 20}
"""Sizes of a feed, as multiples of the first day's."""

COUNTS = {"1 file": 1, "10 files": 10, "100 files": 100, "1,000 files": 1_000}

LARGE = 20
LARGE_ROUNDS = 3
"""Of so large a feed, so many rounds are enough."""


def growing(scratch: Path, visits: int, rounds: int) -> list[Measurement]:
    """Load feeds of growing size."""
    databases, turns = SQLite(scratch), []
    for workload, size in SIZES.items():
        feed = one_day(scratch, int(size * visits), workload)
        often = min(rounds, LARGE_ROUNDS) if size == LARGE else rounds
        turns.append(turn(databases, VISITPAY, [feed], often))
    return alternating(turns)


def files(scratch: Path, visits: int, rounds: int) -> list[Measurement]:
    """Load more and more files of one row; then find nothing new among many."""
    databases = SQLite(scratch)
    feeds = [small_files(scratch, workload, count) for workload, count in COUNTS.items()]
    turns = [turn(databases, VISITPAY, [feed], rounds) for feed in feeds]
    known = small_files(scratch, "all known", visits // 2)
    return alternating([*turns, _nothing_new(databases, known, rounds)])


def commands(scratch: Path, _visits: int, rounds: int) -> list[Measurement]:
    """Run the short commands."""

    def show_help() -> Steps:
        yield Step("help", 0, (Command((str(BIN / "visitpay"), "--help")),))

    known = small_files(scratch, "nothing to do", 10)
    turns = [
        Turn(VISITPAY.name, rounds, show_help),
        _nothing_new(SQLite(scratch), known, rounds),
    ]
    return alternating(turns)


def _nothing_new(databases: SQLite, known: Delivery, rounds: int) -> Turn:
    contender = replace(VISITPAY, make_tables=knowing(known.landing))
    return turn(databases, contender, [known], rounds)
