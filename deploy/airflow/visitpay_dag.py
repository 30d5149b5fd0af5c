"""The loads of all hospitals as an Airflow DAG: a task for each, one `visitpay load` a task.

Airflow schedules, and shows; what was loaded is in each hospital's ledger, so that a task may run
twice, run late or be killed. Make the pool `visitpay` first: its slots are how many hospitals load
at once.
"""

import subprocess
import tomllib
from datetime import timedelta
from pathlib import Path

import pendulum
from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowFailException

HOSPITALS = Path("/etc/visitpay/hospitals.toml")

VISITPAY = "/opt/visitpay/.venv/bin/visitpay"
"""The command, in an environment of its own: its libraries are not those of Airflow."""

LOAD = ("load", "--all", "--only")

NEEDS_PERSON = {1, 2}
"""Exit statuses after which another try would tell the same."""


@dag(
    schedule="*/15 * * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
)
def visitpay() -> None:
    """Load what has arrived, every quarter of an hour."""

    @task
    def hospitals() -> list[str]:
        document = tomllib.loads(HOSPITALS.read_text("utf-8"))
        return [name for name, value in document.items() if isinstance(value, dict)]

    @task(
        pool="visitpay",
        retries=2,
        retry_delay=timedelta(minutes=1),
        map_index_template="{{ hospital }}",
    )
    def load(hospital: str) -> None:
        from airflow.sdk import get_current_context

        get_current_context()["hospital"] = hospital
        ended = subprocess.run([VISITPAY, *LOAD, hospital], check=False)
        if ended.returncode in NEEDS_PERSON:
            message = f"{hospital}: exit status {ended.returncode}, a person is needed"
            raise AirflowFailException(message)
        ended.check_returncode()

    load.expand(hospital=hospitals())


visitpay()
