"""From bytes to typed column batches and rejects: vectorised, in constant memory, row for row.

A file is read in blocks, the blocks are cut into whole lines, and each block of lines becomes one
`Batch`. Every line that is not blank is either a row of a batch or one of its rejects.
"""

import codecs
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, reduce
from itertools import chain
from operator import or_
from typing import Any

import polars as pl
from sqlalchemy import Column

from visitpay.cells import convert, kind_of
from visitpay.errors import FileError
from visitpay.landing import Source, printable
from visitpay.models import Entity, fed_columns

BLOCK_BYTES = 2 << 20
MAX_LINE_BYTES = 1 << 20
KEPT_OF_LONG_LINE = 1 << 10
MAX_CELL_ACROSS_LINES = 1 << 16

DELIMITERS = "\t,|;"

REASONS = (
    "malformed",
    "invalid_encoding",
    "line_too_long",
    "missing_value",
    "invalid_integer",
    "invalid_date",
    "invalid_amount",
    "missing_reference",
)
"""Why a row is put aside; a row has one reason, the first that applies."""

REJECT_SCHEMA = pl.Schema(
    {
        "line_number": pl.Int64,
        "record_key": pl.Int64,
        "reason": pl.String,
        "column_name": pl.String,
        "raw": pl.String,
    }
)

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def header_of(column: Column[Any]) -> str:
    """Give the header under which the hospital sends a column of the model."""
    named: str = column.info.get("header") or "".join(
        word.capitalize() for word in column.name.split("_")
    )
    return named


def key_of(entity: type[Entity]) -> Column[Any]:
    """Give the column that tells an entity's rows apart."""
    (key,) = entity.__table__.primary_key.columns
    return key


@dataclass(frozen=True)
class Layout:
    """Where a file keeps an entity's columns."""

    entity: type[Entity]
    header: str
    delimiter: str
    width: int
    """Cells in the header, up to the last that has a name."""
    trailer: str
    """The delimiters that end the header after it."""
    positions: tuple[int, ...]
    """For each column of the entity, in the model's order, its place in a line."""
    extra: tuple[str, ...]
    """Columns of the file that the entity does not have."""

    @classmethod
    def of(cls, entity: type[Entity], header: str) -> "Layout":
        """Find the delimiter and the columns in a header line.

        Raises FileError when the line is empty, lacks a column or has one twice. The message names
        the model's columns only: a file without a header has data in its first line.
        """
        if not header.strip():
            message = f"line 1 is empty; it must name {_listed(entity)}"
            raise FileError(message)
        delimiter = min(DELIMITERS, key=lambda candidate: len(_missing(entity, header, candidate)))
        if missing := _missing(entity, header, delimiter):
            message = f"line 1 lacks the columns {', '.join(missing)}; ask for the whole file again"
            raise FileError(message)
        names = _names(header, delimiter)
        wanted = [header_of(column) for column in fed_columns(entity)]
        doubled = [name for name, count in Counter(names).items() if name and count > 1]
        if doubled:
            known = [name for name in wanted if name.lower() in doubled]
            which = ", ".join(known) or "a column"
            message = f"line 1 names {which} more than once; one of them must go"
            raise FileError(message)
        width = max(place for place, name in enumerate(names, 1) if name)
        extra = [name for name in names if name and name not in {each.lower() for each in wanted}]
        return cls(
            entity=entity,
            header=header,
            delimiter=delimiter,
            width=width,
            trailer=delimiter * (len(names) - width),
            positions=tuple(names.index(name.lower()) for name in wanted),
            extra=tuple(printable(name[:64]) for name in extra),
        )


def _names(header: str, delimiter: str) -> list[str]:
    return [_unquoted(cell.strip(" ")).lower() for cell in header.split(delimiter)]


def _missing(entity: type[Entity], header: str, delimiter: str) -> list[str]:
    names = _names(header, delimiter)
    headers = (header_of(column) for column in fed_columns(entity))
    return [name for name in headers if name.lower() not in names]


def _listed(entity: type[Entity]) -> str:
    return ", ".join(header_of(column) for column in fed_columns(entity))


@dataclass(frozen=True)
class Batch:
    """Some lines of a file, taken apart.

    `rows` holds the good ones, sorted by key, then line: the model's columns under their names,
    `source_line` and `raw`. `rejects` holds the others (REJECT_SCHEMA).
    """

    rows: pl.DataFrame
    rejects: pl.DataFrame
    rows_read: int


