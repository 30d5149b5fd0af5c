"""`visitpay check`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import typer

from visitpay.cli import options
from visitpay.errors import ATTENTION_STATUS

if TYPE_CHECKING:
    from visitpay.loading.validate import CheckedFile


def check(
    landing: options.LandingDirectory = options.DEFAULT_LANDING,
    *,
    hospital: options.Hospital = options.DEFAULT_HOSPITAL,
    pass_over: options.PassOver = None,
    as_json: options.Json = False,
) -> None:
    """Read and validate every file of a directory without a database; exits with 1 if any is bad.

    Whether rows refer to visits and procedures that are there, only a load can tell; try
    `visitpay load --dry-run` for that.

    Example: visitpay check /srv/landing
    """
    from visitpay.landing.local import scan
    from visitpay.loading import validate

    landed = scan(landing, hospital, pass_over or ())
    checked = list(validate.check(landed))
    bad = any(file.error or file.rejected for file in checked)
    if as_json:
        from visitpay.cli import to_json

        typer.echo(to_json.dumps(to_json.check(checked, landed, attention=bad)))
    else:
        _show(checked, landed.unrecognised)
    if bad:
        raise typer.Exit(ATTENTION_STATUS)


def _show(checked: "Sequence[CheckedFile]", unrecognised: Mapping[str, str]) -> None:
    from visitpay.cli.console import show
    from visitpay.feed import short_name

    files = [
        (short_name(file.file.name), file.rows_read, file.rejected, file.error) for file in checked
    ]
    show(("file", "rows", "rejected", "error"), files, nothing="no files to check")
    examples = [
        (short_name(file.file.name), *example) for file in checked for example in file.examples
    ]
    show(("file", "line", "reason", "column"), examples, "the first rejects of each")
    # Quoted, since a name may end with a space.
    show(("not recognised", "why"), [(f'"{name}"', why) for name, why in unrecognised.items()])
