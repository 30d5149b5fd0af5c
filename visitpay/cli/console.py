"""What people see on a terminal: lines and tables."""

import os
import re
import sys
from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from visitpay.cli.tables import Column, lay_out, width_of
from visitpay.text import iso, printable

if TYPE_CHECKING:
    from visitpay.ledger.files import Counts
    from visitpay.quality.checks import Finding

OUTCOMES = ("inserted", "updated", "rejected", "unchanged", "stale", "superseded")
"""The columns of tables of files that say what became of the rows."""

_CODES = {"green": "32", "yellow": "33", "red": "31"}
"""The colours, as a terminal numbers them."""

_COLOURS = {
    **dict.fromkeys(("well", "all is well", "ok", "loaded", "resolved"), "green"),
    **dict.fromkeys(("attention", "held", "warning", "unknown", "interrupted"), "yellow"),
    **dict.fromkeys(("needs a person", "failed", "error", "died"), "red"),
}
"""The colours of the words for states; on a terminal that has colours, and never instead of them.

A terminal has none where NO_COLOR is set, or TERM is `dumb`.
"""

_STATE = re.compile(rf"(?:dry run, nothing kept: )?({'|'.join(_COLOURS)})(?=[:;,]|$)")

_NAMES = ("id", "line", "key", "visit")
"""Columns whose numbers are names: they have no thousands separators."""


class _Console(Console):
    """A console that is a terminal only if the system says so.

    FORCE_COLOR, which CI and some service managers set, would write colours into a log file.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        # Rich takes a width of 0, which a service may have, and falls over one of `²`.
        measures = {name: os.environ.get(name, "") for name in ("COLUMNS", "LINES")}
        odd = {name for name, size in measures.items() if not _SIZE.fullmatch(size)}
        kept = {name: value for name, value in os.environ.items() if name not in odd}
        super().__init__(stderr=stderr, _environ=kept)

    @property
    def is_terminal(self) -> bool:
        return self.file.isatty()


_ENDING = re.compile(r": (visitpay .*)\Z")
"""A command at the end of a message."""

_SIZE = re.compile("[1-9][0-9]{0,3}")

err = _Console(stderr=True)


def say(text: str, console: Console | None = None) -> None:
    """Print a text, on standard output unless a console is given; fold it on a terminal only.

    A state that it begins with is coloured. A command that it ends with, and that does not fit,
    stands on a line of its own, so that it can be copied.
    """
    console = console or _Console()
    ending = _ENDING.search(text)
    if console.is_terminal and ending and len(text) > console.width:
        text = text[: ending.start(1)].rstrip()
    else:
        ending = None
    said = Text(text)
    if console.is_terminal and (state := _STATE.match(text)):
        said.stylize(_COLOURS[state[1]], *state.span(1))
    console.print(said, soft_wrap=not console.is_terminal)
    if ending:
        command(ending[1], console)


def on_terminal() -> bool:
    """Whether standard output is a terminal."""
    return _Console().is_terminal


def line(path: Path) -> None:
    """Print a path on a line of its own, never folded."""
    _Console().print(Text(printable(str(path))), soft_wrap=True)


def command(text: str, console: Console | None = None) -> None:
    """Print a command on a line of its own, never folded, so that it can be copied."""
    (console or _Console()).print(Text(f"  {text}"), soft_wrap=True)


def show(
    headers: Sequence[str],
    rows: Sequence[Sequence[object]],
    title: str = "",
    *,
    nothing: str = "",
    total: int = 0,
    spare: Collection[str] = (),
) -> None:
    """Print a table on standard output; control characters in cells are written out.

    Numbers are aligned to the right, and empty columns are left out. On a terminal the table is
    laid out to fit (`tables.lay_out`), without its `spare` columns where they would not fit.
    Elsewhere a row is a line of any width. Without rows, print `nothing`; with fewer than `total`,
    say so.
    """
    console = _Console()
    if not rows:
        if nothing:
            say(nothing)
        return
    width = console.width if console.is_terminal else sys.maxsize
    made = [
        _column(*cells, coloured=console.is_terminal) for cells in zip(headers, *rows, strict=True)
    ]
    columns = [column for column in made if any(column.cells[1:])]
    if columns and width_of(columns if columns[-1].is_number else columns[:-1]) > width:
        columns = [column for column in columns if column.cells[0] not in spare]
    (header, *lines) = lay_out(columns, width)
    if title:
        console.print(Text(title, "italic"), soft_wrap=True)
    if any(headers):
        console.print(Text("\n".join(header), "bold"), soft_wrap=True)
    console.print(Text.from_ansi("\n".join(chain.from_iterable(lines))), soft_wrap=True)
    if len(rows) < total:
        say(f"{len(rows):,} of {total:,}; --limit shows more")


def _column(header: str, *cells: object, coloured: bool) -> Column:
    is_name = header in _NAMES
    shown = [str(cell) if is_name and cell is not None else _shown(cell) for cell in cells]
    codes = ["", *(_CODES.get(_COLOURS.get(cell, ""), "") for cell in shown)] if coloured else []
    return Column([header, *shown], all(isinstance(cell, int | None) for cell in cells), codes)


def _shown(cell: object) -> str:
    if isinstance(cell, datetime):
        return iso(cell) or ""
    if isinstance(cell, int):
        return f"{cell:,}"
    return "" if cell is None else printable(str(cell))


def outcomes(counts: "Counts") -> list[int | None]:
    """Return what became of rows, as OUTCOMES names it; None for no rows."""
    return [getattr(counts, outcome) or None for outcome in OUTCOMES]


def show_findings(findings: "Sequence[Finding]") -> None:
    """Print findings, if there are any."""
    from visitpay.feed import short_name

    rows = [
        (
            found.check,
            f"{short_name(found.subject)}: {found.message}" if found.subject else found.message,
        )
        for found in findings
    ]
    show(("check", "finding"), rows)
