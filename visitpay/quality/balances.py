"""Balances: each visit's, compared with the sum of its transactions, exact to the cent.

SQLite stores amounts as doubles, whose sums are not exact: whole cents are added up instead.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    SQLColumnExpression,
    bindparam,
    case,
    cast,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.orm import aliased

from visitpay.database.session import ExclusiveSession
from visitpay.models import BalanceComparison, BalanceDifference, Transaction, UTCDateTime, Visit

_LARGEST = 10**14 - 1
"""The most cents that a column of money holds; a larger sum is recorded as this."""


def cents(amount: SQLColumnExpression[Any]) -> ColumnElement[int]:
    """Return an amount in whole cents, which add up exactly on every database."""
    # A literal: SQLite computes an expression once that is in a query twice, but not with `?`.
    return cast(func.round(amount * literal_column("100")), BigInteger)


_TOTAL = func.coalesce(func.sum(cents(Transaction.amount)), 0)
_RECORDED = case((_TOTAL > _LARGEST, _LARGEST), (_TOTAL < -_LARGEST, -_LARGEST), else_=_TOTAL) / 100

_DIFFERENT = (
    select(Visit.visit_identifier, Visit.visit_balance, _RECORDED.label("transactions_total"))
    .outerjoin(Visit.transactions)
    .where(Visit.visit_balance.is_not(None))
    .group_by(Visit.visit_identifier)
    .having(cents(Visit.visit_balance) != _TOTAL)
)

_IS_OPEN = BalanceDifference.closed_at.is_(None)
_IS_OF_VISIT = BalanceDifference.visit_identifier == Visit.visit_identifier

OPEN_DIFFERENCES = (
    select(
        BalanceDifference.visit_identifier,
        BalanceDifference.visit_balance,
        BalanceDifference.transactions_total,
        BalanceDifference.found_at,
    )
    .where(_IS_OPEN)
    .order_by(BalanceDifference.found_at.desc(), BalanceDifference.visit_identifier)
)
"""The visits that differed in the last comparison, with their amounts, the newest first."""

_CLOSE = (
    update(BalanceDifference)
    .where(
        _IS_OPEN,
        ~_DIFFERENT.where(_IS_OF_VISIT, BalanceDifference.visit_balance == Visit.visit_balance)
        .having(BalanceDifference.transactions_total == _RECORDED)
        .correlate(BalanceDifference)
        .exists(),
    )
    .values(closed_at=bindparam("now"))
)
"""Closes differences that are gone, or whose amounts have changed."""

_RECORD = (
    insert(BalanceDifference.__table__)
    .from_select(
        ["visit_identifier", "visit_balance", "transactions_total", "found_at"],
        _DIFFERENT.add_columns(bindparam("now", type_=UTCDateTime())).where(
            ~select(BalanceDifference.id).where(_IS_OPEN, _IS_OF_VISIT).correlate(Visit).exists()
        ),
    )
    .execution_options(preserve_rowcount=True)
)
"""Records differences that are not open already."""


@dataclass(frozen=True)
class Reconciliation:
    """The result of a comparison: numbers of visits, and sums of money."""

    compared_at: datetime
    """In UTC."""
    compared: int
    """Visits that have a balance."""
    different: int
    """Visits whose balance is not the sum of their transactions."""
    visit_balance: Decimal
    """The sum of the balances that differ."""
    transactions_total: Decimal
    """The sum of the transactions of those visits."""
    new: int
    """Visits that differ now and did not in the comparison before."""
    changed: int
    """Visits that differed before as well, by other amounts."""
    cleared: int
    """Visits that differed before and do not any more."""


def reconcile(engine: Engine, now: datetime, wait_seconds: float = 60) -> Reconciliation:
    """Compare all visits that have a balance with their transactions, and record the differences.

    `now` must be later than in the comparison before. Raises DatabaseError if the database cannot
    be used, BusyError if a load holds it.
    """
    with ExclusiveSession(engine, wait_seconds) as session:
        return session.transact(partial(_reconcile, now))


def _reconcile(now: datetime, connection: Connection) -> Reconciliation:
    closed = connection.execute(_CLOSE, {"now": now}).rowcount
    opened = connection.execute(_RECORD, {"now": now}).rowcount
    changed = _changed(connection, now)
    compared = connection.scalar(select(func.count(Visit.visit_balance))) or 0
    different = count_open(connection)
    comparison = {"compared_at": now, "compared": compared, "different": different}
    connection.execute(insert(BalanceComparison).values(comparison))
    balance, total = (
        connection.scalar(select(func.sum(cents(amount))).where(_IS_OPEN)) or 0
        for amount in (BalanceDifference.visit_balance, BalanceDifference.transactions_total)
    )
    return Reconciliation(
        compared_at=now,
        compared=compared,
        different=different,
        visit_balance=Decimal(balance).scaleb(-2),
        transactions_total=Decimal(total).scaleb(-2),
        new=opened - changed,
        changed=changed,
        cleared=closed - changed,
    )


def _changed(connection: Connection, now: datetime) -> int:
    """Return the number of visits whose difference was closed and opened anew just now."""
    before = aliased(BalanceDifference)
    both = (
        select(func.count())
        .select_from(BalanceDifference)
        .join(before, before.visit_identifier == BalanceDifference.visit_identifier)
        .where(BalanceDifference.found_at == now, before.closed_at == now)
    )
    return connection.scalar(both) or 0


STILL_DIFFERS = _DIFFERENT.where(_IS_OF_VISIT).correlate(BalanceDifference).exists()
"""Whether the balance of a recorded difference's visit is still not the sum."""


def count_lasting(connection: Connection) -> int:
    """Return the number of visits that differed in the last comparison, and still do."""
    query = select(func.count()).select_from(BalanceDifference).where(_IS_OPEN, STILL_DIFFERS)
    return connection.scalar(query) or 0


def count_open(connection: Connection) -> int:
    """Return the number of visits that differed in the last comparison."""
    query = select(func.count()).select_from(BalanceDifference).where(_IS_OPEN)
    return connection.scalar(query) or 0


class Comparison(NamedTuple):
    """One comparison of all balances with the transactions."""

    compared_at: datetime
    """In UTC."""
    compared: int
    """Visits that have a balance."""
    different: int
    """Visits of which the balance is not the sum of the transactions."""


def comparisons(connection: Connection, limit: int) -> list[Comparison]:
    """Return the newest comparisons, the newest first."""
    columns = (
        BalanceComparison.compared_at,
        BalanceComparison.compared,
        BalanceComparison.different,
    )
    newest = select(*columns).order_by(BalanceComparison.id.desc()).limit(limit)
    return [Comparison(*row) for row in connection.execute(newest)]
