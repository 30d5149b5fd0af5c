import csv
import http.server
import io
import json
import re
import stat
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import psycopg
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser
from sqlalchemy import func, make_url, select, text

from tests.support.browser import chromium, look
from tests.support.command import Visitpay
from tests.support.databases import rendered
from tests.support.feed import Feed, only_sqlite, row
from tests.support.marked import MARK, deliver_marked
from visitpay.database.engine import read_connection
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
from visitpay.rejects.money import MoneySums
from visitpay.reporting.charts import Chart, Usual
from visitpay.reporting.figures import Figures
from visitpay.verdict.advice import ADVICE, advice_for
from visitpay.verdict.kinds import KINDS
from visitpay.vocabulary import Reason, RejectStatus

HARMFUL = "<img src=x onerror=alert(1)><script>alert(2)<|script>{{ 7*7 }}.txt"
DAY = timedelta(days=1)


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
    """Load the last two days, on which all is well."""
    for key in (1, 2):
        day = f"{datetime.now(UTC) - (3 - key) * DAY:%Y%m%d}"
        feed.deliver(Procedure, at=f"{day}_003357", procedure_description=f"bandaid {key}")
        feed.deliver(Visit, at=f"{day}_003005", visit_identifier=key, visit_balance="1234.50")
        feed.deliver(
            Transaction,
            at=f"{day}_003133",
            transaction_identifier=key,
            visit_identifier=key,
            amount="1234.50",
        )
        assert visitpay("load").status == 0
    visitpay("reconcile")


def bad(feed: Feed, visitpay: Visitpay) -> None:
    """Load a few days of dirt; a file fails, one waits, one bears a name to do harm with."""
    visitpay("sample", feed.landing, "--visits", 150, "--days", 3, "--dirt", 5)
    (feed.landing / HARMFUL).touch()
    feed.deliver_lines(Visit, at="20211205_000000", header="no such column")
    visitpay("load")
    visitpay("reconcile")
    feed.deliver(Procedure, at="20211206_000000")


def number(text: str) -> int:
    """Read a number as the page writes it."""
    return int(text.replace(",", ""))


def sheets(pdf: bytes) -> int:
    """Count the pages of a PDF."""
    return len(re.findall(rb"/Type\s*/Page\b", pdf))


STATES = {"empty": (empty, 0), "healthy": (healthy, 2), "bad": (bad, 3)}


@pytest.mark.parametrize("state", STATES)
@only_sqlite
def test_it_renders(feed: Feed, visitpay: Visitpay, browser: Browser, state: str) -> None:
    """It complains of nothing, asks for nothing, is accessible, fits the window and the paper."""
    make, charts = STATES[state]
    make(feed, visitpay)
    path = report(feed, visitpay)
    for scheme, width in (("light", 1280), ("dark", 1280), ("light", 390)):
        sight = look(browser, path, scheme, width)  # type: ignore[arg-type]
        if width > 1000:
            sight.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert Axe().run(sight.page).response["violations"] == []
        assert sight.page.evaluate("document.documentElement.scrollWidth") <= width
        assert sight.page.locator("figure svg").count() == charts
        assert (sight.wrong, sight.requests) == ([], [path.as_uri()])
        sight.page.close()
    sight = look(browser, path)
    assert sheets(sight.page.pdf(format="A4")) <= 3
    sight.page.close()


def test_an_empty_database(feed: Feed, visitpay: Visitpay, browser: Browser) -> None:
    """Without anything loaded nothing is known, and it says what to look at."""
    sight = look(browser, report(feed, visitpay))
    assert sight.texts("#verdict h1, #detail") == ["Unknown", "nothing was loaded yet"]
    assert "visitpay doctor" in sight.page.inner_text("#first")
    assert sight.tile("until") == ["Loaded up to", "nothing yet"]
    assert sight.tile("yesterday")[1:] == ["0", "what is usual is not known yet"]
    assert sight.tile("amounts") == ["Money loaded, net", "$0.00", "in quarantine: $0.00"]
    sight.page.close()


