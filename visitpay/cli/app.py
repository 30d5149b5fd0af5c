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
from visitpay.cli.many.command import ManyCommand
from visitpay.cli.many.work import Ended, work
from visitpay.cli.many.workers import WORKER
from visitpay.cli.migrate import migrate
from visitpay.cli.reconcile import reconcile
from visitpay.cli.rejects import rejects_app
from visitpay.cli.report import report
from visitpay.cli.runs import runs
from visitpay.cli.sample import sample
from visitpay.cli.status import status
from visitpay.errors import (
    ConfigurationError,
    LeftError,
    OutputError,
    SettingsError,
    StoppedError,
    VisitPayError,
    to_visitpay_error,
)
from visitpay.version import __version__

_INTERRUPTED_STATUS = 130

_HOW = {StoppedError: "interrupted", LeftError: "left"}
"""The status in the document of a command that an error ended, where it is not `failed`."""

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
    is_for_many = command in (load, status, reconcile, report, migrate)
    app.command(cls=ManyCommand if is_for_many else Command)(command)
app.add_typer(rejects_app, name="rejects")


@app.command(WORKER, hidden=True)  # not a Command: its output is never held back
def _work() -> None:
    """Do the work of one process of a command with --all: standard input says what."""
    work(perform)


def _log_failure(told: VisitPayError, error: BaseException) -> None:
    from visitpay.cli.logs import tell
    from visitpay.events import Event

    if isinstance(told, LeftError):
        logging.getLogger("visitpay").info("%s", told)
        return
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
    sys.exit(perform(sys.argv[1:] if arguments is None else arguments).exit_status)


def perform(arguments: Sequence[str]) -> Ended:
    """Run the command, and return how it ended."""
    arguments = list(arguments)
    logging.getLogger("visitpay").handlers.clear()  # a former command in this process had its own
    try:
        status = app(args=arguments, prog_name="visitpay", standalone_mode=False) or 0
    except _UsageError as error:
        message, said = _usage(arguments, error)
        _tell_json(arguments, "failed", message)
        _say_on_stderr(said)
        tell_of_arguments(arguments, message)
        return Ended(ConfigurationError.exit_status, ConfigurationError(message))
    except SystemExit as leaving:  # typer's, which says 1
        is_lost = isinstance(leaving.__context__, BrokenPipeError)
        return Ended(OutputError.exit_status if is_lost else int(leaving.code or 0))
    except SettingsError as error:
        ended = _report_error(arguments, error)
        tell_of_arguments(arguments, str(error), error)
        return ended
    except BaseException as error:  # noqa: BLE001 - polars panics with one
        return _report_error(arguments, error)
    if status == _INTERRUPTED_STATUS:  # typer's word for Ctrl-C
        return _report_error(arguments, KeyboardInterrupt())
    return Ended(status)


def _report_error(arguments: Sequence[str], error: BaseException) -> Ended:
    """Say what ended the command, in a line of words and in JSON; return that."""
    told = to_visitpay_error(error)
    if not isinstance(told, OutputError):
        _tell_json(arguments, _HOW.get(type(told), "failed"), str(told))
    _log_failure(told, error)
    return Ended(told.exit_status, told)


def _tell_json(arguments: Sequence[str], status: str, error: str) -> None:
    if "--json" in arguments:
        from visitpay.cli import to_json

        with suppress(OSError):
            typer.echo(to_json.dumps(to_json.error(status, error)))
