"""From bytes to typed column batches and rejects: vectorised, in constant memory, row for row.

A file is read in blocks, the blocks are cut into whole lines, and each block of lines becomes one
`Batch`. Every line that is not blank is either a row of a batch or one of its rejects.
"""

import codecs
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
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

_LONGEST_CELL_ACROSS_LINES = 1 << 16

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
        names = _names(header, delimiter)
        width = max((place for place, name in enumerate(names, 1) if name), default=0)
        if missing := _missing(entity, header, delimiter):
            message = f"line 1 lacks the columns {', '.join(missing)}; ask for the whole file again"
            raise FileError(message)
        wanted = [header_of(column) for column in fed_columns(entity)]
        if doubled := [name for name in wanted if names.count(name.lower()) > 1]:
            message = f"line 1 names {', '.join(doubled)} more than once; one of them must go"
            raise FileError(message)
        others = [name for name in names if name not in {each.lower() for each in wanted}]
        if len(set(others) - {""}) != len([name for name in others if name]):
            message = "line 1 names a column more than once; one of them must go"
            raise FileError(message)
        return cls(
            entity=entity,
            header=header,
            delimiter=delimiter,
            width=width,
            trailer=delimiter * (len(names) - width),
            positions=tuple(names.index(name.lower()) for name in wanted),
            extra=tuple(printable(name[:64]) for name in others if name),
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
        self, source: Source, entity: type[Entity], block_bytes: int = BLOCK_BYTES
    ) -> None:
        """Read the header; raises FileError when the file cannot be used."""
        blocks = _whole_lines(_utf8(_blocks(source, block_bytes)))
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
    first = next(blocks, b"")
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
    held = b""
    for block in chain(blocks, [b""]):
        text = held + block
        start = text.rfind(b"\n", 0, max(text.rfind(b'"'), 0)) + 1
        line = text[start : text.find(b"\n", start)]
        near = len(text) - start <= _LONGEST_CELL_ACROSS_LINES
        held = text[start:] if block and near and opening.search(line) else b""
        if whole := text[: len(text) - len(held)]:
            yield whole


def _lines(block: bytes, first_number: int) -> pl.DataFrame:
    """Give a block's lines: `source_line`, `raw`, `broken` where bytes had to be written out."""
    lines = None if b"\0" in block else _decoded(block)
    if lines is None:
        pieces = block[:-1].split(b"\n")
        raw = pl.Series("raw", [_written_out(piece) for piece in pieces], dtype=pl.String)
        broken = pl.Series("broken", [_is_broken(piece) for piece in pieces], dtype=pl.Boolean)
        lines = pl.DataFrame([raw, broken])
    return lines.with_row_index("source_line", first_number).cast({"source_line": pl.Int64})


def _decoded(block: bytes) -> pl.DataFrame | None:
    try:
        block.decode()
    except UnicodeDecodeError:
        return None
    lines = pl.read_lines(io.BytesIO(block), name="raw")
    return lines.with_columns(broken=pl.lit(value=False))


