"""The kinds of problems: what each is called, and when it is over."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from visitpay.ledger.changing import FILE_CHANGING
from visitpay.quality.checks import CHECKS

RUN_FAILED = "run_failed"
RUN_REFUSED = "run_refused"
RUN_DIED = "run_died"
RUN_NOT_ENDED = "run_not_ended"
RUN_LATE = "run_late"
FILES_WAITING = "files_waiting"
FILE_FAILED = "file_failed"
FILE_HELD = "file_held"
NAME_NEARLY_RIGHT = "name_nearly_right"
NOT_RECOGNISED = "not_recognised"
ROWS_REJECTED = "rows_rejected"
FEED_LATE = "feed_late"
FEED_MISSING = "feed_missing"
COLUMNS_UNKNOWN = "columns_unknown"


class Kind(NamedTuple):
    """What problems of a kind are called, one and many, and how people are told of the end."""

    one: str
    many: str
    over: str = "no longer found"


_OF_RUNS = {
    RUN_FAILED: Kind("failed load", "failed loads"),
    RUN_REFUSED: Kind("load that could not begin", "loads that could not begin"),
    RUN_DIED: Kind("load that died", "loads that died"),
    RUN_NOT_ENDED: Kind("load that does not end", "loads that do not end"),
    RUN_LATE: Kind("late load", "late loads"),
    FILES_WAITING: Kind("file waits for long", "files wait for long"),
}

_OF_FILES = {
    FILE_FAILED: Kind("file failed", "files failed", "was loaded, replaced, or taken away"),
    FILE_HELD: Kind("file held", "files held", "was loaded, replaced, or taken away"),
    NAME_NEARLY_RIGHT: Kind("misnamed file", "misnamed files", "was renamed, or taken away"),
    FILE_CHANGING: Kind(
        "file keeps changing", "files keep changing", "no longer changes, or was taken away"
    ),
}

_FINDING = Kind("finding", "findings")

KINDS: Mapping[str, Kind] = {
    **_OF_RUNS,
    **_OF_FILES,
    NOT_RECOGNISED: Kind(
        "name not recognised and nothing loaded yet",
        "names not recognised and nothing loaded yet",
        "files of the feed were loaded",
    ),
    FEED_LATE: Kind("late feed", "late feeds", "files came again"),
    ROWS_REJECTED: Kind("reject open", "rejects open", "no rejected row is open any more"),
    **dict.fromkeys(CHECKS, _FINDING),
    FEED_MISSING: _FINDING._replace(over="no longer missing, or long ago"),
    COLUMNS_UNKNOWN: _FINDING._replace(over="known and loaded, or no longer sent"),
}
"""All kinds by name, the most urgent first; the names never change."""

OF_FILES = frozenset({*_OF_FILES, NOT_RECOGNISED})
"""Kinds of what lies in the landing directory."""

FOUND_BY_LOOKING = frozenset(_OF_RUNS)
"""Kinds that no load can see at its end, and that are therefore never recorded."""

_COUNTED_BY_SIZE = {FILES_WAITING, NOT_RECOGNISED, ROWS_REJECTED}


def in_words(problems: Mapping[str, list[int]]) -> Iterator[tuple[int, str, str]]:
    """Yield how many problems there are of each kind, and what one and many are called.

    `problems` has the sizes of the problems of each kind.
    """
    counts: dict[Kind, int] = {}
    for name, kind in KINDS.items():
        sizes = problems.get(name, [])
        named = kind._replace(over="")
        count = sum(sizes) if name in _COUNTED_BY_SIZE else len(sizes)
        counts[named] = counts.get(named, 0) + count
    return ((count, kind.one, kind.many) for kind, count in counts.items() if count)
