"""Landing places in object stores: Amazon S3 and what speaks its language, Google Cloud, Azure.

Credentials, region and endpoint are what each provider's own variables, or the machine, say.
"""

import os
import re
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn

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

_STORES = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}

_TIME = "at "
"""What stands before the time of the last change, in the version of an object without an etag."""

_VARIABLES = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}

_STATUS = re.compile(r"status code: ([1-5][0-9]{2})\b")
"""Where obstore's texts, which may hold parts of a request, tell the status of the answer."""

_BAD_NAME = re.compile(r'Path "([^"]*)"')

_GONE, _BEYOND_END = 404, 416
_REFUSED = {400, 401, 403}
_ELSEWHERE = range(300, 400)


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
    except (BaseError, ValueError) as error:
        message = (
            f"{scheme}:// cannot be used as it is set up; name account, region and credentials by"
            f" {variables}... (docs/how-to/load-from-elsewhere.md)"
        )
        raise ConfigurationError(message) from error
    return RemotePlace(f"{scheme}://{rest.rstrip('/')}", _Objects(store, variables))


class _Objects:
    """The requests to an object store."""

    def __init__(self, store: "obstore.store.ObjectStore", variables: str) -> None:
        self._store = store
        self._variables = variables

    async def listing(self) -> AsyncIterator[Sequence[Listed]]:
        """Yield the objects directly below the prefix; what lies deeper is not the feed's."""
        try:
            found = await obstore.list_with_delimiter_async(self._store)
        except (BaseError, OSError, ValueError) as error:
            self._refuse(error)
        # An object with the name of the prefix itself is there to show it as a folder.
        yield [Listed(meta["path"], _seen(meta)) for meta in found["objects"] if meta["path"]]

    async def look(self, name: str) -> Seen:
        """Look at an object."""
        try:
            return _seen(await obstore.head_async(self._store, name))
        except (BaseError, OSError, ValueError) as error:
            self._refuse(error)

    async def read(self, name: str, start: int, size: int, version: str) -> bytes:
        """Return a part of an object, if it is still this version."""
        _, _, etag = version.partition(" ")
        options: GetOptions = {"range": (start, start + size)}
        if not etag.startswith(_TIME):
            options["if_match"] = f'"{etag}"'
        try:
            found = await obstore.get_async(self._store, name, options=options)
            # Not every server minds the condition.
            if _seen(found.meta).version != version:
                raise ReplacedError
            return bytes(await found.bytes_async())
        except (BaseError, OSError, ValueError) as error:
            self._refuse(error)

    def _refuse(self, error: Exception) -> NoReturn:
        """Raise what an error of obstore's means; its text may hold parts of a request."""
        text = str(error)
        status = int(found[1]) if (found := _STATUS.search(text)) else 0
        if isinstance(error, FileNotFoundError) or status == _GONE:
            raise GoneError from None
        if isinstance(error, PreconditionError) or status == _BEYOND_END:
            raise ReplacedError from None
        if what := self._why_refused(error, text, status):
            raise RefusedRequestError(what) from None
        raise LostError(f"status {status}" if status else "the server is out of reach") from None

    def _why_refused(self, error: Exception, text: str, status: int) -> str:
        """Return why another try would not help, and what to do; empty if it may."""
        if isinstance(error, PermissionDeniedError | UnauthenticatedError) or status in _REFUSED:
            return f"refused; check the credentials ({self._variables}...), and what they may read"
        if status in _ELSEWHERE:
            return f"it is elsewhere; check its region and endpoint ({self._variables}...)"
        if isinstance(error, InvalidPathError):
            name = printable(found[1]) if (found := _BAD_NAME.search(text)) else "an object"
            return f"the name {name} has an empty or a dotted part; take that object away"
        if "builder error" in text:
            return f"its endpoint is no URL that can be used ({self._variables}...)"
        return ""


def _seen(meta: "ObjectMeta") -> Seen:
    """Return what is known of an object. Azure gives its etag with quotes, or without."""
    changed_at = meta["last_modified"].timestamp()
    tag = (meta["e_tag"] or "").strip('"') or f"{_TIME}{changed_at}"
    return Seen(meta["size"], f"{meta['size']} {tag}", changed_at)
