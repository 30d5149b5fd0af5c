"""Alert channels: mail, chat, pagers, webhooks, whatever Apprise can reach."""

import logging
import re
from collections.abc import Mapping
from functools import partial

from apprise import Apprise, NotifyFormat, NotifyType

from visitpay.notify.timeouts import run_within

logger = logging.getLogger(__name__)

# It logs URLs, and passwords with them. Who sets logging up can enable a logger again that is
# disabled, but does not take a filter away.
logging.getLogger("apprise").addFilter(lambda _record: False)

SECONDS = 15.0
"""For so long a message may keep a load waiting, whatever the channels do."""

_BETWEEN_URLS = re.compile(r"[\s,]+(?=[\w+-]+://)")  # within one there may be commas, too


def channels_of(urls: str) -> tuple[dict[int, Apprise], list[int]]:
    """Give the channels by the numbers of their URLs, and the numbers that Apprise cannot use.

    Between the URLs are commas or spaces.
    """
    channels, unusable = {}, []
    for number, url in enumerate(_BETWEEN_URLS.split(urls.strip(", \t\r\n")), 1):
        channel = Apprise()
        if channel.add(url) and len(channel) == 1:
            channels[number] = channel
        else:
            unusable.append(number)
    return channels, unusable


def send(channels: Mapping[int, Apprise], title: str, body: str, *, good: bool = False) -> bool:
    """Tell all channels at once; gives whether any took it, and warns of each that did not."""
    kind = NotifyType.SUCCESS if good else NotifyType.WARNING
    works = [partial(_notify, each, title, body, kind) for each in channels.values()]
    taken = run_within(SECONDS, works)
    for (number, channel), took in zip(channels.items(), taken, strict=True):
        if not took:
            name = channel[0].service_name
            logger.warning("alert channel %d (%s) did not take the message", number, name)
    return any(taken)


def _notify(channel: Apprise, title: str, body: str, kind: NotifyType) -> bool:
    try:
        return bool(channel.notify(body, title, kind, body_format=NotifyFormat.TEXT))
    except Exception:  # noqa: BLE001 - a hundred plugins, and none of them costs a load
        return False
