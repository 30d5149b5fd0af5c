"""Alert channels: mail, chat, pagers, webhooks and whatever else Apprise can reach."""

import logging
import re
from collections.abc import Mapping
from functools import partial

from apprise import Apprise, NotifyFormat, NotifyType

from visitpay.notify.timeouts import run_within

logger = logging.getLogger(__name__)

# It logs URLs with their passwords. A filter, not `disabled`: that of a logger is reset when
# logging is configured.
logging.getLogger("apprise").addFilter(lambda _record: False)

SECONDS = 15.0
"""The longest time that a message may delay a load, whatever the channels do."""

_BETWEEN_URLS = re.compile(r"[\s,]+(?=[\w+-]+://)")  # a URL may itself contain commas


def channels_of(urls: str) -> tuple[dict[int, Apprise], list[int]]:
    """Return the channels by the numbers of their URLs, and the numbers that Apprise cannot use.

    The URLs are separated by commas or spaces, and numbered from 1.
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
    """Send a message to all channels at once; returns whether at least one accepted it.

    Logs a warning for each channel that did not.
    """
    kind = NotifyType.SUCCESS if good else NotifyType.WARNING
    tasks = [partial(_notify, channel, title, body, kind) for channel in channels.values()]
    results = run_within(SECONDS, tasks)
    for (number, channel), accepted in zip(channels.items(), results, strict=True):
        if not accepted:
            name = channel[0].service_name
            logger.warning("alert channel %d (%s) did not take the message", number, name)
    return any(results)


def _notify(channel: Apprise, title: str, body: str, kind: NotifyType) -> bool:
    try:
        return bool(channel.notify(body, title, kind, body_format=NotifyFormat.TEXT))
    except Exception:  # noqa: BLE001 - whatever one of a hundred plugins raises, the load goes on
        return False
