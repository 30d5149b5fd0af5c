"""Tells people, a dead man's switch and Prometheus of a load."""

import logging
import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from visitpay.database.session import ExclusiveSession
from visitpay.errors import (
    ConfigurationError,
    DatabaseError,
    LeftError,
    StoppedError,
    VisitPayError,
)
from visitpay.hints import DEFAULT_SETUP, Setup
from visitpay.landing.place import Landing
from visitpay.private_files import may_replace
from visitpay.settings import one_of_many
from visitpay.text import printable
from visitpay.verdict.problems import (
    NOTHING_EXPECTED,
    CurrentProblem,
    Expectations,
    Feed,
    find_lasting,
)
from visitpay.verdict.record import Change, Transition, record, worth_telling

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from apprise import Apprise
    from prometheus_client import Metric

    from visitpay.notify.heartbeat import Heartbeat
    from visitpay.notify.last_alert import LastAlert

logger = logging.getLogger(__name__)


class LoadWatch:
    """Reports one load to people, a dead man's switch and Prometheus, as far as they are set up.

    None of these can fail the load, nor delay it for long. A setting that cannot be used is logged
    as a warning; the others are used.
    """

    def __init__(
        self,
        alert_urls: str = "",
        ping_url: str = "",
        metrics_file: Path | None = None,
        last_alert: "LastAlert | None" = None,
        expectations: Expectations = NOTHING_EXPECTED,
        setup: Setup = DEFAULT_SETUP,
    ) -> None:
        """Set up what is given; `setup` is what the commands in messages work on.

        Without `last_alert`, each load that cannot run sends an alert. Messages and metrics name
        the hospital, if it is one of many.
        """
        self._last_alert, self._expectations, self._setup = last_alert, expectations, setup
        self._hospital = one_of_many()
        self._channels, alert_faults = open_channels(alert_urls)
        self._heartbeat, ping_faults = open_heartbeat(ping_url)
        self._metrics_file, metrics_faults = open_metrics(metrics_file)
        for fault in alert_faults + ping_faults + metrics_faults:
            logger.warning("not used, the load goes on without it: %s", fault)
        self._database_metrics: Sequence[Metric] | None = None
        self._is_loaded = False
        self._began = time.monotonic()

    def begin(self) -> None:
        """Report that the load begins."""
        self._began = time.monotonic()
        if self._heartbeat:
            self._heartbeat.begin()

    def after_load(self, session: ExclusiveSession, landed: Landing, *, rows_changed: bool) -> None:
        """Record problems, tell people what is new, and collect metrics.

        The load still holds the run lock.
        """
        self._is_loaded = True
        now = datetime.now(UTC)
        state = (landed, now, self._expectations, self._setup)

        def feed(connection: Connection) -> Feed:
            return Feed(connection, *state, under_lock=True, rows_changed=rows_changed)

        def look(connection: Connection) -> tuple[list[CurrentProblem], frozenset[str]]:
            seen = feed(connection)
            return find_lasting(seen), seen.unseen

        try:
            found, unseen = session.transact(look)
            told = None
            if self._channels:
                news = partial(worth_telling, found=found, now=now, unseen=unseen)
                told = self._alert_of_changes(session.transact(news))
                self._alert_of_end()
            session.transact(partial(record, found=found, now=now, unseen=unseen, told=told))
            if self._metrics_file:
                from visitpay.notify.metrics import database_metrics

                self._database_metrics = session.transact(
                    lambda connection: database_metrics(feed(connection), found)
                )
        except DatabaseError as error:
            logger.warning("all is loaded, but not all could be told of it: %s", error)

    def end(self, exit_status: int, error: Exception | None = None) -> None:
        """Report how the load ended; `error` is what ended it early, if anything did."""
        is_refused = error and not (self._is_loaded or isinstance(error, StoppedError | LeftError))
        if self._channels and error and is_refused:
            self._alert_of_error(error)
        if self._metrics_file:
            from visitpay.notify import metrics

            of_run = metrics.run_metrics(exit_status, time.monotonic() - self._began)
            if is_refused:
                of_run.append(metrics.needs_person())
            path, of_database = self._metrics_file, self._database_metrics
            metrics.write(path, of_run, of_database, self._hospital)
        if self._heartbeat:
            self._heartbeat.end(exit_status)

    def _alert_of_changes(self, changes: "Sequence[Change]") -> bool:
        """Tell people of what has changed; return whether someone was told."""
        if not changes:
            return False
        from visitpay.notify import channels, message

        return channels.send(
            self._channels,
            *message.summary(changes, self._setup, self._hospital),
            good=all(change.transition is Transition.OVER for change in changes),
        )

    def _alert_of_end(self) -> None:
        """Tell people who were told that a load could not run that one did."""
        from visitpay.notify import channels, message

        if self._last_alert and self._last_alert.is_open:
            title, body = (
                f"{message.sender(self._hospital)}: 1 over",
                "over: a load could run again",
            )
            if channels.send(self._channels, title, body, good=True):
                self._last_alert.forget()

    def _alert_of_error(self, error: Exception) -> None:
        from visitpay.notify import channels, message

        # The text of an error that is not ours may contain a cell.
        what = str(error) if isinstance(error, VisitPayError) else type(error).__name__
        if self._last_alert and self._last_alert.was_sent(what):
            return
        title = f"{message.sender(self._hospital)}: a load could not run"
        body = f"{what}; what was not loaded waits for the next load"
        if channels.send(self._channels, title, body) and self._last_alert:
            self._last_alert.record(what)


def open_channels(urls: str) -> "tuple[Mapping[int, Apprise], list[str]]":
    """Return the channels by the numbers of their Apprise URLs, and what is wrong with others."""
    if not urls.strip():
        return {}, []
    try:
        from visitpay.notify.channels import channels_of
    except ImportError:
        return {}, ["VISITPAY_ALERT_URLS needs Apprise; run: pip install 'visitpay[alerts]'"]
    channels, unusable = channels_of(urls)
    return channels, [
        f"URL {number} of VISITPAY_ALERT_URLS is none that Apprise can use" for number in unusable
    ]


def open_heartbeat(url: str) -> "tuple[Heartbeat | None, list[str]]":
    """Return the heartbeat, None without a URL; and what is wrong with the URL."""
    if not url.strip():
        return None, []
    from visitpay.notify.heartbeat import Heartbeat

    try:
        return Heartbeat(url), []
    except ConfigurationError as error:
        return None, [str(error)]


def open_metrics(path: Path | None) -> tuple[Path | None, list[str]]:
    """Return the metrics file, None without one; and why it cannot be written."""
    if path:
        try:
            from visitpay.notify.metrics import BEGIN
        except ImportError:
            message = "--metrics-file needs prometheus-client; run: pip install 'visitpay[metrics]'"
            return None, [message]
        with suppress(OSError):  # `write` will report the error
            if not may_replace(path, BEGIN):
                return None, [f"{printable(str(path))} holds no metrics, and is not written over"]
    return path, []
