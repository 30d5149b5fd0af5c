"""What is handed out to schedule a load fits the command."""

import configparser
import re
import shlex

from tests.support.command import Visitpay
from tests.support.databases import ROOT
from tests.support.feed import Feed, only_sqlite
from visitpay.models import Procedure

DEPLOY = ROOT / "deploy"
OPERATING = (ROOT / "docs" / "operating.md").read_text()


def unit(name: str) -> dict[str, dict[str, str]]:
    """Return the sections of a unit; of settings given twice, the last."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(DEPLOY / name)
    return {section: dict(parser[section]) for section in parser.sections()}


@only_sqlite
def test_the_service_runs_a_load(feed: Feed, visitpay: Visitpay) -> None:
    """The service's command line is one that the command takes."""
    program, *arguments = shlex.split(unit("visitpay.service")["Service"]["ExecStart"])
    assert program == "/opt/visitpay/.venv/bin/visitpay"
    feed.deliver(Procedure)
    assert visitpay(*arguments).status == 0
    assert feed.descriptions() == {1: "bandaid"}


@only_sqlite
def test_the_cron_job_runs_a_load(feed: Feed, visitpay: Visitpay) -> None:
    """So is that of the Kubernetes CronJob, but for its landing directory."""
    found = re.search(r"args: \[(.*)\]", (DEPLOY / "cronjob.yaml").read_text())
    assert found is not None
    command, _, *options = (word.strip(' "') for word in found[1].split(","))
    assert visitpay(command, feed.landing, *options).status == 0


def test_the_timer_starts_the_service() -> None:
    """Service and timer have the same name, and what was missed is made up for."""
    timer = unit("visitpay.timer")
    assert timer["Timer"]["Persistent"] == "true"
    assert timer["Install"]["WantedBy"] == "timers.target"


def test_the_service_is_hardened() -> None:
    """It may write its state directory alone, and gain nothing."""
    service = unit("visitpay.service")["Service"]
    expected = {
        "ProtectSystem": "strict",
        "NoNewPrivileges": "yes",
        "CapabilityBoundingSet": "",
        "UMask": "0077",
        "StateDirectoryMode": "0700",
    }
    assert {name: service[name] for name in expected} == expected


def test_every_alert_has_something_to_do() -> None:
    """So does who is woken by Prometheus."""
    names = re.findall(r"alert: (\w+)", (ROOT / "docs" / "alerts.yml").read_text())
    assert len(names) > 5
    assert {name for name in names if f"`{name}`" not in OPERATING} == set()


def test_every_exit_status_has_something_to_do() -> None:
    """Whoever is woken finds the status in the table."""
    for status in ("1", "2", "3", "130 or 143"):
        assert f"| exit status {status}" in OPERATING
