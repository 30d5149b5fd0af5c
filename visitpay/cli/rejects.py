"""The commands for rejected rows."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from visitpay import api
from visitpay.cli import completion, options
from visitpay.cli.command import Command
from visitpay.cli.signals import stoppable
from visitpay.errors import ConfigurationError
from visitpay.text import counted
from visitpay.vocabulary import DEFAULT_URL, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from visitpay.rejects.export import ExportedFile
    from visitpay.rejects.queries import Reject, RejectFilter

_SHOWN = 50
_SHOWN_ON_TERMINAL = 10
_VISITS_SHOWN = 10
_VISITS_ON_TERMINAL = 6

rejects_app = typer.Typer(no_args_is_help=True, help="Rows that were rejected, and why.")


@rejects_app.command("list", cls=Command)
def list_rejects(  # noqa: PLR0913 - each is an option of the command
    *,
    database_url: options.DatabaseUrl = DEFAULT_URL,
    file: options.OfFile = None,
    entity: options.OfEntity = None,
    reason: options.OfReason = None,
    key: options.OfKey = None,
    since: options.PutAsideSince = None,
    status: Annotated[
        options.RejectChoice,
        typer.Option(
            metavar="STATUS",
            autocompletion=completion.reject_statuses,
            help="Only rows that are so: open, resolved, superseded, dismissed, or all.",
        ),
    ] = options.RejectChoice.OPEN,
    raw: Annotated[
        bool, typer.Option("--raw", help="Show identifiers and rows, too, as they came.")
    ] = False,
    as_sum: Annotated[
        bool,
        typer.Option("--sum", help="Show sums of their amounts by reason and by visit instead."),
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            parser=options.as_count,
            metavar="ROWS",
            help="Show so many at the most: 50 if not given, 10 visits with --sum, fewer on a"
            " terminal, all in CSV.",
        ),
    ] = None,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print comma-separated values instead of tables.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Show rows that were rejected, the newest first, how many by reason, --raw what they hold.

    With --sum, the money of them: of transactions their amounts, of visits their balances; exact,
    of all that are wanted, each transaction and visit once. It shows identifiers of visits. Rows
    whose amount is unreadable are counted. In CSV, a space stands before what a spreadsheet would
    calculate with.

    Rows and sums are health and payment data: mind who looks on.

    Example: visitpay rejects list --reason missing_reference
    """
    from visitpay.cli import console
    from visitpay.rejects.queries import RejectFilter

    if as_csv and as_json:
        message = "is one form, and --json another: give one of them"
        raise typer.BadParameter(message, param_hint="--csv")
    stands = None if status is options.RejectChoice.ALL else status
    wanted = RejectFilter(file, entity, reason, key, stands, since)
    if as_sum:
        _show_money(database_url, wanted, limit, as_csv=as_csv, as_json=as_json)
    elif as_csv:
        _write_csv(database_url, wanted, limit, raw=raw)
    else:
        is_screen = console.on_terminal() and not as_json
        most = limit or (_SHOWN_ON_TERMINAL if is_screen else _SHOWN)
        _show_rejects(database_url, wanted, most, raw=raw, as_json=as_json)


def _show_rejects(
    database_url: str, wanted: "RejectFilter", limit: int, *, raw: bool, as_json: bool
) -> None:
    from visitpay.cli import console
    from visitpay.database.engine import read_connection
    from visitpay.rejects.queries import count_by_reason
    from visitpay.rejects.queries import list_rejects as select_rejects

    with read_connection(database_url) as connection:
        rejects = select_rejects(connection, wanted, limit)
        reasons = count_by_reason(connection, wanted)
    if as_json:
        from visitpay.cli import to_json

        typer.echo(to_json.dumps(to_json.rejects(rejects, reasons, raw=raw)))
        return
    total = sum(reasons.values())
    hidden = {*(() if raw else ("key", "row")), *(("status",) if wanted.status else ())}
    console.show(*_table(rejects, hidden), nothing="no rejected rows to show", total=total)
    if len(reasons) > 1 or total > len(rejects):
        console.show(("reason", "rows"), list(reasons.items()))


