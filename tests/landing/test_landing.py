import errno
import hashlib
import os
import shutil
import socket
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.command import Visitpay
from tests.support.feed import Feed
from visitpay.errors import ConfigurationError, FileChangedError, FileError
from visitpay.feed import (
    INVALID_TIME,
    SPACES_AROUND,
    TEXT_AFTER_TIME,
    WRONG_CASE,
    WRONG_EXTENSION,
    YEAR_OUT_OF_RANGE,
    FileNames,
)
from visitpay.feed import NEAR_MISS as ALMOST_ONE
from visitpay.landing.local import LocalPlace, OpenFile
from visitpay.landing.place import LandedFile, Landing
from visitpay.landing.scan import scan
from visitpay.models import Procedure, Visit
from visitpay.text import printable

VISIT = "HospitalABC_VisitPay_Visit_20211201_223005.txt"
CONTENT = b"VisitIdentifier\n1\n"


def landed(directory: Path, name: str = VISIT, content: bytes = CONTENT) -> LandedFile:
    """Put a file of the feed into the landing directory and give it as scanned."""
    (directory / name).write_bytes(content)
    return next(file for file in scan(directory, "HospitalABC").files if file.name == name)


def path_of(file: LandedFile) -> Path:
    """Return where a file of a landing directory is."""
    assert isinstance(file.place, LocalPlace)
    return file.place.local_path / file.name


NAMES = {
    "bare": ("HospitalABC", "Visit", "20211201_223005", (2021, 12, 1, 22, 30, 5)),
    "in brackets": ("HospitalABC", "Transaction", "[20200229_000000]", (2020, 2, 29)),
    "regex": ("St. M's (W)+[1]*", "Procedure", "20211231_235959", (2021, 12, 31, 23, 59, 59)),
}


@pytest.mark.parametrize(("hospital", "entity", "stamp", "moment"), NAMES.values(), ids=NAMES)
def test_names(
    tmp_path: Path, hospital: str, entity: str, stamp: str, moment: tuple[int, int, int]
) -> None:
    """A name of the feed says hospital, type and UTC datetime."""
    path = tmp_path / f"{hospital}_VisitPay_{entity}_{stamp}.txt"
    path.write_bytes(CONTENT)
    seen = path.stat()
    version = f"{len(CONTENT)} {seen.st_mtime_ns} {seen.st_ctime_ns} {seen.st_ino}"
    when = datetime(*moment, tzinfo=UTC)
    changed_at = max(seen.st_mtime, seen.st_ctime)
    file = LandedFile(
        *(LocalPlace(tmp_path), path.name, hospital, entity, when, len(CONTENT), version),
        changed_at=changed_at,
    )
    assert scan(tmp_path, hospital) == Landing((file,), {})
    assert path_of(file) == path


OTHER = "does not begin with HospitalABC_"
TYPE = "its type is none of Procedure, Visit, Transaction"

