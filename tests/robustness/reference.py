"""The feed's parser once more: slow, plain, a line and a cell at a time, to be compared with.

It takes the columns from the model, and shares no code with visitpay's parser.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from visitpay.models import ENTITIES, Entity
from visitpay.parsing.columns import file_columns, file_header

KINDS: dict[type[Any], str] = {int: "integer", date: "date", Decimal: "amount", str: "text"}


class Column(NamedTuple):
    """A column of files."""

    name: str
    kind: str
    required: bool
    """Whether a value must be there."""
    others: tuple[str, ...]
    """What it is called in other files."""
    due: date | None
    """The first day of which files must have it; None if they need not."""
    absent: object
    """Its value where a file lacks it; money in cents."""


def columns_of(entity: type[Entity]) -> list[Column]:
    """Read the columns off a model; the first is the key."""
    columns = []
    for column in file_columns(entity):
        says = column.info
        absent = says.get("default")
        columns.append(
            Column(
                file_header(column),
                KINDS[column.type.python_type],
                not column.nullable,
                tuple(says.get("aliases", ())),
                None if says.get("optional") else says.get("since", date.min),
                int(absent * 100) if isinstance(absent, Decimal) else absent,
            )
        )
    return columns


COLUMNS: dict[str, list[Column]] = {entity.__name__: columns_of(entity) for entity in ENTITIES}

RANK = ["no_line_end", "malformed", "invalid_encoding", "line_too_long", "missing_value"]
RANK += ["invalid_integer", "invalid_date", "invalid_amount"]

Verdict = tuple[Any, ...]
"""A row (line, values; money in cents), or a reject (line, key, reason, column)."""


class RefusedError(Exception):
    """The whole file cannot be used."""


UNSEEN = " \u00a0\u2007\u202f\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad"

AROUND = "-\t\n\v\f\r *=#<>[](){}/\\.:~_+"

THINGS = (
    "(data )?((row|rec|record)s?([(]s?[)])?|lines|entries|items|procedures|visits|transactions)"
)

WORDS_BEFORE_A_COUNT = [
    f"(grand )?total( (number|count|no[.]?) of)?( {THINGS})?( count)?",
    f"(number|no[.]?|count|#) ?of {THINGS}",
    "(row|record|rec|line)[ _-]?(count|total)",
    "count",
    "(row|rec|record)s?([(]s?[)])?",
]

ENDS = {"eof", "eot", "end"} | {
    f"end{gap}of{other}{the}{what}"
    for gap in ("", " ", "_", "-")
    for other in ("", " ", "_", "-")
    for the in ("", "the ")
    for what in (
        *("file", "data", "report", "record", "records", "rows", "extract", "export", "feed"),
        *("list", "output", "transmission", "document", "batch"),
    )
}

Read = tuple[set[Verdict], set[Verdict], int | None, bool]
"""The rows, the rejects, the count that a trailer says, and whether dates are day-first."""


def read(
    columns: str | list[Column], data: bytes, day: date = date.max, *, ended: bool = False
) -> Read:
    """Read a file of a type, or of columns, and of a day; raises RefusedError.

    Where files before it all `ended` with a line end, it should, too.
    """
    known = COLUMNS[columns] if isinstance(columns, str) else columns
    header, *lines = lines_of(data)
    sheet = Sheet(known, header, lines, day)
    return sheet.read(is_cut=ended and is_cut(data))


def is_cut(data: bytes) -> bool:
    """Whether a file ends within a line that is not blank, and with no mark of an end."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16-le" if data[0] == 0xFF else "utf-16-be"
        if len(data) % 2:
            return data[-1:] != b"\x1a"
        data = data[2:].decode(encoding, "surrogatepass").encode("utf-8", "surrogatepass")
    last = re.split(rb"[\r\n]", data.removeprefix(b"\xef\xbb\xbf"))[-1]
    marked = re.search(rb"\x1a[\x1a \r\n]*\Z", data)
    return bool(last.strip(b" ")) and not marked


def closes_file(line: bytes, delimiter: str) -> int | str | None:
    """Return the count that a line says, or `end` where it only says the end."""
    if not is_utf8(line):
        return None
    text = line.decode().strip(" ").rstrip(f" {delimiter}")
    ways = [unquoted(text)]
    for each in "\t,|;":
        cells = [unquoted(cell.strip(" ")) for cell in csv_cells(text, each)]
        ways.append("\t".join(cells).rstrip("\t "))
    said = (said_by(way.lower()) for way in ways)
    return next((each for each in said if each is not None), None)


def said_by(text: str) -> int | str | None:
    """Say the same of a line whose cells are parted by tabs."""
    bare = text.strip(AROUND)
    done = "completion time: [-0-9t:.+z ]+|elapsed: [0-9:]+:[0-9.]+|time: [0-9.,]+ ms"
    if bare in ENDS or re.fullmatch(done, bare):
        return "end"
    for end in sorted(ENDS, key=len, reverse=True):
        rest = bare.removesuffix(end)
        if rest != bare and rest.rstrip(AROUND.replace("\t", "").replace(" ", ""))[-1:] in "\t ":
            count = count_of(rest.strip(AROUND))
            if count is not None:
                return count
    return count_of(bare)


