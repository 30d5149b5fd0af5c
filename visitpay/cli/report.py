"""`visitpay report`."""

from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from visitpay.cli import options
from visitpay.errors import ConfigurationError
from visitpay.vocabulary import DEFAULT_URL


def report(  # noqa: PLR0913 - each is an option of the command
    landing: options.LandingDirectory = options.DEFAULT_LANDING,
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where to write the page; an older one goes.")
    ] = options.DEFAULT_REPORT,
    database_url: options.DatabaseUrl = DEFAULT_URL,
    hospital: options.Hospital = options.DEFAULT_HOSPITAL,
    pass_over: options.PassOver = None,
    settle: options.Settle = 0,
    expect: options.Expected = None,
    ignore: options.Ignored = None,
    as_json: options.Json = False,
) -> None:
    """Write one HTML page that shows how the feed stands, with charts, for whoever looks on.

    It needs no network, and holds names and counts only. Balances are told of as `visitpay
    reconcile` found them when it last ran. Exits with 0 whatever it shows.

    Example: visitpay report /srv/landing --output report.html
    """
    pages = _pages()
    from visitpay.cli import console
    from visitpay.database.engine import read_connection
    from visitpay.landing.local import scan
    from visitpay.private_files import write_private
    from visitpay.reporting.status import feed_status

    now = datetime.now(UTC)
    landed = scan(landing, hospital, pass_over or (), settle)
    with read_connection(database_url) as connection:
        feed = feed_status(connection, landed, now, expect, ignore or ())
        page = pages.page(pages.report(connection, feed, now))
    with write_private(output, over=pages.BEGIN) as file:
        file.write(page)
    if as_json:
        from visitpay.cli import to_json

        typer.echo(to_json.dumps(to_json.report(feed, output)))
    else:
        console.line(output)


def _pages() -> ModuleType:
    try:
        from visitpay.reporting import page
    except ImportError as error:
        message = "`report` needs Jinja and vl-convert; run: pip install 'visitpay[report]'"
        raise ConfigurationError(message) from error
    return page
