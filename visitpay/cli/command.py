"""What every command has: settings for what no argument says, --quiet, --verbose, --schema."""

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from typer.core import TyperCommand

from visitpay import settings
from visitpay.cli.loudness import LOUDNESS, Loudness
from visitpay.errors import SettingsError
from visitpay.events import Event

# Typer keeps the types of its parser to itself.
# ruff: noqa: ANN401


def _shared(
    *,
    schema: Annotated[  # for commands that have a database
        str | None,
        typer.Option(
            envvar="VISITPAY_SCHEMA",
            metavar="NAME",
            help="The schema of a PostgreSQL database; each hospital may have one.",
        ),
    ] = None,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="Print nothing where all is well; log errors only."),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every step.")] = False,
) -> None:
    """Have the options, as Typer makes them of a function."""


@cache
def _shared_options() -> Sequence[Any]:
    app = typer.Typer(add_completion=False)
    app.command()(_shared)
    params: Sequence[Any] = cast("Any", typer.main.get_command(app)).params
    return params


def _with_shared(own: Sequence[Any]) -> Iterator[Any]:
    """Yield a command's own options, and those of every command; the schema's is by its URL's."""
    schema, *others = _shared_options()
    for option in own:
        yield option
        if option.name == "database_url":
            yield schema
    yield from others


class Command(TyperCommand):
    """A command that takes what no argument says from the environment, then from the settings."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Make the command, with the options of every command."""
        options["params"] = list(_with_shared(options.get("params") or ()))
        super().__init__(*arguments, **options)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments; raises SettingsError for a setting that cannot be used."""
        ctx.default_map = found = Found(self, ctx, path_of(ctx))
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            name = str(getattr(error.param, "name", ""))
            if getattr(ctx.get_parameter_source(name), "name", "") != "DEFAULT_MAP":
                raise
            raise found.unusable(name, error) from None

    def invoke(self, ctx: Any) -> Any:
        """Run the command, as loud as it was asked to be, on the schema that it was given."""
        loudness = _loudness_of(ctx)
        schema = ctx.params.pop("schema", None)
        if schema is not None:
            url = ctx.params["database_url"]
            ctx.params["database_url"] = settings.with_schema(url, schema)
        token = LOUDNESS.set(loudness)
        try:
            if loudness is Loudness.VERBOSE:
                _log_settings(ctx)
            is_document = any(ctx.params.get(each) for each in ("as_json", "as_csv", "sql"))
            held = loudness is Loudness.QUIET and not is_document
            with _held_back() if held else nullcontext():
                return self.run(ctx)
        finally:
            LOUDNESS.reset(token)

    def run(self, ctx: Any) -> Any:
        """Run the command's function with what was read."""
        return super().invoke(ctx)


def _loudness_of(ctx: Any) -> Loudness:
    """Return how loud a command is; its two options go. An argument wins over the settings."""
    wanted = [each for each in ("quiet", "verbose") if ctx.params.pop(each)]
    given = [each for each in wanted if ctx.get_parameter_source(each).name == "COMMANDLINE"]
    chosen = given or wanted
    if len(chosen) > 1:
        message = "give one of --quiet and --verbose"
        raise typer.BadParameter(message)
    return Loudness(chosen[0]) if chosen else Loudness.USUAL


