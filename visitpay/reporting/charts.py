"""Charts of days: what came on each, where it is in the picture, and what a reader is told of it.

Places across are percents of the width, heights are pixels: so a chart fits any width, and its text
keeps its size. The page draws them (`page.html`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import cached_property
from itertools import count
from math import ceil, floor
from typing import NamedTuple

HEIGHT = 132
"""Of the bars, in pixels."""

_TICKS = 4
_BAR = 0.72
"""The share of a day's place that its bar takes."""

Amount = int | Decimal
"""A number of rows, or dollars."""


class Usual(NamedTuple):
    """The least and the most that is usual for a day."""

    low: int
    high: int


class Box(NamedTuple):
    """A part of a bar, or a band: pixels from the top."""

    part: int
    """Its colour: the place of the part among the parts."""
    top: float
    height: float


class Slot(NamedTuple):
    """The place of a day; percents of the width."""

    day: date
    left: float
    width: float
    middle: float
    bar_left: float
    bar_width: float
    boxes: Sequence[Box]
    band: Box | None
    """What is usual for the day."""
    is_missing: bool
    """Whether something is usual for the day, and nothing came."""
    told: Sequence[str]
    """What a reader who points at it is told, in lines."""
    label: str
    """What stands below it; empty for most days."""
    is_minor: bool
    """Whether the label is left out where there is little room."""

    @property
    def right(self) -> float:
        """Where its place ends."""
        return round(self.left + self.width, 3)

    @property
    def edges(self) -> list[float]:
        """Where the band begins and ends."""
        return [self.band.top, self.band.top + self.band.height] if self.band else []


