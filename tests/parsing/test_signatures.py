"""Files that are something else than a text of the feed."""

import bz2
import codecs
import gzip
import io
import lzma
import zipfile

import pytest

from tests.support.feed import header_line, line
from visitpay.errors import FileError
from visitpay.models import Procedure
from visitpay.parsing.parser import Parser

TEXT = "\n".join([header_line(Procedure), *[line(Procedure)] * 99])
ZIP_OF_NOTHING = b"PK\x05\x06" + b"\0" * 18


def zipped(*names: str) -> bytes:
    """Write an archive of some files."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, TEXT)
    return target.getvalue()


UTF_16 = "is text in UTF-16 without a byte order mark: ask for UTF-8"
UTF_32 = "is text in UTF-32: ask for UTF-8"
EXCEL = "is an Excel workbook (.xlsx): ask for a text file"
HTML = "is a web page (HTML): ask for a text file"
XML = "is XML: ask for a text file"
JSON = "is JSON: ask for a text file"
PGP = "is encrypted or signed with PGP: decrypt it"
FOREIGN: dict[str, tuple[bytes, str]] = {
    "gzip": (gzip.compress(TEXT.encode()), "is packed by gzip: unpack it"),
    "bzip2": (bz2.compress(TEXT.encode()), "is packed by bzip2: unpack it"),
    "xz": (lzma.compress(TEXT.encode()), "is packed by xz: unpack it"),
    "lzma": (lzma.compress(TEXT.encode(), lzma.FORMAT_ALONE), "is packed by lzma: unpack it"),
    "zstd": (b"\x28\xb5\x2f\xfd\x04\x58", "is packed by zstd: unpack it"),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4", "is a 7z archive: unpack it"),
    "RAR": (b"Rar!\x1a\x07\x01\0", "is a RAR archive: unpack it"),
    "tar": (b"visits.txt".ljust(257, b"\0") + b"ustar\x0000", "is a tar archive: unpack it"),
    "zip": (zipped("visits.txt"), "is a zip archive: unpack it"),
    "an empty zip": (ZIP_OF_NOTHING, "is a zip archive: unpack it"),
    "Excel": (zipped("[Content_Types].xml", "_rels/.rels", "xl/workbook.xml"), EXCEL),
    "Excel by others": (zipped("docProps/app.xml", "xl/styles.xml", "[Content_Types].xml"), EXCEL),
    "Word": (
        zipped("[Content_Types].xml", "word/document.xml"),
        "is a Word document (.docx): ask for a text file",
    ),
    "old Excel": (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0",
        "is an Excel workbook (.xls) or the like: ask for a text file",
    ),
    "PDF": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "is a PDF document: ask for a text file"),
    "RTF": (rb"{\rtf1\ansi" + TEXT.encode(), "is an RTF document: ask for a text file"),
    "HTML": (b"\r\n<!DOCTYPE html>\n<html>", HTML),
    "HTML with a mark": (codecs.BOM_UTF8 + b"<HTML><body>", HTML),
    "HTML in UTF-16": ("<html>\n".encode("utf-16"), HTML),
    "a table of HTML": (b"<table border=1><tr>", HTML),
    "XML": (b'<?xml version="1.0"?>\n<visits/>', XML),
    "XML without a head": (b"<visits>\n<visit id='1'/></visits>", XML),
    "JSON": (b'{"ProcedureId": 1, "ProcedureDescription": "Jane Doe"}', JSON),
    "JSON over lines": (b'[\n  {\n    "ProcedureId": 1', JSON),
    "UTF-16, little": (TEXT.encode("utf-16-le"), UTF_16),
    "UTF-16, big": (TEXT.encode("utf-16-be"), UTF_16),
    "UTF-32": (TEXT.encode("utf-32"), UTF_32),
    "UTF-32, little": (TEXT.encode("utf-32-le"), UTF_32),
    "UTF-32, big": (TEXT.encode("utf-32-be"), UTF_32),
    "UTF-32, big, marked": (codecs.BOM_UTF32_BE + TEXT.encode("utf-32-be"), UTF_32),
    "EBCDIC": (
        TEXT.encode("cp037"),
        "is text in EBCDIC, the encoding of mainframes: ask for UTF-8",
    ),
    "PGP": (
        b"-----BEGIN PGP MESSAGE-----\n\nhQEMA",
        "is encrypted or signed with PGP or age: decrypt it",
    ),
    "PGP for a key": (b"\x85\x01\x0c\x03\x12\x34", PGP),
    "PGP with a password": (b"\x8c\x0d\x04\x07\x03\x02", PGP),
    "HL7": (b"MSH|^~\\&|ADT|HOSPITAL\r", "is an HL7 message: ask for a text file"),
}


@pytest.mark.parametrize("block_bytes", [5, None])
@pytest.mark.parametrize(("data", "message"), FOREIGN.values(), ids=FOREIGN)
def test_what_is_no_text_of_the_feed(data: bytes, message: str, block_bytes: int | None) -> None:
    """A file that is something else fails; the error names its kind and what to do."""
    with pytest.raises(FileError) as caught:
        Parser(io.BytesIO(data), Procedure, block_bytes)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["PAR1", "{x", "<b>", "BZh9", "PK", "MSH|^~", "[a]"])
def test_a_header_that_begins_like_it(name: str) -> None:
    """A file that has its columns is one of the feed, whatever its first name is."""
    data = f"{name}\t{header_line(Procedure)}\nx\t{line(Procedure)}\n"
    (batch,) = Parser(io.BytesIO(data.encode()), Procedure).batches()
    assert len(batch.rows) == 1
