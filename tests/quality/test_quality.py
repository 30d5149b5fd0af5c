from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.feed import Feed, columns, only_sqlite, parents, row
from visitpay.database.engine import make_engine, read_connection
from visitpay.landing.scan import scan
from visitpay.loading.types import Options
from visitpay.models import ENTITIES, Entity, Procedure, Transaction, Visit, entity_named
from visitpay.quality.balances import reconcile
from visitpay.quality.checks import (
    CHECKS,
    MAX_HISTORY,
    MIN_DIFFERENCE,
    MIN_HISTORY,
    Finding,
    UsualRows,
    findings,
    visits,
)

MONDAY = date(2021, 11, 1)


def deliver(feed: Feed, entity: type[Entity], day: date, rows: int = 1, bad: int = 0) -> str:
    """Deliver a file of a day with so many rows, some of them bad; give its name."""
    first = day.toordinal() * 1000
    cells = row(discharge_date="1/2/2021") if entity is Visit else parents(entity, first)
    key = columns(entity)[0]
    good = [cells | {key: first + number} for number in range(rows - bad)]
    moment = f"{day:%Y%m%d}_223{ENTITIES.index(entity)}00"
    return feed.deliver(entity, *good, *[cells | {key: "x"}] * bad, at=moment).name


def deliver_day(feed: Feed, day: date, without: type[Entity] | None = None) -> None:
    """Deliver a file of each type, or of each but one."""
    for entity in ENTITIES:
        if entity is not without:
            deliver(feed, entity, day)


def found(
    feed: Feed, today: date, expect: str | None = None, ignore: Sequence[str] = ()
) -> list[Finding]:
    """Load what was delivered and give what is to be looked into at the noon of a day."""
    feed.load()
    with read_connection(feed.url) as connection:
        return findings(connection, noon(today), expect, ignore)


def noon(day: date) -> datetime:
    """Return the noon of a day in UTC."""
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def after(days: int) -> date:
    """Return a day so long after MONDAY."""
    return MONDAY + timedelta(days)


@pytest.mark.parametrize("expect", [None, "daily", "weekdays"])
def test_nothing(feed: Feed, expect: str | None) -> None:
    """An empty database, and a feed of which all came, give nothing to look into."""
    assert found(feed, after(400), expect) == []
    for day in range(5):
        deliver_day(feed, after(day))
    assert found(feed, after(5), expect) == []


def test_type_missing(feed: Feed) -> None:
    """A type is missing on a day that is over when others came, and not for ever."""
    deliver_day(feed, MONDAY)
    deliver(feed, Procedure, after(1))
    deliver_day(feed, after(2), without=Visit)
    assert found(feed, after(2)) == []
    message = "no Visit file was loaded, though others were"
    missing = [Finding("type_missing", "2021-11-03", 1, message)]
    assert found(feed, after(3)) == missing
    deliver_day(feed, after(16))
    assert found(feed, after(400)) == missing
    path = feed.landing / deliver(feed, Visit, after(2))
    waiting = scan(feed.landing, "HospitalABC").files
    with read_connection(feed.url) as connection:
        assert findings(connection, noon(after(20)), waiting=waiting) == []
    path.unlink()
    deliver_day(feed, after(17))
    assert found(feed, after(400)) == []


def deliver_at(feed: Feed, *files: str) -> None:
    """Deliver files, each given as type and time: `Visit 20211101_235900`."""
    for number, each in enumerate(files):
        name, moment = each.split()
        entity = entity_named(name)
        cells = {
            Procedure: row(procedure_description=f"cast {number}"),
            Visit: row(admit_date=f"1/{number + 1}/2021"),
            Transaction: row(transaction_identifier=number),
        }[entity]
        feed.deliver(entity, cells, at=moment)


MIDNIGHT = ("Visit 20211101_235900", "Transaction 20211102_000100", "Procedure 20211102_000300")


