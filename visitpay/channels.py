"""Alert channels: mail, chat, pagers, webhooks, whatever Apprise can reach."""

import logging
import re
from collections.abc import Sequence
from functools import partial

from apprise import Apprise, NotifyFormat, NotifyType

from visitpay.errors import ConfigurationError
from visitpay.patience import within

logger = logging.getLogger(__name__)

# It logs URLs, and passwords with them. Who sets logging up can enable a logger again that is
# disabled, but does not take a filter away.
logging.getLogger("apprise").addFilter(lambda _record: False)

SECONDS = 15.0
"""For so long a message may keep a load waiting, whatever the channels do."""

_BETWEEN_URLS = re.compile(r"[\s,]+(?=[\w+-]+://)")  # within one there may be commas, too


def channels_of(urls: str) -> list[Apprise]:
    """Give a channel for each URL; between them are commas or spaces.

    Raises ConfigurationError, without the URL, for one that Apprise cannot use.
    """
    channels = []
    for number, url in enumerate(_BETWEEN_URLS.split(urls.strip(", \t\r\n")), 1):
        channel = Apprise()
        if not channel.add(url) or len(channel) != 1:
            message = f"URL {number} of VISITPAY_ALERT_URLS is none that Apprise can use"
            raise ConfigurationError(message)
        channels.append(channel)
    return channels


def send(channels: Sequence[Apprise], title: str, body: str, *, good: bool = False) -> bool:
    """Tell all channels at once; gives whether any took it, and warns of each that did not."""
    kind = NotifyType.SUCCESS if good else NotifyType.WARNING
    taken = within(SECONDS, [partial(_notify, each, title, body, kind) for each in channels])
    for number, (channel, took) in enumerate(zip(channels, taken, strict=True), 1):
        if not took:
            name = channel[0].service_name
            logger.warning("alert channel %d (%s) did not take the message", number, name)
    return any(taken)


def _notify(channel: Apprise, title: str, body: str, kind: NotifyType) -> bool:
    try:
        return bool(channel.notify(body, title, kind, body_format=NotifyFormat.TEXT))
    except Exception:  # noqa: BLE001 - a hundred plugins, and none of them costs a load
        return False
