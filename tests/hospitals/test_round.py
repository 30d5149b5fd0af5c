"""One command for all hospitals: what it says, how it ends, and who is told."""

import json
import os
import re
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from tests.support.command import Outcome
from tests.support.feed import Feed
from tests.support.hospitals import Group, workers_of
from tests.support.listeners import Listener
from visitpay.cli.many import round as rounds
from visitpay.cli.many.workers import Task
from visitpay.database.engine import make_engine, make_migration_engine, read_connection
from visitpay.database.session import ExclusiveSession, run_lock
from visitpay.hospitals import Hospital
from visitpay.ledger.runs import Run, last_run
from visitpay.models import Procedure, Visit
from visitpay.sample import write_sample
from visitpay.settings import Settings

ForAll = Callable[..., Outcome]

both = pytest.mark.parametrize("hospitals", ["sqlite", "postgresql"], indirect=True)


def words(table: str) -> list[str]:
    """Return the lines of a table without what only aligns them."""
    return [re.sub(" {2,}", " ", line).strip() for line in table.splitlines()]


@both
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_all_are_loaded(hospitals: Group, for_all: ForAll, workers: int) -> None:
    """Each hospital's files go into its own database, and its document is as for it alone."""
    done = for_all("load", "--workers", workers, "--json")
    assert done.status == 0
    assert done.document["status"] == "ok"
    assert list(done.document["hospitals"]) == ["Abc", "Mercy", "St. John"]
    for name, feed in hospitals.feeds.items():
        document = done.document["hospitals"][name]
        assert [file["name"].partition("_")[0] for file in document["files"]] == [name] * 3
        assert (feed.keys(Procedure), feed.keys(Visit)) == ([1], [10])


def test_a_failing_hospital_stops_no_other(
    hospitals: Group, for_all: ForAll, listener: Listener
) -> None:
    """Bad settings, no landing directory: people are told of each, and the others are loaded."""
    (hospitals.folder / "common").write_text(listener.webhook)
    with Listener() as own:
        (hospitals.folder / "own").write_text(own.webhook)
        hospitals.write(
            'alert_urls_file = "common"',
            Abc='max_rejects = "many"',
            Mercy='alert_urls_file = "own"',
        )
        hospitals.feeds["Mercy"].landing.rename(hospitals.folder / "elsewhere")
        done = for_all("load", "--workers", 2, "--json")
        assert [title for title, _ in own.messages()] == ["a load could not run"]
    assert done.status == 2
    found = done.document["hospitals"]
    assert [each["status"] for each in found.values()] == ["failed", "failed", "ok"]
    reason = "line 5: `max_rejects` cannot be used: not a number of rows"
    assert reason in found["Abc"]["error"]
    assert "many" not in found["Abc"]["error"]
    assert hospitals.feeds["St. John"].keys(Procedure) == [1]
    assert " for Abc: a load could not run" in listener.told[0]["title"]
    assert reason in listener.told[0]["message"]
    assert len(listener.told) == 1
    assert done.err.splitlines()[-1].endswith(
        "visitpay: 2 of 3 hospitals failed or needs a person: Abc, Mercy;"
        " see: visitpay status --all"
    )


def test_the_log_names_the_hospital(hospitals: Group, for_all: ForAll) -> None:
    """Its lines do, as text, as JSON, and in the file of a log."""
    hospitals.write(Mercy='log_format = "json"')
    text = for_all("load").err.splitlines()
    parsed = [json.loads(line) for line in text if line.startswith("{")]
    assert {each["hospital"] for each in parsed} == {"Mercy"}
    others = {line.split(": ")[1] for line in text if not line.startswith("{")}
    assert others == {"Abc", "St. John"}
    log = hospitals.folder / "log"
    assert for_all("load", "--log-file", log, "--only", "Abc").err == ""
    assert " info: Abc: run 2: ok" in log.read_text()


def test_pings(hospitals: Group, for_all: ForAll, listener: Listener) -> None:
    """There is one for the round, and one for a hospital that has its own."""
    (hospitals.folder / "all").write_text(f"http://{listener.address}/all")
    (hospitals.folder / "own").write_text(f"http://{listener.address}/own")
    hospitals.write('ping_url_file = "all"', Mercy='ping_url_file = "own"\nlanding_ = 1')
    assert for_all("load").status == 2
    assert listener.paths == ["/all/start", "/own/2", "/all/2"]


