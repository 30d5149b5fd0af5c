"""Every command that a message tells people to run works as it stands, from anywhere."""

import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from tests.support.command import Outcome, on_terminal
from tests.support.databases import MakeDatabase, rendered
from tests.support.feed import Feed, only_postgresql, only_sqlite, row
from tests.support.listeners import Listener
from visitpay.cli.app import main
from visitpay.database.engine import parse_url
from visitpay.database.naming import migrate_command
from visitpay.hints import SET_URL, Setup
from visitpay.ledger.refused import record_refusal
from visitpay.models import Procedure, Transaction, Visit
from visitpay.verdict.advice import ADVICE

COMMANDS = (
    "acknowledge check config doctor explain files load migrate reconcile rejects report runs"
    " sample status"
)
HINT = re.compile(rf"visitpay (?:{COMMANDS.replace(' ', '|')})\b(?! (?:said|is|was)\b).*")
"""A command in a message: it stands at the end of the message, or of its line."""

ODD = "a place; of 'ours' & $HOME"
PASSWORD = "hunter2%2Fsw0rdf1sh"  # noqa: S105 - the server trusts everyone


@pytest.fixture
def feed(
    request: pytest.FixtureRequest, tmp_path: Path, make_database: MakeDatabase
) -> Iterator[Feed]:
    """Yield a feed in a place whose name a shell would take apart."""
    place = tmp_path / ODD
    landing = place / "what lands"
    landing.mkdir(parents=True)
    with make_database(getattr(request, "param", "sqlite"), place) as url:
        yield Feed(landing, url)


class Person:
    """Who runs commands, and then what they say, elsewhere and with nothing set."""

    def __init__(self, feed: Feed, patch: pytest.MonkeyPatch, streams: Any) -> None:
        """Begin in a place where another database and no landing directory is."""
        self.feed, self._patch, self._streams = feed, patch, streams
        self.said: list[str] = []
        elsewhere = feed.landing.parents[1] / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "visitpay.db").write_bytes(b"no database")
        patch.chdir(elsewhere)
        for name in ("VISITPAY_DATABASE_URL", "VISITPAY_LANDING", "VISITPAY_HOSPITAL"):
            patch.delenv(name, raising=False)

    def run(self, *words: str) -> Outcome:
        """Run a command."""
        self._streams.readouterr()
        with pytest.raises(SystemExit) as stop:
            main(list(words))
        out, err = self._streams.readouterr()
        self.said += [out, err]
        return Outcome(int(stop.value.code or 0), out, err)

    def look(self, *commands: str, by_environment: bool = False) -> None:
        """Run commands on the feed, told by options, or by the environment, where it is."""
        setup = Setup(self.feed.url, self.feed.landing)
        for command in commands:
            if by_environment:
                with self._patch.context() as patch:
                    patch.setenv("VISITPAY_DATABASE_URL", self.feed.url)
                    patch.setenv("VISITPAY_LANDING", str(self.feed.landing))
                    self.run(*command.split())
            else:
                self.run(*shlex.split(setup.hint(command))[1:])

    @property
    def hints(self) -> list[str]:
        """The commands in what was said, each once."""
        found: dict[str, None] = {}
        for said in self.said:
            try:
                texts = list(_texts(json.loads(said)))
            except ValueError:
                texts = said.splitlines()
            found.update((hit[0], None) for text in texts for hit in HINT.finditer(text))
        return list(found)

    def obey(self, hint: str) -> Outcome:
        """Run a command as a message gives it."""
        command, mark, rest = hint.partition(SET_URL)
        assert not rest
        with self._patch.context() as patch:
            if mark:
                patch.setenv("VISITPAY_DATABASE_URL", self.feed.url)
            outcome = self.run(*shlex.split(command)[1:])
        assert outcome.status in (0, 1), (hint, outcome)
        return outcome

    def obey_all(self) -> None:
        """Run all commands in what was said, loads last, and those in what these say."""
        done: set[str] = set()
        while hints := [hint for hint in self.hints if hint not in done]:
            hint = min(hints, key=lambda hint: hint.startswith("visitpay load"))
            self.obey(hint)
            done.add(hint)


