"""`visitpay check`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from visitpay.cli import completion, options
from visitpay.errors import ATTENTION_STATUS
from visitpay.text import counted

if TYPE_CHECKING:
    from visitpay.loading.validate import CheckedFile, Totals

_NEXT_IF_BAD = "ask the hospital to mend them; what a load would do meanwhile"


def check(
    landing: Annotated[
        Path,
        typer.Argument(
            metavar="LANDING",
            envvar="VISITPAY_LANDING",
            help="A file, or the directory in which the hospital's files arrive.",
            readable=False,
        ),
    ] = options.DEFAULT_LANDING,
    *,
    hospital: options.Hospital = options.DEFAULT_HOSPITAL,
    pass_over: options.PassOver = None,
    entity: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE",
            callback=options.as_entity,
            autocompletion=completion.entities,
            help="What a single file holds, such as visit, whatever its name.",
        ),
    ] = None,
    limit: options.Limit = 50,
    as_json: options.Json = False,
) -> None:
    """Read and validate one file or a directory, without a database; exits with 1 if any is bad.

    The worst files stand first, the sums at the end; JSON has all files. A name that is nearly one
    of the feed's is bad, too. Only `visitpay load --dry-run` can tell whether rows refer to visits
    and procedures that are there.

    Example: visitpay check /srv/landing
    """
    from visitpay import settings
    from visitpay.cli.console import say
    from visitpay.hints import setup_of
    from visitpay.loading import validate
    from visitpay.vocabulary import DEFAULT_URL

    landed = validate.find(landing, hospital, pass_over or (), entity)
    checked = list(validate.check(landed))
    totals = validate.Totals.of(checked)
    bad = bool(totals.unusable or totals.reasons or landed.near_misses)
    if as_json:
        from visitpay.cli import to_json

        typer.echo(to_json.dumps(to_json.check(checked, totals, landed, attention=bad)))
    else:
        _show_files(checked, limit)
        _show_unrecognised(landed.unrecognised, limit)
        _show_totals(totals)
        if totals.files and entity is None:
            url = str(settings.in_force("database_url", DEFAULT_URL).value)
            directory = landing if landing.is_dir() else landing.absolute().parent
            hint = setup_of(url, directory, hospital).hint("load", "--dry-run")
            say(f"{_NEXT_IF_BAD if bad else 'next'}: {hint}")
    if bad:
        raise typer.Exit(ATTENTION_STATUS)


def _show_files(checked: "Sequence[CheckedFile]", limit: int) -> None:
    from visitpay.cli.console import show
    from visitpay.feed import short_name

    worst = sorted(checked, key=lambda file: (file.error is None, not file.rejected))
    files = [
        (short_name(file.file.name), file.rows_read, file.rejected, file.error)
        for file in worst[:limit]
    ]
    headers = ("file", "rows", "rejected", "error")
    show(headers, files, nothing="no files to check", total=len(checked))
    examples = [
        (short_name(file.file.name), *example) for file in worst for example in file.examples
    ]
    shown = examples[:limit]
    title = "the first rejects of each"
    show(("file", "line", "reason", "column"), shown, title, total=len(examples))


def _show_unrecognised(unrecognised: Mapping[str, str], limit: int) -> None:
    from visitpay.cli.console import show

    # Quoted, since a name may end with a space.
    names = [(f'"{name}"', why) for name, why in unrecognised.items()]
    show(("not recognised", "why"), names[:limit], total=len(names))


def _show_totals(totals: "Totals") -> None:
    """Print what is wrong with rows, and what all files come to."""
    from visitpay.cli.console import say, show
    from visitpay.verdict.advice import ADVICE

    if not totals.files:
        return
    reasons = totals.reasons.most_common()
    meanings = [(reason, rows, ADVICE[reason].meaning) for reason, rows in reasons]
    show(("reason", "rows", "meaning"), meanings)
    unusable = f", {counted(totals.unusable, 'file')} cannot be used" if totals.unusable else ""
    say(
        f"{counted(totals.files, 'file')}, {counted(totals.rows_read, 'row')},"
        f" {totals.reasons.total():,} rejected{unusable}"
    )
