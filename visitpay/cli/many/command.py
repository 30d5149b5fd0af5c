"""A command that has --all: it does its work for one hospital, or for all of a file."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from typing import Annotated, Any, cast

import typer

from visitpay import settings
from visitpay.cli import options
from visitpay.cli.command import Command, path_of
from visitpay.errors import ConfigurationError

# Typer keeps the types of its parser to itself.
# ruff: noqa: ANN401

_OF_ONE = (
    *("landing", "database_url", "schema", "hospital"),
    *("approve", "again", "wait", "unless_after", "raw", "backup", "sql"),
)
"""What is said of one hospital, or has no sense for many."""

_WAITING = ("reconcile", "migrate")
"""Commands that wait for a load; a load of many hospitals goes on to the next."""


def _shared(
    *,
    for_all: Annotated[
        bool, typer.Option("--all", help="Do it for all hospitals of the file hospitals.toml.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            parser=options.as_count, metavar="N", help="With --all, so many processes at once."
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="HOSPITAL", help="With --all, only for this one; may be repeated."),
    ] = None,
) -> None:
    """Have the options, as Typer makes them of a function."""


@cache
def _shared_options() -> Sequence[Any]:
    app = typer.Typer(add_completion=False)
    app.command()(_shared)
    params: Sequence[Any] = cast("Any", typer.main.get_command(app)).params
    return params


class ManyCommand(Command):
    """A command that does its work for one hospital, or with --all for all."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Make the command, with the options about many hospitals."""
        named["params"] = [*(named.get("params") or ()), *_shared_options()]
        super().__init__(*arguments, **named)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments; keep them as they were given, by the names of their options.

        What the file of hospitals says for the command itself stands above the environment.
        """
        given, _rest, _order = self.make_parser(ctx).parse_args(list(args))
        ctx.meta[__name__] = given
        if not given.get("for_all") or given.get("help") or ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        from visitpay import hospitals

        ctx.obj = hospitals.read()
        with ExitStack() as opened:
            opened.enter_context(settings.prevail(hospitals.Common(ctx.obj[0].file)))
            rest = super().parse_args(ctx, args)
            ctx.call_on_close(opened.pop_all().close)
        return rest

    def run(self, ctx: Any) -> Any:
        """Run the command, once or for all hospitals."""
        many = {name: ctx.params.pop(name) for name in ("for_all", "workers", "only")}
        if not many["for_all"]:
            if many["workers"] or many["only"]:
                message = "--workers and --only go with --all"
                raise ConfigurationError(message)
            return super().run(ctx)
        from visitpay.cli.many.round import Wanted, run_round

        given = {name: value for name, value in ctx.meta[__name__].items() if name not in many}
        (name,) = path_of(ctx)
        self._require_for_many(given, name)
        words = dict(self._words(given))
        wanted = Wanted(name, words, many["workers"] or 1, many["only"] or ())
        return run_round(wanted, ctx.obj, ctx.params)

    def _require_for_many(self, given: Mapping[str, Any], name: str) -> None:
        """Raise ConfigurationError for an argument that is about one hospital."""
        refused = [option for option in self.params if given.get(str(option.name)) is not None]
        for option in refused:
            key = str(option.name)
            if key in _OF_ONE and not (key == "wait" and name in _WAITING):
                said = option.opts[0] if option.opts[0].startswith("-") else key.upper()
                message = f"{said} is about one hospital; leave it out, or --all"
                raise ConfigurationError(message)

    def _words(self, given: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
        """Yield the options that were given, each with its words."""
        for option in self.params:
            value = given.get(str(option.name))
            if value is None:
                continue
            values = value if isinstance(value, list | tuple) else [value]
            if getattr(option, "is_flag", False):
                yield str(option.name), [option.opts[0]]
            elif option.opts[0].startswith("-"):
                yield str(option.name), [f"{option.opts[0]}={each}" for each in values]
            else:
                yield str(option.name), list(values)
