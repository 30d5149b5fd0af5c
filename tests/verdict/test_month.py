"""A month of a feed, day by day under a shifted clock, with every kind of bad day.

At each step the verdict, the exit statuses and the alerts are held against a table of what is
right, and every command that the verdict names is run.
"""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from tests.support.command import Visitpay
from tests.support.feed import Feed, line, row
from tests.support.listeners import Listener
from visitpay.database.engine import make_engine
from visitpay.database.session import ExclusiveSession
from visitpay.models import Entity, Procedure, Transaction, Visit

# Later than the real clock, so that files that are written now are not of the future.
MONDAY = datetime(2040, 1, 2, tzinfo=UTC)

WELL, NEEDS, UNKNOWN = "well", "needs a person", "unknown"
EXIT_STATUS = {WELL: 0, NEEDS: 1, UNKNOWN: 3}

MINUTES = {Procedure: 1, Visit: 2, Transaction: 3}

ROWS = 20
"""Rows of a file of a usual day."""


class World:
    """A feed, and what can happen to it."""

    def __init__(self, feed: Feed, visitpay: Visitpay) -> None:
        """Take a feed, and the command that loads it."""
        self.feed, self.visitpay = feed, visitpay

    def deliver(self, *days: int, without: type[Entity] | None = None, bad: int = 0) -> None:
        """Deliver the files of days; each visit has one transaction, which is its balance."""
        for day in days:
            keys = [1000 * day + number for number in range(ROWS)]
            visits = [row(visit_identifier=key, visit_balance="9.00") for key in keys]
            visits[:bad] = [visit | {"admit_date": "soon"} for visit in visits[:bad]]
            files = {
                Procedure: [row(procedure_id=1, procedure_description=f"of day {day}")],
                Visit: visits,
                Transaction: [
                    row(transaction_identifier=key, visit_identifier=key) for key in keys[bad:]
                ],
            }
            for entity in files.keys() - {without}:
                self.feed.deliver(entity, *files[entity], at=at(day, entity))

    def misname(self, day: int, *, back: bool = False) -> None:
        """Give a day's files names that are not quite right, or the right ones again."""
        for entity in MINUTES:
            path = self.feed.path(entity, at(day, entity))
            odd = path.with_name(path.name.replace("_VisitPay_", "-VisitPay-"))
            (odd if back else path).rename(path if back else odd)

    def write_visits(self, day: int, content: bytes) -> None:
        """Deliver a day's visits as bytes."""
        self.feed.deliver_bytes(Visit, content, at=at(day, Visit))

    def cut_visits(self, day: int) -> None:
        """Take the end of its last line from a file; what is left of it is a good row."""
        path = self.feed.path(Visit, at(day, Visit))
        path.write_bytes(path.read_bytes().rstrip(b"\n"))

    def spoil_visits(self, day: int) -> None:
        """Deliver visits of which nearly all are bad, and the others would change rows."""
        bad = [line(Visit, visit_identifier=n, admit_date="soon") for n in range(2000)]
        self.feed.deliver_lines(Visit, *bad, line(Visit, visit_identifier=3000), at=at(day, Visit))

    def deliver_future(self) -> None:
        """Deliver a file that is dated months ahead."""
        self.feed.deliver(Procedure, at=FUTURE)

    def remove(self, entity: type[Entity], moment: str) -> None:
        """Take a file away."""
        self.feed.path(entity, moment).unlink()

    def die(self) -> None:
        """Leave the books as a load does that is killed."""
        last = "(SELECT id FROM (SELECT max(id) AS id FROM load_runs) AS newest)"
        change = "SET status = 'running', finished_at = NULL"
        self.feed.execute(f"UPDATE load_runs {change} WHERE id = {last}")

    def refuse(self) -> None:
        """Let a load begin while another one holds the database."""
        with ExclusiveSession(make_engine(self.feed.url), 0):
            assert self.visitpay("load", "--wait", "0").status == 3

    def balance(self, day: int, balance: str, *, on: int) -> None:
        """Deliver a day's visits again `on` another one, the first of them with this balance."""
        keys = [1000 * day + number for number in range(ROWS)]
        visits = [row(visit_identifier=key, visit_balance="9.00") for key in keys]
        visits[0] |= {"visit_balance": balance, "insurance_identifier": 5}
        moment = MONDAY + timedelta(days=on - 1, hours=5, minutes=day)
        self.feed.deliver(Visit, *visits, at=f"{moment:%Y%m%d_%H%M%S}")

    def run(self, *arguments: str, status: int = 0) -> None:
        """Run a command, which ends with this exit status."""
        assert self.visitpay(*arguments).status == status


