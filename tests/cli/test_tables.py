"""Tables as lines, in any width."""

import pytest
from rich.cells import cell_len

from visitpay.cli.tables import Column, lay_out

WIDE = "日本語"
NAMES = Column(["file", "a", WIDE], is_number=False)
ERRORS = Column(["error", "", "is empty, and so it is"], is_number=False)
COLUMNS = [
    NAMES,
    Column(["rows", "1,000", "2"], is_number=True),
    Column(["column", "", "AdmitDate"], is_number=False),
    ERRORS,
]


@pytest.mark.parametrize(
    ("width", "header", "first", "second"),
    [
        (
            100,
            ["file    rows column    error"],
            ["a      1,000"],
            [f"{WIDE}     2 AdmitDate is empty, and so it is"],
        ),
        (
            40,
            ["file    rows column", "    error"],
            ["a      1,000"],
            [f"{WIDE}     2 AdmitDate", "    is empty, and so it is"],
        ),
        (
            20,
            ["file    rows", "    column", "    error"],
            ["a      1,000"],
            [f"{WIDE}     2", "    AdmitDate", "    is empty, and so", "    it is"],
        ),
        (
            9,
            ["file", "     rows", "    colum", "    n", "    error"],
            ["a", "    1,000"],
            [
                *(WIDE, "        2", "    Admit", "    Date"),
                *("    is", "    empty", "    , and", "    so it", "    is"),
            ],
        ),
    ],
)
def test_lay_out(width: int, header: list[str], first: list[str], second: list[str]) -> None:
    """What does not fit goes below, where a row that has nothing there takes no line."""
    assert lay_out(COLUMNS, width) == [header, first, second]
    assert max(map(cell_len, (*header, *first, *second))) <= width


def test_fold_where_it_stands() -> None:
    """The last column is folded beside the others, if half of the width is left for it."""
    assert lay_out([NAMES, ERRORS], 20)[2] == [f"{WIDE} is empty, and", "       so it is"]


def test_no_room() -> None:
    """No terminal is too narrow."""
    assert lay_out(COLUMNS, 1) == lay_out(COLUMNS, 8)
