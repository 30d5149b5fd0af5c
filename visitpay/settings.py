"""What is set for all commands: by the environment, else by the file `visitpay.toml`.

The file is the one that VISITPAY_CONFIG names, else `visitpay.toml` in the working directory, else
STANDARD. A secret is never in it: a key such as `database_url_file` names the file that holds it,
and so does a variable such as VISITPAY_DATABASE_URL_FILE.
"""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn, Protocol

from visitpay.errors import SettingsError
from visitpay.text import printable
from visitpay.vocabulary import DEFAULT_URL, SCHEMA

NAME = "visitpay.toml"

MACHINE = Path("/etc/visitpay")
"""The directory of a machine's settings."""

STANDARD = MACHINE / NAME
"""The file of a machine."""

PLACES = ("database_url", "schema", "landing", "hospital")
"""What all commands must agree on, so that no part of the file is about a command of its own."""

SECRETS = ("alert_urls", "ping_url", "sftp_password")

REFERABLE = ("database_url", *SECRETS)
"""What may be in a file of its own."""

KEYS = (
    *PLACES,
    "pass_over",
    "settle",
    "expect",
    "every",
    "ignore",
    "max_rejects",
    "hold_above",
    "wait",
    "metrics_file",
    "output",
    "limit",
    "log_format",
    "log_file",
    "quiet",
    "verbose",
)
"""The options that may be in the file. What says what a single run does is not: `--dry-run`."""

ALLOWED = (*KEYS, *(f"{key}_file" for key in REFERABLE))

_PATHS = ("landing", "metrics_file", "log_file", "output")

_VARIABLES = {"migrate": {"wait": "VISITPAY_MIGRATION_WAIT"}}

DEFAULT = "default"
"""Where a value is from that nobody set."""

_PASSWORD = re.compile(r"[^:]*://[^:/]*:[^@]+@|[?&](?:\w*password|pwd|passwd)=", re.IGNORECASE)

_RELATIVE = re.compile(r"(sqlite(?:\+\w+)?:///)(?!/|:memory:|file:)(.+)", re.DOTALL)

Value = str | list[str] | bool


@dataclass(frozen=True)
class Setting:
    """A value that is set, and where."""

    value: Value
    origin: str
    """In words, such as `VISITPAY_LANDING` or `/etc/visitpay/visitpay.toml, line 3`."""
    path: Path | None = None
    """The file of settings that it is from."""


@dataclass(frozen=True)
class Shown:
    """A setting as people may see it."""

    name: str
    value: str | None
    """None if it is not set, or a secret."""
    is_secret: bool
    """Whether it is set and not shown."""
    origin: str


