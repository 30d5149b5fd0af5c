"""What a sequence of deliveries means, against a plain model of it that shares no code.

Files come in any order and number of runs, some of them again with other content, some with equal
times. The model keeps every delivery and says at the end what the tables and open rejects are.
"""

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.robustness import reference
from tests.robustness.promise import HEADERS, ROWS, check_books
from tests.support.databases import MakeDatabase
from tests.support.feed import Feed
from visitpay.database.engine import make_engine
from visitpay.ledger.plan import Again
from visitpay.loading.run import load
from visitpay.loading.types import Options

NewDatabase = Callable[[Path], AbstractContextManager[str]]
TYPES = list(HEADERS)
PARENTS = {"Transaction": (("Visit", "VisitIdentifier"), ("Procedure", "ProcedureId"))}
Place = tuple[str, str, int]


@dataclass
class Delivered:
    """One content of one name, as the model sees it: its lines, and what became of them."""

    entity: str
    place: Place
    """Time, name and number: what is greater is newer."""
    rows: dict[int, reference.Verdict]
    rejects: dict[int, reference.Verdict]
    raw: list[str]
    accepted: set[int] = field(default_factory=set)
    is_replaced: bool = False


class World:
    """All deliveries so far."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.delivered: list[Delivered] = []
        self.contents: dict[str, bytes] = {}

    def run(self, landing: dict[str, bytes]) -> None:
        """Take in what is new, type by type, then try what waits."""
        order = {(TYPES.index(entity_of(name)), time_of(name), name) for name in landing}
        for _, _, name in sorted(order):
            if landing[name] != self.contents.get(name):
                self.deliver(name, landing[name])
        for each in sorted(self.delivered, key=lambda each: each.place):
            self.accept(each)

    def deliver(self, name: str, content: bytes) -> None:
        """Take in a file, unless it cannot be used."""
        entity = entity_of(name)
        try:
            rows, rejects, *_ = reference.read(
                entity, content, date.fromisoformat(time_of(name)[:8])
            )
        except reference.RefusedError:
            return
        self.contents[name] = content
        for former in self.delivered:
            former.is_replaced |= former.place[1] == name
        delivered = Delivered(
            entity,
            (time_of(name), name, len(self.delivered)),
            {row[0]: row for row in rows},
            {reject[0]: reject for reject in rejects},
            content.decode().split("\n"),
        )
        self.delivered.append(delivered)
        self.accept(delivered)

    def accept(self, delivered: Delivered) -> None:
        """Accept the rows of a delivery whose parents are there."""
        if not delivered.is_replaced:
            rows = delivered.rows.items()
            delivered.accepted |= {line for line, row in rows if not self.missing(delivered, row)}

    def missing(self, delivered: Delivered, row: reference.Verdict) -> str | None:
        """Name the first column of a row whose parent is not there."""
        names = [name for name, *_ in reference.COLUMNS[delivered.entity]]
        cells = dict(zip(names, row[1:], strict=True))
        parents = PARENTS.get(delivered.entity, ())
        lacks = (name for entity, name in parents if cells[name] not in self.table(entity))
        return next(lacks, None)

    def table(self, entity: str) -> dict[int, tuple[object, ...]]:
        """Return the newest accepted row of each key."""
        return {key: row for key, (_, row) in self.newest(entity).items()}

    def in_current_files(self, entity: str) -> list[int]:
        """Return the keys whose newest accepted row is in the last content of its name."""
        replaced = {each.place for each in self.delivered if each.is_replaced}
        newest = self.newest(entity).items()
        return [key for key, ((place, _), _) in newest if place not in replaced]

    def newest(self, entity: str) -> dict[int, tuple[tuple[Place, int], tuple[object, ...]]]:
        """Return the newest accepted row of each key, and where it is."""
        found: dict[int, tuple[tuple[Place, int], tuple[object, ...]]] = {}
        for each in self.delivered:
            for line in each.accepted if each.entity == entity else ():
                _, key, *others = each.rows[line]
                candidate = ((each.place, line), (key, *others))
                found[key] = max(found.get(key, candidate), candidate, key=lambda one: one[0])
        return found

    def open_rejects(self) -> set[tuple[object, ...]]:
        """Return name, line, key, reason and column of what nothing newer replaces."""
        found: set[tuple[object, ...]] = set()
        for each in self.delivered:
            if each.is_replaced:
                continue
            name = each.place[1]
            for line, (_, key, reason, column) in each.rejects.items():
                if not self.is_bad_one_replaced(each, line, key):
                    found.add((name, line, key, reason, column))
            for line, (_, key, *_) in each.rows.items():
                if line not in each.accepted and not self.is_accepted_later(each, line, key):
                    column = self.missing(each, each.rows[line])
                    found.add((name, line, key, "missing_reference", column))
        return found

    def is_accepted_later(self, one: Delivered, line: int, key: int) -> bool:
        """Whether a good row of the key is newer."""
        return any(
            other.entity == one.entity
            and other.rows[number][1] == key
            and (other.place, number) > (one.place, line)
            for other in self.delivered
            for number in other.accepted
        )

    def is_bad_one_replaced(self, one: Delivered, line: int, key: int | None) -> bool:
        """Whether a line of its key, or without one the same line, is newer."""
        for other in self.delivered:
            if other.entity != one.entity:
                continue
            for number, verdict in (other.rows | other.rejects).items():
                if key is not None and verdict[1] == key:
                    if (other.place, number) > (one.place, line):
                        return True
                elif key is None and number in other.rejects and verdict[1] is None:
                    same = other.raw[number - 1] == one.raw[line - 1]
                    if same and other.place > one.place:
                        return True
        return False


def entity_of(name: str) -> str:
    """Return the type in a name."""
    return name.split("_")[2]


def time_of(name: str) -> str:
    """Return the time in a name."""
    return name.split("_", 3)[3].strip("[]").replace("].txt", "").replace(".txt", "")


def name_of(entity: str, day: int, *, bracketed: bool) -> str:
    """Return a name; some have the same time."""
    moment = f"2021120{day}_223357"
    return f"HospitalABC_VisitPay_{entity}_{f'[{moment}]' if bracketed else moment}.txt"


NAMES = st.builds(name_of, st.sampled_from(TYPES), st.integers(1, 2), bracketed=st.booleans())


@st.composite
def arrivals(draw: st.DrawFn) -> list[dict[str, bytes]]:
    """Return runs, and of each the files that arrived before it, the last content of each name."""
    runs = []
    for names in draw(st.lists(st.lists(NAMES, min_size=1, max_size=4), min_size=1, max_size=5)):
        rows = {name: draw(st.lists(ROWS[entity_of(name)], max_size=4)) for name in names}
        runs.append(
            {name: "\n".join([HEADERS[entity_of(name)], *rows[name]]).encode() for name in rows}
        )
    return runs


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(request: pytest.FixtureRequest, make_database: MakeDatabase) -> NewDatabase:
    """Return what makes a database of a kind."""
    return partial(make_database, request.param)


@given(
    runs=arrivals(),
    block_bytes=st.sampled_from([30, 1 << 20]),
    again=st.none() | st.sets(NAMES),
)
def test_deliveries_mean_what_the_model_says(
    new_database: NewDatabase,
    runs: list[dict[str, bytes]],
    block_bytes: int,
    again: set[str] | None,
) -> None:
    """Whatever comes again, late or at the same time: tables and open rejects are the model's.

    So they are if some files are then taken again; and if all are, after a column was lost.
    """
    world = World()
    with tempfile.TemporaryDirectory() as folder, new_database(Path(folder)) as url:
        feed = Feed(Path(folder, "landing"), url)
        feed.landing.mkdir()
        lying: dict[str, bytes] = {}
        for files in runs:
            for name, content in files.items():
                (feed.landing / name).write_bytes(content)
            lying |= files
            load(make_engine(url), feed.landing, "HospitalABC", Options(block_bytes=block_bytes))
            world.run(lying)
        require_same(feed, world)
        if again is None:
            again = set(lying)
            keys = ", ".join(map(str, [0, *world.in_current_files("Visit")]))
            feed.execute(
                f"UPDATE visits SET visit_balance = NULL WHERE visit_identifier IN ({keys})"
            )
        load(
            make_engine(url),
            feed.landing,
            "HospitalABC",
            Options(block_bytes=block_bytes, again=Again(frozenset(again & lying.keys()))),
        )
        require_same(feed, world)


def require_same(feed: Feed, world: World) -> None:
    """See that the books balance, and that tables and open rejects are the model's."""
    check_books(feed)
    tables = {entity: set(rows) for entity, rows in feed.tables().items()}
    assert tables == {
        entity: {in_dollars(entity, row) for row in world.table(entity).values()}
        for entity in TYPES
    }
    assert {row[:5] for row in feed.rejects("open")} == world.open_rejects()


def in_dollars(entity: str, row: tuple[object, ...]) -> tuple[object, ...]:
    """Turn the reference's cents into what is stored."""
    return tuple(
        Decimal(str(value)).scaleb(-2) if kind == "amount" and value is not None else value
        for (_, kind, *_), value in zip(reference.COLUMNS[entity], row, strict=True)
    )
