import json
import re
import stat
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser
from sqlalchemy import func, select

from tests.support.browser import chromium, look
from tests.support.command import Visitpay
from tests.support.feed import Feed, only_sqlite, row
from tests.support.marked import MARK, deliver_marked
from visitpay.database.engine import make_engine, read_connection
from visitpay.database.session import ExclusiveSession
from visitpay.feed import short_name
from visitpay.models import (
    BalanceDifference,
    LoadFile,
    LoadRun,
    Procedure,
    RejectedRow,
    Transaction,
    Visit,
)
from visitpay.quality.checks import CHECKS
from visitpay.verdict.advice import ADVICE, advice_for
from visitpay.vocabulary import Reason, RejectStatus

HARMFUL = "<img src=x onerror=alert(1)><script>alert(2)<|script>{{ 7*7 }}.txt"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Yield a browser."""
    with chromium() as started:
        yield started


def report(feed: Feed, visitpay: Visitpay) -> Path:
    """Write the page of a feed."""
    path = feed.landing.parent / "report.html"
    outcome = visitpay("report", "--output", path)
    assert (outcome.status, outcome.out, outcome.err) == (0, f"{path}\n", "")
    return path


def empty(feed: Feed, visitpay: Visitpay) -> None:
    """Load nothing."""
    assert visitpay("load").status == 0
    assert feed.keys(Visit) == []


def healthy(feed: Feed, visitpay: Visitpay) -> None:
    """Load two days on which all is well."""
    for day in "12":
        feed.deliver(Procedure, at=f"2021120{day}_223357", procedure_description=f"bandaid {day}")
        feed.deliver(
            Visit,
            at=f"2021120{day}_223005",
            visit_identifier=day,
            guarantor_identifier=2,
            visit_balance="10.00",
        )
        feed.deliver(
            Transaction,
            at=f"2021120{day}_223133",
            transaction_identifier=day,
            visit_identifier=day,
            amount="10.00",
        )
        visitpay("load")
    visitpay("reconcile")


def bad(feed: Feed, visitpay: Visitpay) -> None:
    """Load a few days of dirt; a file fails, one waits, one bears a name to do harm with."""
    visitpay("sample", feed.landing, "--visits", 300, "--days", 3, "--dirt", 5)
    (feed.landing / HARMFUL).touch()
    feed.deliver_lines(Visit, at="20211205_000000", header="no such column")
    visitpay("load")
    visitpay("reconcile")
    feed.deliver(Procedure, at="20211206_000000")


def number(text: str) -> int:
    """Read a number as the page writes it."""
    return int(text.replace(",", ""))


A4 = 680
"""Pixels that a printer of Chromium gives to a page of A4, within its margins."""

STATES = {"empty": empty, "healthy": healthy, "bad": bad}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1100), ("dark", 1100), ("light", 390)])
@only_sqlite
def test_it_renders(
    feed: Feed,
    visitpay: Visitpay,
    browser: Browser,
    state: str,
    scheme: Literal["light", "dark"],
    width: int,
) -> None:
    """It complains of nothing, asks for nothing, is accessible, and no wider than the window."""
    STATES[state](feed, visitpay)
    path = report(feed, visitpay)
    sight = look(browser, path, scheme, width)
    assert (sight.wrong, sight.requests) == ([], [path.as_uri()])
    assert Axe().run(sight.page).response["violations"] == []
    assert sight.page.evaluate("document.documentElement.scrollWidth") <= width
    charts = sight.page.locator("figure svg").count()
    assert charts == {"empty": 0, "healthy": 2, "bad": 4}[state]
    sight.page.close()


def test_an_empty_database(feed: Feed, visitpay: Visitpay, browser: Browser) -> None:
    """Without anything loaded it says so, and needs no person."""
    sight = look(browser, report(feed, visitpay))
    assert sight.page.inner_text("#verdict") == "all is well: nothing was loaded yet"
    assert sight.page.inner_text("#freshness") == "Nothing was loaded yet; no load ran yet."
    sight.page.close()


def test_a_healthy_feed(feed: Feed, visitpay: Visitpay, browser: Browser) -> None:
    """It says how far the feed has got, how the last run went, and that nothing is to be done."""
    healthy(feed, visitpay)
    sight = look(browser, report(feed, visitpay))
    assert sight.page.inner_text("#verdict").startswith("all is well: loaded up to 2021-12-02")
    line = sight.page.inner_text("#freshness")
    pattern = (
        r"Loaded up to 2021-12-02 22:33 UTC, [\d,]+ days ago; "
        r"the last run, number 2, began at [\d-]{10} \d\d:\d\d UTC, took [\d.]+ s and ended well\. "
        r"Balances were last compared at [\d-]{10} \d\d:\d\d UTC\."
    )
    assert re.fullmatch(pattern, line)
    assert sight.page.locator("h2").all_inner_texts() == ["Files"]
    sight.page.close()


def test_the_age_is_that_of_the_newest_file(
    feed: Feed, visitpay: Visitpay, browser: Browser
) -> None:
    """It is told in hours at first, and a file of the future is told apart."""
    for hours, said in ((3, "3 hours ago"), (-3, "in the future"), (-300, "in the future")):
        moment = datetime.now(UTC) - timedelta(hours=hours, minutes=5)
        name = feed.deliver(
            Procedure, at=f"{moment:%Y%m%d_%H%M%S}", procedure_description=hours
        ).name
        visitpay("load", "--approve", name)
        sight = look(browser, report(feed, visitpay))
        assert f"UTC, {said};" in sight.page.inner_text("#freshness")
        assert ("file_in_future" in sight.page.inner_text("main")) == (hours == -300)
        sight.page.close()


@only_sqlite
def test_a_run_that_did_not_end(feed: Feed, visitpay: Visitpay, browser: Browser) -> None:
    """One that is under way is told from one that was killed."""
    healthy(feed, visitpay)
    feed.execute("UPDATE load_runs SET finished_at = NULL, status = 'running'")
    interrupt = "UPDATE load_runs SET status = 'interrupted'"

    def ended() -> str:
        sight = look(browser, report(feed, visitpay))
        said = sight.page.inner_text("#freshness").split(" Balances")[0]
        sight.page.close()
        return said.partition(" UTC and ")[2]

    with ExclusiveSession(make_engine(feed.url), 0):
        assert ended() == "has not ended."
    assert ended() == "died or was stopped."
    feed.execute(interrupt)
    assert ended() == "was interrupted."


def test_its_figures_are_the_database_s(feed: Feed, visitpay: Visitpay, browser: Browser) -> None:
    """Whatever it counts, the database counts as well."""
    bad(feed, visitpay)
    sight = look(browser, report(feed, visitpay))
    by_day: Counter[tuple[str, str]] = Counter()
    with read_connection(feed.url) as connection:
        files = connection.execute(select(LoadFile).order_by(LoadFile.id.desc())).all()
        rejects = connection.execute(
            select(RejectedRow.id, LoadFile.file_datetime, RejectedRow.reason, RejectedRow.status)
            .join_from(RejectedRow, LoadFile)
            .order_by(RejectedRow.id)
        ).all()
        run = connection.execute(select(LoadRun)).one()
        differing = connection.scalar(select(func.count()).select_from(BalanceDifference))
    for file in files:
        if file.status == "loaded":
            by_day[str(file.file_datetime.date()), file.entity] += file.rows_read
    types = ("Procedure", "Visit", "Transaction")
    days = sorted({day for day, _ in by_day})
    rows = [[day, *(f"{by_day[day, entity]:,}" for entity in types)] for day in days]
    assert sight.table("#chart1") == rows

    of_day = Counter((str(each.file_datetime.date()), each.reason) for each in rejects)
    reasons = [each for each in Reason if each in {reject.reason for reject in rejects}]
    rows = [[day, *(f"{of_day[day, reason]:,}" for reason in reasons)] for day in days]
    assert sight.table("#chart2") == rows
    seconds = round((run.finished_at - run.started_at).total_seconds(), 2)
    assert [(place, float(took)) for place, took in sight.table("#chart3")] == [("1", seconds)]
    assert [number(count) for _, count in sight.table("#chart4")] == [differing]

    still_open = [each for each in rejects if each.status == RejectStatus.OPEN]
    assert sorted(int(row[0]) for row in sight.table("#rejects")) == [e.id for e in still_open]
    told = dict(
        text.split(": ", 1)
        for text in sight.page.locator("#needs li:has(.count)").all_inner_texts()
    )
    assert {reason: number(text.split()[0]) for reason, text in told.items()} == dict(
        Counter(each.reason for each in still_open)
    )
    failed = sight.page.locator("#needs li", has_text="file_failed").all_inner_texts()
    assert failed == ["file_failed: Visit_20211205_000000 cannot be loaded"]
    listed = sight.table("#files")
    assert [row[1] for row in listed[:2]] == ["not recognised", "not recognised"]
    assert listed[2][:2] == ["Procedure_20211206_000000", "waiting"]
    assert [row[:4] for row in listed[3:]] == [
        [short_name(file.name), file.status, f"{file.rows_read:,}", f"{file.rows_rejected:,}"]
        for file in files
    ]
    sight.page.close()


@only_sqlite
def test_bars_are_told(feed: Feed, visitpay: Visitpay, browser: Browser) -> None:
    """Each bar says what it stands for, in its label and to a pointer."""
    healthy(feed, visitpay)
    sight = look(browser, report(feed, visitpay))
    bars = sight.page.locator("#chart1 svg path[aria-label]")
    assert bars.count() == 6
    labels = set(bars.evaluate_all("bars => bars.map(bar => bar.ariaLabel)"))
    assert "day: 2021-12-02; rows: 1; type: Visit" in labels
    assert bars.first.locator("title").text_content() == "day: 2021-12-01\nrows: 1\ntype: Procedure"
    sight.page.close()


@only_sqlite
def test_sort_and_filter(feed: Feed, visitpay: Visitpay, browser: Browser) -> None:
    """A click sorts a table, another one the other way round; words leave the rows with them."""
    bad(feed, visitpay)
    sight = look(browser, report(feed, visitpay))
    button = sight.page.locator("#rejects th button", has_text="line")
    before = sight.table("#rejects")
    for sign, said in ((1, "ascending"), (-1, "descending")):
        button.click()
        lines = [number(row[2]) for row in sight.table("#rejects")]
        assert lines == sorted(lines, key=lambda line: sign * line)
        assert button.locator("..").get_attribute("aria-sort") == said
    field = sight.page.locator("section.list", has_text="Open rejects").get_by_role("searchbox")
    field.fill("VISIT malformed")
    shown = sight.table("#rejects")
    expected = [row for row in before if row[3] == "Visit" and row[4] == "malformed"]
    assert sorted(shown) == sorted(expected) != []
    count = sight.page.locator("section.list", has_text="Open rejects").locator("output")
    assert count.inner_text() == f"{len(shown)} of {len(before)}"
    field.fill("")
    assert len(sight.table("#rejects")) == len(before)
    sight.page.close()


@only_sqlite
def test_large_numbers_sort_as_numbers(feed: Feed, visitpay: Visitpay, browser: Browser) -> None:
    """A thousand is more than two, though it is written with a comma."""
    for day, rows in enumerate((1000, 2, 300), 1):
        procedures = (row(procedure_id=key) for key in range(rows))
        feed.deliver(Procedure, *procedures, at=f"2021120{day}_223357")
    visitpay("load")
    sight = look(browser, report(feed, visitpay))
    sight.page.locator("#files th button", has_text="rows").click()
    assert [row[2] for row in sight.table("#files")] == ["2", "300", "1,000"]
    sight.page.close()


@only_sqlite
def test_links_lead_to_what_to_do(feed: Feed, visitpay: Visitpay, browser: Browser) -> None:
    """Whatever needs a person links to what is to be done, and each of these is on the page."""
    bad(feed, visitpay)
    sight = look(browser, report(feed, visitpay))
    links = set(sight.page.locator("a").evaluate_all("all => all.map(a => a.hash.slice(1))"))
    told = set(sight.page.locator("dt").evaluate_all("all => all.map(dt => dt.id)"))
    assert {"do-malformed", "do-file_failed", "do-not_recognised"} < links
    assert links == told
    sight.page.close()


@only_sqlite
def test_a_held_file(feed: Feed, visitpay: Visitpay, browser: Browser) -> None:
    """It is told apart from one that failed, with the command that lists it."""
    feed.deliver(Procedure, procedure_id="x", procedure_description="bad")
    visitpay("load", "--hold-above", "5")
    sight = look(browser, report(feed, visitpay))
    told = sight.page.locator("#needs li").all_inner_texts()
    assert told == ["file_held: Procedure_20211201_223357 is held"]
    assert "visitpay files --status held" in sight.page.inner_text("main")
    assert "file_failed" not in sight.page.inner_text("main")
    sight.page.close()


def test_everything_has_a_remedy() -> None:
    """No reason and no finding leaves a person at a loss."""
    states = {"file_failed", "file_held", "file_changing", "not_recognised"}
    lacking = {*Reason, *CHECKS, *states} - set(ADVICE)
    assert lacking == set(), "say in verdict/advice.py what they mean, and what to do"
    assert set(ADVICE) == {*Reason, *CHECKS, *states}


def test_what_has_no_remedy_stops_no_report() -> None:
    """A word that has none yet, or that a newer version has written, has a general one."""
    assert advice_for("invalid_phone").meaning.startswith("Nothing is known of this here")
    assert advice_for("file_failed") is ADVICE["file_failed"]


@only_sqlite
def test_what_else_needs_a_person(feed: Feed, visitpay: Visitpay, browser: Browser) -> None:
    """Misnamed files, and such as keep changing, are told, with what to do."""
    changing = feed.deliver(Procedure)
    (feed.landing / changing.name.replace(".txt", ".TXT")).touch()
    visitpay("load", "--settle", "3600")
    feed.execute("UPDATE problems SET opened_at = '2021-12-01 00:00:00'")
    sight = look(browser, report(feed, visitpay))
    assert sight.page.locator("#needs li").all_inner_texts() == [
        f"not_recognised: {changing.stem}.TXT has nearly a name of the feed, and is not loaded",
        "file_changing: Procedure_20211201_223357 changed in every run for more than a day",
    ]
    assert "See who writes it" in sight.page.inner_text("main")
    sight.page.close()


@only_sqlite
def test_long_lists_are_cut(
    feed: Feed, visitpay: Visitpay, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a list that is cut the page says how long it is."""
    bad(feed, visitpay)
    monkeypatch.setattr("visitpay.reporting.page.ROWS", 3)
    sight = look(browser, report(feed, visitpay))
    assert (len(sight.table("#files")), len(sight.table("#rejects"))) == (3, 3)
    with read_connection(feed.url) as connection:
        count = connection.scalar(
            select(func.count()).where(RejectedRow.status == RejectStatus.OPEN)
        )
    notes = sight.page.locator("section.list > p:not(.filter)").all_inner_texts()
    assert notes == [f"The oldest 3 of {count}.", "The first 3 of 13."]
    sight.page.close()


