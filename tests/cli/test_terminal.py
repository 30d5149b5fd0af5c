import json
import re
from collections.abc import Iterator
from datetime import datetime

import pytest
from rich.cells import cell_len

from tests.support.command import on_terminal, start
from tests.support.databases import MakeDatabase
from tests.support.feed import Feed, line, only_sqlite, row
from visitpay.cli.console import show
from visitpay.feed import short_name
from visitpay.models import Procedure, Visit
from visitpay.sample import write_sample
from visitpay.text import printable

NAME = "HospitalABC_VisitPay_Procedure_20211201_223357.txt"
ROW = line(Procedure, procedure_id="x", procedure_description="cast " * 20 + "on the left arm")
SUMMARY = "attention; 1 file; checkpoint 2021-12-01T22:33:57Z; rejects open 1, resolved 0"
TABLES = {
    160: [
        "file                      rows inserted rejected",
        "Procedure_20211201_223357    2        1        1",
        SUMMARY,
    ],
    30: [
        "file                      rows",
        "    inserted rejected",
        "Procedure_20211201_223357    2",
        "           1        1",
        "attention; 1 file; checkpoint",
        "2021-12-01T22:33:57Z; rejects",
        "open 1, resolved 0",
    ],
}
TABLES[80] = TABLES[160]
HARMFUL = "a\x1b[31m\r\n[red]b[bold]\u202e\u200f\x9b.txt"
HARMLESS = r"a\x1b[31m\r\n[red]b[bold]\u202e\u200f\x9b.txt"


def deliver(feed: Feed) -> None:
    """Deliver a good row, a bad one, and a name that is none of the feed's."""
    feed.deliver(Procedure, row(procedure_id=1), ROW)
    (feed.landing / HARMFUL).touch()


def table_of(lines: list[str], columns: int) -> list[str]:
    """Return the lines of the table of files; what needs a person stands below it."""
    end = len(lines) - lines[::-1].index(TABLES[columns][-1])
    return lines[end - len(TABLES[columns]) : end]


@pytest.mark.parametrize("columns", [160, 80, 30])
def test_load_on_a_terminal(feed: Feed, columns: int) -> None:
    """On a terminal, also a narrow one, `load` shows progress in one line, warnings, a table."""
    deliver(feed)
    shown, lines = on_terminal(feed, columns, "load")
    for part_of_bar in ("\x1b[?25l", "\x1b[?25h", f"\x1b[2K{short_name(NAME)[:15]}"):
        assert part_of_bar in shown
    assert ("━" in shown) == (columns >= 80)
    assert "\x1b[1A" not in shown.partition("\x1b[?25h")[0]  # up from a second line of it
    warned = [line for line in lines if " warning: " in line]
    assert warned[0].endswith(f"left alone: {HARMLESS}")
    assert warned[1].endswith("1 rejected")
    assert " info: " not in shown
    assert table_of(lines, columns) == TABLES[columns]
    assert lines[-1].startswith("  visitpay status ")


def test_nothing_to_do_on_a_terminal(feed: Feed) -> None:
    """On a terminal a run without files shows no table, and a dry one says that it is one."""
    deliver(feed)
    _, lines = on_terminal(feed, 160, "load", "--dry-run", "--since", "2022-01-01")
    assert "file " not in "".join(lines)
    summary = "ok; no new files; checkpoint none; rejects open 0, resolved 0"
    assert lines[-1] == f"dry run, nothing kept: {summary}"


def test_narrow_terminal(feed: Feed) -> None:
    """What does not fit is folded where it stands, or goes below; nothing is cut off."""
    deliver(feed)
    start(feed, ["load"]).communicate()
    known = ["1", "Procedure_20211201_223357", "3", "invalid_integer", "ProcedureId"]
    _, (header, *lines) = on_terminal(feed, 150, "rejects", "list", "--raw")
    place = header.index("row")
    beside = [line[place:] for line in lines]
    assert lines[0][:place].split() == known
    _, (_, below, first, *lines) = on_terminal(feed, 90, "rejects", "list", "--raw")
    assert (below, first.split()) == ("    row", known)
    assert {each[:4] for each in lines} == {"    "}
    for folded in (beside, [each[4:] for each in lines]):
        assert len(folded) > 1
        assert " ".join(folded) == ROW.replace("\t", r"\t")


