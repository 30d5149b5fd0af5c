"""What was measured, kept in a file, so that parts can be measured one by one."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.contenders import VISITPAY, Contender
from benchmarks.measuring import Figure, Measurement


@dataclass(frozen=True)
class Part:
    """Measurements that were taken together, and on which day."""

    day: str
    measurements: list[Measurement]


@dataclass(frozen=True)
class Figures:
    """The parts that were measured so far."""

    parts: dict[str, Part] = field(default_factory=dict)

    def of(self, part: str, workload: str) -> list[Measurement]:
        """Give the measurements of a workload, one for each contender."""
        if part not in self.parts:
            return []
        return [each for each in self.parts[part].measurements if each.workload == workload]

    def taken(self, part: str, workload: str, contender: Contender = VISITPAY) -> Measurement:
        """Give a measurement; raises KeyError when it was not taken."""
        for each in self.of(part, workload):
            if each.contender == contender.name and each.figures:
                return each
        raise KeyError(part, workload, contender.name)


def read_figures(path: Path) -> Figures:
    """Read the figures of a file, none if it is not there."""
    if not path.exists():
        return Figures()
    return Figures(
        {
            name: Part(part["day"], [_measurement(**each) for each in part["measurements"]])
            for name, part in json.loads(path.read_text())["parts"].items()
        }
    )


def _measurement(
    workload: str, contender: str, rows: int, figures: list[list[float]]
) -> Measurement:
    return Measurement(workload, contender, rows, [Figure(*each) for each in figures])


def write_figures(figures: Figures, path: Path) -> None:
    """Write figures to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(figures), indent=1))
