"""Loads that are killed at random moments, while someone looks on."""

import time

import pytest

from tests.robustness.kills import SCENES, Lookout, Victims
from tests.support.databases import MakeDatabase
from tests.support.feed import Feed
from visitpay.database.engine import make_engine
from visitpay.loading.run import load
from visitpay.models import Procedure

KILLS = 2
VISITS = 5000


@pytest.fixture(scope="module", params=SCENES)
def victims(
    request: pytest.FixtureRequest,
    make_database: MakeDatabase,
    tmp_path_factory: pytest.TempPathFactory,
) -> Victims:
    """Return the loads of a scene."""
    return Victims(request.param, make_database, tmp_path_factory.mktemp, VISITS)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_killed_loads(victims: Victims, kind: str) -> None:
    """Killed at any moment, loads end as if nothing had happened, and nobody sees half a file."""
    killing = victims.kill(kind, KILLS)
    assert killing.wrong == []
    assert killing.looks > KILLS
    assert killing.survived == killing.kills >= KILLS


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE procedures SET source_file_id = 7",
        "UPDATE load_files SET loaded_at = NULL",
        "UPDATE load_files SET rows_rejected = 1",
        "DROP TABLE rejected_rows",
    ],
)
def test_the_lookout_sees_what_is_wrong(feed: Feed, statement: str) -> None:
    """Half a file, a count that is off, and being refused would be noticed."""
    feed.deliver(Procedure, procedure_id=5, procedure_description="five")
    load(make_engine(feed.url), feed.landing, "HospitalABC")
    for harm in ([], [statement]):
        feed.execute(*harm)
        lookout = Lookout(feed)
        with lookout.watching():
            time.sleep(0.1)
        assert bool(lookout.wrong) == bool(harm)