@only_sqlite
def test_before_the_first_load(feed: Feed, visitpay: Visitpay, browser: Browser) -> None:
    """Files wait, and the command that loads them stands there."""
    feed.deliver(Procedure)
    sight = look(browser, report(feed, visitpay))
    assert "1 file waits to be loaded." in sight.page.inner_text("#first")
    assert sight.page.inner_text("#first code").startswith("visitpay load /")
    sight.page.close()


def test_a_healthy_feed(feed: Feed, visitpay: Visitpay, browser: Browser) -> None:
    """In one screen it says whose feed it is, that all is well, how far it got, and how much."""
    healthy(feed, visitpay)
    sight = look(browser, report(feed, visitpay))
    who = sight.page.inner_text(".who")
    assert who.startswith("HospitalABC")
    assert str(make_url(feed.url).database) in who
    assert (make_url(feed.url).password or "no password") not in who
    assert sight.texts("#verdict .sign, #verdict h1") == ["\N{CHECK MARK}", "All is well"]
    newest = datetime.now(UTC) - DAY
    until = f"loaded up to {newest:%Y-%m-%d} 00:30 UTC"
    assert sight.page.inner_text("#detail").startswith(until)
    assert sight.tile("until")[1] in {f"{hours} hours ago" for hours in range(23, 48)}
    assert sight.tile("yesterday")[1] == "3"
    assert sight.tile("amounts")[1:] == ["$2,469.00", "in quarantine: $0.00"]
    assert sight.tile("balances")[1:] == ["$0.00", "0 of 2 visits, compared just now"]
    assert sight.tile("stuck")[1:] == ["0", "0 failed, 0 held; 0 wait"]
    assert sight.page.locator("details[open]").count() == 0
    assert sight.page.evaluate("document.documentElement.scrollHeight") <= 800  # one screen
    sight.page.close()


@only_sqlite
def test_it_ages(feed: Feed, visitpay: Visitpay, browser: Browser) -> None:
    """It tells how old it is, by the clock of whoever reads it, and past a day knows nothing."""
    healthy(feed, visitpay)
    path = report(feed, visitpay)
    now = datetime.now(UTC)
    ages = (
        (timedelta(minutes=100), ", 100 minutes ago", "All is well"),
        (timedelta(hours=23, minutes=50), ", 23 hours ago", "All is well"),
        (timedelta(hours=24, minutes=10), ", 24 hours ago", "Unknown: this page is 24 hours old"),
        (timedelta(days=-2), ", by this computer's clock in the future", "All is well"),
    )
    for age, told, word in ages:
        sight = look(browser, path, at=now + age)
        assert (sight.page.text_content("#age"), sight.page.inner_text("h1")) == (told, word)
        is_old = word != "All is well"
        assert sight.page.inner_text(".sign") == ("?" if is_old else "\N{CHECK MARK}")
        assert sight.page.title().startswith("? Unknown") == is_old
        assert sight.page.locator("#stale").is_visible() == is_old
        if is_old:
            assert sight.page.inner_text("#said") == "When it was written it said: All is well"
            assert "visitpay report" in sight.page.inner_text("#stale")
            assert Axe().run(sight.page).response["violations"] == []
        sight.page.close()
    sight = look(browser, path, at=now)
    assert sight.page.text_content("text.now") == "today"
    sight.page.clock.set_fixed_time(now + 2 * DAY)  # it stays open
    sight.page.evaluate("dispatchEvent(new Event('focus'))")
    assert sight.page.inner_text("h1") == "Unknown: this page is 2 days old"
    assert sight.page.text_content("text.now") == f"{now.day} {now:%b}"
    sight.page.close()
    sight = look(browser, path, script=False)
    assert f"Written {now:%Y-%m-%d}" in sight.page.inner_text("#written")
    assert "cannot tell how old it is" in sight.page.inner_text("noscript")
    assert not sight.page.locator(".copy, .tools, #stale").first.is_visible()
    sight.page.close()


def amounts(feed: Feed) -> dict[tuple[str, int], Decimal]:
    """Return each transaction's amount by file and key, as the database writes it as text."""
    query = """SELECT f.name, t.transaction_identifier, {} FROM transactions t
        JOIN load_files f ON f.id = t.source_file_id"""
    if feed.url.startswith("sqlite"):
        import sqlite3

        found = sqlite3.connect(feed.database).execute(query.format("printf('%.2f', t.amount)"))
        return {(name, key): Decimal(amount) for name, key, amount in found}
    url = rendered(make_url(feed.url).set(drivername="postgresql"))
    with psycopg.connect(url) as connection:
        rows = connection.execute(query.format("t.amount::text"))
        return {(name, key): Decimal(amount) for name, key, amount in rows}


