"""The feed's parser once more: slow, plain, a line and a cell at a time, to be compared with.

It shares no code with visitpay, not even the model.
"""

import re
from collections import Counter
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

Columns = list[tuple[str, str, bool]]

COLUMNS: dict[str, Columns] = {
    "Procedure": [("ProcedureId", "integer", True), ("ProcedureDescription", "text", True)],
    "Visit": [
        ("VisitIdentifier", "integer", True),
        ("GuarantorIdentifier", "integer", True),
        ("AdmitDate", "date", True),
        ("DischargeDate", "date", False),
        ("VisitBalance", "amount", False),
        ("InsuranceIdentifier", "integer", False),
    ],
    "Transaction": [
        ("TransactionIdentifier", "integer", True),
        ("VisitIdentifier", "integer", True),
        ("ProcedureId", "integer", True),
        ("Amount", "amount", True),
    ],
}
"""Header name, kind and whether a value must be there; the first is the key."""

RANK = ["malformed", "invalid_encoding", "line_too_long", "missing_value"]
RANK += ["invalid_integer", "invalid_date", "invalid_amount"]

Verdict = tuple[Any, ...]
"""A row (line, values; money in cents), or a reject (line, key, reason, column)."""


class RefusedError(Exception):
    """The whole file cannot be used."""


def read(entity: str, data: bytes) -> tuple[set[Verdict], set[Verdict]]:
    """Give the rows of a file, and its rejects; raises RefusedError."""
    header, *lines = lines_of(data)
    return Sheet(entity, header, lines).read()


