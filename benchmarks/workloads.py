"""What visitpay and its rivals do side by side; each part gives its measurements."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from benchmarks.contenders import DLT, PSQL, QUICK, RIVALS, SHELL, VISITPAY, Contender
from benchmarks.databases import Databases, SQLite, postgresql
from benchmarks.feeds import Delivery, deliveries, one_day, two_days
from benchmarks.measuring import Measurement, Step, Steps, Turn, alternating

QUICK_VISITS = 16_640
"""Visits with which a feed has 100,000 rows."""

DIRT = 5
"""Rows that cannot be loaded, in percent."""


def turn(
    databases: Databases, contender: Contender, arriving: Iterable[Delivery], rounds: int
) -> Turn:
    """Let a contender load deliveries into a fresh database, each after the other."""
    loaded = list(arriving)[:1] if contender.loads_once else list(arriving)
    return Turn(contender.name, rounds, partial(_load, databases, contender, loaded))


def _load(databases: Databases, contender: Contender, arriving: list[Delivery]) -> Steps:
    with databases.fresh(contender.make_tables) as url:
        for each in arriving:
            folder = each.landing if contender.skips_known_files else each.new
            yield Step(each.workload, each.rows, (contender.command(url, folder),))


def on_sqlite(
    scratch: Path, visits: int, rounds: int, rivals: Iterable[Contender] = RIVALS
) -> list[Measurement]:
    """Load a first day, the same again, and a day that changes little."""
    arriving, databases = list(deliveries(scratch, visits)), SQLite(scratch)
    return alternating([turn(databases, each, arriving, rounds) for each in (VISITPAY, *rivals)])


def quick(scratch: Path) -> list[Measurement]:
    """Compare the nearest rivals with few rows."""
    return on_sqlite(scratch, QUICK_VISITS, rounds=3, rivals=QUICK)


def large(scratch: Path, visits: int, rounds: int) -> list[Measurement]:
    """Load a first day that is five times as large."""
    arriving, databases = [one_day(scratch, 5 * visits)], SQLite(scratch)
    return alternating([turn(databases, each, arriving, rounds) for each in (VISITPAY, SHELL)])


def dirty(scratch: Path, visits: int, rounds: int) -> list[Measurement]:
    """Load two clean days and two dirty ones, and find out who else gets through a dirty day."""
    databases = SQLite(scratch)
    clean = two_days(scratch, "clean", visits, 0)
    soiled = two_days(scratch, "dirty", visits, DIRT)
    first = soiled[0]

    def both_days(days: list[Delivery]) -> Steps:
        with databases.fresh(VISITPAY.make_tables) as url:
            commands = tuple(VISITPAY.command(url, day.landing) for day in days)
            yield Step(days[0].workload, sum(day.rows for day in days), commands)

    def first_day(contender: Contender) -> Steps:
        with databases.fresh(contender.make_tables) as url:
            commands = (contender.command(url, first.new),)
            yield Step("dirty day", first.rows, commands, may_stop=True)

    ours = [Turn(VISITPAY.name, rounds, partial(both_days, days)) for days in (clean, soiled)]
    theirs = [Turn(each.name, 1, partial(first_day, each)) for each in RIVALS]
    return alternating([*ours, *theirs])


def on_postgresql(scratch: Path, visits: int, rounds: int) -> list[Measurement]:
    """Load a first day and the same again."""
    arriving = list(deliveries(scratch, visits))[:2]
    with postgresql() as databases:
        turns = [turn(databases, each, arriving, rounds) for each in (VISITPAY, PSQL, DLT)]
        return alternating(turns, databases.settle)
