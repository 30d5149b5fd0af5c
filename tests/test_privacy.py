"""A feed of which every cell is marked: no mark is ever told, but where rows are asked for."""

import re
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import Feed, Outcome, Visitpay, start
from tests.test_faults import limited
from visitpay.database.engine import make_engine
from visitpay.database.session import ExclusiveSession

MARK = re.compile("CANARY|98765432|12.25.1931|1931-12")

KEYS = {"procedure": "98765432{:03}", "visit": "198765432{:03}", "transaction": "298765432{:03}"}
DATE, AMOUNT, TEXT = "12/25/1931", "98765432.10", "CANARY"


def deliver(feed: Feed, rows: int = 40) -> None:
    """Deliver two days: good rows, rows with everything wrong, and headers with values in them."""
    procedures = [f"{KEYS['procedure'].format(n)}\t{TEXT} {n}" for n in range(rows)]
    visits = [
        f"{KEYS['visit'].format(n)}\t98765432\t{DATE}\t{DATE}\t{AMOUNT}\t98765432"
        for n in range(rows)
    ]
    transactions = [
        "\t".join(
            (
                KEYS["transaction"].format(n),
                KEYS["visit"].format(n),
                KEYS["procedure"].format(n),
                AMOUNT,
            )
        )
        for n in range(rows)
    ]
    odd = [
        f"{KEYS['visit'].format(n)}\t98765432\t{DATE}\t12/24/1931\t{AMOUNT}\t98765432"
        for n in (997, 998)
    ]
    bad = {
        "Procedure": [
            TEXT,
            f"98765432999\t{TEXT}\t{TEXT}",
            f'98765432998\t"{TEXT}',
            f'{TEXT}"',
            f"{TEXT}\t{TEXT}",
        ],
        "Visit": [
            *odd,
            visits[0].replace(DATE, TEXT),
            visits[1].replace(AMOUNT, "98765432.431"),
            visits[2].replace(DATE, "2/30/1931"),
            visits[3].replace("\t98765432\t", "\t\t"),
            visits[4] + "\t98765432",
            visits[5].replace("\t", ";"),
        ],
        "Transaction": [
            transactions[0].replace(KEYS["visit"].format(0), "98765432987"),
            transactions[1].replace(AMOUNT, TEXT),
            transactions[2] + "\0",
            "9" * 30 + "98765432\t1\t1\t1",
        ],
    }
    for entity, good in zip(bad, (procedures, visits, transactions), strict=True):
        feed.deliver(entity, "20211201_000000", *good, *bad[entity])
    feed.deliver("Procedure", "20211202_000000", header=procedures[0])
    feed.deliver("Visit", "20211202_000000", header=f"{visits[0]}\n{visits[1]}")
    joined = "TransactionIdentifier\tVisitIdentifier\tProcedureId\tAmount\t" + transactions[0]
    feed.deliver("Transaction", "20211202_000000", header=joined)
    feed.deliver_bytes("Transaction", "20211203_000000", transactions[0].encode("utf-16-le"))


def told(outcome: Outcome) -> str:
    """Give all that a command said; nothing of it is marked."""
    said = outcome.out + outcome.err
    assert (MARK.findall(said), outcome.status in range(4)) == ([], True)
    return said


LOADS = [
    ["load", *verbose, *how, *form]
    for verbose in ([], ["-v"])
    for how in ([], ["--dry-run"])
    for form in ([], ["--json", "--log-format", "json"])
]
LOOKS = [
    "status",
    "files",
    "check",
    "doctor",
    "rejects list",
    "rejects list --status all",
    "rejects retry",
    "reconcile",
    "reconcile --expect daily",
    "status --expect daily",
]


@pytest.mark.parametrize("load", LOADS, ids=" ".join)
def test_commands(feed: Feed, visitpay: Visitpay, load: list[str]) -> None:
    """Neither a load nor any command that looks at what it left tells a cell."""
    deliver(feed)
    assert len(told(visitpay(*load))) > 100
    for look in LOOKS:
        told(visitpay(*look.split()))
        told(visitpay(*look.split(), "--json"))
    told(visitpay(*load))


def test_rows_are_shown_where_they_are_asked_for(
    feed: Feed, visitpay: Visitpay, tmp_path: Path
) -> None:
    """The quarantine has what the log has not, and tells who asks; so do exports and odd visits."""
    deliver(feed)
    visitpay("load")
    procedure = KEYS["procedure"].format(1)
    for form in ([], ["--json"]):
        assert TEXT in visitpay("rejects", "list", "--raw", *form).out
        assert MARK.search(visitpay("reconcile", "--raw", *form).out)
        assert TEXT in visitpay("explain", "procedure", procedure, *form).out
        told(visitpay("rejects", "export", tmp_path / f"export{len(form)}", *form))
        told(visitpay("rejects", "export", tmp_path / f"sent{len(form)}", "--response", *form))
    written = "".join(path.read_text() for path in tmp_path.rglob("*_2*.txt"))
    assert written.count(TEXT) > 10
    told(visitpay("rejects", "dismiss", 1, "--why", "it is made up"))


def abort(feed: Feed) -> None:
    """Let the database refuse a transaction, with its values in the message if it can."""
    if feed.url.startswith("sqlite"):
        feed.execute(
            "CREATE TRIGGER no BEFORE INSERT ON transactions BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    else:
        feed.execute(
            "ALTER TABLE transactions ADD CONSTRAINT no CHECK (amount < 0) NOT VALID",
        )


def duplicate(feed: Feed) -> None:
    """Let a unique index refuse the second row; the message of PostgreSQL names the value."""
    feed.execute("CREATE UNIQUE INDEX one ON visits (guarantor_identifier)")


def missing_column(feed: Feed) -> None:
    """Take a column away."""
    feed.execute("ALTER TABLE transactions RENAME COLUMN amount TO amounts")


def behind(feed: Feed) -> None:
    """Set the schema's revision back."""
    feed.execute("DELETE FROM alembic_version")


@pytest.mark.parametrize(
    ("harm", "status"), [(abort, 1), (duplicate, 1), (missing_column, 3), (behind, 3)]
)
@pytest.mark.parametrize("form", [[], ["--json", "--log-format", "json"]], ids=["text", "json"])
def test_trouble(
    feed: Feed, visitpay: Visitpay, harm: Callable[[Feed], None], status: int, form: list[str]
) -> None:
    """Errors of the database, and their tracebacks, tell no cell."""
    deliver(feed)
    harm(feed)
    outcome = visitpay("load", "-v", *form)
    assert outcome.status == status
    assert "raceback" in told(outcome)


def test_stopped(feed: Feed) -> None:
    """Nor does a load that is stopped, that waits in vain, or that has no room."""
    deliver(feed, 900)
    with start(feed, ["load", "-v"]) as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate()
    assert MARK.findall(out + err) == []
    with (
        ExclusiveSession(make_engine(feed.url), 0),
        start(feed, ["load", "-v", "--wait", "0"]) as process,
    ):
        told(Outcome(0, *process.communicate()))
    if feed.url.startswith("sqlite"):
        with start(feed, ["load", "-v"], preexec_fn=partial(limited, 300 << 10)) as process:
            out, err = process.communicate()
        assert "the database cannot be used" in err
        assert MARK.findall(out + err) == []
