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
    expect: options.Expected = None,
    ignore: options.Ignored = None,
    every: options.Every = None,
    metrics_file: options.MetricsFile = None,
    send: Annotated[
        bool, typer.Option("--send", help="Send the alert channels a message, to see.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Look at all that a load needs, and say what to do where it lacks; exits with 1 on an error.

    It also says whether all is well with the feed, as `status` does, and when the disk runs out.

    Example: visitpay doctor /srv/landing
    """
    from visitpay.cli import console
    from visitpay.cli.logs import start_log
    from visitpay.doctor import State, Told, examine
    from visitpay.hints import setup_of
    from visitpay.verdict.problems import Expectations

    start_log(options.LogFormat.TEXT)
    notify = options.NotifySettings.in_force()
    setup = setup_of(database_url, landing, hospital)
    told = Told(notify.alert_urls, notify.ping_url, metrics_file)
    expected = Expectations(expect, ignore or (), every)
    examined = list(examine(setup, told, expected, pass_over=pass_over or (), send=send))
    if as_json:
        from visitpay.cli import to_json

        typer.echo(to_json.dumps(to_json.doctor(examined)))
    else:
        console.show(("", "", ""), [(thing.state, thing.name, thing.seen) for thing in examined])
        for thing in examined:
            if thing.remedy:
                console.say(f"{thing.name}: {thing.remedy}{':' if thing.command else ''}")
            if thing.command:
                console.command(thing.command)
    if any(thing.state is State.ERROR for thing in examined):
        raise typer.Exit(ATTENTION_STATUS)
