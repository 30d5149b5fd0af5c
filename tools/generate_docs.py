"""Writes what the documents take from the code: docs/json.md, and the floors in docs/design.md.

`python -m tools.generate_docs` (or `make docs`) writes both; a test compares them.
"""

import tomllib
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, get_args, get_origin, get_type_hints, is_typeddict

from visitpay.cli.documents import DOCUMENTS, FORMAT

ROOT = Path(__file__).parents[1]
JSON_PAGE = ROOT / "docs" / "json.md"
DESIGN = ROOT / "docs" / "design.md"
BEGIN, END = "<!-- floors: made by `make docs` -->\n", "<!-- end of floors -->\n"

_INTRODUCTION = f"""\
# The JSON documents

<!-- Made by `make docs` from visitpay/cli/documents.py: do not edit. -->

With `--json` each command but `sample` prints one document on standard output. Everything else goes
to standard error. A command that is stopped before it began prints no document.

Each thing has the same key in every document. Only general words say more: `status`, `error`,
`files` and `total` are those of the thing that they stand in. The order of keys means nothing.
`format` is {FORMAT}. This number rises when a key is removed or changes its meaning. A new key does
not change it.

Times are text in UTC such as `2021-12-01T22:33:57Z`, dates are text such as `2021-12-31`. Money is
text such as `"10.00"`, so that no cent is lost. Identifiers are numbers of up to 64 bits: tools
that read numbers as doubles (jq 1.6) change those above 2^53. Documents and parts that hold data of
patients say so; the others hold names and counts.
"""

_PLAIN = {int: "number", str: "text", bool: "true or false", datetime: "time", Decimal: "money"}


def json_page() -> str:
    """Return docs/json.md."""
    parts: list[type] = []
    documents = [_section(document, _title(document), parts) for document in DOCUMENTS]
    # The sections of parts name more parts, and so the list grows.
    sections = [_section(part, f"### {part.__name__}\n\n{_about(part)}", parts) for part in parts]
    return "\n".join([_INTRODUCTION, *documents, "## Parts of documents\n", *sections])


def _title(document: type) -> str:
    return f"## {_about(document).rstrip('.')}"


def _about(document: type) -> str:
    return " ".join((document.__doc__ or "").split())


def _section(document: type, heading: str, parts: list[type]) -> str:
    rows = [
        f"| `{key}` | {_named(hint, parts)} | {meaning} |"
        for key, hint, meaning in keys_of(document)
    ]
    return "\n".join([f"{heading}\n", "| key | value | meaning |", "|---|---|---|", *rows, ""])


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


def floors() -> str:
    """Return the picture of the packages, from the contract that `make lint` checks."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (layers,) = (
        contract["layers"]
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    )
    nodes = [f'    f{number}["{layer}"]' for number, layer in enumerate(layers)]
    arrows = " --> ".join(f"f{number}" for number in range(len(layers)))
    return "\n".join(["```mermaid", "flowchart TB", *nodes, f"    {arrows}", "```", ""])


def design() -> str:
    """Return docs/design.md with the picture as it is now."""
    before, _, rest = DESIGN.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}{floors()}{END}{after}"


if __name__ == "__main__":
    JSON_PAGE.write_text(json_page(), "utf-8")
    DESIGN.write_text(design(), "utf-8")
