"""Tables in Markdown, and what the docstrings of code say."""

import ast
import inspect
import re
import sys
from collections.abc import Iterable, Sequence
from functools import cache


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a cell may hold Markdown."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |".replace("|  |", "| |") for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")


def code(text: str) -> str:
    """Return a text as code; nothing for nothing."""
    return f"`{text}`" if text else ""


def about(thing: type) -> str:
    """Return the first paragraph of the docstring of a class, in one line."""
    return _one_line(inspect.getdoc(thing) or "")


def attribute_docs(thing: type) -> dict[str, str]:
    """Return what stands below the attributes of a class and of its bases, by attribute.

    It is the first paragraph of each, in one line.
    """
    own = (_docs_of_module(base.__module__).get(base.__name__, {}) for base in thing.__mro__)
    return {name: text for docs in reversed(list(own)) for name, text in docs.items()}


@cache
def _docs_of_module(name: str) -> dict[str, dict[str, str]]:
    if not name.startswith("visitpay"):
        return {}
    tree = ast.parse(inspect.getsource(sys.modules[name]))
    return {each.name: _docs_of(each) for each in tree.body if isinstance(each, ast.ClassDef)}


def _docs_of(class_: ast.ClassDef) -> dict[str, str]:
    docs = {}
    for before, after in zip(class_.body, class_.body[1:], strict=False):
        match before, after:
            case (
                ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                docs[name] = _one_line(inspect.cleandoc(text))
    return docs


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text.partition("\n\n")[0]).strip()
