"""Measure loads, keep the figures, write the page of all that are kept."""

import argparse
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError
from pathlib import Path

from benchmarks import growth, machine, report, workloads
from benchmarks.figures import Figures, Part, read_figures, write_figures
from benchmarks.measuring import ROOT, FailedError

PARTS = {
    "sqlite": workloads.on_sqlite,
    "large": workloads.large,
    "dirty": workloads.dirty,
    "postgresql": workloads.on_postgresql,
    "growth": growth.growing,
    "files": growth.files,
    "commands": growth.commands,
}


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("parts", nargs="*", metavar="PART", type=_part, help=f"{', '.join(PARTS)}; default: all")
    add("--quick", action="store_true", help="few rows, few rivals; print, and keep nothing")
    add("--visits", type=int, default=200_000, help="in a feed; each has 5 transactions")
    add("--rounds", type=int, default=5, help="for each contender")
    add("--figures", type=Path, default=ROOT / "build" / "benchmarks.json", help="to keep them in")
    add("--report", type=Path, default=ROOT / "docs" / "benchmarks.md", help="the page to write")
    given = parser.parse_args()
    try:
        if given.quick:
            _measure_quickly()
        else:
            _measure(given)
    except FailedError as error:
        sys.exit(str(error))
    except (FileNotFoundError, PackageNotFoundError) as error:
        sys.exit(f"{error}; CONTRIBUTING.md says what benchmarks need")


def _part(name: str) -> str:
    # argparse finds the absence of parts to be none of its choices.
    if name not in PARTS:
        message = f"{name} is none of {', '.join(PARTS)}"
        raise argparse.ArgumentTypeError(message)
    return name


def _measure_quickly() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        part = Part("today", workloads.quick(Path(scratch)))
    print(*report.loads(Figures({"sqlite": part})), sep="\n")


def _measure(given: argparse.Namespace) -> None:
    facts = machine.facts()
    figures = read_figures(given.figures)
    for name in given.parts or PARTS:
        print(name)
        with tempfile.TemporaryDirectory() as scratch:
            measurements = PARTS[name](Path(scratch), given.visits, given.rounds)
        figures.parts[name] = Part(f"{datetime.now(UTC):%Y-%m-%d}", measurements)
        write_figures(figures, given.figures)
    print(report.write(figures, facts, given.report))


if __name__ == "__main__":
    main()
