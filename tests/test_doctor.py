"""What the doctor finds, in health and in sickness."""

import os
import pwd
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.support.command import Visitpay, on_terminal
from tests.support.databases import OLDEST, rendered
from tests.support.feed import Feed, only_postgresql, only_sqlite, row
from visitpay.cli.app import main
from visitpay.database.dialects import dialect_of, sqlite
from visitpay.database.engine import make_engine
from visitpay.database.session import ExclusiveSession
from visitpay.doctor import disks
from visitpay.hints import Setup
from visitpay.models import Procedure

NAMES = [
    "landing directory",
    "database",
    "lock",
    "writing",
    "last run",
    "verdict",
    "references",
    "clock",
    "disk",
    "temporary files",
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
    names = [*NAMES, *([] if feed.url.startswith("sqlite") else ["landing disk"])]
    assert list(found) == names
    assert {(state, remedy) for state, _, remedy in found.values()} == {("ok", "")}
    assert found["verdict"][1] == "all is well: loaded up to 2021-12-01 22:33 UTC, nothing is open"
    printed = visitpay("doctor").out.splitlines()
    assert [line.split()[0] for line in printed] == ["ok"] * len(names)


def run_of(number: int, began: str, status: str) -> str:
    """Return the statement that enters a run."""
    counts = ("loaded", "failed", "planned")
    rows = ("read", "inserted", "updated", "unchanged", "stale", "superseded", "rejected")
    zeros = [*(f"files_{name}" for name in counts), *(f"rows_{name}" for name in rows)]
    zeros += ["rejects_resolved", "bytes_planned"]
    names = f"id, started_at, status, version, host, rejects_tolerated, {', '.join(zeros)}"
    values = f"{number}, '{began}', '{status}', '0', 'x', false, {', '.join('0' for _ in zeros)}"
    return f"INSERT INTO load_runs ({names}) VALUES ({values})"


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
    feed.execute(run_of(7, "2101-01-01 00:00:00", "ok"))


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
    """That none ran, one failed, or a person is needed, is a warning that says where to look."""
    nothing = "unknown: nothing was loaded yet"
    found = findings(visitpay)
    assert found["last run"] == ("warning", "none yet", "load the files")
    assert found["verdict"] == ("warning", nothing, "load the files")
    load = f"  visitpay load {feed.landing} --database-url {feed.url}"
    assert load in visitpay("doctor").out.splitlines()
    feed.deliver(Procedure, procedure_id="x")
    visitpay("load")
    state, seen, remedy = findings(visitpay)["last run"]
    assert (state, "1: attention, begun" in seen, remedy) == ("ok", True, "")
    remedy = "see what needs a person"
    asked = findings(visitpay)["verdict"]
    assert asked == ("warning", "needs a person: 1 reject open", remedy)
    printed = visitpay("doctor").out.splitlines()
    after = printed.index(f"verdict: {remedy}:") + 1
    assert printed[after] == f"  visitpay status {feed.landing} --database-url {feed.url}"
    feed.execute("UPDATE load_runs SET status = 'failed', error = 'the disk is full'")
    found = findings(visitpay)
    assert found["last run"][2] == "see its error"
    assert found["verdict"][1].startswith("needs a person: 1 failed load")


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
    feed.execute(run_of(7, "2021-12-01 22:30:00+00:00", "running"))
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
    assert [name for name in found if name != "landing disk"] == [
        name for name in NAMES if name != "writing"
    ]


@only_sqlite
def test_no_channel_to_ask(feed: Feed, visitpay: Visitpay) -> None:
    """That nobody is told is a warning, with what to do, when the channels are to be asked."""
    assert feed.names() == []
    outcome = visitpay("doctor", "--send")
    assert outcome.status == 0
    assert ["warning", "alerts", "no", "channel", "is", "set"] in [
        line.split() for line in outcome.out.splitlines()
    ]
    remedy = "alerts: set VISITPAY_ALERT_URLS to Apprise URLs of those who are to be told"
    assert remedy in outcome.out


@only_sqlite
def test_the_file_of_a_database(
    feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That others can read it, or that its disk is nearly full, is a warning."""
    feed.database.chmod(0o644)
    monkeypatch.setattr(disks, "ROOM_BYTES", 1 << 60)
    found = findings(visitpay)
    assert found["permissions"] == (
        "warning",
        f"{feed.database} is mode 644",
        "let its owner alone read it",
    )
    assert f"  chmod 600 {feed.database}" in visitpay("doctor").out.splitlines()
    state, seen, _ = found["disk"]
    assert (state, " MiB" in seen.partition("free; the database takes ")[2]) == ("warning", True)
    with feed.database.open("r+b") as file:
        file.truncate(3 << 29)  # a sparse one takes no room
    assert " free; the database takes 1.5 GiB; a week" in findings(visitpay)["disk"][1]
    feed.database.unlink()
    found = findings(visitpay)
    assert found["database"][0] == "error"
    assert found["verdict"][:2] == ("warning", "unknown: the database cannot be used")


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
    assert found["last run"] == ("warning", "none yet", "load the files")


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
    """What was seen is folded where the terminal ends; a command is not: it can be copied."""
    feed.deliver(Procedure, procedure_id="x")
    on_terminal(feed, 80, "load")
    _, lines = on_terminal(feed, 80, "doctor")
    command = f"  {Setup(feed.url, feed.landing).hint('status')}"
    assert command in "".join(lines)
    start = next(place for place, line in enumerate(lines) if line.startswith("verdict:"))
    assert max(map(len, lines[:start])) <= 80


def test_how_long_the_disk_lasts(
    feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two weeks of files say it, whenever they were loaded; rows that come again take no room."""
    rows = [row(procedure_id=key, procedure_description="x" * 200) for key in range(500)]
    for day in range(1, 15):
        feed.deliver(Procedure, *rows[: 100 if day < 8 else 500], at=f"202112{day:02}_220000")
        if day == 7:
            visitpay("load")
            found = findings(visitpay)
            assert " a day" not in found["disk"][1]
    visitpay("load")
    with make_engine(feed.url).connect() as connection:
        size = dialect_of(connection).size_bytes(connection)
    a_day = size / 13 * 400 / 500  # the first file is not of these 13 days
    mib = 1 << 20
    grows = f"the database takes {size / mib:,.1f} MiB and grows by {a_day / mib:,.1f} MiB a day"
    if not feed.url.startswith("sqlite"):
        assert findings(visitpay)["disk"] == ("ok", f"the server's own matter; {grows}", "")
        assert " a day: " in findings(visitpay)["landing disk"][1]
        return
    first = feed.path(Procedure, "20211201_220000")
    landed = sum(path.stat().st_size for path in feed.landing.iterdir())
    files = (landed - first.stat().st_size) / 13
    usage = shutil.disk_usage(feed.landing)
    for days, state in ((29.5, "warning"), (2.5, "error"), (400.5, "ok"), (1e6, "ok")):
        free = int(days * (a_day + files))
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage._replace(free=free))
        monkeypatch.setattr(disks, "ROOM_BYTES", 0)
        seen = f"{grows}, the landing directory by {files / mib:,.1f} MiB"
        left = f": {int(days)} days left" if days < 1e6 else ": more than 100 years left"
        told = findings(visitpay)["disk"]
        assert told[0] == state
        assert told[1].endswith(f"{seen}{left}")
        assert bool(told[2]) == (state != "ok")
    first.unlink()
    assert "landing directory by" not in findings(visitpay)["disk"][1]


@only_sqlite
def test_temporary_files(
    feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where SQLite would keep them, and what to do if there is no room, or no place, for them."""
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path / "missing"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    state, seen, _ = findings(visitpay)["temporary files"]
    assert (state, seen.partition(" free in ")[2]) == ("ok", str(tmp_path))
    remedy = "set SQLITE_TMPDIR to a directory with room for them"
    with feed.database.open("r+b") as file:
        file.truncate(1 << 50)  # a sparse one takes no room
    state, seen, told = findings(visitpay)["temporary files"]
    assert (state, told) == ("warning", remedy)
    assert seen.endswith("or a sort of this database, may need 262,144.0 GiB")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    monkeypatch.setattr(sqlite, "_TEMPORARY", ())
    nowhere = "SQLite finds no directory to which it may write them"
    assert findings(visitpay)["temporary files"] == ("error", nowhere, remedy)


@pytest.fixture
def load_as_nobody(feed: Feed) -> Iterator[Callable[[], int]]:
    """Load as the user `nobody`, whose database and files they are, and return the exit status."""
    nobody = pwd.getpwnam("nobody")
    above = [folder for folder in feed.landing.parents if folder.stat().st_mode & 0o005 != 0o005]
    modes = {folder: folder.stat().st_mode & 0o777 for folder in above}
    for folder in above:
        folder.chmod(0o755)
    for path in (feed.landing.parent, feed.landing, feed.database):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)

    def load() -> int:
        if child := os.fork():  # a copy: nobody may perhaps not read this Python
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        try:
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
            main(["load"])
        except SystemExit as leaving:
            os._exit(int(leaving.code or 0))
        finally:
            os._exit(99)

    yield load
    for folder, mode in modes.items():
        folder.chmod(mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has everything")
@only_sqlite
def test_root_beside_the_user_of_the_load(
    feed: Feed, visitpay: Visitpay, load_as_nobody: Callable[[], int]
) -> None:
    """Whatever root looks at, or loads, the user of the load can open all that is left."""
    feed.deliver(Procedure)
    commands = ("doctor", "status", "files", "explain procedure 1", "reconcile", "load")
    for command in (*commands, "rejects list"):
        visitpay(*command.split())
        ours = [path.name for path in feed.database.parent.iterdir() if path.owner() == "root"]
        assert ours == ["state"][: len(ours)], command
    with make_engine(feed.url, read_only=True).connect() as connection:
        connection.exec_driver_sql("SELECT 1 FROM load_runs")
        beside = [feed.database.with_name(f"{feed.database.name}-{end}") for end in ("wal", "shm")]
        assert [path.owner() for path in beside] == ["nobody"] * 2
        assert load_as_nobody() == 0
    lock = feed.database.with_name(f"{feed.database.name}-lock")
    os.chown(lock, 0, 0)
    state, seen, remedy = findings(visitpay)["permissions"]
    # The doctor took the lock itself, and gave it back.
    assert (state, lock.owner()) == ("ok", "nobody")
    os.chown(feed.database, 0, 0)
    state, seen, remedy = findings(visitpay)["permissions"]
    assert (state, remedy) == ("warning", "let that user load")
    assert seen.startswith("nobody, whose directory it is, cannot write to: ")
    assert load_as_nobody() == 3
    mend = next(line for line in visitpay("doctor").out.splitlines() if line.startswith("  chown"))
    os.system(mend)  # noqa: S605 - as people do
    assert load_as_nobody() == 0
