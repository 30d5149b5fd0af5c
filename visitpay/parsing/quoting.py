"""Quotes: which are CSV's, which are text, and the pieces of a quoted cell that spans lines.

A quote counts only around a whole cell, and a cell never spans lines: so no quote can swallow the
cells or the rows after it.
"""

import re
from functools import cache

import polars as pl

from visitpay.parsing.values import no_rows_mask

MAX_CELL_ACROSS_LINES = 1 << 16
"""Bytes of a cell whose pieces are known as such."""

_WHOLE_QUOTED = r'^"(?:[^"]|"")*"$'


def unquoted(cell: str) -> str:
    """Unwrap a cell that is one whole quoted CSV cell; any other stays as it is."""
    whole = re.fullmatch(_WHOLE_QUOTED, cell)
    return cell[1:-1].replace('""', '"').strip(" ") if whole else cell


def trimmed(cells: pl.Series) -> pl.Series:
    """Trim a column's cells, and unwrap those that are one whole quoted CSV cell."""
    cells = cells.str.strip_chars(" ")
    quoted = cells.str.starts_with('"')
    if not quoted.any():
        return cells
    places = quoted.arg_true()
    quoted = cells.gather(places)
    whole = quoted.str.contains(_WHOLE_QUOTED)
    places, quoted = places.filter(whole), quoted.filter(whole)
    inner = quoted.str.slice(1).str.head(-1)
    unwrapped = inner.str.replace_all('""', '"', literal=True).str.strip_chars(" ")
    return cells.scatter(places, unwrapped)


def csv_cells(line: str, delimiter: str, width: int) -> list[str]:
    """Cut a line where a cell that starts with a quote ends with one; other quotes are text.

    Once there are cells enough, what is left of the line is one more.
    """
    pattern = _csv_cell(delimiter)
    cells: list[str] = []
    place = 0
    while place <= len(line) and len(cells) < width:
        match = pattern.match(line, place)
        cells.append(match[0] if match else "")
        place += len(cells[-1]) + 1
    return [*cells, line[place:]] if place <= len(line) else cells


@cache
def _csv_cell(delimiter: str) -> re.Pattern[str]:
    return re.compile(rf' *"(?:[^"]|"")*+" *(?=[{delimiter}]|\Z)|[^{delimiter}]*')


def pieces_of_cells(raw: pl.Series, bad: pl.Series, delimiter: str) -> pl.Series:
    """Say which lines are pieces of a quoted cell that spans lines.

    A piece may be a good row by chance. It is one if it stands at an end of a stretch of lines in
    which a quote opens in the first and closes in the last, all between are bad, and so is an end.
    """
    pieces = no_rows_mask(raw)
    places = raw.str.contains('"', literal=True).arg_true()
    quoted = raw.gather(places)
    opening = places.filter(quoted.str.contains(rf"^{opening_pattern(delimiter)}$"))
    if opening.is_empty():
        return pieces
    closing = set(places.filter(quoted.str.contains(f"^{closing_pattern(delimiter)}")))
    inner = bad.clone().scatter(opening, values=False).to_list()  # scatter writes in place
    sizes = (raw.str.len_bytes() + 1).to_list()
    found: list[int] = []
    for first in opening:
        last, size = first + 1, sizes[first]
        while last < len(inner) and inner[last] and last not in closing:
            size += sizes[last]
            last += 1
        if last not in closing:
            continue
        near = size + sizes[last] <= MAX_CELL_ACROSS_LINES
        if near and bad[first : last + 1].any():
            found.extend(range(first, last + 1))
    return pieces.scatter(found, values=True)


def leaves_open(line: str, delimiter: str) -> bool:
    """Say whether a quoted cell is still open at a line's end."""
    return re.fullmatch(opening_pattern(delimiter), line) is not None


def opening_pattern(delimiter: str) -> str:
    """Give the pattern of a whole line at whose end a quoted cell is still open."""
    quoted = r' *"(?:[^"]|"")*" *'
    text = rf'[^" {delimiter}][^{delimiter}]*'
    cell = rf"(?:{quoted}|{quoted}{text}| *{text}| *)"
    return rf'(?:{cell}[{delimiter}])* *"(?:[^"]|"")*'


def closing_pattern(delimiter: str) -> str:
    """Give the pattern of a line's start if it starts in a quoted cell, up to that cell's end."""
    return rf'(?:[^"]|"")*" *(?:[{delimiter}]|$)'
