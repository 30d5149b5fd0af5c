"""What came of many hospitals: a line of a table for each, in few words."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from visitpay.text import counted, first

Document = Mapping[str, Any]

_WORST = ("ok", "left", "attention", "unknown", "interrupted", "failed")
"""How a command may end, the worst last."""


class Row(NamedTuple):
    """A line of the table; what is usual is left blank."""

    hospital: str
    status: str
    files: int | None
    rows: int | None
    rejected: int | None
    what: str


def worst(documents: Mapping[str, Document]) -> str:
    """Return the worst status of all; what was left to another load is ok."""
    found = max((str(each["status"]) for each in documents.values()), key=_WORST.index)
    return "ok" if found == "left" else found


def by_urgency(documents: Mapping[str, Document]) -> list[tuple[str, Document]]:
    """Return the hospitals with their documents, the worst first."""
    return sorted(documents.items(), key=lambda each: -_WORST.index(str(each[1]["status"])))


def row_of(command: str, hospital: str, document: Document) -> Row:
    """Return the line of a hospital."""
    status = str(document["status"])
    shown = "" if status == "ok" else status
    if error := document.get("error"):
        return Row(hospital, shown, None, None, None, str(error).partition("; ")[0])
    files = document.get("files", []) if command == "load" else []
    rows, rejected = (sum(file[name] for file in files) for name in ("rows_read", "rejected"))
    what = "; ".join(_WORDS[command](document))
    return Row(hospital, shown, len(files) or None, rows or None, rejected or None, what)


def _of_load(document: Document) -> Iterator[str]:
    for status in ("failed", "held", "changed"):
        names = [file["name"] for file in document["files"] if file["status"] == status]
        if names:
            yield f"{status}: {first(names, 1, len(names))}"
    if held := document["files_held"]:
        yield f"still held: {first(held, 1, len(held))}"
    if misnamed := document["near_misses"]:
        yield f"misnamed: {first(misnamed, 1, len(misnamed))}"


def _of_feed(document: Document) -> Iterator[str]:
    if document["status"] != "ok":
        yield str(document["summary"])


def _of_reconcile(document: Document) -> Iterator[str]:
    if different := document["balances"]["different"]:
        yield f"{counted(different, 'balance')} differ"
    if checks := dict.fromkeys(each["check"] for each in document["findings"]):
        yield f"found: {first(checks, 2, len(checks))}"


def _of_migrate(document: Document) -> Iterator[str]:
    if pending := document["pending"]:
        yield f"{counted(len(pending), 'revision')} to be applied"
    if len(done := document["done"]) > 1:  # else there was nothing to do
        yield str(done[-1])


_WORDS: Mapping[str, Callable[[Document], Iterator[str]]] = {
    "load": _of_load,
    "status": _of_feed,
    "report": _of_feed,
    "reconcile": _of_reconcile,
    "migrate": _of_migrate,
}