def test_money_is_exact(feed: Feed, visitpay: Visitpay, browser: Browser) -> None:
    """Sums are right to the cent, also where doubles or 64 bits would not do."""
    largest, keys = Decimal("999999999999.99"), range(1, 3001)
    feed.deliver(Procedure)
    feed.deliver(Visit, row(visit_identifier=10, visit_balance="0.07"), row(visit_identifier=11))
    charges = [
        row(transaction_identifier=key, amount=largest if key % 3 else Decimal("-0.01") * key)
        for key in keys
    ]
    feed.deliver(Transaction, *charges)
    feed.deliver(
        Transaction,
        row(transaction_identifier=1, amount="0.10"),
        row(transaction_identifier=9001, visit_identifier=404, amount="1234.56"),
        row(transaction_identifier=9002, visit_identifier=404, amount="-0.07"),
        row(transaction_identifier=9003, amount="1.005"),
        at="20211202_223133",
    )
    visitpay("load")
    visitpay("reconcile")
    stored = amounts(feed)
    assert len(stored) == len(keys)
    by_day: dict[str, Decimal] = {}
    for (name, _), value in stored.items():
        day = re.sub(r".*_(\d{4})(\d\d)(\d\d)_\d+.txt", r"\1-\2-\3", name)
        by_day[day] = by_day.get(day, Decimal(0)) + value

    def dollars(value: Decimal) -> str:
        return f"{'-' if value < 0 else ''}${abs(value):,.2f}"

    sight = look(browser, report(feed, visitpay))
    assert sight.tile("amounts")[1] == dollars(sum(stored.values(), Decimal(0)))
    assert sight.tile("amounts")[2] == (
        "in quarantine: $1,234.49 and 1 row without a readable amount"
    )
    rows = [[day, dollars(value)] for day, value in sorted(by_day.items(), reverse=True)]
    assert sight.table("#money") == rows
    assert sight.tile("balances")[1:] != []
    with read_connection(feed.url) as connection:
        found = connection.execute(
            text("SELECT visit_balance, transactions_total FROM balance_differences")
        ).all()
    apart = sum((abs(Decimal(str(one)) - Decimal(str(other))) for one, other in found), Decimal(0))
    assert sight.tile("balances")[1] == dollars(apart)
    sight.page.close()


def test_its_figures_are_the_database_s(feed: Feed, visitpay: Visitpay, browser: Browser) -> None:
    """Whatever it counts, the database counts as well; the worst reasons come first."""
    bad(feed, visitpay)
    sight = look(browser, report(feed, visitpay))
    by_day: Counter[tuple[str, str]] = Counter()
    with read_connection(feed.url) as connection:
        files = connection.execute(select(LoadFile).order_by(LoadFile.id.desc())).all()
        rejects = connection.execute(
            select(RejectedRow.id, LoadFile.file_datetime, RejectedRow.reason, RejectedRow.status)
            .join_from(RejectedRow, LoadFile)
            .order_by(RejectedRow.id.desc())
        ).all()
        run = connection.execute(select(LoadRun)).one()
        differing = connection.scalar(select(func.count()).select_from(BalanceDifference))
    for file in files:
        if file.status == "loaded":
            by_day[str(file.file_datetime.date()), file.entity] += file.rows_read
    types = ("Procedure", "Visit", "Transaction")
    days = sorted({day for day, _ in by_day}, reverse=True)
    rows = [[day, *(f"{by_day[day, entity]:,}" for entity in types)] for day in days]
    assert sight.table("#rows") == rows

    totals = Counter(each.reason for each in rejects)
    worst = [reason for reason, _ in totals.most_common(5)]
    of_day = Counter(
        (str(each.file_datetime.date()), each.reason if each.reason in worst else "other reasons")
        for each in rejects
    )
    parts = sight.texts("#rejects-by-day .legend li")
    assert [totals[part] for part in parts[:5]] == [count for _, count in totals.most_common(5)]
    assert parts[5:] == (["other reasons"] if len(totals) > 5 else [])
    assert sorted(map(tuple, sight.table("#rejects-by-day"))) == sorted(
        (day, *(f"{of_day[day, part]:,}" for part in parts)) for day in days
    )
    still_open = [each for each in rejects if each.status == RejectStatus.OPEN]
    assert [int(row[0]) for row in sight.table("#rejects")] == [each.id for each in still_open]
    by_reason: Counter[str] = Counter()
    for cells in sight.table("#reasons"):
        by_reason[cells[1]] += number(cells[2])
    assert by_reason == Counter(each.reason for each in still_open)
    assert sight.tile("balances")[2].startswith(f"{differing:,} of ")
    (cells,) = sight.table("#runs")
    took = f"{(run.finished_at - run.started_at).total_seconds():.1f} s"
    assert cells[2:8] == [took, "attention", "9", "1", f"{run.rows_read:,}", f"{len(rejects):,}"]
    listed = sight.table("#files")
    assert [row[1] for row in listed[:2]] == ["not recognised", "not recognised"]
    assert listed[2][:2] == ["Procedure_20211206_000000", "waiting"]
    assert [row[:4] for row in listed[3:]] == [
        [short_name(file.name), file.status, f"{file.rows_read:,}", f"{file.rows_rejected:,}"]
        for file in files
    ]
    sight.page.close()


