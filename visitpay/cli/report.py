"""`visitpay report`."""

from pathlib import Path
from typing import Annotated

import typer

from visitpay import api
from visitpay.cli import options
from visitpay.vocabulary import DEFAULT_URL


def report(  # noqa: PLR0913 - each is an option of the command
    landing: options.LandingDirectory = options.DEFAULT_LANDING,
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Where to write the page; an older one goes."
        ),
    ] = options.DEFAULT_REPORT,
    database_url: options.DatabaseUrl = DEFAULT_URL,
    hospital: options.Hospital = options.DEFAULT_HOSPITAL,
    pass_over: options.PassOver = None,
    settle: options.Settle = 0,
    expect: options.Expected = None,
    ignore: options.Ignored = None,
    every: options.Every = None,
    as_json: options.Json = False,
) -> None:
    """Write one HTML page that shows how the feed stands, with charts, for whoever looks on.

    It needs no network, and holds names, counts and sums only. Past a day it says that it is too
    old to tell. Balances are told of as `visitpay reconcile` found them when it last ran. Exits
    with 0 whatever it shows.

    Example: visitpay report /srv/landing --output report.html
    """
    from visitpay.cli import console

    feed = api.report(
        output,
        landing,
        database_url=database_url,
        hospital=hospital,
        pass_over=pass_over or (),
        settle=settle,
        expect=expect,
        ignore=ignore or (),
        every=every,
    )
    if as_json:
        from visitpay.cli import to_json

        typer.echo(to_json.dumps(to_json.report(feed, output)))
    else:
        console.line(output)
