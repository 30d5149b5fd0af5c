"""Landing in an object store, on a real S3 server."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from sqlalchemy import select

from tests.support.command import Outcome, Visitpay
from tests.support.feed import Feed, line, only_sqlite
from tests.support.object_store import ObjectStore, client, running
from tests.support.proxy import Proxy
from visitpay.database.engine import make_engine, read_connection
from visitpay.errors import ConfigurationError, FileError
from visitpay.landing import objects, remote
from visitpay.landing.scan import scan
from visitpay.loading.run import load
from visitpay.loading.types import NoProgress
from visitpay.models import LoadFile, Procedure, Visit
from visitpay.sample import write_sample

VISIT = "HospitalABC_VisitPay_Visit_20211201_223005.txt"
BUSY = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    """Run a server whose listings have pages of ten names; yield its port."""
    with running(MOTO_S3_DEFAULT_MAX_KEYS="10") as port:
        yield port


@pytest.fixture(scope="module")
def first(server: int) -> ObjectStore:
    """Return a bucket of the server."""
    return ObjectStore(server, "first")


@pytest.fixture
def store(first: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """Return an empty bucket, which the environment names."""
    store = first.new()
    for name, value in store.environment().items():
        monkeypatch.setenv(name, value)
    return store


@pytest.fixture
def proxy(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Go through a proxy, with small blocks and without pauses."""
    with Proxy(store.port) as proxy:
        for name, value in store.environment(proxy.port).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(remote, "PAUSES", (0.0,) * 3)
        monkeypatch.setattr(remote, "BLOCK_BYTES", 1 << 14)
        yield proxy


def many_rows(count: int = 20_000) -> bytes:
    """Return a file of visits."""
    header = line(Visit).count("\t")
    assert header
    lines = (f"{key}\t7\t1/2/2021\t\t\t" for key in range(1, count + 1))
    names = "VisitIdentifier\tGuarantorIdentifier\tAdmitDate\tDischargeDate\tVisitBalance"
    return "\n".join([f"{names}\tInsuranceIdentifier", *lines, ""]).encode()


def ledger(feed: Feed) -> list[tuple[str, str, str | None]]:
    """Return name, status and hash of every delivery."""
    query = select(LoadFile.name, LoadFile.status, LoadFile.sha256).order_by(LoadFile.name)
    with read_connection(feed.url) as connection:
        return [(row.name, row.status, row.sha256) for row in connection.execute(query)]


def test_it_is_as_a_directory(feed: Feed, visitpay: Visitpay, store: ObjectStore) -> None:
    """Tables, ledger and rejects are the same, and nothing is loaded twice."""
    write_sample(feed.landing, visits=300, days=2, dirt=3)
    store.put_all(feed.landing)
    elsewhere = visitpay("load", store.url, "--max-rejects", "100%", "--json").document
    loaded = feed.tables(), feed.rejects(), ledger(feed)
    assert [hashed for _, _, hashed in loaded[2]] == [
        hashlib.sha256((feed.landing / name).read_bytes()).hexdigest() for name, _, _ in loaded[2]
    ]
    again = visitpay("load", store.url, "--json").document
    assert (again["files"], elsewhere["checkpoint"]) == ([], again["checkpoint"])
    # The same files in a directory: their hashes tell that they are known.
    here = visitpay("load", feed.landing, "--json").document
    assert (here["files"], here["unrecognised"]) == ([], again["unrecognised"])
    assert (feed.tables(), feed.rejects(), ledger(feed)) == loaded


def test_names(store: ObjectStore) -> None:
    """What lies directly below the prefix is listed, whatever its name and however many."""
    names = [f"HospitalABC_VisitPay_Visit_202112{day:02}_223005.txt" for day in range(1, 31)]
    for name in names:
        store.put(name, b"x")
    others = {"a b+c%20d.txt", "é[1]'\"&<>.txt", "_1"}
    for name in others:
        store.put(name, b"")
    store.put("", b"")  # as a console of Amazon marks a folder
    store.put(f"old/{VISIT}", b"x")
    store.put(VISIT, b"x", folder="feeds/abcd/")
    store.put(VISIT, b"x", folder="")
    landed = scan(store.url, "HospitalABC")
    assert [file.name for file in landed.files] == names
    assert set(landed.unrecognised) == others
    with_slash = scan(f"{store.url}/", "HospitalABC")
    assert [file.name for file in with_slash.files] == names
    (whole,) = scan(f"s3://{store.bucket}", "HospitalABC").files
    assert whole.name == VISIT
    assert whole.place.name == f"s3://{store.bucket}"


