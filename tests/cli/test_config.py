"""The file of settings: where it is found, what wins over it, what is refused, what is shown."""

import logging
import os
import sqlite3
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.command import Outcome, Visitpay, on_terminal
from tests.support.databases import ROOT, migrate
from tests.support.feed import Feed, line, only_sqlite, row
from tests.support.listeners import Listener
from visitpay import api, settings
from visitpay.errors import ConfigurationError
from visitpay.hints import setup_of
from visitpay.models import Procedure
from visitpay.settings import KEYS

SECRET = "Zq9SECRET"  # noqa: S105 - a word to look for

pytestmark = only_sqlite


@pytest.fixture
def folder(visitpay: Visitpay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory, where nothing is set by variables."""
    del visitpay  # which sets some
    for name in os.environ.keys() & {f"VISITPAY_{key.upper()}" for key in KEYS}:
        monkeypatch.delenv(name)
    monkeypatch.setattr(settings, "STANDARD", tmp_path / "etc" / "visitpay.toml")
    logging.getLogger("visitpay").setLevel(logging.NOTSET)  # as in a process of its own
    directory = tmp_path / "here"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


def write(path: Path, *lines: str) -> Path:
    """Write a file of settings."""
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def in_force(outcome: Outcome) -> dict[str, tuple[object, str]]:
    """Return what `config --json` says of each setting of most commands: value and origin."""
    assert (outcome.status, outcome.err) == (0, "")
    return {
        each["name"]: (each["value"], each["origin"])
        for each in reversed(outcome.document["settings"])
    }


def test_a_bare_command(visitpay: Visitpay, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a file no command needs an argument; its relative paths begin at its folder."""
    place = folder.parent / "place"
    write(
        place / "visitpay.toml",
        'database-url = "sqlite:///data/pay.db"',
        'landing = "in"',
        'hospital = "St Mary"',
        "[report]",
        'output = "page.html"',
    )
    (place / "data").mkdir()
    monkeypatch.setenv("VISITPAY_CONFIG", "../place/visitpay.toml")
    assert visitpay("sample", place / "in", "--visits", "20").status == 0
    assert visitpay("migrate").status == 0
    assert (visitpay("load").status, visitpay("report").status) == (0, 0)
    with sqlite3.connect(place / "data" / "pay.db") as connection:
        assert connection.execute("SELECT count(*) FROM visits").fetchone() == (20,)
    assert (place / "page.html").exists()
    assert list(folder.iterdir()) == []
    assert visitpay("files").out.count("Visit_2021") == 3


@pytest.mark.parametrize("levels", [*product([True, False], repeat=3)])
def test_an_argument_wins(
    visitpay: Visitpay, folder: Path, monkeypatch: pytest.MonkeyPatch, levels: tuple[bool, ...]
) -> None:
    """An argument wins over a variable, that over the file, that over the default."""
    argument, variable, file = levels
    monkeypatch.setenv("VISITPAY_HOSPITAL", "Variable" if variable else "")
    if file:
        write(folder / "visitpay.toml", 'hospital = "File"')
    visitpay("sample", "out", "--visits", "1", *(["--hospital", "Argument"] * argument))
    named = next((folder / "out").iterdir()).name.partition("_")[0]
    given = dict(zip(("Argument", "Variable", "File"), levels, strict=True))
    assert named == next((name for name, is_given in given.items() if is_given), "HospitalABC")


VALUES: dict[str, tuple[object, str]] = {
    "hospital": ('"North"', "North"),
    "settle": (7, "7"),
    "expect": ('"daily"', "daily"),
    "every": ('"15m"', "15m"),
    "pass_over": ('["a*", "b*"]', "a*, b*"),
    "ignore": ('"unusual_rows"', "unusual_rows"),
    "max_rejects": ('"0.5%"', "0.5%"),
    "hold_above": (12.5, "12.5"),
    "wait": (3, "3"),
    "limit": (9, "9"),
    "log_format": ('"json"', "json"),
}
"""Values as the file has them, and as they are shown; a variable has another."""
VARIABLES = {"hospital": "South", "settle": "8", "expect": "weekdays", "pass_over": "c*"}


@given(
    in_file=st.sets(st.sampled_from(sorted(VALUES))),
    set_=st.sets(st.sampled_from(sorted(VARIABLES))),
)
def test_what_is_in_force(
    visitpay: Visitpay, folder: Path, in_file: set[str], set_: set[str]
) -> None:
    """Of any settings in the file, and any variables, each has its value and its place."""
    lines = [f"{key.replace('_', '-')} = {VALUES[key][0]}" for key in sorted(in_file)]
    path = write(folder / "visitpay.toml", "# settings", *lines)
    with pytest.MonkeyPatch.context() as patch:
        for key in set_:
            patch.setenv(f"VISITPAY_{key.upper()}", VARIABLES[key])
        shown = in_force(visitpay("config", "--json"))
    for key in VALUES.keys() & shown.keys():
        if key in set_:
            expected: tuple[object, str] = (VARIABLES[key], f"VISITPAY_{key.upper()}")
        elif key in in_file:
            expected = (VALUES[key][1], f"{path}, line {2 + sorted(in_file).index(key)}")
        else:
            expected = (shown[key][0], "default")
        assert shown[key] == expected


def test_where_it_is_found(
    visitpay: Visitpay, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """VISITPAY_CONFIG names it, else it is in the working directory, else it is the machine's."""
    assert visitpay("config").out.endswith(f"and no {folder.parent}/etc/visitpay.toml\n")
    for number, path in enumerate(("../etc/visitpay.toml", "visitpay.toml", "other.toml")):
        write(folder / path, f"settle = {number}")
        if number == 2:
            monkeypatch.setenv("VISITPAY_CONFIG", "other.toml")
        assert in_force(visitpay("config", "--json"))["settle"][0] == str(number)
    monkeypatch.setenv("VISITPAY_CONFIG", os.devnull)
    assert in_force(visitpay("config", "--json"))["settle"] == ("0", "default")


def test_tables(visitpay: Visitpay, folder: Path) -> None:
    """What stands below a command's name is for that command, or for those below it."""
    write(
        folder / "visitpay.toml", "limit = 1", "[rejects]", "limit=2", "[rejects.list]", "limit=3"
    )
    rows = visitpay("config", "--json").document["settings"]
    limits = [row for row in rows if row["name"] == "limit"]
    assert [row["value"] for row in limits] == ["1", "3"]
    assert ("files" in limits[0]["commands"], limits[1]["commands"]) == (True, ["rejects list"])
    lines = visitpay("config").out.splitlines()
    [usual, other] = [line.split() for line in lines if line.startswith("limit")]
    assert (usual[1], other[1], other[-2:]) == ("1", "3", ["rejects", "list"])


def test_the_doctor_takes_what_is_set_for_the_load(visitpay: Visitpay, folder: Path) -> None:
    """It looks whether a load can work, as that would be."""
    write(folder / "visitpay.toml", "[load]", 'metrics_file = "nowhere/visitpay.prom"')
    found = {each["name"]: each for each in visitpay("doctor", "--json").document["examined"]}
    assert found["metrics"]["message"] == f"there is no directory {folder / 'nowhere'}"


UNUSABLE = {
    'databse_url = "x"': "1: `databse_url` is no setting of this file; did you mean `database",
    "dry-run = true": "1: `dry_run` is no setting of this file",
    "# one\n\nsettle = [": ", end of document: not TOML (invalid value); a setting is a line like",
    "[load]\n[load]": ", line 2, column 6: not TOML (cannot declare ('load',) twice); a setting",
    f"settle = {'9' * 5000}": ": not TOML; a setting is a line like settle = 60, or landing =",
    f"settle = {'[' * 5000}": ": not TOML; a setting is a line like settle = 60, or landing =",
    "landing = ''": "1: `landing` is empty; take it out",
    f'settle = "{SECRET}"': "1: `settle` cannot be used: not a number of seconds like 60",
    f'settle = "{SECRET}': ", line 1, column 20: not TOML (illegal character",
    "settle = true": "1: `settle` takes no true or false",
    "settle = [1]": "1: `settle` takes one value, no list",
    "settle = 2021-12-01": "1: `settle` is neither a text in quotes, nor a number, true, false, or",
    "settle = nan": "1: `settle` cannot be used: not a number of seconds like 60",
    f'expect = "{SECRET}"': "1: `expect` cannot be used: it is not one of 'weekdays', 'daily'",
    f'ignore = ["{SECRET}"]': "1: `ignore` cannot be used: it is none of type_missing, ",
    f'verbose = "{SECRET}"': "1: `verbose` takes true or false, no text",
    "settle = 1\nSettle = 2": "2: `Settle` is no setting of this file; did you mean `settle`?",
    "pass-over = []\npass_over = []": "1: `pass_over` is set twice; take one of them out",
    "[laod]\nwait = 3": "1: [laod] is no command; did you mean `load`?",
    "[rejects.lits]\nlimit = 3": "1: [rejects.lits] is no command; did you mean `list`?",
    "[reconcile]\nsettle = 3": "2: `settle` is no option of `visitpay reconcile`",
    '[status]\n"hospital" = "x"': "2: `hospital` is for all commands: put it above the first",
    f'alert_urls = "mailto://{SECRET}"': "1: `alert_urls` is a secret, which is not kept here",
    f'ping-url = "http://{SECRET}"': "1: `ping_url` is a secret, which is not kept here",
    f'database_url = "postgresql://u:{SECRET}@h/d"': "1: `database_url` holds a password",
    f'database_url = "postgresql://h/d?password={SECRET}"': "1: `database_url` holds a password",
    'database_url = "a"\ndatabase_url_file = "b"': "1: `database_url` stands beside database",
    'database_url_file = "no"': "1: {folder}/no cannot be read: No such file or directory; correct",
    '"a\\u001b[31m" = 1': ": `a\\x1b[31m` is no setting of this file",
}


@pytest.mark.parametrize("text", UNUSABLE)
def test_what_cannot_be_used(visitpay: Visitpay, folder: Path, text: str) -> None:
    """A file of no use ends a command with 2, and one line: file, line, key; never the value."""
    path = write(folder / "visitpay.toml", text)
    message = UNUSABLE[text].format(folder=folder)
    place = f"{path}{message}" if message.startswith((",", ":")) else f"{path}, line {message}"
    for command in (["load"], ["load", "--json"], ["status"], ["config"]):
        outcome = visitpay(*command)
        assert (outcome.status, outcome.err.count("\n")) == (2, 1)
        assert outcome.err.startswith(f"visitpay: {place}")
        assert SECRET not in outcome.out + outcome.err
        if "--json" in command:
            assert outcome.err == f"visitpay: {outcome.document['error']}\n"
    assert visitpay("load", "--help").status == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("hospital = 'X'".encode("utf-16"), " is not in UTF-8; save it so"),
        (b"\xff = 1", " is not in UTF-8; save it so"),
        (None, " cannot be read: Is a directory; correct its name"),
    ],
)
def test_unreadable(visitpay: Visitpay, folder: Path, content: bytes | None, message: str) -> None:
    """So does one that cannot be read; nothing is loaded from where nobody asked for."""
    path = folder / "visitpay.toml"
    path.write_bytes(content) if content else path.mkdir()
    outcome = visitpay("status")
    assert (outcome.status, outcome.err) == (2, f"visitpay: {path}{message}\n")


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfhospital = 'X'", b"hospital = 'X'\r\n"])
def test_windows(visitpay: Visitpay, folder: Path, content: bytes) -> None:
    """A file that an editor of Windows saved is read as any other."""
    (folder / "visitpay.toml").write_bytes(content)
    assert in_force(visitpay("config", "--json"))["hospital"][0] == "X"