def _written_out(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace").replace("\0", r"\x00")


def _is_broken(line: bytes) -> bool:
    try:
        return "\0" in line.decode()
    except UnicodeDecodeError:
        return True


def parse(lines: pl.DataFrame, layout: Layout) -> Batch:
    """Take lines apart (columns `source_line`, `raw`, `broken`) as the layout says."""
    cells = _split(lines, layout)
    faults: list[tuple[str, str | None, pl.Series]] = [
        ("malformed", None, cells["malformed"]),
        ("invalid_encoding", None, cells["broken"]),
        ("line_too_long", None, cells["long"]),
    ]
    frame = cells.select("source_line", "raw")
    for column, position in zip(fed_columns(layout.entity), layout.positions, strict=True):
        kind, header = kind_of(column), header_of(column)
        values, invalid = convert(_trimmed(cells[f"field_{position}"]), kind)
        frame = frame.with_columns(values.alias(column.name))
        faults.append((kind.reason, header, invalid))
        if not column.nullable:
            faults.append(("missing_value", header, values.is_null() & ~invalid))
    faults = [fault for fault in faults if fault[2].any()]
    key = key_of(layout.entity).name
    if not faults:
        return Batch(frame.sort(key, "source_line"), REJECT_SCHEMA.to_frame(), len(frame))
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
    """Cut lines into `field_0`, `field_1`, ...; adds `malformed` and `long`, drops blank lines."""
    width = layout.width
    raw = lines["raw"]
    body = raw.str.strip_suffix(layout.trailer) if layout.trailer else raw
    fields = body.str.split_exact(layout.delimiter, width).struct.unnest()
    uneven = fields[f"field_{width - 1}"].is_null() | fields[f"field_{width}"].is_not_null()
    long = raw.str.len_bytes() > MAX_LINE_BYTES
    cells = lines.hstack(fields.get_columns()[:width]).with_columns(
        malformed=pl.lit(value=False),
        long=long,
        broken=pl.col("broken") & ~long,
        raw=pl.when(long).then(pl.col("raw").str.head(KEPT_OF_LONG_LINE)).otherwise("raw"),
    )
    if uneven.any():
        blank = raw.str.strip_chars(" ") == ""
        doubtful = cells.filter(uneven & ~blank & ~long)
        mended = [_mended(row, layout) for row in doubtful.iter_rows(named=True)]
        even = cells.filter(~uneven | long)
        cells = even.vstack(pl.DataFrame(mended, cells.schema)).sort("source_line")
    return cells.with_columns(_across_lines(cells, layout.delimiter))


def _mended(row: dict[str, Any], layout: Layout) -> dict[str, Any]:
    """Cut one line that does not split evenly, honouring quotes if that helps."""
    width = layout.width
    for cells in (row["raw"].split(layout.delimiter), _csv_cells(row["raw"], layout)):
        beyond = "".join(cells[width:]).replace(layout.delimiter, "")
        if len(cells) >= width and not beyond.strip(" "):
            return row | {f"field_{place}": cell for place, cell in enumerate(cells[:width])}
    return row | {"malformed": True}


def _csv_cells(line: str, layout: Layout) -> list[str]:
    """Cut a line where a cell that starts with a quote ends with one; other quotes are text.

    Once there are cells enough, what is left of the line is one more.
    """
    delimiter = layout.delimiter
    cell = re.compile(rf' *"(?:[^"]|"")*+" *(?=[{delimiter}]|\Z)|[^{delimiter}]*')
    cells: list[str] = []
    place = 0
    while place <= len(line) and len(cells) < layout.width:
        match = cell.match(line, place)
        cells.append(match[0] if match else "")
        place += len(cells[-1]) + 1
    return [*cells, line[place:]] if place <= len(line) else cells


def _across_lines(cells: pl.DataFrame, delimiter: str) -> pl.Series:
    """Say which rows are malformed, the pieces of a quoted cell that spans lines included.

    A piece may split evenly by chance. It is one if it stands at an end of a stretch of lines in
    which a quote opens in the first and closes in the last, and something does not split evenly.
    """
    malformed = cells["malformed"]
    opens = cells["raw"].str.contains(_opening(delimiter))
    if not opens.any():
        return malformed
    closes = cells["raw"].str.contains(rf'^(?:[^"]|"")*" *(?:[{delimiter}]|$)')
    uneven, pieces = malformed.to_list(), list[int]()
    for first in opens.arg_true():
        last = first + 1
        while last < len(uneven) and uneven[last] and not closes[last] and not opens[last]:
            last += 1
        if last < len(uneven) and closes[last] and any(uneven[first : last + 1]):
            pieces.extend(range(first, last + 1))
    return malformed.clone().scatter(pieces, values=True)


def _opening(delimiter: str) -> str:
    """Give the pattern of a line at whose end a quoted cell is still open."""
    return rf'(?:^|[{delimiter}]) *"(?:[^"]|"")*$'


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
