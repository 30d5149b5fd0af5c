import tracemalloc
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from tests.support.feed import Feed, only_sqlite
from visitpay.database.engine import make_engine, read_connection
from visitpay.errors import ConfigurationError
from visitpay.invented import parent_of
from visitpay.landing.scan import scan
from visitpay.models import ENTITIES, Entity, entity_named
from visitpay.parsing.columns import file_columns, file_header, key_column
from visitpay.parsing.lines import MAX_LINE_BYTES
from visitpay.parsing.parser import Parser
from visitpay.quality.balances import reconcile
from visitpay.quality.checks import findings
from visitpay.sample import FIRST_DAY, write_sample
from visitpay.vocabulary import Reason

DAYS = 3


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clean feed of some days."""
    directory = tmp_path_factory.mktemp("clean")
    write_sample(directory, visits=1000, days=DAYS)
    return directory


@pytest.fixture(scope="module")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a feed of some days of which ten rows in a hundred are damaged."""
    directory = tmp_path_factory.mktemp("dirty")
    write_sample(directory, visits=4000, days=DAYS, dirt=10)
    return directory


def parsed(directory: Path, entity: str) -> list[tuple[pl.DataFrame, pl.DataFrame]]:
    """Parse the files of a type: the good rows and the rejects of each day."""
    days = []
    for file in scan(directory, "HospitalABC").files:
        if file.entity == entity:
            with (directory / file.name).open("rb") as source:
                day = file.file_datetime.date()
                parser = Parser(source, entity_named(entity), file_date=day)
                batches = list(parser.batches())
            rows, rejects = ([getattr(b, name) for b in batches] for name in ("rows", "rejects"))
            days.append((pl.concat(rows), pl.concat(rejects)))
    assert len(days) == DAYS
    return days


def good(directory: Path, entity: str) -> list[pl.DataFrame]:
    """Return the good rows of each day."""
    return [rows for rows, _ in parsed(directory, entity)]


def tables(directory: Path) -> dict[str, pl.DataFrame]:
    """Return the rows as they stand after the last day, by type."""
    return {
        entity.__name__: pl.concat(good(directory, entity.__name__)).unique(
            key_column(entity).name, keep="last", maintain_order=True
        )
        for entity in ENTITIES
    }


def content(directory: Path, seed: int, dirt: float) -> dict[str, bytes]:
    """Write a small feed and give its files' bytes by name."""
    paths = write_sample(directory, visits=100, days=2, dirt=dirt, seed=seed)
    assert sorted(paths) == sorted(directory.iterdir())
    return {path.name: path.read_bytes() for path in paths}


@pytest.mark.parametrize("dirt", [0, 20])
def test_seed(tmp_path: Path, dirt: float) -> None:
    """The same arguments give the same bytes, another seed gives others."""
    first = content(tmp_path / "a", 1, dirt)
    assert first == content(tmp_path / "b", 1, dirt)
    other = content(tmp_path / "c", 2, dirt)
    assert first.keys() == other.keys()
    same = {name for name in first if first[name] == other[name]}
    assert same <= {"HospitalABC_VisitPay_Procedure_20211201_223358.TXT"}


def test_headers(clean: Path) -> None:
    """The files have the columns of the model that are due or optional, in its order."""
    headers = {
        path.name.split("_")[2]: path.read_text().splitlines()[0].split("\t")
        for path in clean.iterdir()
    }
    assert headers == {
        entity.__name__: [
            file_header(column)
            for column in file_columns(entity)
            if column.info.get("since", FIRST_DAY) <= FIRST_DAY
        ]
        for entity in ENTITIES
    }


def test_names(clean: Path) -> None:
    """Each day has one file of each type, at the hours of the real feed."""
    landing = scan(clean, "HospitalABC")
    hours = {"Procedure": "22:33:57", "Visit": "22:30:05", "Transaction": "22:31:33"}
    assert [(file.entity, f"{file.file_datetime}") for file in landing.files] == [
        (entity.__name__, f"2021-12-0{day} {hours.get(entity.__name__, '22:32:00')}+00:00")
        for entity in ENTITIES
        for day in (1, 2, 3)
    ]
    assert landing.unrecognised == {}