@only_sqlite
def test_problems_in_their_order(feed: Feed, visitpay: Visitpay, browser: Browser) -> None:
    """What fails comes first, then the new, then the known, folded, each with its command."""
    bad(feed, visitpay)
    feed.execute(
        "UPDATE problems SET opened_at = '2021-12-01 00:00:00' WHERE name = 'rows_rejected'"
    )
    visitpay("acknowledge", "file_failed", "--why", "they <b>know</b>")
    sight = look(browser, report(feed, visitpay))
    groups = sight.page.locator(".group").evaluate_all("all => all.map(each => each.id)")
    assert groups == ["failures", "new", "known", "acknowledged"]
    folded = sight.page.locator(".group > details.paper").evaluate_all(
        "all => all.map(each => [each.parentNode.id, each.open])"
    )
    assert folded == [["known", False], ["acknowledged", False]]
    document = json.loads(visitpay("status", "--json").out)["verdict"]
    assert sight.page.inner_text("#verdict h1").lower().startswith("needs a person")
    first = sight.page.inner_text("#first .message")
    still_open = [each for each in document["problems"] if not each["acknowledged"]]
    assert first == still_open[0]["message"]
    assert "name nearly right" in sight.page.inner_text("#failures")
    known = sight.page.locator("#known li").first.text_content() or ""
    assert "since 2021-12-01 00:00 UTC" in known
    word = sight.page.locator("#acknowledged .word").text_content() or ""
    assert re.fullmatch(r"Acknowledged by \S+, [\d-]+ [\d:]+ UTC: they <b>know</b>", word)
    commands = set(sight.page.locator("code").all_text_contents())
    assert {problem["command"] for problem in document["problems"]} - {""} <= commands
    sight.page.close()


@only_sqlite
def test_what_it_tells_of_runs(feed: Feed, visitpay: Visitpay, browser: Browser) -> None:
    """A run that was killed, and one that an error ended, with its error, stand first."""
    healthy(feed, visitpay)
    feed.execute(
        "UPDATE load_runs SET status = 'failed', error = 'disk <full>' WHERE id = 1",
        "UPDATE load_runs SET finished_at = NULL, status = 'running' WHERE id = 2",
    )
    sight = look(browser, report(feed, visitpay))
    runs = sight.table("#runs")
    assert [(row[0], row[2], row[3], row[8]) for row in runs] == [
        ("2", "", "died", ""),
        ("1", runs[1][2], "failed", "disk <full>"),
    ]
    assert "run died" in sight.page.inner_text("#failures")
    sight.page.close()


