"""Landing places on SFTP servers.

Such a server tells the size of a file, and the second in which it last changed, and no more. So a
file must have rested for SETTLE_SECONDS: what is written to it from then on shows.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar, cast
from urllib.parse import unquote, unquote_to_bytes, urlsplit
from weakref import WeakValueDictionary, finalize

import asyncssh

from visitpay.errors import ConfigurationError
from visitpay.landing.place import Seen
from visitpay.landing.remote import (
    GoneError,
    Listed,
    LostError,
    RefusedRequestError,
    RemotePlace,
    ReplacedError,
    begin,
)
from visitpay.landing.ssh import Login, connect
from visitpay.settings import in_force

T = TypeVar("T")

SETTLE_SECONDS = 5.0
"""A file is read when it is so old: more than the second of its time, as clocks differ a little."""

_NAMES_AT_ONCE = 1000

_FORM = re.compile(r"sftp://[^/?#]+(/[^?#@]*)?")

_LOST = (
    OSError,
    asyncssh.DisconnectError,
    asyncssh.SFTPBadMessage,
    asyncssh.SFTPConnectionLost,
    asyncssh.SFTPNoConnection,
)

_UNKNOWN = "is of a kind that the server does not tell"
_UNTOLD = "is a file whose size or time the server does not tell"

_KINDS = {
    asyncssh.FILEXFER_TYPE_REGULAR: "",
    asyncssh.FILEXFER_TYPE_SYMLINK: "is a link",
    asyncssh.FILEXFER_TYPE_DIRECTORY: "is a directory",
    asyncssh.FILEXFER_TYPE_UNKNOWN: _UNKNOWN,
}

_PLACES: WeakValueDictionary[tuple[str, Login], RemotePlace] = WeakValueDictionary()
"""The places in use: all who read one share its connection."""


def place_of(url: str) -> RemotePlace:
    """Return the place of a URL such as sftp://user@host:port/path; raises ConfigurationError.

    The path is absolute; sftp://user@host/~/path is below the user's home.
    """
    name = url.rstrip("/")
    login, path = _parsed(name)
    if (place := _PLACES.get((name, login))) is None:
        requests = _Sftp(login, path)
        place = _PLACES[name, login] = RemotePlace(name, requests, SETTLE_SECONDS)
        # When the process ends, the system closes it.
        finalize(place, lambda: begin(requests.close())).atexit = False
    return place


def _parsed(url: str) -> tuple[Login, bytes]:
    try:
        parts = urlsplit(url)
        host, port, user = parts.hostname, parts.port, unquote(parts.username or "")
    except ValueError:  # its text holds a part of the URL
        host = None
    if not host or not _FORM.fullmatch(url):
        message = (
            "a landing place in sftp:// has the form sftp://user@host:port/path; in the path,"
            " write %3F for ?, %23 for # and %40 for @"
        )
        raise ConfigurationError(message)
    path = re.sub(rb"^/~(/|$)", b"", unquote_to_bytes(parts.path) or b"/") or b"."
    return Login(host, port, user, str(in_force("sftp_password").value)), path


class _Session(NamedTuple):
    connection: asyncssh.SSHClientConnection
    client: asyncssh.SFTPClient


class _Sftp:
    """The requests to an SFTP server, over one connection; after it was lost, over a new one."""

    def __init__(self, login: Login, path: bytes) -> None:
        self._login = login
        self._path = path
        self._session: _Session | None = None
        self._connecting = asyncio.Lock()
        self._refused = ""

    async def listing(self) -> AsyncIterator[Sequence[Listed]]:
        """Yield the entries of the directory; for each load, who was refused may try again."""
        self._refused = ""
        session = await self._connected()
        entries = session.client.scandir(self._path)
        while page := await self._asked(session, _page(session.client, self._path, entries)):
            yield page

    async def look(self, name: str) -> Seen:
        """Look at a file, never at what a link leads to."""
        session = await self._connected()
        attributes = await self._asked(session, session.client.lstat(self._path_of(name)))
        if (kind := _kind(attributes)) not in {"", _UNKNOWN}:
            raise RefusedRequestError(kind)
        return _seen(attributes)

    async def read(self, name: str, start: int, size: int, version: str) -> bytes:
        """Return a part of a file that was this version even after it was read."""
        session = await self._connected()
        reading = _read(session.client, self._path_of(name), start, size)
        block, attributes = await self._asked(session, reading)
        if _seen(attributes).version != version:
            raise ReplacedError
        return block

    async def close(self) -> None:
        """Close the connection."""
        if self._session:
            self._drop(self._session)

    def _path_of(self, name: str) -> bytes:
        return _joined(self._path, name.encode(errors="surrogateescape"))

    async def _connected(self) -> _Session:
        """Return the connection; one who was refused does not try again, which may lock a user."""
        async with self._connecting:
            if self._refused:
                raise RefusedRequestError(self._refused)
            if self._session is None or self._session.connection.is_closed():
                try:
                    self._session = await self._begun()
                except RefusedRequestError as refused:
                    self._refused = str(refused)
                    raise
            return self._session

    async def _begun(self) -> _Session:
        connection, client = await connect(self._login), None
        try:
            client = await connection.start_sftp_client()
        except (asyncssh.ChannelOpenError, *_LOST, asyncssh.SFTPError) as error:
            raise _meaning(error) from None
        finally:
            if client is None:
                connection.abort()
        return _Session(connection, client)

    def _drop(self, session: _Session) -> None:
        session.connection.abort()
        if self._session is session:
            self._session = None

    async def _asked(self, session: _Session, request: Coroutine[Any, Any, T]) -> T:
        """Return what a request gives.

        One that is cancelled ends with its connection, which may be what does not answer: it would
        wait for that to close its handle.
        """
        task = asyncio.ensure_future(request)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._drop(session)
            await asyncio.gather(task, return_exceptions=True)
            raise
        except (asyncssh.SFTPError, *_LOST) as error:
            meaning = _meaning(error)
            if isinstance(meaning, LostError):
                self._drop(session)
            raise meaning from None


def _meaning(error: Exception) -> Exception:
    """Return what an error of asyncssh's means; its text may be the server's."""
    if isinstance(error, asyncssh.SFTPNoSuchFile | asyncssh.SFTPNoSuchPath):
        return GoneError()
    if isinstance(error, asyncssh.SFTPPermissionDenied):
        return RefusedRequestError("permission denied; let the user of the login read it")
    if isinstance(error, asyncssh.ChannelOpenError):
        return RefusedRequestError("the server offers no SFTP to this user")
    if isinstance(error, _LOST):
        return LostError("the connection was lost")
    return RefusedRequestError(f"the server cannot do it (status {getattr(error, 'code', 0)})")


async def _page(
    client: asyncssh.SFTPClient, path: bytes, entries: AsyncIterator[asyncssh.SFTPName]
) -> list[Listed]:
    """Return the next entries, none at the end."""
    page: list[asyncssh.SFTPName] = []
    while len(page) < _NAMES_AT_ONCE and (entry := await anext(entries, None)):
        page.append(entry)
    return await asyncio.gather(*(_listed(client, path, entry) for entry in page))


async def _listed(client: asyncssh.SFTPClient, path: bytes, entry: asyncssh.SFTPName) -> Listed:
    """Return an entry; what the listing does not tell of it is asked for."""
    # Of a path in bytes, the names are in bytes.
    name, longname = cast("bytes", entry.filename), cast("bytes", entry.longname)
    attributes = entry.attrs
    if _kind(attributes) in {_UNKNOWN, _UNTOLD}:
        with suppress(asyncssh.SFTPNoSuchFile, asyncssh.SFTPPermissionDenied):
            attributes = await client.lstat(_joined(path, name))
    kind = _kind(attributes, longname)
    return Listed(name.decode(errors="surrogateescape"), _seen(attributes), kind)


async def _read(
    client: asyncssh.SFTPClient, path: bytes, start: int, size: int
) -> tuple[bytes, asyncssh.SFTPAttrs]:
    """Return a part of a file, and how the same file was afterwards."""
    block = bytearray()
    async with client.open(path, "rb") as file:
        # A server may give less than it is asked for, although there is more.
        while left := size - len(block):
            if not (part := cast("bytes", await file.read(left, start + len(block)))):
                break
            block += part
        return bytes(block), await file.stat()


def _joined(path: bytes, name: bytes) -> bytes:
    return path.rstrip(b"/") + b"/" + name


def _kind(attributes: asyncssh.SFTPAttrs, longname: bytes = b"") -> str:
    """Return what it is, in words; empty for a file, as `ls -l` may tell if nothing else does."""
    kind = _KINDS.get(attributes.type, "is no regular file")
    if kind and not (kind == _UNKNOWN and longname.startswith(b"-")):
        return kind
    return _UNTOLD if attributes.size is None or attributes.mtime is None else ""


def _seen(attributes: asyncssh.SFTPAttrs) -> Seen:
    version = f"{attributes.size} {attributes.mtime}"
    return Seen(attributes.size or 0, version, attributes.mtime or 0)
