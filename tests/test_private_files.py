"""Files that only their owner reads."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from visitpay.errors import ConfigurationError
from visitpay.private_files import make_private, write_private


@pytest.mark.parametrize("make", [make_private, write_private])
def test_no_name(make: Callable[[Path], AbstractContextManager[object]]) -> None:
    """A path without a name, as an unset variable of a script gives it, is refused with a word."""
    with pytest.raises(ConfigurationError, match="is no name of a file"), make(Path()):
        pass