@dataclass(frozen=True)
class Chart:
    """A chart of a bar a day."""

    name: str
    title: str
    """The question that it answers."""
    note: str
    """How it was counted."""
    days: Sequence[date]
    """All days, the oldest first."""
    parts: Sequence[str]
    """What a bar consists of, the part at its bottom first."""
    values: Mapping[tuple[date, str], Amount]
    """The numbers that are not 0, by day and part."""
    today: date
    is_stacked: bool = False
    """Whether the parts have colours; else a bar is the sum of them."""
    usual: Mapping[date, Usual] = field(default_factory=dict)

    @property
    def height(self) -> int:
        """Pixels, of the bars alone."""
        return HEIGHT

    @cached_property
    def totals(self) -> Mapping[date, Amount]:
        """The sum of each day that has values."""
        sums: dict[date, Amount] = {}
        for (day, _), value in self.values.items():
            sums[day] = sums.get(day, 0) + value
        return sums

    @property
    def rows(self) -> list[tuple[date, list[Amount], Usual | None]]:
        """The chart as a table, the newest day first: its numbers by part, and what is usual."""
        return [
            (day, [self.values.get((day, part), 0) for part in self.parts], self.usual.get(day))
            for day in reversed(self.days)
            if day in self.totals or day in self.usual
        ]

    @cached_property
    def _span(self) -> tuple[float, float]:
        """The lowest and the highest number, or 0."""
        highs = (usual.high for usual in self.usual.values())
        numbers = [0.0, *map(float, self.totals.values()), *map(float, highs)]
        return min(numbers), max(numbers)

    @cached_property
    def _step(self) -> int:
        """How far two lines of the scale are apart: 1, 2 or 5 times a power of 10."""
        lowest, highest = self._span
        steps = (base * 10**power for power in count() for base in (1, 2, 5))
        wanted = (step for step in steps if step * _TICKS >= highest - lowest)
        return int(next(wanted))

    @cached_property
    def _range(self) -> tuple[int, int]:
        """The lowest and the highest line of the scale, in steps."""
        lowest, highest = self._span
        return floor(lowest / self._step), max(1, ceil(highest / self._step))

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """The lines of the scale: pixels from the top, and the number beside each."""
        lowest, highest = self._range
        sign = "$" if self._is_money else ""
        lines = (step * self._step for step in range(lowest, highest + 1))
        return [(self._top(value), _short(value, sign)) for value in lines]

    @property
    def base(self) -> float:
        """Where 0 is, in pixels from the top."""
        return self._top(0)

    @property
    def slots(self) -> Iterator[Slot]:
        """The days, each in its place."""
        width = 100 / len(self.days)
        for place, day in enumerate(self.days):
            left = place * width
            yield Slot(
                day=day,
                left=round(left, 3),
                width=round(width, 3),
                middle=round(left + width / 2, 3),
                bar_left=round(left + width * (1 - _BAR) / 2, 3),
                bar_width=round(width * _BAR, 3),
                boxes=self._boxes(day),
                band=self._band(day),
                is_missing=self._is_missing(day),
                told=self._told(day),
                label=self._label(day),
                is_minor=self._weeks_to_end(day) % 2 == 1,
            )

    @property
    def _is_money(self) -> bool:
        return any(isinstance(value, Decimal) for value in self.values.values())

    def _top(self, value: float | Amount) -> float:
        lowest, highest = self._range
        share = (float(value) / self._step - lowest) / (highest - lowest)
        return round(HEIGHT * (1 - share), 1)

    def _box(self, part: int, low: Amount, high: Amount) -> Box:
        top, bottom = self._top(max(low, high)), self._top(min(low, high))
        height = max(bottom - top, 1)  # what is there is seen
        return Box(part, round(bottom - height, 1), round(height, 1))

    def _boxes(self, day: date) -> list[Box]:
        if not self.is_stacked:
            return [self._box(0, 0, self.totals[day])] if day in self.totals else []
        boxes, low = [], 0
        for place, part in enumerate(self.parts):
            if value := self.values.get((day, part), 0):
                boxes.append(self._box(place, low, low + value))
                low += int(value)
        return boxes

    def _band(self, day: date) -> Box | None:
        usual = self.usual.get(day)
        return usual and self._box(0, usual.low, usual.high)

    def _is_missing(self, day: date) -> bool:
        return day in self.usual and day not in self.totals and day < self.today

    def _told(self, day: date) -> list[str]:
        told = [f"{day:%a} {day.isoformat()}"]
        if day not in self.totals:
            told.append("nothing came")
        elif not self.is_stacked:
            told.append(amount(self.totals[day]))
        if len(self.parts) > 1:
            values = ((part, self.values.get((day, part))) for part in self.parts)
            told += [f"{part}: {amount(value)}" for part, value in values if value]
        if usual := self.usual.get(day):
            told.append(f"usual: {usual.low:,} to {usual.high:,}")
        return told

    @property
    def has_missing(self) -> bool:
        """Whether there is a day on which something is usual, and nothing came."""
        return any(map(self._is_missing, self.days))

    def _label(self, day: date) -> str:
        """Return what stands below a day: a label in each week, counted from the last day."""
        if day == self.today:
            return "today"
        is_labelled = self._weeks_to_end(day).is_integer()
        return f"{day.day} {day:%b}" if is_labelled else ""

    def _weeks_to_end(self, day: date) -> float:
        return (self.days[-1] - day).days / 7


def amount(value: Amount) -> str:
    """Return a number of rows, or dollars, as people write it: `1,234`, `-$1,234.50`."""
    if isinstance(value, Decimal):
        return f"{'-' if value < 0 else ''}${abs(value):,.2f}"
    return f"{value:,}"


def _short(value: float, sign: str) -> str:
    """Return a number of a scale: `-$20k`, `1.5M`."""
    size = abs(value)
    unit, name = next(
        (each for each in ((1e9, "bn"), (1e6, "M"), (1e4, "k")) if size >= each[0]), (1, "")
    )
    unit = 1e3 if name == "k" else unit
    return f"{'-' if value < 0 else ''}{sign}{size / unit:,g}{name}"
