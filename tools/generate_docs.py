"""Writes the parts of the documentation that are made from the code.

Such a part of a page stands between two comments, `<!-- NAME: made by `make docs` -->` and
`<!-- end of NAME -->`; BLOCKS says what makes it. `python -m tools.generate_docs` (or `make docs`)
writes all of them, and a test compares them.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from tools.blocks import commands, floors, json_documents, metrics, schema, words

DOCS = Path(__file__).parents[1] / "docs"

BLOCKS: Mapping[str, Callable[[], str]] = {
    "books": schema.books,
    "commands": commands.commands,
    "dictionary": schema.dictionary,
    "environment": commands.environment,
    "errors": words.errors,
    "events": words.events,
    "file_columns": schema.columns_of_files,
    "findings": words.findings,
    "floors": floors.floors,
    "json_documents": json_documents.json_documents,
    "metrics": metrics.metrics,
    "problems": words.problems,
    "reasons": words.reasons,
    "relations": schema.relations,
    "settings_file": commands.settings_file,
    "statuses": words.statuses,
    "types": schema.types,
}
"""What makes each part, by its name; a text in Markdown without the end of its last line."""

_BLOCK = re.compile(
    r"(?P<begin><!-- (?P<name>\w+): made by `make docs` -->\n).*?"
    r"(?P<end><!-- end of (?P=name) -->)",
    re.DOTALL,
)


def pages() -> list[Path]:
    """Return the pages of the documentation."""
    return sorted(DOCS.rglob("*.md"))


def refreshed(page: Path) -> str:
    """Return a page with all its parts as they are now."""
    return _BLOCK.sub(
        lambda found: f"{found['begin']}{BLOCKS[found['name']]()}\n{found['end']}",
        page.read_text("utf-8"),
    )


def blocks_of(page: Path) -> list[str]:
    """Return the names of the parts of a page that are made from the code."""
    return [found["name"] for found in _BLOCK.finditer(page.read_text("utf-8"))]


if __name__ == "__main__":
    for page in pages():
        page.write_text(refreshed(page), "utf-8")
