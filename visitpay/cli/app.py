"""The commands: arguments in, tables or JSON out."""

import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from io import StringIO
from typing import Annotated, cast

import typer

from visitpay.cli.acknowledge import acknowledge
from visitpay.cli.check import check
from visitpay.cli.command import Command
from visitpay.cli.config import config
from visitpay.cli.doctor import doctor
from visitpay.cli.explain import explain
from visitpay.cli.files import files
from visitpay.cli.load import load, tell_of_arguments
from visitpay.cli.migrate import migrate
from visitpay.cli.reconcile import reconcile
from visitpay.cli.rejects import rejects_app
from visitpay.cli.report import report
from visitpay.cli.runs import runs
from visitpay.cli.sample import sample
from visitpay.cli.status import status
from visitpay.errors import (
    ConfigurationError,
    OutputError,
    SettingsError,
    StoppedError,
    VisitPayError,
    to_visitpay_error,
)
from visitpay.version import __version__

_INTERRUPTED_STATUS = 130

# Typer gives the errors of its parser no name.
_UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__base__)

app = typer.Typer(
    name="visitpay",
    help="Load a hospital's daily VisitPay text files into a database, every row accounted for.",
    epilog="Options may stand in a file, visitpay.toml: see visitpay config.",
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


for command in (
    *(load, status, runs, acknowledge, files, explain, doctor),
    *(reconcile, report, check, sample, migrate, config),
):
    app.command(cls=Command)(command)
app.add_typer(rejects_app, name="rejects")


def _log_failure(told: VisitPayError, error: BaseException) -> None:
    from visitpay.cli.logs import tell
    from visitpay.events import Event

    event = Event.RUN_STOPPED if isinstance(told, StoppedError) else Event.FAILURE
    logging.getLogger("visitpay").debug("traceback", exc_info=error, extra=event.extra)
    tell(str(told), event)


def _say_on_stderr(text: str) -> None:
    from visitpay.cli import console

    with suppress(OSError):  # who cannot hear us must go by the exit status
        console.say(text, console.err)


def _usage(arguments: Sequence[str], error: typer.BadParameter) -> tuple[str, str]:
    """Return what an argument's error says, in short and in full.

    A URL whose password has a space is two arguments where it is not in quotes; neither is told.
    """
    message, said = error.format_message(), StringIO()
    error.show(said)
    if any("://" in argument for argument in arguments) and "unexpected extra argument" in message:
        message = "unexpected extra arguments; put the URL into quotes"
        return message, f"Error: {message}"
    return message, said.getvalue().rstrip()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and leave with its exit status.

    That is 0, ATTENTION_STATUS where the command says so, or that of the error that ended it.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    logging.getLogger("visitpay").handlers.clear()  # a former command in this process had its own
    try:
        status = app(args=arguments, prog_name="visitpay", standalone_mode=False) or 0
    except _UsageError as error:
        message, said = _usage(arguments, error)
        _tell_json(arguments, "failed", message)
        _say_on_stderr(said)
        tell_of_arguments(arguments, message)
        sys.exit(ConfigurationError.exit_status)
    except SystemExit as leaving:  # typer's, which says 1
        is_lost = isinstance(leaving.__context__, BrokenPipeError)
        sys.exit(OutputError.exit_status if is_lost else leaving.code)
    except SettingsError as error:
        exit_status = _report_error(arguments, error)
        tell_of_arguments(arguments, str(error), error)
        sys.exit(exit_status)
    except BaseException as error:  # noqa: BLE001 - polars panics with one
        sys.exit(_report_error(arguments, error))
    if status == _INTERRUPTED_STATUS:  # typer's word for Ctrl-C
        sys.exit(_report_error(arguments, KeyboardInterrupt()))
    sys.exit(status)


def _report_error(arguments: Sequence[str], error: BaseException) -> int:
    """Say what ended the command, in a line of words and in JSON; return its exit status."""
    told = to_visitpay_error(error)
    if not isinstance(told, OutputError):
        how = "interrupted" if isinstance(told, StoppedError) else "failed"
        _tell_json(arguments, how, str(told))
    _log_failure(told, error)
    return told.exit_status


def _tell_json(arguments: Sequence[str], status: str, error: str) -> None:
    if "--json" in arguments:
        from visitpay.cli import to_json

        with suppress(OSError):
            typer.echo(to_json.dumps(to_json.error(status, error)))
