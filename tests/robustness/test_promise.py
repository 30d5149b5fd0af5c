"""The promise: the tables are a function of the set of files delivered."""

import signal
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.robustness.promise import HEADERS, ROWS, check_books
from tests.support.command import start
from tests.support.databases import MakeDatabase
from tests.support.feed import Feed
from visitpay.database.engine import make_engine
from visitpay.loading.run import load
from visitpay.loading.types import Options
from visitpay.sample import write_sample

NewDatabase = Callable[[Path], AbstractContextManager[str]]


@st.composite
def files(draw: st.DrawFn) -> dict[str, bytes]:
    """Return files of a feed: name and content; some names differ in nothing but brackets."""
    moments = [
        each.format(day)
        for day in range(1, 5)
        for each in ("2021120{}_223357", "[2021120{}_223357]")
    ]
    names = st.tuples(st.sampled_from(list(ROWS)), st.sampled_from(moments))
    return {
        f"HospitalABC_VisitPay_{entity}_{moment}.txt": "\n".join(
            [HEADERS[entity], *draw(st.lists(ROWS[entity], max_size=6))]
        ).encode()
        for entity, moment in draw(st.lists(names, min_size=1, max_size=7, unique=True))
    }


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[dict[str, bytes], list[list[str]]]:
    """Return files, and an order in which they arrive, split into runs, with repetitions."""
    feed = draw(files())
    order = draw(st.permutations(list(feed)))
    again = draw(st.lists(st.sampled_from(order), max_size=3))
    arrivals = [*order, *again]
    cuts = sorted(draw(st.lists(st.integers(0, len(arrivals)), max_size=4)))
    edges = [0, *cuts, len(arrivals)]
    return feed, [arrivals[low:high] for low, high in pairwise(edges)]


def end_state(
    new_database: NewDatabase,
    feed: dict[str, bytes],
    runs: Sequence[Sequence[str]],
    block_bytes: int,
) -> tuple[Any, Any]:
    """Deliver files run by run; give the entity tables and the open rejects."""
    with tempfile.TemporaryDirectory() as folder, new_database(Path(folder)) as url:
        made = Feed(Path(folder, "landing"), url)
        made.landing.mkdir()
        for arrivals in runs:
            for name in arrivals:
                (made.landing / name).write_bytes(feed[name])
            engine = make_engine(made.url)
            load(engine, made.landing, "HospitalABC", Options(block_bytes=block_bytes))
        check_books(made)
        return made.tables(), made.rejects("open")


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(request: pytest.FixtureRequest, make_database: MakeDatabase) -> NewDatabase:
    """Return what makes a database of a kind."""
    return partial(make_database, request.param)


@given(delivered=deliveries(), block_bytes=st.sampled_from([30, 100, 1 << 20]))
def test_order_and_repetition_make_no_difference(
    new_database: NewDatabase,
    make_database: MakeDatabase,
    delivered: tuple[dict[str, bytes], list[list[str]]],
    block_bytes: int,
) -> None:
    """Any order, split into runs, repetition and block size end as one run on SQLite."""
    feed, runs = delivered
    once = end_state(partial(make_database, "sqlite"), feed, [list(feed)], 1 << 20)
    assert end_state(new_database, feed, runs, block_bytes) == once


def kill_after(feed: Feed, lines: int) -> None:
    """Start a load and kill it once it has logged so many lines."""
    with start(feed, ["load", "-v"]) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        for _ in range(lines):
            process.stderr.readline()
        process.kill()
        process.stderr.read()
    assert process.returncode == -signal.SIGKILL


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return some days of a feed with damage in it; loading it logs some forty lines."""
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, visits=800, days=6, dirt=2, seed=5)
    return folder


@pytest.fixture(scope="module")
def undisturbed(
    landing: Path, make_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Any]:
    """Return the state after one load that nobody disturbed; it is the same on every database."""
    with make_database("sqlite", tmp_path_factory.mktemp("undisturbed")) as url:
        feed = Feed(landing, url)
        load(make_engine(feed.url), landing, "HospitalABC")
        return feed.tables(), feed.rejects()


@pytest.mark.parametrize("lines", range(1, 25, 3))
def test_a_killed_load_is_taken_up_again(
    landing: Path, feed: Feed, undisturbed: tuple[Any, Any], lines: int
) -> None:
    """After `kill -9` at any step, another load ends as if nothing had happened."""
    feed = Feed(landing, feed.url)
    kill_after(feed, lines)
    load(make_engine(feed.url), landing, "HospitalABC")
    assert (feed.tables(), feed.rejects()) == undisturbed
    check_books(feed)
