"""What people know of: a problem that was acknowledged needs no person until it gets worse."""

import os
import pwd
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, Update, insert, select, update

from visitpay.errors import ConfigurationError
from visitpay.feed import short_name
from visitpay.models import Acknowledgement
from visitpay.text import first, printable
from visitpay.verdict.problems import CurrentProblem

_PROBLEMS_TO_NAME = 5

_IN_FORCE = (
    select(
        Acknowledgement.name,
        Acknowledgement.subject,
        Acknowledgement.size,
        Acknowledgement.state,
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
    state: str
    """The version of the file that it is about: of another one, the word does not hold."""
    why: str
    who: str
    made_at: datetime
    """When it was said, in UTC."""


def acknowledged(connection: Connection) -> Mapping[tuple[str, str], Acknowledged]:
    """Return what is acknowledged, by kind and subject of the problem."""
    return {
        (kind, subject): Acknowledged(size, state, why, who, made_at)
        for kind, subject, size, state, why, who, made_at in connection.execute(_IN_FORCE)
    }


def is_known(words: Mapping[tuple[str, str], Acknowledged], problem: CurrentProblem) -> bool:
    """Whether a problem is acknowledged as it is now: this large, of this file, begun before."""
    word = words.get((problem.kind, problem.subject))
    return (
        word is not None
        and problem.size <= word.size
        and problem.state == word.state
        and (problem.began is None or problem.began <= word.made_at)
    )


def choose(
    problems: Iterable[CurrentProblem],
    kind: str,
    subjects: Collection[str],
    among: Collection[str],
    see: str,
) -> list[CurrentProblem]:
    """Return the problems of a kind: those about the given subjects, or all `among` some, or all.

    A file may be named by its short name. Raises ConfigurationError if there is none, or none about
    one of the subjects; it names those there are, and `see`, the command that shows all.
    """
    of_kind = [
        problem
        for problem in problems
        if problem.kind == kind and (not among or problem.subject in among)
    ]
    called = {name: problem for problem in of_kind for name in _names(problem.subject)}
    if of_kind and called.keys() >= set(subjects):
        return [called[subject] for subject in dict.fromkeys(subjects)] if subjects else of_kind
    there = [problem.subject or problem.message for problem in of_kind]
    named = first(there, _PROBLEMS_TO_NAME, len(there)) or "none"
    message = f"no such problem; of the kind {kind} there are: {named}; see: {see}"
    raise ConfigurationError(message)


def _names(subject: str) -> tuple[str, str]:
    return subject, short_name(subject)


def acknowledge(
    connection: Connection, problems: Iterable[CurrentProblem], why: str, now: datetime
) -> None:
    """Record that a person knows of problems, as large as they are now, and why they may stay."""
    for problem in problems:
        _end(connection, problem.kind, problem.subject, now)
        values = {"name": problem.kind, "subject": problem.subject, "size": problem.size}
        # Neither may act on a terminal that shows it.
        word = {"why": printable(why), "who": printable(account()), "made_at": now}
        new = insert(Acknowledgement).values(state=problem.state, **values, **word)
        connection.execute(new)


def lower(connection: Connection, problems: Iterable[CurrentProblem]) -> None:
    """Lower what was acknowledged of problems that have become smaller."""
    words = acknowledged(connection)
    for problem in problems:
        word = words.get((problem.kind, problem.subject))
        if word and problem.size < word.size:
            in_force = _in_force(problem.kind, problem.subject)
            connection.execute(in_force.values(size=problem.size))


def take_back(connection: Connection, kind: str, subjects: Collection[str], now: datetime) -> int:
    """End what was acknowledged of a kind, about the given subjects or all; return how many."""
    known = [
        subject
        for name, subject in acknowledged(connection)
        if name == kind and (not subjects or not set(subjects).isdisjoint(_names(subject)))
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
    """End what was acknowledged of problems that are over, now that a load has ended.

    They are not among those that were `found` (kind, subject), and not of `unseen` kinds.
    """
    for kind, subject in acknowledged(connection):
        if (kind, subject) not in found and kind not in unseen:
            _end(connection, kind, subject, now)


def _end(connection: Connection, kind: str, subject: str, now: datetime) -> None:
    connection.execute(_in_force(kind, subject).values(ended_at=now))


def _in_force(kind: str, subject: str) -> Update:
    word = update(Acknowledgement).where(Acknowledgement.ended_at.is_(None))
    return word.where(Acknowledgement.name == kind, Acknowledgement.subject == subject)


def account() -> str:
    """Return the name of the account that runs this command; its number if it has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # as in a container
        return str(os.geteuid())
