"""The first page of the reports of many hospitals: how each stands, and where its page is."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote

from visitpay.reporting.page import render


class Line(NamedTuple):
    """A hospital."""

    name: str
    status: str
    """As its document says; `failed` if its page could not be written."""
    what: str
    page: str
    """The name of its page; empty if it never had one."""

    @property
    def sign(self) -> str:
        """What a page shows beside it, so that colour is never needed."""
        return _SIGNS.get(self.status, "!")

    @property
    def style(self) -> str:
        """The class of its colour."""
        return {"ok": "well", "unknown": "unknown"}.get(self.status, "needs")

    @property
    def link(self) -> str:
        """The page, as a link."""
        return quote(self.page)


_SIGNS = {"ok": "\N{CHECK MARK}", "unknown": "?"}


def index(lines: Sequence[Line], now: datetime) -> str:
    """Return the page as HTML, with the hospitals in the order given, the worst first."""
    bad = [line for line in lines if line.status != "ok"]
    return render(
        "index.html",
        now,
        lines=lines,
        bad=bad,
        style=bad[0].style if bad else "well",
        sign=bad[0].sign if bad else _SIGNS["ok"],
    )