def _write_csv(database_url: str, wanted: "RejectFilter", limit: int | None, *, raw: bool) -> None:
    from visitpay.cli import console, to_csv
    from visitpay.database.engine import read_connection
    from visitpay.rejects.queries import count_by_reason, iterate_rejects

    with read_connection(database_url) as connection:
        for line in to_csv.rejects(iterate_rejects(connection, wanted, limit), raw=raw):
            typer.echo(line, nl=False)
        total = sum(count_by_reason(connection, wanted).values()) if limit else 0
    if limit and limit < total:  # nobody would see it in the file
        console.say(f"{limit:,} of {total:,}; --limit gives more", console.err)


def _show_money(
    database_url: str, wanted: "RejectFilter", limit: int | None, *, as_csv: bool, as_json: bool
) -> None:
    from visitpay.cli import console, rejected_money
    from visitpay.database.engine import read_connection
    from visitpay.hints import setup_of
    from visitpay.rejects.money import sum_money
    from visitpay.rejects.queries import count_by_reason

    is_screen = console.on_terminal() and not as_json
    visits = _VISITS_ON_TERMINAL if is_screen else _VISITS_SHOWN
    most = limit or (sys.maxsize if as_csv else visits)
    with read_connection(database_url) as connection:
        sums = sum_money(connection, wanted, most)
        rejected = sum(count_by_reason(connection, wanted).values())
    if as_json:
        from visitpay.cli import to_json

        typer.echo(to_json.dumps(to_json.money(sums)))
    elif as_csv:
        from visitpay.cli import to_csv

        typer.echo("".join(to_csv.money(sums)), nl=False)
    else:
        rejected_money.show(sums, rejected, setup_of(database_url))


def _table(
    rejects: "Sequence[Reject]", hidden: "Collection[str]"
) -> tuple[list[str], list[list[object]]]:
    """Return the headers and the rows of a table of rejects, without the hidden columns."""
    from visitpay.feed import short_name

    columns: dict[str, Callable[[Reject], object]] = {
        "id": lambda reject: reject.id,
        "file": lambda reject: short_name(reject.file),
        "line": lambda reject: reject.line,
        "key": lambda reject: reject.key,
        "reason": lambda reject: reject.reason,
        "status": lambda reject: reject.status,
        "column": lambda reject: reject.column,
        "why": lambda reject: reject.why,
        "row": lambda reject: reject.raw,
    }
    shown = [name for name in columns if name not in hidden]
    return shown, [[columns[name](reject) for name in shown] for reject in rejects]


