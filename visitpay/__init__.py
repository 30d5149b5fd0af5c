"""visitpay loads a hospital's daily VisitPay text files into a relational database.

What its commands do is here as functions: `from visitpay import load, status`. They are imported
when they are first named, so that a command waits for nothing that it does not use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from visitpay.api import acknowledge as acknowledge
    from visitpay.api import check as check
    from visitpay.api import dismiss_rejects as dismiss_rejects
    from visitpay.api import explain as explain
    from visitpay.api import explain_guarantor as explain_guarantor
    from visitpay.api import export_rejects as export_rejects
    from visitpay.api import export_response as export_response
    from visitpay.api import files as files
    from visitpay.api import findings as findings
    from visitpay.api import list_rejects as list_rejects
    from visitpay.api import load as load
    from visitpay.api import migrate as migrate
    from visitpay.api import reconcile as reconcile
    from visitpay.api import report as report
    from visitpay.api import retry as retry
    from visitpay.api import run as run
    from visitpay.api import runs as runs
    from visitpay.api import status as status
    from visitpay.api import sum_rejects as sum_rejects
    from visitpay.api import take_back as take_back
    from visitpay.errors import VisitPayError as VisitPayError
    from visitpay.loading.types import Options as Options
    from visitpay.loading.types import Tolerance as Tolerance
    from visitpay.rejects.queries import RejectFilter as RejectFilter
    from visitpay.sample import write_sample as write_sample
    from visitpay.version import __version__ as __version__

_NAMES = {
    "api": (
        "acknowledge check dismiss_rejects explain explain_guarantor export_rejects export_response"
        " files findings list_rejects load migrate reconcile report retry run runs status"
        " sum_rejects take_back"
    ),
    "errors": "VisitPayError",
    "loading.types": "Options Tolerance",
    "rejects.queries": "RejectFilter",
    "sample": "write_sample",
    "version": "__version__",
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}


def __dir__() -> list[str]:
    """Return the names that are here."""
    return sorted({*globals(), *_MODULES})


if not TYPE_CHECKING:  # so that a checker knows the names

    def __getattr__(name: str) -> object:
        """Import what is here when it is first named; raises AttributeError for other names."""
        if name not in _MODULES:
            message = f"module 'visitpay' has no attribute {name!r}"
            raise AttributeError(message)
        return getattr(import_module(f"visitpay.{_MODULES[name]}"), name)
