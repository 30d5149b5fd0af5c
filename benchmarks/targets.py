"""What is to be reached, and whether it is."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.contenders import (
    CORE,
    DLT,
    DUCKDB,
    PANDAS,
    PLAIN,
    PSQL,
    SHELL,
    UTILS,
    VISITPAY,
    Contender,
)
from benchmarks.figures import Figures
from benchmarks.growth import COUNTS

Value = Callable[[Figures], float]
"""Computes a value, or raises KeyError when something it needs was not measured."""


@dataclass(frozen=True)
class Target:
    """A value that must not be above a limit."""

    what: str
    limit: float
    value: Value
    unit: str = ""

    def outcome(self, figures: Figures) -> tuple[str, str]:
        """Give the value and whether the target is met, in words."""
        try:
            value = self.value(figures)
        except KeyError:
            return "", "not measured"
        return self.written(value), "met" if value <= self.limit else "not met"

    def written(self, value: float) -> str:
        """Write a value with its unit."""
        digits = 0 if self.unit == "MiB" else 2
        return f"{value:.{digits}f} {self.unit}".strip()


def _wall(part: str, workload: str, contender: Contender = VISITPAY) -> Value:
    return lambda figures: figures.taken(part, workload, contender).summary.wall


def _peak(size: str) -> Value:
    return lambda figures: figures.taken("growth", size).summary.peak


def _wall_per_row(size: str) -> Value:
    return lambda figures: 1 / figures.taken("growth", size).rows_per_second


def _ratio(value: Value, base: Value) -> Value:
    return lambda figures: value(figures) / base(figures)


def _higher(one: Value, other: Value) -> Value:
    return lambda figures: max(one(figures), other(figures))


def _lower(one: Value, other: Value) -> Value:
    return lambda figures: min(one(figures), other(figures))


def _file_milliseconds(figures: Figures) -> float:
    """Give what one more file costs, its one row included."""
    (few, fewest), *_, (many, most) = COUNTS.items()
    seconds = _wall("files", many)(figures) - _wall("files", few)(figures)
    return 1000 * seconds / (most - fewest)


_FIRST = _wall("sqlite", "first")
_PEAKS = (_peak("size 1"), _peak("size 20"))
_ON_POSTGRESQL = _wall("postgresql", "first")

TARGETS = (
    *(
        Target(
            f"first load, against {rival.name}",
            limit,
            _ratio(_FIRST, _wall("sqlite", "first", rival)),
        )
        for rival, limit in (
            (SHELL, 0.85),
            (DUCKDB, 0.85),
            (PLAIN, 0.7),
            (PANDAS, 0.55),
            (DLT, 0.2),
            (CORE, 0.15),
            (UTILS, 0.08),
        )
    ),
    Target(
        "first load of five times the rows, against sqlite3 shell",
        0.7,
        _ratio(_wall("large", "first"), _wall("large", "first", SHELL)),
    ),
    Target(
        "the same rows again, against the first load",
        0.75,
        _ratio(_wall("sqlite", "again"), _FIRST),
    ),
    Target("peak memory, up to 20 times the rows", 300, _higher(*_PEAKS), "MiB"),
    Target(
        "peak memory at once and at 20 times the rows, higher against lower",
        1.1,
        _ratio(_higher(*_PEAKS), _lower(*_PEAKS)),
    ),
    Target(
        "wall time per row at 20 times the rows, against once",
        1.3,
        _ratio(_wall_per_row("size 20"), _wall_per_row("size 1")),
    ),
    Target(
        "a dirty feed, against a clean one",
        1.3,
        _ratio(_wall("dirty", "dirty"), _wall("dirty", "clean")),
    ),
    Target("one more small file", 5, _file_milliseconds, "ms"),
    Target("nothing to do, all files known", 1.5, _wall("files", "all known"), "s"),
    Target("`visitpay --help`", 0.3, _wall("commands", "help"), "s"),
    Target("nothing to do, small ledger", 0.6, _wall("commands", "nothing to do"), "s"),
    Target(
        "PostgreSQL: first load, against psql",
        1.15,
        _ratio(_ON_POSTGRESQL, _wall("postgresql", "first", PSQL)),
    ),
    Target(
        "PostgreSQL: the same rows again, against the first load",
        0.35,
        _ratio(_wall("postgresql", "again"), _ON_POSTGRESQL),
    ),
)
