"""The files that are loaded: made up, seeded, laid out for each delivery."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path

from visitpay.sample import write_sample

CHANGES = 1_000


@dataclass(frozen=True)
class Delivery:
    """Files that arrive together, for a workload of so many rows."""

    workload: str
    rows: int
    new: Path
    """A folder with these files alone."""
    landing: Path
    """A folder with all that arrived so far."""


def one_day(folder: Path, visits: int, workload: str = "first") -> Delivery:
    """Write a feed of one day."""
    write_sample(folder / workload, visits=visits)
    return _alone(workload, folder / workload)


def _alone(workload: str, folder: Path) -> Delivery:
    return Delivery(workload, _rows_of(folder), folder, folder)


def deliveries(folder: Path, visits: int) -> Iterator[Delivery]:
    """Write a day, the same again under later names, and a day that adds and corrects a little."""
    first = one_day(folder, visits)
    yield first
    again = folder / "again"
    _link(again, {path.name.replace("_2021", "_2022"): path for path in first.new.iterdir()})
    yield _after([first.new, again], "again")
    day = folder / "day"
    _write_changes(first.new, day)
    yield _after([first.new, again, day], "day")


def _after(arrived: list[Path], workload: str) -> Delivery:
    landing = arrived[-1].with_name(f"landing-{workload}")
    _link(landing, {path.name: path for folder in arrived for path in folder.iterdir()})
    return Delivery(workload, _rows_of(arrived[-1]), arrived[-1], landing)


def _link(folder: Path, paths: dict[str, Path]) -> None:
    folder.mkdir()
    for name, path in paths.items():
        os.link(path, folder / name)


def _write_changes(first: Path, folder: Path) -> None:
    """Write a Transaction file: rows from all over the first, corrected, and as many new ones."""
    folder.mkdir()
    (source,) = first.glob("*_Transaction_*.txt")
    apart = max(1, _rows_in(source) // CHANGES)
    with source.open() as lines, (folder / source.name.replace("_2021", "_2023")).open("w") as file:
        header = next(lines)
        file.write(header)
        amount = header.rstrip("\n").split("\t").index("Amount")
        for line in islice(lines, 0, CHANGES * apart, apart):
            key, *others = line.rstrip("\n").split("\t")
            file.write("\t".join([str(int(key) + 10**9), *others]) + "\n")
            others[amount - 1] = str(Decimal(others[amount - 1]) + 1)
            file.write("\t".join([key, *others]) + "\n")


def two_days(folder: Path, workload: str, visits: int, dirt: float) -> list[Delivery]:
    """Write a feed of two days, each in a folder of its own."""
    paths = write_sample(folder / workload, visits=visits, days=2, dirt=dirt)
    days = []
    for day in ("20211201", "20211202"):
        of_day = folder / f"{workload}-{day}"
        _link(of_day, {path.name: path for path in paths if day in path.name})
        days.append(_alone(workload, of_day))
    return days


def small_files(folder: Path, workload: str, count: int) -> Delivery:
    """Write files of one row each, all but for its key the same."""
    landing = folder / workload
    landing.mkdir()
    sample = next(
        path
        for path in write_sample(folder / f"{workload} sample", visits=1)
        if "_Proc" in path.name
    )
    header, first, *_ = sample.read_text().splitlines()
    others = first.partition("\t")[2]
    start = datetime(2021, 12, 1, tzinfo=UTC)
    for number in range(1, count + 1):
        moment = start + timedelta(seconds=number)
        path = landing / f"HospitalABC_VisitPay_Procedure_{moment:%Y%m%d_%H%M%S}.txt"
        path.write_text(f"{header}\n{number}\t{others}\n")
    return Delivery(workload, count, landing, landing)


def _rows_of(folder: Path) -> int:
    """Count the rows of a folder's files."""
    return sum(map(_rows_in, folder.glob("*.txt")))


def _rows_in(path: Path) -> int:
    with path.open("rb") as lines:
        return sum(1 for _ in lines) - 1
