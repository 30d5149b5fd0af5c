"""What is known of a guarantor: the person who answers for the bills of visits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from sqlalchemy import Connection, func, select

from visitpay.models import Entity, Transaction, Visit
from visitpay.quality.balances import cents
from visitpay.rejects.cells import rejects_holding
from visitpay.rejects.queries import NOT_IN_TABLES, Reject
from visitpay.reporting.explain import Balance, CameSoFar, came_so_far, newest_of
from visitpay.reporting.search import NamedLanding, Search, search

VISITS = 20
"""So many visits are listed, the newest."""


@dataclass(frozen=True)
class VisitOfGuarantor(Balance):
    """A visit of a guarantor, and what its transactions add up to."""

    admit_date: date
    discharge_date: date | None


@dataclass(frozen=True)
class Guarantor:
    """All that is known of a guarantor."""

    visits: Sequence[VisitOfGuarantor]
    """The visits, the newest first, at most VISITS."""
    visits_total: int
    """How many there are."""
    visit_balance: Decimal
    """The sum of all their balances."""
    transactions_total: Decimal
    """The sum of all their transactions."""
    rejects: Sequence[Reject]
    """Rejected visits that name the guarantor and are in no table, the newest, at most REJECTS."""
    rejects_total: int
    """How many there are."""
    search: Search | None
    """Where it is in files that are not loaded; None if no landing directory was searched."""
    came: CameSoFar
    """The files of visits that were loaded."""

    @property
    def known(self) -> bool:
        """Whether anything is known of it."""
        return bool(self.visits or self.rejects or (self.search is not None and self.search.total))


def explain_guarantor(
    connection: Connection, guarantor: int, place: NamedLanding | None = None
) -> Guarantor:
    """Return all that is known of a guarantor: visits, balances, transactions, rejects."""
    is_mine = Visit.guarantor_identifier == guarantor
    of_visits = select(func.count(), func.sum(cents(Visit.visit_balance))).where(is_mine)
    of_transactions = (
        select(func.sum(cents(Transaction.amount))).join(Transaction.visit).where(is_mine)
    )
    number, owed = connection.execute(of_visits).one()
    rejects = rejects_holding(
        connection, Visit, Visit.guarantor_identifier.key, guarantor, [NOT_IN_TABLES]
    )
    columns: dict[type[Entity], str] = {Visit: Visit.guarantor_identifier.key}
    return Guarantor(
        visits=_visits(connection, guarantor),
        visits_total=number,
        visit_balance=_dollars(owed),
        transactions_total=_dollars(connection.scalar(of_transactions)),
        rejects=newest_of(connection, rejects),
        rejects_total=len(rejects),
        search=None if place is None else search(connection, place, columns, guarantor),
        came=came_so_far(connection, Visit),
    )


def _visits(connection: Connection, guarantor: int) -> list[VisitOfGuarantor]:
    """Return the newest visits of a guarantor."""
    columns = (
        *(Visit.visit_identifier, Visit.visit_balance),
        func.count(Transaction.transaction_identifier),
        func.sum(cents(Transaction.amount)),
        *(Visit.admit_date, Visit.discharge_date),
    )
    query = (
        select(*columns)
        .outerjoin(Visit.transactions)
        .where(Visit.guarantor_identifier == guarantor)
        .group_by(Visit.visit_identifier)
        .order_by(Visit.admit_date.desc(), Visit.visit_identifier.desc())
        .limit(VISITS)
    )
    return [
        VisitOfGuarantor(visit, balance, number, _dollars(total), admitted, discharged)
        for visit, balance, number, total, admitted, discharged in connection.execute(query)
    ]


def _dollars(whole_cents: Decimal | int | None) -> Decimal:
    """Return a sum of whole cents, None for none of them, in dollars."""
    return Decimal(int(whole_cents or 0)).scaleb(-2)