def test_metrics(hospitals: Group, for_all: ForAll) -> None:
    """Each hospital has a file of its own, and each number of it names the hospital."""
    for_all("load", "--metrics-file", hospitals.folder / "v.prom", "--only", "Abc")
    (file,) = hospitals.folder.glob("*.prom")
    assert file.name == "v-Abc.prom"
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if 'hospital="Abc"' not in line] == []
    assert 'visitpay_files{hospital="Abc",status="loaded"} 3.0' in lines


def test_other_commands(for_all: ForAll) -> None:
    """Whoever asks for status, balances or revisions gets them of all."""
    for_all("load")
    status = for_all("status", "--json").document["hospitals"]
    assert {each["last_run"]["run_id"] for each in status.values()} == {1}
    reconciled = for_all("reconcile", "--json").document["hospitals"]
    assert {each["balances"]["compared"] for each in reconciled.values()} == {0}
    checked = for_all("migrate", "--check", "--json")
    assert (checked.status, checked.document["status"]) == (0, "ok")
    assert words(for_all("migrate").out)[-1] == "3 of 3 hospitals well"


def test_the_pages(hospitals: Group, for_all: ForAll) -> None:
    """There is one for each hospital, and a first one that leads to them, the worst first."""
    for_all("load")
    hospitals.feeds["Mercy"].landing.rename(hospitals.folder / "elsewhere")
    assert for_all("report", "-o", hospitals.folder / "pages").status == 2
    pages = {path.name for path in (hospitals.folder / "pages").iterdir()}
    first = (hospitals.folder / "pages" / "index.html").read_text()
    links = re.findall('<a href="([^"]*)">([^<]*)</a>', first)
    assert dict.fromkeys(name for _, name in links) == {"Abc": None, "St. John": None}
    assert pages == {"index.html", *(page for page, _ in links)}
    assert first.index("Mercy") < first.index("Abc")


@pytest.mark.parametrize(
    "arguments",
    [
        ("load", "--all", "landing"),
        ("load", "--all", "--approve", "x"),
        ("load", "--all", "--again", "x"),
        ("load", "--all", "--hospital", "x"),
        ("status", "--all", "--database-url", "sqlite:///x.db"),
        ("load", "--all", "--wait", "5"),
        ("migrate", "--all", "--backup", "x"),
        ("load", "--workers", "2"),
        ("load", "--only", "Abc"),
    ],
)
def test_arguments_about_one_hospital(
    hospitals: Group, arguments: Sequence[str], visitpay_alone: ForAll
) -> None:
    """They are refused with --all, and what is about many without it; nothing is loaded."""
    done = visitpay_alone(*arguments)
    assert done.status == 2
    assert re.search(r"is about one hospital; leave|go with --all", done.err)
    assert all(feed.keys(Visit) == [] for feed in hospitals.feeds.values())


