"""Logging in to an SSH server as OpenSSH's client does: known_hosts, ~/.ssh/config, agent, keys.

A server whose host key is not known is sent no password, and its key is never learnt.
"""

import os
from pathlib import Path
from socket import gaierror
from typing import Any, NamedTuple, cast

import asyncssh

from visitpay.landing.remote import LostError, RefusedRequestError
from visitpay.text import printable

CONNECT_SECONDS = 20.0
"""So long a server may take from the first packet to the end of the login."""

KEEPALIVE_SECONDS = 15.0
"""After so long without a word the server is asked whether it is there; three times."""

_KNOWN_HOSTS = "~/.ssh/known_hosts"
_KNOWN_HOSTS_OF_ALL = "/etc/ssh/ssh_known_hosts"

_ANY_HOST_KEY = "+ssh-ed25519,ecdsa-sha2-*,rsa-sha2-*"
"""The kinds of host keys that a server may show beside the known ones, to be refused by name."""

_LETTERS_TO_TELL = 200


class Login(NamedTuple):
    """Where to log in, and as whom; what is empty comes from ~/.ssh/config."""

    host: str
    port: int | None
    user: str
    password: str

    def options(self) -> dict[str, Any]:
        """Return what asyncssh takes; to it, only what is left out is not set."""
        options = {"host": self.host, "port": self.port, "username": self.user}
        return {name: value for name, value in options.items() if value}


async def connect(login: Login) -> asyncssh.SSHClientConnection:
    """Log in; raises RefusedRequestError or LostError."""
    server = _Unknown()
    try:
        return await asyncssh.connect(
            **login.options(),
            password=login.password or None,
            known_hosts=_known_hosts(login),
            server_host_key_algs=_ANY_HOST_KEY,
            client_factory=lambda: server,
            connect_timeout=CONNECT_SECONDS,
            keepalive_interval=KEEPALIVE_SECONDS,
        )
    except TimeoutError:
        message = f"no connection in {CONNECT_SECONDS:g} s"
        raise LostError(message) from None
    except OSError as error:
        message = f"no connection: {_why(error)}"
        raise LostError(message) from None
    except asyncssh.DisconnectError as error:
        raise _meaning(error, server.shown) from None


def _known_hosts(login: Login) -> asyncssh.SSHKnownHosts:
    """Return the keys of all known hosts; raises RefusedRequestError if a file is unusable.

    Where the config says that there are none, asyncssh itself would believe any server.
    """
    try:
        config = asyncssh.SSHClientConnectionOptions(config=(), **login.options()).config
        names = cast("list[str]", config.get("UserKnownHostsFile", [_KNOWN_HOSTS]))
        names += cast("list[str]", config.get("GlobalKnownHostsFile", [_KNOWN_HOSTS_OF_ALL]))
        paths = [Path(name).expanduser() for name in names]
        return asyncssh.read_known_hosts([str(path) for path in paths if path.is_file()])
    except (OSError, ValueError) as error:
        message = f"a file of ~/.ssh, or one that its config names, is unusable: {_told(error)}"
        raise RefusedRequestError(message) from None


class _Unknown(asyncssh.SSHClient):
    """Refuses a server whose host key is not known, and notes what it shows."""

    shown = ""

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        """Refuse the key."""
        del addr, port
        self.shown = f"{host} shows {key.get_algorithm()} {key.get_fingerprint()}"
        return False


def _meaning(error: asyncssh.DisconnectError, shown: str) -> RefusedRequestError | LostError:
    """Return what it means that a server ended the login, or was not believed."""
    if isinstance(error, asyncssh.HostKeyNotVerifiable | asyncssh.KeyExchangeFailed):
        return RefusedRequestError(
            f"its host key is not in {_KNOWN_HOSTS}, or is another there: {shown or _told(error)};"
            " let its owner tell you the fingerprint by phone, compare it with what ssh-keyscan"
            " gets (ssh-keygen -lf), and only then put that there"
        )
    if isinstance(error, asyncssh.PermissionDenied):
        return RefusedRequestError(
            "the login is refused; check the user, and the key (one with a passphrase needs an"
            " agent) or VISITPAY_SFTP_PASSWORD_FILE"
        )
    if error.code in {asyncssh.DISC_CONNECTION_LOST, asyncssh.DISC_TOO_MANY_CONNECTIONS}:
        return LostError("the connection was lost")
    # Whoever tries again and again may be locked out.
    return RefusedRequestError(f"the login ended: {_told(error)}")


def _why(error: OSError) -> str:
    """Return the system's words; asyncio's own tell the address, a resolver's number is another."""
    if error.errno and not isinstance(error, gaierror):
        return os.strerror(error.errno)
    return error.strerror or "no address answers"


def _told(error: Exception) -> str:
    return printable(str(error))[:_LETTERS_TO_TELL]
