"""What people see: tables and lines on a terminal, the progress bar, the log."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from visitpay.events import RUN_ID
from visitpay.landing import printable
from visitpay.words import counted

if TYPE_CHECKING:
    from rich.progress import Progress as BarProgress

    from visitpay.loading import Progress

_WIDTH_WITHOUT_TERMINAL = 240
_WIDTH_TO_FOLD_IN = 20

err = Console(stderr=True)


def iso(moment: datetime | None) -> str | None:
    """Write a moment as `2021-12-01T22:33:57Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def dumps(document: object) -> str:
    """Write a document as JSON, ASCII only."""
    return json.dumps(document, indent=2, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return iso(value)
    return dict(value) if isinstance(value, Mapping) else str(value)


def show(
    headers: Sequence[str],
    rows: Sequence[Sequence[object]],
    title: str = "",
    *,
    nothing: str = "",
    total: int = 0,
) -> None:
    """Print a table on standard output, everything from outside harmlessly.

    Numbers stand to the right, columns without anything in them are left out, and only the last
    column is folded where the terminal is narrow. Without rows it prints `nothing`;
    where they are fewer than the `total`, that they are.
    """
    console = Console()
    if not rows:
        console.print(Text(nothing), end="\n" if nothing else "")
        return
    columns = [
        [header, *column]
        for header, *column in zip(headers, *rows, strict=True)
        if any(cell not in (None, "") for cell in column)
    ]
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    table.show_header = any(headers)
    for place, (header, *column) in enumerate(columns, 1):
        number = all(isinstance(cell, int | None) for cell in column)
        last = place == len(columns)
        table.add_column(
            str(header), justify="right" if number else "left", no_wrap=not last, overflow="fold"
        )
    for row in zip(*(column for _, *column in columns), strict=True):
        table.add_row(*(Text(_shown(cell)) for cell in row))
    fixed = sum(1 + max(cell_len(_shown(cell)) for cell in column) for column in columns[:-1])
    console.width = max(console.width, fixed + _WIDTH_TO_FOLD_IN)
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH_WITHOUT_TERMINAL)
    console.print(table)
    if len(rows) < total:
        console.print(Text(f"{len(rows):,} of {total:,}; --limit shows more"))


def short(name: str) -> str:
    """Give the part of a file's name that tells files apart, so that a table fits a terminal."""
    return name.partition("_VisitPay_")[2].removesuffix(".txt") or name


def _shown(cell: object) -> str:
    if isinstance(cell, datetime):
        return iso(cell) or ""
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
        if record.exc_info:
            message = logging.Formatter().formatException(record.exc_info)
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


@contextmanager
def progress_bar() -> Iterator["Progress"]:
    """Show a progress bar on standard error while the block runs; nothing off a terminal."""
    from visitpay.loading import Silent

    if not err.is_terminal:
        yield Silent()
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    name = TextColumn("{task.description}", markup=False)
    size = DownloadColumn(table_column=Column(no_wrap=True))
    left = TimeRemainingColumn(table_column=Column(no_wrap=True))
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
