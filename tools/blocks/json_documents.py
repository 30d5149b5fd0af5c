"""The JSON documents, from their types."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from types import NoneType, UnionType
from typing import Annotated, Any, get_args, get_origin, get_type_hints, is_typeddict

from tools.blocks.markdown import about, code, table
from visitpay.cli.documents import DOCUMENTS, FORMAT

_PLAIN = {int: "number", str: "text", bool: "true or false", datetime: "time", Decimal: "money"}


def json_documents() -> str:
    """Return a section for each document, and for each part that documents share."""
    parts: list[type] = []
    documents = [
        _section(document, f"## {about(document).rstrip('.')}", parts) for document in DOCUMENTS
    ]
    # The sections of parts name more parts, and so the list grows.
    sections = [_section(part, f"### {part.__name__}\n\n{about(part)}", parts) for part in parts]
    return "\n".join(
        [f"`format` is {FORMAT}.\n", *documents, "## Parts of documents\n", *sections]
    ).rstrip("\n")


def _section(document: type, heading: str, parts: list[type]) -> str:
    rows = [(code(key), _named(hint, parts), meaning) for key, hint, meaning in keys_of(document)]
    return f"{heading}\n\n{table(('key', 'value', 'meaning'), rows)}\n"


def keys_of(document: type) -> Iterator[tuple[str, Any, str]]:
    """Yield the keys of a document, each with its type and its meaning."""
    for key, hint in get_type_hints(document, include_extras=True).items():
        kind, meaning = get_args(hint) if get_origin(hint) is Annotated else (hint, "")
        yield key, kind, meaning


def _named(hint: Any, parts: list[type]) -> str:  # noqa: ANN401 - a type
    """Return a type in words, and note the parts of documents that it names."""
    arguments = get_args(hint)
    if isinstance(hint, UnionType):
        return " or ".join(_named(each, parts) for each in arguments)
    if get_origin(hint) is list:
        return f"list of {_named(arguments[0], parts)}"
    if get_origin(hint) is dict:
        return f"object: {_named(arguments[1], parts)} by name"
    if is_typeddict(hint):
        if hint not in parts:
            parts.append(hint)
        return f"[{hint.__name__}](#{hint.__name__.lower()})"
    return "null" if hint is NoneType else _PLAIN.get(hint, "value")
