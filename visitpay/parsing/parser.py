"""From bytes to typed column batches and rejects: vectorised, in constant memory, row for row.

A file is read in blocks, the blocks are cut into whole lines, and each block of lines becomes one
`Batch`. Every line that is not blank is either a row of a batch or one of its rejects.
"""

from collections.abc import Generator
from itertools import chain

import polars as pl

from visitpay.errors import FileError
from visitpay.models import Entity
from visitpay.parsing.ambiguity import reject_ambiguous
from visitpay.parsing.blocks import Source, keep_together, whole_lines
from visitpay.parsing.closing import Closing
from visitpay.parsing.layout import Layout, listed
from visitpay.parsing.lines import numbered
from visitpay.parsing.rows import NO_LINES, Batch, parse, parse_again
from visitpay.parsing.signatures import Remembered, foreign
from visitpay.parsing.values import Slashes

BLOCK_BYTES = 2 << 20

BYTES_TO_FIT = 1 << 13
"""Of the rows, so much is held against the header."""

DAY_FIRST = (
    "dates are day-first: a first number is above 12, and no second one;"
    " ask for month first (12/31/2021) or for 2021-12-31"
)
"""What is wrong with a file that `is_day_first`."""


class Parser:
    """A file of an entity that is being parsed; the header is read at once, the rows on demand."""

    def __init__(
        self, source: Source, entity: type[Entity], block_bytes: int | None = None
    ) -> None:
        """Read the header; raises FileError when the file cannot be used."""
        remembered = Remembered(source)
        blocks = whole_lines(remembered, block_bytes or BLOCK_BYTES)
        first = next(blocks, b"")
        if not first:
            message = f"is empty; its first line must name {listed(entity)}"
            raise FileError(message)
        header, _, rest = first.partition(b"\n")
        while len(rest) < BYTES_TO_FIT and (more := next(blocks, b"")):
            rest += more
        *rows, _ = rest[:BYTES_TO_FIT].decode("utf-8", "backslashreplace").split("\n")
        try:
            self.layout = Layout.of(entity, header.decode("utf-8", "backslashreplace"), rows)
        except FileError as error:
            if other := foreign(remembered.start):
                raise FileError(other) from error
            raise
        self._blocks = chain([rest], blocks)
        self._slashes = Slashes()
        self.trailer_rows: int | None = None
        """How many rows the file's trailer says there are; known once the batches were given."""

    @property
    def is_day_first(self) -> bool:
        """Whether slashed dates have the day first, by evidence, once the batches were given.

        A first number of one is above 12, and no second number of any.
        """
        return self._slashes.are_day_first

    def batches(self) -> Generator[Batch]:
        """Give the rows, some thousands at a time, in the file's order.

        Raises FileError at the end when the file's trailer says another count of rows.
        """
        line_number, rows_read = 2, 0
        closing = Closing(self.layout, self._is_row)
        blocks = closing.taken_from(self._blocks)
        for block in keep_together(blocks, self.layout.delimiter):
            lines = numbered(block, line_number)
            line_number += len(lines)
            batch = reject_ambiguous(parse(lines, self.layout, slashes=self._slashes), self.layout)
            rows_read += batch.rows_read
            yield batch
        closing.require_fit(rows_read)
        self.trailer_rows = closing.rows

    def _is_row(self, line: str) -> bool:
        lines = pl.DataFrame([(1, line)], NO_LINES.schema, orient="row")
        return not parse_again(lines, self.layout).rows.is_empty()
