"""`visitpay config`."""

from collections.abc import Iterator, Sequence
from typing import Any

import typer

from visitpay import settings
from visitpay.cli import options
from visitpay.cli.command import Found
from visitpay.errors import ConfigurationError
from visitpay.settings import Setting, Shown, Value

HIDDEN = "set, not shown"
NOT_SET = "not set"


def config(ctx: typer.Context, *, as_json: options.Json = False) -> None:
    """Show what is set for the commands, and where: by a variable, or a line of the file.

    An argument wins over a variable, a variable over the file, the file over the default. The file
    is the one that VISITPAY_CONFIG names, else visitpay.toml in the working directory, else
    /etc/visitpay/visitpay.toml. Secrets are not shown.

    Example: visitpay config
    """
    from visitpay.cli import console

    file = settings.read()
    found = _in_force(ctx.find_root())
    if as_json:
        from visitpay.cli import to_json

        typer.echo(to_json.dumps(to_json.config(file.name if file.path else None, found)))
        return
    rows, usual = [], ""
    for one, commands in found.items():
        value = HIDDEN if one.is_secret else one.value or NOT_SET
        rows.append((one.name, value, one.origin, ", ".join(commands) * (one.name == usual)))
        usual = one.name
    console.show(("setting", "value", "from", "only for"), rows)
    if file.path is None:
        console.say(f"there is no {settings.NAME} here, and no {settings.STANDARD}")


def _in_force(root: Any) -> dict[Shown, list[str]]:  # noqa: ANN401 - typer hides its types
    """Return every setting, each with the commands that have it so; what most have comes first."""
    found: dict[Shown, list[str]] = {}
    for path, command in _commands(root.command):
        context = command.context_class(command, info_name=path[-1], parent=root)
        for key, setting in Found(command, context, path).in_force():
            found.setdefault(_shown(key, setting), []).append(" ".join(path))
    for key in settings.SECRETS:
        found[_shown(key, settings.in_force(key))] = ["load", "doctor"]
    names = (*settings.KEYS, *settings.SECRETS)
    return dict(sorted(found.items(), key=lambda each: (names.index(each[0].name), -len(each[1]))))


def _commands(group: Any, above: Sequence[str] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:  # noqa: ANN401
    """Yield the commands of a group, each with its name in parts."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*above, name))
        else:
            yield (*above, name), command


def _shown(key: str, setting: Setting) -> Shown:
    value = setting.value
    if key in settings.SECRETS:
        return Shown(key, None, bool(value), setting.origin)
    if key == "database_url":
        public = _public(str(value))
        return Shown(key, public, public is None, setting.origin)
    is_secret = key == "landing" and settings.holds_password(str(value))
    return Shown(key, None if is_secret else _text(value) or None, is_secret, setting.origin)


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(value) if isinstance(value, list) else value


def _public(url: str) -> str | None:
    """Return a database URL as people may see it; None if it is none."""
    from visitpay.database.engine import parse_url
    from visitpay.database.naming import shown

    try:
        return shown(parse_url(url))
    except ConfigurationError:
        return None
