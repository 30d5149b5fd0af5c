"""The metrics that a load writes."""

from datetime import UTC, datetime

from prometheus_client import Metric
from sqlalchemy import create_engine

from tools.blocks.markdown import code, table
from visitpay.landing.place import Landing
from visitpay.models import Base
from visitpay.notify.metrics import database_metrics, run_metrics
from visitpay.verdict.problems import Feed


def metrics() -> str:
    """Return the names, labels and meanings of the metrics."""
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with engine.connect() as connection:
        feed = Feed(connection, Landing((), {}), datetime.now(UTC))
        families = [*run_metrics(0, 0), *database_metrics(feed)]
    rows = ((code(_name(each)), each.type, _labels(each), each.documentation) for each in families)
    return table(("metric", "type", "labels", "meaning"), rows)


def _name(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def _labels(family: Metric) -> str:
    return ", ".join(map(code, family._labelnames))  # type: ignore[attr-defined] # noqa: SLF001 - an empty family tells them nowhere else