@dataclass(frozen=True)
class Settings:
    """A file of settings; an empty one where there is none."""

    path: Path | None = None
    text: str = field(default="", repr=False)
    tables: Mapping[tuple[str, ...], Mapping[str, object]] = field(default_factory=dict)
    """What is set, by the names of the table, such as `rejects`, `list`; () is for all commands."""

    def get(self, key: str, command: tuple[str, ...] = ()) -> Setting | None:
        """Return what the file says for a command: in its own table, else in one above.

        The doctor, who looks whether a load can work, takes what is set for the load.
        """
        above = [command[:end] for end in range(len(command), -1, -1)]
        if command == ("doctor",):
            above.insert(1, ("load",))
        return self.first(key, above)

    def first(self, key: str, places: Iterable[tuple[str, ...]]) -> Setting | None:
        """Return what the first of these tables says that has the key, or names its file."""
        for place in places:
            table = self.tables.get(place, {})
            if key in table and key not in SECRETS:
                return self._setting(key, table[key], place)
            if (named := f"{key}_file") in table and key in REFERABLE:
                origin = self.place(named, place)
                path = self._beside(str(table[named]))
                return Setting(_secret(path, origin), origin, self.path)
        return None

    def _setting(self, key: str, value: object, command: tuple[str, ...]) -> Setting:
        origin = self.place(key, command)
        if isinstance(value, list):
            return Setting([str(item) for item in value], origin, self.path)
        if isinstance(value, bool):
            return Setting(value, origin, self.path)
        text = str(value)
        if key in _PATHS and not (key == "landing" and is_url(text)):
            text = str(self._beside(text))
        elif key == "database_url" and (relative := _RELATIVE.fullmatch(text)):
            text = relative[1] + str(self._beside(relative[2]))
        return Setting(text, origin, self.path)

    def _beside(self, name: str) -> Path:
        return self.path.parent / name if self.path else Path(name)

    def place(self, key: str, command: tuple[str, ...] = ()) -> str:
        """Return where a key is, in words: the file, and the line if it can be told."""
        table: tuple[str, ...] = ()
        spelt = "[-_]".join(map(re.escape, re.split("[-_]", key)))
        for number, line in enumerate(self.text.splitlines(), 1):
            if header := _table_of(line):
                table = header
            elif table == command and re.match(rf"\s*[\"']?{spelt}[\"']?\s*=", line):
                return f"{self.name}, line {number}"
        return self.name

    @property
    def name(self) -> str:
        """The path as people may see it."""
        return printable(str(self.path))

    def refuse_table(self, path: tuple[str, ...], what: str) -> NoReturn:
        """Raise SettingsError that says what is wrong with a table."""
        message = f"{self.place_of_table(path)} {what}"
        raise SettingsError(message)

    def place_of_table(self, path: tuple[str, ...]) -> str:
        """Return where a table is, in words: the file, the line if it can be told, its name."""
        table = printable(".".join(path))
        for number, line in enumerate(self.text.splitlines(), 1):
            if _table_of(line) == path:
                return f"{self.name}, line {number}: [{table}]"
        return f"{self.name}: [{table}]"

    def refuse(self, key: str, command: tuple[str, ...], what: str) -> NoReturn:
        """Raise SettingsError that says where a key is, and what to do; the value is not told."""
        message = f"{self.place(key, command)}: `{printable(key)}` {what}"
        raise SettingsError(message)


def holds_password(url: str) -> bool:
    """Whether a URL of a database or of a landing place holds a password."""
    return _PASSWORD.search(url) is not None


def is_url(landing: str) -> bool:
    """Whether a landing place is on another machine, and no directory of this one."""
    return "://" in landing


def absolute_landing(landing: Path | str) -> str:
    """Return a landing place as every command finds it, from whatever directory."""
    name = str(landing)
    return name if is_url(name) else str(Path(name).absolute())


def _table_of(line: str) -> tuple[str, ...]:
    """Return the names in the line that begins a table; none in another line."""
    if not line.lstrip().startswith("["):
        return ()
    import tomllib

    table: object = None
    with suppress(ValueError):  # a line of a list
        table = tomllib.loads(line)
    names = []
    while isinstance(table, dict) and table:
        ((name, table),) = table.items()
        names.append(name)
    return tuple(names)


class Source(Protocol):
    """What stands above the environment for a while: the settings of one hospital of many."""

    @property
    def name(self) -> str:
        """The hospital's name."""

    def keys(self) -> Collection[str]:
        """Return what is set."""

    def get(self, key: str) -> Setting | None:
        """Return what a key is set to; raises SettingsError if something cannot be used."""

    def salvaged(self, key: str) -> Setting | None:
        """Return it although something else cannot be used; raises SettingsError if it cannot."""


_prevailing: list[Source] = []
"""At most one, for the whole process: threads that write into the log need it, too."""


@contextmanager
def prevail(source: Source) -> Iterator[None]:
    """Let a source win over the environment and the file of settings while the block runs.

    The parser of the command line asks the environment by itself: what the source has is not in the
    environment meanwhile.
    """
    variables = {variable_of(key) for key in source.keys()}  # noqa: SIM118 - it is no mapping
    hidden = {name: os.environ.pop(name) for name in variables & os.environ.keys()}
    _prevailing.append(source)
    try:
        yield
    finally:
        _prevailing.pop()
        os.environ |= hidden


def one_of_many() -> str:
    """Return the name of the hospital whose turn it is; empty if the command is not for many."""
    return _prevailing[-1].name if _prevailing else ""


def _prevailing_setting(key: str) -> Setting | None:
    return _prevailing[-1].get(key) if _prevailing else None


def variable_of(key: str, command: tuple[str, ...] = ()) -> str:
    """Return the name of the variable for a setting of a command."""
    return _VARIABLES.get(".".join(command), {}).get(key, f"VISITPAY_{key.upper()}")


