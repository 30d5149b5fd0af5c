"""What the doctor finds, in health and in sickness."""

import secrets
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import make_url

from tests.support.command import Visitpay, on_terminal
from tests.support.databases import OLDEST, rendered
from tests.support.feed import Feed, only_postgresql, only_sqlite
from visitpay import doctor
from visitpay.database.dialects import dialect_of
from visitpay.database.engine import make_engine
from visitpay.database.session import ExclusiveSession
from visitpay.models import Procedure

NAMES = [
    "landing directory",
    "database",
    "lock",
    "writing",
    "last run",
    "references",
    "clock",
    "disk",
    "permissions",
]


def findings(visitpay: Visitpay) -> dict[str, tuple[str, str, str]]:
    """Return state, what was seen and what to do, by what was looked at."""
    outcome = visitpay("doctor", "--json")
    listed = outcome.document["examined"]
    assert outcome.status == any(each["status"] == "error" for each in listed)
    return by_name(listed)


def by_name(listed: list[dict[str, str]]) -> dict[str, tuple[str, str, str]]:
    """Return what was looked at by its name."""
    return {each["name"]: (each["status"], each["message"], each["remedy"]) for each in listed}


def test_health(feed: Feed, visitpay: Visitpay) -> None:
    """After a load without trouble all is well, and nothing is to be done."""
    if feed.url.startswith("sqlite"):
        feed.database.chmod(0o600)
    feed.deliver(Procedure)
    visitpay("load")
    found = findings(visitpay)
    assert list(found) == NAMES
    assert {(state, remedy) for state, _, remedy in found.values()} == {("ok", "")}
    printed = visitpay("doctor").out.splitlines()
    assert [line.split()[0] for line in printed] == ["ok"] * len(NAMES)


def strange_file(feed: Feed) -> None:
    """Land something else."""
    (feed.landing / "readme.md").mkdir()


def no_landing(feed: Feed) -> None:
    """Take the landing directory away."""
    feed.landing.rmdir()


def strays(feed: Feed) -> None:
    """Have a row come from nowhere."""
    feed.insert(Procedure, source_file_id=77)


def behind(feed: Feed) -> None:
    """Set the schema's revision back."""
    feed.execute(f"UPDATE alembic_version SET version_num = '{OLDEST}'")


def from_tomorrow(feed: Feed) -> None:
    """Have a run begin in times to come."""
    feed.execute(
        "INSERT INTO load_runs VALUES"
        " (7, '2101-01-01 00:00:00', NULL, 'ok', '0', 'x', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)"
    )