@dataclass(frozen=True)
class Step:
    """What happens at a time, and what is right afterwards."""

    day: int
    hour: int
    happens: Callable[[World], object] = lambda _world: None
    load: int | None = 0
    """The exit status of the load of that time; None if none runs."""
    state: str = WELL
    kinds: Sequence[str] = ()
    """The kinds of the problems that need a person, in their order."""
    told: Sequence[str] = ()
    """How the lines of the alerts begin."""
    options: Sequence[str] = ()
    """Options of the load."""


def at(day: int, entity: type[Entity]) -> str:
    """Return the time in the name of a file of a day, at four in the morning."""
    moment = MONDAY + timedelta(days=day - 1, hours=4, minutes=MINUTES[entity])
    return f"{moment:%Y%m%d_%H%M%S}"


def usual(*days: int) -> Callable[[World], object]:
    """Return the delivery of whole days."""
    return lambda world: world.deliver(*days)


def several(*deeds: Callable[[World], object]) -> Callable[[World], object]:
    """Return what is several things, one after the other."""
    return lambda world: [deed(world) for deed in deeds]


FUTURE = "20400601_000000"

MONTH = [
    # Nothing yet; then files that no load takes.
    Step(1, 6, load=None, state=UNKNOWN),
    Step(1, 7, usual(1), None, UNKNOWN),
    Step(3, 6, usual(2, 3), None, NEEDS, ["files_waiting"]),
    Step(3, 7),
    *(Step(day, 6, usual(day)) for day in range(4, 9)),
    # A whole day under wrong names.
    Step(
        9,
        6,
        several(usual(9), lambda world: world.misname(9)),
        1,
        NEEDS,
        ["name_nearly_right"] * 3,
        ["new: HospitalABC-VisitPay-"] * 3,
    ),
    Step(
        10,
        6,
        several(usual(10), lambda world: world.misname(9, back=True)),
        told=["over: HospitalABC-VisitPay-"] * 3,
    ),
    # An empty file, whose rows others miss; a person knows of it, until it is over.
    Step(
        11,
        6,
        several(usual(11), lambda world: world.write_visits(11, b"")),
        1,
        NEEDS,
        ["file_failed", "rows_rejected"],
        [
            "new: HospitalABC_VisitPay_Visit_20400112",
            "new: Transaction: 20 rejected rows are open: missing_reference",
        ],
    ),
    Step(
        12,
        6,
        usual(12),
        1,
        NEEDS,
        ["file_failed", "rows_rejected"],
    ),
    Step(
        12,
        7,
        several(
            lambda world: world.run("acknowledge", "file_failed", "--why", "asked"),
            lambda world: world.run(
                *("acknowledge", "rows_rejected", "--entity", "transaction", "--why", "theirs"),
            ),
        ),
        None,
    ),
    Step(13, 6, usual(13)),
    Step(
        14,
        6,
        usual(14, 11),
        told=["over: HospitalABC_VisitPay_Visit", "over: Transaction missing_reference"],
    ),
    # A file that was cut off, and comes again whole.
    Step(
        15,
        6,
        several(usual(15), lambda world: world.cut_visits(15)),
        1,
        NEEDS,
        ["rows_rejected"] * 2,
        ["new: Transaction: 1 rejected row is", "new: Visit: 1 rejected row is open: no_line_end"],
    ),
    Step(16, 6, usual(15, 16), told=["over: Transaction missing", "over: Visit no_line_end"]),
    # Dirt that is tolerated, and then no longer.
    Step(17, 6, lambda world: world.deliver(17, bad=1), options=["--max-rejects", "5percent"]),
    # A type is missing; it comes two days later.
    Step(
        18,
        6,
        lambda world: world.deliver(18, without=Transaction),
        0,
        NEEDS,
        ["visit_without_transactions"],
        ["new: 20 visits have no transactions"],
    ),
    Step(
        18,
        12,
        lambda world: world.run("reconcile", status=1),
        None,
        NEEDS,
        ["type_missing", "balance_differs", "visit_without_transactions"],
    ),
    Step(
        19,
        6,
        usual(19),
        0,
        NEEDS,
        ["type_missing", "balance_differs", "visit_without_transactions"],
        ["new: 2040-01-19: no Transaction file", "new: 20 balances are not"],
    ),
    Step(
        20,
        6,
        usual(18, 20),
        told=["over: 20 visits have no", "over: 2040-01-19", "over: 20 balances are not"],
    ),
    # A file of the future is held, until it is taken away.
    Step(
        21,
        6,
        several(usual(21), World.deliver_future),
        1,
        NEEDS,
        ["file_held"],
        [f"new: HospitalABC_VisitPay_Procedure_{FUTURE}"],
    ),
    Step(22, 6, usual(22), 1, NEEDS, ["file_held"]),
    Step(
        23,
        6,
        several(usual(23), lambda world: world.remove(Procedure, FUTURE)),
        told=[f"over: HospitalABC_VisitPay_Procedure_{FUTURE}"],
    ),
    # A load that dies, and one that cannot begin.
    Step(23, 7, World.die, None, NEEDS, ["run_died"]),
    Step(24, 6, usual(24)),
    Step(24, 7, World.refuse, None, NEEDS, ["run_refused"], ["another load holds "]),
    Step(25, 6, usual(25), told=["over: a load could run again"]),
    # A balance that differs, which a person acknowledges; then one more.
    Step(
        26,
        6,
        several(usual(26), lambda world: world.balance(26, "1.00", on=26)),
    ),
    Step(
        26,
        7,
        lambda world: world.run("reconcile", status=1),
        None,
        NEEDS,
        ["balance_differs"],
    ),
    Step(
        26,
        8,
        lambda world: world.run("acknowledge", "balance_differs", "--why", "the hospital knows"),
        None,
    ),
    Step(27, 6, several(usual(27), lambda world: world.balance(27, "1.00", on=27))),
    Step(
        27,
        7,
        lambda world: world.run("reconcile", status=1),
        None,
        NEEDS,
        ["balance_differs"],
    ),
    Step(
        28,
        6,
        several(
            usual(28),
            lambda world: world.balance(26, "9.00", on=28),
            lambda world: world.balance(27, "9.00", on=28),
        ),
    ),
    # A file that is nearly all bad changes nothing, until it is replaced.
    Step(
        29,
        6,
        several(usual(29), lambda world: world.spoil_visits(29)),
        1,
        NEEDS,
        ["file_held", "rows_rejected"],
        ["new: HospitalABC_VisitPay_Visit_20400130", "new: Transaction: 20 rejected"],
    ),
    Step(
        30,
        6,
        usual(29, 30),
        told=["over: HospitalABC_VisitPay_Visit", "over: Transaction missing"],
    ),
    # Loads run, and nothing comes: perhaps it goes elsewhere.
    Step(31, 6),
    Step(
        32,
        6,
        state=NEEDS,
        kinds=["feed_late"],
        told=["new: no file was loaded since 2040-01-31 06:00 UTC"],
    ),
    Step(33, 6, usual(31, 32, 33), told=["over: no file was loaded since"]),
    # Nobody loads for 25 days, though files come.
    Step(34, 5, usual(34), None),
    Step(34, 10, load=None, state=NEEDS, kinds=["run_late"]),
    Step(58, 6, usual(35), None, NEEDS, ["run_late", "files_waiting"]),
    Step(58, 7),
]