ALMOST = {
    "opening bracket only": ("HospitalABC_VisitPay_Visit_[20211201_223005.txt", ALMOST_ONE),
    "closing bracket only": ("HospitalABC_VisitPay_Visit_20211201_223005].txt", TEXT_AFTER_TIME),
    "round brackets": ("HospitalABC_VisitPay_Visit_(20211201_223005).txt", ALMOST_ONE),
    "wrong case of the type": ("HospitalABC_VisitPay_visit_20211201_223005.txt", WRONG_CASE),
    "wrong case of the hospital": ("hospitalabc_VisitPay_Visit_20211201_223005.txt", WRONG_CASE),
    "wrong case of the feed": ("HospitalABC_Visitpay_Visit_20211201_223005.txt", WRONG_CASE),
    ".TXT": ("HospitalABC_VisitPay_Visit_20211201_223005.TXT", WRONG_CASE),
    ".csv": ("HospitalABC_VisitPay_Visit_20211201_223005.csv", WRONG_EXTENSION),
    ".CSV, small letters": ("hospitalabc_visitpay_visit_20211201_223005.CSV", ALMOST_ONE),
    ".txt.gz": (f"{VISIT}.gz", WRONG_EXTENSION),
    ".txt.pgp": (f"{VISIT}.pgp", WRONG_EXTENSION),
    ".txt~": (f"{VISIT}~", WRONG_EXTENSION),
    ".txt.txt": (f"{VISIT}.txt", TEXT_AFTER_TIME),
    "no extension": ("HospitalABC_VisitPay_Visit_20211201_223005", WRONG_EXTENSION),
    "no point": ("HospitalABC_VisitPay_Visit_20211201_223005txt", WRONG_EXTENSION),
    "an upload in progress": (f"{VISIT}.part", WRONG_EXTENSION),
    "a copy": ("HospitalABC_VisitPay_Visit_20211201_223005 (1).txt", TEXT_AFTER_TIME),
    "another copy": ("HospitalABC_VisitPay_Visit_20211201_223005_1.txt", TEXT_AFTER_TIME),
    "a copy of a copy": (
        "HospitalABC_VisitPay_Visit_20211201_223005 - Copy (2).txt",
        TEXT_AFTER_TIME,
    ),
    "30 February": ("HospitalABC_VisitPay_Visit_20210230_223005.txt", INVALID_TIME),
    "the year 0": ("HospitalABC_VisitPay_Visit_00001201_223005.txt", INVALID_TIME),
    "246060": ("HospitalABC_VisitPay_Visit_20211201_246060.txt", INVALID_TIME),
    "a leap second": ("HospitalABC_VisitPay_Visit_20211231_235960.txt", INVALID_TIME),
    "1989": ("HospitalABC_VisitPay_Visit_19891231_235959.txt", YEAR_OUT_OF_RANGE),
    "2101": ("HospitalABC_VisitPay_Visit_[21010101_000000].txt", YEAR_OUT_OF_RANGE),
    "digits missing": ("HospitalABC_VisitPay_Visit_2021121_22335.txt", ALMOST_ONE),
    "digits too many": ("HospitalABC_VisitPay_Visit_20211201_2230050.txt", TEXT_AFTER_TIME),
    "two digits of a year": ("HospitalABC_VisitPay_Visit_211201_2230.txt", ALMOST_ONE),
    "a date with hyphens": ("HospitalABC_VisitPay_Visit_2021-12-01_22-30-05.txt", ALMOST_ONE),
    "no time of day": ("HospitalABC_VisitPay_Visit_20211201.txt", ALMOST_ONE),
    "no time": ("HospitalABC_VisitPay_Visit.txt", ALMOST_ONE),
    "time before the type": ("HospitalABC_VisitPay_20211201_223005_Visit.txt", ALMOST_ONE),
    "no type": ("HospitalABC_VisitPay_20211201_223005.txt", ALMOST_ONE),
    "a day in one": ("HospitalABC_VisitPay_20211201.zip", ALMOST_ONE),
    "a T": ("HospitalABC_VisitPay_Visit_20211201T223005.txt", ALMOST_ONE),
    "Arabic digits": ("HospitalABC_VisitPay_Visit_2021120\u0661_223005.txt", ALMOST_ONE),
    "full-width digits": ("HospitalABC_VisitPay_Visit_20211201_22300\uff15.txt", ALMOST_ONE),
    "hyphens": ("HospitalABC-VisitPay-Visit-20211201-223005.txt", ALMOST_ONE),
    "no separators": ("HospitalABCVisitPayVisit20211201223005.txt", ALMOST_ONE),
    "two underscores": ("HospitalABC__VisitPay_Visit_20211201_223005.txt", ALMOST_ONE),
    "a space in it": ("HospitalABC_VisitPay_Visit _20211201_223005.txt", TYPE),
    "in two words": ("Hospital ABC_Visit Pay_Visit_20211201_223005.txt", ALMOST_ONE),
    "misspelt": ("HospitalABC_VistPay_Visit_20211201_223005.txt", ALMOST_ONE),
    "no hospital": ("VisitPay_Visit_20211201_223005.txt", ALMOST_ONE),
    "no feed": ("HospitalABC_Visit_20211201_223005.txt", ALMOST_ONE),
    "a copy in words": (f"copy of {VISIT}", OTHER),
    "a number before": (f"01_{VISIT}", OTHER),
    "unknown type": ("HospitalABC_VisitPay_Guarantor_20211201_223005.txt", TYPE),
    "types": ("HospitalABC_VisitPay_Visits_20211201_223005.txt", TYPE),
    "a newline at the end": (f"{VISIT}\n", SPACES_AROUND),
    "a space at the end": (f"{VISIT} ", SPACES_AROUND),
    "not UTF-8": (os.fsdecode(b"HospitalABC_VisitPay_Visit_\xff.txt"), ALMOST_ONE),
}