@pytest.mark.parametrize(
    ("harm", "name", "state", "seen"),
    [
        (
            strange_file,
            "landing directory",
            "warning",
            "0 files of the feed, 1 other: readme.md (is",
        ),
        (no_landing, "landing directory", "error", "cannot be read: No such file"),
        (strays, "references", "error", "rows refer to nothing in procedures (to the ledger)"),
        (behind, "database", "error", "run: visitpay migrate --database-url "),
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
    feed.deliver(Procedure, procedure_id="x")
    visitpay("load")
    state, seen, remedy = findings(visitpay)["last run"]
    assert (state, "1: attention, begun" in seen) == ("warning", True)
    assert "visitpay rejects list" in remedy
    assert f"last run: {remedy}" in visitpay("doctor").out


def test_an_old_database(feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch) -> None:
    """The version is shown; an old one is a warning."""
    name = make_url(feed.url).get_backend_name()
    with make_engine(feed.url).connect() as connection:
        version = connection.dialect.server_version_info
    assert version is not None
    shown = f"{name} {'.'.join(map(str, version))} answers, and its schema is at head"
    assert findings(visitpay)["database"] == ("ok", shown, "")
    monkeypatch.setattr(dialect_of(make_url(feed.url)), "OLDEST_VERSION", (99, 1))
    old = f"{shown}, but it is an old one"
    assert findings(visitpay)["database"] == ("warning", old, "use 99.1 or a newer one")


def test_a_load_that_died(feed: Feed, visitpay: Visitpay) -> None:
    """A run that stands as running while the lock is free is a warning; under a hold it is none."""
    feed.execute(
        "INSERT INTO load_runs VALUES (7, '2021-12-01 22:30:00+00:00', NULL, 'running', '0', 'x',"
        " 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)"
    )
    seen = "7: running, begun 2021-12-01 22:30 UTC on x"
    died = f"{seen}, but no load is there: it died"
    remedy = "the next load marks it interrupted, and goes on from there"
    assert findings(visitpay)["last run"] == ("warning", died, remedy)
    with ExclusiveSession(make_engine(feed.url), 0):
        assert findings(visitpay)["last run"] == ("ok", seen, "")
    before = feed.dump()
    assert findings(visitpay)["writing"][0] == "ok"
    assert feed.dump() == before


def test_a_load_that_holds_the_database(feed: Feed, visitpay: Visitpay) -> None:
    """It is told, and does not keep the doctor from looking at the rest."""
    with ExclusiveSession(make_engine(feed.url), 0):
        found = findings(visitpay)
    assert found["lock"][0] == "warning"
    assert list(found) == [name for name in NAMES if name != "writing"]


@only_sqlite
def test_no_channel_to_ask(feed: Feed, visitpay: Visitpay) -> None:
    """That nobody is told is a warning, with what to do, when the channels are to be asked."""
    assert feed.names() == []
    outcome = visitpay("doctor", "--send")
    assert outcome.status == 0
    assert ["warning", "alerts", "no", "channel", "is", "set"] in [
        line.split() for line in outcome.out.splitlines()
    ]
    remedy = "alerts:   set VISITPAY_ALERT_URLS to Apprise URLs of those who are to be told"
    assert remedy in outcome.out


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
    state, seen, _ = found["disk"]
    assert (state, " MiB" in seen.partition("free; the database takes ")[2]) == ("warning", True)
    with feed.database.open("r+b") as file:
        file.truncate(3 << 29)  # a sparse one takes no room
    assert findings(visitpay)["disk"][1].endswith("free; the database takes 1.5 GiB")
    feed.database.unlink()
    assert findings(visitpay)["database"][0] == "error"


READONLY = (
    "the database cannot be used: attempt to write a readonly database;"
    " nothing half-done is kept, check its permissions and run again"
)


@only_sqlite
def test_a_database_that_cannot_be_written(feed: Feed, unprivileged: Visitpay) -> None:
    """Where a load would end with 3, the doctor says so, and what it may not write to."""
    feed.database.chmod(0o400)
    outcome = unprivileged("doctor", "--json")
    assert (outcome.status, unprivileged("load").status) == (1, 3)
    found = by_name(outcome.document["examined"])
    assert found["writing"] == ("error", READONLY, "")
    files = [f"{feed.database}{end}" for end in ("", "-wal", "-shm")]
    remedy = "let the user of the load write to all of it"
    seen = f"cannot be written to: {', '.join(files)}"
    assert found["permissions"] == ("error", seen, remedy)
    feed.database.chmod(0o600)
    outcome = unprivileged("doctor", "--json")
    assert (outcome.status, unprivileged("load").status) == (1, 3)
    found = by_name(outcome.document["examined"])
    assert found["lock"] == ("error", READONLY, "")
    assert found["permissions"] == ("error", f"cannot be written to: {files[2]}", remedy)


@only_sqlite
def test_a_lock_of_someone_else(feed: Feed, unprivileged: Visitpay) -> None:
    """A lock file that the load cannot open is named, and no load is blamed for it."""
    beside = feed.database.with_name(f"{feed.database.name}-lock")
    beside.touch(0o400)
    found = by_name(unprivileged("doctor", "--json").document["examined"])
    assert found["permissions"][:2] == ("error", f"cannot be written to: {beside}")
    denied = "cannot be opened: Permission denied; check the path and its permissions"
    assert found["lock"] == ("error", f"{beside} {denied}", "")
    assert found["last run"][0] == "warning"


@only_sqlite
def test_a_load_that_writes(feed: Feed, visitpay: Visitpay) -> None:
    """A load that is in the midst of a transaction does not keep the doctor waiting."""
    with ExclusiveSession(make_engine(feed.url), 0) as hold, hold.dry_run():
        found = findings(visitpay)
    assert {name for name, each in found.items() if each[0] == "error"} == set()
    assert found["last run"] == ("warning", "none yet", "run: visitpay load")


@only_sqlite
def test_a_directory_that_cannot_be_written(feed: Feed, unprivileged: Visitpay) -> None:
    """So is the directory of the database, in which its journal lies."""
    folder = feed.database.parent
    folder.chmod(0o500)
    outcome = unprivileged("doctor", "--json")
    assert (outcome.status, unprivileged("load").status) == (1, 3)
    found = by_name(outcome.document["examined"])
    assert found["permissions"][:2] == ("error", f"cannot be written to: {folder}")


@only_sqlite
def test_a_landing_directory_that_is_closed(feed: Feed, unprivileged: Visitpay) -> None:
    """A landing directory that cannot be read is diagnosed, as one that is not there."""
    feed.landing.chmod(0)
    outcome = unprivileged("doctor", "--json")
    state, seen, remedy = by_name(outcome.document["examined"])["landing directory"]
    assert (outcome.status, state) == (1, "error")
    assert seen.endswith("cannot be read: Permission denied")
    assert remedy == "check its path and its permissions"


@pytest.fixture
def role(feed: Feed) -> Iterator[str]:
    """Yield a role that may do all that a load does."""
    name = f"doctor_{secrets.token_hex(6)}"
    feed.execute(
        f"CREATE ROLE {name}",
        f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {name}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {name}",
    )
    yield name
    feed.execute(f"DROP OWNED BY {name}", f"DROP ROLE {name}")


@only_postgresql
@pytest.mark.parametrize(
    ("lacking", "what"),
    [
        (None, ""),
        ("INSERT ON rejected_rows", "permission denied for table rejected_rows"),
        ("UPDATE ON visits", "permission denied for table visits"),
    ],
)
def test_a_role_that_may_not_write(
    feed: Feed,
    visitpay: Visitpay,
    monkeypatch: pytest.MonkeyPatch,
    role: str,
    lacking: str | None,
    what: str,
) -> None:
    """A role that lacks a right which a load needs is told of it."""
    if lacking:
        feed.execute(f"REVOKE {lacking} FROM {role}")
    url = make_url(feed.url).update_query_dict({"options": f"-c role={role}"})
    monkeypatch.setenv("VISITPAY_DATABASE_URL", rendered(url))
    state, seen, _ = findings(visitpay)["writing"]
    assert (state, what in seen) == ("error" if lacking else "ok", True)


@only_postgresql
def test_a_role_that_may_make_no_temporary_table(
    feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    """Neither may it lack the temporary table into which a batch is copied."""
    url = make_url(feed.url).update_query_dict({"options": f"-c role={role}"})
    feed.execute(f"REVOKE TEMPORARY ON DATABASE {url.database} FROM PUBLIC")
    monkeypatch.setenv("VISITPAY_DATABASE_URL", rendered(url))
    state, seen, _ = findings(visitpay)["writing"]
    assert (state, "permission denied to create temporary tables" in seen) == ("error", True)


@only_sqlite
@pytest.mark.parametrize(
    ("name", "value", "row"),
    [
        ("PING_URL", "notaurl", ("ping", "error", "VISITPAY_PING_URL is not a URL of")),
        ("PING_URL", "http://127.0.0.1/x", ("ping", "ok", "a URL is set, not asked")),
        ("ALERT_URLS", "json://x nonsense://y", ("alerts", "error", "URL 2 of VISITPAY_ALERT_")),
        ("METRICS_FILE", "{}/no/prom", ("metrics", "error", "there is no directory {}/no")),
        ("METRICS_FILE", "{}", ("metrics", "error", "{} is a directory")),
        ("METRICS_FILE", "{}/x.prom", ("metrics", "ok", "{}/x.prom can be written")),
        ("METRICS_FILE", "{}/prom", ("metrics", "warning", "{}/prom can be written")),
    ],
)
def test_who_is_told(
    feed: Feed,
    visitpay: Visitpay,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    row: tuple[str, ...],
) -> None:
    """A setting of which a load could make no use is an error; one that it could is looked at."""
    monkeypatch.setenv(f"VISITPAY_{name}", value.format(feed.landing))
    title, state, seen = (each.format(feed.landing) for each in row)
    found = findings(visitpay)[title]
    assert (found[0], found[1][: len(seen)]) == (state, seen)


@only_sqlite
def test_a_directory_of_metrics_that_cannot_be_written(feed: Feed, unprivileged: Visitpay) -> None:
    """Nor could it leave metrics where it may not write."""
    folder = feed.landing.parent / "metrics"
    folder.mkdir(0o500)
    outcome = unprivileged("doctor", "--json", "--metrics-file", folder / "visitpay.prom")
    state, seen, remedy = by_name(outcome.document["examined"])["metrics"]
    assert (outcome.status, state, seen) == (1, "error", f"no file can be written in {folder}")
    assert remedy == f"let the user of the load write to {folder}"


@only_sqlite
def test_a_narrow_terminal(feed: Feed) -> None:
    """What to do is folded where the terminal ends, between words."""
    feed.deliver(Procedure, procedure_id="x")
    on_terminal(feed, 80, "load")
    _, lines = on_terminal(feed, 80, "doctor")
    assert max(map(len, lines)) <= 80
    start = next(place for place, line in enumerate(lines) if line.startswith("last run:"))
    assert lines[start].endswith("--status failed` (or")
    assert lines[start + 1] == " " * len("last run: ") + "held)"
