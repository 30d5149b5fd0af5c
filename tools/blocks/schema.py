"""The tables, from the models: how they refer to each other, and what each column means."""

from collections.abc import Iterator
from itertools import chain

from sqlalchemy import BigInteger, Boolean, Column, Date, LargeBinary, Numeric, make_url

from tools.blocks.markdown import about, attribute_docs, code, table
from visitpay.models import ENTITIES, Base, Entity, UTCDateTime
from visitpay.parsing.columns import file_columns, file_header

_DIALECTS = [make_url(url).get_dialect()() for url in ("postgresql+psycopg://", "sqlite://")]

_WORDS = {
    BigInteger: "whole number",
    Boolean: "true or false",
    Date: "date",
    LargeBinary: "bytes",
    Numeric: "money",
    UTCDateTime: "time",
}

_FORMS = {
    "whole number": "a whole number of at most 64 bits, such as `321000001`",
    "date": "a date: `12/31/2021`, `2021-12-31` or `20211231`",
    "money": "an amount in dollars: `1005.50`, `-20`, `$1,005.50` or `(20.00)`",
    "text": "any text",
}


def relations() -> str:
    """Return the diagram of the entities in a line, and as Mermaid draws it."""
    lines = "\n".join(_line(entity) for entity in ENTITIES if _parents(entity))
    arrows = [arrow for entity in ENTITIES for arrow in _arrows(entity)]
    boxes = [line for entity in ENTITIES for line in _box(entity)]
    drawn = "\n".join(["```mermaid", "erDiagram", "    direction LR", *arrows, *boxes, "```"])
    return f"```text\n{lines}\n```\n\n{drawn}"


def _line(child: type[Entity]) -> str:
    """Return how an entity refers to its parents: `Visit 1-M Transaction M-1 Procedure`."""
    first, *others = (name for name, _ in _parents(child))
    return " ".join([f"{first} 1-M {child.__name__}", *(f"M-1 {other}" for other in others)])


def _parents(child: type[Entity]) -> list[tuple[str, str]]:
    """Return the entities that an entity refers to, each with the column that does."""
    names = {entity.__table__: entity.__name__ for entity in ENTITIES}
    keys = (key for column in child.__table__.columns for key in column.foreign_keys)
    return [(names[key.column.table], key.parent.name) for key in keys]


def _arrows(child: type[Entity]) -> Iterator[str]:
    """Yield a line for each parent: the first on the left of the child, the others on its right."""
    for number, (parent, label) in enumerate(_parents(child)):
        if number:
            yield f'    {child.__name__} }}o--|| {parent} : "{label}"'
        else:
            yield f'    {parent} ||--o{{ {child.__name__} : "{label}"'


def _box(entity: type[Entity]) -> Iterator[str]:
    yield f"    {entity.__name__} {{"
    for column in file_columns(entity):
        keys = ", ".join([*["PK"] * column.primary_key, *["FK"] * bool(column.foreign_keys)])
        kind = _word(column).replace(" ", "_")
        yield " ".join(filter(None, (f"        {kind} {column.name}", keys)))
    yield "    }"


def dictionary() -> str:
    """Return a section for each entity: its columns, with their names in the files."""
    return "\n\n".join(_entity_section(entity) for entity in ENTITIES)


def _entity_section(entity: type[Entity]) -> str:
    headings = ("column", "in the files", "type", "NULL", "in every file", "meaning")
    docs, of_files = attribute_docs(entity), file_columns(entity)
    rows = [
        (
            code(column.name) + _key(column),
            _names(column) if column in of_files else "",
            _word(column),
            "yes" if column.nullable else "no",
            _presence(column) if column in of_files else "",
            docs.get(column.name, ""),
        )
        for column in entity.__table__.columns
    ]
    return f"### {entity.__name__}\n\n{_lead(entity)}\n\n{table(headings, rows)}"


def _lead(model: type[Base]) -> str:
    return f"{about(model)} Table `{model.__tablename__}`."


def _key(column: Column[object]) -> str:
    """Return whether it is the key, and to which column it refers."""
    refers = [f", refers to `{key.target_fullname}`" for key in column.foreign_keys]
    return (", key" if column.primary_key else "") + "".join(refers)


def _names(column: Column[object]) -> str:
    """Return the names that a column has, or had, in the files."""
    former = column.info.get("aliases", ())
    before = f"; before: {', '.join(map(code, former))}" if former else ""
    return code(file_header(column)) + before


def _presence(column: Column[object]) -> str:
    """Return which files may lack a column, and what a row then has."""
    if column.info.get("optional"):
        lacking = "no, any may lack it"
    elif since := column.info.get("since"):
        lacking = f"from {since} on"
    else:
        return "yes"
    default = column.info.get("default")
    return lacking + ("; without it NULL" if default is None else f"; without it `{default}`")


def _word(column: Column[object]) -> str:
    return next((word for kind, word in _WORDS.items() if isinstance(column.type, kind)), "text")


def types() -> str:
    """Return how the databases store each type."""
    stored: dict[str, list[set[str]]] = {}
    for column in chain.from_iterable(each.columns for each in Base.metadata.tables.values()):
        sets = stored.setdefault(_word(column), [set() for _ in _DIALECTS])
        for names, dialect in zip(sets, _DIALECTS, strict=True):
            names.add(column.type.compile(dialect))
    rows = (
        (word, *(", ".join(map(code, sorted(names))) for names in sets))
        for word, sets in sorted(stored.items())
    )
    return table(("type", "PostgreSQL", "SQLite"), rows)


def books() -> str:
    """Return a section for each table that the loader keeps for itself."""
    return "\n\n".join(_book(model) for model in Base.__subclasses__() if model is not Entity)


def _book(model: type[Base]) -> str:
    docs = attribute_docs(model)
    rows = (
        (
            code(column.name) + _key(column),
            _word(column),
            "yes" if column.nullable else "no",
            docs.get(column.name, ""),
        )
        for column in model.__table__.columns
    )
    text = table(("column", "type", "NULL", "meaning"), rows)
    return f"### {model.__tablename__}\n\n{about(model)}\n\n{text}"


def _file_section(entity: type[Entity]) -> str:
    """Return the columns of the files of a type, for those who send them."""
    rows = [
        (
            _names(column),
            _FORMS[_word(column)],
            "yes" if column.nullable else "no",
            _presence(column),
            attribute_docs(entity).get(column.name, ""),
        )
        for column in file_columns(entity)
    ]
    headings = ("header", "cell", "may be empty", "in every file", "meaning")
    return f"### {entity.__name__}\n\n{about(entity)}\n\n{table(headings, rows)}"


def columns_of_files() -> str:
    """Return the columns of the files of each type."""
    return "\n\n".join(map(_file_section, ENTITIES))
