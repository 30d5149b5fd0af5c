"""`visitpay doctor`."""

from typing import Annotated

import typer

from visitpay.cli.options import (
    ATTENTION_STATUS,
    DEFAULT_HOSPITAL,
    DEFAULT_LANDING,
    DatabaseUrl,
    Hospital,
    Json,
    LandingDirectory,
    LogFormat,
    MetricsFile,
    PassOver,
    notify_settings,
)
from visitpay.vocabulary import DEFAULT_URL


def doctor(  # noqa: PLR0913 - each is an option of the command
    landing: LandingDirectory = DEFAULT_LANDING,
    *,
    database_url: DatabaseUrl = DEFAULT_URL,
    hospital: Hospital = DEFAULT_HOSPITAL,
    pass_over: PassOver = None,
    metrics_file: MetricsFile = None,
    send: Annotated[
        bool, typer.Option("--send", help="Send the alert channels a message, to see.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Look at all that a load needs, and say what to do where it lacks; exits with 1 on an error.

    Example: visitpay doctor /srv/landing
    """
    from visitpay.cli import console as terminal
    from visitpay.cli.logs import start_log
    from visitpay.doctor import State, examine

    start_log(LogFormat.TEXT, verbose=False)
    settings = (database_url, landing, hospital, *notify_settings(), metrics_file)
    examined = list(examine(*settings, pass_over=pass_over or (), send=send))
    if as_json:
        typer.echo(terminal.dumps({"findings": [vars(each) for each in examined]}))
    else:
        rows = [(each.state, each.name, each.seen) for each in examined]
        terminal.show(("", "", ""), rows)
        remedies = [(f"{each.name}:", each.remedy) for each in examined if each.remedy]
        terminal.show(("", ""), remedies)
    if any(each.state is State.ERROR for each in examined):
        raise typer.Exit(ATTENTION_STATUS)
