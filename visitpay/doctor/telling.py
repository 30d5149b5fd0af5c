"""Whether people, a dead man's switch and Prometheus could be told of a load."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from visitpay.doctor.examined import Examined, State
from visitpay.notify.watch import open_channels, open_heartbeat, open_metrics
from visitpay.text import counted, printable


@dataclass(frozen=True)
class Told:
    """Who is told of a load."""

    alert_urls: str = ""
    ping_url: str = ""
    metrics_file: Path | None = None


NOBODY_TOLD = Told()


def look(told: Told, *, send: bool) -> Iterator[Examined]:
    """Check what is set up, and with `send` the alert channels by a message.

    The ping URL is not requested: its owner would take that for a load.
    """
    if send or told.alert_urls.strip():
        yield _channels(told.alert_urls, send=send)
    if told.ping_url.strip():
        yield _ping(told.ping_url)
    if told.metrics_file:
        yield _metrics(told.metrics_file)


def _channels(alert_urls: str, *, send: bool) -> Examined:
    if not alert_urls.strip():
        remedy = "set VISITPAY_ALERT_URLS to Apprise URLs of those who are to be told"
        return Examined("alerts", State.WARNING, "no channel is set", remedy)
    channels, troubles = open_channels(alert_urls)
    if troubles:
        return Examined("alerts", State.ERROR, "; ".join(troubles), "correct VISITPAY_ALERT_URLS")
    count = counted(len(channels), "channel")
    if not send:
        return Examined("alerts", State.OK, f"{count}, not asked (--send does)")
    from visitpay.notify.channels import send as alert

    if not alert(channels, "visitpay: a test", "The doctor looks whether this channel answers."):
        return Examined("alerts", State.ERROR, "no channel took a message", "see the log for which")
    return Examined("alerts", State.OK, f"a message was sent to {count}")


def _ping(url: str) -> Examined:
    _, troubles = open_heartbeat(url)
    if troubles:
        return Examined("ping", State.ERROR, "; ".join(troubles), "correct VISITPAY_PING_URL")
    return Examined("ping", State.OK, "a URL is set, not asked: that would count as a load")


def _metrics(path: Path) -> Examined:
    _, troubles = open_metrics(path)
    if troubles:
        return Examined("metrics", State.ERROR, "; ".join(troubles))
    name, folder = printable(str(path)), printable(str(path.parent))
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises PermissionError
        return Examined("metrics", State.ERROR, f"{name} is a directory", "name a file in it")
    if not os.path.isdir(path.parent):  # noqa: PTH112
        return Examined("metrics", State.ERROR, f"there is no directory {folder}", "make it")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        remedy = f"let the user of the load write to {folder}"
        return Examined("metrics", State.ERROR, f"no file can be written in {folder}", remedy)
    if path.suffix != ".prom":
        remedy = "let its name end with .prom: node_exporter reads no other file"
        return Examined("metrics", State.WARNING, f"{name} can be written", remedy)
    return Examined("metrics", State.OK, f"{name} can be written")
