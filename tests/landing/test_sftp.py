"""Landing on an SFTP server: OpenSSH's, and one that can do what OpenSSH's does not."""

import gc
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread
from time import monotonic

import pytest
from sqlalchemy import select

from tests.support.command import Visitpay
from tests.support.databases import MakeDatabase
from tests.support.feed import Feed, only_sqlite
from tests.support.proxy import Proxy
from tests.support.sftp_server import OtherServer, SftpServer, is_installed, make_key
from visitpay.database.engine import make_engine, read_connection
from visitpay.errors import ConfigurationError
from visitpay.landing import remote, ssh
from visitpay.landing.place import LandedFile
from visitpay.landing.scan import scan
from visitpay.loading.run import load
from visitpay.loading.types import NoProgress, Options
from visitpay.models import LoadFile, Procedure, Visit
from visitpay.sample import write_sample

pytestmark = pytest.mark.skipif(
    not is_installed() and "CI" not in os.environ, reason="without OpenSSH's server"
)

VISIT = "HospitalABC_VisitPay_Visit_20211201_223005.txt"
HOUR = 3600


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    """Run a server for all tests."""
    with closing(SftpServer(tmp_path_factory.mktemp("sshd"))) as server:
        yield server


@pytest.fixture(autouse=True)
def home(server: SftpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have a home whose user knows the server, and may log in; no request is tried again late."""
    home = server.make_home(tmp_path / "home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setattr(remote, "PAUSES", (0.0,) * 3)
    return home


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    """Return an empty directory, which the server has, too."""
    landing = tmp_path / "landing"
    landing.mkdir(exist_ok=True)
    return landing


@pytest.fixture
def proxy(server: SftpServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Go through a proxy, in small blocks."""
    monkeypatch.setattr(remote, "BLOCK_BYTES", 1 << 16)
    with Proxy(server.port) as proxy:
        yield proxy


def rested(path: Path, hours: int = 1) -> Path:
    """Let a file, or all of a directory, have rested for so long."""
    for each in path.iterdir() if path.is_dir() else (path,):
        at = each.lstat().st_mtime // 1 - hours * HOUR
        os.utime(each, (at, at), follow_symlinks=False)
    return path


def many_rows(count: int = 20_000) -> bytes:
    """Return a file of visits."""
    names = "VisitIdentifier\tGuarantorIdentifier\tAdmitDate\tDischargeDate\tVisitBalance"
    lines = (f"{key}\t7\t1/2/2021\t\t\t" for key in range(1, count + 1))
    return "\n".join([f"{names}\tInsuranceIdentifier", *lines, ""]).encode()


def landed(landing: Path, url: str, content: bytes) -> LandedFile:
    """Put one file there, and return it as it is found."""
    (landing / VISIT).write_bytes(content)
    rested(landing)
    (file,) = scan(url, "HospitalABC").files
    return file


def ledger(feed: Feed) -> list[tuple[str, str, str | None]]:
    """Return name, status and hash of every delivery."""
    query = select(LoadFile.name, LoadFile.status, LoadFile.sha256).order_by(LoadFile.name)
    with read_connection(feed.url) as connection:
        return [(row.name, row.status, row.sha256) for row in connection.execute(query)]


def test_it_is_as_a_directory(
    feed: Feed, server: SftpServer, tmp_path: Path, make_database: MakeDatabase
) -> None:
    """Tables, ledger and rejects are the same, over one connection, and nothing is loaded twice."""
    write_sample(feed.landing, visits=300, days=2, dirt=3)
    rested(feed.landing)
    with Proxy(server.port) as proxy:
        url = server.url(feed.landing, proxy.port)
        elsewhere = load(make_engine(feed.url), url, "HospitalABC", Options())
        assert proxy.connections == 1
    (tmp_path / "other").mkdir()
    with make_database(make_engine(feed.url).dialect.name, tmp_path / "other") as other:
        here = Feed(feed.landing, other)
        report = here.load()
        assert feed.tables() == here.tables()
        assert feed.rejects() == here.rejects() != []
        assert ledger(feed) == ledger(here) != []
    assert [(each.file.name, each.status, each.counts) for each in elsewhere.files] == [
        (each.file.name, each.status, each.counts) for each in report.files
    ]
    assert load(make_engine(feed.url), server.url(feed.landing), "HospitalABC").files == ()


def test_names(server: SftpServer, landing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any name arrives as it is in a directory; only a file of the directory itself is a file."""
    for name in (
        "a b+c%20d.txt",
        "é[1]'\"&<>.txt",
        "cafe\u0301",
        "_1",
        "a\nb\x1b[1m",
        "\udcff\udcfe",
    ):
        (landing / name).write_bytes(b"")
    (landing / ".hidden").write_bytes(b"")
    (landing / VISIT).write_bytes(b"x")
    (landing / "old").mkdir()
    (landing / "old" / VISIT).write_bytes(b"y")
    (landing / VISIT.replace("20211201", "20211202")).symlink_to(landing / VISIT)
    (landing / VISIT.replace("20211201", "20211203")).mkdir()
    os.mkfifo(landing / VISIT.replace("20211201", "20211204"))
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        monkeypatch.chdir(landing)  # the path of a socket is short
        listener.bind(VISIT.replace("20211201", "20211205"))
    rested(landing)
    there, here = scan(server.url(landing), "HospitalABC"), scan(landing, "HospitalABC")
    assert there.unrecognised == here.unrecognised
    assert [file.name for file in there.files] == [file.name for file in here.files] == [VISIT]
    assert there.files[0].size_bytes == 1


def test_many_names(server: SftpServer, landing: Path) -> None:
    """All of ten thousand names are listed."""
    for number in range(10_000):
        (landing / f"other-{number}").touch()
    (landing / VISIT).touch()
    found = scan(server.url(landing), "HospitalABC")
    assert (len(found.unrecognised), len(found.files)) == (10_000, 1)


def test_paths(server: SftpServer, landing: Path) -> None:
    """The path is of the root, or of the user's home; a letter may be written by its number."""
    odd = landing / "a b@#?%41"
    odd.mkdir()
    (odd / VISIT).touch()
    for path in ("a%20b%40%23%3f%2541", "a b%40%23%3F%2541/"):
        assert scan(server.url(landing / path), "HospitalABC").names == {VISIT}
    there = os.path.relpath(odd, Path("~root" if os.geteuid() == 0 else "~").expanduser())
    path = there.replace("%", "%25").replace("@", "%40").replace("#", "%23").replace("?", "%3F")
    assert scan(server.url(Path("/~") / path), "HospitalABC").names == {VISIT}


def test_settle(server: SftpServer, landing: Path) -> None:
    """A file waits for the seconds in which a change would not show, by whoever's clock."""
    path = landing / VISIT
    path.write_bytes(b"x")
    now = path.stat().st_mtime
    ages = {0: True, 3: True, 10: False, HOUR: False, -60: True, -2 * HOUR: False}
    for age, waits in ages.items():
        os.utime(path, (now - age, now - age))
        assert bool(scan(server.url(landing), "HospitalABC").recently_changed) == waits, age


def test_a_cut_connection(server: SftpServer, landing: Path, proxy: Proxy) -> None:
    """The rest is read where it ended: every byte once, and the hash is right."""
    content = many_rows()
    file = landed(landing, server.url(landing, proxy.port), content)
    for size in (100_000, 300_000):
        proxy.cut_after(size)
        assert file.sha256() == hashlib.sha256(content).hexdigest()
    assert proxy.connections == 3


def test_a_cut_listing(server: SftpServer, landing: Path, proxy: Proxy) -> None:
    """A listing that ends half-way is begun again, or is an error: never taken for a whole one."""
    for number in range(2_000):
        (landing / f"other-{number}").touch()
    url = server.url(landing, proxy.port)
    proxy.cut_after(50_000)
    assert len(scan(url, "HospitalABC").unrecognised) == 2_000
    assert proxy.connections == 2


def test_a_stall(
    server: SftpServer, landing: Path, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block that does not come is asked for again, on another connection."""
    content = many_rows()
    file = landed(landing, server.url(landing, proxy.port), content)
    monkeypatch.setattr(remote, "STALL_SECONDS", 3.0)
    proxy.stall_after(200_000)
    with flowing(proxy):
        assert file.sha256() == hashlib.sha256(content).hexdigest()


def test_a_listing_that_stalls(
    server: SftpServer, landing: Path, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is begun again, on another connection."""
    for number in range(2_000):
        (landing / f"other-{number}").touch()
    monkeypatch.setattr(remote, "STALL_SECONDS", 3.0)
    proxy.stall_after(50_000)
    with flowing(proxy):
        found = scan(server.url(landing, proxy.port), "HospitalABC")
    assert len(found.unrecognised) == 2_000


@contextmanager
def flowing(proxy: Proxy) -> Iterator[None]:
    """Let the proxy pass on again once it has stalled."""

    def flow() -> None:
        assert proxy.stalled.wait(20)
        proxy.flow()

    thread = Thread(target=flow)
    thread.start()
    yield
    thread.join()


@only_sqlite
def test_a_server_that_dies(feed: Feed, tmp_path: Path, home: Path) -> None:
    """The files fail, the first after some tries, and the next load takes them."""
    for key in (1, 2, 3):
        feed.deliver(Procedure, procedure_id=key, at=f"2021120{key}_223357")
    rested(feed.landing)
    (tmp_path / "sshd").mkdir()
    with closing(SftpServer(tmp_path / "sshd")) as server:
        server.make_home(home)
        url = server.url(feed.landing)

        class Dying(NoProgress):
            def file(self, name: str) -> None:
                if name == feed.path(Procedure, "20211202_223357").name:
                    server.close()

        report = load(make_engine(feed.url), url, "HospitalABC", progress=Dying())
        lost = "cannot be read: no connection: Connection refused"
        assert [(file.status, file.error) for file in report.files] == [
            ("loaded", None),
            ("failed", lost),
            ("failed", lost),
        ]
        with pytest.raises(ConfigurationError, match="cannot be read: no connection: Connection r"):
            scan(url, "HospitalABC")
        server.start()
        report = load(make_engine(feed.url), url, "HospitalABC")
    assert [file.status for file in report.files] == ["loaded", "loaded"]
    assert feed.keys(Procedure) == [1, 2, 3]


@only_sqlite
def test_permissions(feed: Feed, server: SftpServer, visitpay: Visitpay) -> None:
    """A file that may not be read fails alone, and the doctor finds it; so does a directory."""
    good = feed.deliver(Procedure)
    bad = feed.deliver(Visit)
    rested(feed.landing)
    bad.chmod(0)
    url = server.url(feed.landing)
    doctor = visitpay("doctor", url)
    assert "1 file cannot be read" not in doctor.out  # only the newest is asked for
    good.chmod(0)
    bad.chmod(0o600)
    assert "1 file cannot be read" in visitpay("doctor", url).out
    report = load(make_engine(feed.url), url, "HospitalABC")
    refused = "cannot be read: permission denied; let the user of the login read it"
    assert [(file.status, file.error) for file in report.files] == [
        ("failed", refused),
        ("loaded", None),
    ]
    feed.landing.chmod(0)
    try:
        outcome = visitpay("load", url)
    finally:
        feed.landing.chmod(0o700)
    assert outcome.status == 2
    assert outcome.said.splitlines()[-1] == (
        f"visitpay: the landing place {url} cannot be read: permission denied; let the user of the"
        " login read it"
    )


def replaced(path: Path, content: bytes) -> None:
    """Put another file of the same size in the place of a file."""
    other = path.with_name("other")
    other.write_bytes(content.replace(b"\t7\t", b"\t8\t"))
    other.rename(path)


def linked(path: Path, _old: bytes) -> None:
    """Put a link in the place of a file."""
    path.rename(path.with_name("x"))
    path.symlink_to("x")


def made_a_directory(path: Path, _old: bytes) -> None:
    """Put a directory in the place of a file."""
    path.unlink()
    path.mkdir()


CHANGED = "changed while it was read"
CHANGES: dict[str, tuple[Callable[[Path, bytes], object], str]] = {
    "replaced": (replaced, CHANGED),
    "overwritten": (lambda path, old: path.write_bytes(old.replace(b"1/2", b"1/3")), CHANGED),
    "truncated": (lambda path, old: os.truncate(path, len(old) // 2), CHANGED),
    "grown": (lambda path, old: path.write_bytes(old + b"90001\t7\n"), CHANGED),
    "deleted": (lambda path, _: path.unlink(), "went away while it was read"),
    "a link": (linked, "cannot be read: is a link"),
    "a directory": (made_a_directory, "cannot be read: is a directory"),
}


@only_sqlite
@pytest.mark.parametrize(("change", "said"), CHANGES.values(), ids=CHANGES)
def test_a_file_that_changes_while_it_is_read(
    feed: Feed,
    server: SftpServer,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path, bytes], object],
    said: str,
) -> None:
    """Old and new bytes are never mixed: nothing of it is kept."""
    monkeypatch.setattr(remote, "BLOCK_BYTES", 1 << 16)
    content = many_rows()
    path = feed.deliver_bytes(Visit, content)
    rested(feed.landing)
    changed: list[object] = []

    class Changing(NoProgress):
        def advance(self, _size_bytes: int) -> None:
            if not changed:
                changed.append(True)
                change(path, content)

    url = server.url(feed.landing)
    (file,) = load(make_engine(feed.url), url, "HospitalABC", progress=Changing()).files
    assert changed
    assert str(file.error).endswith(said)
    assert feed.keys(Visit) == []


@only_sqlite
def test_a_redelivery(feed: Feed, server: SftpServer) -> None:
    """A file that is written over with other content is loaded again, as from a directory."""
    url = server.url(feed.landing)
    for description in ("cast", "sling", "sling"):
        path = feed.deliver(Procedure, procedure_description=description)
        rested(path, hours=len(ledger(feed)) + 1)
        load(make_engine(feed.url), url, "HospitalABC")
    assert feed.descriptions() == {1: "sling"}
    assert [status for _, status, _ in ledger(feed)] == ["loaded", "loaded"]


def test_a_server_that_is_silent(landing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes connections and says nothing is given up in time."""
    monkeypatch.setattr(ssh, "CONNECT_SECONDS", 0.2)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        url = f"sftp://someone@127.0.0.1:{silent.getsockname()[1]}{landing}"
        with pytest.raises(ConfigurationError, match=r"cannot be read: no connection in 0.2 s$"):
            scan(url, "HospitalABC")


HOST_KEY = (
    r"its host key is not in ~/.ssh/known_hosts, or is another there: {shown}; let its owner tell"
    r" you the fingerprint by phone, compare it with what ssh-keyscan gets \(ssh-keygen -lf\),"
    r" and only then put that there$"
)


@pytest.mark.parametrize("known", ["nobody", "other", "revoked", "other kind", "none", "no file"])
def test_an_unknown_server(
    server: SftpServer, landing: Path, home: Path, tmp_path: Path, known: str
) -> None:
    """It is refused once, with what to do, and its key is not learnt."""
    other = make_key(tmp_path / "other")
    rsa = make_key(tmp_path / "rsa", "rsa")
    path = home / ".ssh" / "known_hosts"
    path.write_text(
        {
            "nobody": "",
            "other": f"127.0.0.1 {other}\n[127.0.0.1]:{server.port} {other}\n",
            "revoked": f"127.0.0.1 {server.host_key}\n@revoked * {server.host_key}\n",
            "other kind": f"127.0.0.1 {rsa}\n",
        }.get(known, path.read_text())
    )
    if known == "none":
        # OpenSSH then knows nobody; asyncssh would believe everybody.
        (home / ".ssh" / "config").write_text("UserKnownHostsFile none\n")
    if known == "no file":
        path.unlink()
    before = path.read_text() if path.exists() else None
    shown = subprocess.run(
        ("ssh-keygen", "-lf", server.folder / "host_key.pub"),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()[1]
    told = re.escape(f"127.0.0.1 shows ssh-ed25519 {shown}")
    if known == "revoked":
        told = "Host key is revoked for host 127.0.0.1"
    with pytest.raises(ConfigurationError, match=HOST_KEY.format(shown=told)):
        scan(server.url(landing), "HospitalABC")
    assert (path.read_text() if path.exists() else None) == before


def test_ways_to_know_a_server(server: SftpServer, landing: Path, home: Path) -> None:
    """A host may be known by a hash, by its port, by a pattern, or in the file of the config."""
    path = home / ".ssh" / "known_hosts"
    for host in (f"[127.0.0.1]:{server.port}", "127.0.0.*", "x,127.0.0.1"):
        path.write_text(f"# known\nnonsense of another program\n{host} {server.host_key}\n")
        scan(server.url(landing), "HospitalABC")
    path.write_text(f"127.0.0.1 {server.host_key}\n")
    subprocess.run(("ssh-keygen", "-q", "-H", "-f", path), check=True, capture_output=True)
    assert "127.0.0.1" not in path.read_text()
    scan(server.url(landing), "HospitalABC")
    path.rename(home / "elsewhere")
    (home / ".ssh" / "config").write_text("UserKnownHostsFile ~/elsewhere\n")
    scan(server.url(landing), "HospitalABC")


def test_config(server: SftpServer, landing: Path, home: Path) -> None:
    """Name, port, user, key, and a host on the way, may be in ~/.ssh/config."""
    (home / ".ssh" / "id_ed25519").rename(home / "key")
    user = server.url(landing).partition("//")[2].partition("@")[0]
    (home / ".ssh" / "config").write_text(
        f"Host hospital\n  HostName 127.0.0.1\n  ProxyJump way\nHost way\n  HostName 127.0.0.1\n"
        f"Host *\n  Port {server.port}\n  User {user}\n  IdentityFile ~/key\n"
        "  StrictHostKeyChecking no\n"
    )
    (landing / VISIT).touch()
    assert scan(f"sftp://hospital{landing}", "HospitalABC").names == {VISIT}
    (home / ".ssh" / "config").write_text("Port many\n")
    with pytest.raises(ConfigurationError, match=r"is unusable: .*/.ssh/config line 1: Invalid"):
        scan(f"sftp://hospital{landing}", "HospitalABC")


def test_agent(server: SftpServer, landing: Path, home: Path) -> None:
    """A key with a passphrase serves if an agent holds it; else the login is refused."""
    key = home / ".ssh" / "id_ed25519"
    bare = home / "bare"
    bare.write_bytes(key.read_bytes())
    bare.chmod(0o600)
    subprocess.run(("ssh-keygen", "-q", "-p", "-N", "secret", "-f", key), check=True)
    refused = r"the login is refused; .*\(one with a passphrase needs an agent\)"
    with pytest.raises(ConfigurationError, match=refused):
        scan(server.url(landing), "HospitalABC")
    with running_agent(home / "agent"), pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSH_AUTH_SOCK", str(home / "agent"))
        subprocess.run(("ssh-add", "-q", bare), check=True, stderr=subprocess.DEVNULL)
        assert scan(server.url(landing), "HospitalABC").files == ()


@contextmanager
def running_agent(path: Path) -> Iterator[None]:
    """Run an agent that listens at a path."""
    agent = subprocess.Popen(("ssh-agent", "-D", "-a", path), stdout=subprocess.DEVNULL)
    try:
        until = monotonic() + 10
        while not path.exists():
            assert monotonic() < until
        yield
    finally:
        agent.terminate()
        agent.wait()


UNUSABLE = {
    "password": ("sftp://user:secret@127.0.0.1/feed", "holds a password"),
    "password with a slash": ("sftp://user:sec/ret@127.0.0.1/feed", "has the form sftp://user@"),
    "port": ("sftp://127.0.0.1:99999/feed", "has the form sftp://user@host:port/path"),
    "query": ("sftp://127.0.0.1/feed?secret", "has the form sftp://user@host:port/path"),
    "no host": ("sftp:///feed", "has the form sftp://user@host:port/path"),
    "nobody's host": ("sftp://nobody.invalid/feed", "no connection: "),
    "nobody's port": ("sftp://127.0.0.1:1/feed", "no connection: Connection refused"),
}


@only_sqlite
@pytest.mark.usefixtures("feed")
@pytest.mark.parametrize(("url", "said"), UNUSABLE.values(), ids=UNUSABLE)
def test_unusable(visitpay: Visitpay, url: str, said: str) -> None:
    """A place that cannot be used is refused, without its secret."""
    for name in ("load", "status", "check"):
        refused = visitpay(name, url)
        assert (refused.status, said in refused.err) == (2, True)
        assert "sec" not in refused.err.replace(" sec", "")


def test_what_is_not_there(server: SftpServer, landing: Path) -> None:
    """A directory that is not there, or is a file, is named."""
    (landing / "file").touch()
    for name in ("none", "file"):
        url = server.url(landing / name)
        with pytest.raises(
            ConfigurationError,
            match=re.escape(f"place {url} cannot be read: there is no such place"),
        ):
            scan(url, "HospitalABC")


@only_sqlite
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_while_it_waits(feed: Feed, server: SftpServer, number: signal.Signals) -> None:
    """A signal is heard while a block does not come, and the next load takes the file."""
    feed.deliver_bytes(Visit, many_rows(120_000))
    rested(feed.landing)
    with Proxy(server.port) as proxy:
        proxy.stall_after(2_200_000)
        with command(feed, server.url(feed.landing, proxy.port)) as process:
            assert proxy.stalled.wait(30)
            process.send_signal(number)
            _, said = process.communicate(timeout=20)
    heard = number is not signal.SIGKILL
    assert process.returncode == (128 + number if heard else -number)
    assert ("rolled back" in said) == heard
    assert "Traceback" not in said
    with command(feed, server.url(feed.landing), "--json") as process:
        told, _ = process.communicate(timeout=60)
    assert [file["inserted"] for file in json.loads(told)["files"]] == [120_000]


def command(feed: Feed, url: str, *words: str) -> "subprocess.Popen[str]":
    """Start a load as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "visitpay", "load", url, *words],
        env=os.environ | {"VISITPAY_DATABASE_URL": feed.url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@only_sqlite
def test_every_command(feed: Feed, server: SftpServer, visitpay: Visitpay) -> None:
    """Whatever looks at the landing place does so there, each over one connection."""
    feed.deliver(Visit, visit_identifier=10)
    rested(feed.landing)
    with Proxy(server.port) as proxy:
        url = server.url(feed.landing, proxy.port)
        assert visitpay("check", url).status == 0
        assert visitpay("check", f"{url}/{VISIT}").status == 0
        assert visitpay("status", url, "--json").document["files_waiting"] == [VISIT]
        seen = visitpay("explain", "visit", "10", "--landing", url, "--json").document
        assert seen["search"]["sightings"][0]["file"] == VISIT
        assert proxy.connections == 4
        assert "ok      landing directory 1 file of the feed" in visitpay("doctor", url).out
        assert visitpay("load", url).status == 0
        assert proxy.connections == 6
    assert url in visitpay("runs", "last").out


def test_closed_after_use(server: SftpServer, landing: Path) -> None:
    """Of a place that nobody uses any more, the connection ends."""
    (landing / VISIT).touch()
    before = set(server.connections())  # of other tests
    found = scan(server.url(landing), "HospitalABC")
    mine = set(server.connections()) - before
    assert mine
    del found
    gc.collect()
    until = monotonic() + 10
    while mine & set(server.connections()):
        assert monotonic() < until


@only_sqlite
def test_a_password(
    feed: Feed, visitpay: Visitpay, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes from a file; a wrong one is tried once, and never told."""
    feed.deliver(Visit)
    rested(feed.landing)
    secret = tmp_path / "password"
    monkeypatch.setenv("VISITPAY_SFTP_PASSWORD_FILE", str(secret))
    with OtherServer(password="right") as server:  # noqa: S106 - of this test alone
        server.make_home(home)
        secret.write_text("wrong-one\n")
        refused = visitpay("load", server.url(feed.landing), "--verbose")
        assert (refused.status, server.tries) == (2, ["wrong-one"])
        assert "the login is refused" in refused.err
        assert "wrong-one" not in refused.err
        secret.write_text("right\n")
        assert visitpay("load", server.url(feed.landing)).status == 0


def test_a_server_that_tells_little(landing: Path, home: Path) -> None:
    """What a listing does not tell is asked for; what stays untold is not opened."""
    for name in ("file", "other"):
        (landing / name).touch()
    (landing / VISIT).write_bytes(b"x")
    (landing / VISIT.replace("20211201", "20211202")).symlink_to(landing / VISIT)
    with OtherServer(lists_attributes=False) as server:
        server.make_home(home)
        found = scan(server.url(landing), "HospitalABC")
        assert [(file.name, file.size_bytes) for file in found.files] == [(VISIT, 1)]
        assert found.unrecognised[VISIT.replace("20211201", "20211202")] == "is a link"
    with OtherServer(lists_attributes=False, tells_types=False) as server:
        server.make_home(home)
        found = scan(server.url(landing), "HospitalABC")
        assert found.files == ()
        assert found.unrecognised[VISIT] == "is of a kind that the server does not tell"


def test_a_server_without_sftp(landing: Path, home: Path) -> None:
    """It is told from one that cannot be reached."""
    with OtherServer(has_sftp=False) as server:
        server.make_home(home)
        with pytest.raises(ConfigurationError, match="the server offers no SFTP to this user"):
            scan(server.url(landing), "HospitalABC")


def test_a_server_that_gives_little_at_once(landing: Path, home: Path) -> None:
    """The rest of what it was asked for is asked for again."""
    content = many_rows(2_000)
    with OtherServer() as server:
        server.most_bytes = 5_000
        server.make_home(home)
        file = landed(landing, server.url(landing), content)
        assert file.sha256() == hashlib.sha256(content).hexdigest()
