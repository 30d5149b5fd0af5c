"""Pings for a dead man's switch, by the protocol of healthchecks.io."""

import logging
from functools import partial
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import SplitResult, urlsplit
from urllib.request import Request, urlopen

from visitpay.errors import ConfigurationError
from visitpay.notify.timeouts import run_within
from visitpay.version import __version__

logger = logging.getLogger(__name__)

SECONDS = 5.0
"""The longest time that a ping may delay a load."""


class Heartbeat:
    """Pings a URL when a load begins, and when it ends.

    The URL is a secret: no message contains it.
    """

    def __init__(self, url: str) -> None:
        """Raise ConfigurationError unless the URL is one of http or https."""
        try:
            self._url = _checked(url.strip())
        except ValueError:
            message = "VISITPAY_PING_URL is not a URL of http or https"
            raise ConfigurationError(message) from None  # the ValueError may contain a part of it
        self._warned = False

    def begin(self) -> None:
        """Ping that a load begins."""
        self._ping("/start")

    def end(self, exit_status: int) -> None:
        """Ping that it ended, and how."""
        self._ping(f"/{exit_status}" if exit_status else "")

    def _ping(self, suffix: str) -> None:
        """Send one ping; the first that fails logs a warning."""
        url = self._url._replace(path=self._url.path.rstrip("/") + suffix).geturl()
        (trouble,) = run_within(SECONDS, [partial(_get, url)])
        if trouble != "" and not self._warned:
            logger.warning("the ping did not get through: %s", trouble or "no answer in time")
            self._warned = True


def _checked(url: str) -> SplitResult:
    parts = urlsplit(url)
    _ = parts.port  # raises ValueError if it is not a port
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError
    return parts


def _get(url: str) -> str:
    """Request a URL; returns what went wrong, without the URL, or an empty string."""
    request = Request(url, headers={"User-Agent": f"visitpay/{__version__}"})  # noqa: S310 - _checked
    try:
        with urlopen(request, timeout=SECONDS):  # noqa: S310
            return ""
    except HTTPError as error:
        error.close()
        return f"the answer was {error.code}"
    except (OSError, HTTPException, ValueError):
        return "no connection"