@only_sqlite
def test_it_prints(feed: Feed, visitpay: Visitpay, browser: Browser) -> None:
    """On paper all of it is there, and nothing that only a screen can use; figures if laid open."""
    bad(feed, visitpay)
    sight = look(browser, report(feed, visitpay), "dark", width=A4)
    sight.page.locator("summary").nth(1).click()
    sight.page.emulate_media(media="print", color_scheme="dark")
    figures = sight.page.locator("details")
    assert [each.is_visible() for each in figures.all()] == [False, True, False, False]
    assert not any(field.is_visible() for field in sight.page.locator(".filter").all())
    widths = "all => all.filter(each => each.scrollWidth > each.clientWidth).length"
    assert sight.page.locator(".wide:visible").evaluate_all(widths) == 0
    button = "getComputedStyle(document.querySelector('th button')).display"
    assert sight.page.evaluate(button) == "contents"  # else no sheet but the first has heads
    paper = sight.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == "rgb(255, 255, 255)"
    assert sight.page.pdf().startswith(b"%PDF")
    sight.page.close()


@only_sqlite
def test_names_do_no_harm(feed: Feed, visitpay: Visitpay, browser: Browser) -> None:
    """A file's name is text, whatever it holds."""
    bad(feed, visitpay)
    sight = look(browser, report(feed, visitpay))
    assert HARMFUL in {row[0] for row in sight.table("#files")}
    assert (sight.page.locator("img").count(), sight.page.locator("script").count()) == (0, 1)
    sight.page.close()


