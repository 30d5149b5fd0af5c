"""Landing places in object stores: Amazon S3 and what speaks its language, Google Cloud, Azure.

Credentials, region and endpoint are what each provider's own variables, or the machine, say.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn, TypeVar

import obstore
from obstore.exceptions import (
    BaseError,
    InvalidPathError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import AzureStore, GCSStore, S3Store

from visitpay.errors import ConfigurationError
from visitpay.landing.place import Seen
from visitpay.landing.remote import (
    STALL_SECONDS,
    GoneError,
    Listed,
    LostError,
    RefusedRequestError,
    RemotePlace,
    ReplacedError,
)
from visitpay.text import printable

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta

T = TypeVar("T")

_STORES = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}

_TIME = "at "
"""What stands before the time of the last change, in the version of an object without an etag."""

_VARIABLES = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}

_STATUS = re.compile(r"status code: ([1-5][0-9]{2})\b")
"""Where obstore's texts, which may hold parts of a request, tell the status of the answer."""

_CODE = re.compile(r"<Code>([A-Za-z.]{1,60})</Code>")
"""What a provider calls the reason, such as RequestTimeTooSkewed."""

_BAD_NAME = re.compile(r'Path "([^"]*)"')

_MACHINE = re.compile(r"/latest/(api/token|meta-data/)|/metadata/identity/|/computeMetadata/")
"""Where a machine of each provider has its own credentials."""

_GONE, _BEYOND_END = 404, 416
_REFUSED = {400, 401, 403}
_NONE_HERE = {*_REFUSED, _GONE}

_SURELY_NONE = "visitpay-looks-whether-this-is-an-object-store"


def place_of(url: str) -> RemotePlace:
    """Return the place of a URL such as s3://bucket/prefix; raises ConfigurationError."""
    scheme, _, rest = url.partition("://")
    bucket, _, prefix = rest.partition("/")
    if not bucket or any(letter in rest for letter in "?#@"):
        message = f"a landing place in {scheme}:// has the form {scheme}://bucket/prefix"
        raise ConfigurationError(message)
    variables = _VARIABLES[scheme]
    settings = {name: value for name, value in os.environ.items() if name.startswith(variables)}
    try:
        store = _STORES[scheme](
            bucket,
            prefix=prefix.strip("/") or None,
            client_options={
                "timeout": timedelta(seconds=STALL_SECONDS),
                "allow_http": any(value.startswith("http://") for value in settings.values()),
            },
            retry_config={"max_retries": 0},
        )
    except (BaseError, ValueError):
        message = (
            f"{scheme}:// cannot be used as it is set up; name account, region and credentials by"
            f" {variables}... (docs/how-to/load-from-elsewhere.md)"
        )
        raise ConfigurationError(message) from None
    return RemotePlace(f"{scheme}://{rest.rstrip('/')}", _Objects(store, variables))


class _Objects:
    """The requests to an object store."""

    def __init__(self, store: "obstore.store.ObjectStore", variables: str) -> None:
        self._store = store
        self._variables = variables
        self._check_endpoint = f"check region and endpoint ({variables}...)"
        self._signs = {
            "redirect without LOCATION": f"it is in another region; {self._check_endpoint}",
            "builder error": f"its endpoint is no URL that can be used; {self._check_endpoint}",
            "panicked": "a setting cannot be used; is the endpoint a URL, has one a line end?"
            f" ({variables}...)",
            "InvalidCertificate": "its certificate is not trusted; name its issuer (SSL_CERT_FILE)",
            "non-partial": "the server gives no part of it; store it as it is, not compressed",
        }
        """What obstore's texts hold where another try would not help, and what that means."""

    async def listing(self) -> AsyncIterator[Sequence[Listed]]:
        """Yield the objects directly below the prefix; what lies deeper is not the feed's."""
        asked = asyncio.ensure_future(self._asked(obstore.list_with_delimiter_async(self._store)))
        try:
            # All pages come at once. Each has its own limit of time; an empty one says: it goes on.
            while not (await asyncio.wait([asked], timeout=STALL_SECONDS / 2))[0]:
                yield []
            objects = asked.result()["objects"]
        finally:
            asked.cancel()
        if not objects:
            await self._require_store()
        # An object with the name of the prefix itself is there to show it as a folder.
        yield [Listed(meta["path"], _seen(meta)) for meta in objects if meta["path"]]

    async def _require_store(self) -> None:
        """Raise RefusedRequestError if the server is none that stores objects.

        A page of HTML, as the console of a store answers, is read as a listing without objects.
        """
        try:
            await self.look(_SURELY_NONE)
        except (GoneError, RefusedRequestError):
            return
        message = f"the server is no object store; {self._check_endpoint}"
        raise RefusedRequestError(message)

    async def look(self, name: str) -> Seen:
        """Look at an object."""
        return _seen(await self._asked(obstore.head_async(self._store, name)))

    async def read(self, name: str, start: int, size: int, version: str) -> bytes:
        """Return a part of an object, if it is still this version."""
        _, _, etag = version.partition(" ")
        options: GetOptions = {"range": (start, start + size)}
        if not etag.startswith(_TIME):
            options["if_match"] = f'"{etag}"'
        found = await self._asked(obstore.get_async(self._store, name, options=options))
        # Not every server minds the condition.
        if _seen(found.meta).version != version:
            raise ReplacedError
        return bytes(await self._asked(found.bytes_async()))

    async def _asked(self, request: Awaitable[T]) -> T:
        """Return what a request gives; raises what its error means."""
        try:
            return await request
        except Exception as error:  # noqa: BLE001 - a panic of Rust's code has no class of its own
            self._refuse(error)

    def _refuse(self, error: Exception) -> NoReturn:
        """Raise what an error of obstore's means; its text may hold parts of a request."""
        text = str(error)
        status = int(found[1]) if (found := _STATUS.search(text)) else 0
        if _MACHINE.search(text):
            what = f"no credentials are set ({self._variables}...), and this machine gives none"
            raise (RefusedRequestError if status in _NONE_HERE else LostError)(what) from None
        if what := self._why_refused(error, text, status):
            raise RefusedRequestError(what) from None
        if isinstance(error, FileNotFoundError) or status == _GONE:
            raise GoneError from None
        if isinstance(error, PreconditionError) or status == _BEYOND_END:
            raise ReplacedError from None
        raise LostError(f"status {status}" if status else "the server is out of reach") from None

    def _why_refused(self, error: Exception, text: str, status: int) -> str:
        """Return why another try would not help, and what to do; empty if it may."""
        if isinstance(error, PermissionDeniedError | UnauthenticatedError) or status in _REFUSED:
            code = f" ({found[1]})" if (found := _CODE.search(text)) else ""
            check = f"check the credentials ({self._variables}...), and what they may read"
            return f"refused{code}; {check}"
        if isinstance(error, InvalidPathError):
            name = printable(found[1]) if (found := _BAD_NAME.search(text)) else "an object"
            return f"the name {name} has an empty, a dotted or an unprintable part; take it away"
        return next((why for sign, why in self._signs.items() if sign in text), "")


def _seen(meta: "ObjectMeta") -> Seen:
    """Return what is known of an object. Azure gives its etag with quotes, or without.

    A weak etag, W/"...", is as none: no condition can name it.
    """
    changed_at = meta["last_modified"].timestamp()
    tag = (meta["e_tag"] or "").strip('"')
    if not tag or tag.startswith("W/"):
        tag = f"{_TIME}{changed_at}"
    return Seen(meta["size"], f"{meta['size']} {tag}", changed_at)
