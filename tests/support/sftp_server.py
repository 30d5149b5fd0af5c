"""OpenSSH's server on loopback, with keys of its own, and the home of a user who may log in."""

import asyncio
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
from collections.abc import AsyncIterator, Coroutine
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from typing import Any, Self, TypeVar

import asyncssh

from tests.support.command import without_privilege

T = TypeVar("T")

SSHD = "/usr/sbin/sshd"

_SECONDS = 10

_CONFIG = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
Subsystem sftp internal-sftp
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PidFile none
LogLevel ERROR
MaxStartups 100
"""


def is_installed() -> bool:
    """Whether tests can start it."""
    return Path(SSHD).exists()


class SftpServer:
    """An SFTP server for the user of the tests, for whom it has no more rights than others."""

    def __init__(self, folder: Path) -> None:
        """Make its keys in a folder, and start it."""
        self.folder = folder
        self.host_key = make_key(folder / "host_key")
        make_key(folder / "user_key")
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port: int = free.getsockname()[1]
        self._config = folder / "sshd_config"
        self._config.write_text(_CONFIG.format(port=self.port, folder=folder))
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        if os.geteuid() == 0:  # it wants an empty directory, which its service makes elsewhere
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self._process = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", self._config],
            stderr=subprocess.DEVNULL,
            preexec_fn=without_privilege,  # noqa: PLW1509 - no threads of ours hold a lock there
        )
        until = monotonic() + _SECONDS
        while not self._answers():
            assert self._process.poll() is None
            assert monotonic() < until
            sleep(0.02)

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)) as connection:
            return connection.recv(4) == b"SSH-"
        return False

    def close(self) -> None:
        """End it and all its connections."""
        for pid in (self._process.pid, *self.connections()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def connections(self) -> list[int]:
        """Return the processes that serve connections, and those that these started."""
        parents: dict[int, int] = {}
        for status in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                # The name of a program, which is in brackets, may hold anything.
                parent = status.read_text().rpartition(") ")[2].split()[1]
                parents[int(status.parent.name)] = int(parent)
        found = [self._process.pid]
        for each in found:
            found += [pid for pid, parent in parents.items() if parent == each]
        return found[1:]

    def url(self, directory: Path, port: int | None = None) -> str:
        """Return the landing place that a directory is."""
        user = pwd.getpwuid(os.geteuid()).pw_name
        return f"sftp://{user}@127.0.0.1:{port or self.port}{directory}"

    def make_home(self, home: Path) -> Path:
        """Make the home of a user who knows the server, and has a key for it."""
        ssh = home / ".ssh"
        ssh.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copy(self.folder / "user_key", ssh / "id_ed25519")
        (ssh / "known_hosts").write_text(f"127.0.0.1 {self.host_key}\n")
        return home


class OtherServer:
    """A server of another make, which can do what OpenSSH's does not; its user needs no key."""

    def __init__(
        self,
        *,
        password: str = "",
        lists_attributes: bool = True,
        tells_types: bool = True,
        has_sftp: bool = True,
    ) -> None:
        """Say what is needed to log in, and what it tells of a file."""
        self.password = password
        self.lists_attributes = lists_attributes
        self.tells_types = tells_types
        self.most_bytes = 1 << 20
        """It gives no more than these of a file at once, whatever it is asked for."""
        self.tries: list[str] = []
        """The passwords that were tried."""
        self.connections: list[asyncssh.SSHServerConnection] = []
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self._has_sftp = has_sftp
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        self._acceptor = self._wait_for(self._opened())
        return self

    def __exit__(self, *_error: object) -> None:
        """End."""
        self._wait_for(self._closed())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _opened(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=partial(_Guard, self),
            server_host_keys=[self._key],
            sftp_factory=partial(_Files, self) if self._has_sftp else None,
        )

    async def _closed(self) -> None:
        self._acceptor.close()
        for connection in self.connections:
            connection.abort()
            await connection.wait_closed()

    def _wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_SECONDS)

    def url(self, directory: Path) -> str:
        """Return the landing place that a directory is."""
        return f"sftp://someone@127.0.0.1:{self._acceptor.get_port()}{directory}"

    def make_home(self, home: Path) -> None:
        """Let the user of a home know the server."""
        public = self._key.export_public_key().decode().strip()
        (home / ".ssh" / "known_hosts").write_text(f"127.0.0.1 {public}\n")


class _Guard(asyncssh.SSHServer):
    def __init__(self, server: OtherServer) -> None:
        self._server = server

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._server.connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        del username
        return bool(self._server.password)

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        del username
        self._server.tries.append(password)
        return password == self._server.password


class _Files(asyncssh.SFTPServer):
    def __init__(self, server: OtherServer, channel: asyncssh.SSHServerChannel[bytes]) -> None:
        super().__init__(channel)
        self._server = server

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        async for entry in super().scandir(path):
            attributes = entry.attrs if self._server.lists_attributes else asyncssh.SFTPAttrs()
            yield asyncssh.SFTPName(entry.filename, b"", attributes)

    def read(self, file_obj: object, offset: int, size: int) -> bytes:
        part = super().read(file_obj, offset, min(size, self._server.most_bytes))
        assert isinstance(part, bytes)
        return part

    def lstat(self, path: bytes) -> asyncssh.SFTPAttrs:
        attributes = asyncssh.SFTPAttrs.from_local(os.lstat(path))
        if not self._server.tells_types:
            attributes.permissions = stat.S_IMODE(attributes.permissions or 0)
        return attributes


def make_key(path: Path, kind: str = "ed25519") -> str:
    """Make a key without a passphrase, and return its public part."""
    command = ("ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "test", "-f", path)
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path.with_suffix(".pub").read_text().strip()