@pytest.mark.parametrize(("name", "why"), ALMOST.values(), ids=ALMOST)
def test_near_misses(tmp_path: Path, name: str, why: str) -> None:
    """A name that is not quite one of the feed is listed as such, with why, and not loaded."""
    (tmp_path / name).write_bytes(CONTENT)
    landed = scan(tmp_path, "HospitalABC")
    assert (landed, tuple(landed.unrecognised)) == (Landing((), {name: why}, (name,)), (name,))


OTHERS = {
    "another hospital": ("HospitalXYZ_VisitPay_Visit_20211201_223005.txt", OTHER),
    "a hospital with more before": ("NorthHospitalABC_VisitPay_Visit_20211201_223005.txt", OTHER),
    "a hospital with words before": ("St HospitalABC_VisitPay_Visit_20211201_223005.txt", OTHER),
    "a hospital with more after": ("HospitalABC2_VisitPay_Visit_20211201_223005.txt", OTHER),
    "another hospital, other case": ("HospitalXYZ_VisitPay_Visit_20211201_223005.TXT", ""),
    "a companion of another hospital": ("HospitalXYZ_VisitPay_Visit_20211201_223005.ok", ""),
    "a response": (
        "HospitalABC_VisitPay_Response_20211201_223005.txt",
        "goes back to the hospital",
    ),
    "another feed": ("HospitalABC_Lab_Visit_20211201_223005.txt", ""),
    "a description": ("HospitalABC_VisitPay_Transaction_Layout.pdf", ""),
    "the hospital's": ("HospitalABC.txt", ""),
    "something else": ("README.txt", ""),
    "a day": ("20211201_223005.txt", ""),
    "not UTF-8": (os.fsdecode(b"\xff"), ""),
}


@pytest.mark.parametrize(("name", "why"), OTHERS.values(), ids=OTHERS)
def test_other_names(tmp_path: Path, name: str, why: str) -> None:
    """What is merely another file, also another hospital's, is listed and needs no person."""
    (tmp_path / name).write_bytes(CONTENT)
    assert scan(tmp_path, "HospitalABC") == Landing((), {name: why})


@st.composite
def spoilt(draw: st.DrawFn) -> str:
    """Return a name of the feed with other letter cases, other separators, another end."""
    entity = draw(st.sampled_from(["Procedure", "Visit", "Transaction"]))
    parts = ["HospitalABC", "VisitPay", entity, "20211201", "223005"]
    cased = [draw(st.sampled_from([each, each.upper(), each.lower()])) for each in parts]
    gaps = [draw(st.text(" _-.[](){}+,;=~@#%", max_size=3)) for _ in parts]
    end = draw(st.sampled_from([".txt", ".TXT", "", ".csv", ".txt.gz", ".7z", "].txt", " (1).txt"]))
    before = draw(st.sampled_from(["", "Copy of ", "Copy (2) of ", "1_", "2021-12-02 "]))
    return before + "".join(map("".join, zip(cased, gaps, strict=True))) + end


@given(spoilt())
def test_spoilt_names(name: str) -> None:
    """However case, separators, extension and copies spoil a name, it stays near."""
    assert FileNames("HospitalABC").is_near_miss(name)
    assert not FileNames("HospitalXYZ").is_near_miss(name)


@given(st.text(st.characters(exclude_characters="/\0", codec="utf-8"), max_size=40))
def test_any_hospital(hospital: str) -> None:
    """Whatever a hospital is called, its names are the feed's, and near, in any Unicode form."""
    name = f"{hospital}_VisitPay_Visit_20211201_223005.txt"
    for given_hospital in (hospital, unicodedata.normalize("NFD", hospital)):
        names = FileNames(given_hospital)
        assert names.match(unicodedata.normalize("NFD", name))
        assert names.match(name)
        assert names.is_near_miss(name)
        assert not names.is_near_miss("readme.txt")


