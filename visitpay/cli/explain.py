"""`visitpay explain`."""

from typing import TYPE_CHECKING, Annotated

import typer

from visitpay import api
from visitpay.cli import completion, options
from visitpay.errors import ATTENTION_STATUS
from visitpay.vocabulary import DEFAULT_URL

if TYPE_CHECKING:
    from visitpay.reporting.explain import Explained
    from visitpay.reporting.guarantor import Guarantor

GUARANTOR = "guarantor"
"""What is no record type, and can be explained all the same."""


def _as_type(text: str) -> str:
    """Return the name of what can be explained; raises BadParameter for anything else."""
    if text.lower() == GUARANTOR:
        return GUARANTOR
    try:
        return options.as_entity(text) or ""
    except typer.BadParameter as error:
        message = f"{error.message}, {GUARANTOR}"
        raise typer.BadParameter(message) from error


def _complete_type(incomplete: str) -> list[str]:
    """Return what can be explained and begins with a text, in its letter case, for the shell."""
    is_begun = GUARANTOR.startswith(incomplete.lower())
    also = [incomplete + GUARANTOR[len(incomplete) :]] if is_begun else []
    return [*completion.entities(incomplete), *also]


def explain(  # noqa: PLR0913 - each is an option of the command
    what: Annotated[
        str,
        typer.Argument(
            metavar="TYPE",
            callback=_as_type,
            autocompletion=_complete_type,
            help="What it is, such as visit; also guarantor.",
        ),
    ],
    key: Annotated[
        int, typer.Argument(metavar="ID", parser=options.as_key, help="Its identifier.")
    ],
    *,
    database_url: options.DatabaseUrl = DEFAULT_URL,
    landing: options.LandingOption = options.DEFAULT_LANDING,
    hospital: options.Hospital = options.DEFAULT_HOSPITAL,
    pass_over: options.PassOver = None,
    as_json: options.Json = False,
) -> None:
    """Show one row, such as a visit, where it came from, what was rejected, and why it is missing.

    Files that wait, failed or are held are searched for it, up to 1 GiB of them; where LANDING is
    not given, in the directory that the last load read. Of a visit the
    rejected transactions, too: its balance may lack them. Of a guarantor the visits, each with its
    balance and the sum of its transactions.

    It holds health and payment data: mind who looks on. Exits with 1 when nothing is known of it.

    Example: visitpay explain visit 321000004
    """
    from visitpay.cli import explained
    from visitpay.hints import setup_of

    passed_over = pass_over or ()
    shown: explained.Shown
    if what == GUARANTOR:
        guarantor = api.explain_guarantor(
            key, landing, database_url=database_url, hospital=hospital, pass_over=passed_over
        )
        setup = setup_of(database_url, _searched(guarantor, landing), hospital)
        shown = explained.ShownGuarantor(key, setup, guarantor)
    else:
        row = api.explain(
            what, key, landing, database_url=database_url, hospital=hospital, pass_over=passed_over
        )
        setup = setup_of(database_url, _searched(row, landing), hospital)
        shown = explained.ShownRow(what, key, setup, row)
    if as_json:
        from visitpay.cli import to_json

        typer.echo(to_json.dumps(shown.document()))
    else:
        shown.show()
    if not shown.found.known:
        raise typer.Exit(ATTENTION_STATUS)


def _searched(found: "Explained | Guarantor", landing: str) -> str:
    """Return the directory whose files were searched, else the landing directory as given."""
    return found.search.landing if found.search else landing
