"""The words that a user may meet: reasons, findings, statuses, errors, events."""

from collections.abc import Iterable, Iterator
from enum import StrEnum

from tools.blocks.markdown import about, attribute_docs, code, table
from visitpay.errors import FileChangedError, FileError, StoppedError, VisitPayError
from visitpay.events import Event
from visitpay.quality.checks import CHECKS
from visitpay.verdict.advice import ADVICE
from visitpay.vocabulary import FileStatus, Reason, RejectStatus, RunStatus


def reasons() -> str:
    """Return what each reason to reject a row means; the first that applies is the row's."""
    return _advice("reason", Reason)


def findings() -> str:
    """Return what each check finds."""
    return _advice("finding", CHECKS)


def problems() -> str:
    """Return what else `status`, the page and alerts may name."""
    return _advice("name", (name for name in ADVICE if name not in {*Reason, *CHECKS}))


def _advice(heading: str, names: Iterable[str]) -> str:
    rows = (
        (code(name), advice.meaning, advice.action, code(advice.command))
        for name in names
        for advice in (ADVICE[name],)
    )
    return table((heading, "meaning", "what to do", "command"), rows)


def statuses() -> str:
    """Return the statuses of runs, files and rejected rows."""
    kinds = (("a run", RunStatus), ("a file", FileStatus), ("a rejected row", RejectStatus))
    rows = (
        (of, code(member.value), attribute_docs(kind).get(member.name, ""))
        for of, kind in kinds
        for member in kind
    )
    return table(("of", "status", "meaning"), rows)


def events() -> str:
    """Return the events of the log."""
    docs = attribute_docs(Event)
    return table(("event", "meaning"), [(code(each), docs[each.name]) for each in _members(Event)])


def _members(kind: type[StrEnum]) -> list[StrEnum]:
    return list(kind)


def errors() -> str:
    """Return the errors that end a command, each with its exit status."""
    rows = [(_status(kind), code(kind.__name__), about(kind)) for kind in _errors(VisitPayError)]
    return table(("exit status", "error in Python", "what happened"), sorted(rows))


def _errors(kind: type[VisitPayError]) -> Iterator[type[VisitPayError]]:
    """Yield the kinds of errors that end a command, without those that one file may cause."""
    for below in kind.__subclasses__():
        if below.__module__ == kind.__module__ and below not in {FileError, FileChangedError}:
            yield below
            yield from _errors(below)


def _status(kind: type[VisitPayError]) -> str:
    return "130 or 143" if kind is StoppedError else str(kind.exit_status)
