"""Counts as people say them."""


def counted(count: int, one: str, many: str = "") -> str:
    """Give a count with what it counts: `1 row`, `1,234 rows`; `many`, if an s is not enough."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
