"""Landing in the object stores of Azure and Google, on real servers that speak their languages."""

import hashlib
from collections.abc import Iterator

import pytest

from tests.support.clouds import Azure, Cloud, Google, azurite, fake_gcs_server
from tests.support.command import Visitpay
from tests.support.feed import Feed, only_sqlite
from visitpay.database.engine import make_engine
from visitpay.landing import remote
from visitpay.landing.scan import scan
from visitpay.loading.run import load
from visitpay.loading.types import NoProgress
from visitpay.models import Procedure
from visitpay.sample import write_sample


@pytest.fixture(scope="module")
def azure() -> Iterator[int]:
    """Run azurite; yield its port."""
    with azurite() as port:
        yield port


@pytest.fixture(scope="module")
def google() -> Iterator[int]:
    """Run fake-gcs-server; yield its port."""
    with fake_gcs_server() as port:
        yield port


@pytest.fixture(params=["azure", "google"])
def cloud(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """Return a bucket or container, which the environment names, of each kind."""
    port = request.getfixturevalue(request.param)
    cloud: Cloud = Azure(port) if request.param == "azure" else Google(port)
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    return cloud


def test_it_is_as_a_directory(feed: Feed, visitpay: Visitpay, cloud: Cloud) -> None:
    """Tables and rejects are the same, and nothing is loaded twice."""
    write_sample(feed.landing, visits=100, days=1, dirt=3)
    for path in feed.landing.iterdir():
        cloud.put(path.name, path.read_bytes())
    visitpay("load", cloud.url, "--max-rejects", "100%")
    loaded = feed.tables(), feed.rejects()
    assert loaded[1]
    again = visitpay("load", cloud.url, "--json").document
    here = visitpay("load", feed.landing, "--json").document  # their hashes are known
    assert (again["files"], here["files"]) == ([], [])
    assert (feed.tables(), feed.rejects()) == loaded


def test_names_and_bytes(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies directly below the prefix is listed, and its blocks make the whole object."""
    monkeypatch.setattr(remote, "BLOCK_BYTES", 1000)
    name = "HospitalABC_VisitPay_Visit_[20211201_223357].txt"
    content = bytes(range(256)) * 30
    cloud.put(name, content)
    cloud.put("a b+c%20d é.txt", b"")
    cloud.put(f"old/{name}", b"x")
    landed = scan(cloud.url, "HospitalABC")
    assert list(landed.unrecognised) == ["a b+c%20d é.txt"]
    (file,) = landed.files
    assert file.name == name
    assert file.sha256() == hashlib.sha256(content).hexdigest()


@only_sqlite
def test_an_object_that_is_replaced_while_it_is_read(
    feed: Feed, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is kept, and the next load takes it."""
    monkeypatch.setattr(remote, "BLOCK_BYTES", 1 << 14)
    name = feed.path(Procedure).name
    header = feed.deliver(Procedure).read_bytes().splitlines()[0]
    lines = {
        what: b"\n".join([header, *(b"%d\t%s" % (key, what) for key in range(20_000)), b""])
        for what in (b"old", b"new")
    }
    cloud.put(name, lines[b"old"])
    changed: list[bool] = []

    class Changing(NoProgress):
        def advance(self, _size_bytes: int) -> None:
            if not changed:
                changed.append(True)
                cloud.put(name, lines[b"new"])

    report = load(make_engine(feed.url), cloud.url, "HospitalABC", progress=Changing())
    assert [(file.status, file.error) for file in report.files] == [
        ("changed", "changed while it was read")
    ]
    assert feed.keys(Procedure) == []
    load(make_engine(feed.url), cloud.url, "HospitalABC")
    assert set(feed.descriptions().values()) == {"new"}
    assert len(feed.descriptions()) == 20_000


AZURE_REFUSES = {
    "secret": ("AZURE_STORAGE_ACCOUNT_KEY", "d3Jvbmc=", "refused (AuthorizationFailure); check"),
    "no secret": ("AZURE_STORAGE_ACCOUNT_KEY", "not base64", "cannot be used as it is set up"),
}


@only_sqlite
@pytest.mark.usefixtures("feed")
@pytest.mark.parametrize(("variable", "wrong", "said"), AZURE_REFUSES.values(), ids=AZURE_REFUSES)
def test_azure_refuses(
    visitpay: Visitpay,
    azure: int,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    wrong: str,
    said: str,
) -> None:
    """Wrong credentials are refused, with what to check, and never told."""
    store = Azure(azure)
    for name, value in (store.environment | {variable: wrong}).items():
        monkeypatch.setenv(name, value)
    refused = visitpay("load", store.url)
    assert (refused.status, said in refused.err) == (2, True)
    assert wrong not in refused.err


@only_sqlite
@pytest.mark.usefixtures("feed")
def test_no_container(visitpay: Visitpay, azure: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that is not there is told so."""
    for name, value in Azure(azure).environment.items():
        monkeypatch.setenv(name, value)
    refused = visitpay("load", "az://nobodys/feeds")
    assert (refused.status, "there is no such place" in refused.err) == (2, True)
