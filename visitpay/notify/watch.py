"""Alerting: who is told of a load, beside whoever reads its log."""

import logging
import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from visitpay.database.session import ExclusiveSession
from visitpay.errors import ConfigurationError, DatabaseError, StoppedError, VisitPayError
from visitpay.landing.place import Landing
from visitpay.private_files import may_replace
from visitpay.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from apprise import Apprise
    from prometheus_client import Metric

    from visitpay.notify.heartbeat import Heartbeat
    from visitpay.notify.last_alert import LastAlert

logger = logging.getLogger(__name__)


class LoadWatch:
    """The watch over one load: people, a dead man's switch, Prometheus, each where it is set.

    None of them can fail the load, nor hold it up for long: a setting that cannot be used costs a
    warning, and the others are used.
    """

    def __init__(
        self,
        alert_urls: str = "",
        ping_url: str = "",
        metrics_file: Path | None = None,
        lately: "LastAlert | None" = None,
        expect: str | None = None,
    ) -> None:
        """Say who is to be told.

        Without `lately` a load that cannot run says so each time. For `expect` see
        `quality.findings`.
        """
        self._lately, self._expect = lately, expect
        self._channels, troubles = open_channels(alert_urls)
        self._pinger, of_pinger = open_heartbeat(ping_url)
        self._metrics_file, of_metrics = open_metrics(metrics_file)
        for trouble in troubles + of_pinger + of_metrics:
            logger.warning("not used, the load goes on without it: %s", trouble)
        self._books: Sequence[Metric] | None = None
        self._over = False
        self._began = time.monotonic()

    def begin(self) -> None:
        """Say that the load begins."""
        self._began = time.monotonic()
        if self._pinger:
            self._pinger.begin()

    def after_load(self, hold: ExclusiveSession, landed: Landing) -> None:
        """Look at what the load left, as long as it has its hold, and tell what is new."""
        self._over = True
        try:
            if self._channels:
                self._tell(hold, landed)
            if self._metrics_file:
                from visitpay.notify import metrics

                self._books = hold.transact(partial(metrics.of_books, files=landed.files))
        except DatabaseError as error:
            logger.warning("all is loaded, but not all could be told of it: %s", error)

    def end(self, exit_status: int, error: Exception | None = None) -> None:
        """Say how the load ended; `error` is what ended it before its time."""
        if self._channels and error and not (self._over or isinstance(error, StoppedError)):
            self._tell_of(error)
        if self._metrics_file:
            from visitpay.notify import metrics

            run = metrics.of_run(exit_status, time.monotonic() - self._began)
            metrics.write(self._metrics_file, run, self._books)
        if self._pinger:
            self._pinger.end(exit_status)

    def _tell(self, hold: ExclusiveSession, landed: Landing) -> None:
        from visitpay.notify import channels, problems
        from visitpay.notify.problems import Transition

        seen = (landed, datetime.now(UTC), self._expect)
        changes = hold.transact(lambda each: problems.changes_of(each, *seen))
        news = [change for change in changes if change.turn.worth_telling]
        told = bool(news) and channels.send(
            self._channels,
            *problems.summary(news),
            good=all(change.turn is Transition.OVER for change in news),
        )
        if changes:
            hold.transact(lambda each: problems.record(each, *seen, told=told))

    def _tell_of(self, error: Exception) -> None:
        from visitpay.notify import channels, problems

        # What a bug has to say may hold a cell.
        what = str(error) if isinstance(error, VisitPayError) else type(error).__name__
        if self._lately and self._lately.was_told(what):
            return
        title = f"{problems.origin()}: a load could not run"
        body = f"{what}; what was not loaded waits for the next load"
        if channels.send(self._channels, title, body) and self._lately:
            self._lately.tell(what)


def open_channels(urls: str) -> "tuple[Mapping[int, Apprise], list[str]]":
    """Give the channels by the numbers of their Apprise URLs, and what is wrong with the others."""
    if not urls.strip():
        return {}, []
    try:
        from visitpay.notify.channels import channels_of
    except ImportError:
        return {}, ["VISITPAY_ALERT_URLS needs Apprise; run: pip install 'visitpay[alerts]'"]
    channels, unusable = channels_of(urls)
    told = "URL {} of VISITPAY_ALERT_URLS is none that Apprise can use"
    return channels, [told.format(number) for number in unusable]


def open_heartbeat(url: str) -> "tuple[Heartbeat | None, list[str]]":
    """Give who is pinged, if anyone is, or what is wrong with its URL."""
    if not url.strip():
        return None, []
    from visitpay.notify.heartbeat import Heartbeat

    try:
        return Heartbeat(url), []
    except ConfigurationError as error:
        return None, [str(error)]


def open_metrics(path: Path | None) -> tuple[Path | None, list[str]]:
    """Give the metrics file, if one is wanted, or why it cannot be written."""
    if path:
        try:
            from visitpay.notify.metrics import BEGIN
        except ImportError:
            message = "--metrics-file needs prometheus-client; run: pip install 'visitpay[metrics]'"
            return None, [message]
        with suppress(OSError):  # writing it will say what is wrong
            if not may_replace(path, BEGIN):
                return None, [f"{printable(str(path))} holds no metrics, and is not written over"]
    return path, []