def count_of(text: str) -> int | None:
    """Return the count of a trailer without what says the end after it."""
    number = "([0-9]{1,3}(?:[,.'\u00a0\u202f][0-9]{3})+|[0-9]{1,18})"
    says = "( *[:=] *(\t *)?| *\t *)"
    done = (
        "( (affected|selected|returned|exported|extracted|written|processed|found|fetched|copied"
        "|retrieved|unloaded|output|total|in (total|set|file|all)|in this file))?"
        "( [(][0-9.]+ (s|secs?|seconds?)[)]?)?"
    )
    rows = "(row|rec|record)s?([(]s?[)]?)?"
    ends = "|".join(re.escape(end) for end in sorted(ENDS, key=len, reverse=True))
    tag = f"((trl|trlr|tlr|trailer|ftr|footer)( ?rec(ord)?)?|{ends})({says}| *- *| +)"
    things = THINGS.replace("[)])?", "[)]?)?")
    label = "(" + "|".join(WORDS_BEFORE_A_COUNT) + ")"
    for form in (
        f"{tag}({label}({says}| +))?(?P<n>{number})( +{things}{done})?",
        f"{label}{says}(?P<n>{number})( +{things})?",
        f"(total({says}| +)(of )?)?(?P<n>{number}) +{rows}{done}",
    ):
        if found := re.fullmatch(form, text):
            return int(re.sub("[^0-9]", "", found["n"]))
    return None


def name_of(cell: str) -> str:
    """Return a header's name without what stands around it unseen."""
    for _ in range(2):
        cell = cell.strip(UNSEEN)
        for letters in ("\u00ef\u00bb\u00bf", "\\xa0"):
            cell = cell.removeprefix(letters).removesuffix(letters)
        cell = unquoted(cell.strip(UNSEEN))
    return unicodedata.normalize("NFC", cell.strip(UNSEEN)).lower()


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
                ended = b"\xff" if half and half != b"\x1a" else half
                data = text.encode("utf-8", "surrogatepass") + ended
            break
    data = re.sub(rb"\x1a[\x1a \r\n]*\Z", b"", data)
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    if not lines[-1]:
        lines.pop()
    if not lines:
        raise RefusedError
    return lines


