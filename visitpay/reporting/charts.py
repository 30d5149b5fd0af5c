"""Bar charts as SVG, drawn by Vega-Lite in the colours of the page around them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import vl_convert

_COLOURS = 8
_FEW = 12
"""With fewer bars than this, they are kept slim and do not fill the width of the chart."""
_AXIS = {
    "labelColor": "var(--ink)",
    "titleColor": "var(--ink)",
    "gridColor": "var(--rule)",
    "domainColor": "var(--rule)",
    "tickColor": "var(--rule)",
}
_CONFIG = {
    "axis": _AXIS,
    "legend": {"labelColor": "var(--ink)", "titleColor": "var(--ink)", "orient": "top"},
    "view": {"stroke": None},
    "font": "sans-serif",
}


@dataclass(frozen=True)
class Chart:
    """A chart of stacked bars."""

    title: str
    place: str
    """The title of the horizontal axis, such as days."""
    number: str
    """The title of the vertical axis: what is counted, with its unit."""
    part: str
    """What the parts of a bar are."""
    places: Sequence[str]
    """The labels of the horizontal axis, in order; a place has a bar if it has values."""
    parts: Sequence[str]
    """The parts of a bar, in order."""
    values: Mapping[tuple[str, str], float]
    """The numbers that are not 0, by place and part."""

    @property
    def rows(self) -> list[tuple[str, list[float]]]:
        """The chart as a table: for each place with values, a number for each part."""
        with_values = {place for place, _ in self.values}
        return [
            (place, [self.values.get((place, part), 0) for part in self.parts])
            for place in self.places
            if place in with_values
        ]

    @property
    def svg(self) -> str:
        """The chart as SVG; each bar has its figures as `aria-label`."""
        svg: str = vl_convert.vegalite_to_svg(_spec(self), allowed_base_urls=[])
        return svg


def _spec(chart: Chart) -> dict[str, object]:
    values = [
        {chart.place: place, chart.part: part, chart.number: number}
        for (place, part), number in chart.values.items()
    ]
    colours = [f"var(--part{number % _COLOURS + 1})" for number in range(len(chart.parts))]
    x = {
        "field": chart.place,
        "type": "ordinal",
        "scale": {"domain": chart.places},
        "axis": {"labelAngle": 0, "labelOverlap": "greedy", "labelSeparation": 8},
    }
    y = {"field": chart.number, "type": "quantitative", "axis": {"tickCount": 4}}
    colour = {
        "field": chart.part,
        "type": "nominal",
        "sort": chart.parts,
        "scale": {"domain": chart.parts, "range": colours},
        "legend": {"title": None} if len(chart.parts) > 1 else None,
    }
    return {
        "width": 680,
        "height": 170,
        "background": None,
        "data": {"values": values},
        "mark": {"type": "bar", "width": {"band": min(0.9, len(chart.places) / _FEW)}},
        "encoding": {"x": x, "y": y, "color": colour},
        "config": _CONFIG,
    }
