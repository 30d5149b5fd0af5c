"""What one file can cause, as the error of that file."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import clear_frames

from sqlalchemy.exc import InvalidRequestError

from visitpay.errors import FileError, RefusedError, VisitPayError, safe_description
from visitpay.events import Event

logger = logging.getLogger(__name__)


@contextmanager
def as_file_error() -> Iterator[None]:
    """Raise whatever one file can cause as a FileError, so that the other files are loaded.

    Even a BaseException: polars panics with one. What ends a run is raised as it is: an error of
    visitpay, such as a database that cannot be used, a signal, and a misuse of SQLAlchemy.
    """
    try:
        yield
    except RefusedError as error:
        _log_traceback(error)
        message = f"the database refuses it: {error.what}; nothing of it was loaded"
        raise FileError(message) from error
    except (VisitPayError, KeyboardInterrupt, SystemExit, GeneratorExit, InvalidRequestError):
        raise
    except BaseException as error:
        _log_traceback(error)
        what = safe_description(error)
        message = f"cannot be loaded: {what}; nothing of it was, please report this"
        raise FileError(message) from error


def _log_traceback(error: BaseException) -> None:
    logger.debug("traceback", exc_info=error, extra=Event.FILE_FAILED.extra)
    clear_frames(error.__traceback__)  # they would keep the rows of a batch
