"""What the tests of many hospitals share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.command import Outcome
from tests.support.databases import MakeDatabase
from tests.support.feed import header_line, line
from tests.support.hospitals import Group, group
from visitpay.cli.app import main
from visitpay.models import ENTITIES

ONE_DAY = {
    f"HospitalABC_VisitPay_{entity.__name__}_20211201_223357.txt": (
        f"{header_line(entity)}\n{line(entity)}\n".encode()
    )
    for entity in ENTITIES
}
"""A file of each type, with a good row each."""


@pytest.fixture
def hospitals(
    request: pytest.FixtureRequest, tmp_path: Path, make_database: MakeDatabase
) -> Iterator[Group]:
    """Yield three hospitals, each with files that wait, on SQLite unless said otherwise."""
    kind = getattr(request, "param", "sqlite")
    with group(kind, tmp_path, make_database, "Abc", "Mercy", "St. John") as made:
        for name in made.feeds:
            made.deliver(name, ONE_DAY)
        yield made


@pytest.fixture
def visitpay_alone(
    hospitals: Group, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """Run a command in this process, where the file of hospitals is found."""
    monkeypatch.setenv("VISITPAY_HOSPITALS", str(hospitals.file))
    monkeypatch.chdir(hospitals.folder)

    def run(command: str, *arguments: object) -> Outcome:
        with pytest.raises(SystemExit) as stop:
            main([command, *map(str, arguments)])
        out, err = capfd.readouterr()
        return Outcome(int(stop.value.code or 0), out, err)

    return run


@pytest.fixture
def for_all(visitpay_alone: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """Run a command with --all in this process; its workers are processes of their own."""
    return lambda command, *arguments: visitpay_alone(command, "--all", *arguments)
