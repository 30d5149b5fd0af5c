import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from signal import SIGTERM

import pytest
from sqlalchemy import make_url, select

from tests.support.command import Visitpay, start, without_times
from tests.support.databases import OLDEST
from tests.support.days import deliver_bad_day
from tests.support.feed import Feed, header_line, only_sqlite, row
from tests.support.listeners import Listener, Mailbox
from tests.support.marked import MARK, abort, behind, deliver_marked, duplicate
from visitpay.database.engine import make_engine, read_connection
from visitpay.database.session import ExclusiveSession
from visitpay.errors import FileChangedError
from visitpay.ledger.changing import FILE_CHANGING
from visitpay.models import Problem, Procedure, Transaction, Visit
from visitpay.notify import channels, heartbeat
from visitpay.quality.checks import CHECKS
from visitpay.verdict.kinds import FILE_FAILED, ROWS_REJECTED
from visitpay.verdict.problems import CurrentProblem
from visitpay.verdict.record import Change, Transition, decide
from visitpay.verdict.recorded import RecordedProblem

MOMENT = datetime(2021, 12, 1, tzinfo=UTC)

BAD_FILE = "HospitalABC_VisitPay_Procedure_20211202_223357.txt"
FAILED = (
    f"{BAD_FILE}: is empty; its first line must name {header_line(Procedure, ', ')};"
    " each load tries it until it is corrected or taken away"
)
SECRET = "hunter2"  # noqa: S105 - not one of ours


def rejected(rows: int) -> str:
    """Return what is told of rejected transactions."""
    what = "rejected row is" if rows == 1 else "rejected rows are"
    return f"Transaction: {rows} {what} open: missing_reference"


def records(feed: Feed) -> list[tuple[object, ...]]:
    """Return the problems on record: what, how bad, whether told, whether over."""
    query = select(Problem.name, Problem.size, Problem.told_at, Problem.closed_at)
    with read_connection(feed.url) as connection:
        return [
            (name, size, told_at is not None, closed_at is not None)
            for name, size, told_at, closed_at in connection.execute(query.order_by(Problem.id))
        ]


def warnings(log: str) -> list[str]:
    """Return the warnings of a log that are not about files."""
    lines = without_times(log)
    return [each for each in lines if each.startswith("warning: ") and "HospitalABC" not in each]


