"""What a file is that is not text of the feed, by its first bytes.

It is asked of a file whose header cannot be used. The answer names the format and what to do, and
nothing that stands in the file.
"""

import codecs
import re

from visitpay.models import ENTITIES
from visitpay.parsing.blocks import Source
from visitpay.parsing.columns import key_names

_HEAD_BYTES = 1 << 12

_UNPACK = "unpack it"
_AS_TEXT = "ask for a text file"
_AS_UTF_8 = "ask for UTF-8"
_DECRYPT = "decrypt it"

_ZIP = rb"PK(?:\x03\x04|\x05\x06|\x07\x08)"
_STRING = rb"\x22[^\x22]*\x22\s*"
_UTF_32 = rb"\xff\xfe\x00\x00|\x00\x00\xfe\xff|(?:[^\x00]\x00{3}){2}|(?:\x00{3}[^\x00]){2}"
_PGP = (  # a key or a password that opens it, a signature, a packed message (RFC 9580)
    rb"\x84.\x03|\x85..\x03|\xc1(?:[\x01-\xbf]|[\xc0-\xdf].)\x03"
    rb"|[\x8c\xc3].[\x04-\x06]|[\x90\xc4]\x0d\x03|\xa3[\x01-\x03]"
)

_SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (rb"\x1f\x8b", "packed by gzip", _UNPACK),
    (_ZIP + rb".*xl/", "an Excel workbook (.xlsx)", _AS_TEXT),
    (_ZIP + rb".*word/", "a Word document (.docx)", _AS_TEXT),
    (_ZIP + rb".*\[Content_Types\]", "an Excel workbook (.xlsx) or the like", _AS_TEXT),
    (_ZIP + rb".*\.opendocument\.", "an OpenDocument file", _AS_TEXT),
    (_ZIP, "a zip archive", _UNPACK),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook (.xls) or the like", _AS_TEXT),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (rb"BZh[1-9]", "packed by bzip2", _UNPACK),
    (rb"\xfd7zXZ\x00", "packed by xz", _UNPACK),
    (rb"\x5d\x00\x00", "packed by lzma", _UNPACK),
    (rb"\x28\xb5\x2f\xfd", "packed by zstd", _UNPACK),
    (rb"\x04\x22\x4d\x18", "packed by lz4", _UNPACK),
    (rb"\x1f[\x9d\xa0]", "packed by compress", _UNPACK),
    (rb"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (rb".{257}ustar", "a tar archive", _UNPACK),
    (rb"PAR1", "a Parquet file", _AS_TEXT),
    (rb"SQLite format 3\x00", "an SQLite database", _AS_TEXT),
    (_UTF_32, "text in UTF-32", _AS_UTF_8),
    (rb"(?:[^\x00]\x00|\x00[^\x00]){4}", "text in UTF-16 without a byte order mark", _AS_UTF_8),
    (_PGP, "encrypted or signed with PGP", _DECRYPT),
)
_BEGINNINGS: tuple[tuple[bytes, str, str], ...] = (
    (rb"-----BEGIN PGP |age-encryption\.org/", "encrypted or signed with PGP or age", _DECRYPT),
    (rb"%PDF-", "a PDF document", _AS_TEXT),
    (rb"\{\\rtf", "an RTF document", _AS_TEXT),
    (rb"<(?:!doctype\s+html|html|head|body|table|div|!--)", "a web page (HTML)", _AS_TEXT),
    (rb"<(?:\?xml|!doctype|[a-z_][^<>]*>\s*<)", "XML", _AS_TEXT),
    (rb"\{\s*(?:\}|" + _STRING + rb":)|\[\s*(?:[\[{\]]|" + _STRING + rb"[,\]])", "JSON", _AS_TEXT),
    (rb"MSH\|\^~", "an HL7 message", _AS_TEXT),
    (rb"ISA[*|^~:]", "an X12 interchange (EDI)", _AS_TEXT),
)


class SourceWithHead:
    """A source of which the first bytes are kept."""

    def __init__(self, source: Source) -> None:
        """Read from a source at its start."""
        self._source = source
        self.head = b""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        block = self._source.read(size)
        if len(self.head) < _HEAD_BYTES:
            self.head += block
        return block


def describe_other_format(head: bytes) -> str | None:
    """Return what a file is and what to do, or None when its head looks like text in UTF-8."""
    for pattern, what, remedy in _SIGNATURES:
        if re.match(pattern, head, re.DOTALL):
            return f"is {what}: {remedy}"
    if _is_ebcdic(head):
        return f"is text in EBCDIC, the encoding of mainframes: {_AS_UTF_8}"
    for pattern, what, remedy in _BEGINNINGS:
        if re.match(pattern, _text(head), re.IGNORECASE):
            return f"is {what}: {remedy}"
    return None


def _is_ebcdic(head: bytes) -> bool:
    text = head.decode("cp037").lower()
    return any(name in text for entity in ENTITIES for name in key_names(entity))


def _text(head: bytes) -> bytes:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return head.decode("utf-16", "replace").encode("utf-8", "replace").lstrip()
    return head.removeprefix(codecs.BOM_UTF8).lstrip()
