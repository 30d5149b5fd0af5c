"""A round: one command for all hospitals, by workers, and one summary of it.

Several machines may do the same round at once, and share its hospitals: each begins at another
place, and leaves a hospital to the load that has its database. Which hospital another load of the
round has done, the number of its last run tells: clocks of two machines differ.
"""

import logging
import secrets
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import typer

from visitpay import hospitals, settings
from visitpay.cli.many import summary
from visitpay.cli.many.workers import Task, WorkerDiedError, crew
from visitpay.cli.signals import stoppable
from visitpay.errors import VisitPayError
from visitpay.hospitals import Hospital
from visitpay.settings import Settings
from visitpay.text import counted, first, printable

Answers = dict[str, Any]


class Workers(Protocol):
    """Who does the work."""

    def do(self, tasks: Sequence[Task]) -> Answers:
        """Return the answers by hospital."""


_NAMED = 3


@dataclass(frozen=True)
class Wanted:
    """What a round is to do."""

    command: str
    given: Mapping[str, Sequence[str]]
    """The arguments for each hospital, by the names of their options."""
    workers: int
    only: Collection[str]
    reports: Path = Path("reports")
    """The directory for the pages of `report`."""


def run_round(wanted: Wanted, every: Sequence[Hospital], params: Mapping[str, Any]) -> None:
    """Run a command for all hospitals, and say what came of it; `params` are its options.

    Raises typer.Exit with the worst exit status, StoppedError at a signal, once the files under way
    are rolled back.
    """
    from visitpay.cli.load import watched
    from visitpay.cli.logs import start_log
    from visitpay.notify.watch import LoadWatch

    is_load = wanted.command == "load"
    path = params.get("log_file")  # the parser gives a text
    log_file = Path(path) if path else None
    start_log(params.get("log_format", "text"), scheduled=is_load, path=log_file)
    chosen = hospitals.choose(every, wanted.only)
    if wanted.command == "report":
        is_given = "output" in wanted.given
        reports = Path(params["output"]) if is_given else _reports(every[0].file)
        wanted = replace(wanted, reports=reports)
    is_watched = is_load and not params["dry_run"]
    ping_url = str(settings.in_force("ping_url").value) if is_watched else ""
    with watched(LoadWatch(ping_url=ping_url)), stoppable(rolled_back=is_load):
        answers = _answers(wanted, _from_anywhere(chosen))
        documents = {each.name: answers[each.name]["document"] for each in chosen}
        if wanted.command == "report" and not wanted.only:  # the index is of all
            _write_index(wanted.reports, documents)
        _show(wanted, documents, every[0].file, as_json=params["as_json"])
        _leave(wanted, answers, documents)


def _from_anywhere(chosen: list[Hospital]) -> list[Hospital]:
    """Return the hospitals in their order, begun at another place by each machine."""
    start = secrets.randbelow(len(chosen))
    return chosen[start:] + chosen[:start]


def _answers(wanted: Wanted, chosen: Sequence[Hospital]) -> Answers:
    """Return what the workers answer, by hospital."""
    with crew(min(wanted.workers, len(chosen)), chosen[0].file) as workers:
        if wanted.command != "load":
            tasks = [_task(each, wanted) for each in chosen]
            return _told(workers.do(tasks))
        return shared_load(wanted, chosen, workers)


def shared_load(wanted: Wanted, chosen: Sequence[Hospital], workers: Workers) -> Answers:
    """Load all, none twice: what another load holds is looked at again at the end."""
    asked = workers.do([Task(each.name, each.fault, ()) for each in chosen])
    tasks = {}
    for each in chosen:
        answer = asked[each.name]
        last_run = None if isinstance(answer, Exception) else answer["last_run"]
        tasks[each.name] = _task(each, wanted, *_sharing(last_run))
    answers = _told(workers.do(list(tasks.values())))
    taken = [name for name, answer in answers.items() if answer["is_taken"]]
    return answers | _told(workers.do([tasks[name] for name in taken]))