@pytest.fixture
def webhook(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> Listener:
    """Return an alert channel that is set; of the checks, it is told of missing days alone."""
    monkeypatch.setenv("VISITPAY_ALERT_URLS", listener.webhook)
    monkeypatch.setenv("VISITPAY_IGNORE", ",".join(CHECKS.keys() - {"feed_missing"}))
    return listener


@pytest.fixture
def switch(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> Listener:
    """Return a dead man's switch that is set."""
    monkeypatch.setenv("VISITPAY_PING_URL", f"http://{listener.address}/{SECRET}/?create=1\n")
    return listener


def known(size: int = 5, told_at: datetime | None = MOMENT) -> RecordedProblem:
    """Return a problem that is on record."""
    return RecordedProblem(7, ROWS_REJECTED, "Visit", size, "so many", MOMENT, None, told_at)


def found(size: int = 5) -> CurrentProblem:
    """Return that problem as it is found now."""
    return CurrentProblem(ROWS_REJECTED, "Visit", size, "so many")


GONE = CurrentProblem(ROWS_REJECTED, "Visit", 0, "Visit: no rejected row is open any more")


@pytest.mark.parametrize(
    ("before", "now", "changes"),
    [
        ([], [], []),
        ([], [found()], [Change(Transition.NEW, found())]),
        ([known()], [found()], []),
        ([known()], [found(6)], [Change(Transition.WORSE, found(6), 7)]),
        ([known()], [found(4)], [Change(Transition.BETTER, found(4), 7)]),
        ([known()], [], [Change(Transition.OVER, GONE, 7)]),
        ([known(5, None)], [found()], [Change(Transition.NEW, found(), 7)]),
        ([known(5, None)], [], [Change(Transition.NEVER_TOLD, GONE, 7)]),
        (
            [RecordedProblem(8, FILE_FAILED, "Visit", 1, "", MOMENT, None, MOMENT)],
            [found()],
            [
                Change(Transition.NEW, found()),
                Change(
                    Transition.OVER,
                    CurrentProblem(
                        FILE_FAILED, "Visit", 0, "Visit: was loaded, replaced, or taken away"
                    ),
                    8,
                ),
            ],
        ),
    ],
)
def test_decide(
    before: list[RecordedProblem], now: list[CurrentProblem], changes: list[Change]
) -> None:
    """What is new, worse or over is news; what is as a person knows it is not."""
    assert decide(before, now) == changes


def test_told_once(feed: Feed, visitpay: Visitpay, webhook: Listener) -> None:
    """A problem is told when it is new, when it is worse and when it is over, and not between."""
    deliver_bad_day(feed)
    assert visitpay("load").status == 1
    assert webhook.messages() == [("2 new", [f"new: {FAILED}", f"new: {rejected(1)}"])]
    assert records(feed) == [(FILE_FAILED, 1, True, False), (ROWS_REJECTED, 1, True, False)]
    visitpay("load")
    feed.deliver(
        Transaction,
        row(transaction_identifier=102, visit_identifier=12),
        row(transaction_identifier=103, visit_identifier=12),
        at="20211202_223133",
    )
    visitpay("load")
    visitpay("load")
    assert webhook.messages() == [("1 worse", [f"worse: {rejected(3)}"])]
    feed.deliver(Visit, at="20211202_223005", visit_identifier=12)
    visitpay("load")
    assert records(feed) == [(FILE_FAILED, 1, True, False), (ROWS_REJECTED, 1, True, False)]
    feed.deliver(Transaction, at="20211203_223133", transaction_identifier=104, visit_identifier=13)
    feed.deliver(Procedure, at="20211202_223357", procedure_id=2, procedure_description="cast")
    visitpay("load")
    over = f"over: {BAD_FILE}: was loaded, replaced, or taken away"
    assert webhook.messages() == [("1 worse, 1 over", [f"worse: {rejected(2)}", over])]
    feed.deliver(Visit, *(row(visit_identifier=key) for key in (11, 13)), at="20211203_223005")
    assert visitpay("load").status == 0
    visitpay("load")
    assert webhook.messages() == [
        ("1 over", ["over: Transaction missing_reference: no rejected row is open any more"])
    ]
    assert records(feed) == [(FILE_FAILED, 1, True, True), (ROWS_REJECTED, 2, True, True)]
    feed.deliver_bytes(Procedure, b"", at="20211202_223357")
    visitpay("load")
    assert webhook.messages() == [("1 new", [f"new: {FAILED}"])]


@only_sqlite
def test_a_failed_file(feed: Feed, visitpay: Visitpay, webhook: Listener) -> None:
    """One that a load leaves aside is still a problem; one that is taken away is none."""
    path = feed.deliver_bytes(Procedure, b"", at="20211202_223357")
    visitpay("load")
    assert [title for title, _ in webhook.messages()] == ["1 new"]
    visitpay("load", "--since", "2022-01-01")
    assert webhook.messages() == []
    path.unlink()
    visitpay("load")
    assert [title for title, _ in webhook.messages()] == ["1 over"]


@only_sqlite
def test_a_held_file(feed: Feed, visitpay: Visitpay, webhook: Listener) -> None:
    """So is one that is held, until it is approved."""
    path = feed.deliver(
        Procedure, row(procedure_id=1), row(procedure_id="x", procedure_description="bad")
    )
    for _ in range(2):
        assert visitpay("load", "--hold-above", "10").status == 1
    ((title, told),) = webhook.messages()
    assert (title, "held: 1 of 2 rows rejected" in told[0]) == ("1 new", True)
    visitpay("load", "--hold-above", "10", "--approve", path.name, "--max-rejects", "1")
    assert webhook.messages() == [
        ("1 over", [f"over: {path.name}: was loaded, replaced, or taken away"])
    ]


@only_sqlite
@pytest.mark.parametrize("down", [False, True], ids=["up", "down"])
def test_the_doctor_asks_the_channels(
    feed: Feed, visitpay: Visitpay, webhook: Listener, *, down: bool
) -> None:
    """Only when told to; a channel that does not answer is an error."""
    assert feed.names() == []
    found = {each["name"]: each for each in visitpay("doctor", "--json").document["examined"]}
    assert found["alerts"]["message"] == "1 channel, not asked (--send does)"
    assert webhook.messages() == []
    webhook.answer = 500 if down else 200
    outcome = visitpay("doctor", "--send", "--json")
    found = {each["name"]: each for each in outcome.document["examined"]}
    state, seen = (
        ("error", "no channel took a message")
        if down
        else ("ok", "a message was sent to 1 channel")
    )
    assert (outcome.status, found["alerts"]["status"]) == (int(down), state)
    assert seen in found["alerts"]["message"]
    assert "did not take the message" in outcome.err or not down


def test_tolerated_rejects(feed: Feed, visitpay: Visitpay, webhook: Listener) -> None:
    """Rows that a run was told to tolerate are no problem; those of other runs still are."""
    feed.deliver(Transaction, transaction_identifier=101, visit_identifier=11)
    visitpay("load", "--max-rejects", "1")
    assert webhook.messages() == []
    feed.deliver(Transaction, at="20211202_223133", transaction_identifier=102, visit_identifier=11)
    visitpay("load")
    assert webhook.messages() == [("1 new", [f"new: {rejected(1)}"])]


@only_sqlite
def test_many_problems(feed: Feed, visitpay: Visitpay, webhook: Listener) -> None:
    """A message names twenty problems, and counts all."""
    for hour in range(22):
        feed.deliver_bytes(Procedure, b"", at=f"20211201_{hour:02}0000")
    visitpay("load")
    ((title, lines),) = webhook.messages()
    assert (title, len(lines)) == ("22 new", 21)
    assert lines[-1] == "and 2 more"
    visitpay("load")
    assert webhook.messages() == []


def test_a_channel_that_is_down(feed: Feed, visitpay: Visitpay, webhook: Listener) -> None:
    """It costs a warning each time, and what was missed is told once it is up again."""
    down = ["warning: alert channel 1 (JSON) did not take the message"]
    deliver_bad_day(feed)
    webhook.answer = 500
    outcome = visitpay("load")
    assert (outcome.status, warnings(outcome.err)) == (1, down)
    assert records(feed) == [(FILE_FAILED, 1, False, False), (ROWS_REJECTED, 1, False, False)]
    assert warnings(visitpay("load").err) == down
    webhook.answer = 200
    assert warnings(visitpay("load").err) == []
    assert [title for title, _ in webhook.messages()] == ["2 new"]
    webhook.answer = 500
    feed.deliver(Transaction, at="20211202_223133", transaction_identifier=102, visit_identifier=11)
    feed.deliver(Procedure, at="20211202_223357", procedure_id=2, procedure_description="cast")
    assert warnings(visitpay("load").err) == down
    assert records(feed) == [(FILE_FAILED, 1, True, False), (ROWS_REJECTED, 1, True, False)]
    webhook.answer = 200
    visitpay("load")
    assert [title for title, _ in webhook.messages()] == ["1 worse, 1 over"]
    visitpay("load")
    assert webhook.messages() == []


@only_sqlite
def test_a_channel_that_breaks(
    feed: Feed, visitpay: Visitpay, webhook: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error within a channel, whatever it says, costs a warning as well."""

    def fail(*_arguments: object, **_more: object) -> None:
        raise LookupError(SECRET)

    monkeypatch.setattr("apprise.Apprise.notify", fail)
    deliver_bad_day(feed)
    outcome = visitpay("load", "-v")
    assert (outcome.status, webhook.told) == (1, [])
    assert warnings(outcome.err) == ["warning: alert channel 1 (JSON) did not take the message"]
    assert SECRET not in outcome.err


@only_sqlite
def test_a_problem_that_nobody_heard_of(feed: Feed, visitpay: Visitpay, webhook: Listener) -> None:
    """What is over before anyone could be told is told to no one."""
    path = feed.deliver_bytes(Procedure, b"", at="20211202_223357")
    webhook.answer = 500
    visitpay("load")
    path.unlink()
    webhook.answer = 200
    visitpay("load")
    assert webhook.messages() == []
    assert records(feed) == [(FILE_FAILED, 1, False, True)]


@only_sqlite
def test_one_of_two_channels(
    feed: Feed, visitpay: Visitpay, webhook: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who can be told is told, once, when another channel is down, and that is warned about."""
    monkeypatch.setenv("VISITPAY_ALERT_URLS", f"\n{closed('json')}, {webhook.webhook}\n")
    deliver_bad_day(feed)
    down = ["warning: alert channel 1 (JSON) did not take the message"]
    assert warnings(visitpay("load").err) == down
    assert warnings(visitpay("load").err) == []
    assert len(webhook.messages()) == 1


def closed(scheme: str) -> str:
    """Return a URL, with secrets in it, at which nobody listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    return f"{scheme}://{SECRET}:{SECRET}@127.0.0.1:{port}/{SECRET}?token={SECRET}"


@only_sqlite
def test_silence(
    feed: Feed, visitpay: Visitpay, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers that take the connection and never answer cost a warning each, and no load."""
    monkeypatch.setenv("VISITPAY_ALERT_URLS", listener.webhook)
    monkeypatch.setenv("VISITPAY_PING_URL", f"http://{listener.address}/")
    monkeypatch.setattr(channels, "SECONDS", 0.2)
    monkeypatch.setattr(heartbeat, "SECONDS", 0.2)
    listener.is_silent = True
    deliver_bad_day(feed)
    outcome = visitpay("load")
    assert outcome.status == 1
    first, second = warnings(outcome.err)
    assert first.startswith("warning: the ping did not get through: no ")
    assert second == "warning: alert channel 1 (JSON) did not take the message"


@only_sqlite
def test_mail(
    feed: Feed, visitpay: Visitpay, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mail says in its subject how much there is, and in its text what and what to do."""
    monkeypatch.setenv("VISITPAY_ALERT_URLS", mailbox.channel)
    deliver_bad_day(feed)
    assert warnings(visitpay("load").err) == []
    visitpay("load")
    (mail,) = mailbox.mails
    assert mail["subject"] == f"visitpay on {socket.gethostname()}: 3 new"
    assert "ops@localhost.test" in mail["to"]
    text = mail.get_body(("plain",))
    assert text is not None
    lines = "".join(text.get_content().splitlines())
    assert FAILED in lines
    assert rejected(1) in lines


@only_sqlite
def test_a_load_that_could_not_run(
    feed: Feed, visitpay: Visitpay, webhook: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load without a database says so once an hour, whether it runs more often or not."""
    behind(feed)
    assert [visitpay("load").status for _ in range(3)] == [3, 3, 3]
    ((title, (line,)),) = webhook.messages()
    assert title == "a load could not run"
    assert line.startswith(f"the database's schema is {OLDEST}, older than ")
    run = f"; run: visitpay migrate --database-url {feed.url}"
    assert line.endswith(f"{run}; what was not loaded waits for the next load")
    (memory,) = (feed.landing.parent / "state").iterdir()
    assert memory.stat().st_mode & 0o777 == 0o600
    assert re.fullmatch("[0-9a-f]{64}", memory.read_text())
    hour = memory.stat().st_mtime - 3600
    os.utime(memory, (hour, hour))
    assert visitpay("load").status == 3
    assert len(webhook.messages()) == 1
    os.utime(memory, (hour + 9000, hour + 9000))  # a clock that was set back
    visitpay("load")
    assert len(webhook.messages()) == 1
    monkeypatch.setenv("VISITPAY_DATABASE_URL", f"sqlite:///{feed.database}2")
    visitpay("load")
    ((_, (line,)),) = webhook.messages()
    assert line.startswith("there is no database ")


@only_sqlite
def test_an_alert_that_could_not_be_sent_or_noted(
    feed: Feed, visitpay: Visitpay, webhook: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody took is told again, and so is what cannot be remembered; neither costs more."""
    behind(feed)
    webhook.answer = 500
    visitpay("load")
    webhook.answer = 200
    visitpay("load")
    assert len(webhook.messages()) == 1
    monkeypatch.setenv("STATE_DIRECTORY", str(feed.database))
    assert [visitpay("load").status for _ in range(2)] == [3, 3]
    assert len(webhook.messages()) == 2
    monkeypatch.delenv("STATE_DIRECTORY")
    monkeypatch.setenv("XDG_STATE_HOME", str(feed.landing.parent / "home"))
    assert [visitpay("load").status for _ in range(2)] == [3, 3]
    assert len(webhook.messages()) == 1
    assert list((feed.landing.parent / "home" / "visitpay").iterdir())


NEAR = "HospitalABC_VisitPay_Visit_20211201_223005.TXT"


def test_a_near_miss(feed: Feed, visitpay: Visitpay, webhook: Listener) -> None:
    """A name that nearly is the feed's is told when it is new, and when it is gone."""
    path = feed.landing / NEAR
    path.touch()
    strange = feed.landing / os.fsdecode(b"HospitalABC_VisitPay_Visit_\xff.txt")
    strange.touch()
    assert [visitpay("load").status for _ in range(2)] == [1, 1]
    end = "rename it, or take it away"
    told = f"{NEAR}: not loaded, its name is not right: only the case of letters differs; {end}"
    ((title, lines),) = webhook.messages()
    assert (title, lines[0]) == ("2 new", f"new: {told}")
    strange.unlink()
    assert visitpay("load").status == 1
    assert [title for title, _ in webhook.messages()] == ["1 over"]
    assert visitpay("load", "--pass-over", "*.TXT").status == 0
    assert webhook.messages() == [("1 over", [f"over: {NEAR}: was renamed, or taken away"])]


def set_back(feed: Feed, what: str, moment: datetime) -> None:
    """Set a time of the books, in all their rows."""
    zone = "" if feed.url.startswith("sqlite") else "+00"
    feed.execute(f"UPDATE {what} = '{moment:%Y-%m-%d %H:%M:%S}{zone}'")


def expected(feed: Feed, *days: int) -> None:
    """Deliver a procedure so many days ago."""
    for day in days:
        moment = datetime.now(UTC) - timedelta(days=day)
        feed.deliver(Procedure, at=f"{moment:%Y%m%d}_000100")


def test_a_day_without_its_feed(feed: Feed, visitpay: Visitpay, webhook: Listener) -> None:
    """A day that is over and brought nothing is told once, and when it is not missing any more."""
    expected(feed, 4, 3, 1)
    assert visitpay("load").status == 0
    assert webhook.messages() == []
    day = f"{datetime.now(UTC) - timedelta(days=2):%Y-%m-%d}"
    assert [visitpay("load", "--expect", "daily").status for _ in range(2)] == [0, 0]
    message = f"{day}: nothing came on 1 day, to {day}"
    assert webhook.messages() == [("1 new", [f"new: {message}"])]
    expected(feed, 2)
    assert visitpay("load", "--expect", "daily").status == 0
    assert webhook.messages() == [("1 over", [f"over: {day}: no longer missing, or long ago"])]


def test_a_feed_that_never_came(
    feed: Feed, visitpay: Visitpay, webhook: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as nothing was loaded a feed is expected from the day of the first run on."""
    monkeypatch.setenv("VISITPAY_EXPECT", "daily")
    assert visitpay("load").status == 0
    assert webhook.messages() == []
    began = datetime.now(UTC) - timedelta(days=3)
    set_back(feed, "load_runs SET started_at", began)
    assert [visitpay("load").status for _ in range(2)] == [0, 0]
    ((title, (line,)),) = webhook.messages()
    assert (title, line.startswith(f"new: {began:%Y-%m-%d}: nothing came on 3 days")) == (
        "1 new",
        True,
    )
    assert "feed_missing" in str(visitpay("status", "--json").document["findings"])
    set_back(feed, "load_runs SET started_at", began - timedelta(days=1))
    expected(feed, 4, 3, 2, 1)
    visitpay("load")
    assert [title for title, _ in webhook.messages()] == ["1 over"]


def restless(feed: Feed) -> tuple[object, ...]:
    """Return the records of files that keep changing: how bad, whether told, whether over."""
    return tuple(each[1:] for each in records(feed) if each[0] == FILE_CHANGING)


def yesterday(feed: Feed, hours: int = 25) -> None:
    """Set back when files began to change."""
    set_back(feed, "problems SET opened_at", datetime.now(UTC) - timedelta(hours=hours))


def test_a_file_that_never_rests(feed: Feed, visitpay: Visitpay, webhook: Listener) -> None:
    """One that changed in every run for more than a day needs a person, and is told once."""
    path = feed.deliver(Procedure)
    waits = ("load", "--settle", "3600")
    assert [visitpay(*waits).status for _ in range(2)] == [0, 0]
    assert restless(feed) == ((1, False, False),)
    yesterday(feed, 23)
    assert visitpay(*waits).status == 0
    assert visitpay("status", "--json").document["status"] == "unknown"
    assert webhook.messages() == []
    yesterday(feed)
    assert visitpay("load", "--since", "2022-01-01").status == 1
    assert [visitpay(*waits).status for _ in range(2)] == [1, 1]
    ((title, (line,)),) = webhook.messages()
    assert (title, line.startswith(f"new: {path.name}: not loaded, changed in every run")) == (
        "1 new",
        True,
    )
    document = visitpay("status", "--json").document
    assert (document["status"], document["files_changing"]) == ("attention", [path.name])
    first, *facts = visitpay("status").out.splitlines()
    assert first == "needs a person: 1 file keeps changing"
    assert "keep changing 1: Procedure_20211201_223357" in facts
    assert visitpay("load").status == 0
    over = f"over: {path.name}: no longer changes, or was taken away"
    assert webhook.messages() == [("1 over", [over])]
    assert restless(feed) == ((0, True, True),)
    assert visitpay("status", "--json").document["files_changing"] == []


@pytest.mark.parametrize("end", ["loaded", "failed", "gone"])
def test_a_file_that_comes_to_rest(feed: Feed, visitpay: Visitpay, end: str) -> None:
    """Once it is loaded, failed, or gone, its record is closed, also where nobody is told."""
    path = feed.deliver(Procedure)
    visitpay("load", "--settle", "3600")
    yesterday(feed)
    assert visitpay("load", "--settle", "3600").status == 1
    assert visitpay("load", "--settle", "3600", "--dry-run").status == 1
    if end == "failed":
        path.write_bytes(b"")
    elif end == "gone":
        path.unlink()
    visitpay("load", *(["--settle", "3600"] if end == "gone" else []))
    assert restless(feed) == ((1, False, True),)
    assert visitpay("status", "--json").document["files_changing"] == []


def test_a_file_that_changes_while_it_is_read(
    feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So does one that every run finds changed after it was read."""
    path = feed.deliver(Procedure)

    def changed(_reading: object) -> None:
        message = "changed while it was read"
        raise FileChangedError(message)

    with monkeypatch.context() as patch:
        patch.setattr("visitpay.landing.local.OpenFile.require_unchanged", changed)
        assert visitpay("load").status == 0
        yesterday(feed)
        outcome = visitpay("load", "--json")
        assert (outcome.status, outcome.document["files"][0]["status"]) == (1, "changed")
    assert visitpay("status", "--json").document["files_changing"] == [path.name]
    assert visitpay("load").status == 0
    assert restless(feed) == ((1, False, True),)


@only_sqlite
def test_a_held_database(feed: Feed, visitpay: Visitpay, webhook: Listener) -> None:
    """A load that waited in vain for another says so."""
    with ExclusiveSession(make_engine(feed.url), 0):
        assert visitpay("load", "--wait", "0").status == 3
    ((_, (line,)),) = webhook.messages()
    assert line.startswith(f"another load holds {make_url(feed.url).database}; ")


@only_sqlite
def test_a_bug(
    feed: Feed, visitpay: Visitpay, webhook: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that nobody foresaw is told by its kind, not by its text, which may hold a cell."""
    assert feed

    def fail(*_arguments: object) -> None:
        message = "CANARY"
        raise LookupError(message)

    monkeypatch.setattr("visitpay.loading.run.scan", fail)
    assert visitpay("load").status == 3
    ((_, (line,)),) = webhook.messages()
    assert line.startswith("unforeseen: LookupError at visitpay.")
    assert "CANARY" not in line


def test_a_table_that_cannot_be_written(feed: Feed, visitpay: Visitpay, webhook: Listener) -> None:
    """Books of problems that the database refuses cost a warning, and not the load."""
    deliver_bad_day(feed)
    feed.execute("ALTER TABLE problems RENAME TO elsewhere")
    outcome = visitpay("load", "--json")
    assert (outcome.status, outcome.document["status"]) == (1, "attention")
    changing, warning = warnings(outcome.err)
    assert changing.startswith("warning: what is wrong could not be written down: ")
    assert warning.startswith("warning: all is loaded, but not all could be told of it: ")
    assert webhook.messages() == []


@pytest.mark.parametrize("harm", [None, abort, duplicate, behind])
def test_no_cell_is_told(
    feed: Feed,
    visitpay: Visitpay,
    webhook: Listener,
    switch: Listener,
    harm: Callable[[Feed], None] | None,
) -> None:
    """Neither an alert nor a ping nor the metrics hold a cell, whatever goes wrong."""
    deliver_marked(feed)
    if harm:
        harm(feed)
    metrics = feed.landing.parent / "visitpay.prom"
    visitpay("load", "--metrics-file", metrics)
    told = f"{webhook.told}{switch.paths}{metrics.read_text()}"
    assert len(webhook.told) == 1
    assert MARK.findall(told) == []


@pytest.mark.parametrize("form", [[], ["-v"], ["-v", "--log-format", "json", "--json"]], ids=len)
@pytest.mark.parametrize("scheme", ["json", "mailto", "slack", "nonsense", "mailto,", "json://:"])
@only_sqlite
def test_secrets(
    feed: Feed,
    visitpay: Visitpay,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    scheme: str,
    form: list[str],
) -> None:
    """Of the URLs nothing is told, whether they can be used or not, not even by other loggers."""
    monkeypatch.setenv("VISITPAY_ALERT_URLS", closed(scheme))
    monkeypatch.setenv("VISITPAY_PING_URL", closed("http"))
    deliver_bad_day(feed)
    outcome = visitpay("load", *form)
    assert outcome.status == 1
    told = outcome.out + outcome.err + caplog.text
    assert SECRET not in told
    assert "127.0.0.1" not in told


NOT_USED = "warning: not used, the load goes on without it: "


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "VISITPAY_ALERT_URLS",
            f"{SECRET}://{SECRET}",
            "URL 1 of VISITPAY_ALERT_URLS is none that Apprise can use",
        ),
        *(
            ("VISITPAY_PING_URL", value, "VISITPAY_PING_URL is not a URL of http or https")
            for value in (SECRET, f"ftp://{SECRET}", f"http://host:{SECRET}/", "http://[x", "http:")
        ),
    ],
)
@only_sqlite
def test_unusable_settings(
    feed: Feed,
    visitpay: Visitpay,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    message: str,
) -> None:
    """A URL of no use costs a warning each time, that does not tell it, and not the load."""
    deliver_bad_day(feed)
    monkeypatch.setenv(name, value)
    outcome = visitpay("load", "-v")
    assert (outcome.status, warnings(outcome.err)) == (1, [NOT_USED + message])
    assert SECRET not in outcome.err
    assert warnings(visitpay("load").err) == [NOT_USED + message]


@only_sqlite
def test_what_is_usable_is_used(
    feed: Feed, visitpay: Visitpay, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a URL of no use the other channels, the switch and the metrics work as ever."""
    metrics = feed.landing.parent / "visitpay.prom"
    monkeypatch.setenv("VISITPAY_METRICS_FILE", str(metrics))
    monkeypatch.setenv("VISITPAY_ALERT_URLS", f"nonsense://x {closed('json')} {listener.webhook}")
    monkeypatch.setenv("VISITPAY_PING_URL", f"http://{listener.address}")
    deliver_bad_day(feed)
    outcome = visitpay("load")
    assert (outcome.status, warnings(outcome.err)) == (
        1,
        [
            f"{NOT_USED}URL 1 of VISITPAY_ALERT_URLS is none that Apprise can use",
            "warning: alert channel 2 (JSON) did not take the message",
        ],
    )
    assert [title for title, _ in listener.messages()] == ["3 new"]
    assert listener.paths == ["/start", "/1"]
    assert "visitpay_last_run_exit_status 1.0" in metrics.read_text()


WAITS = "what was not loaded waits for the next load"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *(
            (given, "an argument of its command cannot be used, its log says which")
            for given in (["--hold-above", "101"], ["--max-rejects", SECRET], ["x", SECRET])
        ),
        (
            ["--approve", "nothing"],
            "not in the landing directory: nothing",
        ),
        (
            ["--database-url", f"mysql://{SECRET}"],
            "mysql is not supported; use a URL like sqlite:///visitpay.db",
        ),
    ],
)
@only_sqlite
def test_unusable_arguments(
    feed: Feed,
    visitpay: Visitpay,
    webhook: Listener,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    """A load that could not run for an argument of no use says so to all, but not in a dry run."""
    metrics = feed.landing.parent / "visitpay.prom"
    monkeypatch.setenv("VISITPAY_METRICS_FILE", str(metrics))
    monkeypatch.setenv("VISITPAY_PING_URL", f"http://{webhook.address}")
    assert visitpay("load", *arguments, "--dry-run").status == 2
    assert (webhook.told, webhook.paths, metrics.exists()) == ([], [], False)
    assert visitpay("load", *arguments).status == 2
    assert webhook.messages() == [("a load could not run", [f"{message}; {WAITS}"])]
    assert webhook.paths[-1] == "/2"
    assert "visitpay_last_run_exit_status 2.0" in metrics.read_text()
    assert visitpay("status", "--nonsense").status == 2
    assert webhook.messages() == []


@only_sqlite
def test_a_closed_landing_directory(
    feed: Feed, unprivileged: Visitpay, webhook: Listener, switch: Listener
) -> None:
    """So does one that may not look into its landing directory."""
    feed.landing.chmod(0)
    assert unprivileged("load").status == 2
    ((_, (line,)),) = webhook.messages()
    assert line.startswith(
        f"the landing directory {feed.landing} cannot be read: Permission denied"
    )
    assert switch.paths == [f"/{SECRET}/start?create=1", f"/{SECRET}/2?create=1"]


@only_sqlite
def test_pings(feed: Feed, visitpay: Visitpay, switch: Listener) -> None:
    """The switch hears that a load begins, and its exit status, or nothing more for success."""
    visitpay("load")
    deliver_bad_day(feed)
    visitpay("load", "--json")
    behind(feed)
    visitpay("load")
    signals = ["/start", "", "/start", "/1", "/start", "/3"]
    assert switch.paths == [f"/{SECRET}{signal}?create=1" for signal in signals]


@only_sqlite
def test_ping_of_a_stopped_load(feed: Feed, switch: Listener) -> None:
    """A load that a signal stops says so, too."""
    deliver_marked(feed, 900)
    with start(feed, ["load", "-v"]) as process:
        assert process.stderr is not None
        while "so far" not in process.stderr.readline():
            pass
        process.send_signal(SIGTERM)
        process.communicate()
    assert process.returncode == 143
    assert switch.paths == [f"/{SECRET}/start?create=1", f"/{SECRET}/143?create=1"]


@only_sqlite
def test_a_switch_that_is_down(feed: Feed, visitpay: Visitpay, switch: Listener) -> None:
    """It costs one warning a load."""
    assert feed
    switch.answer = 404
    outcome = visitpay("load")
    assert outcome.status == 0
    expected = ["warning: the ping did not get through: the answer was 404"]
    assert warnings(outcome.err) == expected
    assert len(switch.paths) == 2


def test_a_dry_run_tells_no_one(
    feed: Feed, visitpay: Visitpay, webhook: Listener, switch: Listener
) -> None:
    """A rehearsal neither alerts nor pings nor writes metrics, and keeps no problem."""
    deliver_bad_day(feed)
    metrics = feed.landing.parent / "visitpay.prom"
    assert visitpay("load", "--dry-run", "--metrics-file", metrics).status == 1
    assert (webhook.told, switch.paths, metrics.exists()) == ([], [], False)
    assert records(feed) == []


@pytest.mark.parametrize(
    ("setting", "module", "extra"),
    [
        ("VISITPAY_ALERT_URLS", "apprise", "alerts"),
        ("VISITPAY_METRICS_FILE", "prometheus_client", "metrics"),
    ],
)
@only_sqlite
def test_without_the_extra(
    feed: Feed,
    visitpay: Visitpay,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    module: str,
    extra: str,
) -> None:
    """A setting whose library is not installed costs a warning, which says what to install."""
    deliver_bad_day(feed)
    monkeypatch.setenv(setting, f"json://{SECRET}")
    for name in ("visitpay.notify.channels", "visitpay.notify.metrics"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    outcome = visitpay("load")
    assert outcome.status == 1
    (warning,) = warnings(outcome.err)
    assert warning.startswith(NOT_USED)
    assert warning.endswith(f"; run: pip install 'visitpay[{extra}]'")
    assert SECRET not in outcome.err
    findings = visitpay("doctor", "--json").document["examined"]
    told = {each["name"]: (each["status"], each["message"]) for each in findings}[extra]
    assert told == ("error", warning.removeprefix(NOT_USED))


@only_sqlite
def test_unset_settings_cost_nothing(feed: Feed) -> None:
    """A load without channels, switch and metrics imports nothing for them."""
    deliver_bad_day(feed)
    script = (
        "import sys; from visitpay.cli.app import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print(*{'apprise', 'prometheus_client', 'http.client'} & set(sys.modules))"
    )
    command = ("-c", script, "load", str(feed.landing), "--database-url", feed.url)
    done = subprocess.run([sys.executable, *command], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "\n")
