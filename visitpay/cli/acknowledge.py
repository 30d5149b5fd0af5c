"""`visitpay acknowledge`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from visitpay import api
from visitpay.cli import completion, options
from visitpay.cli.signals import stoppable
from visitpay.text import counted
from visitpay.vocabulary import DEFAULT_URL

if TYPE_CHECKING:
    from visitpay.verdict.problems import CurrentProblem


def acknowledge(  # noqa: PLR0913 - each is an option of the command
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            callback=options.as_kind,
            autocompletion=completion.kinds,
            help="The kind of problem, such as file_failed, as `status --json` names it.",
        ),
    ],
    subjects: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SUBJECT]...", help="What it is about, such as a file; else all of the kind."
        ),
    ] = None,
    *,
    why: Annotated[str, typer.Option(metavar="TEXT", help="Why it may stay; recorded.")] = "",
    entity: options.OfEntity = None,
    reason: options.OfReason = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take it back.")] = False,
    landing: options.LandingOption = options.DEFAULT_LANDING,
    database_url: options.DatabaseUrl = DEFAULT_URL,
    hospital: options.Hospital = options.DEFAULT_HOSPITAL,
    pass_over: options.PassOver = None,
    expect: options.Expected = None,
    every: options.Every = None,
    wait: options.Wait = 60,
    as_json: options.Json = False,
) -> None:
    """Say that a problem is known and may stay, and why: it then needs no person.

    It comes back when it gets worse, such as by one more rejected row, or when it was over and
    begins again. Who said so, when and why is recorded. Rejected rows are chosen by --entity and
    --reason; a row that nobody will ever mend is better closed by `visitpay rejects dismiss`.

    Example: visitpay acknowledge rows_rejected --why "the hospital knows"
    """
    wanted = [_name(subject) for subject in subjects or ()]
    among = _rejected(kind, wanted, entity, reason) if entity or reason else []
    if not (undo or why.strip()):
        message = "say why"
        raise typer.BadParameter(message, param_hint="--why")
    with stoppable():
        if undo:
            count = api.take_back(
                kind, *wanted, *among, database_url=database_url, wait_seconds=wait
            )
            known: list[CurrentProblem] = []
        else:
            known = api.acknowledge(
                kind,
                *wanted,
                among=among,
                why=why,
                landing=landing,
                database_url=database_url,
                hospital=hospital,
                pass_over=pass_over or (),
                expect=expect,
                every=every,
                wait_seconds=wait,
            )
            count = len(known)
    if as_json:
        from visitpay.cli import to_json

        typer.echo(to_json.dumps(to_json.acknowledged(known, count if undo else 0)))
    else:
        typer.echo(f"{'taken back' if undo else 'acknowledged'}: {counted(count, 'problem')}")


def _name(subject: str) -> str:
    """Return what a subject is called: a file may be given with its directory."""
    return Path(subject).name if subject.endswith(".txt") else subject


def _rejected(kind: str, subjects: list[str], entity: str | None, reason: str | None) -> list[str]:
    """Return the subjects of rejected rows of an entity, for a reason, or of both."""
    from visitpay.models import ENTITIES
    from visitpay.verdict.kinds import ROWS_REJECTED
    from visitpay.vocabulary import Reason

    if kind != ROWS_REJECTED or subjects:
        message = "--entity and --reason choose rejected rows: give them with rows_rejected alone"
        raise typer.BadParameter(message, param_hint="KIND")
    entities = [entity] if entity else [each.__name__ for each in ENTITIES]
    reasons = [reason] if reason else list(Reason)
    return [f"{each} {why}" for each in entities for why in reasons]