ACCENT = "H\xf4pital d'\xc9t\xe9"


@pytest.mark.parametrize("hospital", ["NFC", "NFD"])
@pytest.mark.parametrize("name", ["NFC", "NFD"])
def test_unicode_forms(
    tmp_path: Path,
    hospital: Literal["NFC", "NFD"],
    name: Literal["NFC", "NFD"],
) -> None:
    """A name with an accent is the feed's in either form, and stays as the file is called."""
    called = unicodedata.normalize(name, f"{ACCENT}_VisitPay_Visit_20211201_223005.txt")
    (tmp_path / called).write_bytes(CONTENT)
    (file,) = scan(tmp_path, unicodedata.normalize(hospital, ACCENT)).files
    assert (file.name, file.hospital) == (called, ACCENT)
    assert file.names >= {called, unicodedata.normalize("NFC", called), "Visit_20211201_223005"}
    assert file.sha256() == hashlib.sha256(CONTENT).hexdigest()


STEM = VISIT.removesuffix(".txt")
COMPANIONS = [
    *(f"{VISIT}.{end}" for end in ("ok", "OK", "done", "md5", "sha256", "ctl")),
    *(f"{STEM}.{end}" for end in ("ok", "Done", "MD5", "SHA256", "Ctl")),
    "HospitalABC_VisitPay_Procedure_[20211201_223005].txt.md5",
    f"{STEM.upper()}.TXT.OK",
    f".{VISIT}",
    ".ok",
]


def test_companions(tmp_path: Path) -> None:
    """Of a file's companions, whether it is there or not, and of what is hidden nothing is said."""
    for name in COMPANIONS:
        (tmp_path / name).touch()
    (tmp_path / f".{VISIT}.d").mkdir()
    assert scan(tmp_path, "HospitalABC") == Landing((), {})
    for name in ("readme.ok", f"{VISIT}.ok.txt", f"{VISIT}.asc", f"{VISIT}.ok.gz"):
        (tmp_path / name).touch()
        assert name in scan(tmp_path, "HospitalABC").unrecognised


@pytest.mark.parametrize(
    ("pattern", "passed"),
    [
        ("readme*", ["readme.md"]),
        ("*.TXT", ["HospitalABC_VisitPay_Visit_20211201_223005.TXT"]),
        ("arch?ve", ["archive"]),
        ("[ra]*", ["readme.md", "archive"]),
        ("Caf\u0065\u0301", ["Caf\xe9"]),
        ("README*", []),
        ("readme", []),
        ("(", []),
        (
            "*",
            ["readme.md", "archive", "Caf\xe9", "HospitalABC_VisitPay_Visit_20211201_223005.TXT"],
        ),
        (VISIT, [VISIT]),
    ],
)
def test_passed_over(tmp_path: Path, pattern: str, passed: list[str]) -> None:
    """A pattern passes over what it names, but a file of the feed by its whole name only."""
    names = ["readme.md", "archive", "Caf\xe9", f"{STEM}.TXT", VISIT]
    for name in names:
        (tmp_path / name).mkdir() if name == "archive" else (tmp_path / name).touch()
    landed = scan(tmp_path, "HospitalABC", [pattern])
    left = {*landed.unrecognised, *(file.name for file in landed.files)}
    assert left == set(names) - set(passed)
    assert scan(tmp_path, "HospitalABC", ["nothing", pattern]) == landed


def age(path: Path, seconds: float) -> None:
    """Set a file's time back, or, below 0, ahead."""
    os.utime(path, (0, time.time() - seconds))