def figures_of(today: date, rows: dict[date, int]) -> Figures:
    """Return figures of days with so many rows of one type."""
    of_type = {(day, "Visit"): count for day, count in rows.items()}
    none = MoneySums([], [], 0)
    return Figures(today, of_type, {}, {}, Decimal(0), none, 0, Decimal(0))


def test_what_is_usual() -> None:
    """It is the range of the last 8 of the same weekday, where enough of them had rows."""
    today = date(2026, 11, 27)
    daily = {today - number * DAY: 1000 + number for number in range(1, 200)}
    figures = figures_of(today, daily)
    assert len(figures.days) == 60
    assert (figures.days[0], figures.days[-1]) == (today - 59 * DAY, today)
    assert figures.usual([today]) == {today: Usual(1007, 1056)}
    cut_off = daily | {today - 7 * DAY: 12}
    assert figures_of(today, cut_off).usual([today]) == {today: Usual(1014, 1056)}
    weekdays = {day: rows for day, rows in daily.items() if day.weekday() < 5}
    friday, saturday = today, today + DAY
    assert list(figures_of(today, weekdays).usual([friday, saturday])) == [friday]
    young = {day: rows for day, rows in daily.items() if day > today - 20 * DAY}
    assert figures_of(today, young).usual([today]) == {}
    assert len(figures_of(today, young).days) == 20
    assert len(figures_of(today, {}).days) == 14
    old = {today - 400 * DAY: 5}
    assert figures_of(today, old).days[-1] == today - 400 * DAY


def test_a_chart_of_days() -> None:
    """Gaps are gaps, what lacks is marked, bars and bands are where the scale says."""
    today = date(2026, 11, 27)
    days = [today - number * DAY for number in (3, 2, 1, 0)]
    values = {(days[0], "a"): 40, (days[0], "b"): 10, (days[2], "a"): 25}
    usual = {day: Usual(50, 100) for day in days[1:]}
    chart = Chart("x", "x", "x", days, ["a", "b"], values, today, usual=usual)
    slots = list(chart.slots)
    assert [label for _, label in chart.ticks] == ["0", "50", "100"]
    assert [[(box.top, box.height) for box in slot.boxes] for slot in slots] == [
        [(chart.height / 2, chart.height / 2)],
        [],
        [(chart.height * 3 / 4, chart.height / 4)],
        [],
    ]
    assert [slot.band and (slot.band.top, slot.band.height) for slot in slots] == [
        None,
        *[(0, chart.height / 2)] * 3,
    ]
    assert [slot.is_missing for slot in slots] == [False, True, False, False]
    assert slots[1].told == ["Wed 2026-11-25", "nothing came", "usual: 50 to 100"]
    assert slots[0].told == ["Tue 2026-11-24", "50", "a: 40", "b: 10"]
    assert slots[3].label == "today"
    debts = {(days[0], "amount"): Decimal("-20000.50"), (days[1], "amount"): Decimal("0.25")}
    chart = Chart("x", "x", "x", days, ["amount"], debts, today)
    assert [label for _, label in chart.ticks] == ["-$30k", "-$20k", "-$10k", "$0", "$10k"]
    assert next(chart.slots).told == ["Tue 2026-11-24", "-$20,000.50"]


