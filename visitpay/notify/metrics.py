"""The metrics file: Prometheus reads it through node_exporter's textfile collector."""

import logging
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric, write_to_textfile
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from visitpay.ledger.files import Counts
from visitpay.ledger.history import checkpoint
from visitpay.models import LoadFile, LoadRun, RejectedRow
from visitpay.text import printable
from visitpay.verdict.problems import CurrentProblem, Feed
from visitpay.verdict.verdict import Verdict, judge
from visitpay.vocabulary import FileStatus, Health, RejectStatus, RunStatus

logger = logging.getLogger(__name__)

BEGIN = b"# "
"""The first bytes of a metrics file."""

_OUTCOMES = [field.name for field in fields(Counts) if field.name != "read"]

_ROWS = (
    select(
        LoadFile.entity, *(func.sum(getattr(LoadFile, f"rows_{outcome}")) for outcome in _OUTCOMES)
    )
    .where(LoadFile.status == FileStatus.LOADED)
    .group_by(LoadFile.entity)
    .order_by(LoadFile.entity)
)
_LOADED = select(func.count()).select_from(LoadFile).where(LoadFile.status == FileStatus.LOADED)
_OPEN = (
    select(RejectedRow.entity, RejectedRow.reason, func.count())
    .where(RejectedRow.status == RejectStatus.OPEN)
    .group_by(RejectedRow.entity, RejectedRow.reason)
    .order_by(RejectedRow.entity, RejectedRow.reason)
)
_LAST_SUCCESS = select(func.max(LoadRun.finished_at)).where(LoadRun.status == RunStatus.OK)


def database_metrics(feed: Feed, lasting: Sequence[CurrentProblem] | None = None) -> list[Metric]:
    """Return the metrics that come from the database and the landing directory.

    `lasting` are the problems that were found just before (`verdict.problems.find`).
    """
    connection = feed.connection
    verdict = judge(feed, lasting)
    success = connection.scalar(_LAST_SUCCESS)
    rows = CounterMetricFamily(
        "visitpay_rows", "Rows of all loaded files.", labels=("entity", "outcome")
    )
    for entity, *counts in connection.execute(_ROWS):
        for outcome, count in zip(_OUTCOMES, counts, strict=True):
            rows.add_metric((entity, outcome), int(count))
    by_status = GaugeMetricFamily(
        "visitpay_files",
        "Files loaded ever, and files that failed or are held, and wait.",
        labels=("status",),
    )
    by_status.add_metric((FileStatus.LOADED,), connection.scalar(_LOADED) or 0)
    by_status.add_metric((FileStatus.FAILED,), len(feed.failed))
    rejects = GaugeMetricFamily(
        "visitpay_rejects_open", "Rejected rows that are open.", labels=("entity", "reason")
    )
    for entity, reason, count in connection.execute(_OPEN):
        rejects.add_metric((entity, reason), count)
    return [
        rows,
        by_status,
        rejects,
        GaugeMetricFamily(
            "visitpay_checkpoint_timestamp_seconds",
            "The newest time, not in the future, in the name of a loaded file of the feed.",
            _seconds(checkpoint(connection, feed.now)),
        ),
        GaugeMetricFamily(
            "visitpay_loaded_until_timestamp_seconds",
            "Up to when all is loaded: the oldest of the newest times of the record types.",
            _seconds(verdict.loaded_until),
        ),
        _health(verdict.state),
        _problems(verdict),
        GaugeMetricFamily(
            "visitpay_last_success_timestamp_seconds",
            "When the last load with exit status 0 ended.",
            _seconds(success),
        ),
    ]


def needs_person() -> Metric:
    """Return the state of the verdict after a load that could not load."""
    return _health(Health.NEEDS_PERSON)


def _health(current: Health) -> Metric:
    health = GaugeMetricFamily(
        "visitpay_health", "1 for the state of the verdict, 0 for the others.", labels=("state",)
    )
    for state in Health:
        health.add_metric((state,), current is state)
    return health


def _problems(verdict: Verdict) -> Metric:
    problems = GaugeMetricFamily(
        "visitpay_problems", "Problems that need a person, by kind.", labels=("kind",)
    )
    for kind, count in sorted(Counter(problem.kind for problem in verdict.open).items()):
        problems.add_metric((kind,), count)
    return problems


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def run_metrics(exit_status: int, seconds: float) -> list[Metric]:
    """Return the metrics of a run that ends now and took so many seconds."""
    return [
        GaugeMetricFamily(
            "visitpay_last_run_timestamp_seconds", "When the last load ended.", time.time()
        ),
        GaugeMetricFamily(
            "visitpay_last_run_duration_seconds", "How long the last load took.", seconds
        ),
        GaugeMetricFamily(
            "visitpay_last_run_exit_status", "The exit status of the last load.", exit_status
        ),
    ]


def write(
    path: Path,
    of_run: Sequence[Metric],
    of_database: Sequence[Metric] | None,
    hospital: str = "",
) -> None:
    """Write the file under another name, and rename it; logs a warning if that fails.

    If `of_database` is None, since the run had no database, those in the file are kept. One
    `hospital` of many is a label of each.
    """
    others = _other_metrics(path, of_run) if of_database is None else of_database
    registry = CollectorRegistry()
    written = [*of_run, *others]
    registry.register(_Fixed(_labelled(written, hospital) if hospital else written))
    try:
        write_to_textfile(str(path), registry)
    except OSError as error:
        name = printable(str(path))
        logger.warning("the metrics file %s cannot be written: %s", name, error.strerror)


def _labelled(metrics: Sequence[Metric], hospital: str) -> list[Metric]:
    for metric in metrics:
        metric.samples = [
            sample._replace(labels={"hospital": hospital, **sample.labels})
            for sample in metric.samples
        ]
    return list(metrics)


class _Fixed(Collector):
    """A collector of metrics that are already there."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _other_metrics(path: Path, replaced: Sequence[Metric]) -> list[Metric]:
    """Return the metrics in the file, without those that are replaced."""
    names = {metric.name for metric in replaced}
    try:
        found = list(text_string_to_metric_families(path.read_text("utf-8")))
    except (OSError, ValueError):
        return []
    return [metric for metric in found if metric.name not in names]