def test_other_hospital(tmp_path: Path) -> None:
    """The hospital's name starts each file's name."""
    paths = write_sample(tmp_path, visits=0, hospital="StElsewhere")
    assert [path.name.split("_")[0] for path in paths] == ["StElsewhere"] * len(ENTITIES)


def test_no_rejects(clean: Path) -> None:
    """A clean feed has no rejects, and no key twice in a file."""
    for entity in ENTITIES:
        for rows, rejects in parsed(clean, entity.__name__):
            assert rejects.is_empty()
            assert rows[key_column(entity).name].is_unique().all()


def test_row_counts(clean: Path) -> None:
    """As many visits as asked for, five times the transactions, a procedure a hundred visits."""
    stand = tables(clean)
    assert len(stand["Visit"]) == 1000
    assert len(stand["Procedure"]) == 10
    per_visit = stand["Transaction"].group_by("visit_identifier").len()["len"]
    assert set(per_visit) == set(range(1, 10))
    assert per_visit.mean() == pytest.approx(5, abs=0.05)
    numbers = stand["Transaction"]["transaction_identifier"]
    assert sorted(numbers) == list(range(54321000001, 54321000001 + len(numbers)))


def test_references(clean: Path) -> None:
    """What a row refers to was delivered by that day, and later days bring procedures."""
    known: dict[type[Entity], set[int]] = {entity: set() for entity in ENTITIES}
    days = zip(*(good(clean, entity.__name__) for entity in ENTITIES), strict=True)
    for of_day in days:
        for entity, rows in zip(ENTITIES, of_day, strict=True):
            new = set(rows[key_column(entity).name]) - known[entity]
            assert new
            known[entity] |= new
            for column in file_columns(entity):
                if parent := parent_of(column):
                    assert set(rows[column.name].drop_nulls()) <= known[parent]


def test_balances(clean: Path) -> None:
    """The balance is the sum of the transactions wherever there is one, and nearly always is."""
    stand = tables(clean)
    sums = stand["Transaction"].group_by("visit_identifier").agg(pl.col("amount").sum())
    visits = stand["Visit"].join(sums, on="visit_identifier")
    assert (visits["visit_balance"] == visits["amount"]).all()
    assert 0.01 < visits["visit_balance"].null_count() / 1000 < 0.06


def test_wrong_balances(tmp_path: Path) -> None:
    """In a dirty feed every sixteenth visit has a wrong one, if any, also when it is sent again."""
    write_sample(tmp_path, visits=1000, days=DAYS, dirt=1e-9)
    stand = tables(tmp_path)
    sums = stand["Transaction"].group_by("visit_identifier").agg(pl.col("amount").sum())
    visits = stand["Visit"].join(sums, on="visit_identifier")
    wrong = visits.filter(pl.col("visit_balance") != pl.col("amount"))["visit_identifier"]
    known = visits.filter(pl.col("visit_balance").is_not_null())["visit_identifier"]
    assert sorted(wrong) == sorted(set(range(321000001, 321001001, 16)) & set(known))
    assert len(wrong) > 50


@only_sqlite
@pytest.mark.parametrize(
    ("visits", "days", "seed"), [(1, 1, 0), (7, 9, 1), (900, 14, 2), (60, 36, 3)]
)
def test_no_findings(feed: Feed, visits: int, days: int, seed: int) -> None:
    """Nothing is to be looked into in a clean feed, of any size and any number of days."""
    write_sample(feed.landing, visits=visits, days=days, seed=seed)
    assert feed.load().status == "ok"
    now = datetime.now(UTC)
    reconcile(make_engine(feed.url), now)
    with read_connection(feed.url) as connection:
        assert findings(connection, now) == []


def test_variety(clean: Path) -> None:
    """Dates and insurances are sometimes empty, amounts sometimes negative."""
    stand = tables(clean)
    for column in ("discharge_date", "insurance_identifier"):
        assert 0.02 < stand["Visit"][column].null_count() / 1000 < 0.15
    assert 0.05 < (stand["Transaction"]["amount"] < 0).mean() < 0.2  # type: ignore[operator]
    stays = stand["Visit"]["discharge_date"] - stand["Visit"]["admit_date"]
    assert (stays.drop_nulls().dt.total_days() >= 0).all()


