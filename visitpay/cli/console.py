"""What people see: tables and lines on a terminal, the progress bar, the log."""

import json
import logging
import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from traceback import format_tb
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from visitpay.cli.tables import Column, lay_out, width_of
from visitpay.errors import VisitPayError
from visitpay.events import RUN_ID
from visitpay.landing.local import printable, short
from visitpay.text import counted, second

if TYPE_CHECKING:
    from rich.progress import Progress as BarProgress

    from visitpay.loading.run import Progress

_NAMES = ("id", "line", "key", "visit")
"""Columns of which the numbers count nothing, and so have no separators."""


class _Console(Console):
    """A terminal is one that the system calls so, whatever the environment says.

    Else FORCE_COLOR, which CI and some service managers set, would have colours in a log file.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        # Rich takes a width of 0, which a service may have, and falls over one of `²`.
        measures = {name: os.environ.get(name, "") for name in ("COLUMNS", "LINES")}
        odd = {name for name, told in measures.items() if not _A_MEASURE.fullmatch(told)}
        kept = {name: told for name, told in os.environ.items() if name not in odd}
        super().__init__(stderr=stderr, _environ=kept)

    @property
    def is_terminal(self) -> bool:
        return self.file.isatty()


_A_MEASURE = re.compile("[1-9][0-9]{0,3}")

err = _Console(stderr=True)


def iso(moment: datetime | None) -> str | None:
    """Write a moment as `2021-12-01T22:33:57Z`."""
    return f"{second(moment)}Z".replace(" ", "T") if moment else None


def dumps(document: object) -> str:
    """Write a document as JSON, ASCII only."""
    return json.dumps(document, indent=2, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return iso(value)
    return dict(value) if isinstance(value, Mapping) else str(value)


def say(text: str, console: Console | None = None) -> None:
    """Print a text, on standard output if nothing else is given, folded on a terminal only."""
    console = console or _Console()
    console.print(Text(text), soft_wrap=not console.is_terminal)


def line(path: Path) -> None:
    """Print a path on a line of its own, never folded."""
    _Console().print(Text(printable(str(path))), soft_wrap=True)


def show(
    headers: Sequence[str],
    rows: Sequence[Sequence[object]],
    title: str = "",
    *,
    nothing: str = "",
    total: int = 0,
    spare: Collection[str] = (),
) -> None:
    """Print a table on standard output, everything from outside harmlessly.

    Numbers stand to the right, and columns without anything in them are left out. Off a terminal a
    row is a line, whatever its width; on one the table is laid out to fit (`tables.lay_out`),
    without its `spare` columns where those would not fit. Without rows it prints `nothing`; where
    they are fewer than the `total`, that they are.
    """
    console = _Console()
    if not rows:
        if nothing:
            say(nothing)
        return
    width = console.width if console.is_terminal else sys.maxsize
    made = [_column(*cells) for cells in zip(headers, *rows, strict=True)]
    columns = [column for column in made if any(column.cells[1:])]
    if columns and width_of(columns if columns[-1].is_number else columns[:-1]) > width:
        columns = [column for column in columns if column.cells[0] not in spare]
    (header, *lines) = lay_out(columns, width)
    if title:
        console.print(Text(title, "italic"), soft_wrap=True)
    if any(headers):
        console.print(Text("\n".join(header), "bold"), soft_wrap=True)
    console.print(Text("\n".join(chain.from_iterable(lines))), soft_wrap=True)
    if len(rows) < total:
        say(f"{len(rows):,} of {total:,}; --limit shows more")


def _column(header: str, *cells: object) -> Column:
    are_names = header in _NAMES
    shown = [str(cell) if are_names and cell is not None else _shown(cell) for cell in cells]
    return Column([header, *shown], all(isinstance(cell, int | None) for cell in cells))


def _shown(cell: object) -> str:
    if isinstance(cell, datetime):
        return iso(cell) or ""
    if isinstance(cell, int):
        return f"{cell:,}"
    return "" if cell is None else printable(str(cell))


def start_log(log_format: str, *, verbose: bool) -> None:
    """Send the log to standard error; on a terminal, where a table follows, warnings only."""
    logger = logging.getLogger("visitpay")
    logger.handlers[:] = [_Handler(log_format)]
    usual = logging.WARNING if err.is_terminal and log_format == "text" else logging.INFO
    logger.setLevel(logging.DEBUG if verbose else usual)
    logger.propagate = False


class _Handler(logging.Handler):
    """Writes past a progress bar, never wrapping, never taking a name for markup."""

    def __init__(self, log_format: str) -> None:
        super().__init__()
        self.as_json = log_format == "json"

    def emit(self, record: logging.LogRecord) -> None:
        moment = datetime.fromtimestamp(record.created, UTC)
        level, message = record.levelname, record.getMessage()
        if record.exc_info and record.exc_info[1]:
            message = _traced(record.exc_info[1])
        line = f"{iso(moment)} {level.lower()}: {message}"
        if self.as_json:
            named = {"event": getattr(record, "event", None), "run_id": RUN_ID.get()}
            line = json.dumps(
                {"time": iso(moment), "level": level.lower(), **named, "message": message}
            )
        with suppress(OSError):  # a log on a full disk, or one nobody reads, costs no load
            if err.is_terminal:
                err.print(line, markup=False, emoji=False, highlight=False, soft_wrap=True)
            else:  # where nobody looks on, rich would take as long as a small file's load
                err.file.write(f"{line}\n")


def _traced(error: BaseException) -> str:
    """Write tracebacks, without the texts of errors that are not ours: they may hold a cell."""
    told: list[str] = []
    each: BaseException | None = error
    while each is not None:
        text = f": {each}" if isinstance(each, VisitPayError) else ""
        places = "".join(format_tb(each.__traceback__))
        told.append(f"Traceback (most recent call last):\n{places}{type(each).__name__}{text}")
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
    return "\n".join(reversed(told))


@contextmanager
def progress_bar() -> Iterator["Progress"]:
    """Show a progress bar on standard error while the block runs; nothing off a terminal."""
    from visitpay.loading.run import Silent

    if not err.is_terminal or err.is_dumb_terminal:
        yield Silent()
        return
    from rich import table
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    name = TextColumn("{task.description}", markup=False)
    size = DownloadColumn(table_column=table.Column(no_wrap=True))
    left = TimeRemainingColumn(table_column=table.Column(no_wrap=True))
    with Progress(name, BarColumn(), size, left, console=err, transient=True) as bar:
        yield _Bar(bar)


class _Bar:
    def __init__(self, bar: "BarProgress") -> None:
        self._bar = bar
        self._task = bar.add_task("", visible=False)

    def begin(self, files: int, size_bytes: int) -> None:
        about = counted(files, "file")
        self._bar.update(self._task, total=size_bytes, description=about, visible=True)

    def file(self, name: str) -> None:
        self._bar.update(self._task, description=short(name))

    def advance(self, size_bytes: int) -> None:
        self._bar.update(self._task, advance=size_bytes)
