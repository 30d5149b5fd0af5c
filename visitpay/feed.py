"""What is agreed with the hospital: the grammar of file names, the headers of mended files."""

import re
import unicodedata
from collections.abc import Collection
from datetime import UTC, datetime
from fnmatch import translate

from visitpay.errors import ConfigurationError
from visitpay.models import ENTITIES

REJECT_HEADERS = ("RejectReason", "RejectColumn", "RejectFile", "RejectLine")
"""Headers that an export puts before the feed's own; a file with all four holds mended rows."""

YEARS = range(1990, 2101)
"""The years that the time in a name may have."""

WRONG_CASE = "only the case of letters differs"
SPACES_AROUND = "spaces around it"
WRONG_EXTENSION = "does not end with .txt"
TEXT_AFTER_TIME = "more than a time before .txt"
INVALID_TIME = "no such date or time"
YEAR_OUT_OF_RANGE = "its year is not from 1990 to 2100"
NEAR_MISS = "not quite a name of the feed"

_TYPES = "|".join(entity.__name__ for entity in ENTITIES)
_DIGITS = "[0-9]{8}_[0-9]{6}"
_TIME = rf"(?:\[(?P<bracketed>{_DIGITS})\]|(?P<bare>{_DIGITS}))"
_COMPANIONS = "ok|done|md5|sha256|ctl"
_COPY = r"(?:(?:copy|kopie|copie|copia)\d*(?:of|von|de|di)?)?\d*"
"""What a file manager, or a person who numbers files, puts before a name."""


class FileNames:
    """The grammar of a hospital's file names, which are compared in Unicode form NFC."""

    def __init__(self, hospital: str, pass_over: Collection[str] = ()) -> None:
        """Take the hospital's name, and shell patterns of the names to pass over."""
        self.hospital = normalize_name(hospital)
        prefix = rf"{re.escape(self.hospital)}_VisitPay_"
        stem = rf"{prefix}(?P<entity>{_TYPES})_{_TIME}"
        self._feed = re.compile(rf"{stem}\.txt")
        self._companion = re.compile(rf"{stem}(?:\.txt)?\.(?:{_COMPANIONS})", re.IGNORECASE)
        self._response = re.compile(rf"{prefix}Response_{_DIGITS}\.txt")
        self._pass_over = {normalize_name(pattern) for pattern in pass_over}
        patterns = "|".join(map(translate, self._pass_over))
        self._pass_over_pattern = re.compile(patterns) if patterns else None
        self._faults = (
            (re.compile(self._feed.pattern, re.IGNORECASE), WRONG_CASE),
            (re.compile(rf"{stem}.*\.txt", re.DOTALL), TEXT_AFTER_TIME),
            (re.compile(rf"{stem}(?!.*\.txt\Z).*", re.DOTALL), WRONG_EXTENSION),
            (
                re.compile(rf"{prefix}[^_]*_{_TIME}\.txt"),
                f"its type is none of {_TYPES.replace('|', ', ')}",
            ),
        )
        short_hospital, types = re.escape(letters_and_digits(hospital)), _TYPES.casefold()
        self._near_miss = re.compile(
            rf"{_COPY}(?:"
            # Without the hospital's name nothing else may be wrong with what follows it.
            rf"(?:{short_hospital}v[a-z]*?p[a-z]*?y|visitpay)"
            rf"(?:\d{{8}}|\D*\d{{12}}|(?:{types})s?(?:\d|[a-z]{{0,4}}\Z))"
            rf"|(?:{short_hospital})?(?:{types})s?\d{{14}})"
        )

    def match(self, name: str) -> re.Match[str] | None:
        """Match a name of the feed: groups `entity` and, for its time, `bracketed` or `bare`."""
        return self._feed.fullmatch(normalize_name(name))

    def is_passed_over(self, name: str) -> bool:
        """Whether a name is ignored: it is hidden, a file's companion, or to be passed over.

        A file of the feed is passed over only by its whole name: a pattern that is too wide must
        not hide files of the feed.
        """
        if name.startswith("."):
            return True
        if self._pass_over_pattern is None and name.endswith(".txt"):  # as nearly all do
            return False
        name = normalize_name(name)
        if self._feed.fullmatch(name):
            return name in self._pass_over
        if self._companion.fullmatch(name):
            return True
        return self._pass_over_pattern is not None and bool(self._pass_over_pattern.match(name))

    def describe_fault(self, name: str) -> str:
        """Return why a name is not one of the feed's; empty where that is obvious."""
        name = normalize_name(name)
        if self._feed.fullmatch(name.strip()):
            return SPACES_AROUND
        if self._response.fullmatch(name):
            return "goes back to the hospital"
        for pattern, fault in self._faults:
            if pattern.fullmatch(name):
                return fault
        prefix = f"{self.hospital}_"
        rest = "".join(name.partition("_VisitPay_")[1:])
        if self._feed.fullmatch(self.hospital + rest) and not name.startswith(prefix):
            return f"does not begin with {prefix}"
        return ""

    def is_near_miss(self, name: str) -> bool:
        """Whether a name is one of the feed's, or nearly is.

        Such a name has the hospital, the feed, and a type or a time. The case of letters, what
        stands between the parts, and what follows them do not matter. A name of another hospital is
        no near miss.
        """
        if self._response.fullmatch(normalize_name(name)):
            return False
        return self._near_miss.match(letters_and_digits(name)) is not None


def normalize_name(name: str) -> str:
    """Return a name in Unicode form NFC; macOS, for one, stores accents apart from letters."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def letters_and_digits(name: str) -> str:
    """Return the letters and digits of a name, without case, in Unicode form NFKC."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name).casefold())


def parse_name_time(digits: str) -> datetime:
    """Return the time in a name (UTC); raises ValueError, which says what is wrong with it."""
    # strptime takes five times as long, half of a scan of many files.
    date = int(digits[:4]), int(digits[4:6]), int(digits[6:8])
    try:
        time = datetime(*date, int(digits[9:11]), int(digits[11:13]), int(digits[13:]), tzinfo=UTC)
    except ValueError:
        raise ValueError(INVALID_TIME) from None
    if time.year not in YEARS:
        raise ValueError(YEAR_OUT_OF_RANGE)
    return time


def require_hospital(name: str) -> None:
    """Raise ConfigurationError if no file name can begin with a hospital's name."""
    if not (name and name.isprintable() and "/" not in name):
        message = "the hospital's name must be printable, without a slash: files begin with it"
        raise ConfigurationError(message)


def short_name(name: str) -> str:
    """Return the type and the time of a file's name, which fit a terminal; else the whole name."""
    return name.partition("_VisitPay_")[2].removesuffix(".txt") or name