def test_it_tells_no_cell(feed: Feed, visitpay: Visitpay) -> None:
    """Nothing of a row is on the page."""
    deliver_marked(feed)
    visitpay("load")
    visitpay("reconcile")
    page = report(feed, visitpay).read_text()
    assert "invalid_amount" in page
    assert MARK.findall(re.sub(r'\bd="[^"]*"', "", page)) == []


@only_sqlite
def test_only_its_owner_reads_it(feed: Feed, visitpay: Visitpay) -> None:
    """It takes the place of an older one, and its owner alone can read it."""
    path = feed.landing.parent / "report.html"
    path.write_text("<!DOCTYPE html>older")
    path.chmod(0o644)
    assert report(feed, visitpay).read_text().startswith("<!DOCTYPE html>")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.glob(".*html")] == []


@only_sqlite
def test_where_it_cannot_be_written(feed: Feed, visitpay: Visitpay) -> None:
    """It says so; the older one stays."""
    place = feed.landing.parent / "place"
    place.mkdir()
    outcome = visitpay("report", "--output", place)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err == f"visitpay: {place} cannot be written: Is a directory\n"
    assert list(place.parent.glob(".place")) == []


@only_sqlite
def test_only_a_page_is_written_over(feed: Feed, visitpay: Visitpay) -> None:
    """A link, a device, or a file that is no page stays, and nothing is written behind it."""
    link, aim = feed.landing.parent / "report.html", feed.landing.parent / "aim"
    link.symlink_to(aim)
    for place in (link, Path("/dev/null"), feed.database):
        outcome = visitpay("report", "--output", place)
        message = f"visitpay: {place} is there, and is not ours to write over; name another place\n"
        assert (outcome.status, outcome.out, outcome.err) == (2, "", message)
    assert (link.is_symlink(), aim.exists(), Path("/dev/null").is_file()) == (True, False, False)


@only_sqlite
def test_what_is_in_the_way_stays(feed: Feed, visitpay: Visitpay) -> None:
    """A link where the hidden file would be is neither followed nor taken away."""
    way = feed.landing.parent / ".report.html"
    way.symlink_to(feed.landing.parent / "elsewhere")
    outcome = visitpay("report", "--output", feed.landing.parent / "report.html")
    assert outcome.status == 2
    assert "report.html cannot be written" in outcome.err
    assert way.is_symlink()
    assert not way.exists()


@only_sqlite
def test_json(feed: Feed, visitpay: Visitpay) -> None:
    """For machines it says whether something needs a person, and where the page is."""
    bad(feed, visitpay)
    path = feed.landing.parent / "report.html"
    document = json.loads(visitpay("report", "--output", path, "--json").out)
    assert document["status"] == "attention"
    assert document["summary"].startswith("needs a person: ")
    assert document["path"] == str(path)


@only_sqlite
def test_without_the_extra(visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install."""
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    for module in ("visitpay.reporting.charts", "visitpay.reporting.page"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.delattr("visitpay.reporting.page", raising=False)
    outcome = visitpay("report")
    assert (outcome.status, outcome.out) == (2, "")
    assert "pip install 'visitpay[report]'" in outcome.err
