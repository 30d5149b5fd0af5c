"""What people know of: a problem that was acknowledged needs no person until it gets worse."""

import getpass
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, insert, select, update

from visitpay.errors import ConfigurationError
from visitpay.feed import short_name
from visitpay.models import Acknowledgement
from visitpay.text import first
from visitpay.verdict.kinds import FOUND_BY_LOOKING
from visitpay.verdict.problems import CurrentProblem

_PROBLEMS_TO_NAME = 5

_IN_FORCE = (
    select(
        Acknowledgement.name,
        Acknowledgement.subject,
        Acknowledgement.size,
        Acknowledgement.why,
        Acknowledgement.who,
        Acknowledgement.made_at,
    )
    .where(Acknowledgement.ended_at.is_(None))
    .order_by(Acknowledgement.id)
)


class Acknowledged(NamedTuple):
    """A person's word that a problem is known."""

    size: int
    """How large the problem was then: when it is larger, the word no longer holds."""
    why: str
    who: str
    made_at: datetime
    """When it was said, in UTC."""


def acknowledged(connection: Connection) -> Mapping[tuple[str, str], Acknowledged]:
    """Return what is acknowledged, by kind and subject of the problem."""
    return {
        (kind, subject): Acknowledged(size, why, who, made_at)
        for kind, subject, size, why, who, made_at in connection.execute(_IN_FORCE)
    }


def is_known(words: Mapping[tuple[str, str], Acknowledged], problem: CurrentProblem) -> bool:
    """Whether a problem is acknowledged as large as it is now."""
    word = words.get((problem.kind, problem.subject))
    return word is not None and problem.size <= word.size


def choose(
    problems: Iterable[CurrentProblem], kind: str, subjects: Collection[str], see: str
) -> list[CurrentProblem]:
    """Return the problems of a kind, those about the given subjects or all; raises if none is.

    A file may be named by its short name. Raises ConfigurationError that names those there are,
    and `see`, the command that shows all.
    """
    of_kind = [problem for problem in problems if problem.kind == kind]
    chosen = [
        problem
        for problem in of_kind
        if not subjects or {problem.subject, short_name(problem.subject)} & set(subjects)
    ]
    if chosen:
        return chosen
    there = [problem.subject or problem.message for problem in of_kind]
    named = first(there, _PROBLEMS_TO_NAME, len(there)) or "none"
    message = f"no such problem; of the kind {kind} there are: {named}; see: {see}"
    raise ConfigurationError(message)


def acknowledge(
    connection: Connection, problems: Iterable[CurrentProblem], why: str, now: datetime
) -> None:
    """Record that a person knows of problems, as large as they are now, and why they may stay."""
    for problem in problems:
        _end(connection, problem.kind, problem.subject, now)
        values = {"name": problem.kind, "subject": problem.subject, "size": problem.size}
        word = {"why": why, "who": account(), "made_at": now}
        connection.execute(insert(Acknowledgement).values(**values, **word))


def take_back(connection: Connection, kind: str, subjects: Collection[str], now: datetime) -> int:
    """End what was acknowledged of a kind, about the given subjects or all; return how many."""
    known = [
        subject
        for name, subject in acknowledged(connection)
        if name == kind and (not subjects or {subject, short_name(subject)} & set(subjects))
    ]
    for subject in known:
        _end(connection, kind, subject, now)
    return len(known)


def end_acknowledgements(
    connection: Connection,
    now: datetime,
    found: Collection[tuple[str, str]],
    unseen: Collection[str],
) -> None:
    """End what was acknowledged of problems that are over.

    They are not among those that were `found` (kind, subject), and not of `unseen` kinds.
    """
    for kind, subject in acknowledged(connection):
        if (kind, subject) not in found and kind not in FOUND_BY_LOOKING.union(unseen):
            _end(connection, kind, subject, now)


def _end(connection: Connection, kind: str, subject: str, now: datetime) -> None:
    word = update(Acknowledgement).where(Acknowledgement.ended_at.is_(None))
    about = word.where(Acknowledgement.name == kind, Acknowledgement.subject == subject)
    connection.execute(about.values(ended_at=now))


def account() -> str:
    """Return the name of the account that runs this command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user may have no name
        return "unknown"