@pytest.mark.parametrize(
    ("files", "days"),
    [
        (MIDNIGHT, []),
        ((*MIDNIGHT, "Visit 20211102_235900", "Transaction 20211103_000100"), ["2021-11-02"]),
        (
            (
                *(
                    "Visit 20211101_080000",
                    "Transaction 20211101_080100",
                    "Procedure 20211101_080200",
                ),
                *("Visit 20211101_200000", "Transaction 20211101_200100"),
            ),
            ["2021-11-01"],
        ),
        (
            ("Visit 20211101_080000", "Visit 20211101_080500", "Transaction 20211101_080600"),
            ["2021-11-01"],
        ),
        (("Visit 20211101_080000", "Visit 20211102_080000"), []),
        (("Visit 20211101_080000", "Transaction 20211101_150000"), []),
    ],
    ids=[
        "midnight",
        "one lacks",
        "two sets a day",
        "several of a type",
        "one type only",
        "far apart",
    ],
)
def test_files_that_belong_together(feed: Feed, files: tuple[str, ...], days: list[str]) -> None:
    """A type is missing from a set of files, wherever midnight falls, and not from a day."""
    deliver_at(feed, *files)
    told = [each for each in found(feed, after(5)) if "no Procedure" in each.message]
    assert [each.subject for each in told] == days


@pytest.mark.parametrize(
    ("sent", "days"),
    [
        (["VT"] * 6, [0, 1, 2, 3]),
        ([*["PVT"] * 5, "VT"], [5]),
        ([*["PVT"] * 5, *["VT"] * 7], [5, 6, 7, 8]),
        ([*["PVT", *["PV"] * 6] * 4, "PV", "PV"], [28]),
        ([*["PVT"] * 5, "V"], []),
    ],
    ids=["never came", "not today", "comes no more", "weekly", "one file sent once more"],
)
@only_sqlite
def test_which_types_are_usual(feed: Feed, sent: list[str], days: list[int]) -> None:
    """What comes with the others is learnt from the sets before, first from any weekday."""
    letters = {"P": Procedure, "V": Visit, "T": Transaction}
    others = [entity for entity in ENTITIES if entity not in letters.values()]
    for day, types in enumerate(sent):
        for entity in [letters[each] for each in types] + others * (len(types) > 1):
            deliver(feed, entity, after(day))
    told = [each for each in found(feed, after(len(sent))) if each.check == "type_missing"]
    assert [each.subject for each in told] == [f"{after(day)}" for day in days]


def test_a_set_is_judged_once_it_is_over(feed: Feed) -> None:
    """While more of it may come nothing is said of it."""
    deliver_at(feed, "Visit 20211101_080000", "Transaction 20211101_080100")
    feed.load()
    with read_connection(feed.url) as connection:
        for hour, times in ((13, 0), (15, 1)):
            now = noon(MONDAY).replace(hour=hour)
            told = [each for each in findings(connection, now) if "no Procedure" in each.message]
            assert len(told) == times


@pytest.mark.parametrize(("day", "times"), [(2, 0), (3, 1)])
def test_an_admission_of_tomorrow(feed: Feed, day: int, times: int) -> None:
    """One day is allowed, since the hospital may be east of Greenwich."""
    feed.deliver(Visit, at="20211101_080000", visit_identifier=1, admit_date=f"11/{day}/2021")
    told = [each.check for each in found(feed, MONDAY)]
    assert told.count("admission_in_future") == times


def test_what_waits_is_not_missing(feed: Feed) -> None:
    """Neither a day nor a visit's transactions lack while the file that may have them waits."""
    deliver_day(feed, MONDAY)
    feed.deliver(Visit, at="20211101_224000", visit_identifier=9)
    assert [each.check for each in found(feed, after(2), "daily")] == [
        "feed_missing",
        "visit_without_transactions",
    ]
    path = feed.landing / deliver(feed, Transaction, after(1))
    waiting = [each for each in scan(feed.landing, "HospitalABC").files if each.name == path.name]
    with read_connection(feed.url) as connection:
        assert findings(connection, noon(after(2)), "daily", waiting=waiting) == []


