"""A clean feed, damaged in one place at a time: no value is loaded that nobody sent.

A part of what `make torture` does.
"""

import shutil
from pathlib import Path
from random import Random

import pytest

from tests.robustness.pollution import Figures, Polluted, Sheet, damages, sheets

FILES = 12
SHEETS = {f"{sheet.entity}, {sheet.delimiter!r}": sheet for sheet in sheets()}


@pytest.mark.parametrize("sheet", SHEETS.values(), ids=SHEETS)
def test_damaged_files(sheet: Sheet, migrated: Path, tmp_path: Path) -> None:
    """Of a damaged file all else is loaded, or the file is refused and its header named."""
    random = Random(sheet.entity)  # noqa: S311 - no secret
    polluted, figures = Polluted(sheet, migrated, tmp_path), Figures()
    for damaged in random.sample(list(damages(sheet)), FILES):
        polluted.measure(damaged, figures)
    assert (figures.corrupt, figures.unnamed) == ([], [])
    assert figures.files == FILES
    assert figures.undamaged_loaded >= 0.999 * figures.undamaged


@pytest.mark.parametrize("entity", ["Visit", "Procedure"])
def test_headers(entity: str, migrated: Path, tmp_path: Path) -> None:
    """A damaged header is refused with what is wrong, or does no harm."""
    sheet = next(each for each in sheets() if each.entity == entity)
    polluted, figures = Polluted(sheet, migrated, tmp_path), Figures()
    headers = [each for each in damages(sheet) if each.header][::3]
    for damaged in headers:
        polluted.measure(damaged, figures)
    assert len(headers) > 15
    assert (figures.corrupt, figures.unnamed) == ([], [])
    assert figures.refused > 0.8 * len(headers)


def test_the_measure_sees_corruption(migrated: Path, tmp_path: Path) -> None:
    """A value that nobody sent, and a row that is lost, would be counted."""
    sheet = next(sheets())
    polluted, figures = Polluted(sheet, migrated, tmp_path), Figures()
    clean = next(each for each in damages(sheet) if each.kind == "blank line")
    polluted.clean |= {300: (300, "something else")}
    polluted.measure(clean, figures)
    assert (figures.corrupt, figures.lost) == ([clean], [clean])
    shutil.rmtree(tmp_path)