@only_sqlite
def test_search_facets_and_csv(feed: Feed, visitpay: Visitpay, browser: Browser) -> None:
    """Words and facets leave the rejects with them; what is left is what the CSV holds."""
    bad(feed, visitpay)
    column = '=cmd|/C calc!A0;-"1"'
    feed.execute(f"UPDATE rejected_rows SET column_name = '{column}'")
    sight = look(browser, report(feed, visitpay))
    sight.page.locator("summary", has_text="Open rejects").click()
    before = sight.table("#rejects")
    reason, kind, file = sight.page.locator(".tools select").all()
    counts = Counter(row[4] for row in before)
    assert set(reason.locator("option").all_inner_texts()) == {
        "all",
        *(f"{name} ({count})" for name, count in counts.items()),
    }
    kind.select_option("Visit")
    visits = [row for row in before if row[3] == "Visit"]
    assert sight.table("#rejects") == visits
    offered = reason.locator("option").evaluate_all("all => all.map(each => each.value)")
    assert set(offered) == {"", *(row[4] for row in visits)}
    file.select_option(visits[0][1])
    sight.page.get_by_role("searchbox").fill(f"{visits[0][4].upper()} {visits[0][6][:4]}")
    shown = sight.table("#rejects")
    assert shown == [row for row in visits if row[1] == visits[0][1] and row[4] == visits[0][4]]
    assert sight.page.inner_text("output") == f"{len(shown)} of {len(before)}"
    with sight.page.expect_download() as download:
        sight.page.get_by_role("button", name="Download CSV").click()
    assert re.fullmatch(r"visitpay-rejects-[\d-]{10}\.csv", download.value.suggested_filename)
    content = Path(download.value.path()).read_bytes().decode()
    lines = list(csv.reader(io.StringIO(content, newline="")))
    assert lines[0] == ["id", "file", "line", "type", "reason", "column", "since"]
    assert [[cells[0], short_name(cells[1]), *cells[2:5]] for cells in lines[1:]] == [
        row[:5] for row in shown
    ]
    assert lines[1][1].startswith("HospitalABC_VisitPay_Visit_")
    assert {cells[5] for cells in lines[1:]} == {' =cmd|/C calc!A0; -"1"'}
    sight.page.close()


@only_sqlite
def test_a_click_sorts(feed: Feed, visitpay: Visitpay, browser: Browser) -> None:
    """A click sorts a table by numbers as numbers; another one sorts it the other way round."""
    for day, rows in enumerate((1000, 2, 300), 1):
        procedures = (row(procedure_id=key) for key in range(rows))
        feed.deliver(Procedure, *procedures, at=f"2021120{day}_223357")
    visitpay("load")
    sight = look(browser, report(feed, visitpay))
    sight.page.locator("summary", has_text="Files").click()
    button = sight.page.locator("#files th button", has_text="rows")
    for order, said in (
        (["2", "300", "1,000"], "ascending"),
        (["1,000", "300", "2"], "descending"),
    ):
        button.click()
        assert [row[2] for row in sight.table("#files")] == order
        assert button.locator("..").get_attribute("aria-sort") == said
    sight.page.close()


@contextmanager
def served(directory: Path, **headers: str) -> Iterator[str]:
    """Serve a directory by plain http, on loopback."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            super().end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), partial(Handler, directory=directory)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@only_sqlite
def test_commands_are_copied(feed: Feed, visitpay: Visitpay, browser: Browser) -> None:
    """A button copies a command, also where the browser has no clipboard for scripts."""
    bad(feed, visitpay)
    sight = look(browser, report(feed, visitpay))
    command = sight.page.inner_text("#first code")
    sight.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button = sight.page.locator("#first .copy")
    for hide in ("0", "Object.defineProperty(navigator, 'clipboard', {configurable: true})"):
        sight.page.evaluate("navigator.clipboard.writeText('other')")
        sight.page.evaluate(hide)
        button.click()
        button.filter(has_text="Copied").wait_for()
        sight.page.evaluate("delete navigator.clipboard")
        assert sight.page.evaluate("navigator.clipboard.readText()") == command
        button.filter(has_text=re.compile("^Copy$")).wait_for()
    sight.page.close()


@only_sqlite
def test_where_scripts_and_styles_are_forbidden(
    feed: Feed, visitpay: Visitpay, browser: Browser
) -> None:
    """Served with a policy such as that of Jenkins, it still says all that matters, in order."""
    bad(feed, visitpay)
    path = report(feed, visitpay)
    policy = "sandbox; default-src 'none'; img-src 'self'; style-src 'self'"
    with served(path.parent, Content_Security_Policy=policy) as address:
        page = browser.new_page()
        page.goto(f"{address}/{path.name}")
        told = page.inner_text("body")
        page.close()
    places = [
        told.index(part)
        for part in (
            "HospitalABC",
            "Written 20",
            "Needs a person",
            "visitpay files",
            "Loaded up to",
        )
    ]
    assert places == sorted(places)


def test_everything_has_a_remedy() -> None:
    """No reason and no kind of problem leaves a person at a loss."""
    assert {*Reason, *KINDS} - set(ADVICE) == set(), "say in verdict/advice.py what they mean"


def test_what_has_no_remedy_stops_no_report() -> None:
    """A word that has none yet, or that a newer version has written, has a general one."""
    assert advice_for("invalid_phone").meaning.startswith("Nothing is known of this here")
    assert advice_for("file_failed") is ADVICE["file_failed"]


@only_sqlite
def test_long_lists_are_cut(
    feed: Feed, visitpay: Visitpay, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a list that is cut the page says how long it is; so it stays small."""
    bad(feed, visitpay)
    feed.deliver(Procedure, *["x"] * 5000, at="20211204_000000")
    visitpay("load")
    path = report(feed, visitpay)
    assert path.stat().st_size < 500_000
    for name, most in {"ROWS": 3, "PROBLEMS": 1, "FIRST_PROBLEMS": 1}.items():
        monkeypatch.setattr(f"visitpay.reporting.page.{name}", most)
    sight = look(browser, report(feed, visitpay))
    assert (len(sight.table("#files")), len(sight.table("#rejects"))) == (3, 3)
    with read_connection(feed.url) as connection:
        count = connection.scalar(
            select(func.count()).where(RejectedRow.status == RejectStatus.OPEN)
        )
    notes = sight.texts(".bound")
    assert notes[0] == "The first 3 of 14."
    assert notes[1].startswith(f"The newest 3 of {count:,}. ")
    assert re.fullmatch(r"and \d+ more: visitpay status .*", sight.texts(".more")[0])
    sight.page.close()