def test_settle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What changed less than so long ago is unsettled; a time in the future counts as long ago."""
    file = landed(tmp_path)
    near = tmp_path / f"{VISIT}.part"
    near.touch()
    assert scan(tmp_path, "HospitalABC").recently_changed == frozenset()
    fresh = scan(tmp_path, "HospitalABC", settle=60)
    assert (fresh.recently_changed, fresh.near_misses) == (frozenset({VISIT}), ())
    assert [file.name for file in fresh.files] == [VISIT]
    assert tuple(fresh.unrecognised) == (near.name,)
    age(path_of(file), 7200)  # its entry's time stays
    assert scan(tmp_path, "HospitalABC", settle=60).recently_changed == {VISIT}
    later = time.time() + 3600
    monkeypatch.setattr("visitpay.landing.scan.time.time", lambda: later)
    settled = scan(tmp_path, "HospitalABC", settle=60)
    assert (settled.recently_changed, settled.near_misses) == (frozenset(), (near.name,))
    assert scan(tmp_path, "HospitalABC", settle=3700).recently_changed == {VISIT}
    monkeypatch.setattr("visitpay.landing.scan.time.time", lambda: later - 7200)
    assert scan(tmp_path, "HospitalABC", settle=60).recently_changed == frozenset()


@pytest.mark.parametrize("seconds", [-(2**33), -1e6, 2**33])
def test_odd_times(tmp_path: Path, seconds: float) -> None:
    """A time of a file that is in the future, or before 1970, is no time at which it changed."""
    file = landed(tmp_path)
    os.utime(path_of(file), (0, time.time() - seconds))
    (seen,) = scan(tmp_path, "HospitalABC").files
    assert seen.changed_at == path_of(file).stat().st_ctime


def test_regex_characters(tmp_path: Path) -> None:
    """A hospital's name stands for itself and is no pattern."""
    landed(tmp_path)
    for hospital in ("Hospital...", "("):
        why = f"does not begin with {hospital}_"
        assert scan(tmp_path, hospital) == Landing((), {VISIT: why})


def test_order(tmp_path: Path) -> None:
    """Files come type by type, each in ascending datetime; what is hidden is passed over."""
    stamps = {
        "Procedure": ["20211202_000000", "20211231_000000"],
        "Visit": ["20191201_000000", "20211201_000000", "[20211201_000000]", "20211201_000001"],
        "Transaction": ["[20010101_000000]", "20020101_000000"],
    }
    names = [f"HospitalABC_VisitPay_{kind}_{at}.txt" for kind in stamps for at in stamps[kind]]
    for name in (*reversed(names), "b.txt", "a.txt", f".{VISIT}", ".hidden"):
        (tmp_path / name).touch()
    landing = scan(tmp_path, "HospitalABC")
    assert [file.name for file in landing.files] == names
    assert tuple(landing.unrecognised) == ("a.txt", "b.txt")
    assert landing.describe_unrecognised() == "a.txt, b.txt"


def test_many_strangers(tmp_path: Path) -> None:
    """People are told ten names, with what is odd about each, and how many more there are."""
    for number in range(1010):
        (tmp_path / f"{number:04}").touch()
    (tmp_path / f"{'0' * 4}\n").mkdir()
    first = ["0000", "0000\\n (is a directory)", *(f"{number:04}" for number in range(1, 9))]
    told = f"{', '.join(first)} and 1,001 more"
    assert scan(tmp_path, "HospitalABC").describe_unrecognised() == told
    (tmp_path / VISIT.upper()).touch()
    strangers = scan(tmp_path, "HospitalABC").describe_unrecognised()
    assert strangers.startswith(f"{VISIT.upper()} ({WRONG_CASE}), 0000, ")


def make_socket(path: Path) -> None:
    """Put a socket there; its address must be short, its place need not."""
    with socket.socket(socket.AF_UNIX) as server, pytest.MonkeyPatch.context() as patch:
        patch.chdir(path.parent)
        server.bind(path.name)


IRREGULAR = "is no longer a regular file"
LINK = "cannot be opened: Too many levels of symbolic links"
NO_DEVICE = "cannot be opened: No such device or address"
SPECIAL: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "directory": (Path.mkdir, "is a directory", IRREGULAR),
    "FIFO": (os.mkfifo, "is no regular file", IRREGULAR),
    "link to a file": (lambda path: path.symlink_to(__file__), "is a link", LINK),
    "link to a directory": (lambda path: path.symlink_to("."), "is a link", LINK),
    "link to nothing": (lambda path: path.symlink_to("nowhere"), "is a link", LINK),
    "socket": (make_socket, "is no regular file", NO_DEVICE),
}


