"""What `visitpay explain` shows: the answer first, then what to do, then where it comes from."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

import typer

from visitpay.cli import console, to_json
from visitpay.feed import short_name
from visitpay.hints import Setup
from visitpay.rejects.queries import Reject
from visitpay.reporting.explain import DELIVERIES, Balance, CameSoFar, DeliveryRow, Explained
from visitpay.reporting.guarantor import Guarantor, VisitOfGuarantor
from visitpay.reporting.search import MAX_BYTES, WAITS, Search, Sighting
from visitpay.text import counted, first, minute
from visitpay.verdict.advice import ADVICE, advice_for
from visitpay.vocabulary import FileStatus, Reason, RejectStatus

_DELIVERIES_SHOWN = 5
_REJECTS_SHOWN = 5
_SIGHTINGS_SHOWN = 3
_NAMES_SHOWN = 3
_VISITS_SHOWN = 10
_FEW = 2
_FEW_VISITS = 5

_APPROVE = "ask the hospital for a corrected file or, if it is right, load it as it is"
_NO_APPROVAL = {
    "day-first": (
        "do not load it with --approve, which reads 05/11/2021 as May 11, month first: ask the"
        " hospital for a corrected file"
    ),
    "dated in the future": (
        "it is loaded by itself once that time has come; if the time is wrong, ask the hospital for"
        " the file under its right name"
    ),
}
"""What to do about a held file, by what its error holds, where approving it would do harm."""
_RAW_SHOWN = 120

_ENDS = {
    RejectStatus.RESOLVED: "it was loaded later",
    RejectStatus.SUPERSEDED: "a later row or delivery took its place",
    RejectStatus.DISMISSED: "a person decided that nobody mends it",
}
"""What became of a reject that is closed."""


class Shown(ABC):
    """What is known of an identifier, as it is shown."""

    found: Explained | Guarantor

    def __init__(self, what: str, key: int, setup: Setup) -> None:
        """Take what it is, its identifier, and where commands work."""
        self.what, self.key, self.setup = what.lower(), key, setup

    @abstractmethod
    def document(self) -> Mapping[str, object]:
        """Return it as a JSON document."""

    @abstractmethod
    def show(self) -> None:
        """Print it."""

    def _say_never_came(self, came: CameSoFar, search: Search | None) -> None:
        """Say that no file has brought it, and which were looked at."""
        if not self.found.known:
            console.say(f"nothing is known of {self.what} {self.key}")
        files = counted(came.files, "file of its type", "files of its type")
        newest = f", the newest {short_name(came.newest)}" if came.newest else ""
        never = f"no file has brought it: none of {files} that came{newest}"
        if search is None or search.error:
            console.say(f"{never}; look into those that are not loaded, too, or ask the hospital")
        elif search.unread:
            console.say(f"{never}; ask the hospital")
        else:
            console.say(f"{never}, nor one that waits, failed or is held; ask the hospital")
        entity = "visit" if isinstance(self.found, Guarantor) else self.what
        self._hint("files", "--entity", entity)

    def _hint(self, command: str, *arguments: str) -> None:
        """Print a command on a line of its own, never folded, so that it can be copied."""
        console.command(f"  {self.setup.hint(command, *arguments)}")

    def _show_search(self, search: Search | None) -> None:
        """Print where it is in files that are not loaded, and what could not be searched."""
        not_searched = "files that wait, failed or are held were not searched"
        if search is None:
            console.say(f"{not_searched}: give their directory with --landing")
            return
        rows = [
            (short_name(seen.file), seen.line, seen.column, _state(seen))
            for seen in search.sightings[: _shown(_SIGHTINGS_SHOWN)]
        ]
        is_said = search.total <= len({seen.status for seen in search.sightings})
        if is_said and console.on_terminal():
            rows = []
        console.show(("file", "line", "column", "state"), rows, "in files that are not loaded")
        if rows:
            _say_more(search.total - len(rows))
        if search.error:
            console.say(f"{not_searched}: {search.error}; --landing names another")
        if search.unread:
            names = first(map(short_name, search.unread), _NAMES_SHOWN, len(search.unread))
            console.say(
                f"not searched: {names} (no more than {MAX_BYTES >> 30} GiB is read, nor what"
                " cannot be read)"
            )

    def _say_next(self, sightings: Sequence[Sighting]) -> None:
        """Say what becomes of the files that hold it, and the commands for that."""
        by_status = {seen.status: seen for seen in reversed(sightings)}
        if (seen := by_status.get(WAITS)) is not None:
            where = f"line {seen.line} of {short_name(seen.file)}, which waits for the next load"
            console.say(f"{where}{_would_be_rejected(seen)}")
            self._hint("load")
        if (seen := by_status.get(FileStatus.HELD)) is not None:
            where = f"line {seen.line} of {short_name(seen.file)}, a held file"
            better = (do for why, do in _NO_APPROVAL.items() if why in _error(seen))
            action = next(better, _APPROVE)
            console.say(f"{where}: {_error(seen)}{_would_be_rejected(seen)}; {action}")
            if action == _APPROVE:
                self._hint("load", "--approve", seen.file)
            else:
                self._hint("files", "--status", "held")
        if (seen := by_status.get(FileStatus.FAILED)) is not None:
            where = f"line {seen.line} of {short_name(seen.file)}, a file that failed"
            console.say(f"{where}: {_error(seen)}. {ADVICE['file_failed'].action}")
            self._hint("files", "--status", "failed")


class ShownRow(Shown):
    """A procedure, a visit or a transaction."""

    found: Explained

    def __init__(self, what: str, key: int, setup: Setup, found: Explained) -> None:
        """Take what is known of it."""
        super().__init__(what, key, setup)
        self.found = found

    def document(self) -> Mapping[str, object]:
        """Return it as a JSON document."""
        return to_json.explain(self.found)

    def show(self) -> None:
        """Print it."""
        found = self.found
        if found.row is None and found.known:
            console.say(f"{self.what} {self.key} is in no table")
        if found.row is None and not (found.rejects or (found.search and found.search.total)):
            self._say_never_came(found.came, found.search)
        self._say_what_next()
        sightings = found.search.sightings if found.search else ()
        own = [] if found.row else [each for each in sightings if self._is_own(each)]
        self._say_next(own)
        facts = list(self._facts())
        console.show(("", ""), [(name, str(value)) for name, value in facts if value is not None])
        if found.balance is not None and found.balance.differs and self.what != "visit":
            self._hint("explain", "visit", str(found.balance.visit_identifier))
        _show_deliveries(found.deliveries)
        most = _shown(_REJECTS_SHOWN)
        _show_rejects("rejected", found.rejects[:most], found.rejects_total)
        missing = found.rejected_transactions
        title = "rejected transactions of the visit"
        missing = missing[:_FEW] if console.on_terminal() else missing
        _show_rejects(title, missing, found.rejected_transactions_total)
        self._show_search(found.search)
        self._say_next([each for each in sightings if each not in own])

    def _is_own(self, seen: Sighting) -> bool:
        """Whether a line is the row itself, not one that refers to it."""
        return seen.entity.lower() == self.what

    def _say_what_next(self) -> None:
        newest = next(
            (each for each in self.found.rejects if each.status == RejectStatus.OPEN), None
        )
        if newest is not None:
            self._say_rejected(newest)
        elif self.found.row is None and self.found.rejects:
            closed = self.found.rejects[0]
            why = f" ({closed.why})" if closed.why else ""
            end = self._end(closed)
            perhaps = "perhaps " if closed.id in self.found.perhaps else ""
            console.say(f"{perhaps}it was rejected, and that reject is {closed.status}{why}: {end}")
            if closed.key is None:
                of_file = ("--file", short_name(closed.file), "--reason", closed.reason)
                self._hint("rejects list", "--raw", *of_file, "--status", "all")
            else:
                self._hint("rejects list", "--key", str(self.key), "--status", "all")

    def _end(self, closed: Reject) -> str:
        """Return what became of a reject that is closed, of a row that is in no table."""
        later = self.found.withdrawn_by
        if later is None or closed.status != RejectStatus.SUPERSEDED:
            return _ENDS[RejectStatus(closed.status)]
        when = f"delivery {later.id}, {minute(later.loaded_at)} UTC"
        return f"{short_name(later.name)} came again without it ({when}); ask the hospital"

    def _say_rejected(self, reject: Reject) -> None:
        """Say why its newest row was rejected, what to do, and how."""
        column = f" in {reject.column}" if reject.column else ""
        where = f"line {reject.line} of {short_name(reject.file)}"
        waits_for = self.found.waits_for
        if waits_for is not None:
            what = f"{waits_for.entity.lower()} {waits_for.key}"
            console.say(f"{where} waits: {what} is not there")
            self._hint("explain", *what.split())
            return
        action = advice_for(reject.reason).action
        perhaps = reject.id in self.found.perhaps
        who = f"perhaps it is {where}, which" if perhaps else where
        console.say(f"{who} was rejected, {reject.reason}{column}: {action}")
        if reject.reason == Reason.LINE_TOO_LONG or reject.key is None:
            of_file = ("--file", short_name(reject.file), "--reason", reject.reason)
            self._hint("rejects list", "--raw", *of_file)
        else:
            self._hint("rejects export", "mended", "--entity", self.what, "--key", str(reject.key))

    def _facts(self) -> Iterator[tuple[str, object]]:
        found = self.found
        yield from (found.row or {}).items()
        if found.source is not None:
            source = found.source
            replaced = ", replaced since" if source.replaced_by else ""
            name = f"{short_name(source.name)}, line {found.line}"
            yield "came with", f"{name} (delivery {source.id}{replaced})"
        if found.withdrawn_by is not None and found.deliveries:
            later = found.withdrawn_by
            when = f"delivery {later.id}, {minute(later.loaded_at)} UTC"
            yield "taken out", f"a later {short_name(later.name)} lacks it ({when})"
        if found.balance is not None and found.balance.visit_balance is not None:
            yield self._balance_fact(found.balance)

    def _balance_fact(self, balance: Balance) -> tuple[str, str]:
        """Return whose balance it is, and whether it is right; of a visit, what to look at."""
        is_visit = "visit_balance" in (self.found.row or {})
        relation = "differs from" if balance.differs else "is"
        transactions = counted(balance.transactions, "transaction")
        fact = f"{balance.visit_balance} {relation} {balance.total}, the sum of {transactions}"
        if not is_visit:
            return "its visit's balance", fact
        if balance.differs and self.found.rejected_transactions_total:
            rejected = counted(self.found.rejected_transactions_total, "rejected transaction")
            fact += f"; see the {rejected} below"
        elif balance.differs and self.found.search is not None and self.found.search.total:
            fact += "; see the files that are not loaded"
        elif balance.differs:
            fact += "; no rejected row of it is known: ask the hospital"
        return "balance", fact


class ShownGuarantor(Shown):
    """A person who answers for the bills of visits."""

    found: Guarantor

    def __init__(self, key: int, setup: Setup, found: Guarantor) -> None:
        """Take what is known of it."""
        super().__init__("guarantor", key, setup)
        self.found = found

    def document(self) -> Mapping[str, object]:
        """Return it as a JSON document."""
        return to_json.guarantor(self.found)

    def show(self) -> None:
        """Print it."""
        found = self.found
        if not found.known:
            self._say_never_came(found.came, found.search)
        if found.visits_total:
            visits = counted(found.visits_total, "visit")
            sums = f"balances {found.visit_balance:,}, transactions {found.transactions_total:,}"
            console.say(f"{visits} of guarantor {self.key}: {sums}")
        self._say_what_next()
        headers = ("visit", "admitted", "discharged", "balance", "sum", "transactions", "")
        rows = [
            (
                *(visit.visit_identifier, str(visit.admit_date), visit.discharge_date),
                *(_money(visit.visit_balance), _money(visit.total), visit.transactions),
                _note(visit),
            )
            for visit in found.visits[: _shown(_VISITS_SHOWN, _FEW_VISITS)]
        ]
        console.show(headers, rows)
        _say_more(found.visits_total - len(rows))
        title = "rejected visits that name the guarantor"
        _show_rejects(title, found.rejects[: _shown(_REJECTS_SHOWN)], found.rejects_total)
        self._show_search(found.search)

    def _say_what_next(self) -> None:
        """Say what is wrong, the newest first, and the commands for that."""
        found = self.found
        differing = [visit for visit in found.visits if visit.differs]
        if differing:
            visit = differing[0].visit_identifier
            more = f", nor are {len(differing) - 1:,} more" if len(differing) > 1 else ""
            console.say(
                f"the balance of visit {visit} is not the sum of its transactions{more}; why:"
            )
            self._hint("explain", "visit", str(visit))
        newest = next((each for each in found.rejects if each.status == RejectStatus.OPEN), None)
        if newest is not None:
            where = f"line {newest.line} of {short_name(newest.file)}"
            action = advice_for(newest.reason).action
            console.say(f"{where} was rejected, {newest.reason}: {action}")
            of_file = ("--file", short_name(newest.file), "--reason", newest.reason)
            self._hint("rejects list", "--raw", *of_file)
        if found.search is not None:
            self._say_next(found.search.sightings)


def _state(seen: Sighting) -> str:
    """Return in words how the file of a line stands."""
    if seen.status == WAITS:
        return f"waits for the next load{_would_be_rejected(seen)}"
    if console.on_terminal():  # why is said with what to do
        return f"{seen.status}{_would_be_rejected(seen)}"
    unsure = "; some cell of the line holds it" if seen.column is None else ""
    return f"{seen.status}: {_error(seen)}{unsure}{_would_be_rejected(seen)}"


def _error(seen: Sighting) -> str:
    return (seen.error or "").removeprefix(f"{seen.status}: ")


def _would_be_rejected(seen: Sighting) -> str:
    return f" (its row would be rejected: {seen.reason})" if seen.reason else ""


def _note(visit: VisitOfGuarantor) -> str | None:
    if visit.visit_balance is None:
        return "no balance"
    return "differs" if visit.differs else None


def _shown(most: int, few: int = _FEW) -> int:
    """Return how many of something are shown: on a terminal few, so that a screen holds all."""
    return min(most, few) if console.on_terminal() else most


def _money(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:,}"


def _say_more(more: int) -> None:
    if more > 0:
        console.say(f"and {more:,} more")


def _show_deliveries(deliveries: Sequence[DeliveryRow]) -> None:
    newest = deliveries[: _shown(_DELIVERIES_SHOWN)]
    rows = [
        (
            *(short_name(each.name), each.id, each.loaded_at),
            f"replaced by delivery {each.replaced_by}" if each.replaced_by else None,
        )
        for each in newest
    ]
    console.show(("delivered by", "id", "loaded", "note"), rows)
    if earlier := len(deliveries) - len(newest):
        at_least = "at least " if len(deliveries) == DELIVERIES else ""
        typer.echo(f"and {at_least}{counted(earlier, 'earlier one')}")


def _show_rejects(title: str, rejects: Sequence[Reject], total: int) -> None:
    """Print rejects so that they fit a terminal: what may be long stands last, and is folded."""
    rows = []
    for reject in rejects:
        what = " ".join(filter(None, (reject.reason, reject.column)))
        why = f" ({reject.why})" if reject.why else ""
        where = (reject.id, short_name(reject.file), str(reject.file_id), reject.line)
        is_cut = console.on_terminal() and len(reject.raw) > _RAW_SHOWN
        raw = f"{reject.raw[:_RAW_SHOWN]}..." if is_cut else reject.raw
        rows.append((*where, reject.status, f"{what}{why}: {raw}"))
    console.show(("id", "file", "delivery", "line", "status", "reason: row"), rows, title)
    _say_more(total - len(rows))