def test_forbidden(unprivileged: Visitpay, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that this user may not read is not passed over."""
    path = write(folder / "visitpay.toml", "settle = 1")
    path.chmod(0)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    outcome = unprivileged("status")
    said = f"visitpay: {path} cannot be read: Permission denied; let this user read it\n"
    assert (outcome.status, outcome.err) == (2, said)


def test_alert(visitpay: Visitpay, folder: Path, listener: Listener) -> None:
    """A scheduled load whose file is of no use tells those whom the rest of the file names."""
    (folder / "alerts").write_text(f"{listener.webhook}?:token={SECRET}\n")
    (folder / "ping").write_text(f"http://{listener.address}/{SECRET}\n")
    lines = ("alert_urls_file = 'alerts'", "ping_url_file = 'ping'", 'metrics_file = "m.prom"')
    path = write(folder / "visitpay.toml", *lines, "setle = 60")
    outcome = visitpay("load")
    message = f"{path}, line 4: `setle` is no setting of this file; did you mean `settle`?"
    assert (outcome.status, outcome.err) == (2, f"visitpay: {message}\n")
    [(title, [body, *_])] = listener.messages()
    assert (title, body.startswith(message)) == ("a load could not run", True)
    assert listener.paths[-1] == f"/{SECRET}/2"
    assert "visitpay_last_run_exit_status 2.0" in (folder / "m.prom").read_text()
    assert visitpay("load", "--dry-run").status == visitpay("status").status == 2
    assert listener.messages() == []


def test_secrets(
    feed: Feed,
    visitpay: Visitpay,
    folder: Path,
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Secrets are read from the files that the file or variables name, and are never shown."""
    (folder / "url").write_text(f"{feed.url}\r\n")
    (folder / "alerts").write_text(f"{listener.webhook}?:token={SECRET}\n")
    (folder / "ping").write_text(f"http://{listener.address}/{SECRET}\n")
    path = write(
        folder / "visitpay.toml",
        "alert-urls-file = 'alerts'",
        "ping_url_file = 'ping'",
        f"landing = '{feed.landing}'",
    )
    monkeypatch.setenv("VISITPAY_DATABASE_URL_FILE", "url")
    feed.deliver(Procedure, row(procedure_id=1), line(Procedure, procedure_id="x"))
    loaded = visitpay("load", "-v")
    assert (loaded.status, len(listener.messages())) == (1, 1)
    assert listener.paths[0] == f"/{SECRET}/start"
    told = [loaded, visitpay("config"), visitpay("config", "--json"), visitpay("config", "-v")]
    assert SECRET not in "".join(outcome.out + outcome.err for outcome in told)
    rows = {row["name"]: row for row in told[2].document["settings"]}
    assert (rows["ping_url"]["value"], rows["ping_url"]["is_secret"]) == (None, True)
    assert rows["ping_url"]["origin"] == f"{path}, line 2"
    assert rows["database_url"]["origin"] == "VISITPAY_DATABASE_URL_FILE"
    assert "set, not shown" in told[1].out
    monkeypatch.setenv("VISITPAY_DATABASE_URL", f"postgresql://u:{SECRET}@h/d")
    shown = visitpay("config")
    assert ("***" in shown.out, SECRET in shown.out + shown.err) == (True, False)
    (folder / "url").write_text(" \n")
    monkeypatch.delenv("VISITPAY_DATABASE_URL")
    said = (
        "visitpay: VISITPAY_DATABASE_URL_FILE: url is empty; it holds the secret and nothing else"
    )
    assert visitpay("status").err.splitlines()[-1] == said


def test_alembic(visitpay: Visitpay, folder: Path) -> None:
    """Alembic works on the database that the file names, and waits as it says."""
    write(folder / "visitpay.toml", "database_url = 'sqlite:///new.db'", "[migrate]", "wait = 'x'")
    command = [sys.executable, "-m", "alembic", "-c", str(ROOT / "alembic.ini"), "upgrade", "head"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    options: Any = {"env": environment, "capture_output": True, "text": True}
    refused = subprocess.run(command, check=False, **options)
    assert refused.returncode != 0
    assert f"{folder}/visitpay.toml, line 3 is not a number of seconds" in refused.stderr
    write(folder / "visitpay.toml", "database_url = 'sqlite:///new.db'")
    assert subprocess.run(command, check=False, **options).returncode == 0
    assert visitpay("migrate", "--check").status == 0
    assert (folder / "new.db").exists()


def test_python(folder: Path) -> None:
    """The functions of the API take what the file says, unless they are given something."""
    migrate(f"sqlite:///{folder}/pay.db")
    (folder / "in").mkdir()
    write(folder / "visitpay.toml", "database_url = 'sqlite:///pay.db'", "landing = 'in'")
    assert api.load().files == ()
    assert len(api.status().files_waiting) == 0
    with pytest.raises(ConfigurationError, match="elsewhere cannot be read"):
        api.check("elsewhere")
    write(folder / "visitpay.toml", "data_base = 'x'")
    with pytest.raises(ConfigurationError, match="did you mean `database_url`"):
        api.status()


def test_hints(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hint leaves out what every command finds in the machine's file, and nothing else."""
    lines = ("database_url = 'sqlite:////srv/pay.db'", "landing = '/srv/in'")
    write(folder / "../etc/visitpay.toml", *lines)
    given = ("sqlite:////srv/pay.db", "/srv/in", "HospitalABC")
    assert setup_of(*given).hint("status") == "visitpay status"
    named = "visitpay status /srv/in --database-url sqlite:////srv/pay.db"
    monkeypatch.setenv("VISITPAY_LANDING", "/srv/other")
    assert setup_of(*given).hint("status") == "visitpay status /srv/in"
    monkeypatch.delenv("VISITPAY_LANDING")
    write(folder / "visitpay.toml", *lines)
    assert setup_of(*given).hint("status") == named
    monkeypatch.setenv("VISITPAY_CONFIG", "../etc/visitpay.toml")
    assert setup_of(*given).hint("status") == named


@pytest.mark.usefixtures("folder")
def test_the_example(visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that is handed out can be used, and has every setting."""
    monkeypatch.setenv("VISITPAY_CONFIG", str(ROOT / "deploy" / "visitpay.toml"))
    rows = visitpay("config", "--json").document["settings"]
    usual = {row["name"] for row in rows if row["origin"] != "default"}
    assert set(KEYS) - usual == {"quiet", "verbose", "wait", "schema"} - usual
    text = (ROOT / "deploy" / "visitpay.toml").read_text()
    for key in ("alert_urls_file", "ping_url_file", "database_url_file", "schema"):
        assert f"# {key} = " in text


def test_loudness(feed: Feed, visitpay: Visitpay) -> None:
    """-q prints nothing where all is well, and all where it is not; -v says what is done."""
    feed.deliver(Procedure, row(procedure_id=1))
    assert visitpay("load", "-q") == Outcome(0, "", "")
    for command in ("check", "files", "rejects list", "rejects retry", "doctor", "config"):
        assert visitpay(*command.split(), "-q") == Outcome(0, "", "")
        assert " debug: settings: " in visitpay(*command.split(), "-v").err
    assert visitpay("files", "-q", "--json").document["total"] == 1
    assert "CREATE TABLE" in visitpay("migrate", "-q", "--sql").out
    feed.deliver(Procedure, line(Procedure, procedure_id="x"), at="20211202_223357")
    bad = visitpay("check", "-q")
    assert (bad.status, bad.out) == (1, visitpay("check").out)
    loaded = visitpay("load", "--quiet")
    assert (loaded.status, " warning: " in loaded.err, loaded.out) == (1, False, "")
    both = visitpay("files", "-q", "-v")
    assert (both.status, both.err.splitlines()[-1]) == (
        2,
        "Error: Invalid value: give one of --quiet and --verbose",
    )


def test_loudness_of_the_file(visitpay: Visitpay, folder: Path) -> None:
    """An argument wins over the file here, too."""
    write(folder / "visitpay.toml", "verbose = true")
    assert " debug: settings: " in visitpay("config").err
    assert visitpay("config", "-q") == Outcome(0, "", "")


def test_colours(feed: Feed) -> None:
    """States are coloured on a terminal, unless it has no colours; the words are the same."""
    feed.deliver(Procedure, row(procedure_id=1), line(Procedure, procedure_id="x"))
    feed.deliver_bytes(Procedure, b"", at="20211202_223357")
    coloured, _ = on_terminal(feed, 80, "load")
    assert "\x1b[33mattention\x1b[0m; 2 files" in coloured
    assert "\x1b[31mfailed\x1b[0m" in coloured
    words = on_terminal(feed, 80, "files")[1]
    for setting in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        plain, same = on_terminal(feed, 80, "files", **setting)
        assert not any(code in plain for code in ("\x1b[31m", "\x1b[33m", "\x1b[32m"))
        assert same == words


def completing(words: str) -> dict[str, str]:
    """Return the variables by which bash asks for what may be the last of some words."""
    number = str(len(words.split(" ")) - 1)
    return {"_VISITPAY_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": number}


def test_completion(
    feed: Feed, visitpay: Visitpay, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell offers names, short ones first, and never an error."""
    feed.deliver(Procedure, line(Procedure, procedure_id="x"))
    visitpay("load", feed.landing, "--database-url", feed.url)
    feed.deliver(Procedure, row(procedure_id=1), at="20211202_223357")
    write(folder / "visitpay.toml", f"database_url = '{feed.url}'", f"landing = '{feed.landing}'")
    loaded, waiting = "Procedure_20211201_223357", "Procedure_20211202_223357"
    for words, offered in {
        "visitpay conf": ["config"],
        "visitpay rejects list --reason invalid_d": ["invalid_date"],
        "visitpay rejects list --status d": ["dismissed"],
        "visitpay status --ignore type_missing,unu": ["type_missing,unusual_rows"],
        "visitpay explain v": ["visit"],
        "visitpay rejects list --file ": [loaded],
        "visitpay rejects dismiss ": ["1"],
        "visitpay load --approve ": [waiting, loaded],
        "visitpay load --again HospitalABC_VisitPay_Procedure_20211202": [
            f"HospitalABC_VisitPay_{waiting}.txt"
        ],
        "visitpay rejects list --database-url sqlite:///nowhere.db --file ": [],
    }.items():
        for name, value in completing(words).items():
            monkeypatch.setenv(name, value)
        outcome = visitpay()
        assert (outcome.status, outcome.err, outcome.out.split()) == (0, "", offered), words
    write(folder / "visitpay.toml", "settle = [")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    environment = os.environ | completing("visitpay load --approve ")
    command = [sys.executable, "-m", "visitpay"]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, b"", b"")