@pytest.mark.parametrize("entity", ["Visit", "Transaction"])
def test_corrections(clean: Path, entity: str) -> None:
    """Later days send some rows of the day before again, most of them changed, not all."""
    key = key_column(entity_named(entity)).name
    columns = [column.name for column in file_columns(entity_named(entity))]
    for before, after in pairwise(good(clean, entity)):
        again = after.filter(after[key].is_in(before[key].implode()))
        unchanged = again.join(before, on=columns, nulls_equal=True)
        assert 0 < len(unchanged) < len(again)
        assert 0.005 < len(again) / len(before) < 0.04


def test_formats(clean: Path) -> None:
    """Cells are written as in the real feed: tabs, M/D/YYYY, no zeros at the end of an amount."""
    text = (clean / "HospitalABC_VisitPay_Transaction_20211201_223133.txt").read_text()
    amounts = [line.split("\t")[3] for line in text.splitlines()[1:]]
    assert not [amount for amount in amounts if "." in amount and amount[-1] in "0."]
    assert {len(amount.partition(".")[2]) for amount in amounts} == {0, 1, 2}
    assert text.endswith("\n")
    text = (clean / "HospitalABC_VisitPay_Visit_20211201_223005.txt").read_text()
    assert not text.endswith("\n")
    assert "\r" not in text
    assert {len(line.split("\t")[2]) for line in text.splitlines()[1:]} == {8, 9, 10}


def test_reasons(dirty: Path) -> None:
    """A dirty feed has every fault that the parser can find, about as often as asked for."""
    reasons = Counter[str]()
    for entity in ENTITIES:
        for rows, rejects in parsed(dirty, entity.__name__):
            reasons.update(rejects["reason"])
            if entity.__name__ != "Procedure":
                assert 0.07 < len(rejects) / (len(rows) + len(rejects)) < 0.13
    assert set(reasons) == set(Reason) - {"missing_reference", "no_line_end"}
    assert reasons["line_too_long"] == 1


@only_sqlite
@pytest.mark.parametrize(("days", "times"), [(3, 0), (4, 1)])
def test_cut_off(feed: Feed, days: int, times: int) -> None:
    """The last file of transactions is cut off, which is seen if there are enough before it."""
    write_sample(feed.landing, visits=40, days=days, dirt=5)
    feed.load()
    assert [reason for _, _, _, reason, *_ in feed.rejects()].count("no_line_end") == times


def test_nothing_else_is_lost(dirty: Path) -> None:
    """Of a dirty feed every visit and procedure arrives, so that only damaged rows are rejected."""
    stand = tables(dirty)
    assert len(stand["Visit"]) == 4000
    assert len(stand["Procedure"]) == 40


def test_missing_references(dirty: Path) -> None:
    """Some transactions refer to a visit of the next day, and on the last day to one of no day."""
    visits = good(dirty, "Visit")
    transactions = good(dirty, "Transaction")
    for day, rows in enumerate(transactions):
        known = set(pl.concat(visits[: day + 1])["visit_identifier"])
        missing = [number for number in rows["visit_identifier"] if number not in known]
        assert 0.005 < len(missing) / len(rows) < 0.015
        if day + 1 < DAYS:
            assert set(missing) <= set(visits[day + 1]["visit_identifier"])
        else:
            assert set(missing).isdisjoint(pl.concat(visits)["visit_identifier"])


@pytest.mark.parametrize(
    ("entity", "pattern"),
    [
        ("Visit", "\t[0-9]{4}-[0-9]{2}-[0-9]{2} 00:00:00\t"),
        ("Transaction", r"\t\$[0-9.]+(?:\t|$)"),
        ("Transaction", r"\t\$1,[0-9.]+(?:\t|$)"),
        ("Transaction", r"\t\([0-9.]+\)(?:\t|$)"),
        ("Transaction", '^"[0-9]+"\t'),
        ("Transaction", "\t\t$"),
    ],
)
def test_oddities(dirty: Path, entity: str, pattern: str) -> None:
    """A dirty feed has rows that are written oddly and load all the same."""
    assert pl.concat(good(dirty, entity))["raw"].str.contains(pattern).any()