@rejects_app.command("export", cls=Command)
def export_rejects(  # noqa: PLR0913 - each is an option of the command
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write the files.")],
    landing: options.LandingDirectory = options.DEFAULT_LANDING,
    *,
    database_url: options.DatabaseUrl = DEFAULT_URL,
    hospital: options.Hospital = options.DEFAULT_HOSPITAL,
    pass_over: options.PassOver = None,
    file: options.OfFile = None,
    entity: options.OfEntity = None,
    reason: options.OfReason = None,
    key: options.OfKey = None,
    since: options.PutAsideSince = None,
    response: Annotated[
        bool, typer.Option("--response", help="Write one file that goes back to the hospital.")
    ] = False,
    as_json: options.Json = False,
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
    from visitpay.cli import console
    from visitpay.database.engine import read_connection
    from visitpay.hints import setup_of
    from visitpay.rejects.queries import RejectFilter, count_by_reason

    wanted = RejectFilter(file, entity, reason, key, since=since)
    place = {"database_url": database_url, "hospital": hospital}
    if response:
        _require_landing(landing)
        passed_over = pass_over or ()
        written = [api.export_response(directory, wanted, landing, pass_over=passed_over, **place)]
        too_long = 0
    else:
        written = api.export_rejects(directory, wanted, **place)
        with read_connection(database_url) as connection:
            too_long = count_by_reason(connection, wanted).get(Reason.LINE_TOO_LONG, 0)
    if as_json:
        from visitpay.cli import to_json

        typer.echo(to_json.dumps(to_json.exported(written)))
    else:
        if response:
            _show_response(*written)
        else:
            files = [(file.path, file.rows) for file in written]
            console.show(("file", "rows"), files, nothing="no rejected rows to write")
        if too_long:
            lines = counted(too_long, "line is", "lines are")
            console.say(f"{lines} too long to be mended here: ask the hospital")
        setup = setup_of(database_url, landing, hospital)
        if response:
            console.say("send it to the hospital: it is health data; next time, only what is new:")
            given = ("--response", "--since", "yesterday")
            hint = setup.hint("rejects export", str(directory.absolute()), *given)
            console.command(f"  {hint}")
        elif written:
            console.say("mend the rows, move each file to the landing directory, and run:")
            console.command(f"  {setup.hint('load')}")


def _show_response(written: "ExportedFile") -> None:
    """Print where a response is, and what it holds."""
    from visitpay.cli import console

    console.line(written.path)
    refused = counted(
        written.refused, "file that failed or is held", "files that failed or are held"
    )
    console.say(f"{counted(written.rows, 'rejected row')}, {refused}")


def _require_landing(landing: str) -> None:
    """Raise ConfigurationError if nobody named the landing directory, and it is not here."""
    if landing == options.DEFAULT_LANDING and not Path(landing).is_dir():
        message = (
            "a response names the files that failed or are held: name the landing directory,"
            " visitpay rejects export DIR LANDING --response"
        )
        raise ConfigurationError(message)


@rejects_app.command("dismiss", cls=Command)
def dismiss_rejects(  # noqa: PLR0913 - each is an option of the command
    ids: options.RejectIds = None,
    *,
    why: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="Why nobody will mend them; it is recorded. Only --dry-run needs none.",
            show_default=False,
        ),
    ] = "",
    database_url: options.DatabaseUrl = DEFAULT_URL,
    file: options.OfFile = None,
    entity: options.OfEntity = None,
    reason: options.OfReason = None,
    key: options.OfKey = None,
    since: options.PutAsideSince = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how many, and dismiss none.")
    ] = False,
    wait: options.Wait = 60,
    as_json: options.Json = False,
) -> None:
    """Close open rejects that will never be mended, and record why.

    They are chosen by their IDs, or by options as in `rejects list`.

    Example: visitpay rejects dismiss 12 13 --why "test patients"
    """
    from visitpay.rejects.queries import RejectFilter

    wanted = RejectFilter(file, entity, reason, key, since=since)
    has_reason = dry_run or bool(why.strip())
    is_filtered = wanted != RejectFilter()
    _require_choice(by_ids=bool(ids), by_filter=is_filtered, has_reason=has_reason)
    with stoppable():
        dismissed = api.dismiss_rejects(
            ids or wanted, why=why, database_url=database_url, wait_seconds=wait, dry_run=dry_run
        )
    if as_json:
        from visitpay.cli import to_json

        typer.echo(to_json.dumps(to_json.dismissed(dismissed, dry_run=dry_run)))
    else:
        kept = "dry run, nothing kept: " if dry_run else ""
        typer.echo(f"{kept}rejects dismissed {len(dismissed):,}")


def _require_choice(*, by_ids: bool, by_filter: bool, has_reason: bool) -> None:
    """Raise BadParameter unless the rejects are chosen in one way, and there is a reason why."""
    if not has_reason:
        message = "say why"
        raise typer.BadParameter(message, param_hint="--why")
    if by_ids == by_filter:
        message = "give IDs, or say which by --file, --entity, --reason, --key or --since"
        raise typer.BadParameter(message, param_hint="ID")


@rejects_app.command("retry", cls=Command)
def retry_rejects(
    *,
    database_url: options.DatabaseUrl = DEFAULT_URL,
    wait: options.Wait = 60,
    as_json: options.Json = False,
) -> None:
    """Try the rows again that refer to something that was not there; every load does so too.

    Example: visitpay rejects retry
    """
    from visitpay.cli.logs import start_log

    start_log(options.LogFormat.TEXT)
    with stoppable():
        resolved, still_open = api.retry(database_url=database_url, wait_seconds=wait)
    if as_json:
        from visitpay.cli import to_json

        typer.echo(to_json.dumps(to_json.retried(resolved, still_open)))
    else:
        typer.echo(f"rejects resolved {resolved:,}, open {still_open:,}")