@pytest.mark.parametrize(("make", "why", "message"), SPECIAL.values(), ids=SPECIAL)
def test_special_files(
    tmp_path: Path, make: Callable[[Path], None], why: str, message: str
) -> None:
    """What is not a regular file is unrecognised, and refused where it took a file's place."""
    file = landed(tmp_path)
    path_of(file).unlink()
    make(path_of(file))
    assert scan(tmp_path, "HospitalABC") == Landing((), {VISIT: why}, (VISIT,))
    with pytest.raises(FileError) as caught, file.open():
        pytest.fail("it was opened")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "problem"),
    [("missing\x1b", "No such file or directory"), ("a file", "Not a directory")],
)
def test_unusable_landing(tmp_path: Path, name: str, problem: str) -> None:
    """A landing directory that cannot be listed is a matter of configuration."""
    (tmp_path / "a file").touch()
    with pytest.raises(ConfigurationError) as caught:
        scan(tmp_path / name, "HospitalABC")
    where = f"{tmp_path}/{name}".replace("\x1b", r"\x1b")
    assert str(caught.value) == f"the landing directory {where} cannot be read: {problem}"


@pytest.mark.parametrize("hospital", ["", "Hospital\nABC", "\u202e"])
def test_unusable_hospital(tmp_path: Path, hospital: str) -> None:
    """A hospital's name that nobody could see in a file's name is a matter of configuration."""
    with pytest.raises(ConfigurationError) as caught:
        scan(tmp_path, hospital)
    message = "the hospital's name must be printable, without a slash: files begin with it"
    assert str(caught.value) == message


def test_reading(tmp_path: Path) -> None:
    """A file gives its bytes, their hash, its size and its version."""
    file = landed(tmp_path)
    with file.open() as source:
        assert source.sha256 == hashlib.sha256().hexdigest()
        blocks = [source.read(10), source.read(100), source.read(1)]
        assert blocks == [CONTENT[:10], CONTENT[10:], b""]
        assert source.sha256 == hashlib.sha256(CONTENT).hexdigest() == file.sha256()
        assert (source.size_bytes, source.version) == (file.size_bytes, file.version)
        assert source.bytes_read == file.size_bytes == len(CONTENT)
        source.require_unchanged()


def write_again(path: Path) -> None:
    """Write to the file and set its time back, until the system's clock has moved on."""
    before = path.stat()
    while path.stat().st_ctime_ns == before.st_ctime_ns:
        path.write_bytes(CONTENT)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGED = "changed while it was read"
CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "appended to": (lambda path: path.write_bytes(CONTENT * 2), CHANGED),
    "truncated": (lambda path: os.truncate(path, 3), CHANGED),
    "replaced": (lambda path: Path(shutil.copy2(path, f"{path}~")).replace(path), CHANGED),
    "written again": (lambda path: os.utime(path, ns=(1, 1)), CHANGED),
    "written again, the time set back": (write_again, CHANGED),
    "made a link": (lambda path: path.symlink_to(path.rename(f"{path}~")), CHANGED),
    "gone": (Path.unlink, "went away while it was read"),
}


@pytest.mark.parametrize("first", [0, 5, len(CONTENT)])
@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_changes(
    tmp_path: Path, change: Callable[[Path], object], message: str, first: int
) -> None:
    """A file that changes while it is read is told from one that does not, at any point of it."""
    file = landed(tmp_path)
    with file.open() as source:
        source.read(first)
        change(path_of(file))
        while source.read(7):
            pass
        with pytest.raises(FileChangedError) as caught:
            source.require_unchanged()
    assert str(caught.value) == message


def test_not_read_to_the_end(tmp_path: Path) -> None:
    """A file of which a part was read does not count as read."""
    with landed(tmp_path).open() as source:
        source.read(len(CONTENT) - 1)
        with pytest.raises(FileChangedError, match=CHANGED):
            source.require_unchanged()