class Parser:
    """A file of an entity that is being parsed; the header is read at once, the rows on demand."""

    def __init__(
        self, source: Source, entity: type[Entity], block_bytes: int | None = None
    ) -> None:
        """Read the header; raises FileError when the file cannot be used."""
        blocks = _whole_lines(_utf8(_blocks(source, block_bytes or BLOCK_BYTES)))
        first = next(blocks, b"")
        header, _, rest = first.partition(b"\n")
        if not first:
            message = f"is empty; its first line must name {_listed(entity)}"
            raise FileError(message)
        self.layout = Layout.of(entity, header.decode("utf-8", "backslashreplace"))
        self._blocks = chain([rest], blocks)

    def batches(self) -> Iterator[Batch]:
        """Give the rows, some thousands at a time, in the file's order."""
        line_number = 2
        for block in _unbroken(self._blocks, self.layout.delimiter):
            lines = _lines(block, line_number)
            line_number += len(lines)
            yield parse(lines, self.layout)


def _blocks(source: Source, size: int) -> Iterator[bytes]:
    while block := source.read(size):
        yield block


def _utf8(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Drop a byte order mark, and turn UTF-16 into UTF-8; what is invalid stays so."""
    first = b""
    while len(first) < len(codecs.BOM_UTF8) and (more := next(blocks, b"")):
        first += more
    boms = (each for each in _BOMS if first.startswith(each[0]))
    bom, encoding = next(boms, (b"", "utf-8"))
    blocks = chain([first[len(bom) :]], blocks)
    if encoding == "utf-8":
        yield from blocks
        return
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    for block in blocks:
        yield decoder.decode(block).encode("utf-8", "surrogatepass")
    if decoder.getstate()[0]:
        yield b"\xff"  # half a character at the end makes its line invalid


def _whole_lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Cut blocks after line ends, which become LF; of a line beyond the limit only so much is kept.

    What is kept of it is longer than MAX_LINE_BYTES by one byte, so that it is known.
    """
    tail = b""
    for block in chain(blocks, [None]):
        text = tail + (block if block is not None else b"\n" if tail else b"")
        held = b""
        if text.endswith(b"\r"):  # its LF may be in the next block
            text, held = text[:-1], b"\r"
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        end = text.rfind(b"\n") + 1
        if end:
            yield text[:end]
        tail = text[end : end + MAX_LINE_BYTES + 1] + held


def _unbroken(blocks: Iterator[bytes], delimiter: str) -> Iterator[bytes]:
    """Move the block ends so that the pieces of a quoted cell that spans lines stay together."""
    opening = re.compile(_opening(delimiter).encode())
    closing = re.compile(_closing(delimiter).encode())
    held = b""
    for block in chain(blocks, [b""]):
        text = held + block
        end = _safe_end(text, opening, closing) if block else len(text)
        held = text[end:]
        if end:
            yield text[:end]


def _safe_end(text: bytes, opening: re.Pattern[bytes], closing: re.Pattern[bytes]) -> int:
    """Find where the last line starts that opens a cell that may go on, if it is near the end."""
    end = start = len(text)
    near = max(end - MAX_CELL_ACROSS_LINES, 0)
    if text.find(b'"', near) < 0:
        return end
    while start > near:
        stop, start = start, text.rfind(b"\n", 0, start - 1) + 1
        if opening.fullmatch(text, start, stop - 1):
            end = start
            if not closing.match(text, start, stop - 1):
                break  # else it may end a cell that an earlier line opens
    return end


def _lines(block: bytes, first_number: int) -> pl.DataFrame:
    """Give a block's lines: `source_line`, `raw`, `broken` (raw is written out), `long` (cut)."""
    lines = None if b"\0" in block else _decoded(block)
    if lines is None:
        pieces = block[:-1].split(b"\n")
        columns = {
            "raw": [_written_out(piece) for piece in pieces],
            "broken": [not _is_long(piece) and _is_broken(piece) for piece in pieces],
            "long": [_is_long(piece) for piece in pieces],
        }
        lines = pl.DataFrame(columns)
    if lines["long"].any():
        short = pl.col("raw").str.head(KEPT_OF_LONG_LINE)
        lines = lines.with_columns(raw=pl.when("long").then(short).otherwise("raw"))
    return lines.with_row_index("source_line", first_number).cast({"source_line": pl.Int64})


def _decoded(block: bytes) -> pl.DataFrame | None:
    try:
        block.decode()
    except UnicodeDecodeError:
        return None
    # An empty line ahead: polars would take a first line like "x^" for compressed data.
    lines = pl.read_lines(io.BytesIO(b"\n" + block), name="raw").slice(1)
    return lines.with_columns(
        broken=pl.lit(value=False), long=pl.col("raw").str.len_bytes() > MAX_LINE_BYTES
    )


def _written_out(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace").replace("\0", r"\x00")


def _is_long(line: bytes) -> bool:
    return len(line) > MAX_LINE_BYTES


def _is_broken(line: bytes) -> bool:
    try:
        return "\0" in line.decode()
    except UnicodeDecodeError:
        return True


def parse_again(rows: pl.DataFrame, layout: Layout) -> Batch:
    """Take lines apart (`source_line`, `raw`) that were good but for what they refer to."""
    none = pl.lit(value=False)
    return parse(rows.select("source_line", "raw", broken=none, long=none), layout)


def parse(lines: pl.DataFrame, layout: Layout) -> Batch:
    """Take lines apart (`source_line`, `raw`, `broken`, `long`) as the layout says."""
    cells = _split(lines, layout)
    faults: list[tuple[str, str | None, pl.Series]] = [
        ("malformed", None, cells["malformed"]),
        ("invalid_encoding", None, cells["broken"]),
        ("line_too_long", None, cells["long"]),
    ]
    frame = cells.select("source_line", "raw")
    for column in fed_columns(layout.entity):
        kind, header = kind_of(column), header_of(column)
        values, invalid = convert(_trimmed(cells[column.name]), kind)
        frame = frame.with_columns(values.alias(column.name))
        if kind.reason is not None:
            faults.append((kind.reason, header, invalid))
        if not column.nullable:
            faults.append(("missing_value", header, values.is_null() & ~invalid))
    faults = [fault for fault in faults if fault[2].any()]
    key = key_of(layout.entity).name
    if not faults:
        return Batch(frame.sort(key, "source_line"), REJECT_SCHEMA.to_frame(), len(frame))
    bad = reduce(or_, (mask for _, _, mask in faults))
    faults.append(("malformed", None, _pieces(cells["raw"], bad, layout.delimiter)))
    judged = frame.with_columns(_verdict(faults))
    good = pl.col("reason").is_null()
    rows = judged.filter(good).select(frame.columns).sort(key, "source_line")
    rejects = judged.filter(~good).select(
        "reason", "column_name", "raw", line_number="source_line", record_key=key
    )
    return Batch(rows, rejects.select(REJECT_SCHEMA.names()), len(frame))


def _verdict(faults: list[tuple[str, str | None, pl.Series]]) -> list[pl.Expr]:
    """Say of each row the first reason that applies and, within it, the first column."""
    reason, column = pl.lit(None, pl.String), pl.lit(None, pl.String)
    ranked = sorted(faults, key=lambda fault: REASONS.index(fault[0]))
    for name, header, mask in reversed(ranked):
        reason = pl.when(mask).then(pl.lit(name)).otherwise(reason)
        column = pl.when(mask).then(pl.lit(header, pl.String)).otherwise(column)
    return [reason.alias("reason"), column.alias("column_name")]


def _split(lines: pl.DataFrame, layout: Layout) -> pl.DataFrame:
    """Cut lines into the model's columns, as text; adds `malformed`, drops blank lines.

    Lines that do not split evenly go one by one, and are not cut before they are counted: a short
    line under a wide header must not cost memory for every column.
    """
    raw = lines["raw"]
    body = raw.str.strip_suffix(layout.trailer) if layout.trailer else raw
    even = body.str.count_matches(layout.delimiter, literal=True) == layout.width - 1
    even &= ~lines["long"]
    every = even.all()
    fields = (body if every else body.filter(even)).str.split_exact(
        layout.delimiter, layout.width - 1
    )
    cut = fields.struct.unnest().get_columns()
    names = [column.name for column in fed_columns(layout.entity)]
    cells = (lines if every else lines.filter(even)).hstack(
        [cut[place].alias(name) for name, place in zip(names, layout.positions, strict=True)]
    )
    cells = cells.with_columns(malformed=pl.lit(value=False))
    if not every:
        odd = lines.filter(~even & (raw.str.strip_chars(" ") != ""))
        schema = dict.fromkeys(names, pl.String()) | {"malformed": pl.Boolean()}
        mended = pl.DataFrame([_mended(line, layout) for line in odd["raw"]], schema, orient="row")
        odd = odd.hstack(mended).with_columns(pl.col("malformed") & ~pl.col("long"))
        cells = cells.vstack(odd).sort("source_line")
    return cells


def _mended(line: str, layout: Layout) -> tuple[str | bool | None, ...]:
    """Cut one line that does not split evenly, honouring quotes if that helps.

    Gives the model's columns and whether the line is malformed; then only the key is kept, so that
    a good row of the same key can supersede it.
    """
    plain = line.split(layout.delimiter)
    for cells in (plain, _csv_cells(line, layout)):
        beyond = "".join(cells[layout.width :]).replace(layout.delimiter, "")
        if len(cells) >= layout.width and not beyond.strip(" "):
            return *(cells[place] for place in layout.positions), False
    key = key_of(layout.entity)
    return *(
        plain[place] if column is key and place < len(plain) else None
        for column, place in zip(fed_columns(layout.entity), layout.positions, strict=True)
    ), True


def _csv_cells(line: str, layout: Layout) -> list[str]:
    """Cut a line where a cell that starts with a quote ends with one; other quotes are text.

    Once there are cells enough, what is left of the line is one more.
    """
    pattern = _csv_cell(layout.delimiter)
    cells: list[str] = []
    place = 0
    while place <= len(line) and len(cells) < layout.width:
        match = pattern.match(line, place)
        cells.append(match[0] if match else "")
        place += len(cells[-1]) + 1
    return [*cells, line[place:]] if place <= len(line) else cells


@cache
def _csv_cell(delimiter: str) -> re.Pattern[str]:
    return re.compile(rf' *"(?:[^"]|"")*+" *(?=[{delimiter}]|\Z)|[^{delimiter}]*')


def _pieces(raw: pl.Series, bad: pl.Series, delimiter: str) -> pl.Series:
    """Say which lines are pieces of a quoted cell that spans lines.

    A piece may be a good row by chance. It is one if it stands at an end of a stretch of lines in
    which a quote opens in the first and closes in the last, all between are bad, and so is an end.
    """
    pieces = pl.repeat(value=False, n=len(raw), eager=True)
    opens = raw.str.contains(rf"^{_opening(delimiter)}$")
    if not opens.any():
        return pieces
    closes = raw.str.contains(f"^{_closing(delimiter)}").to_list()
    inner = (bad & ~opens).to_list()
    sizes = (raw.str.len_bytes() + 1).to_list()
    found: list[int] = []
    for first in opens.arg_true():
        last, size = first + 1, sizes[first]
        while last < len(inner) and inner[last] and not closes[last]:
            size += sizes[last]
            last += 1
        if last == len(inner) or not closes[last]:
            continue
        near = size + sizes[last] <= MAX_CELL_ACROSS_LINES
        if near and bad[first : last + 1].any():
            found.extend(range(first, last + 1))
    return pieces.scatter(found, values=True)


def _opening(delimiter: str) -> str:
    """Give the pattern of a whole line at whose end a quoted cell is still open."""
    quoted = r' *"(?:[^"]|"")*" *'
    text = rf'[^" {delimiter}][^{delimiter}]*'
    cell = rf"(?:{quoted}|{quoted}{text}| *{text}| *)"
    return rf'(?:{cell}[{delimiter}])* *"(?:[^"]|"")*'


def _closing(delimiter: str) -> str:
    """Give the pattern of a line's start if it starts in a quoted cell, up to that cell's end."""
    return rf'(?:[^"]|"")*" *(?:[{delimiter}]|$)'


_WHOLE_QUOTED = r'^"(?:[^"]|"")*"$'


def _unquoted(cell: str) -> str:
    whole = re.fullmatch(_WHOLE_QUOTED, cell)
    return cell[1:-1].replace('""', '"').strip(" ") if whole else cell


def _trimmed(cells: pl.Series) -> pl.Series:
    """Trim a column's cells, and unwrap those that are one whole quoted CSV cell."""
    cells = cells.str.strip_chars(" ")
    quoted = cells.str.starts_with('"')
    if not quoted.any():
        return cells
    frame = pl.DataFrame({"cell": cells})
    inner = pl.col("cell").str.slice(1, pl.col("cell").str.len_chars() - 2)
    unwrapped = inner.str.replace_all('""', '"', literal=True).str.strip_chars(" ")
    return frame.select(
        pl.when(pl.col("cell").str.contains(_WHOLE_QUOTED)).then(unwrapped).otherwise("cell")
    )["cell"]