def _sharing(last_run: int | None) -> list[str]:
    """Return the arguments of a load that others may take over; `last_run` is before the round."""
    return ["--wait=0"] + ([] if last_run is None else [f"--unless-after={last_run}"])


def _task(hospital: Hospital, wanted: Wanted, *others: str) -> Task:
    given = {**wanted.given, "as_json": ["--json"]}
    if wanted.command == "report":
        given["output"] = [f"--output={wanted.reports / _page_name(hospital.name)}"]
    words = [word for words in given.values() for word in words]
    return Task(hospital.name, hospital.fault, [wanted.command, *words, *others])


def _told(answers: Answers) -> Answers:
    """Return the answers, with a document for a process that died, and a line in the log."""
    return {name: _of_dead(name, answer) for name, answer in answers.items()}


def _of_dead(hospital: str, answer: Any) -> Any:  # noqa: ANN401 - JSON
    from visitpay.cli import to_json

    if isinstance(answer, WorkerDiedError):
        message = str(answer)
    elif isinstance(answer, Exception):
        message = "its process cannot be started"
    elif answer["document"] is None:
        message = "it printed nothing that can be read"
    else:
        return answer
    logging.getLogger("visitpay").error("%s: %s", printable(hospital), message)
    document = to_json.error("failed", f"{message}; nothing half-done is kept, run it again")
    status = VisitPayError.exit_status
    return {"exit_status": status, "is_error": True, "is_taken": False, "document": document}


def _show(wanted: Wanted, documents: Mapping[str, Any], file: Settings, *, as_json: bool) -> None:
    from visitpay.cli import console, to_json

    if as_json:
        whole = to_json.round_of_hospitals(summary.worst(documents), documents)
        typer.echo(to_json.dumps(whole))
    elif wanted.command != "load" or sys.stdout.isatty():
        here = f"{file.name}, "  # the lines of the table need not name the one file
        rows = [summary.row_of(wanted.command, *each) for each in documents.items()]
        rows = [row._replace(what=row.what.replace(here, "")) for row in rows]
        console.show(summary.Row._fields, rows)
        well = sum(each["status"] in {"ok", "left"} for each in documents.values())
        console.say(f"{well:,} of {counted(len(documents), 'hospital')} well")


def _leave(wanted: Wanted, answers: Answers, documents: Mapping[str, Any]) -> None:
    """Exit with the worst status of all; the last line of a load's log says whose it is."""
    from visitpay.cli.logs import tell
    from visitpay.events import Event

    statuses = [answer["exit_status"] for answer in answers.values()]
    status = min(max(statuses), VisitPayError.exit_status)
    if not status:
        return
    if wanted.command == "load":
        bad = [name for name, each in summary.by_urgency(documents) if answers[name]["exit_status"]]
        named = first(map(printable, bad), _NAMED, len(bad))
        what = f"{len(bad):,} of {counted(len(answers), 'hospital')} failed or needs a person"
        tell(f"{what}: {named}; see: visitpay status --all", Event.NEEDS_PERSON)
    raise typer.Exit(status)


def _reports(file: Settings) -> Path:
    """Return the directory for the pages where no argument says."""
    found = file.first("output", [()])
    return Path(str(found.value)) if found else Wanted.reports


def _write_index(directory: Path, documents: Mapping[str, Any]) -> None:
    """Write the page that shows all hospitals; raises ConfigurationError if that cannot be done."""
    from visitpay.private_files import write_private

    try:
        from visitpay.reporting import index, page
    except ImportError:  # each hospital says what is missing
        return
    lines = []
    for name, document in summary.by_urgency(documents):
        page_name = _page_name(name)
        known = page_name if (directory / page_name).exists() else ""
        lines.append(index.Line(name, document["status"], _summary(document), known))
    with write_private(directory / "index.html", over=page.BEGIN) as file:
        file.write(index.index(lines, datetime.now(UTC)))


def _summary(document: Mapping[str, Any]) -> str:
    return str(document.get("summary") or document["error"])


def _page_name(hospital: str) -> str:
    return f"{hospitals.file_stem(hospital)}.html"