@only_sqlite
def test_it_prints(feed: Feed, visitpay: Visitpay, browser: Browser) -> None:
    """On paper all that matters is laid open, dark on white, and nothing only a screen can use."""
    bad(feed, visitpay)
    feed.execute(
        "UPDATE problems SET opened_at = '2021-12-01 00:00:00' WHERE name = 'rows_rejected'"
    )
    sight = look(browser, report(feed, visitpay), "dark", width=680)
    sight.page.emulate_media(media="print", color_scheme="dark")
    sight.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    shown = {
        name: sight.page.locator(name).first.is_visible()
        for name in (
            "#known li",
            "#runs td",
            "#files td",
            "#rejects td",
            ".tools",
            ".copy",
            "figure table",
        )
    }
    assert shown == {
        "#known li": True,
        "#runs td": True,
        "#files td": False,
        "#rejects td": False,
        ".tools": False,
        ".copy": False,
        "figure table": False,
    }
    widths = "all => all.filter(each => each.scrollWidth > each.clientWidth).length"
    assert sight.page.locator(".wide:visible").evaluate_all(widths) == 0
    button = "getComputedStyle(document.querySelector('th button')).display"
    assert sight.page.evaluate(button) == "contents"  # else no sheet but the first has heads
    paper = sight.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == "rgb(255, 255, 255)"
    sight.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert sight.page.locator("details[open]").count() == 0
    sight.page.close()


@only_sqlite
def test_names_do_no_harm(feed: Feed, visitpay: Visitpay, browser: Browser) -> None:
    """A file's name is text, whatever it holds; the policy allows the page's own script alone."""
    bad(feed, visitpay)
    path = report(feed, visitpay)
    sight = look(browser, path)
    assert HARMFUL in {row[0] for row in sight.table("#files")}
    assert (sight.page.locator("img").count(), sight.page.locator("script").count()) == (0, 1)
    policy = sight.page.locator("meta[http-equiv]").get_attribute("content") or ""
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; ")
    sight.page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<p style=\"color: red\" id=styled>x</p>')"
    )
    assert any("Content Security Policy" in line for line in sight.wrong)
    sight.page.close()


def test_it_tells_no_cell(feed: Feed, visitpay: Visitpay) -> None:
    """Nothing of a row is on the page."""
    deliver_marked(feed)
    visitpay("load")
    visitpay("reconcile")
    page = report(feed, visitpay).read_text()
    assert "invalid_amount" in page
    assert MARK.findall(page) == []


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
    monkeypatch.setitem(sys.modules, "jinja2", None)
    for module in ("visitpay.reporting.charts", "visitpay.reporting.page"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.delattr("visitpay.reporting.page", raising=False)
    outcome = visitpay("report")
    assert (outcome.status, outcome.out) == (2, "")
    assert "pip install 'visitpay[report]'" in outcome.err
