"""The names in a landing directory: the feed's, those that nearly are, and what is passed over."""

import re
import unicodedata
from collections.abc import Collection
from datetime import UTC, datetime
from fnmatch import translate

from visitpay.errors import ConfigurationError
from visitpay.models import ENTITIES

YEARS = range(1990, 2101)
"""The years that the time in a name may have."""

CASE = "only the case of letters differs"
SPACES = "spaces around it"
EXTENSION = "does not end with .txt"
MORE = "more than a time before .txt"
NO_TIME = "no such date or time"
NO_YEAR = "its year is not from 1990 to 2100"
ALMOST = "not quite a name of the feed"

_TYPES = "|".join(entity.__name__ for entity in ENTITIES)
_MOMENT = "[0-9]{8}_[0-9]{6}"
_TIME = rf"(?:\[(?P<bracketed>{_MOMENT})\]|(?P<bare>{_MOMENT}))"
_COMPANIONS = "ok|done|md5|sha256|ctl"
_COPY = r"(?:(?:copy|kopie|copie|copia)\d*(?:of|von|de|di)?)?\d*"
"""What a file manager, or someone who numbers files, puts ahead of a name (`squeezed`)."""


class Names:
    """What the names of a hospital's files say; they are compared in Unicode form NFC."""

    def __init__(self, hospital: str, pass_over: Collection[str] = ()) -> None:
        """Say with which name they begin, and which others are passed over, as shell patterns."""
        self._hospital = composed(hospital)
        begin = rf"{re.escape(self._hospital)}_VisitPay_"
        stem = rf"{begin}(?P<entity>{_TYPES})_{_TIME}"
        self._feed = re.compile(rf"{stem}\.txt")
        self._companion = re.compile(rf"{stem}(?:\.txt)?\.(?:{_COMPANIONS})", re.IGNORECASE)
        self._response = re.compile(rf"{begin}Response_{_MOMENT}\.txt")
        self._passed_over = {composed(each) for each in pass_over}
        globs = map(translate, self._passed_over)
        self._globs = re.compile("|".join(globs)) if self._passed_over else None
        self._wrong = (
            (re.compile(self._feed.pattern, re.IGNORECASE), CASE),
            (re.compile(rf"{stem}.*\.txt", re.DOTALL), MORE),
            (re.compile(rf"{stem}(?!.*\.txt\Z).*", re.DOTALL), EXTENSION),
            (
                re.compile(rf"{begin}[^_]*_{_TIME}\.txt"),
                f"its type is none of {_TYPES.replace('|', ', ')}",
            ),
        )
        ours, types = re.escape(squeezed(hospital)), _TYPES.casefold()
        self._near = re.compile(
            rf"{_COPY}(?:"
            # Without the hospital's name nothing else may be wrong with what follows it.
            rf"(?:{ours}v[a-z]*?p[a-z]*?y|visitpay)"
            rf"(?:\d{{8}}|\D*\d{{12}}|(?:{types})s?(?:\d|[a-z]{{0,4}}\Z))"
            rf"|{ours}(?:{types})\d{{14}})"
        )

    def match(self, name: str) -> re.Match[str] | None:
        """Match a name of the feed: `entity`, and its time, `bracketed` or `bare`."""
        return self._feed.fullmatch(composed(name))

    def passes_over(self, name: str) -> bool:
        """Whether nothing is said of a name: it is hidden, a file's companion, or so is wished.

        A file of the feed is passed over by its whole name only: a pattern that is too wide must
        not cost the feed.
        """
        if name.startswith("."):
            return True
        if self._globs is None and name.endswith(".txt"):  # as nearly all do
            return False
        name = composed(name)
        if self._feed.fullmatch(name):
            return name in self._passed_over
        if self._companion.fullmatch(name):
            return True
        return self._globs is not None and self._globs.match(name) is not None

    def wrong_with(self, name: str) -> str:
        """Say what keeps a name from being one of the feed's; nothing where that is plain."""
        name = composed(name)
        if self._feed.fullmatch(name.strip()):
            return SPACES
        if self._response.fullmatch(name):
            return "goes back to the hospital"
        for pattern, why in self._wrong:
            if pattern.fullmatch(name):
                return why
        begin = f"{self._hospital}_"
        rest = "".join(name.partition("_VisitPay_")[1:])
        if self._feed.fullmatch(self._hospital + rest) and not name.startswith(begin):
            return f"does not begin with {begin}"
        return ""

    def is_near(self, name: str) -> bool:
        """Whether a name is one of the feed's, or nearly is.

        That is when it says hospital, feed and type, or hospital, feed and time, whatever the case
        of letters, what parts them, and what follows. Another hospital's name is not near.
        """
        if self._response.fullmatch(composed(name)):
            return False
        return self._near.match(squeezed(name)) is not None


def composed(name: str) -> str:
    """Give a name in Unicode form NFC: macOS, for one, takes letters and their accents apart."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def squeezed(name: str) -> str:
    """Give the letters and digits of a name, in one case and one form."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name).casefold())


def moment(digits: str) -> datetime:
    """Read the time of a name, in UTC; raises ValueError, which says what is wrong with it."""
    # strptime takes five times as long, half of a scan of many files.
    date = int(digits[:4]), int(digits[4:6]), int(digits[6:8])
    try:
        read = datetime(*date, int(digits[9:11]), int(digits[11:13]), int(digits[13:]), tzinfo=UTC)
    except ValueError:
        raise ValueError(NO_TIME) from None
    if read.year not in YEARS:
        raise ValueError(NO_YEAR)
    return read


def require_hospital(name: str) -> None:
    """Raise ConfigurationError for a hospital's name with which no file's name can begin."""
    if not (name and name.isprintable() and "/" not in name):
        message = "the hospital's name must be printable, without a slash: files begin with it"
        raise ConfigurationError(message)


def short(name: str) -> str:
    """Give the part of a file's name that tells files apart, so that a table fits a terminal."""
    return name.partition("_VisitPay_")[2].removesuffix(".txt") or name


REJECT_HEADERS = ("RejectReason", "RejectColumn", "RejectFile", "RejectLine")
"""Headers that exported rejects have ahead of the feed's own: all four make a file one of them."""
