"""What landing places on other machines share: requests that are tried again, reading in blocks.

Each kind of place implements `Requests`; the rest is the same for all. A file is read in ranges of
one version of it, several of them under way: after a cut only those are asked for again, and memory
does not grow with the file.
"""

import asyncio
import hashlib
import logging
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from functools import cache
from threading import Thread
from typing import Any, NamedTuple, Protocol, TypeVar

from visitpay.errors import ConfigurationError, FileChangedError, FileError
from visitpay.events import Event
from visitpay.landing.place import LandedFile, Seen
from visitpay.text import printable
from visitpay.waiting import result_of

logger = logging.getLogger(__name__)

T = TypeVar("T")

BLOCK_BYTES = 1 << 20
"""So many bytes are asked for at once."""

BLOCKS_AHEAD = 4
"""So many blocks of a file are under way or waiting to be parsed."""

STALL_SECONDS = 60.0
"""A request that takes longer is given up: the blocks under way come at less than 70 KiB/s."""

AHEAD_SECONDS = 1800.0
"""So far the clock of a server may be ahead: a change in that time is one of now."""

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each further try of a request; each is up to a half more or less."""


class GoneError(Exception):
    """There is no such file, or no such place."""


class ReplacedError(Exception):
    """The file is another version than the one that is read."""


class RefusedRequestError(Exception):
    """The server refuses; another try would tell the same. Its text says why, and what to do."""


class LostError(Exception):
    """The server cannot be reached, or cannot answer now. Its text says why."""


class Listed(NamedTuple):
    """A name in a place on another machine."""

    name: str
    seen: Seen
    kind: str = ""
    """What it is, in words; empty for a file."""

    def describe_type(self) -> str:
        """Return in words what it is; empty for a file."""
        return self.kind

    def look(self, now: float) -> Seen:
        """Return what the listing told; a time well after `now` is ignored."""
        changed_at = self.seen.changed_at
        if changed_at <= now:
            return self.seen
        return self.seen._replace(changed_at=now if changed_at - now <= AHEAD_SECONDS else 0)


class Requests(Protocol):
    """What each kind of place asks of its server; all of them raise the four errors above.

    One that is cancelled lets go of what it holds. They run in one event loop.
    """

    def listing(self) -> AsyncIterator[Sequence[Listed]]:
        """Yield the names that lie directly in the place, a page at a time, in any order."""

    async def look(self, name: str) -> Seen:
        """Look at a file."""

    async def read(self, name: str, start: int, size: int, version: str) -> bytes:
        """Return `size` bytes of a file from `start`; raises ReplacedError for another version."""


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """Return the event loop, which has a thread of its own."""
    loop = asyncio.new_event_loop()
    Thread(target=loop.run_forever, name="landing", daemon=True).start()
    return loop


def begin(work: Coroutine[Any, Any, T]) -> "Future[T]":
    """Begin a request."""
    return asyncio.run_coroutine_threadsafe(work, _loop())


def wait_for(future: "Future[T]") -> T:
    """Wait for a request, and hear a signal meanwhile, which cancels it."""
    try:
        return result_of(future)
    except BaseException:
        future.cancel()
        raise


class RemotePlace:
    """A landing place on another machine."""

    local_path = None

    def __init__(self, name: str, requests: Requests, least_settle: float = 0) -> None:
        """Take its URL, without a secret, and what asks its server."""
        self.name = name
        self.least_settle = least_settle
        self._requests = requests
        self._is_lost = False

    def entries(self) -> Iterator[Listed]:
        """Return the names in it; raises ConfigurationError unless all of them can be had."""
        try:
            listed = wait_for(begin(self._tried(self._list)))
        except (GoneError, RefusedRequestError, LostError) as error:
            what = str(error) or "there is no such place"
            message = f"the landing place {printable(self.name)} cannot be read: {what}"
            raise ConfigurationError(message) from None
        return iter(listed)

    async def _list(self) -> list[Listed]:
        listed: list[Listed] = []
        pages = aiter(self._requests.listing())
        while (page := await asyncio.wait_for(anext(pages, None), STALL_SECONDS)) is not None:
            listed.extend(page)
        return listed

    def count_unreadable(self, files: Sequence[LandedFile]) -> int:
        """Return 1 if the newest of the files cannot be read; the others are not asked for."""
        newest = max(files, key=lambda file: file.file_datetime, default=None)
        try:
            if newest:
                with self.open(newest) as source:
                    source.read(1)
        except FileError:
            return 1
        except FileChangedError:
            return 0
        return 0

    @contextmanager
    def open(self, file: LandedFile) -> Iterator["RemoteReader"]:
        """Open a file; raises FileChangedError if it is gone, FileError if it cannot be opened."""
        reader = RemoteReader(self, file.name)
        try:
            yield reader
        finally:
            reader.stop()

    async def look(self, name: str) -> Seen:
        """Look at a file; raises what `Requests.look` does."""
        return await self._tried(lambda: asyncio.wait_for(self._requests.look(name), STALL_SECONDS))

    async def read(self, name: str, start: int, size: int, version: str) -> bytes:
        """Return a range of a file, whole; raises what `Requests.read` does."""

        async def once() -> bytes:
            block = await asyncio.wait_for(
                self._requests.read(name, start, size, version), STALL_SECONDS
            )
            if len(block) != size:
                raise ReplacedError
            return block

        return await self._tried(once)

    async def _tried(self, request: Callable[[], Awaitable[T]]) -> T:
        """Return what a request gives; ask again if the server is lost, unless it was before."""
        pauses = iter(() if self._is_lost else PAUSES)
        while True:
            try:
                result = await request()
            except (LostError, TimeoutError) as error:
                what = str(error) or f"no answer in {STALL_SECONDS:g} s"
                pause = next(pauses, None)
                if pause is None:
                    self._is_lost = True
                    raise LostError(what) from None
            else:
                self._is_lost = False
                return result
            logger.warning(
                "%s: %s; trying again in %g s",
                printable(self.name),
                what,
                pause,
                extra=Event.TRYING_AGAIN.extra,
            )
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - no secret


class RemoteReader:
    """A file of a place on another machine, open: one version of it, read in ranges."""

    def __init__(self, place: RemotePlace, name: str) -> None:
        """Look at the file; raises FileChangedError if it is gone, FileError if it cannot be."""
        self._place, self._name = place, name
        self._seen = self._answer(begin(place.look(name)), "before it was read")
        self._hash = hashlib.sha256()
        self._asked = 0
        self._coming: deque[Future[bytes]] = deque()
        self._block = memoryview(b"")
        self.bytes_read = 0

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end.

        Raises FileChangedError if it is no longer the same file, FileError if it cannot be read.
        """
        self._ask_ahead()
        if not self._block and self._coming:
            # It stays among those under way until it is there, for `stop` to find it.
            self._block = memoryview(self._answer(self._coming[0], "while it was read"))
            self._coming.popleft()
            self._ask_ahead()
        block, self._block = bytes(self._block[:size]), self._block[size:]
        self._hash.update(block)
        self.bytes_read += len(block)
        return block

    def _ask_ahead(self) -> None:
        """Keep several blocks under way."""
        while len(self._coming) < BLOCKS_AHEAD and self._asked < self.size_bytes:
            size = min(BLOCK_BYTES, self.size_bytes - self._asked)
            block = self._place.read(self._name, self._asked, size, self.version)
            self._coming.append(begin(block))
            self._asked += size

    def _answer(self, future: "Future[T]", when: str) -> T:
        try:
            return wait_for(future)
        except GoneError:
            message = f"went away {when}"
            raise FileChangedError(message) from None
        except ReplacedError:
            message = "changed while it was read"
            raise FileChangedError(message) from None
        except (RefusedRequestError, LostError, CancelledError) as error:
            message = f"cannot be read: {str(error) or 'stopped'}"
            raise FileError(message) from None

    @property
    def sha256(self) -> str:
        """The SHA-256 of the bytes read so far, in hexadecimal."""
        return self._hash.hexdigest()

    @property
    def size_bytes(self) -> int:
        """The size of the file when it was opened, in bytes."""
        return self._seen.size_bytes

    @property
    def version(self) -> str:
        """The version of the file when it was opened."""
        return self._seen.version

    def require_unchanged(self) -> None:
        """Raise FileChangedError unless the name is still the same file, unchanged and wholly read.

        Raises FileError if the name cannot be looked at.
        """
        now = self._answer(begin(self._place.look(self._name)), "while it was read")
        if now.version != self.version or self.bytes_read != self.size_bytes:
            message = "changed while it was read"
            raise FileChangedError(message)

    def stop(self) -> None:
        """Cancel what is under way, so that a read that waits ends at once."""
        for future in tuple(self._coming):
            future.cancel()