@both
def test_a_hospital_that_another_load_holds(
    hospitals: Group, for_all: ForAll, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is left to that load: nobody waits, nobody is told, all is well."""
    monkeypatch.setenv("VISITPAY_ALERT_URLS", listener.webhook)
    with ExclusiveSession(make_engine(hospitals.feeds["Mercy"].url), 0):
        done = for_all("load", "--json")
    assert (done.status, done.document["status"]) == (0, "ok")
    found = done.document["hospitals"]
    assert [found[name]["status"] for name in found] == ["ok", "left", "ok"]
    assert found["Mercy"]["error"] == "left to another load: one is under way"
    assert listener.told == []
    assert " error: " not in done.err


@both
def test_a_hospital_that_is_being_migrated(hospitals: Group, for_all: ForAll) -> None:
    """It is reported as busy."""
    engine = make_migration_engine(hospitals.feeds["Mercy"].url)
    with engine.connect() as connection, run_lock(connection, 0, is_migration=True):
        done = for_all("load", "--json")
    assert done.status == 3
    assert "a migration holds" in done.document["hospitals"]["Mercy"]["error"]


def test_a_hospital_that_another_load_has_done(feed: Feed, visitpay: ForAll) -> None:
    """A load that is told of the last run before its round leaves it to a later one."""
    feed.deliver(Procedure)
    first = visitpay("load", "--unless-after=0", "--json")
    second = visitpay("load", "--unless-after=0", "--json")
    third = visitpay("load", "--unless-after=1", "--json")
    assert [each.status for each in (first, second, third)] == [0, 0, 0]
    assert [each.document["status"] for each in (first, second, third)] == ["ok", "left", "ok"]


class ScriptedCrew:
    """Workers that answer what they are told to."""

    def __init__(self, *rounds: Mapping[str, Any]) -> None:
        """Answer so, one time after the other."""
        self._rounds = list(rounds)
        self.asked: list[list[str]] = []

    def do(self, tasks: Sequence[Task]) -> dict[str, Any]:
        """Return the next answers for the hospitals of the tasks."""
        self.asked.append([" ".join([task.hospital, *task.arguments]) for task in tasks])
        answers = self._rounds.pop(0)
        return {task.hospital: answers[task.hospital] for task in tasks}


def test_what_was_taken_is_looked_at_again() -> None:
    """At the end of the round it is loaded, unless it is done or still held by then."""
    taken: dict[str, object] = {"is_taken": True, "document": {}}
    done: dict[str, object] = {"is_taken": False, "document": {}}
    crew = ScriptedCrew(
        {"A": {"last_run": 4}, "B": {"last_run": 0}, "C": {"last_run": None}},
        {"A": taken, "B": done, "C": done},
        {"A": done},
    )
    wanted = rounds.Wanted("load", {"settle": ["--settle=1"]}, 1, ())
    every = [Hospital(name, Settings()) for name in "ABC"]
    answers = rounds.shared_load(wanted, every, crew)
    assert crew.asked == [
        ["A", "B", "C"],
        [
            "A load --settle=1 --json --wait=0 --unless-after=4",
            "B load --settle=1 --json --wait=0 --unless-after=0",
            "C load --settle=1 --json --wait=0",
        ],
        ["A load --settle=1 --json --wait=0 --unless-after=4"],
    ]
    assert answers == {"A": done, "B": done, "C": done}


def last_run_of(feed: Feed) -> Run:
    """Return the last run of a hospital's loads."""
    with read_connection(feed.url) as connection:
        run = last_run(connection)
    assert run
    return run


@pytest.fixture
def large(hospitals: Group) -> Group:
    """Return hospitals of which one has so much to load that a signal comes in time."""
    for feed in hospitals.feeds.values():
        for file in feed.landing.iterdir():
            file.unlink()
    write_sample(hospitals.feeds["Abc"].landing, visits=30_000, days=1, dirt=0, hospital="Abc")
    return hospitals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_workers(large: Group, number: signal.Signals) -> None:
    """The file under way is rolled back, all processes end, and the next round goes on."""
    with large.start("load", "--all", "--workers", "2", "--json") as process:
        assert process.stderr
        while " Abc: Abc_VisitPay_Procedure" not in process.stderr.readline():
            pass
        process.send_signal(number)
        out, _ = process.communicate()  # to the end of what the workers could write to
    assert process.returncode == 128 + number
    assert json.loads(out)["status"] == "interrupted"
    assert len(large.feeds["Abc"].keys(Visit)) in {0, 30_000}
    run = large.start("load", "--all")
    run.communicate()
    assert run.returncode == 0
    assert len(large.feeds["Abc"].keys(Visit)) == 30_000


def test_a_worker_that_is_killed_costs_its_hospital(large: Group) -> None:
    """The others are loaded by another process, and the next round completes it."""
    with large.start("load", "--all", "--workers", "1", "--json") as process:
        assert process.stderr
        while " Abc: Abc_VisitPay_Procedure" not in process.stderr.readline():
            pass
        (worker,) = workers_of(process)
        os.kill(worker, signal.SIGKILL)
        out, _ = process.communicate()
    assert process.returncode == 3
    found = json.loads(out)["hospitals"]
    assert [each["status"] for each in found.values()] == ["failed", "ok", "ok"]
    assert found["Abc"]["error"].startswith("its process ended early (SIGKILL)")
    run = large.start("load", "--all")
    run.communicate()
    assert run.returncode == 0
    assert len(large.feeds["Abc"].keys(Visit)) == 30_000


def test_a_worker_that_is_stopped_does_nothing_more(large: Group) -> None:
    """A signal may leave an import half done: another process takes the other hospitals."""
    with large.start("load", "--all", "--workers", "1", "--json") as process:
        assert process.stderr
        while " Abc: Abc_VisitPay_Procedure" not in process.stderr.readline():
            pass
        (worker,) = workers_of(process)
        os.kill(worker, signal.SIGTERM)
        out, err = process.communicate()
    assert process.returncode == 3
    assert err.count(" Abc: visitpay: stopped by SIGTERM") == 1
    statuses = {name: each["status"] for name, each in json.loads(out)["hospitals"].items()}
    assert statuses.pop("Abc") == "interrupted"
    assert set(statuses.values()) == {"ok"}
    runs = {name: last_run_of(feed) for name, feed in large.feeds.items()}
    later = [run for run in runs.values() if run.started_at > runs["Abc"].started_at]
    assert worker == runs["Abc"].process_id
    assert worker not in {run.process_id for run in later}