def in_force(key: str, default: str = "", command: tuple[str, ...] = ()) -> Setting:
    """Return what a command takes where no argument says; raises SettingsError."""
    variable = variable_of(key, command)
    if value := os.environ.get(variable):
        return Setting(value, variable)
    found = _prevailing_setting(key) or _referred(key) or read().get(key, command)
    return found or Setting(default, DEFAULT)


def database_in_force() -> Setting:
    """Return the database URL, with its schema, that a command takes where no argument says."""
    url, schema = in_force("database_url", DEFAULT_URL), in_force("schema")
    if not schema.value:
        return url
    path = url.path if url.path == schema.path else None
    return Setting(with_schema(str(url.value), str(schema.value)), url.origin, path)


def with_schema(url: str, schema: str, *, is_default: bool = False) -> str:
    """Return a database URL that names a schema, as its option.

    Raises SettingsError if the URL names another; a default gives way to that one. A URL that
    cannot be read is returned as it is, for others to refuse.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    if not schema:
        message = "--schema is empty; name the schema, or leave the option out"
        raise SettingsError(message)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return url
    named = parsed.query.get(SCHEMA, schema)
    if named != schema and is_default:
        return url
    if named != schema:
        message = (
            f"the database URL names the schema {printable(str(named))}, and --schema or"
            f" VISITPAY_SCHEMA names {printable(schema)}; take one of them out"
        )
        raise SettingsError(message)
    return parsed.update_query_dict({SCHEMA: schema}).render_as_string(hide_password=False)


def below_environment(key: str, settings: Settings, command: tuple[str, ...]) -> Setting | None:
    """Return what stands where neither an argument nor the variable of a setting says."""
    return _prevailing_setting(key) or _referred(key) or settings.get(key, command)


def salvaged(key: str) -> str:
    """Return what can be told of a setting although something is wrong; empty if nothing can."""
    if value := os.environ.get(variable_of(key)):
        return value
    for look in (*(source.salvaged for source in _prevailing), _referred, _in_file):
        with suppress(SettingsError):
            if found := look(key):
                return str(found.value)
    return ""


def salvaged_database() -> str:
    """Return what can be told of the database URL and its schema."""
    url, schema = salvaged("database_url") or DEFAULT_URL, salvaged("schema")
    with suppress(SettingsError):
        return with_schema(url, schema)
    return url


def _in_file(key: str) -> Setting | None:
    return parse(_path()).get(key)


def is_standing(key: str, value: str) -> bool:
    """Whether every command finds a value by itself, since the file of the machine says so."""
    try:
        found = database_in_force() if key == "database_url" else in_force(key)
    except SettingsError:
        return False
    return found.path == STANDARD and found.value == value


def read() -> Settings:
    """Return the file of settings; raises SettingsError if something in it cannot be used."""
    settings = parse(_path())
    for command, table in settings.tables.items():
        for key, value in table.items():
            require_usable(settings, command, key, value)
            _require_in_place(settings, command, key)
    return settings


def parse(path: Path | None, text: str | None = None) -> Settings:
    """Return the settings of a file, of `text` if it was read before; empty ones without a path.

    Raises SettingsError if it is no TOML.
    """
    if path is None:
        return Settings()
    import tomllib

    text = _text_of(path, "") if text is None else text
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:  # its text holds a letter or a key, and no value
        what, _, where = str(error).rstrip(")").rpartition(" (at ")
        raise _no_toml(path, f", {where}", f" ({what[:1].lower()}{printable(what[1:])})") from None
    except (ValueError, RecursionError):  # a number of thousands of digits, as many brackets
        raise _no_toml(path) from None
    settings = Settings(path, text)
    return replace(settings, tables=dict(_tables(settings, document)))


def _no_toml(path: Path, where: str = "", what: str = "") -> SettingsError:
    remedy = 'a setting is a line like settle = 60, or landing = "/srv/landing"'
    return SettingsError(f"{printable(str(path))}{where}: not TOML{what}; {remedy}")


def _tables(
    settings: Settings, document: Mapping[str, object], command: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], dict[str, object]]]:
    """Yield each table with its names, keys written with underscores."""
    table: dict[str, object] = {}
    for key, value in document.items():
        if isinstance(value, dict):
            yield from _tables(settings, value, (*command, key))
            continue
        if key.replace("-", "_") in table:
            settings.refuse(key, command, "is set twice; take one of them out")
        table[key.replace("-", "_")] = value
    yield command, table


def _path() -> Path | None:
    return find("VISITPAY_CONFIG", NAME, STANDARD)


def find(variable: str, name: str, standard: Path) -> Path | None:
    """Return a file: the one that a variable names, else that of the working directory, or machine.

    None if there is none. Raises SettingsError if one is out of reach.
    """
    if named := os.environ.get(variable):
        return Path(named).absolute()
    with suppress(OSError):  # a directory that this user may not enter, or one that is gone
        os.lstat(name)
        return Path(name).absolute()
    try:
        os.lstat(standard)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(standard, "", error) from None
    return standard


def _text_of(path: Path, origin: str) -> str:
    """Return what a file holds, with or without the mark that Windows puts in front."""
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        said = f"{origin}: " if origin else ""
        message = f"{said}{printable(str(path))} is not in UTF-8; save it so"
        raise SettingsError(message) from None
    except (OSError, ValueError) as error:  # a name with a NUL
        raise _unreadable(path, origin, error) from None


def _unreadable(path: Path, origin: str, error: Exception) -> SettingsError:
    why = getattr(error, "strerror", None) or "it is no name of a file"
    said = f"{origin}: " if origin else ""
    is_wrong = isinstance(error, FileNotFoundError | IsADirectoryError | ValueError)
    remedy = "correct its name" if is_wrong else "let this user read it"
    return SettingsError(f"{said}{printable(str(path))} cannot be read: {why}; {remedy}")


def _referred(key: str) -> Setting | None:
    """Return what the file holds that a variable such as VISITPAY_DATABASE_URL_FILE names."""
    variable = f"VISITPAY_{key.upper()}_FILE"
    if key in REFERABLE and (named := os.environ.get(variable)):
        return Setting(_secret(Path(named), variable), variable)
    return None


def _secret(path: Path, origin: str) -> str:
    """Return the secret that a file holds, without the end of its line."""
    if text := _text_of(path, origin).strip():
        return text
    message = f"{origin}: {printable(str(path))} is empty; it holds the secret and nothing else"
    raise SettingsError(message)


def _require_in_place(settings: Settings, command: tuple[str, ...], key: str) -> None:
    if command and (key in PLACES or key.removesuffix("_file") in REFERABLE):
        settings.refuse(key, command, "is for all commands: put it above the first [table]")


def require_usable(settings: Settings, command: tuple[str, ...], key: str, value: object) -> None:
    """Raise SettingsError unless a key may be in the file, with a value of that kind."""
    if key in SECRETS:
        settings.refuse(key, command, _secret_remedy(key))
    if key not in ALLOWED:
        settings.refuse(key, command, f"is no setting of this file{nearest(key, ALLOWED)}")
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str | int | float) for item in items) or (
        isinstance(value, list) and any(isinstance(item, bool) for item in items)
    ):
        what = 'is neither a text in quotes, nor a number, true, false, or a list like ["a", "b"]'
        settings.refuse(key, command, what)
    if value == "":
        settings.refuse(key, command, "is empty; take it out")
    if key == "landing" and holds_password(str(value)):
        settings.refuse(key, command, "holds a password, which would be in logs: take it out")
    if key == "database_url" and holds_password(str(value)):
        settings.refuse(key, command, f"holds a password, and {_secret_remedy(key)}")
    if key in REFERABLE and f"{key}_file" in settings.tables[command]:
        settings.refuse(key, command, f"stands beside {key}_file; take one of them out")


def _secret_remedy(key: str) -> str:
    return (
        f"is a secret, which is not kept here: put it into a file of its own that only the user of"
        f' the loads can read, and say {key}_file = "/path/of/that/file"; or set VISITPAY_'
        f"{key.upper()}"
    )


def nearest(name: str, known: Collection[str]) -> str:
    """Return the known name that is meant, as the end of a sentence; else all that there are."""
    from difflib import get_close_matches

    if close := get_close_matches(name.lower(), known, 1):
        return f"; did you mean `{close[0]}`?"
    return f"; there are: {', '.join(known)}" if known else ""