def test_gone(tmp_path: Path) -> None:
    """A file that is gone before it is read is left for the next run."""
    file = landed(tmp_path)
    path_of(file).unlink()
    with pytest.raises(FileChangedError, match="went away before it was read"):
        file.sha256()


def test_unreadable(tmp_path: Path) -> None:
    """A descriptor that gives no bytes fails the file in words of the operating system."""
    file = landed(tmp_path)
    handle = os.open(path_of(file), os.O_WRONLY)
    try:
        with pytest.raises(FileError, match="cannot be read: Bad file descriptor"):
            OpenFile(handle, path_of(file)).read(1)
    finally:
        os.close(handle)


PRINTABLE = {
    "plain": ("caf\xe9 [red]x[/red] \U0001f9e8", "caf\xe9 [red]x[/red] \U0001f9e8"),
    "ANSI": ("\x1b[31mred\x07\x9b", r"\x1b[31mred\x07\x9b"),
    "newline": ("a\nb\r\tc\0", r"a\nb\r\tc\x00"),
    "bidi override": ("\u202etxt.exe\u2066\u200b\ufeff", r"\u202etxt.exe\u2066\u200b\ufeff"),
    "other line ends": ("\u2028\x85\xa0", r"\u2028\x85\xa0"),
    "not UTF-8": (os.fsdecode(b"\xff"), r"\udcff"),
    "lone surrogate": ("\ud83e", r"\ud83e"),
    "nothing": ("", ""),
}


@pytest.mark.parametrize(("name", "expected"), PRINTABLE.values(), ids=PRINTABLE)
def test_printable(name: str, expected: str) -> None:
    """Nothing that a terminal would act on is left in a printable text, and it can be encoded."""
    assert printable(name) == expected
    assert printable(name).encode().decode() == expected


class Entry:
    """An entry of a directory of which the file system tells nothing more."""

    def __init__(self, entry: os.DirEntry[str]) -> None:
        """Stand for a real entry."""
        self.name, self.path, self.is_file = entry.name, entry.path, entry.is_file

    def stat(self, **_how: bool) -> os.stat_result:
        """Fail as a stale handle does."""
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))


def test_an_entry_that_cannot_be_looked_at(
    feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails, named, and the other files go on; once it can be looked at, it is loaded."""
    feed.deliver(Procedure, procedure_description="cast")
    bad = feed.deliver(Visit, visit_identifier=1).name
    feed.deliver(Visit, at="20211202_223005", visit_identifier=2)
    scandir = os.scandir

    @contextmanager
    def scanned(path: Path) -> Iterator[Iterator[object]]:
        with scandir(path) as entries:
            yield (Entry(each) if each.name == bad else each for each in entries)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scanned)
        outcome = visitpay("load")
        assert outcome.status == 1
        assert f"{bad}: cannot be looked at: Stale file handle" in outcome.err
        assert feed.keys(Visit) == [2]
        assert visitpay("status", "--json").document["files_failed"] == [bad]
    assert visitpay("load").status == 0
    assert feed.keys(Visit) == [1, 2]


def test_a_file_that_cannot_be_looked_at_after_it_was_read(
    feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails, named, nothing of it is kept, and the other files go on."""
    bad = feed.deliver(Procedure, procedure_description="cast").name
    feed.deliver(Procedure, at="20211202_223357", procedure_id=2, procedure_description="cast")
    lstat = Path.lstat

    def stale(path: Path) -> os.stat_result:
        if path.name == bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return lstat(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "lstat", stale)
        outcome = visitpay("load")
    assert outcome.status == 1
    assert f"{bad}: cannot be looked at after it was read: Input/output error" in outcome.err
    assert feed.descriptions() == {2: "cast"}


def test_a_file_that_keeps_growing(tmp_path: Path) -> None:
    """No more is read of it than it held when it was opened; then it is left for the next run."""
    file = landed(tmp_path)
    with file.open() as source, path_of(file).open("ab") as more:
        read = 0
        while block := source.read(7):
            read += len(block)
            more.write(b"x" * 7)
            more.flush()
        assert read == len(CONTENT)
        with pytest.raises(FileChangedError, match="changed while it was read"):
            source.require_unchanged()
