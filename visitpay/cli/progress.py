"""The progress bar of a load, on a console."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from visitpay.cli.console import err
from visitpay.cli.loudness import LOUDNESS, Loudness
from visitpay.feed import short_name
from visitpay.settings import one_of_many
from visitpay.text import counted

if TYPE_CHECKING:
    from rich.progress import Progress as BarProgress

    from visitpay.loading.types import Progress


@contextmanager
def progress_bar() -> Iterator["Progress"]:
    """Show a progress bar on standard error while the block runs; nothing off a console."""
    from visitpay.loading.types import NoProgress

    is_shown = err.is_terminal and not err.is_dumb_terminal and not one_of_many()
    if not is_shown or LOUDNESS.get() is Loudness.QUIET:
        yield NoProgress()
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
        self._bar.update(self._task, description=short_name(name))

    def advance(self, size_bytes: int) -> None:
        self._bar.update(self._task, advance=size_bytes)
