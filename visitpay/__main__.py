"""The process of the command `visitpay`, also of `python -m visitpay`."""

import gc
import os
import signal
import sys
import threading
import warnings
from contextlib import suppress
from io import TextIOWrapper
from typing import NoReturn

UNFORESEEN_STATUS = 3


def run() -> None:
    """Run the command and exit at once.

    The usual clean-up of the interpreter takes 0.2 s after a load (measured), for nothing: the end
    of the process frees everything. The garbage collector runs less often than usual: with 100,000
    known files it would take 0.3 s and find nothing.
    """
    gc.set_threshold(100_000)
    signal.signal(signal.SIGTERM, _stop)
    interrupt = signal.getsignal(signal.SIGINT)
    if interrupt is signal.default_int_handler:  # else SIGINT is ignored, as under nohup
        signal.signal(signal.SIGINT, _stop)
    _open_streams()
    _silence_libraries()
    try:
        from visitpay.cli.app import main

        signal.signal(signal.SIGINT, interrupt)
        main()
    except SystemExit as exit_request:
        _exit(int(exit_request.code or 0))
    except BaseException as error:  # noqa: BLE001 - such as a library that is missing
        _exit(_print_error(error))


def _open_streams() -> None:
    """Open the standard streams that are closed, and let all of them print any character.

    If file descriptor 1 were closed, the database would get it, and be written over by what is
    printed. A closed standard output is replaced by one that cannot be written to, so that the
    command ends with an error. A character that a stream's encoding lacks is printed escaped.
    """
    for number, mode in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # it gets the lowest free number, which is this one
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    _redirect_stderr()


def _redirect_stderr() -> None:
    """Give standard error a new descriptor, and send descriptor 2 to /dev/null.

    When polars panics, it prints to descriptor 2, and the text may contain a cell.
    """
    encoding = getattr(sys.stderr, "encoding", "utf-8")
    sys.stderr = open(  # noqa: PTH123, SIM115
        os.dup(2), "w", buffering=1, encoding=encoding, errors="backslashreplace"
    )
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)


def _silence_libraries() -> None:
    """Let no library print a warning, and no thread a traceback: either may contain a cell."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    threading.excepthook = lambda _raised: None
    sys.unraisablehook = lambda _raised: None


def _stop(number: int, _frame: object) -> NoReturn:
    """Exit with a message; while modules are being imported, there is nothing to roll back."""
    with suppress(OSError):
        os.write(
            sys.stderr.fileno(),
            f"visitpay: stopped by {signal.Signals(number).name}; run it again\n".encode(),
        )
    os._exit(128 + number)


def _print_error(error: BaseException) -> int:
    """Print in one line an error that the command could not handle; return the exit status."""
    from visitpay.errors import safe_description

    if isinstance(error, KeyboardInterrupt):
        _stop(signal.SIGINT, None)
    why = f" ({error})" if isinstance(error, ImportError) else ""
    with suppress(OSError):
        line = f"visitpay: unforeseen: {safe_description(error)}{why}; please report this line\n"
        os.write(sys.stderr.fileno(), line.encode(errors="backslashreplace"))
    return UNFORESEEN_STATUS


def _exit(status: int) -> NoReturn:
    with suppress(OSError):  # if nobody reads the output, there is still the exit status
        sys.stdout.flush()
    with suppress(OSError):
        sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    run()
