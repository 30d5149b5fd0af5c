"""The page that tells what was measured."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.contenders import LEAVES_OUT, VISITPAY
from benchmarks.figures import Figures
from benchmarks.growth import COUNTS, SIZES
from benchmarks.measuring import Measurement
from benchmarks.targets import TARGETS

HEAD = """\
# Benchmarks

`make bench` measured all of this on {days}, and wrote this page. Compare figures within it, not
with those of another machine.

- Everyone loads the same files, made up by `visitpay sample`, each into a database of its own with
  the same keys, foreign keys and index. What a rival leaves out of what visitpay does stands beside
  it; besides, none tells a late file from a new one, or remembers where a row came from.
- In every round all contenders have their turn, one after the other. Times are medians of the
  rounds, the range is from the fastest to the slowest, memory is the highest peak.
- What is measured is a whole process, its start included. Before it starts, the disk has everything
  that others have written.
- SQLite databases have pages of 16 KiB and a write-ahead log. PostgreSQL runs on the same machine,
  with the settings it comes with; CPU time and memory are those of the client.
- The rivals are in `benchmarks/rivals/` and `benchmarks/contenders.py`, as their users would write
  them. pgloader is not among them: it has no upsert.
"""

LOADS = {
    ("sqlite", "first"): "First load into an empty SQLite database",
    ("sqlite", "again"): "The same rows again, under new names",
    ("sqlite", "day"): "A day in the life: as many new transactions as corrected ones",
    ("large", "first"): "First load into an empty SQLite database, five times the rows",
    ("postgresql", "first"): "First load into an empty PostgreSQL database",
    ("postgresql", "again"): "The same rows again, on PostgreSQL",
}


def write(figures: Figures, facts: dict[str, str], path: Path) -> str:
    """Write the page and, beside it, the plot; give what the page says."""
    from benchmarks.plot import draw_growth

    plot = path.with_suffix(".svg")
    if growth := _of_sizes(figures):
        draw_growth(growth, plot)
    page = _page(figures, facts, plot.name)
    path.write_text(page)
    return page


def _page(figures: Figures, facts: dict[str, str], plot: str) -> str:
    days = " and ".join(sorted({part.day for part in figures.parts.values()}))
    sections = [
        HEAD.format(days=days),
        _targets(figures),
        *loads(figures),
        _dirt(figures),
        _growth(figures, plot),
        _short(figures),
        "## Machine and versions\n\n" + _table(["", ""], facts.items()),
    ]
    return "\n".join(section for section in sections if section)


def loads(figures: Figures) -> list[str]:
    """Write a section for each load that several took."""
    return [
        f"## {title}\n\n{measured[0].rows:,} rows, {_rounds(measured)}.\n\n" + _comparison(measured)
        for (part, workload), title in LOADS.items()
        if (measured := figures.of(part, workload))
    ]


def _comparison(measured: Sequence[Measurement]) -> str:
    """Compare what a workload took each contender."""
    (ours,) = (each for each in measured if each.contender == VISITPAY.name)
    header = ["", *COLUMNS, "visitpay / this", "leaves out"]
    rows = (
        [
            each.contender,
            *_cells(each),
            f"{ours.summary.wall / each.summary.wall:.2f}",
            LEAVES_OUT[each.contender],
        ]
        for each in measured
    )
    return _table(header, rows)


COLUMNS = ["seconds", "range", "user CPU s", "peak MiB", "rows/s"]


def _cells(measured: Measurement) -> list[str]:
    walls, summary = [each.wall for each in measured.figures], measured.summary
    return [
        f"{summary.wall:.2f}",
        f"{min(walls):.2f} to {max(walls):.2f}",
        f"{summary.user:.2f}",
        f"{summary.peak:.0f}",
        f"{measured.rows_per_second:,.0f}",
    ]


def _rounds(measured: Sequence[Measurement]) -> str:
    return f"{len(measured[0].figures)} rounds"


def _targets(figures: Figures) -> str:
    rows = (
        [target.what, target.written(target.limit), *target.outcome(figures)] for target in TARGETS
    )
    return "## Targets\n\n" + _table(["", "at most", "measured", ""], rows)


def _dirt(figures: Figures) -> str:
    measured = figures.of("dirty", "clean") + figures.of("dirty", "dirty")
    if not measured:
        return ""
    ours = _table(
        ["visitpay", "rows", *COLUMNS],
        ([each.workload, f"{each.rows:,}", *_cells(each)] for each in measured),
    )
    theirs = _table(
        ["the first dirty day", "what comes of it", "leaves out"],
        (
            [
                each.contender,
                f"{each.summary.wall:.2f} s: loads what it is given" if each.figures else "stops",
                LEAVES_OUT[each.contender],
            ]
            for each in figures.of("dirty", "dirty day")
        ),
    )
    return f"""\
## Dirty rows

Two days, in two loads, {_rounds(measured)}. Of the dirty days' rows 5 % cannot be loaded, some of
them because what they refer to comes on the second day, whose load takes them in.

{ours}
{theirs}"""


def _of_sizes(figures: Figures) -> list[Measurement]:
    return [each for size in SIZES for each in figures.of("growth", size)]


def _growth(figures: Figures, plot: str) -> str:
    measured = _of_sizes(figures)
    if not measured:
        return ""
    rows = (
        [
            f"{each.rows:,}",
            *_cells(each),
            f"{1e6 / each.rows_per_second:.2f}",
            str(len(each.figures)),
        ]
        for each in measured
    )
    table = _table(["rows", *COLUMNS, "µs a row", "rounds"], rows)
    return f"""\
## Growth

First loads into an empty SQLite database.

![Wall time per row and peak memory against rows]({plot})

{table}"""


SHORT = {
    ("commands", "help"): "`visitpay --help`",
    ("commands", "nothing to do"): "nothing to do: {rows:,} files, all in the ledger",
    ("files", "all known"): "nothing to do: {rows:,} files, all in the ledger",
    **{("files", workload): f"{workload} of one row each" for workload in COUNTS},
}


def _short(figures: Figures) -> str:
    """Write what runs with next to no rows take."""
    measured = {
        what.format(rows=each.rows): each
        for (part, workload), what in SHORT.items()
        for each in figures.of(part, workload)
    }
    if not measured:
        return ""
    table = _table(
        ["", *COLUMNS[:-1]], ([what, *_cells(each)[:-1]] for what, each in measured.items())
    )
    return f"## Small files, and none\n\n{_rounds(list(measured.values()))}.\n\n{table}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table: words to the left, numbers to the right."""
    body = list(rows)
    numeric = [
        all(not row[place] or row[place][0].isdigit() for row in body)
        for place in range(len(header))
    ]
    rule = ["---:" if each else "---" for each in numeric]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [header, rule, *body])
