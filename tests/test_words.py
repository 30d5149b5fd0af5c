import pytest

from visitpay.words import counted


@pytest.mark.parametrize(
    ("count", "words", "said"),
    [
        (0, ("row",), "0 rows"),
        (1, ("row",), "1 row"),
        (1234, ("row",), "1,234 rows"),
        (1, ("visit ends", "visits end"), "1 visit ends"),
        (2, ("visit ends", "visits end"), "2 visits end"),
    ],
)
def test_counted(count: int, words: tuple[str, ...], said: str) -> None:
    """One is said as one, any other number as several."""
    assert counted(count, *words) == said
