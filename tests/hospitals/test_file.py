"""The file of hospitals: what it may hold, and what stands above what."""

from pathlib import Path
from textwrap import dedent

import pytest

from tests.support.databases import ROOT
from visitpay import hospitals, settings
from visitpay.errors import ConfigurationError, SettingsError

ABOVE = 'landing = "in"\n'


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of the file, in a working directory without other settings."""
    monkeypatch.chdir(tmp_path)
    for key in ("HOSPITALS", "CONFIG", "DATABASE_URL", "LANDING", "SETTLE"):
        monkeypatch.delenv(f"VISITPAY_{key}", raising=False)
    return tmp_path / "hospitals.toml"


def test_what_is_relative_lies_beside_the_file(file: Path) -> None:
    """A directory and an SQLite database are found beside the file, a URL stays as it is."""
    file.write_text(
        '[A]\nlanding = "in"\ndatabase_url = "sqlite:///a.db"\n'
        '[B]\nlanding = "s3://feeds/b"\ndatabase_url = "sqlite:///b.db"\n'
    )
    first, second = hospitals.read()
    found = [first.get("landing"), first.get("database_url"), second.get("landing")]
    assert [each and each.value for each in found] == [
        str(file.parent / "in"),
        f"sqlite:///{file.parent}/a.db",
        "s3://feeds/b",
    ]


def test_what_stands_above_what(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hospital's table wins over the file's top, that over the environment and visitpay.toml."""
    file.with_name("visitpay.toml").write_text("settle = 4\nwait = 4\nlimit = 4\npass_over = 'x'\n")
    monkeypatch.setenv("VISITPAY_SETTLE", "3")
    monkeypatch.setenv("VISITPAY_WAIT", "3")
    monkeypatch.setenv("VISITPAY_LIMIT", "3")
    file.write_text(
        'settle = 2\nwait = 2\n[A]\nsettle = 1\nlanding = "a"\ndatabase_url = "sqlite:///a.db"\n'
    )
    (hospital,) = hospitals.read()
    with settings.prevail(hospital):
        found = [settings.in_force(key).value for key in ("settle", "wait", "limit", "pass_over")]
    assert found == ["1", "2", "3", "x"]
    assert settings.in_force("settle").value == "3"


def test_the_rounds_ping_is_not_that_of_a_hospital(file: Path) -> None:
    """A URL to ping for all is the round's; only one of a hospital's own is the hospital's."""
    for name in ("all", "own"):
        file.with_name(name).write_text(f"http://{name}")
    file.write_text(
        'ping_url_file = "all"\nlanding = "in"\n'
        '[A]\ndatabase_url = "sqlite:///a.db"\n'
        '[B]\ndatabase_url = "sqlite:///b.db"\nping_url_file = "own"\n'
    )
    found = []
    for hospital in hospitals.read():
        with settings.prevail(hospital):
            found.append(settings.in_force("ping_url").value)
    assert found == ["", "http://own"]


