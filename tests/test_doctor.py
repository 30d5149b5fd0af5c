"""What the doctor finds, in health and in sickness."""

from collections.abc import Callable

import pytest

from tests.conftest import Feed, Visitpay, only_sqlite
from visitpay import doctor
from visitpay.database import make_engine
from visitpay.hold import Hold

NAMES = [
    "landing directory",
    "database",
    "lock",
    "references",
    "last run",
    "clock",
    "disk",
    "permissions",
]


def findings(visitpay: Visitpay) -> dict[str, tuple[str, str, str]]:
    """Give state, what was seen and what to do, by what was looked at."""
    outcome = visitpay("doctor", "--json")
    listed = outcome.document["findings"]
    assert outcome.status == any(each["state"] == "error" for each in listed)
    return {each["name"]: (each["state"], each["seen"], each["remedy"]) for each in listed}


def test_health(feed: Feed, visitpay: Visitpay) -> None:
    """After a load without trouble all is well, and nothing is to be done."""
    if feed.url.startswith("sqlite"):
        feed.database.chmod(0o600)
    feed.deliver("Procedure", "20211201_223357", "1\tbandaid")
    visitpay("load")
    found = findings(visitpay)
    assert list(found) == NAMES
    assert {(state, remedy) for state, _, remedy in found.values()} == {("ok", "")}
    printed = visitpay("doctor").out.splitlines()
    assert [line.split()[0] for line in printed] == ["ok"] * len(NAMES)


def strange_file(feed: Feed) -> None:
    """Land something else."""
    (feed.landing / "readme.md").touch()


def no_landing(feed: Feed) -> None:
    """Take the landing directory away."""
    feed.landing.rmdir()


def strays(feed: Feed) -> None:
    """Have a row come from nowhere."""
    feed.execute("INSERT INTO procedures VALUES (1, 'x', 77, 2)")


def behind(feed: Feed) -> None:
    """Set the schema's revision back."""
    feed.execute("DELETE FROM alembic_version")


def from_tomorrow(feed: Feed) -> None:
    """Have a run begin in times to come."""
    feed.execute(
        "INSERT INTO load_runs VALUES"
        " (7, '2101-01-01 00:00:00', NULL, 'ok', '0', 'x', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)"
    )


@pytest.mark.parametrize(
    ("harm", "name", "state", "seen"),
    [
        (strange_file, "landing directory", "warning", "0 files of the feed, 1 other"),
        (no_landing, "landing directory", "error", "cannot be read: No such file"),
        (strays, "references", "error", "rows refer to nothing in procedures (to the ledger)"),
        (behind, "database", "error", "run: alembic upgrade head"),
        (from_tomorrow, "clock", "error", "but a run began at 2101-01-01"),
    ],
)
def test_sickness(
    feed: Feed,
    visitpay: Visitpay,
    harm: Callable[[Feed], None],
    name: str,
    state: str,
    seen: str,
) -> None:
    """What lacks is named, with its weight."""
    harm(feed)
    found = findings(visitpay)
    assert found[name][0] == state
    assert seen in found[name][1]
    assert seen in " ".join(visitpay("doctor").out.split())


def test_runs_that_need_a_person(feed: Feed, visitpay: Visitpay) -> None:
    """A load that never ran, or ended with attention, is a warning that says where to look."""
    assert findings(visitpay)["last run"] == ("warning", "none yet", "run: visitpay load")
    feed.deliver("Procedure", "20211201_223357", "x\tbandaid")
    visitpay("load")
    state, seen, remedy = findings(visitpay)["last run"]
    assert (state, "1: attention, begun" in seen) == ("warning", True)
    assert "visitpay rejects list" in remedy
    assert f"last run: {remedy}" in visitpay("doctor").out


def test_a_load_that_holds_the_database(feed: Feed, visitpay: Visitpay) -> None:
    """It is told, and does not keep the doctor from looking at the rest."""
    with Hold(make_engine(feed.url), 0):
        found = findings(visitpay)
    assert found["lock"][0] == "warning"
    assert list(found) == NAMES


@only_sqlite
def test_no_channel_to_ask(feed: Feed, visitpay: Visitpay) -> None:
    """That nobody is told is a warning, with what to do, when the channels are to be asked."""
    assert feed.names() == []
    outcome = visitpay("doctor", "--send")
    assert outcome.status == 0
    assert ["warning", "alerts", "no", "channel", "is", "set"] in [
        line.split() for line in outcome.out.splitlines()
    ]
    assert "alerts: set VISITPAY_ALERT_URLS to Apprise URLs" in outcome.out


@only_sqlite
def test_the_file_of_a_database(
    feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That others can read it, or that its disk is nearly full, is a warning."""
    feed.database.chmod(0o644)
    monkeypatch.setattr(doctor, "ROOM_BYTES", 1 << 60)
    found = findings(visitpay)
    assert found["permissions"] == (
        "warning",
        f"{feed.database} is mode 644",
        f"run: chmod 600 {feed.database}",
    )
    assert found["disk"][0] == "warning"
    feed.database.unlink()
    assert findings(visitpay)["database"][0] == "error"
