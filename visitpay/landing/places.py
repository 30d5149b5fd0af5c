"""Which kind of landing place a path or a URL means."""

from pathlib import Path

from visitpay.errors import ConfigurationError
from visitpay.landing.local import LocalPlace
from visitpay.landing.place import Place
from visitpay.settings import is_url
from visitpay.text import printable


def place_of(landing: Path | str) -> Place:
    """Return the landing place; raises ConfigurationError for a URL that cannot be used."""
    if isinstance(landing, str) and is_url(landing):
        scheme = landing.partition("://")[0]
        message = f"{printable(scheme)}:// is no landing place; give a directory"
        raise ConfigurationError(message)
    return LocalPlace(Path(landing))
