"""A feed of which every cell is marked, and harm to a database that makes it complain of cells."""

import re
from datetime import date
from decimal import Decimal
from typing import Any

from tests.support.databases import OLDEST
from tests.support.feed import Feed, columns, header_line, line
from visitpay.models import Entity, Procedure, Transaction, Visit

MARK = re.compile("CANARY|98765432|12.25.1931|1931-12")

DATE, AMOUNT, TEXT = "12/25/1931", "98765432.10", "CANARY"
_MARKS: dict[type[Any], object] = {int: 98765432, date: DATE, Decimal: AMOUNT, str: TEXT}


def procedure_key(number: int) -> str:
    """Return the identifier of a procedure, by its number from 0."""
    return f"98765432{number:03}"


def marked(entity: type[Entity], number: int, **cells: object) -> str:
    """Return a good line of which every cell is marked, but for those that are given."""
    marks = {name: _MARKS[entity.__table__.c[name].type.python_type] for name in columns(entity)}
    keys = {
        "procedure_id": procedure_key(number),
        "visit_identifier": f"198765432{number:03}",
        "transaction_identifier": f"298765432{number:03}",
    }
    own = {name: key for name, key in keys.items() if name in marks}
    return line(entity, **(marks | own | cells))


def deliver_marked(feed: Feed, rows: int = 40) -> None:
    """Deliver two days: good rows, rows with everything wrong, and headers with values in them."""
    bad = {
        Procedure: [
            TEXT,
            marked(Procedure, 999) + f"\t{TEXT}",
            marked(Procedure, 998, procedure_description=f'"{TEXT}'),
            f'{TEXT}"',
            marked(Procedure, 997, procedure_id=TEXT),
        ],
        Visit: [
            marked(Visit, 997, discharge_date="12/24/1931"),
            marked(Visit, 998, discharge_date="12/24/1931"),
            marked(Visit, 0, admit_date=TEXT, discharge_date=TEXT),
            marked(Visit, 1, visit_balance="98765432.431"),
            marked(Visit, 2, admit_date="2/30/1931", discharge_date="2/30/1931"),
            marked(Visit, 3, guarantor_identifier=""),
            marked(Visit, 4) + "\t98765432",
            marked(Visit, 5).replace("\t", ";"),
        ],
        Transaction: [
            marked(Transaction, 0, visit_identifier="98765432987"),
            marked(Transaction, 1, amount=TEXT),
            marked(Transaction, 2) + "\0",
            marked(Transaction, 3, transaction_identifier="9" * 30 + "98765432"),
        ],
    }
    for entity, lines in bad.items():
        good = [marked(entity, number) for number in range(rows)]
        feed.deliver_lines(entity, *good, *lines, at="20211201_000000")
    feed.deliver_lines(Procedure, at="20211202_000000", header=marked(Procedure, 0))
    header = f"{marked(Visit, 0)}\n{marked(Visit, 1)}"
    feed.deliver_lines(Visit, at="20211202_000000", header=header)
    joined = f"{header_line(Transaction)}\t{marked(Transaction, 0)}"
    feed.deliver_lines(Transaction, at="20211202_000000", header=joined)
    text = marked(Transaction, 0).encode("utf-16-le")
    feed.deliver_bytes(Transaction, text, at="20211203_000000")


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
    feed.execute(f"UPDATE alembic_version SET version_num = '{OLDEST}'")
