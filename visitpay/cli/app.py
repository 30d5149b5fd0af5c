"""The commands: arguments in, tables or JSON out."""

import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Annotated, cast

import typer

from visitpay.cli.check import check
from visitpay.cli.doctor import doctor
from visitpay.cli.explain import explain
from visitpay.cli.files import files
from visitpay.cli.load import load
from visitpay.cli.options import (
    CONFIGURATION_STATUS,
    DATABASE_STATUS,
    LogFormat,
    notify_settings,
    state_directory,
)
from visitpay.cli.reconcile import reconcile
from visitpay.cli.rejects import rejects_app
from visitpay.cli.report import report
from visitpay.cli.sample import sample
from visitpay.cli.status import status
from visitpay.errors import (
    ConfigurationError,
    OutputError,
    StoppedError,
    VisitPayError,
    to_visitpay_error,
)
from visitpay.version import __version__
from visitpay.vocabulary import DEFAULT_URL

_INTERRUPTED_STATUS = 130

# Typer gives the errors of its parser no name.
_UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__base__)

app = typer.Typer(
    name="visitpay",
    help="Load a hospital's daily VisitPay text files into a database, every row accounted for.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it with the flag
    if wanted:
        typer.echo(f"visitpay {__version__}")
        raise typer.Exit


@app.callback()
def _visitpay(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def _tell_of_arguments(given: Sequence[str]) -> None:
    """Tell of a load that could not run, since an argument of it cannot be used."""
    if given[:1] != ["load"] or "--dry-run" in given:
        return
    from visitpay.cli.logs import start_log
    from visitpay.notify.last_alert import LastAlert
    from visitpay.notify.watch import LoadWatch

    start_log(LogFormat.TEXT, verbose=False)
    metrics_file = os.environ.get("VISITPAY_METRICS_FILE")
    lately = LastAlert(state_directory(), os.environ.get("VISITPAY_DATABASE_URL", DEFAULT_URL))
    watch = LoadWatch(*notify_settings(), Path(metrics_file) if metrics_file else None, lately)
    error = ConfigurationError("an argument of its command cannot be used, its log says which")
    watch.end(CONFIGURATION_STATUS, error)


for command in (load, status, files, explain, doctor, reconcile, report, check, sample):
    app.command()(command)
app.add_typer(rejects_app, name="rejects")


def _log_failure(told: VisitPayError, error: BaseException) -> None:
    from visitpay.events import Event

    logger = logging.getLogger("visitpay")
    event = Event.RUN_STOPPED if isinstance(told, StoppedError) else Event.FAILURE
    logger.debug("traceback", exc_info=error, extra=event.extra)
    if any(getattr(handler, "as_json", False) for handler in logger.handlers):
        logger.error("%s", told, extra=event.extra)
    else:
        _say_on_stderr(f"visitpay: {told}")


def _say_on_stderr(text: str) -> None:
    from visitpay.cli import console as terminal

    with suppress(OSError):  # who cannot hear us must go by the exit status
        terminal.say(text, terminal.err)


def _usage(given: Sequence[str], error: typer.BadParameter) -> tuple[str, str]:
    """Give what an argument's error says, in short and in full.

    A password with a space that stands without quotes is two arguments.
    """
    message, said = error.format_message(), StringIO()
    error.show(said)
    if any("://" in each for each in given) and "unexpected extra argument" in message:
        message = "unexpected extra arguments; put the URL into quotes"
        return message, f"Error: {message}"
    return message, said.getvalue().rstrip()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; the exit status says how it went."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = app(args=given, prog_name="visitpay", standalone_mode=False) or 0
    except _UsageError as error:
        message, said = _usage(given, error)
        _tell_json(given, "failed", message)
        _say_on_stderr(said)
        _tell_of_arguments(given)
        sys.exit(CONFIGURATION_STATUS)
    except SystemExit as leaving:  # typer's, which says 1
        is_lost = isinstance(leaving.__context__, BrokenPipeError)
        sys.exit(DATABASE_STATUS if is_lost else leaving.code)
    except BaseException as error:  # noqa: BLE001 - polars panics with one
        sys.exit(_ended_by(given, error))
    if status == _INTERRUPTED_STATUS:  # typer's word for Ctrl-C
        sys.exit(_ended_by(given, KeyboardInterrupt()))
    sys.exit(status)


def _ended_by(given: Sequence[str], error: BaseException) -> int:
    """Tell what ended the command, in a line of words and of JSON; gives its exit status."""
    told = to_visitpay_error(error)
    if not isinstance(told, OutputError):
        how = "interrupted" if isinstance(told, StoppedError) else "failed"
        _tell_json(given, how, str(told))
    _log_failure(told, error)
    return told.exit_status


def _tell_json(given: Sequence[str], status: str, error: str) -> None:
    if "--json" in given:
        from visitpay.cli.console import dumps

        with suppress(OSError):
            typer.echo(dumps({"status": status, "error": error}))
