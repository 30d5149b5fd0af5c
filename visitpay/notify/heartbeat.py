"""Pings for a dead man's switch, after the protocol of healthchecks.io."""

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
"""For so long a ping may keep a load waiting."""


class Heartbeat:
    """Whoever expects to hear that a load began, and how it ended.

    The URL is a secret: it is never told.
    """

    def __init__(self, url: str) -> None:
        """Check the URL; raises ConfigurationError unless it is one of http or https."""
        try:
            self._url = _checked(url.strip())
        except ValueError:
            message = "VISITPAY_PING_URL is not a URL of http or https"
            raise ConfigurationError(message) from None  # a ValueError may name a part of it
        self._warned = False

    def begin(self) -> None:
        """Say that a load begins."""
        self._ping("/start")

    def end(self, exit_status: int) -> None:
        """Say how it ended."""
        self._ping(f"/{exit_status}" if exit_status else "")

    def _ping(self, signal: str) -> None:
        """Send one; costs a warning, the first time that it does not get through."""
        url = self._url._replace(path=self._url.path.rstrip("/") + signal).geturl()
        (trouble,) = run_within(SECONDS, [partial(_get, url)])
        if trouble != "" and not self._warned:
            logger.warning("the ping did not get through: %s", trouble or "no answer in time")
            self._warned = True


def _checked(url: str) -> SplitResult:
    parts = urlsplit(url)
    _ = parts.port  # raises what is wrong with it
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError
    return parts


def _get(url: str) -> str:
    """Ask for a URL; gives what went wrong, without the URL, or nothing."""
    request = Request(url, headers={"User-Agent": f"visitpay/{__version__}"})  # noqa: S310 - _checked
    try:
        with urlopen(request, timeout=SECONDS):  # noqa: S310
            return ""
    except HTTPError as error:
        error.close()
        return f"the answer was {error.code}"
    except (OSError, HTTPException, ValueError):
        return "no connection"