def _texts(document: object) -> Iterator[str]:
    """Yield all texts of a JSON document."""
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict | list):
        for part in document.values() if isinstance(document, dict) else document:
            yield from _texts(part)


@pytest.fixture
def person(
    feed: Feed, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Person:
    """Return someone who does what messages say."""
    return Person(feed, monkeypatch, capfd)


LOOKS = (
    *("status", "status --json", "doctor", "doctor --json", "files", "reconcile", "rejects list"),
    "acknowledge file_changing --why x",
)


def deliver_trouble(feed: Feed) -> None:
    """Deliver files that fail, are held, are misnamed, and rows that are rejected."""
    feed.deliver(Procedure)
    days = ["1/2/2021", "13/2/2021"]
    feed.deliver(
        Visit, *(row(visit_identifier=key, admit_date=day) for key, day in enumerate(days))
    )
    feed.deliver(Visit, row(visit_identifier=5, visit_balance=3), at="20211202_223005")
    feed.deliver(
        Transaction,
        row(transaction_identifier=1, visit_identifier=77),
        row(transaction_identifier="x", visit_identifier=5),
        row(transaction_identifier=3, visit_identifier=5, amount="1.234"),
        row(transaction_identifier=4, visit_identifier=5, amount=1),
    )
    feed.deliver_bytes(Procedure, b"", at="20211202_223357")
    (feed.landing / "HospitalABC_VisitPay_Visit_20211203_223005.TXT").write_bytes(b"x")


@pytest.mark.parametrize("feed", ["sqlite", "postgresql"], indirect=True)
def test_what_a_bad_day_says(
    feed: Feed, person: Person, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a load, an alert, or a look at it tells people to run, works."""
    deliver_trouble(feed)
    person.look(*LOOKS)  # of a database into which nothing was loaded yet
    monkeypatch.setenv("VISITPAY_ALERT_URLS", listener.webhook)
    person.look("load")
    monkeypatch.delenv("VISITPAY_ALERT_URLS")
    (told,) = listener.told
    person.said += told["message"].splitlines()
    person.look(*LOOKS, "rejects list --sum")
    person.look("status", "files", "explain transaction 4", by_environment=True)
    hints = person.hints
    assert {" ".join(shlex.split(hint.partition(" (")[0])[1:3]) for hint in hints} >= {
        "files --status",
        "rejects list",
        "explain visit",
        f"status {feed.landing}",
        f"load {feed.landing}",
    }
    person.obey_all()


def test_a_held_file_on_a_terminal(feed: Feed, person: Person) -> None:
    """There the command that approves it stands below, and loads it."""
    deliver_trouble(feed)
    person.look("load")
    _, lines = on_terminal(feed, 80, "files", "--status", "held")
    held = feed.path(Visit).name
    approve = Setup(feed.url, feed.landing).hint("load", "--approve", held)
    assert "".join(lines).endswith(f"  {approve}")
    person.obey(approve)
    assert feed.keys(Visit) == [0, 5]


def out_of_date(feed: Feed) -> str:
    """Set the schema back by one revision."""
    return migrate_command(parse_url(feed.url), "0005", "--downgrade")


def without_schema(feed: Feed) -> str:
    """Take the schema away."""
    return migrate_command(parse_url(feed.url), "base", "--downgrade")


@pytest.mark.parametrize("feed", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize("harm", [out_of_date, without_schema])
def test_a_schema_to_migrate(feed: Feed, person: Person, harm: Callable[[Feed], str]) -> None:
    """The command that is named migrates the database."""
    feed.deliver(Procedure)
    person.obey(harm(feed))
    person.said.clear()
    person.look("status", "load", "doctor --json", "rejects list")
    (hint,) = person.hints
    assert hint == migrate_command(parse_url(feed.url))
    person.obey(hint)
    assert person.run(*shlex.split(Setup(feed.url, feed.landing).hint("load"))[1:]).status == 0


def test_no_database(feed: Feed, person: Person) -> None:
    """A database that is not there is made by the command that is named."""
    feed.deliver(Procedure)
    feed.database.unlink()
    person.look("status", "load", "doctor")
    (hint,) = person.hints
    person.obey(hint)
    assert feed.database.is_file()
    person.look("status")
    (waiting,) = (hint for hint in person.hints if hint.startswith("visitpay load "))
    assert person.obey(waiting).status == 0
    assert feed.descriptions() == {1: "bandaid"}


@only_postgresql
def test_a_password(feed: Feed, person: Person) -> None:
    """No command shows it, and each works where the environment has it."""
    feed.url = rendered(make_url(feed.url)).replace("postgres@", f"postgres:{PASSWORD}@")
    deliver_trouble(feed)
    person.look("load", *LOOKS, by_environment=True)
    person.obey_all()
    assert all(hint.endswith(SET_URL) for hint in person.hints)
    said = "".join(person.said)
    assert not any(part in said for part in PASSWORD.split("%2F"))


@only_postgresql
def test_who_may_migrate(feed: Feed, person: Person) -> None:
    """A role that may not migrate is told the command of the owner, whose command it is."""
    role = f"loader_{make_url(feed.url).database}"
    feed.execute(f"CREATE ROLE {role} LOGIN", f"GRANT SELECT ON alembic_version TO {role}")
    feed.execute("UPDATE alembic_version SET version_num = '0005'")
    try:
        owner, feed.url = feed.url, feed.url.replace("postgres@", f"{role}@")
        person.look("status")
        assert person.hints == [migrate_command(parse_url(owner))]
    finally:
        feed.url = owner
        feed.execute(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


@only_sqlite
def test_another_program(feed: Feed, person: Person) -> None:
    """A database of another program that uses Alembic is none of a newer visitpay."""
    feed.database.unlink()
    feed.database.touch()
    feed.execute("CREATE TABLE alembic_version (version_num TEXT)")
    feed.execute("INSERT INTO alembic_version VALUES ('ab12cd34ef56')")
    person.look("status", "load", "doctor", "migrate", "migrate --check")
    assert person.hints == []
    said = "the database has the revision ab12cd34ef56, but no table of visitpay's"
    assert "".join(person.said).count(said) == 5


def test_late_and_dead_runs(feed: Feed, person: Person) -> None:
    """So it is with loads that died, failed, could not begin, or do not come."""
    feed.deliver(Procedure)
    person.look("load")
    feed.deliver(Procedure, procedure_id=2, at="20211202_223357")
    for status in ("running", "failed"):
        feed.execute(f"UPDATE load_runs SET status = '{status}', started_at = '2021-12-01'")
        person.look("status", "doctor --json")
    record_refusal(feed.url, "the disk is gone", 3)
    person.look("status", "doctor")
    person.obey_all()
    assert Setup(feed.url, feed.landing).hint("load") in person.hints
    assert "all is well" in person.obey(Setup(feed.url, feed.landing).hint("status")).out


def test_the_command_of_each_advice(feed: Feed, person: Person) -> None:
    """What is to be done about a reason, a finding or a state is one command that works."""
    deliver_trouble(feed)
    person.look("load")
    setup = Setup(feed.url, feed.landing)
    for command in sorted({advice.command for advice in ADVICE.values()} - {""}):
        person.obey(setup.hint(command))


def test_names_that_were_given_with_their_directory(feed: Feed, person: Person) -> None:
    """A file is named by its name, or by where it lies; that there is none is said."""
    path = feed.deliver(Procedure)
    person.look("load")
    load = shlex.split(Setup(feed.url, feed.landing).hint("load"))[1:]
    taken = person.run(*load, "--again", str(path), "--json")
    assert taken.document["files_again"] == [path.name]
    assert "is dated" not in taken.err
    none = person.run(*load, "--again-since", "2021-12-02")
    assert "no file that was loaded before is dated 2021-12-02T00:00:00Z or later" in none.err
