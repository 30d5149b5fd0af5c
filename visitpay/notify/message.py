"""The message that tells people what is new, has become worse, or is over."""

import socket
from collections import Counter
from collections.abc import Sequence

from visitpay.hints import Setup
from visitpay.text import printable
from visitpay.verdict.problems import CurrentProblem, in_brief
from visitpay.verdict.record import Change, Transition

_MAX_LINES = 20


def summary(changes: Sequence[Change], setup: Setup, hospital: str = "") -> tuple[str, str]:
    """Return the title and the body of the message that tells of changes."""
    lines = [
        (transition.value, problem)
        for transition in dict.fromkeys(change.transition for change in changes)
        for problem in _problems(changes, transition, setup)
    ]
    counts = Counter(name for name, _ in lines)
    title = f"{sender(hospital)}: " + ", ".join(f"{count} {name}" for name, count in counts.items())
    told = [f"{name}: {_told(problem)}" for name, problem in lines]
    if len(told) > _MAX_LINES:
        more = len(told) - _MAX_LINES
        told[_MAX_LINES:] = [f"and {more:,} more; see: {setup.hint('status')}"]
    return title, "\n".join(told)


def _problems(
    changes: Sequence[Change], transition: Transition, setup: Setup
) -> list[CurrentProblem]:
    problems = [change.problem for change in changes if change.transition is transition]
    return problems if transition is Transition.OVER else in_brief(problems, setup)


def _told(problem: CurrentProblem) -> str:
    return f"{problem.message}; see: {problem.command}" if problem.command else problem.message


def sender(hospital: str = "") -> str:
    """Return who sends a message: the program, the host, and which `hospital` of many it is."""
    of = f" for {printable(hospital)}" if hospital else ""
    return f"visitpay on {socket.gethostname()}{of}"
