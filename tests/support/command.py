"""The command: as a process of its own, on a terminal, with limits; and what it printed."""

import ctypes
import fcntl
import json
import os
import pty
import re
import resource
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tests.support.feed import Feed

STEERING = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass
class Outcome:
    """What a command printed and how it ended."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document on standard output."""
        return json.loads(self.out)

    @property
    def said(self) -> str:
        """Standard error, where what ended a load has neither time nor level."""
        return re.sub(r"(?m)^[-0-9]{10}T[:0-9]{8}Z error: (?=visitpay: )", "", self.err)


Visitpay = Callable[..., Outcome]


def without_privilege() -> None:
    """Let even root mind permissions."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


def start(feed: Feed, arguments: Sequence[str], **options: Any) -> subprocess.Popen[str]:
    """Start the command as a process of its own, with options of Popen."""
    environment = os.environ | {
        "VISITPAY_DATABASE_URL": feed.url,
        "VISITPAY_LANDING": str(feed.landing),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "visitpay", *arguments],
        env=environment,
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options,
    )


def on_terminal(
    feed: Feed, columns: int, *arguments: str, **settings: str
) -> tuple[str, list[str]]:
    """Run the command on a terminal, and give what it is sent, whole and as plain lines."""
    environment = os.environ | {
        "TERM": "xterm-256color",
        "VISITPAY_DATABASE_URL": feed.url,
        "VISITPAY_LANDING": str(feed.landing),
    }
    for name in ("COLUMNS", "LINES", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        environment.pop(name, None)
    environment |= settings
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


def without_times(log: str) -> list[str]:
    """Return the lines of a log, each without the moment at its start."""
    moment = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z ")
    lines = log.splitlines()
    assert all(moment.match(line) for line in lines)
    return [moment.sub("", line, count=1) for line in lines]


def limited(size_bytes: int) -> None:
    """Let no file of this process grow beyond a size."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))
