"""An object store on loopback: moto's S3 server, a process of its own."""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

SECRETS = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "tester-secret"}

_SECONDS_TO_START = 30


class ObjectStore:
    """A bucket of an S3 server, and what the environment of a load needs for it."""

    def __init__(self, port: int, bucket: str, **keys: str) -> None:
        """Make a bucket on the server at a port."""
        self.port, self.bucket = port, bucket
        self.keys = keys or SECRETS
        self._client = client(port)
        self._client.create_bucket(Bucket=bucket)

    @property
    def url(self) -> str:
        """The landing place, with a prefix."""
        return f"s3://{self.bucket}/feeds/abc"

    def environment(self, port: int = 0) -> dict[str, str]:
        """Return variables for a load, which may go through another port."""
        endpoint = f"http://127.0.0.1:{port or self.port}"
        return {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "us-east-1", **self.keys}

    def put(self, name: str, content: bytes, folder: str = "feeds/abc/") -> None:
        """Put an object below the prefix, or elsewhere."""
        self._client.put_object(Bucket=self.bucket, Key=folder + name, Body=content)

    def put_all(self, directory: Path) -> None:
        """Put the files of a directory below the prefix."""
        for path in directory.iterdir():
            self.put(path.name, path.read_bytes())

    def delete(self, name: str) -> None:
        """Delete an object below the prefix."""
        self._client.delete_object(Bucket=self.bucket, Key=f"feeds/abc/{name}")

    def new(self) -> "ObjectStore":
        """Return another bucket of the same server, with nothing in it."""
        return ObjectStore(self.port, f"bucket-{secrets.token_hex(6)}", **self.keys)


def client(port: int, kind: str = "s3") -> Any:
    """Return a client of the server that shares nothing with visitpay."""
    return boto3.client(
        kind,
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="tester",
        aws_secret_access_key="tester-secret",  # noqa: S106 - nobody's
        config=Config(retries={"max_attempts": 0}, connect_timeout=5, read_timeout=30),
    )


@contextmanager
def running(**settings: str) -> Iterator[int]:
    """Run a server, with settings in its environment; yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    told = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=os.environ | settings, **told) as process:  # type: ignore[call-overload]
        try:
            _wait_for(port)
            yield port
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    """Wait until the server answers."""
    last = time.monotonic() + _SECONDS_TO_START
    while True:
        try:
            client(port).list_buckets()
        except BotoCoreError:
            if time.monotonic() > last:
                raise
            time.sleep(0.05)
        else:
            return
