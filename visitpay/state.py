"""Where files that outlive a run are kept, and how they are named for a database."""

import os
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import URL


def state_directory() -> Path | None:
    """Return the directory for state that outlives a run: the service's, else the user's."""
    # systemd parts several by colons.
    if service := os.environ.get("STATE_DIRECTORY", "").split(":")[0]:
        return Path(service)
    home = os.environ.get("XDG_STATE_HOME", "")
    try:
        state = Path(home) if Path(home).is_absolute() else Path.home() / ".local" / "state"
    except RuntimeError:  # there is no home
        return None
    return state / "visitpay"


def database_key(url: "str | URL") -> str:
    """Return letters for the name of a file about a database; its user is not in.

    Options are: a schema of PostgreSQL is one. The letters are a hash.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parts = make_url(url)
        options = " ".join(f"{name}={parts.query[name]}" for name in sorted(parts.query))
        database = f"{parts.host} {parts.port} {parts.database} {options}".rstrip()
    except (ArgumentError, ValueError):
        database = ""
    return sha256(database.encode(errors="surrogateescape")).hexdigest()[:16]
