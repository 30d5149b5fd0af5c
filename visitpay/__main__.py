"""The `visitpay` command as a process of its own, also by `python -m visitpay`."""

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
    """Run the command and leave at once.

    Taking the interpreter apart, object by object, takes 0.2 s after a load (measured); there is
    nothing in it that the end of the process does not do as well. Nor is there much garbage: among
    100,000 known files a collector that looks as often as usual takes 0.3 s and finds nothing.
    """
    gc.set_threshold(100_000)
    signal.signal(signal.SIGTERM, _stop)
    interrupt = signal.getsignal(signal.SIGINT)
    if interrupt is signal.default_int_handler:  # else it is ignored, as by nohup
        signal.signal(signal.SIGINT, _stop)
    _mend_streams()
    _silence()
    try:
        from visitpay.cli.app import main

        signal.signal(signal.SIGINT, interrupt)
        main()
    except SystemExit as leaving:
        _leave(int(leaving.code or 0))
    except BaseException as error:  # noqa: BLE001 - a library that is not there, perhaps
        _leave(_last_word(error))


def _mend_streams() -> None:
    """Have all three standard streams, whatever was closed, and let them show any character.

    Else the database would be opened under the number of one that is closed, and get what is
    printed. What is printed must not be lost without a word: the one that stands for a closed
    standard output cannot be written to. A character that a stream lacks is written out.
    """
    for number, mode in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # it gets the lowest number that is free
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    _keep_stderr()


def _keep_stderr() -> None:
    """Keep standard error to ourselves: a panic of polars prints its text there, perhaps a cell."""
    encoding = getattr(sys.stderr, "encoding", "utf-8")
    sys.stderr = open(  # noqa: PTH123, SIM115
        os.dup(2), "w", buffering=1, encoding=encoding, errors="backslashreplace"
    )
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)


def _silence() -> None:
    """Let no library print a warning, and no thread a traceback: either may tell a cell."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    threading.excepthook = lambda _raised: None
    sys.unraisablehook = lambda _raised: None


def _stop(number: int, _frame: object) -> NoReturn:
    """Leave in words: while modules are imported, nothing is there yet to be rolled back."""
    with suppress(OSError):
        os.write(
            sys.stderr.fileno(),
            f"visitpay: stopped by {signal.Signals(number).name}; run it again\n".encode(),
        )
    os._exit(128 + number)


def _last_word(error: BaseException) -> int:
    """Say in one line what kept the command from even saying what went wrong."""
    from visitpay.errors import safe_description

    if isinstance(error, KeyboardInterrupt):
        _stop(signal.SIGINT, None)
    why = f" ({error})" if isinstance(error, ImportError) else ""
    with suppress(OSError):
        line = f"visitpay: unforeseen: {safe_description(error)}{why}; please report this line\n"
        os.write(sys.stderr.fileno(), line.encode(errors="backslashreplace"))
    return UNFORESEEN_STATUS


def _leave(status: int) -> NoReturn:
    with suppress(OSError):  # who cannot hear us must go by the exit status
        sys.stdout.flush()
    with suppress(OSError):
        sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    run()