LOOKS = [
    *("status", "status --expect daily", "doctor", "check"),
    *("files", "files --limit 5", "files --status failed", "files --status held"),
    *("files --status loaded", "files --entity transaction"),
    *("rejects list", "rejects list --limit 1000", "rejects list --raw --limit 1000"),
    *("rejects list --status all --limit 1000", "rejects list --status all --raw"),
    *("rejects list --status dismissed", "rejects list --status dismissed --raw"),
    *("rejects list --reason malformed", "rejects list --file _Visit_ --entity visit"),
    *("reconcile", "reconcile --raw", "explain visit 321000050", "explain transaction 54321000138"),
    *("files --status gone", "rejects dismiss 100000 --why gone", "status none"),
]


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory, make_database: MakeDatabase) -> Iterator[Feed]:
    """Yield a dirty month, and what else may be wrong with a feed."""
    folder = tmp_path_factory.mktemp("month")
    with make_database("sqlite", folder) as url:
        feed = Feed(folder / "landing", url)
        write_sample(feed.landing, visits=3000, days=30, dirt=2, seed=7, hospital="HospitalABC")
        start(feed, ["load"]).communicate()
        dismissed = ["rejects", "dismiss", "1", "2", "--why", "no one knows what it means " * 6]
        start(feed, dismissed).communicate()
        bad = [
            row(visit_identifier=number, guarantor_identifier="x", admit_date="some day")
            for number in range(40)
        ]
        feed.deliver(Visit, *bad, at="20220101_223005")
        start(feed, ["load"]).communicate()
        feed.deliver(Visit, *bad, at="20220102_223005")
        gone = [feed.deliver_bytes(Visit, b"", at=f"2022010{day}_223005") for day in range(3, 8)]
        start(feed, ["load", "--hold-above", "5"]).communicate()
        gone[0].unlink()
        feed.execute("UPDATE load_files SET rows_read = 1000 * rows_read")
        yield feed


@pytest.mark.parametrize("columns", [80, 60])
@pytest.mark.parametrize("command", LOOKS)
def test_no_line_is_wider_than_the_terminal(month: Feed, command: str, columns: int) -> None:
    """Whatever a command that looks has to show of a dirty month, it fits."""
    _, lines = on_terminal(month, columns, *command.split())
    # A command that can be copied is whole.
    folded = [line for line in lines if not re.match(" {2,6}visitpay [a-z]", line)]
    widest = max(folded, key=cell_len)
    assert 0 < cell_len(widest) <= columns, widest


@pytest.mark.parametrize(
    ("command", "headers"),
    [
        ("files --status loaded", "when (UTC) rows rejected"),
        ("rejects list --limit 50", "line reason column"),
        ("rejects list --status dismissed", "line reason column"),
    ],
)
def test_usual_tables_need_80_columns(month: Feed, command: str, headers: str) -> None:
    """Of a dirty month a file, or a reject, is a line; only what someone wrote goes below."""
    _, (header, *lines) = on_terminal(month, 80, *command.split())
    assert header.split() == ["id", "file", *headers.split()]
    for shown in lines[: 4 if "dismissed" in command else 10]:
        is_row = re.match(r" *\d+ \w+_\d{8}_\d{6} ", shown)
        assert is_row or shown.strip() == "why" or "no one knows" in shown


def test_pipes_are_wide(month: Feed) -> None:
    """Off a terminal a row is a line, however long it is, and nothing is left out."""
    command = ["rejects", "list", "--raw", "--limit", "1000"]
    document, _ = start(month, [*command, "--json"]).communicate()
    rejects = json.loads(document)["rejects"]
    assert max(len(each["raw"]) for each in rejects) > 1000
    _, *lines = start(month, command).communicate()[0].splitlines()
    for each, shown in zip(rejects, lines, strict=False):
        assert shown.split()[0] == str(each["id"])
        assert shown.endswith(printable(each["raw"]).rstrip())
    header, *lines = start(month, ["files", "--limit", "1000"]).communicate()[0].splitlines()
    *_, rows, inserted, updated, rejected, superseded, last = header.split()
    assert (rows, inserted, updated) == ("rows", "inserted", "updated"), header
    assert (rejected, superseded, last) == ("rejected", "superseded", "error")
    assert len(lines) == 97


