"""The commands and their settings, from the app."""

from collections.abc import Iterator
from typing import Any

import typer.main

from tools.blocks.markdown import code, table
from visitpay.cli.app import app
from visitpay.settings import KEYS

_WIDTH = 100


def commands() -> str:
    """Return a section for each command: what its `--help` prints."""
    return "\n\n".join(
        f"## {context.command_path}\n\n```text\n{context.get_help()}\n```"
        for context in _contexts()
    )


def environment() -> str:
    """Return the settings that can come from the environment, each with its option."""
    settings: dict[str, tuple[str, str, str]] = {}
    takers: dict[str, list[str]] = {}
    for context in _contexts():
        for setting in context.command.params:
            if variable := setting.envvar:
                option = setting.opts[0] if setting.param_type_name == "option" else "`LANDING`"
                default = "" if setting.default is None else str(setting.default)
                settings.setdefault(variable, (option.strip("`"), setting.help, default))
                takers.setdefault(variable, []).append(context.command_path.split(" ", 1)[1])
    rows = (
        (code(variable), code(option), code(default), about, ", ".join(takers[variable]))
        for variable, (option, about, default) in sorted(settings.items())
    )
    return table(("variable", "option", "default", "meaning", "commands"), rows)


def settings_file() -> str:
    """Return the keys of the file of settings, with the commands that take them."""
    takers: dict[str, list[str]] = {}
    for context in _contexts():
        for setting in context.command.params:
            takers.setdefault(setting.name, []).append(context.command_path.split(" ", 1)[1])
    every = max(map(len, takers.values()))
    rows = (
        (code(key), "all" if len(takers[key]) == every else ", ".join(takers[key])) for key in KEYS
    )
    return table(("key", "commands"), rows)


def _contexts() -> Iterator[Any]:
    """Yield a context of each command, as the parser makes it."""
    group = typer.main.get_command(app)
    top = group.context_class(
        group, info_name="visitpay", terminal_width=_WIDTH, **group.context_settings
    )
    yield from _contexts_below(group, top)


def _contexts_below(group: Any, above: Any) -> Iterator[Any]:  # noqa: ANN401 - typer keeps its types to itself
    for name, command in group.commands.items():
        context = command.context_class(command, info_name=name, parent=above)
        if hasattr(command, "commands"):
            yield from _contexts_below(command, context)
        elif not command.hidden:
            yield context
