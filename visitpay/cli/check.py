"""`visitpay check`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from visitpay.cli import completion, options
from visitpay.errors import ATTENTION_STATUS
from visitpay.text import counted

if TYPE_CHECKING:
    from visitpay.loading.validate import CheckedFile, Totals

_NEXT_IF_BAD = "ask the hospital to correct them; what a load would do meanwhile"
_SHOWN = 50
_SHOWN_ON_TERMINAL = 5


def check(
    landing: Annotated[
        str,
        typer.Argument(
            metavar="LANDING",
            envvar="VISITPAY_LANDING",
            autocompletion=completion.paths,
            help="A file, or the place in which the hospital's files arrive.",
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
    limit: Annotated[
        int | None,
        typer.Option(
            parser=options.as_count,
            metavar="ROWS",
            help="Show so many of each list at the most: 50 if not given, 5 on a terminal.",
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Read and validate one file or a directory, without a database; exits with 1 if any is bad.

    The worst files stand first, the sums at the end; JSON has all files. A file that a load would
    hold is bad, and so is a name that is nearly one of the feed's. Only `visitpay load --dry-run`
    can tell whether rows refer to visits and procedures that are there.

    Example: visitpay check /srv/landing
    """
    from visitpay import settings
    from visitpay.cli.console import on_terminal, say
    from visitpay.hints import setup_of
    from visitpay.loading import validate

    landed = validate.find(landing, hospital, pass_over or (), entity)
    shown = limit or (_SHOWN_ON_TERMINAL if on_terminal() else _SHOWN)
    is_one = len(landed.files) == 1
    checked = list(validate.check(landed, shown if is_one else validate.MAX_EXAMPLES))
    totals = validate.Totals.of(checked)
    bad = bool(totals.unusable or totals.reasons or landed.near_misses)
    if as_json:
        from visitpay.cli import to_json

        typer.echo(to_json.dumps(to_json.check(checked, totals, landed, attention=bad)))
    else:
        _show_files(checked, shown)
        if limit or is_one or not on_terminal():
            _show_examples(checked, shown)
        _show_unrecognised(landed.unrecognised, shown)
        _show_totals(totals)
        if totals.files and entity is None:
            url = str(settings.database_in_force().value)
            where = landed.files[0].place.name
            hint = setup_of(url, where, hospital).hint("load", "--dry-run")
            say(f"{_NEXT_IF_BAD if bad else 'next'}: {hint}")
    if bad:
        raise typer.Exit(ATTENTION_STATUS)


def _show_files(checked: "Sequence[CheckedFile]", limit: int) -> None:
    from visitpay.cli.console import show
    from visitpay.feed import short_name

    files = [
        (short_name(file.file.name), file.rows_read, file.rejected, file.error)
        for file in _worst_first(checked)[:limit]
    ]
    headers = ("file", "rows", "rejected", "error")
    show(headers, files, nothing="no files to check", total=len(checked))


def _show_examples(checked: "Sequence[CheckedFile]", limit: int) -> None:
    """Print the first rejects of each file, and how many more there are."""
    from visitpay.cli.console import say, show
    from visitpay.feed import short_name

    examples = [
        (short_name(file.file.name), *example)
        for file in _worst_first(checked)
        for example in file.examples
    ]
    shown = examples[:limit]
    rejected = sum(file.rejected for file in checked)
    is_cut = len(shown) < len(examples) or len(checked) == 1
    title = "the first rejects of each"
    total = rejected if is_cut else len(shown)
    show(("file", "line", "reason", "column"), shown, title, total=total)
    if total < rejected:
        say(f"{total:,} of {rejected:,}; to see more of a file, check it alone, with --limit")


def _worst_first(checked: "Sequence[CheckedFile]") -> "list[CheckedFile]":
    return sorted(checked, key=lambda file: (file.error is None, not file.rejected))


def _show_unrecognised(unrecognised: Mapping[str, str], limit: int) -> None:
    from visitpay.cli.console import show

    # Quoted, since a name may end with a space.
    names = [(f'"{name}"', why) for name, why in unrecognised.items()]
    show(("not recognised", "why"), names[:limit], total=len(names))


def _show_totals(totals: "Totals") -> None:
    """Print what is wrong with rows, and what all files come to."""
    from visitpay.cli.console import on_terminal, say, show
    from visitpay.verdict.advice import advice_for

    if not totals.files:
        return
    reasons = totals.reasons.most_common()
    meanings = [(reason, rows, advice_for(reason).meaning) for reason, rows in reasons]
    if on_terminal():  # where a screen is to hold it all
        show(("reason", "rows"), reasons)
    else:
        show(("reason", "rows", "meaning"), meanings)
    unusable = f", {counted(totals.unusable, 'file')} cannot be used" if totals.unusable else ""
    say(
        f"{counted(totals.files, 'file')}, {counted(totals.rows_read, 'row')},"
        f" {totals.reasons.total():,} rejected{unusable}"
    )
