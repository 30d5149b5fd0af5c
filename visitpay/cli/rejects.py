"""The commands for rejected rows."""

from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from visitpay.cli.options import (
    DEFAULT_HOSPITAL,
    DEFAULT_LANDING,
    DatabaseUrl,
    Hospital,
    Json,
    LandingDirectory,
    Limit,
    LogFormat,
    OfEntity,
    OfFile,
    OfKey,
    OfReason,
    PassOver,
    PutAsideSince,
    RejectChoice,
    Wait,
)
from visitpay.cli.signals import stoppable
from visitpay.text import counted
from visitpay.vocabulary import DEFAULT_URL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

rejects_app = typer.Typer(no_args_is_help=True, help="Rows that were put aside, and why.")


@rejects_app.command("list")
def list_rejects(  # noqa: PLR0913 - each is an option of the command
    *,
    database_url: DatabaseUrl = DEFAULT_URL,
    file: OfFile = None,
    entity: OfEntity = None,
    reason: OfReason = None,
    key: OfKey = None,
    since: PutAsideSince = None,
    status: Annotated[
        RejectChoice, typer.Option(help="Only rows that stand so.")
    ] = RejectChoice.OPEN,
    raw: Annotated[
        bool, typer.Option("--raw", help="Show identifiers and rows, too, as they came.")
    ] = False,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """Show rows that were put aside, how many by reason, and with --raw what they hold.

    The rows hold health and payment data: mind who looks on.

    Example: visitpay rejects list --reason missing_reference
    """
    from visitpay.cli import console as terminal
    from visitpay.database.engine import read_connection
    from visitpay.rejects.queries import (
        RejectFilter,
        count_by_reason,
        list_rejects,
    )

    stands = None if status is RejectChoice.ALL else status
    wanted = RejectFilter(file, entity, reason, key, stands, since)
    with read_connection(database_url) as connection:
        rejects = list_rejects(connection, wanted, limit)
        counts = count_by_reason(connection, wanted)
    total = sum(counts.values())
    hidden = () if raw else ("record_key", "raw")
    rows = [{name: row[name] for name in row if name not in hidden} for row in rejects]
    if as_json:
        typer.echo(terminal.dumps({"rejects": rows, "counts": counts, "total": total}))
        return
    if stands is not None:  # then all of them stand so
        rows = [{name: row[name] for name in row if name != "status"} for row in rows]
    terminal.show(*rejects_table(rows), nothing="no rejected rows to show", total=total)
    if len(counts) > 1 or total > len(rows):
        terminal.show(("reason", "rows"), list(counts.items()))


def rejects_table(
    rejects: "Sequence[Mapping[Any, Any]]",
) -> tuple[tuple[str, ...], list[list[object]]]:
    """Give the headers and the rows of a table of rejects."""
    from visitpay.feed import short

    columns = {
        "line_number": "line",
        "record_key": "key",
        "reason": "reason",
        "status": "status",
        "column_name": "column",
        "why": "why",
        "raw": "row",
    }
    shown = [name for name in columns if not rejects or name in rejects[0]]
    cells = [[row["id"], short(row["file"]), *(row[name] for name in shown)] for row in rejects]
    return ("id", "file", *(columns[name] for name in shown)), cells


@rejects_app.command("export")
def export_rejects(  # noqa: PLR0913 - each is an option of the command
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write the files.")],
    landing: LandingDirectory = DEFAULT_LANDING,
    *,
    database_url: DatabaseUrl = DEFAULT_URL,
    hospital: Hospital = DEFAULT_HOSPITAL,
    pass_over: PassOver = None,
    file: OfFile = None,
    entity: OfEntity = None,
    reason: OfReason = None,
    key: OfKey = None,
    since: PutAsideSince = None,
    response: Annotated[
        bool, typer.Option("--response", help="Write one file that goes back to the hospital.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the open rejects to files: mend the rows, and move the file to the landing directory.

    A file a type, in the feed's own format, with reason, file and line ahead of each row; lines
    that were too long are left out. Bytes that are no text are as they came. A row that would be
    let in as it stands has a last cell `?`: take that away once it is right. Take out the rows that
    you do not mend: they would be rejected once more. A mended row closes the reject that it came
    from. With --response, one file with the rows as they came and, at its end, what became of
    the rows of each file, and which files in LANDING failed or are held; those are left out where
    --reason or --key asks for rows, and so is what was mended here.

    The files hold health and payment data; they are readable by their owner only.

    Example: visitpay rejects export mended --reason invalid_date
    """
    from visitpay.cli import console as terminal
    from visitpay.database.engine import read_connection
    from visitpay.landing.local import scan
    from visitpay.rejects.export import export_for_mending, export_response
    from visitpay.rejects.queries import (
        RejectFilter,
        count_by_reason,
    )

    wanted = RejectFilter(file, entity, reason, key, since=since)
    now = datetime.now(UTC)
    landed = scan(landing, hospital, pass_over or ()).files if response else ()
    with read_connection(database_url) as connection:
        if response:
            written = [export_response(connection, directory, hospital, wanted, now, landed)]
        else:
            written = export_for_mending(connection, directory, hospital, wanted)
        too_long = 0 if response else count_by_reason(connection, wanted).get("line_too_long", 0)
    if as_json:
        typer.echo(terminal.dumps({"files": [vars(each) for each in written]}))
    else:
        files = [(each.path, each.rows) for each in written]
        terminal.show(("file", "rows"), files, nothing="no rejected rows to write")
        if too_long:
            lines = counted(too_long, "line is", "lines are")
            terminal.say(f"{lines} too long to be mended here: ask the hospital")


@rejects_app.command("dismiss")
def dismiss_rejects(  # noqa: PLR0913 - each is an option of the command
    ids: Annotated[
        list[int] | None,
        typer.Argument(
            metavar="[ID]...",
            min=1,
            max=(1 << 63) - 1,
            help="As `rejects list` shows them.",
        ),
    ] = None,
    *,
    why: Annotated[str, typer.Option(help="Why nobody will mend them; it is recorded.")],
    database_url: DatabaseUrl = DEFAULT_URL,
    file: OfFile = None,
    entity: OfEntity = None,
    reason: OfReason = None,
    key: OfKey = None,
    since: PutAsideSince = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how many, and dismiss none.")
    ] = False,
    wait: Wait = 60,
    as_json: Json = False,
) -> None:
    """Close open rejects that will never be mended, and record why.

    They are chosen by their IDs, or by options as in `rejects list`.

    Example: visitpay rejects dismiss 12 13 --why "test patients"
    """
    from visitpay.cli import console as terminal
    from visitpay.database.engine import make_engine
    from visitpay.database.session import ExclusiveSession
    from visitpay.rejects.queries import (
        RejectFilter,
        dismiss,
        reject_ids,
    )

    if not why.strip():
        message = "say why"
        raise typer.BadParameter(message, param_hint="--why")
    wanted = RejectFilter(file, entity, reason, key, since=since)
    if bool(ids) == (wanted != RejectFilter()):
        message = "give IDs, or say which by --file, --entity, --reason, --key or --since"
        raise typer.BadParameter(message, param_hint="ID")
    dismissed: list[int] = []

    def dismiss_wanted(connection: "Connection") -> None:
        dismissed[:] = ids or reject_ids(connection, wanted)
        dismiss(connection, dismissed, why)

    with (
        stoppable(),
        ExclusiveSession(make_engine(database_url), wait) as hold,
        ExitStack() as trial,
    ):
        if dry_run:
            trial.enter_context(hold.dry_run())
        hold.transact(dismiss_wanted)
    if as_json:
        document = {"dismissed": dismissed, "total": len(dismissed), "dry_run": dry_run}
        typer.echo(terminal.dumps(document))
    else:
        kept = "dry run, nothing kept: " if dry_run else ""
        typer.echo(f"{kept}rejects dismissed {len(dismissed):,}")


@rejects_app.command("retry")
def retry_rejects(
    *, database_url: DatabaseUrl = DEFAULT_URL, wait: Wait = 60, as_json: Json = False
) -> None:
    """Try the rows again that refer to something that was not there; every load does so too.

    Example: visitpay rejects retry
    """
    from visitpay.cli import console as terminal
    from visitpay.cli.logs import start_log
    from visitpay.database.engine import make_engine
    from visitpay.loading.run import retry

    start_log(LogFormat.TEXT, verbose=False)
    with stoppable():
        resolved, still_open = retry(make_engine(database_url), wait)
    if as_json:
        document = {"rejects_resolved": resolved, "rejects_open": still_open}
        typer.echo(terminal.dumps(document))
    else:
        typer.echo(f"rejects resolved {resolved:,}, open {still_open:,}")