def test_versions(feed: Feed, visitpay: Visitpay, store: ObjectStore) -> None:
    """An object that is written again is loaded again if its content is another."""
    load = partial(visitpay, "load", store.url, "--json")
    content = feed.deliver(Procedure, procedure_description="cast").read_bytes()
    name = feed.path(Procedure).name
    store.put(name, content)
    assert [file["status"] for file in load().document["files"]] == ["loaded"]
    store.put(name, content)
    assert load().document["files"] == []
    store.put(name, content.replace(b"cast", b"sling"))
    assert [file["updated"] for file in load().document["files"]] == [1]
    assert feed.descriptions() == {1: "sling"}


def test_a_cut_connection(store: ObjectStore, proxy: Proxy) -> None:
    """The rest is read where it ended: every byte once, and the hash is right."""
    content = many_rows()
    store.put(VISIT, content)
    for size in (40_000, 100_000):
        proxy.cut_after(size)
        (file,) = scan(store.url, "HospitalABC").files
        assert file.sha256() == hashlib.sha256(content).hexdigest()
    assert proxy.connections > 2


def test_a_stall(store: ObjectStore, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block that does not come is asked for again."""
    content = many_rows()
    store.put(VISIT, content)
    (file,) = scan(store.url, "HospitalABC").files
    monkeypatch.setattr(remote, "STALL_SECONDS", 1.0)
    proxy.stall_after(75_000)  # in the fifth block, or before it, but not in the first
    with file.open() as source:
        read = hashlib.sha256(source.read(1))
        proxy.stalled.wait(10)
        proxy.flow()
        while block := source.read(1 << 20):
            read.update(block)
        source.require_unchanged()
    assert read.hexdigest() == hashlib.sha256(content).hexdigest()


@only_sqlite
def test_a_busy_server(feed: Feed, visitpay: Visitpay, store: ObjectStore, proxy: Proxy) -> None:
    """It is asked again; if it stays so, the files fail, and the next load takes them."""
    for day in (1, 2):
        name = f"HospitalABC_VisitPay_Procedure_2021120{day}_223357.txt"
        store.put(name, feed.deliver(Procedure, procedure_id=day).read_bytes())
    proxy.answer(BUSY, 2)
    landed = scan(store.url, "HospitalABC")
    assert len(landed.files) == 2
    proxy.answer(BUSY, 100)
    with pytest.raises(ConfigurationError, match=r"cannot be read: status 503$"):
        scan(store.url, "HospitalABC")
    assert visitpay("load", store.url).status == 2
    proxy.answers.clear()
    assert visitpay("load", store.url).status == 0


@only_sqlite
def test_an_object_that_may_not_be_read(
    feed: Feed, visitpay: Visitpay, store: ObjectStore, proxy: Proxy
) -> None:
    """It fails, with what to check; the doctor finds it before."""
    store.put(feed.path(Procedure).name, feed.deliver(Procedure).read_bytes())

    class Refusing(NoProgress):
        def file(self, _name: str) -> None:
            proxy.answer(FORBIDDEN, 2)

    report = load(make_engine(feed.url), store.url, "HospitalABC", progress=Refusing())
    (file,) = report.files
    assert file.error == (
        "cannot be read: refused; check the credentials (AWS_...), and what they may read"
    )
    proxy.answers.clear()
    assert visitpay("load", store.url).status == 0


def answer(status: str, body: str = "") -> bytes:
    """Return an answer of a server."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close"
    return f"{head}\r\n\r\n{body}".encode()


ANSWERS = {
    "another region": (answer("301 Moved Permanently"), "it is in another region; check"),
    "a clock that is wrong": (
        answer("403 Forbidden", "<Error><Code>RequestTimeTooSkewed</Code></Error>"),
        "refused (RequestTimeTooSkewed); check",
    ),
    "a web page": (answer("200 OK", "<html><body>console</body></html>"), "no object store; check"),
    "no such bucket": (answer("404 Not Found"), "there is no such place"),
}


@pytest.mark.parametrize(("answer", "said"), ANSWERS.values(), ids=ANSWERS)
def test_what_is_told_of_an_answer(
    store: ObjectStore, proxy: Proxy, answer: bytes, said: str
) -> None:
    """What is wrong is told at once, and never taken for a place without files."""
    proxy.answer(answer, 2)
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        scan(store.url, "HospitalABC")


def test_a_machine_without_credentials(
    store: ObjectStore, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where none are set, and the machine has none of its own, that is told."""
    for name in store.keys:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{proxy.port}")
    proxy.answer(answer("404 Not Found"), 2)
    with pytest.raises(ConfigurationError, match=r"no credentials are set \(AWS_\.\.\.\)"):
        scan(store.url, "HospitalABC")


@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL"])
def test_a_line_end_in_a_setting(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """It is told: a secret of Kubernetes easily has one, and the library breaks on it."""
    monkeypatch.setenv(variable, f"{store.environment()[variable]}\n")
    with pytest.raises(ConfigurationError, match=r"has one a line end\? \(AWS_\.\.\.\)"):
        scan(store.url, "HospitalABC")


def test_an_object_that_is_stored_compressed(store: ObjectStore, proxy: Proxy) -> None:
    """A server that gives the whole of an object for a part of it is told, not read."""
    store.put(VISIT, many_rows(1000))
    (file,) = scan(store.url, "HospitalABC").files
    proxy.answer(answer('200 OK\r\nETag: "x"', "whole"), 5)
    with pytest.raises(FileError, match="store it as it is, not compressed"):
        file.sha256()


def test_a_listing_that_takes_long(
    store: ObjectStore, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While its pages come, it says that it goes on; a page has its own limit of time."""
    monkeypatch.setattr(objects, "STALL_SECONDS", 0.1)
    listing = objects.place_of(store.url)._requests.listing()  # noqa: SLF001
    proxy.stall_after(0)

    async def first() -> int:
        return len(await anext(listing))

    assert remote.wait_for(remote.begin(first())) == 0
    proxy.flow()
    proxy.cut()


def test_a_name_that_nobody_can_ask_for(store: ObjectStore) -> None:
    """It is told, so that it can be taken away: the library cannot list the others."""
    store.put("tab\tx", b"")
    with pytest.raises(ConfigurationError, match=r"the name feeds/abc/tab.*x has an empty"):
        scan(store.url, "HospitalABC")


CHANGES: dict[str, tuple[Callable[[ObjectStore, bytes], None], str]] = {
    "replaced": (lambda store, old: store.put(VISIT, old.replace(b"\t7\t", b"\t8\t")), "changed"),
    "truncated": (lambda store, old: store.put(VISIT, old[: len(old) // 2]), "changed"),
    "grown": (lambda store, old: store.put(VISIT, old + b"90001\t7\t1/2/2021\t\t\t\n"), "changed"),
    "deleted": (lambda store, _: store.delete(VISIT), "went away"),
}


@only_sqlite
@pytest.mark.parametrize(("change", "said"), CHANGES.values(), ids=CHANGES)
def test_an_object_that_changes_while_it_is_read(
    feed: Feed,
    store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[ObjectStore, bytes], None],
    said: str,
) -> None:
    """Old and new bytes are never mixed: nothing of it is kept, and the next load takes it."""
    monkeypatch.setattr(remote, "BLOCK_BYTES", 1 << 16)
    content = many_rows()
    store.put(VISIT, content)
    changed: list[bool] = []

    class Changing(NoProgress):
        def advance(self, _size_bytes: int) -> None:
            if not changed:
                changed.append(True)
                change(store, content)

    report = load(make_engine(feed.url), store.url, "HospitalABC", progress=Changing())
    (file,) = report.files
    assert (file.status, said in str(file.error)) == ("changed", True)
    assert feed.keys(Visit) == []
    after = load(make_engine(feed.url), store.url, "HospitalABC")
    if said == "went away":
        assert after.files == ()
    else:
        assert [each.status for each in after.files] == ["loaded"]
        counts = after.files[0].counts
        assert len(feed.keys(Visit)) == counts.read - counts.rejected > 0


def command(feed: Feed, store: ObjectStore, port: int, *words: str) -> "subprocess.Popen[str]":
    """Start the command as a process of its own, through a port."""
    environment = os.environ | store.environment(port) | {"VISITPAY_DATABASE_URL": feed.url}
    told = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    words = (sys.executable, "-m", "visitpay", "load", store.url, *words)
    return subprocess.Popen(words, env=environment, **told)  # type: ignore[call-overload, no-any-return]


@only_sqlite
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_while_it_waits(feed: Feed, store: ObjectStore, number: signal.Signals) -> None:
    """A signal is heard while a block does not come, and the next load takes the file."""
    store.put(VISIT, many_rows(120_000))
    with Proxy(store.port) as proxy:
        proxy.stall_after(2_200_000)
        with command(feed, store, proxy.port) as process:
            assert proxy.stalled.wait(30)
            process.send_signal(number)
            _, said = process.communicate(timeout=20)
    heard = number is not signal.SIGKILL
    assert process.returncode == (128 + number if heard else -number)
    assert ("rolled back" in said) == heard
    with command(feed, store, store.port, "--json") as process:
        told, _ = process.communicate(timeout=60)
    assert [file["inserted"] for file in json.loads(told)["files"]] == [120_000]


@only_sqlite
@pytest.mark.usefixtures("feed")
def test_secrets(visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong secret is refused, and never told."""
    with running(INITIAL_NO_AUTH_ACTION_COUNT="5") as port:
        people = client(port, "iam")
        store = ObjectStore(port, "guarded")
        people.create_user(UserName="loader")
        key = people.create_access_key(UserName="loader")["AccessKey"]
        right = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"]}
        right["AWS_SECRET_ACCESS_KEY"] = key["SecretAccessKey"]
        policy = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": policy})
        people.put_user_policy(UserName="loader", PolicyName="all", PolicyDocument=document)
        for name, value in (store.environment() | right).items():
            monkeypatch.setenv(name, value)
        assert visitpay("load", store.url).status == 0
        wrongs = {
            "AWS_SECRET_ACCESS_KEY": "SignatureDoesNotMatch",
            "AWS_ACCESS_KEY_ID": "InvalidAccessKeyId",
        }
        for wrong, code in wrongs.items():
            with monkeypatch.context() as patch:
                patch.setenv(wrong, "wrong-0123456789abcdef")
                refused = visitpay("load", store.url)
            assert refused.status == 2
            assert f"refused ({code}); check the credentials (AWS_...)" in refused.err
            assert "wrong-0123456789abcdef" not in refused.err


UNUSABLE = {
    "password": ("s3://user:secret@bucket/feeds", "holds a password"),
    "query": ("s3://bucket/feeds?secret=1", "has the form s3://bucket/prefix"),
    "no bucket": ("s3:///feeds", "has the form s3://bucket/prefix"),
    "no place": ("http://bucket/feeds", "http:// is no landing place"),
    "missing": ("s3://nobodys-bucket/feeds", "there is no such place"),
}


@only_sqlite
@pytest.mark.usefixtures("feed", "store")
@pytest.mark.parametrize(("url", "said"), UNUSABLE.values(), ids=UNUSABLE)
def test_unusable(visitpay: Visitpay, url: str, said: str) -> None:
    """A place that cannot be used is refused, without its secret."""
    for name in ("load", "status", "check"):
        refused: Outcome = visitpay(name, url)
        assert (refused.status, said in refused.err) == (2, True)
        assert "secret" not in refused.err


@only_sqlite
def test_every_command(feed: Feed, visitpay: Visitpay, store: ObjectStore) -> None:
    """Whatever looks at the landing place does so there."""
    content = feed.deliver(Visit, visit_identifier=10).read_bytes()
    store.put(VISIT, content)
    assert visitpay("check", store.url).status == 0
    assert visitpay("check", f"{store.url}/{VISIT}").status == 0
    assert visitpay("status", store.url, "--json").document["files_waiting"] == [VISIT]
    seen = visitpay("explain", "visit", "10", "--landing", store.url, "--json").document
    assert seen["search"]["sightings"][0]["file"] == VISIT
    doctor = visitpay("doctor", store.url)
    assert "ok      landing directory 1 file of the feed" in doctor.out
    assert visitpay("load", store.url).status == 0
    assert store.url in visitpay("runs", "last").out
