"""A feed of which every cell is marked, and harm to a database that makes it complain of cells."""

import re

from tests.support.feed import Feed
from visitpay.models import Procedure, Transaction, Visit

MARK = re.compile("CANARY|98765432|12.25.1931|1931-12")


KEYS = {"procedure": "98765432{:03}", "visit": "198765432{:03}", "transaction": "298765432{:03}"}


DATE, AMOUNT, TEXT = "12/25/1931", "98765432.10", "CANARY"


def deliver_marked(feed: Feed, rows: int = 40) -> None:
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
    feed.deliver_lines(Procedure, at="20211202_000000", header=procedures[0])
    feed.deliver_lines(Visit, at="20211202_000000", header=f"{visits[0]}\n{visits[1]}")
    joined = "TransactionIdentifier\tVisitIdentifier\tProcedureId\tAmount\t" + transactions[0]
    feed.deliver_lines(Transaction, at="20211202_000000", header=joined)
    feed.deliver_bytes(Transaction, transactions[0].encode("utf-16-le"), at="20211203_000000")


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
