"""`visitpay files`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from visitpay.cli.console import ENDS
from visitpay.cli.options import (
    DEFAULT_HOSPITAL,
    DEFAULT_LANDING,
    DatabaseUrl,
    Hospital,
    Json,
    LandingDirectory,
    Limit,
    PassOver,
)
from visitpay.errors import (
    ConfigurationError,
)
from visitpay.text import minute
from visitpay.vocabulary import DEFAULT_URL, FileStatus, RecordType

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping


def files(  # noqa: PLR0913 - each is an option of the command
    landing: LandingDirectory = DEFAULT_LANDING,
    *,
    database_url: DatabaseUrl = DEFAULT_URL,
    hospital: Hospital = DEFAULT_HOSPITAL,
    pass_over: PassOver = None,
    entity: Annotated[
        RecordType | None, typer.Option(case_sensitive=False, help="Only files of this type.")
    ] = None,
    status: Annotated[
        FileStatus | None,
        typer.Option(help="Only files that ended so, also those that are gone by now."),
    ] = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """Show the ledger: every delivery of every file, the newest first.

    Of each, when it was loaded, or last tried. What failed, and no longer lies in LANDING as it
    was, is shown as `failed before`; what was held, as `held before`. A terminal without room for
    it is not shown how rows ended, but how many were rejected; --json has it all.

    Example: visitpay files --status failed
    """
    from visitpay.cli import console as terminal
    from visitpay.database.engine import read_connection
    from visitpay.feed import short
    from visitpay.ledger.files import count_entries, list_entries
    from visitpay.reporting.advice import ADVICE
    from visitpay.vocabulary import FileStatus

    with read_connection(database_url) as connection:
        entries = list_entries(connection, entity=entity, status=status, limit=limit)
        total = count_entries(connection, entity=entity, status=status)
        states = _states(connection, entries, landing, hospital, pass_over or ())
    if as_json:
        known = [{**each, "state": state} for each, state in zip(entries, states, strict=True)]
        typer.echo(terminal.dumps({"files": known, "total": total}))
        return
    rows = [
        (
            each["id"],
            short(each["name"]),
            None if state == "loaded" else state,
            minute(each["loaded_at"] or each["tried_at"]),
            each["rows_read"],
            *(each[f"rows_{end}"] or None for end in ENDS),
            each["error"],
        )
        for each, state in zip(entries, states, strict=True)
    ]
    headers = ("id", "file", "status", "when (UTC)", "rows", *ENDS, "error")
    spare = [end for end in ENDS if end != "rejected"]
    terminal.show(headers, rows, nothing="no files to show", total=total, spare=spare)
    for state in (FileStatus.FAILED, FileStatus.HELD):
        if state in states and sys.stdout.isatty():
            terminal.say(f"{state}: {ADVICE[f'file_{state}'].action}")


def _states(
    connection: "Connection",
    entries: "Sequence[RowMapping]",
    landing: Path,
    hospital: str,
    pass_over: Sequence[str],
) -> list[str]:
    """Say how entries of the ledger stand, as well as can be told."""
    from visitpay.landing.local import scan
    from visitpay.ledger.files import entry_state, failed_files
    from visitpay.vocabulary import FileStatus

    if all(each["status"] == FileStatus.LOADED for each in entries):
        return [FileStatus.LOADED] * len(entries)
    try:
        failed = failed_files(connection, scan(landing, hospital, pass_over).files)
    except ConfigurationError:
        return [each["status"] for each in entries]
    lying = {each.name for each in failed}
    return [entry_state(each, lying) for each in entries]