@only_sqlite
@pytest.mark.parametrize("columns", [120, 80, 40])
def test_usage_errors_are_folded(feed: Feed, columns: int) -> None:
    """A long usage error is folded on a terminal, between words, and is one line in a pipe."""
    command = ["status", "--ignore", "odd"]
    out, err = start(feed, command).communicate()
    *_, error = err.splitlines()
    assert (out, error[:6], len(error) > 200) == ("", "Error:", True)
    shown, lines = on_terminal(feed, columns, *command)
    assert "\x1b" not in shown
    assert max(map(len, lines)) <= columns
    assert " ".join(lines).endswith(error)


@pytest.mark.parametrize("command", [["load", "-v"], ["files"], ["status"]])
def test_pipes(feed: Feed, command: list[str]) -> None:
    """With pipes there is neither a bar nor any escape sequence, and `load` shows no table."""
    deliver(feed)
    out, err = start(feed, command).communicate()
    assert "\x1b" not in out + err
    assert "━" not in out + err
    assert (out == "") == (command[0] == "load")
    assert (err != "") == (command[0] == "load")


def test_table(capfd: pytest.CaptureFixture[str]) -> None:
    """Numbers stand to the right, moments in UTC, names harmlessly, and empty columns nowhere."""
    moment = datetime.fromisoformat("2021-12-01T23:33:57+01:00")
    rows = [("a", 1, 0, None, moment, None), (HARMFUL, 20, 0, "", None, "x")]
    show(("name", "n", "zero", "empty", "at", "note"), rows, "title")
    assert [line.rstrip() for line in capfd.readouterr().out.splitlines()] == [
        "title",
        f"{'name':{len(HARMLESS)}}  n zero at                   note",
        f"{'a':{len(HARMLESS)}}  1    0 2021-12-01T22:33:57Z",
        f"{HARMLESS} 20    0                      x",
    ]
    show(("name", "n"), [], "title")
    assert capfd.readouterr().out == ""
    show(("name", "n"), [], "title", nothing="none")
    assert capfd.readouterr().out == "none\n"


def test_short() -> None:
    """A table names a file by what tells it apart, and any other name in full."""
    assert short_name(NAME) == "Procedure_20211201_223357"
    assert short_name("readme.md") == "readme.md"


FORCED = [
    {"FORCE_COLOR": "1"},
    {"FORCE_COLOR": "", "CLICOLOR_FORCE": "1", "TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "1"},
    {"TERM": "xterm-256color", "COLORTERM": "truecolor", "GITHUB_ACTIONS": "true"},
    {"COLUMNS": "0", "LINES": "0"},
    {"COLUMNS": "²", "LINES": "x", "TERM": ""},
]


@only_sqlite
@pytest.mark.parametrize("environment", FORCED, ids=["color", "tty", "term", "zero", "odd"])
@pytest.mark.parametrize("command", [["load"], ["files"], ["status"], ["doctor"], ["--help"]])
def test_a_service(
    feed: Feed, monkeypatch: pytest.MonkeyPatch, command: list[str], environment: dict[str, str]
) -> None:
    """Whatever the environment says of terminals, in a pipe there is text, and the whole log."""
    deliver(feed)
    plain = start(feed, command).communicate()
    feed.execute("DELETE FROM delivered_keys", "DELETE FROM rejected_rows")
    feed.execute("DELETE FROM procedures", "DELETE FROM load_files", "DELETE FROM load_runs")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    out, err = start(feed, command).communicate()
    assert "\x1b" not in out + err
    assert [line.count(" ") for line in err.splitlines()] == [
        line.count(" ") for line in plain[1].splitlines()
    ]
    assert out.count("\n") == plain[0].count("\n")
    assert (" info: " in err) == (command == ["load"])


@only_sqlite
@pytest.mark.parametrize(
    ("name", "value"), [("COLUMNS", "0"), ("COLUMNS", "²"), ("TERM", "dumb"), ("NO_COLOR", "1")]
)
def test_odd_terminals(feed: Feed, name: str, value: str) -> None:
    """A terminal that does not know its width, or knows nothing, shows the same lines."""
    deliver(feed)
    shown, lines = on_terminal(feed, 80, "load", **{name: value})
    assert table_of(lines, 80) == TABLES[80]
    if value == "dumb":
        assert "\x1b" not in shown