class Sheet:
    """A file whose header was found."""

    def __init__(self, columns: list[Column], header: bytes, lines: list[bytes], day: date) -> None:
        """Find the columns; raises RefusedError."""
        self.columns = columns
        self.lines = dict(enumerate(lines, 2))
        text = header.decode("utf-8", "backslashreplace")
        if not text.strip():
            raise RefusedError
        found: list[str] = []
        most = -1
        for delimiter in "\t,|;":
            names = [name_of(cell) for cell in text.split(delimiter)]
            lacking = [column for column in columns if not places_of(column, names)]
            has_due = all(each.due is None or each.due > day for each in lacking)
            if has_due and len(columns) - len(lacking) > most:
                most = len(columns) - len(lacking)
                self.delimiter, found = delimiter, names
        if most < 0:
            raise RefusedError
        places = [places_of(column, found) for column in columns]
        if any(len(each) > 1 for each in places):
            raise RefusedError
        self.width = max(place for place, name in enumerate(found, 1) if name)
        if self.width > 1000:
            raise RefusedError
        self.places = [each[0] if each else -1 for each in places]
        self.cells = len(found)
        self.agree(found.count("") - (len(found) - self.width))
        self.no_row_in(found)

    def first_rows(self) -> list[str]:
        """Return the rows that are held against the header."""
        body = b"".join(line + b"\n" for line in self.lines.values())
        first = body[: 1 << 13].decode("utf-8", "backslashreplace").split("\n")[:-1]
        return [line for line in first if line.strip(" ")]

    def no_row_in(self, names: list[str]) -> None:
        """Refuse a header into which a row has run."""
        numbers = [bool(re.fullmatch("[+-]?[0-9]+", name)) for name in names]
        rows = self.first_rows()
        if rows and any(numbers):
            wide = [row for row in rows if len(row.split(self.delimiter)) >= self.width]
            if len(wide) * 2 <= len(rows):
                raise RefusedError
        half = self.width // 2
        if not rows and self.width == 2 * half and self.places[0] < half:
            seconds = numbers[half:]
            if seconds[self.places[0]]:
                raise RefusedError

    def agree(self, nameless: int) -> None:
        """Hold the first rows against the header."""
        rows = self.first_rows()
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

    def close(self) -> int | None:
        """Take away what closes the file; give the count that it says. Raises RefusedError."""
        said: list[int | str] = []
        while len(said) < 2:
            numbers = [number for number, line in self.lines.items() if line.strip(b" ")]
            if not numbers:
                break
            last = self.lines[numbers[-1]]
            before = self.lines[numbers[-2]] if len(numbers) > 1 else b""
            told = closes_file(last, self.delimiter)
            if told is None or self.may_be_row(last, before):
                break
            if [isinstance(each, int) for each in said] == [isinstance(told, int)]:
                break
            said.append(told)
            del self.lines[numbers[-1]]
        for told in said:
            if isinstance(told, int):
                if told != sum(bool(line.strip(b" ")) for line in self.lines.values()):
                    raise RefusedError
                return told
        return None

    def may_be_row(self, line: bytes, before: bytes) -> bool:
        """Whether a line that may close the file may be a row, or a piece of one."""
        before = before if is_utf8(before) else b""
        sign = self.delimiter.encode()
        if self.is_row(line) or opens(before.decode(), self.delimiter):
            return True
        joined = self.is_row(before + line) or self.is_row(before + sign + line)
        if before and joined and not self.is_row(before):
            return True
        texts = [
            place
            for column, place in zip(self.columns, self.places, strict=True)
            if column.kind == "text"
        ]
        return 0 in texts and len(line.split(sign)) >= self.width

    def is_row(self, line: bytes) -> bool:
        """Whether a line is a good row by itself."""
        return not is_reject(self.judged(0, line))

    def is_day_first(self) -> bool:
        """Whether slashed dates have the day first somewhere, and second nowhere."""
        first = False
        for line in self.lines.values():
            text = line.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
            cells = self.cells_of(text) if line.strip(b" ") else None
            for column, place in zip(self.columns, self.places, strict=True):
                if cells is None or column.kind != "date" or place < 0:
                    continue
                cell = unquoted(cells[place].strip(" "))
                parts = re.match("([0-9]{1,2})/([0-9]{1,2})/[0-9]{4}([ T]|\\Z)", cell)
                if parts and int(parts[2]) > 12:
                    return False
                if parts and 12 < int(parts[1]) <= 31 and int(parts[2]):
                    first = True
        return first

    def read(self, *, is_cut: bool) -> Read:
        """Judge every line, then those that may belong together; one that is cut by itself."""
        before = len(self.lines)
        said = self.close()
        verdicts: dict[int, Verdict] = {}
        cut: Verdict | None = None
        if is_cut and len(self.lines) == before and self.lines:
            number, line = self.lines.popitem()
            cut = self.cut_off(number, line)
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
        good_rows = set(verdicts.values()) - rejects
        return good_rows, rejects | ({cut} if cut else set()), said, self.is_day_first()

    def cut_off(self, number: int, line: bytes) -> Verdict:
        """Return why the last line is no row: a piece of it may be missing."""
        verdict = self.judged(number, line)
        if is_reject(verdict) and verdict[2] == "line_too_long":
            return verdict
        return number, verdict[1] if self.places[0] < self.width - 1 else None, "no_line_end", None

    def judged(self, number: int, line: bytes) -> Verdict:
        """Return the row that a line is, or why it is none."""
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
            key = value_of(plain[self.places[0]], "integer") if self.is_whole(text) else None
            return number, key if isinstance(key, int) else None, "malformed", None
        values: list[object] = []
        for each, place in zip(self.columns, self.places, strict=True):
            value = each.absent if place < 0 else value_of(cells[place], each.kind)
            values.append(None if isinstance(value, Exception) else value)
            if isinstance(value, Exception):
                faults.append((f"invalid_{each.kind}", each.name))
            elif value is None and each.required:
                faults.append(("missing_value", each.name))
        if faults:
            reason, column = min(faults, key=lambda fault: RANK.index(fault[0]))
            return number, values[0] if self.is_whole(text) else None, reason, column
        return number, *values

    def is_whole(self, text: str) -> bool:
        """Whether a line has cells enough, quotes honoured or not; else none is sure."""
        ways = text.split(self.delimiter), csv_cells(text, self.delimiter)
        return min(map(len, ways)) >= self.width

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
        text = self.lines[number].decode("utf-8", "backslashreplace").replace("\0", "\\x00")
        return number, verdict[1] if self.is_whole(text) else None, "malformed", None

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
        """Return what a good row may have been before a delimiter or a line end came into it."""
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
        """Whether a piece starts with as many digits as the row whose first cell is a key."""
        row, other = (re.match(rb' *"? *[+-]?([0-9]+)', text) for text in (line, piece))
        return self.places[0] == 0 and bool(row and other and len(other[1]) >= len(row[1]))


def places_of(column: Column, names: list[str]) -> list[int]:
    """Return where a header has a column, under all that it is called."""
    called = {name.lower() for name in (column.name, *column.others)}
    return [place for place, name in enumerate(names) if name in called]


def is_reject(verdict: Verdict) -> bool:
    """Tell a reject from a row."""
    return len(verdict) == 4 and verdict[2] in RANK


def is_utf8(line: bytes) -> bool:
    """Whether a line is text."""
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
    """Whether a quoted cell is still open at a line's end."""
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
    """Whether a line starts within a quoted cell and ends it."""
    rest = text
    while '"' in rest:
        _, _, rest = rest.partition('"')
        if rest.startswith('"'):
            rest = rest[1:]
            continue
        return rest.lstrip(" ") == "" or rest.lstrip(" ").startswith(delimiter)
    return False


def value_of(cell: str, kind: str) -> object:
    """Return a cell's value, None where there is none, an exception where it is no such value."""
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
    """Whether money is negative, and give what is left of it."""
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
