"""`visitpay sample`."""

from pathlib import Path
from typing import Annotated

import typer

from visitpay.cli import options


def sample(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write the files.")],
    *,
    visits: Annotated[
        int, typer.Option(parser=options.as_count, metavar="COUNT", help="Visits in all.")
    ] = 1000,
    days: Annotated[
        int,
        typer.Option(parser=options.as_count, metavar="COUNT", help="Days over which they arrive."),
    ] = 3,
    dirt: Annotated[
        float, typer.Option(parser=options.as_percent, metavar="PERCENT", help="Damaged rows.")
    ] = 0,
    seed: Annotated[
        int, typer.Option(metavar="NUMBER", help="The same seed writes the same bytes.")
    ] = 0,
    hospital: options.Hospital = options.DEFAULT_HOSPITAL,
) -> None:
    """Write a made-up feed of several days, for a demo, a test or a measurement.

    Example: visitpay sample landing --visits 1000 --days 3 --dirt 2
    """
    from visitpay.cli.console import line
    from visitpay.sample import write_sample

    written = write_sample(
        directory, visits=visits, days=days, dirt=dirt, seed=seed, hospital=hospital
    )

    for path in written:
        line(path)