def test_odd_descriptions(tmp_path: Path) -> None:
    """Some descriptions of a dirty feed hold quotes, lone or doubled, and mean them."""
    write_sample(tmp_path, visits=20_000, days=DAYS, dirt=80)
    descriptions = pl.concat(good(tmp_path, "Procedure"))["procedure_description"]
    assert descriptions.str.contains('^5" [A-Z]').any()
    assert descriptions.str.contains('^[A-Z].* "soft"$').any()


def test_blank_and_doubled_lines(dirty: Path) -> None:
    """A dirty feed has blank lines and rows that stand there twice."""
    path = dirty / "HospitalABC_VisitPay_Transaction_20211201_223133.txt"
    lines = path.read_bytes().split(b"\n")[1:-1]
    assert b"" in lines
    assert any(first == second != b"" for first, second in pairwise(lines))


def test_dirt_of_files(dirty: Path) -> None:
    """A dirty feed has one line beyond the limit, on the last day, and one name almost right."""
    long = {
        path.name: sum(len(line) > MAX_LINE_BYTES for line in path.read_bytes().split(b"\n"))
        for path in dirty.iterdir()
    }
    assert {name: count for name, count in long.items() if count} == {
        "HospitalABC_VisitPay_Transaction_20211203_223133.txt": 1
    }
    unrecognised = tuple(scan(dirty, "HospitalABC").unrecognised)
    assert unrecognised == ("HospitalABC_VisitPay_Procedure_20211201_223358.TXT",)


def test_all_damaged(tmp_path: Path) -> None:
    """With dirt of 100 percent no transaction that refers to a visit can be loaded."""
    write_sample(tmp_path, visits=100, days=DAYS, dirt=100)
    visits = pl.concat(good(tmp_path, "Visit"))["visit_identifier"]
    for day, rows in enumerate(good(tmp_path, "Transaction")):
        today = visits.filter(visits < 321000001 + 34 + 33 * day)
        assert not rows["visit_identifier"].is_in(today.implode()).any()


def test_existing_file(tmp_path: Path) -> None:
    """A file that is there already is refused, by name, and nothing is written."""
    there = tmp_path / "HospitalABC_VisitPay_Visit_20211202_223005.txt"
    there.write_text("mine")
    with pytest.raises(ConfigurationError) as caught:
        write_sample(tmp_path, visits=10, days=2)
    assert str(caught.value) == f"{there} exists already; give a directory without a sample"
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_unwritable_directory(tmp_path: Path) -> None:
    """A directory that cannot be made is refused."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be written to: Not a directory; choose"):
        write_sample(tmp_path / "file" / "below", visits=1)


@pytest.mark.parametrize(
    ("visits", "days", "dirt"),
    [(-1, 1, 0), (1, 0, 0), (1, 1, -1), (1, 1, 101), (1, 1, float("nan"))],
)
def test_out_of_range(tmp_path: Path, visits: int, days: int, dirt: float) -> None:
    """Arguments that make no sense are refused."""
    with pytest.raises(ConfigurationError, match="takes 0 visits or more"):
        write_sample(tmp_path / "sample", visits=visits, days=days, dirt=dirt)
    assert not (tmp_path / "sample").exists()


def test_more_days_than_visits(tmp_path: Path) -> None:
    """The first days take what does not divide, and later days may bring no visits."""
    write_sample(tmp_path, visits=2, days=DAYS)
    paths = sorted(tmp_path.glob("*_Visit_*"))
    assert [path.read_text().count("\n") for path in paths] == [2, 1, 0]


def test_constant_memory(tmp_path: Path) -> None:
    """Ten times the visits need no more memory."""
    write_sample(tmp_path / "first", visits=1)
    peaks = []
    for visits in (2000, 20_000):
        tracemalloc.start()
        write_sample(tmp_path / f"{visits}", visits=visits, days=2)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