def lines_of(data: bytes) -> list[bytes]:
    """Cut a file into lines of UTF-8, as far as it is that."""
    for mark, encoding in (
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
    ):
        if data.startswith(mark):
            data = data[len(mark) :]
            if encoding != "utf-8":
                half = data[len(data) // 2 * 2 :]
                text = data[: len(data) // 2 * 2].decode(encoding, "surrogatepass")
                data = text.encode("utf-8", "surrogatepass") + (b"\xff" if half else b"")
            break
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    if not lines[-1]:
        lines.pop()
    if not lines:
        raise RefusedError
    return lines


class Sheet:
    """A file whose header was found."""

    def __init__(self, entity: str, header: bytes, lines: list[bytes]) -> None:
        """Find the columns; raises RefusedError."""
        self.columns = COLUMNS[entity]
        self.lines = dict(enumerate(lines, 2))
        wanted = [name.lower() for name, _, _ in self.columns]
        text = header.decode("utf-8", "backslashreplace")
        if not text.strip():
            raise RefusedError
        names = {
            delimiter: [unquoted(cell.strip(" ")).lower() for cell in text.split(delimiter)]
            for delimiter in "\t,|;"
        }
        usable = [each for each in names if set(wanted) <= set(names[each])]
        if not usable:
            raise RefusedError
        self.delimiter = usable[0]
        found = names[self.delimiter]
        if any(count > 1 for name, count in Counter(found).items() if name):
            raise RefusedError
        if any(re.fullmatch("[+-]?[0-9]+", name) for name in found):
            raise RefusedError
        self.width = max(place for place, name in enumerate(found, 1) if name)
        if self.width > 1000:
            raise RefusedError
        self.places = [found.index(name) for name in wanted]
        self.cells = len(found)
        self.agree(found.count("") - (len(found) - self.width))

    def agree(self, nameless: int) -> None:
        """Hold the first rows against the header."""
        body = b"".join(line + b"\n" for line in self.lines.values())
        first = body[: 1 << 13].decode("utf-8", "backslashreplace").split("\n")[:-1]
        rows = [line for line in first if line.strip(" ")]
        most = len(rows) / 2

        def splitting(delimiter: str, cells: int) -> int:
            return sum(len(row.split(delimiter)) >= cells for row in rows)

        if len(rows) >= 3 and splitting(self.delimiter, self.width) <= most:
            if any(splitting(each, self.width) > most for each in "\t,|;"):
                raise RefusedError
            if nameless and splitting(self.delimiter, self.width - nameless) > most:
                raise RefusedError
        for cells, times in Counter(len(row.split(self.delimiter)) for row in rows).items():
            if times >= 3 and times > most and cells >= self.width:
                self.cells = cells

    def read(self) -> tuple[set[Verdict], set[Verdict]]:
        """Judge every line, then those that may belong together."""
        verdicts: dict[int, Verdict] = {}
        for number, line in self.lines.items():
            if line.strip(b" "):
                verdicts[number] = self.judged(number, line)
        bad = {number for number, verdict in verdicts.items() if is_reject(verdict)}
        for number in self.pieces_of_cells(bad):
            verdicts[number] = self.malformed(number, verdicts[number])
        good = {number for number, verdict in verdicts.items() if not is_reject(verdict)}
        for number in sorted(good):
            if any(
                not is_reject(other) and other != verdicts[number]
                for other in self.other_readings(number, good)
            ):
                verdicts[number] = self.malformed(number, verdicts[number])
        rejects = {verdict for verdict in verdicts.values() if is_reject(verdict)}
        return set(verdicts.values()) - rejects, rejects

    def judged(self, number: int, line: bytes) -> Verdict:
        """Give the row that a line is, or why it is none."""
        text = line.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
        faults: list[tuple[str, str | None]] = []
        cells = None if len(line) > 1 << 20 else self.cells_of(text)
        plain = text.split(self.delimiter)
        if len(line) > 1 << 20:
            faults.append(("line_too_long", None))
            cells = [""] * self.width
        elif "\0" in line.decode("utf-8", "ignore") or not is_utf8(line):
            faults.append(("invalid_encoding", None))
        if cells is None:
            place = self.places[0]
            key = value_of(plain[place], "integer") if place < len(plain) else None
            return number, key if isinstance(key, int) else None, "malformed", None
        values: list[object] = []
        for (name, kind, required), place in zip(self.columns, self.places, strict=True):
            value = value_of(cells[place], kind)
            values.append(None if isinstance(value, Exception) else value)
            if isinstance(value, Exception):
                faults.append((f"invalid_{kind}", name))
            elif value is None and required:
                faults.append(("missing_value", name))
        if faults:
            reason, column = min(faults, key=lambda fault: RANK.index(fault[0]))
            return number, values[0], reason, column
        return number, *values

    def cells_of(self, text: str) -> list[str] | None:
        """Cut a line, by delimiters alone or, if that does not fit, as CSV."""
        plain = text.split(self.delimiter)
        for cells in (plain, csv_cells(text, self.delimiter)):
            kept = cells[: self.width]
            if len(kept) < self.width or "".join(cells[self.width :]).strip(" "):
                continue
            if len(cells) < self.cells and not kept[-1].strip(" "):
                continue
            return kept
        return None

    def malformed(self, number: int, verdict: Verdict) -> Verdict:
        """Say that a line cannot be told."""
        return number, verdict[1], "malformed", None

    def pieces_of_cells(self, bad: set[int]) -> set[int]:
        """Find the lines from a quote that is open at a line's end to the one that closes it."""
        pieces: set[int] = set()
        texts = {
            number: line.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
            for number, line in self.lines.items()
            if line.strip(b" ")
        }
        numbers = sorted(texts)
        for place, first in enumerate(numbers):
            if not opens(texts[first], self.delimiter):
                continue
            stretch = [first]
            for number in numbers[place + 1 :]:
                stretch.append(number)
                if closes(texts[number], self.delimiter):
                    size = sum(len(texts[each].encode()) + 1 for each in stretch)
                    if size <= 1 << 16 and any(each in bad for each in stretch):
                        pieces |= set(stretch)
                    break
                if number not in bad or opens(texts[number], self.delimiter):
                    break
        return pieces

    def other_readings(self, number: int, good: set[int]) -> list[Verdict]:
        """Give what a good row may have been before a delimiter or a line end came into it."""
        line = self.lines[number]
        cells = line.split(self.delimiter.encode())
        others = []
        if len(cells) == self.cells + 1 and not b"".join(cells[self.width :]).strip(b" "):
            others += [
                self.delimiter.encode().join(cells[:place])
                + self.delimiter.encode().join(cells[place:])
                for place in range(1, len(cells))
            ]
        for piece in (number - 1, number + 1):
            text = self.lines.get(piece, b"")
            if not text.strip(b" ") or self.delimiter.encode() in text:
                continue
            if not is_utf8(text) or b"\0" in text:
                continue
            if piece - 1 in good and self.starts_with_key(self.lines[piece - 1], text):
                continue
            if piece < number:
                others.append(text + line)
            elif piece + 1 in good or not text.lstrip(b" ").startswith(b'"'):
                others.append(line + text)
        return [self.judged(number, other) for other in others]

    def starts_with_key(self, line: bytes, piece: bytes) -> bool:
        """Say whether a piece starts with as many digits as the row whose first cell is a key."""
        row, other = (re.match(rb' *"? *[+-]?([0-9]+)', text) for text in (line, piece))
        return self.places[0] == 0 and bool(row and other and len(other[1]) >= len(row[1]))


def is_reject(verdict: Verdict) -> bool:
    """Tell a reject from a row."""
    return len(verdict) == 4 and verdict[2] in RANK


def is_utf8(line: bytes) -> bool:
    """Say whether a line is text."""
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def unquoted(cell: str) -> str:
    """Unwrap a whole quoted cell."""
    inner = cell[1:-1]
    whole = len(cell) > 1 and cell[0] == cell[-1] == '"'
    if whole and '"' not in inner.replace('""', ""):
        return inner.replace('""', '"').strip(" ")
    return cell


def csv_cells(text: str, delimiter: str) -> list[str]:
    """Cut a line; a delimiter within a whole quoted cell is none."""
    cells, rest = [], text
    while True:
        pieces = rest.split(delimiter)
        taken = 1
        if pieces[0].lstrip(" ").startswith('"'):
            for count in range(1, len(pieces) + 1):
                cell = delimiter.join(pieces[:count]).strip(" ")
                if len(cell) > 1 and cell[-1] == '"' and '"' not in cell[1:-1].replace('""', ""):
                    taken = count
                    break
        cells.append(delimiter.join(pieces[:taken]))
        if taken == len(pieces):
            return cells
        rest = delimiter.join(pieces[taken:])


def opens(text: str, delimiter: str) -> bool:
    """Say whether a quoted cell is still open at a line's end."""
    while True:
        cell = text.lstrip(" ")
        if cell.startswith('"'):
            inner = cell[1:].replace('""', "..")
            if '"' not in inner:
                return True
            text = cell[1 + inner.index('"') + 1 :]
            if text.lstrip(" ").startswith('"'):
                return False  # neither CSV nor text: nobody can say what opens
        _, more, text = text.partition(delimiter)
        if not more:
            return False


def closes(text: str, delimiter: str) -> bool:
    """Say whether a line starts within a quoted cell and ends it."""
    rest = text
    while '"' in rest:
        _, _, rest = rest.partition('"')
        if rest.startswith('"'):
            rest = rest[1:]
            continue
        return rest.lstrip(" ") == "" or rest.lstrip(" ").startswith(delimiter)
    return False


def value_of(cell: str, kind: str) -> object:
    """Give a cell's value, None where there is none, an exception where it is no such value."""
    cell = unquoted(cell.strip(" "))
    if cell in ("", "NULL", "\\N"):
        return None
    try:
        return READERS[kind](cell)
    except ValueError as error:
        return error


def integer(cell: str) -> int:
    """Read a whole number of 64 bits."""
    if not re.fullmatch("[+-]?[0-9]+", cell) or not -(1 << 63) <= int(cell) < 1 << 63:
        raise ValueError
    return int(cell)


def day(cell: str) -> date:
    """Read a date, with or without a midnight."""
    date_part, *times = cell.replace("T", " ", 1).split()
    midnight = "( 0?0:00(:00([.]0+)?)?| 12:00(:00)? ?AM)?"
    if not re.fullmatch(midnight, "".join(" " + time for time in times).replace(" AM", " AM")):
        raise ValueError
    if us := re.fullmatch("([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})", date_part):
        month, day_, year = us.groups()
    elif iso := re.fullmatch(
        "([0-9]{4})-([0-9]{2})-([0-9]{2})|([0-9]{4})([0-9]{2})([0-9]{2})", date_part
    ):
        year, month, day_ = (part for part in iso.groups() if part)
    else:
        raise ValueError
    if not 1900 <= int(year) <= 2100:
        raise ValueError
    return date(int(year), int(month), int(day_))


def cents(cell: str) -> int:
    """Read money."""
    negative, cell = sign_of(cell)
    whole, _, fraction = cell.partition(".")
    if re.fullmatch("[0-9]{1,3}(,[0-9]{3})+", whole):
        whole = whole.replace(",", "")
    if not re.fullmatch("[0-9]+", whole + fraction) or len(whole.lstrip("0")) > 12:
        raise ValueError
    amount = Decimal(f"{whole or 0}.{fraction or 0}") * 100
    if amount != int(amount):
        raise ValueError
    return -int(amount) if negative else int(amount)


def sign_of(cell: str) -> tuple[bool, str]:
    """Say whether money is negative, and give what is left of it."""
    if cell[:1] == "(" and cell[-1:] == ")":
        return True, cell[1:-1].removeprefix("$")
    for start in ("-", "-$", "$-"):
        if cell.startswith(start) and cell[len(start) : len(start) + 1] != "$":
            return True, cell[len(start) :]
    for start in ("+$", "$+", "+", "$"):
        if cell.startswith(start):
            return False, cell[len(start) :]
    return False, cell


READERS: dict[str, Callable[[str], object]] = {
    "integer": integer,
    "date": day,
    "amount": cents,
    "text": str,
}
