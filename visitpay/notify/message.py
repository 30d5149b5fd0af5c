"""The message that tells people what is new, has become worse, or is over."""

import socket
from collections import Counter
from collections.abc import Sequence

from visitpay.hints import Setup
from visitpay.verdict.record import Change, Transition

_MAX_LINES = 20


def summary(changes: Sequence[Change], setup: Setup) -> tuple[str, str]:
    """Return the title and the body of the message that tells of changes."""
    counts = Counter(change.transition.value for change in changes)
    title = f"{sender()}: " + ", ".join(f"{count} {name}" for name, count in counts.items())
    lines = list(map(_line, changes))
    if len(changes) > _MAX_LINES:
        more = len(changes) - _MAX_LINES
        lines[_MAX_LINES:] = [f"and {more:,} more; see: {setup.hint('status')}"]
    return title, "\n".join(lines)


def _line(change: Change) -> str:
    problem = change.problem
    see = "" if change.transition is Transition.OVER else f"; see: {problem.command}"
    return f"{change.transition.value}: {problem.message}{see}"


def sender() -> str:
    """Return who sends a message: the program and the host."""
    return f"visitpay on {socket.gethostname()}"
