"""`visitpay migrate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from visitpay.cli import options
from visitpay.cli.signals import stoppable
from visitpay.errors import ATTENTION_STATUS, ConfigurationError
from visitpay.vocabulary import DEFAULT_URL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from visitpay.migrations.migrate import Standing


def migrate(  # noqa: PLR0913 - each is an option of the command
    revision: Annotated[
        str, typer.Argument(metavar="[REVISION]", help="Where to go; with --sql also from where.")
    ] = ("head"),
    *,
    database_url: options.DatabaseUrl = DEFAULT_URL,
    check: Annotated[
        bool, typer.Option("--check", help="Only say what is to be done; exit with 1 if any is.")
    ] = False,
    sql: Annotated[
        bool, typer.Option("--sql", help="Print statements to run by hand; needs no database.")
    ] = False,
    downgrade: Annotated[
        bool, typer.Option("--downgrade", help="Go back to an older revision; data may be lost.")
    ] = False,
    backup: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            readable=False,
            help="First copy the database (SQLite) to a new file, if there is anything to do.",
        ),
    ] = None,
    wait: Annotated[
        float,
        typer.Option(
            envvar="VISITPAY_MIGRATION_WAIT",
            metavar="SECONDS",
            parser=options.as_seconds,
            help="Wait so long for a load to end, and for tables that others use.",
        ),
    ] = 600,
    as_json: options.Json = False,
) -> None:
    """Bring the database's tables to what this visitpay needs; make them in a new database.

    Everything is one transaction: it is migrated whole, or nothing is changed. No load runs
    meanwhile: a load that started waits for it, as it waits for a load.

    Exit status: 0 done or nothing to do; 1 with --check, something is to be done; 2 unusable
    arguments; 3 the database cannot be used; 130 or 143 stopped by Ctrl-C or SIGTERM, with nothing
    changed.

    Example: visitpay migrate --backup before.db
    """
    from visitpay.cli import console
    from visitpay.cli.logs import start_log
    from visitpay.migrations.migrate import migrate as migrate_database
    from visitpay.migrations.migrate import print_script, standing

    start_log(options.LogFormat.TEXT)
    if sql:
        if as_json:
            message = "--sql prints statements; leave --json out"
            raise ConfigurationError(message)
        print_script(database_url, revision, downgrade=downgrade)
    elif check:
        found = standing(database_url)
        if as_json:
            _echo(found, [])
        else:
            _show(found)
        if found.pending:
            raise typer.Exit(ATTENTION_STATUS)
    else:
        done: list[str] = []
        with stoppable(rolled_back=False):
            migrate_database(
                database_url,
                revision,
                downgrade=downgrade,
                wait_seconds=wait,
                backup=backup,
                tell=done.append if as_json else console.say,
            )
        if as_json:
            _echo(standing(database_url), done)


def _echo(found: "Standing", done: "Sequence[str]") -> None:
    from visitpay.cli import to_json

    is_to_do = bool(found.pending) and not done
    typer.echo(to_json.dumps(to_json.migrate(found, done, attention=is_to_do)))


def _show(found: "Standing") -> None:
    from visitpay.cli import console

    current = ", ".join(found.current) or "no revision"
    console.say(f"{found.database} is at {current}")
    if found.newer:
        newer = ", ".join(found.newer)
        console.say(f"newer than this visitpay, which can work on it (additive): {newer}")
    elif not found.pending:
        console.say("nothing to do")
    rows = [
        (step.revision, "additive" if step.is_additive else "", step.title)
        for step in found.pending
    ]
    console.show(("pending", "", "what it does"), rows)
