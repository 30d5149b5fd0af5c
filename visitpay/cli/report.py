"""`visitpay report`."""

from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from visitpay.cli.documents import verdict
from visitpay.cli.options import (
    DEFAULT_HOSPITAL,
    DEFAULT_LANDING,
    DEFAULT_REPORT,
    DatabaseUrl,
    Expected,
    Hospital,
    Ignored,
    Json,
    LandingDirectory,
    PassOver,
    Settle,
)
from visitpay.errors import ConfigurationError
from visitpay.vocabulary import DEFAULT_URL


def report(  # noqa: PLR0913 - each is an option of the command
    landing: LandingDirectory = DEFAULT_LANDING,
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where to write the page; an older one goes.")
    ] = DEFAULT_REPORT,
    database_url: DatabaseUrl = DEFAULT_URL,
    hospital: Hospital = DEFAULT_HOSPITAL,
    pass_over: PassOver = None,
    settle: Settle = 0,
    expect: Expected = None,
    ignore: Ignored = None,
    as_json: Json = False,
) -> None:
    """Write one HTML page that shows how the feed stands, with charts, for whoever looks on.

    It needs no network, and holds names and counts only. Balances are told of as `visitpay
    reconcile` found them when it last ran. Exits with 0 whatever it shows.

    Example: visitpay report /srv/landing --output report.html
    """
    reporting = _reporting()
    from visitpay.cli.console import dumps, line
    from visitpay.database.engine import read_connection
    from visitpay.landing.local import scan
    from visitpay.private_files import write_private
    from visitpay.reporting.status import feed_status

    now = datetime.now(UTC)
    landed = scan(landing, hospital, pass_over or (), settle)
    with read_connection(database_url) as connection:
        seen = feed_status(connection, landed, now, expect, ignore or ())
        page = reporting.page(reporting.report(connection, seen, now))
    with write_private(output, over=reporting.BEGIN) as file:
        file.write(page)
    state = {"status": verdict(attention=seen.needs_person), "summary": seen.summary}
    if as_json:
        typer.echo(dumps({**state, "path": str(output)}))
    else:
        line(output)


def _reporting() -> ModuleType:
    try:
        from visitpay.reporting import page as reporting
    except ImportError as error:
        message = "`report` needs Jinja and vl-convert; run: pip install 'visitpay[report]'"
        raise ConfigurationError(message) from error
    return reporting