def test_files_of_the_future(feed: Feed) -> None:
    """A file with a time that is yet to come is told of, and hides nothing that others tell."""
    deliver_day(feed, MONDAY)
    deliver_day(feed, after(1), without=Visit)
    name = deliver(feed, Procedure, after(28000))
    feed.load(Options(approved=frozenset({name})))
    message = "dated in the future; until then its rows are the newest"
    assert found(feed, after(3), "daily") == [
        Finding("type_missing", "2021-11-02", 1, "no Visit file was loaded, though others were"),
        Finding("feed_missing", "2021-11-03", 1, "nothing came on 1 day, to 2021-11-03"),
        Finding("file_in_future", name, 1, message),
    ]
    assert "file_in_future" not in {each.check for each in found(feed, after(28000))}


@pytest.mark.parametrize(
    ("expect", "gaps"),
    [
        (None, []),
        ("daily", [("2021-11-03", 2, "2021-11-04"), ("2021-11-06", 5, "2021-11-10")]),
        ("weekdays", [("2021-11-03", 2, "2021-11-04"), ("2021-11-08", 3, "2021-11-10")]),
    ],
)
def test_feed_missing(feed: Feed, expect: str | None, gaps: list[tuple[str, int, str]]) -> None:
    """Days that are over and on which nothing came are told of, gap by gap, if expected."""
    for day in (0, 1, 4):
        deliver_day(feed, after(day))
    assert found(feed, after(10), expect) == [
        Finding("feed_missing", first, days, f"nothing came on {days} days, to {last}")
        for first, days, last in gaps
    ]


def test_old_gaps(feed: Feed) -> None:
    """A gap that ended weeks before the newest delivery is history; one that lasts never is."""
    for day in (0, 2, *range(3, 20)):
        deliver_day(feed, after(day))
    assert found(feed, after(20), "daily") == []
    (gap,) = found(feed, after(21), "daily")
    assert gap.message == "nothing came on 1 day, to 2021-11-21"
    (gap,) = found(feed, after(420), "daily")
    assert (gap.subject, gap.count) == ("2021-11-21", 400)


@pytest.mark.parametrize(("rows", "times"), [(28, 1), (29, 0), (51, 0), (52, 1)])
def test_unusual_rows(feed: Feed, rows: int, times: int) -> None:
    """A file with far more or fewer rows than those of its weekday is told of, and no other."""
    for week, usual in enumerate((39, 40, 40, 41)):
        deliver(feed, Procedure, after(7 * week), usual)
        deliver(feed, Procedure, after(7 * week + 1), 1)
    deliver(feed, Visit, after(28), 200)
    name = deliver(feed, Procedure, after(28), rows)
    told = [each for each in found(feed, after(29)) if each.check == "unusual_rows"]
    message = f"{rows} rows, 39 to 41 are usual"
    assert told == [Finding("unusual_rows", name, rows, message)] * times


@pytest.mark.parametrize(
    ("history", "usual"),
    [
        ((995, 1000, 1005, 998), (905, 1105)),
        ((1000, 3000, 1800, 2600), (600, 5000)),
        ((1000,) * 8, (910, 1100)),
        ((0, 40, 0, 0), (0, 80)),
        ((0, 0, 0, 0), (0, 10)),
        ((3, 4, 3, 3), (0, 14)),
    ],
)
def test_how_many_rows_are_usual(history: Sequence[int], usual: tuple[int, int]) -> None:
    """As many as there were, and beyond them as far as they are apart, or a tenth, or ten rows."""
    of_history = UsualRows(min(history), max(history))
    fewest, most = usual
    around = [number for number in (fewest - 1, fewest, most, most + 1) if number >= 0]
    assert [number for number in around if of_history.includes(number)] == sorted({fewest, most})


@given(st.lists(st.integers(0, 10**9), min_size=MIN_HISTORY, max_size=MAX_HISTORY), st.data())
def test_what_came_before_is_usual(history: list[int], data: st.DataObject) -> None:
    """No number of rows between those of the history is unusual, and none near to them."""
    least, most = min(history), max(history)
    rows = data.draw(st.integers(least - MIN_DIFFERENCE, most + MIN_DIFFERENCE))
    assert UsualRows(least, most).includes(rows)


def test_unusual_rows_without_history(feed: Feed) -> None:
    """Nothing is said of what is usual before there are four deliveries to tell from."""
    for week in range(3):
        deliver(feed, Procedure, after(7 * week), 40)
    deliver(feed, Procedure, after(21), 1)
    assert found(feed, after(29)) == []


