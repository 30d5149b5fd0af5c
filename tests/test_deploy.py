"""What is handed out to schedule a load fits the command."""

import ast
import configparser
import json
import re
import shlex
from pathlib import Path

import pytest

from tests.support.command import Visitpay
from tests.support.databases import ROOT
from tests.support.feed import Feed, only_sqlite
from visitpay.models import Procedure
from visitpay.version import __version__

DEPLOY = ROOT / "deploy"
CONTAINERFILE = (ROOT / "Containerfile").read_text()
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


def arguments(manifest: str) -> list[str]:
    """Return the arguments that a container of Kubernetes gives the image's command."""
    found = re.search(r"args: (\[.*\])", (DEPLOY / manifest).read_text())
    assert found is not None
    return [str(word) for word in json.loads(found[1])]


@only_sqlite
def test_the_cron_job_runs_a_load(feed: Feed, visitpay: Visitpay) -> None:
    """So is that of the Kubernetes CronJob, but for its landing directory."""
    command, _, *options = arguments("cronjob.yaml")
    assert visitpay(command, feed.landing, *options).status == 0


@only_sqlite
def test_many_hospitals(
    feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """So are those of the CronJob for many hospitals, and of Airflow's tasks."""
    monkeypatch.delenv("VISITPAY_DATABASE_URL")
    file = tmp_path / "hospitals.toml"
    text = f'[HospitalABC]\nlanding = "{feed.landing}"\ndatabase_url = "{feed.url}"\n'
    file.write_text(text)
    monkeypatch.setenv("VISITPAY_HOSPITALS", str(file))
    feed.deliver(Procedure)
    assert visitpay(*arguments("cronjob-all.yaml")).status == 0
    assert feed.descriptions() == {1: "bandaid"}
    dag = (DEPLOY / "airflow" / "visitpay_dag.py").read_text()
    words = re.search(r"^LOAD = (.*)$", dag, re.MULTILINE)
    assert words is not None
    assert visitpay(*ast.literal_eval(words[1]), "HospitalABC").status == 0


@only_sqlite
@pytest.mark.usefixtures("feed")
def test_the_job_migrates(visitpay: Visitpay) -> None:
    """So is that of the Job that migrates; here there is nothing to do."""
    assert visitpay(*arguments("migrate.yaml")).status == 0


@pytest.mark.parametrize("manifest", ["cronjob.yaml", "cronjob-all.yaml", "migrate.yaml"])
def test_kubernetes_runs_the_image(manifest: str) -> None:
    """Version and user are the Containerfile's, and only a volume is written."""
    text = (DEPLOY / manifest).read_text()
    user = re.search(r"^USER (\d+):(\d+)$", CONTAINERFILE, re.MULTILINE)
    assert user is not None
    for line in (
        f"image: visitpay:{__version__}",
        f"runAsUser: {user[1]}",
        f"runAsGroup: {user[2]}",
        f"fsGroup: {user[2]}",
        "readOnlyRootFilesystem: true",
        "{name: state, mountPath: /var/lib/visitpay}",
    ):
        assert line in text


def test_the_image_writes_nowhere_but_in_its_volume() -> None:
    """SQLite's temporary files, too: a load with a reject needs a place for them."""
    for name in ("VOLUME ", "SQLITE_TMPDIR=", "STATE_DIRECTORY="):
        assert f"{name}/var/lib/visitpay" in CONTAINERFILE


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
