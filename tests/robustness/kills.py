"""Loads that are killed at any moment, while someone looks on all the time."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import Connection, func, select

from tests.robustness.promise import check_books
from tests.support.command import start
from tests.support.databases import MakeDatabase
from tests.support.feed import Feed
from visitpay.database.engine import make_engine, read_connection
from visitpay.loading.run import load
from visitpay.models import ENTITIES, LoadFile, RejectedRow
from visitpay.sample import write_sample
from visitpay.vocabulary import FileStatus

SCENES = ("first load", "redelivery", "retry")

_SECONDS = (0.1, 1.2)
"""So long after its start a load is killed."""


@dataclass
class Landings:
    """What arrives before, undisturbed, and then, while loads are killed."""

    before: Path
    then: Path


def arrivals(scene: str, folder: Path, visits: int, seed: int = 0) -> Landings:
    """Write the files of a scene."""
    before, then = folder / "before", folder / "then"
    before.mkdir()
    if scene == "first load":
        write_sample(then, visits=visits, days=3, dirt=2, seed=seed)
    elif scene == "redelivery":
        write_sample(before, visits=visits, days=1, dirt=2, seed=seed)
        then.mkdir()
        for file in before.iterdir():  # later, with every amount and description another
            later = file.name.replace("_VisitPay_", "_VisitPay_").replace("2021", "2022")
            (then / later).write_bytes(file.read_bytes().replace(b"5", b"6"))
    else:
        write_sample(then, visits=visits, days=1, dirt=0, seed=seed)
        for file in then.glob("*Transaction*"):
            file.rename(before / file.name)
    return Landings(before, then)


@dataclass
class Lookout:
    """Someone who looks at a database again and again, until told to stop."""

    feed: Feed
    looks: int = 0
    wrong: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look all the while."""
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                with read_connection(self.feed.url) as connection:
                    self._look(connection)
            except Exception as error:  # noqa: BLE001 - to be refused is wrong as well
                self.wrong.append(repr(error))
            self.looks += 1
            self._stop.wait(0.02)

    def _look(self, connection: Connection) -> None:
        if connection.dialect.name == "postgresql":  # one moment for all the questions
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        whole = select(LoadFile.id).where(
            LoadFile.status == FileStatus.LOADED, LoadFile.loaded_at.is_not(None)
        )
        for entity in ENTITIES:
            strays = select(func.count()).where(entity.source_file_id.not_in(whole))
            if connection.scalar(strays):
                self.wrong.append(f"rows of {entity.__name__} from a file that is not whole")
        held = (
            select(LoadFile.id)
            .outerjoin(RejectedRow)
            .group_by(LoadFile.id, LoadFile.rows_rejected)
            .having(func.count(RejectedRow.id) != LoadFile.rows_rejected)
        )
        if connection.scalars(held).all():
            self.wrong.append("rejects that the ledger does not know")


@dataclass
class Killing:
    """What came of killing the loads of a scene."""

    kills: int = 0
    survived: int = 0
    looks: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, other: "Killing") -> None:
        """Add another's figures to these."""
        self.kills += other.kills
        self.survived += other.survived
        self.looks += other.looks
        self.wrong += other.wrong


def state(feed: Feed) -> tuple[Any, ...]:
    """Return all that must be the same in the end."""
    with read_connection(feed.url) as connection:
        columns = [each for each in LoadFile.__table__.columns if each.name.startswith("rows_")]
        ledger = connection.execute(
            select(LoadFile.name, LoadFile.status, *columns).order_by(LoadFile.name)
        ).all()
    return feed.tables(), feed.rejects(), ledger


def undisturbed(feed: Feed, landings: Landings) -> tuple[Any, ...]:
    """Load everything, and give the state in which that ends."""
    for landing in (landings.before, landings.then):
        load(make_engine(feed.url), landing, "HospitalABC")
    return state(feed)


def kill_loads(
    feed: Feed, landings: Landings, expected: tuple[Any, ...], most: int, random: Random
) -> Killing:
    """Kill up to so many loads, one after the other; then load, and compare the states."""
    load(make_engine(feed.url), landings.before, "HospitalABC")
    done, lookout = Killing(), Lookout(feed)
    with lookout.watching():
        for _ in range(most):
            with start(feed, ["load", str(landings.then)]) as process:
                time.sleep(random.uniform(*_SECONDS))
                process.kill()
                process.communicate()
            if process.returncode >= 0:
                break  # it had come to its end
            done.kills += 1
        load(make_engine(feed.url), landings.then, "HospitalABC")
    check_books(feed)
    done.survived = done.kills if state(feed) == expected else 0
    done.looks, done.wrong = lookout.looks, lookout.wrong
    return done


class Victims:
    """The loads of a scene, to be killed on one database after the other."""

    def __init__(
        self,
        scene: str,
        make_database: MakeDatabase,
        make_folder: Callable[[str], Path],
        visits: int = 20_000,
    ) -> None:
        """Write the scene's files, and find out how it ends when nobody disturbs."""
        self._make_database, self._make_folder = make_database, make_folder
        self._landings = arrivals(scene, make_folder("feed"), visits)
        self._random = Random(scene)  # noqa: S311 - no secret
        with make_database("sqlite", make_folder("undisturbed")) as url:
            self._expected = undisturbed(Feed(self._landings.then, url), self._landings)

    def kill(self, kind: str, kills: int) -> Killing:
        """Kill at least so many loads on databases of a kind."""
        total = Killing()
        while total.kills < kills and not total.wrong and total.survived == total.kills:
            with self._make_database(kind, self._make_folder("killed")) as url:
                feed, most = Feed(self._landings.then, url), kills - total.kills
                total.add(kill_loads(feed, self._landings, self._expected, most, self._random))
        return total
