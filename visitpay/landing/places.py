"""Which kind of landing place a path or a URL means."""

import re
from importlib import import_module
from pathlib import Path

from visitpay.errors import ConfigurationError
from visitpay.landing.local import LocalPlace
from visitpay.landing.place import Place
from visitpay.settings import is_url
from visitpay.text import printable

_KINDS = {
    "s3": ("objects", "cloud"),
    "gs": ("objects", "cloud"),
    "az": ("objects", "cloud"),
    "sftp": ("sftp", "sftp"),
}
"""The module for each scheme, and the extra that installs what it needs."""

_PASSWORD = re.compile(r"[^/]*:[^/@]*@")


def place_of(landing: Path | str) -> Place:
    """Return the landing place; raises ConfigurationError for a URL that cannot be used."""
    if isinstance(landing, Path) or not is_url(landing):
        return LocalPlace(Path(landing))
    scheme, _, rest = landing.partition("://")
    if scheme not in _KINDS:
        known = ", ".join(f"{kind}://" for kind in _KINDS)
        message = f"{printable(scheme)}:// is no landing place; there are {known} and directories"
        raise ConfigurationError(message)
    if _PASSWORD.match(rest):
        message = (
            "the URL of the landing place holds a password, which would be in logs: take it out"
            " (docs/how-to/load-from-elsewhere.md says where it goes)"
        )
        raise ConfigurationError(message)
    module, extra = _KINDS[scheme]
    try:
        made: Place = import_module(f"visitpay.landing.{module}").place_of(landing)
    except ImportError as error:
        message = f"{scheme}:// needs an extra; run: pip install 'visitpay[{extra}]'"
        raise ConfigurationError(message) from error
    return made
