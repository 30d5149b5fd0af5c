"""The growth of a load as a picture."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from benchmarks.measuring import Measurement


def draw_growth(measurements: Sequence[Measurement], path: Path) -> None:
    """Draw wall time per row and peak memory against size; the same figures give the same file."""
    rows = [each.rows for each in measurements]
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    wall, peak = figure.subplots(1, 2)
    wall.plot(rows, [1e6 / each.rows_per_second for each in measurements], "o-")
    wall.set(title="wall time per row", ylabel="microseconds")
    peak.plot(rows, [each.summary.peak for each in measurements], "o-")
    peak.set(title="peak memory", ylabel="MiB")
    for axes in (wall, peak):
        axes.set(xlabel="rows of a first load", xscale="log")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    with rc_context({"svg.hashsalt": "visitpay", "svg.fonttype": "none"}):
        figure.savefig(path, format="svg", metadata={"Date": None})