class Found:
    """What the settings say of a command's options, read when the first of them is asked for."""

    def __init__(self, command: TyperCommand, ctx: Any, path: tuple[str, ...]) -> None:
        """Say for which command, in which context of the parser, and its name in parts."""
        self._options: dict[str, Any] = {str(option.name): option for option in command.params}
        self._ctx = ctx
        self._path = path

    @cached_property
    def _settings(self) -> settings.Settings:
        found = settings.read()
        require_known(found, self._ctx.find_root().command)
        return found

    def get(self, name: str, default: object = None) -> object:
        """Return what an option is set to; the parser asks so where nothing else says."""
        if name not in settings.KEYS or self._ctx.resilient_parsing:  # as for --help
            return default
        found = settings.below_environment(name, self._settings, self._path)
        return default if found is None else self._fitting(name, found)

    def _fitting(self, name: str, found: settings.Setting) -> object:
        """Return a value as the parser takes it; raises SettingsError if its kind is wrong."""
        option, value = self._options[name], found.value
        if isinstance(value, bool) != bool(getattr(option, "is_flag", False)):
            wanted = "no true or false" if isinstance(value, bool) else "true or false, no text"
            raise _unusable(found, name, f"takes {wanted}")
        if getattr(option, "multiple", False):
            return value if isinstance(value, list) else [value]
        if isinstance(value, list):
            raise _unusable(found, name, "takes one value, no list")
        return value

    def in_force(self) -> Iterator[tuple[str, settings.Setting]]:
        """Yield each setting of the command where no argument says; raises SettingsError."""
        self._ctx.default_map = self
        for name in filter(settings.KEYS.__contains__, self._options):
            option = self._options[name]
            try:
                option.handle_parse_result(self._ctx, {}, [])
            except typer.BadParameter as error:
                raise self.unusable(name, error) from None
            yield name, self._setting(name)

    def _setting(self, name: str) -> settings.Setting:
        """Return what an option is set to where no argument says, as it is written there."""
        option = self._options[name]
        if option.envvar and (value := os.environ.get(option.envvar)):
            return settings.Setting(value, option.envvar)
        default = option.default
        usual = default if isinstance(default, bool) else "" if default is None else str(default)
        found = settings.below_environment(name, self._settings, self._path)
        return found or settings.Setting(usual, settings.DEFAULT)

    def unusable(self, name: str, error: typer.BadParameter) -> SettingsError:
        """Return the error for a value that the parser refuses; the value is not told."""
        found, why = self._setting(name), error.message
        for value in found.value if isinstance(found.value, list) else [found.value]:
            why = why.replace(repr(value), "it")
        return _unusable(found, name, f"cannot be used: {why.rstrip('.')}")


def _unusable(found: settings.Setting, name: str, what: str) -> SettingsError:
    return SettingsError(f"{found.origin}: `{name}` {what}")


def path_of(ctx: Any) -> tuple[str, ...]:
    """Return the name of a context's command, below `visitpay`: `rejects`, `list`."""
    names: tuple[str, ...] = ()
    while ctx.parent is not None:
        names, ctx = (ctx.info_name, *names), ctx.parent
    return names


def require_known(found: settings.Settings, group: Any) -> None:
    """Raise SettingsError unless each table is that of a command, with options of that command."""
    for path, table in found.tables.items():
        below = group
        for name in path:
            commands = getattr(below, "commands", {})
            if name not in commands:
                meant = settings.nearest(name, list(commands))
                found.refuse_table(path, f"is no command{meant}")
            below = commands[name]
        options = set(_options_below(below))
        for key in table:
            if path and key not in options:
                found.refuse(key, path, f"is no option of `visitpay {' '.join(path)}`")


def _options_below(command: Any) -> Iterator[str]:
    for below in getattr(command, "commands", {}).values():
        yield from _options_below(below)
    yield from (option.name for option in command.params)


def _log_settings(ctx: Any) -> None:
    import logging

    from visitpay.cli.logs import start_log

    path = ctx.params.get("log_file")
    start_log(ctx.params.get("log_format", "text"), path=Path(path) if path else None)
    found = settings.read()
    where = found.name if found.path else "no file, the environment only"
    extra = Event.SETTINGS_READ.extra
    logging.getLogger("visitpay").debug("settings: %s", where, extra=extra)


class _Pages(io.StringIO):
    """Output that waits; it is as wide as where it goes."""

    def isatty(self) -> bool:
        return sys.__stdout__ is not None and sys.__stdout__.isatty()


@contextmanager
def _held_back() -> Iterator[None]:
    """Print what is printed in the block only if the block ends with an error or an exit status."""
    real, pages = sys.stdout, _Pages()
    try:
        with redirect_stdout(pages):
            yield
    except BaseException:
        real.write(pages.getvalue())
        raise
