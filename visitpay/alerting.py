"""Alerting: who is told of a load, beside whoever reads its log."""

import logging
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from visitpay.errors import ConfigurationError, DatabaseError, StoppedError, VisitPayError
from visitpay.hold import Hold
from visitpay.landing import Landing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apprise import Apprise
    from prometheus_client import Metric

logger = logging.getLogger(__name__)


class Watch:
    """The watch over one load: people, a dead man's switch, Prometheus, each where it is set.

    None of them can fail the load, nor hold it up for long.
    """

    def __init__(
        self, alert_urls: str = "", ping_url: str = "", metrics_file: Path | None = None
    ) -> None:
        """Check the settings; raises ConfigurationError for one that cannot be used."""
        self._channels = open_channels(alert_urls) if alert_urls.strip() else []
        self._pinger = None
        if ping_url.strip():
            from visitpay.pinging import Pinger

            self._pinger = Pinger(ping_url)
        if metrics_file:
            _require_metrics()
        self._metrics_file = metrics_file
        self._books: Sequence[Metric] | None = None
        self._over = False
        self._began = time.monotonic()

    def begin(self) -> None:
        """Say that the load begins."""
        self._began = time.monotonic()
        if self._pinger:
            self._pinger.begin()

    def look(self, hold: Hold, landed: Landing) -> None:
        """Look at what the load left, as long as it has its hold, and tell what is new."""
        self._over = True
        try:
            if self._channels:
                self._tell(hold, landed)
            if self._metrics_file:
                from visitpay import metrics

                self._books = hold.unit(partial(metrics.of_books, files=landed.files))
        except DatabaseError as error:
            logger.warning("all is loaded, but not all could be told of it: %s", error)

    def end(self, exit_status: int, error: Exception | None = None) -> None:
        """Say how the load ended; `error` is what ended it before its time."""
        if self._channels and error and not (self._over or isinstance(error, StoppedError)):
            self._tell_of(error)
        if self._metrics_file:
            from visitpay import metrics

            run = metrics.of_run(exit_status, time.monotonic() - self._began)
            metrics.write(self._metrics_file, run, self._books)
        if self._pinger:
            self._pinger.end(exit_status)

    def _tell(self, hold: Hold, landed: Landing) -> None:
        from visitpay import channels, problems

        changes = hold.unit(partial(problems.changes_of, files=landed.files))
        news = [change for change in changes if change.turn.is_news]
        told = bool(news) and channels.send(
            self._channels,
            *problems.summary(news),
            good=all(change.turn is problems.Turn.OVER for change in news),
        )
        if changes:
            hold.unit(partial(problems.record, files=landed.files, told=told))

    def _tell_of(self, error: Exception) -> None:
        from visitpay import channels, problems

        # What a bug has to say may hold a cell.
        what = str(error) if isinstance(error, VisitPayError) else type(error).__name__
        title = f"{problems.origin()}: a load could not run"
        channels.send(self._channels, title, f"{what}; what was not loaded waits for the next load")


def open_channels(urls: str) -> "list[Apprise]":
    """Give a channel for each Apprise URL; raises ConfigurationError when it cannot be used."""
    try:
        from visitpay.channels import channels_of
    except ImportError as error:
        message = "VISITPAY_ALERT_URLS needs Apprise; run: pip install 'visitpay[alerts]'"
        raise ConfigurationError(message) from error
    return channels_of(urls)


def _require_metrics() -> None:
    try:
        import visitpay.metrics  # noqa: F401
    except ImportError as error:
        message = "--metrics-file needs prometheus-client; run: pip install 'visitpay[metrics]'"
        raise ConfigurationError(message) from error
