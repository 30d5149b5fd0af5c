"""From bytes to typed rows and rejects: a column at a time, in constant memory, row for row.

A file is read in blocks, the blocks are cut into whole lines, and each block of lines becomes one
`Batch`. Every line that is not blank is either a row of a batch or one of its rejects.
"""

from collections.abc import Generator, Iterator
from datetime import date
from itertools import chain, pairwise

import polars as pl

from visitpay.errors import FileError
from visitpay.models import Entity
from visitpay.parsing.ambiguity import reject_ambiguous
from visitpay.parsing.blocks import FileEnd, Source, keep_together, whole_lines
from visitpay.parsing.closing import ClosingLines
from visitpay.parsing.columns import due_headers
from visitpay.parsing.layout import Layout
from visitpay.parsing.lines import number_lines
from visitpay.parsing.rows import LINE_SCHEMA, Batch, cut_off, parse, parse_again
from visitpay.parsing.signatures import SourceWithHead, describe_other_format
from visitpay.parsing.values import DateOrder

BLOCK_BYTES = 2 << 20

HEADER_CHECK_BYTES = 1 << 13
"""So many bytes of the rows are compared with the header."""

DAY_FIRST_ERROR = (
    "dates are day-first: a first number is above 12, and no second one;"
    " ask for month first (12/31/2021) or for 2021-12-31"
)
"""What is wrong with a file that `is_day_first`."""


class Parser:
    """A file of an entity that is being parsed; the header is read at once, the rows on demand."""

    def __init__(
        self,
        source: Source,
        entity: type[Entity],
        block_bytes: int | None = None,
        file_date: date = date.max,
    ) -> None:
        """Read the header; raises FileError when the file cannot be used.

        `file_date` is the day in its name (UTC): columns may be due since a day.
        """
        reader = SourceWithHead(source)
        self._end = FileEnd()
        blocks = whole_lines(reader, block_bytes or BLOCK_BYTES, self._end)
        first = next(blocks, b"")
        if not first:
            message = (
                f"is empty; its first line must name {', '.join(due_headers(entity, file_date))}"
            )
            raise FileError(message)
        header, _, rest = first.partition(b"\n")
        while len(rest) < HEADER_CHECK_BYTES and (block := next(blocks, b"")):
            rest += block
        *rows, _ = rest[:HEADER_CHECK_BYTES].decode("utf-8", "backslashreplace").split("\n")
        try:
            self.layout = Layout.of(
                entity, header.decode("utf-8", "backslashreplace"), rows, file_date
            )
        except FileError as error:
            if other := describe_other_format(reader.head):
                raise FileError(other) from error
            raise
        self._blocks = chain([rest], blocks)
        self._date_order = DateOrder()
        self.trailer_rows: int | None = None
        """How many rows the file's trailer says there are; None until all batches were read."""
        self.is_cut_off = False
        """Whether its last line was put aside, since it has no line end, as was expected."""

    @property
    def is_day_first(self) -> bool:
        """Whether dates with slashes have the day first, by evidence, once all batches were read.

        That is when a first number of one is above 12, and no second number of any.
        """
        return self._date_order.is_day_first

    @property
    def has_last_line_end(self) -> bool:
        """Whether the last line that is not blank has a line end, once all batches were read."""
        return self._end.has_line_end

    def batches(self, *, line_ends_expected: bool = False) -> Generator[Batch]:
        """Yield the rows, a block of lines at a time, in the file's order.

        Where a line end is expected also at the end of the last line, a line without one is a
        reject, however well it reads, unless it closes the file. The other rows are read as if it
        were not there. Raises FileError at the end if the file's trailer has another row count.
        """
        line_number, rows_read = 2, 0
        closing = ClosingLines(self.layout, self._is_row)
        blocks = closing.remove_from(self._blocks)
        cut: list[bytes] = []
        if line_ends_expected:
            blocks = self._without_cut_line(blocks, closing, cut)
        for block in keep_together(blocks, self.layout.delimiter):
            lines = number_lines(block, line_number)
            line_number += len(lines)
            batch = parse(lines, self.layout, date_order=self._date_order)
            batch = reject_ambiguous(batch, self.layout)
            rows_read += batch.rows_read
            yield batch
        for line in cut:
            batch = cut_off(number_lines(line, line_number), self.layout)
            rows_read += batch.rows_read
            self.is_cut_off = True
            yield batch
        closing.require_row_count(rows_read)
        self.trailer_rows = closing.row_count

    def _without_cut_line(
        self, blocks: Iterator[bytes], closing: ClosingLines, cut: list[bytes]
    ) -> Iterator[bytes]:
        """Yield blocks of lines; a last line that the file's end has cut off goes to `cut`."""
        for block, following in pairwise(chain(blocks, [b""])):
            is_whole = self._end.has_line_end or self._end.has_mark or closing.has_closed
            start = len(block) if following or is_whole else block.rfind(b"\n", 0, -1) + 1
            if start < len(block):
                cut.append(block[start:])
            if start:
                yield block[:start]

    def _is_row(self, line: str) -> bool:
        lines = pl.DataFrame([(1, line)], LINE_SCHEMA, orient="row")
        return not parse_again(lines, self.layout).rows.is_empty()
