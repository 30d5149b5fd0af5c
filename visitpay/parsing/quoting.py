r"""Quotes: which are CSV's, which are text, and the pieces of a quoted cell that spans lines.

A quote counts only around a whole cell, and a cell never spans lines: so no quote can swallow the
cells or the rows after it.
"""

import re
from functools import cache

import polars as pl

from visitpay.parsing.values import no_rows_mask

MAX_MULTILINE_CELL_BYTES = 1 << 16
"""Bytes of a cell whose pieces are known as such."""

_WHOLE_QUOTED = r'^"(?:[^"]|"")*"$'


def unquote(cell: str) -> str:
    """Unwrap a cell that is one whole quoted CSV cell; any other stays as it is."""
    whole = re.fullmatch(_WHOLE_QUOTED, cell)
    return cell[1:-1].replace('""', '"').strip(" ") if whole else cell


def trim_cells(cells: pl.Series) -> pl.Series:
    """Trim a column's cells, and unwrap those that are one whole quoted CSV cell."""
    cells = cells.str.strip_chars(" ")
    has_quote = cells.str.starts_with('"')
    if not has_quote.any():
        return cells
    index = has_quote.arg_true()
    quoted = cells.gather(index)
    is_whole = quoted.str.contains(_WHOLE_QUOTED)
    index, quoted = index.filter(is_whole), quoted.filter(is_whole)
    inner = quoted.str.slice(1).str.head(-1)
    unquote = inner.str.replace_all('""', '"', literal=True).str.strip_chars(" ")
    return cells.scatter(index, unquote)


def csv_cells(line: str, delimiter: str, width: int) -> list[str]:
    """Cut a line where a cell that starts with a quote ends with one; other quotes are text.

    Once there are `width` cells, what is left of the line is one more. Quotes are kept.

        in:  7,"Ace, ""soft"" wrap",5" wide,"x" y,z
        out: 7 | "Ace, ""soft"" wrap" | 5" wide | "x" y | z
    """
    pattern = _csv_cell_pattern(delimiter)
    cells: list[str] = []
    start = 0
    while start <= len(line) and len(cells) < width:
        match = pattern.match(line, start)
        cells.append(match[0] if match else "")
        start += len(cells[-1]) + 1
    return [*cells, line[start:]] if start <= len(line) else cells


@cache
def _csv_cell_pattern(delimiter: str) -> re.Pattern[str]:
    return re.compile(rf' *"(?:[^"]|"")*+" *(?=[{delimiter}]|\Z)|[^{delimiter}]*')


def multiline_cells_mask(raw: pl.Series, bad: pl.Series, delimiter: str) -> pl.Series:
    """Return a mask of the lines that are pieces of a quoted cell that spans lines.

    `bad` marks the lines that are no good rows; a piece may be a good row by chance. All lines of a
    stretch are pieces when a quote opens in the first and closes in the last, all between are bad,
    and at least one is bad at all.

        in:  1,"Ace  good
             wrap    bad
             soft"   bad
             2,Tape  good
        out: True, True, True, False
    """
    mask = no_rows_mask(raw)
    index = raw.str.contains('"', literal=True).arg_true()
    quoted = raw.gather(index)
    opening = index.filter(quoted.str.contains(rf"^{opens_cell_pattern(delimiter)}$"))
    if opening.is_empty():
        return mask
    closing = set(index.filter(quoted.str.contains(f"^{closes_cell_pattern(delimiter)}")))
    bad_lines = set(bad.arg_true())
    may_be_between = bad_lines.difference(opening)
    sizes = (raw.str.len_bytes() + 1).to_list()
    pieces: list[int] = []
    for first in opening:
        last, size = first + 1, sizes[first]
        while last in may_be_between and last not in closing:
            size += sizes[last]
            last += 1
        if last not in closing:
            continue
        stretch = range(first, last + 1)
        is_near = size + sizes[last] <= MAX_MULTILINE_CELL_BYTES
        if is_near and not bad_lines.isdisjoint(stretch):
            pieces.extend(stretch)
    return mask.scatter(pieces, values=True)


def leaves_open(line: str, delimiter: str) -> bool:
    """Whether a quoted cell is still open at a line's end."""
    return re.fullmatch(opens_cell_pattern(delimiter), line) is not None


def opens_cell_pattern(delimiter: str) -> str:
    """Return the pattern of a whole line at whose end a quoted cell is still open.

    in:  ,
    out: a pattern that matches `7,"a, b` and `7,"a",5" wide,"b`,
         but not `7,"a",b` (closed) nor `7,5" wide` (a quote in text)
    """
    quoted = r' *"(?:[^"]|"")*" *'
    text = rf'[^" {delimiter}][^{delimiter}]*'
    cell = rf"(?:{quoted}|{quoted}{text}| *{text}| *)"
    return rf'(?:{cell}[{delimiter}])* *"(?:[^"]|"")*'


def closes_cell_pattern(delimiter: str) -> str:
    """Return the pattern of a line's start if it starts in a quoted cell, up to that cell's end.

    in:  ,
    out: a pattern that matches `a, b",` of `a, b",7` and all of `a ""b"" c"`,
         but nothing of `a" b,7` (no end of a cell)
    """
    return rf'(?:[^"]|"")*" *(?:[{delimiter}]|$)'
