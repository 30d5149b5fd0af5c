"""`visitpay check`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from visitpay.cli.documents import verdict
from visitpay.cli.options import (
    ATTENTION_STATUS,
    DEFAULT_HOSPITAL,
    DEFAULT_LANDING,
    Hospital,
    Json,
    LandingDirectory,
    PassOver,
)

if TYPE_CHECKING:
    from visitpay.loading.validate import CheckedFile


def check(
    landing: LandingDirectory = DEFAULT_LANDING,
    *,
    hospital: Hospital = DEFAULT_HOSPITAL,
    pass_over: PassOver = None,
    as_json: Json = False,
) -> None:
    """Read and validate every file of a directory without a database; exits with 1 if any is bad.

    Whether rows refer to visits and procedures that are there, only a load can tell; try
    `visitpay load --dry-run` for that.

    Example: visitpay check /srv/landing
    """
    from visitpay.cli import console as terminal
    from visitpay.landing.local import scan
    from visitpay.loading import validate as checking

    landed = scan(landing, hospital, pass_over or ())
    checked = list(checking.check(landed))
    bad = any(each.error or each.rejected for each in checked)
    if as_json:
        document = {
            "status": verdict(attention=bad),
            "files": [_checked_document(each) for each in checked],
            "unrecognised": tuple(landed.unrecognised),
            "why_unrecognised": landed.unrecognised,
        }
        typer.echo(terminal.dumps(document))
    else:
        _show_checked(checked, landed.unrecognised)
    if bad:
        raise typer.Exit(ATTENTION_STATUS)


def _checked_document(checked: "CheckedFile") -> dict[str, Any]:
    return {
        "name": checked.file.name,
        "entity": checked.file.entity,
        "rows_read": checked.rows_read,
        "rejected": checked.rejected,
        "reasons": checked.reasons,
        "error": checked.error,
    }


def _show_checked(checked: "Sequence[CheckedFile]", strange: Mapping[str, str]) -> None:
    from visitpay.cli.console import show
    from visitpay.feed import short

    files = [(short(each.file.name), each.rows_read, each.rejected, each.error) for each in checked]
    show(("file", "rows", "rejected", "error"), files, nothing="no files to check")
    examples = [(short(each.file.name), *example) for each in checked for example in each.examples]
    show(("file", "line", "reason", "column"), examples, "the first rejects of each")
    # Quoted, since a name may end with a space.
    show(("not recognised", "why"), [(f'"{name}"', why) for name, why in strange.items()])