IN_A_SCHEMA = "schema = 's'\ndatabase_url = 'postgresql+psycopg://{}/d'\n"
URL = 'database_url = "sqlite:///a.db"'


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (f"[A]\n{URL}\n", ", line 1: [A] has no landing; say landing, or set it for all"),
        ('[A]\nlanding = "a"\n', ", line 1: [A] has no database_url; say database_url_file, "),
        (f"{ABOVE}[A]\n{URL}\nsettel = 1\n", ", line 4: `settel` is no setting of this file; did"),
        (f"{ABOVE}[A]\n{URL}\nalert_urls = 'x'\n", ", line 4: `alert_urls` is a secret"),
        (f"{ABOVE}[A]\n{URL}\nwait = 1\n", ", line 4: `wait` is for all hospitals"),
        (f"{ABOVE}[A]\n{URL}\n[A.B]\nwait = 1\n", ", line 4: [A.B] is in another table"),
        (
            f"{ABOVE}[B]\nhospital = 'b'\ndatabase_url = 'sqlite:///./a.db'\n[A]\n{URL}\n",
            ", line 5: [A] has the same database as ",
        ),
        (
            f"{ABOVE}[B]\nhospital = 'A'\ndatabase_url = 'sqlite:///b.db'\n['A']\n{URL}\n",
            ", line 5: [A] has the same files as ",
        ),
        (
            f"{ABOVE}[B]\n{IN_A_SCHEMA.format('x@H')}[A]\n{IN_A_SCHEMA.format('y@h:5432')}",
            ", line 5: [A] has the same database as ",
        ),
    ],
)
def test_what_is_wrong_with_a_hospital(file: Path, text: str, fault: str) -> None:
    """It is told with the file and the line, and costs only the hospitals that it is about."""
    other = '[Other]\nlanding = "o"\ndatabase_url = "sqlite:///o.db"\n'
    file.write_text(text + other)
    faults = {each.name: each.fault for each in hospitals.read()}
    assert faults["A"].startswith(f"{file}{fault}")
    assert faults["Other"] == ""


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", ": no hospital; one is a table like [HospitalABC]"),
        ("settel = 1\n[A]\n", ", line 1: `settel` is no setting of this file; did you mean"),
        ("hospital = 'A'\n[A]\n", ", line 1: `hospital` is of one hospital"),
        ("[A\n", ", line 1, column 3: not TOML"),
        ("[[A]]\nsettle = 1\n", ": `A` is no setting of this file"),
    ],
)
def test_what_is_wrong_with_the_file(file: Path, text: str, fault: str) -> None:
    """What is about all hospitals refuses the whole file."""
    file.write_text(text)
    with pytest.raises(SettingsError) as error:
        hospitals.read()
    assert str(error.value).startswith(f"{file}{fault}")


def test_two_schemas_of_one_database(file: Path) -> None:
    """They are two databases; so are two hospitals' files in one landing directory."""
    above = f"{ABOVE}database_url = 'postgresql://x@h/d'\n"
    file.write_text(f"{above}[A]\nschema = 'a'\n[B]\nschema = 'b'\n")
    assert [each.fault for each in hospitals.read()] == ["", ""]


@pytest.mark.usefixtures("file")
def test_no_file() -> None:
    """Without a file the message says where one may be."""
    with pytest.raises(SettingsError, match=r"there is no hospitals\.toml here, and no /etc/visit"):
        hospitals.read()


def test_a_name_that_is_not_there(file: Path) -> None:
    """Whoever names another hospital is told of the nearest."""
    file.write_text(f"{ABOVE}[Mercy]\n{URL}\n")
    with pytest.raises(ConfigurationError, match=r"--only Mercyy: .*; did you mean `Mercy`\?"):
        hospitals.choose(hospitals.read(), ["Mercyy"])


def test_names_of_pages() -> None:
    """Each name gives another file, in a directory, beside the first page."""
    names = ["Mercy", "../x", ".x", "index", "INDEX", "St. John", "St_ John", "a/b", "", "é" * 300]
    stems = [hospitals.file_stem(name) for name in names]
    assert stems[0] == "Mercy"
    assert len({stem.lower() for stem in stems} | {"index"}) == len(names) + 1
    assert all(len(stem) < 80 and "/" not in stem and stem[:1] != "." for stem in stems)


def test_the_page_shows_a_file_that_can_be_read(file: Path) -> None:
    """What stands in the page on many hospitals names three, and nothing is wrong with any."""
    page = (ROOT / "docs" / "how-to" / "many-hospitals.md").read_text("utf-8")
    shown = page.partition("    # /etc/visitpay/hospitals.toml\n")[2].partition("\nThen,")[0]
    file.write_text(dedent(shown))
    file.with_name("abc.url").write_text("postgresql+psycopg://loader@db/abc")
    found = hospitals.read()
    assert [each.name for each in found] == ["HospitalABC", "Mercy", "St. John"]
    assert [each.fault for each in found] == ["", "", ""]
