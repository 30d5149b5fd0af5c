"""`visitpay doctor`."""

from typing import Annotated

import typer

from visitpay.cli import options
from visitpay.errors import ATTENTION_STATUS
from visitpay.vocabulary import DEFAULT_URL


def doctor(  # noqa: PLR0913 - each is an option of the command
    landing: options.LandingDirectory = options.DEFAULT_LANDING,
    *,
    database_url: options.DatabaseUrl = DEFAULT_URL,
    hospital: options.Hospital = options.DEFAULT_HOSPITAL,
    pass_over: options.PassOver = None,
    metrics_file: options.MetricsFile = None,
    send: Annotated[
        bool, typer.Option("--send", help="Send the alert channels a message, to see.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Look at all that a load needs, and say what to do where it lacks; exits with 1 on an error.

    Example: visitpay doctor /srv/landing
    """
    from visitpay.cli import console
    from visitpay.cli.logs import start_log
    from visitpay.doctor import State, examine

    start_log(options.LogFormat.TEXT)
    notify = options.NotifySettings.in_force()
    settings = (database_url, landing, hospital, notify.alert_urls, notify.ping_url, metrics_file)
    examined = list(examine(*settings, pass_over=pass_over or (), send=send))
    if as_json:
        from visitpay.cli import to_json

        typer.echo(to_json.dumps(to_json.doctor(examined)))
    else:
        console.show(("", "", ""), [(thing.state, thing.name, thing.seen) for thing in examined])
        remedies = [(f"{thing.name}:", thing.remedy) for thing in examined if thing.remedy]
        console.show(("", ""), remedies)
    if any(thing.state is State.ERROR for thing in examined):
        raise typer.Exit(ATTENTION_STATUS)