@pytest.mark.parametrize(("bad", "times"), [(14, 0), (15, 1)])
def test_reject_share(feed: Feed, bad: int, times: int) -> None:
    """The newest file of a type is told of when its share of rejects is far above the usual."""
    for day in range(5):
        deliver(feed, Procedure, after(day), 50, 2 if day else 50)
    name = deliver(feed, Procedure, after(5), 50, bad)
    told = found(feed, after(6))
    message = "30.0% rejected, 4.0% are usual"
    assert told == [Finding("reject_share", name, 15, message)] * times
    deliver(feed, Procedure, after(6), 50, 2)
    assert found(feed, after(7)) == []


@pytest.mark.parametrize("moment", ["19900101_000000", "21001231_235959"])
def test_times_at_the_ends_of_the_calendar(feed: Feed, moment: str) -> None:
    """A file from the first year that a name may have, or the last one, upsets no check."""
    name = feed.deliver(Procedure, at=moment).name
    feed.load(Options(approved=frozenset({name})))
    future = [("file_in_future", name)] * (moment > "2021")
    assert [(each.check, each.subject) for each in found(feed, MONDAY)] == future
    gaps = [("1990-01-02", (MONDAY - date(1990, 1, 2)).days)] * (moment < "2021")
    told = [each for each in found(feed, MONDAY, "daily") if each.check == "feed_missing"]
    assert [(each.subject, each.count) for each in told] == gaps


def test_redelivered(feed: Feed) -> None:
    """Of a file that came again with other content the newest delivery counts."""
    for day in range(4):
        deliver(feed, Procedure, after(day), 50)
    deliver(feed, Procedure, after(4), 50, 50)
    assert [each.check for each in found(feed, after(5))] == ["reject_share"]
    deliver(feed, Procedure, after(4), 50)
    assert found(feed, after(5)) == []


def test_visits(feed: Feed) -> None:
    """Visits that end too soon, begin too late, or have no transactions are counted by check."""
    feed.deliver(Procedure, at="20211101_000000")
    feed.deliver(
        Visit,
        row(visit_identifier=10, discharge_date="1/2/2021", visit_balance=5),
        row(visit_identifier=11, discharge_date="1/1/2021", visit_balance=6),
        row(visit_identifier=12, admit_date="11/2/2021"),
        row(visit_identifier=13, admit_date="11/3/2021", discharge_date="11/2/2021"),
        at="20211101_000000",
    )
    feed.deliver(
        Transaction,
        *(row(transaction_identifier=key, visit_identifier=key, amount=5) for key in (10, 11, 12)),
        at="20211101_000000",
    )
    feed.load()
    reconcile(make_engine(feed.url), noon(MONDAY))
    assert "admission_in_future" not in {each.check for each in found(feed, after(1))}
    assert found(feed, MONDAY, ignore=["type_missing"]) == [
        Finding("balance_differs", "", 1, "1 balance is not the sum of the transactions"),
        Finding("discharge_before_admission", "", 2, "2 visits end before they begin"),
        Finding("admission_in_future", "", 1, "1 visit begins on a day that is yet to come"),
        Finding("visit_without_transactions", "", 1, "1 visit has no transactions"),
    ]
    with read_connection(feed.url) as connection:
        listed = visits(connection, noon(MONDAY), 1)
        everything = visits(connection, noon(MONDAY), 9)
    assert [tuple(map(str, each)) for each in listed] == [
        ("balance_differs", "11", "6.00", "5.00", str(noon(MONDAY))),
        ("discharge_before_admission", "11", "6.00", "None", "None"),
        ("admission_in_future", "13", "None", "None", "None"),
        ("visit_without_transactions", "13", "None", "None", "None"),
    ]
    assert len(everything) == 5


def test_names() -> None:
    """The checks keep their names, by which problems are told apart."""
    assert list(CHECKS) == [
        "type_missing",
        "feed_missing",
        "file_in_future",
        "file_in_past",
        "content_repeated",
        "columns_unknown",
        "rows_withdrawn",
        "conflicting_rows",
        "unusual_rows",
        "reject_share",
        "balance_differs",
        "discharge_before_admission",
        "admission_in_future",
        "visit_without_transactions",
    ]