def test_a_month(
    feed: Feed, visitpay: Visitpay, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdict is right at every step, and so is all that follows from it."""
    monkeypatch.setenv("VISITPAY_ALERT_URLS", listener.webhook)
    world = World(feed, visitpay)
    for step in MONTH:
        moment = MONDAY + timedelta(days=step.day - 1, hours=step.hour)
        with time_machine.travel(moment):
            step.happens(world)
            exit_status = visitpay("load", *step.options).status if step.load is not None else None
            document = visitpay("status", "--json").document
            needing = [each for each in document["verdict"]["problems"] if not each["acknowledged"]]
            kinds = [each["kind"] for each in needing]
            told = [each for _, lines in listener.messages() for each in lines]
            seen = (exit_status, document["verdict"]["state"], kinds, len(told))
            assert seen == (step.load, step.state, list(step.kinds), len(step.told)), (step, told)
            begin = [each.startswith(how) for each, how in zip(told, step.told, strict=True)]
            assert all(begin), (step, told)
            assert visitpay("status", "--exit-status").status == EXIT_STATUS[step.state], step
            for command in {each["command"] for each in needing} - {""}:
                follow(visitpay, command)
            assert listener.messages() == []


def follow(visitpay: Visitpay, command: str) -> None:
    """Run a command that the verdict names; one that loads, without keeping it."""
    name, *arguments = shlex.split(command)
    assert name == "visitpay"
    dry_run = ["--dry-run"] if arguments[0] == "load" else []
    outcome = visitpay(*arguments, *dry_run)
    assert outcome.status in {0, 1}, (command, outcome.err)
