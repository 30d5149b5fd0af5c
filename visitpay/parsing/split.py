"""Lines cut into the cells of the model's columns."""

import polars as pl

from visitpay.parsing.layout import Layout
from visitpay.parsing.quoting import csv_cells


def split(lines: pl.DataFrame, layout: Layout) -> pl.DataFrame:
    """Return lines with a column of text for each of the model's; blank lines are left out.

    `lines` is as `number_lines` returns it. `ragged` marks the lines that do not split as the
    header does, `malformed` those of them that do not even when quotes are honoured.

    Ragged lines are cut one by one, and counted before they are cut: a short line under a wide
    header must not cost memory for every column.
    """
    raw = lines["raw"]
    regular = raw.str.count_matches(layout.delimiter, literal=True) == layout.cell_count - 1
    regular &= ~lines["line_too_long"]
    text = raw
    if layout.trailing_delimiters:
        regular &= raw.str.ends_with(layout.trailing_delimiters)
        text = raw.str.strip_suffix(layout.trailing_delimiters)
    if regular.all():
        return _split_regular(lines, text, layout)
    cells = _split_regular(lines.filter(regular), text.filter(regular), layout)
    ragged = lines.filter(~regular & (raw.str.strip_chars(" ") != ""))
    return cells.vstack(_split_ragged(ragged, layout)).sort("source_line")


def _split_regular(lines: pl.DataFrame, text: pl.Series, layout: Layout) -> pl.DataFrame:
    cells = text.str.split_exact(layout.delimiter, layout.width - 1).struct.unnest().get_columns()
    named = [cells[column.position].alias(column.name) for column in layout.columns]
    none = pl.lit(value=False)
    return lines.hstack(named).with_columns(malformed=none, ragged=none)


def _split_ragged(lines: pl.DataFrame, layout: Layout) -> pl.DataFrame:
    splitter = LineSplitter(layout)
    cut = [splitter.cut(line) for line in lines["raw"]]
    rows = [
        splitter.key_of_malformed(line) if cells is None else cells
        for cells, line in zip(cut, lines["raw"], strict=True)
    ]
    schema = dict.fromkeys((column.name for column in layout.columns), pl.String())
    malformed = pl.Series([cells is None for cells in cut], dtype=pl.Boolean)
    return lines.hstack(pl.DataFrame(rows, schema, orient="row")).with_columns(
        malformed=malformed & ~lines["line_too_long"], ragged=pl.lit(value=True)
    )


class LineSplitter:
    """Cuts one line at a time, honouring quotes if that helps."""

    def __init__(self, layout: Layout) -> None:
        """Cut as a layout says."""
        self._layout = layout
        self._positions = [column.position for column in layout.columns]
        self._delimiter, self._width = layout.delimiter, layout.width

    def cut(self, line: str) -> list[str] | None:
        """Return the cells of the model's columns, or None when the line is malformed."""
        cells = line.split(self._delimiter)
        if not self.has_all_cells(cells):
            if '"' not in line:
                return None
            cells = csv_cells(line, self._delimiter, self._width)
            if not self.has_all_cells(cells):
                return None
        return [cells[position] for position in self._positions]

    def has_all_cells(self, cells: list[str]) -> bool:
        """Whether all cells of a line are there, and nothing but empty ones beyond."""
        delimiter, width = self._delimiter, self._width
        beyond = delimiter.join(cells[width:])
        if len(cells) < width or beyond.replace(delimiter, "").strip(" "):
            return False
        # With a cell too few and none in the last column, any of the delimiters may be missing.
        count = len(cells) + sum(cell.count(delimiter) for cell in cells[width:])
        return count >= self._layout.cell_count or bool(cells[width - 1].strip(" "))

    def key_of_malformed(self, line: str) -> list[str | None]:
        """Return the key's cell of a malformed line, and None for the other columns.

        With it a good row of the same key can supersede the line. There is none in a line with too
        few cells: the first of them may be another column's.
        """
        cells = line.split(self._delimiter)
        if len(cells) < self._width:
            return [None] * len(self._positions)
        key = self._layout.key
        return [cells[key.position] if column is key else None for column in self._layout.columns]
