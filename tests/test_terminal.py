import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from datetime import datetime

import pytest

from tests.conftest import Feed, start
from visitpay.terminal import short, show

NAME = "HospitalABC_VisitPay_Procedure_20211201_223357.txt"
ROW = "x\t" + "cast " * 20 + "on the left arm"
STEERING = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
SUMMARY = "attention; 1 file; checkpoint 2021-12-01T22:33:57Z; rejects open 1, resolved 0"
HARMFUL = "a\x1b[31m\r\n[red]b[bold]\u202e\u200f\x9b.txt"
HARMLESS = r"a\x1b[31m\r\n[red]b[bold]\u202e\u200f\x9b.txt"


def on_terminal(feed: Feed, columns: int, *arguments: str) -> tuple[str, list[str]]:
    """Run the command on a terminal, and give what it is sent, whole and as plain lines."""
    environment = os.environ | {
        "TERM": "xterm-256color",
        "VISITPAY_DATABASE_URL": feed.url,
        "VISITPAY_LANDING": str(feed.landing),
    }
    for name in ("COLUMNS", "LINES", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        environment.pop(name, None)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 40, columns, 0, 0))
    command = [sys.executable, "-m", "visitpay", *arguments]
    with subprocess.Popen(command, env=environment, stdin=theirs, stdout=theirs, stderr=theirs):
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # Linux says EIO when nobody holds the other end any more
            while block := os.read(ours, 1 << 16):
                shown += block
    os.close(ours)
    return shown.decode(), [line.rstrip() for line in STEERING.sub("", shown.decode()).splitlines()]


def deliver(feed: Feed) -> None:
    """Deliver a good row, a bad one, and a name that is none of the feed's."""
    feed.deliver("Procedure", "20211201_223357", "1\tbandaid", ROW)
    (feed.landing / HARMFUL).touch()


@pytest.mark.parametrize("columns", [160, 80, 30])
def test_load_on_a_terminal(feed: Feed, columns: int) -> None:
    """On a terminal, also a narrow one, `load` shows progress in one line, warnings, a table."""
    deliver(feed)
    shown, lines = on_terminal(feed, columns, "load")
    for part_of_bar in ("\x1b[?25l", "\x1b[?25h", f"\x1b[2K{short(NAME)[:15]}"):
        assert part_of_bar in shown
    assert ("━" in shown) == (columns >= 80)
    assert "\x1b[1A" not in shown.partition("\x1b[?25h")[0]  # up from a second line of it
    warned = [line for line in lines if " warning: " in line]
    assert warned[0].endswith(f"left alone: {HARMLESS}")
    assert warned[1].endswith("1 rejected")
    assert " info: " not in shown
    assert lines[-3:] == [
        "file                      rows inserted rejected",
        "Procedure_20211201_223357    2        1        1",
        SUMMARY,
    ]


def test_nothing_to_do_on_a_terminal(feed: Feed) -> None:
    """On a terminal a run without files shows no table, and a dry one says that it is one."""
    deliver(feed)
    _, lines = on_terminal(feed, 160, "load", "--dry-run", "--since", "2022-01-01")
    assert "file " not in "".join(lines)
    summary = "ok; no new files; checkpoint none; rejects open 0, resolved 0"
    assert lines[-1] == f"dry run, nothing kept: {summary}"


def test_narrow_terminal(feed: Feed) -> None:
    """A narrow terminal folds what stands last, and cuts nothing off."""
    deliver(feed)
    start(feed, ["load"]).communicate()
    _, (_, *lines) = on_terminal(feed, 90, "rejects", "list", "--raw")
    place = lines[0].index(r"x\tcast")
    assert lines[0][:place].split() == [
        "1",
        *("Procedure_20211201_223357", "3", "invalid_integer", "ProcedureId", "open"),
    ]
    folded = [line[place:] for line in lines]
    assert len(folded) > 1
    assert " ".join(folded).replace(" ", "") == ROW.replace("\t", r"\t").replace(" ", "")


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
    assert short(NAME) == "Procedure_20211201_223357"
    assert short("readme.md") == "readme.md"
