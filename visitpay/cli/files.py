"""`visitpay files`."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from visitpay.cli import completion, options
from visitpay.errors import ConfigurationError
from visitpay.text import minute
from visitpay.vocabulary import DEFAULT_URL, FileStatus

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from visitpay.hints import Setup
    from visitpay.ledger.files import Entry


def files(  # noqa: PLR0913 - each is an option of the command
    landing: options.LandingDirectory = options.DEFAULT_LANDING,
    *,
    database_url: options.DatabaseUrl = DEFAULT_URL,
    hospital: options.Hospital = options.DEFAULT_HOSPITAL,
    pass_over: options.PassOver = None,
    entity: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE",
            callback=options.as_entity,
            autocompletion=completion.entities,
            help="Only files of this type, such as visit.",
        ),
    ] = None,
    status: Annotated[
        FileStatus | None,
        typer.Option(help="Only files that ended so, also those that are gone by now."),
    ] = None,
    limit: options.Limit = 50,
    as_json: options.Json = False,
) -> None:
    """Show the ledger: every delivery of every file, the newest first.

    Of each, when it was loaded, or last tried. What failed, and no longer lies in LANDING as it
    was, is shown as `failed before`; what was held, as `held before`. A terminal without room for
    it is not shown how rows ended, but how many were rejected; --json has it all.

    Example: visitpay files --status failed
    """
    from visitpay.database.engine import read_connection
    from visitpay.hints import setup_of
    from visitpay.ledger.files import count_entries, list_entries

    with read_connection(database_url) as connection:
        entries = list_entries(connection, entity=entity, status=status, limit=limit)
        total = count_entries(connection, entity=entity, status=status)
        failed = _still_failed(connection, entries, landing, hospital, pass_over or ())
    if as_json:
        from visitpay.cli import to_json

        typer.echo(to_json.dumps(to_json.files(entries, failed, total)))
    else:
        _show(entries, failed, total, setup_of(database_url, landing, hospital))


def _still_failed(
    connection: "Connection",
    entries: "Sequence[Entry]",
    landing: str,
    hospital: str,
    pass_over: Sequence[str],
) -> set[str]:
    """Return the names of files that failed, or are held, and have not changed since.

    Where the landing directory cannot be read, no file is taken to have changed.
    """
    from visitpay.landing.scan import scan
    from visitpay.ledger.files import failed_files

    if all(entry.status == FileStatus.LOADED for entry in entries):
        return set()
    try:
        landed = scan(landing, hospital, pass_over)
    except ConfigurationError:
        return {entry.name for entry in entries}
    return {file.name for file in failed_files(connection, landed.files)}


def _show(entries: "Sequence[Entry]", failed: set[str], total: int, setup: "Setup") -> None:
    from visitpay.cli import console
    from visitpay.feed import short_name
    from visitpay.verdict.advice import ADVICE

    rows = [
        (
            entry.id,
            short_name(entry.name),
            None if entry.status == FileStatus.LOADED else entry.state(failed),
            minute(entry.loaded_at or entry.tried_at),
            entry.counts.read,
            *console.outcomes(entry.counts),
            entry.error,
        )
        for entry in entries
    ]
    headers = ("id", "file", "status", "when (UTC)", "rows", *console.OUTCOMES, "error")
    spare = [outcome for outcome in console.OUTCOMES if outcome != "rejected"]
    console.show(headers, rows, nothing="no files to show", total=total, spare=spare)
    if not sys.stdout.isatty():
        return
    states = {entry.state(failed): entry for entry in reversed(entries)}
    for state in (FileStatus.FAILED, FileStatus.HELD):
        if state in states:
            console.say(f"{state}: {ADVICE[f'file_{state}'].action}")
    if newest := states.get(FileStatus.HELD):
        console.command(setup.hint("load", "--approve", newest.name))
