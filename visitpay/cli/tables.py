"""A table as lines of text, none of them wider than there is room."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

_INDENT = 4
_NARROWEST = 2 * _INDENT
"""No terminal is taken for narrower than this."""
_CONSOLE = Console(_environ={})
"""Rich asks for one where it folds a text; it falls over odd settings of the environment."""


@dataclass(frozen=True)
class Column:
    """A column of a table; its first cell is its header."""

    cells: Sequence[str]
    is_number: bool
    """Whether its cells stand to the right."""
    codes: Sequence[str] = ()
    """The colour of each cell, as a number of the terminal's; empty for none."""

    @cached_property
    def width(self) -> int:
        """How wide it is when nothing of it is folded."""
        return max(map(cell_len, self.cells))


def width_of(columns: Sequence[Column]) -> int:
    """Return the width of columns beside each other."""
    return sum(column.width + 1 for column in columns) - 1


def lay_out(columns: Sequence[Column], width: int) -> list[list[str]]:
    """Return the lines of each row of a table; its first row is the header.

    A column that does not fit beside those before it goes on a line of its own below them,
    indented, and is folded if that is too short; but the last one is folded where it stands, if
    half of the width is left for it.
    """
    lines = list(_lines(columns, max(width, _NARROWEST)))
    return [
        [text for line in lines for text in line.of_row(row)]
        for row in range(len(columns[0].cells))
    ]


@dataclass(frozen=True)
class _Line:
    """Columns beside each other, each with the width that it is given."""

    indent: int
    columns: list[tuple[Column, int]]

    def of_row(self, row: int) -> Iterator[str]:
        """Yield the lines of a row; none for a line below that would be blank."""
        folded = [_folded(column.cells[row], width) for column, width in self.columns]
        if self.indent and not any(map(any, folded)):
            return
        codes = [column.codes[row] if column.codes else "" for column, _ in self.columns]
        for pieces in zip_longest(*folded, fillvalue=""):
            padded = map(_padded, pieces, self.columns, codes)
            yield (" " * self.indent + " ".join(padded)).rstrip()


def _lines(columns: Sequence[Column], width: int) -> Iterator[_Line]:
    line, room = _Line(0, []), width
    for column in columns:
        is_foldable = column is columns[-1] and not column.is_number and room >= width // 2
        if line.columns and column.width > room and not is_foldable:
            yield line
            line, room = _Line(_INDENT, []), width - _INDENT
        width_of_column = min(column.width, room)
        line.columns.append((column, width_of_column))
        room -= width_of_column + 1
    yield line


def _folded(cell: str, width: int) -> list[str]:
    if cell_len(cell) <= width:
        return [cell]
    return [piece.plain for piece in Text(cell).wrap(_CONSOLE, width, overflow="fold")]


def _padded(piece: str, column: tuple[Column, int], code: str) -> str:
    spaces = " " * (column[1] - cell_len(piece))
    painted = f"\x1b[{code}m{piece}\x1b[0m" if code and piece else piece
    return spaces + painted if column[0].is_number else painted + spaces
