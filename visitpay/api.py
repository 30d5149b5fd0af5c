"""What the commands do, as functions: `from visitpay import load, status`.

A function takes what its command takes, and returns what the command shows. Where they are not
given, the database's URL, the landing directory and the hospital are what the environment says, or
the file `visitpay.toml`, as for the commands. All raise a VisitPayError: ConfigurationError for
something that cannot be used, DatabaseError for a database that cannot be used or is held by a
load. Nobody is told of anything: alerts, metrics and pings are the command's.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from visitpay.settings import database_in_force, in_force, with_schema
from visitpay.vocabulary import DEFAULT_HOSPITAL, DEFAULT_LANDING

if TYPE_CHECKING:  # the libraries behind them are imported by what needs them
    from sqlalchemy import Connection

    from visitpay.hints import Setup
    from visitpay.landing.place import Landing
    from visitpay.ledger.files import Entry
    from visitpay.ledger.runs import Run, RunInFull
    from visitpay.loading.types import Options, Progress, RunReport
    from visitpay.loading.validate import CheckedFile
    from visitpay.quality.balances import Reconciliation
    from visitpay.quality.checks import Finding
    from visitpay.rejects.export import ExportedFile
    from visitpay.rejects.money import MoneySums
    from visitpay.rejects.queries import Reject, RejectFilter
    from visitpay.reporting.explain import Explained
    from visitpay.reporting.guarantor import Guarantor
    from visitpay.reporting.search import NamedLanding
    from visitpay.reporting.status import FeedStatus
    from visitpay.verdict.problems import CurrentProblem, Feed


def load(
    landing: Path | str | None = None,
    *,
    database_url: str | None = None,
    hospital: str | None = None,
    options: "Options | None" = None,
    progress: "Progress | None" = None,
) -> "RunReport":
    """Load the files that were not loaded before, each in one transaction.

    That a file fails, or that rows are rejected, raises nothing: the report says so. `options` say
    how, as the options of `visitpay load` do; `progress` is told how far the load has come.
    """
    from visitpay.database.engine import make_engine
    from visitpay.loading.run import load as load_landing

    directory, of_hospital = _landing(landing), _hospital(hospital)
    return load_landing(make_engine(_url(database_url)), directory, of_hospital, options, progress)


def check(
    landing: Path | str | None = None,
    *,
    hospital: str | None = None,
    pass_over: Collection[str] = (),
    entity: str | None = None,
) -> "list[CheckedFile]":
    """Read and validate a file, or every file of a directory, without a database.

    Whether rows refer to something that is there, only a load can tell. `entity` is the record type
    of a single file, whatever its name.
    """
    from visitpay.loading import validate
    from visitpay.models import entity_named

    name = None if entity is None else entity_named(entity).__name__
    found = validate.find(_landing(landing), _hospital(hospital), pass_over, name)
    return list(validate.check(found))


def status(  # noqa: PLR0913 - as many as the command has
    landing: Path | str | None = None,
    *,
    database_url: str | None = None,
    hospital: str | None = None,
    pass_over: Collection[str] = (),
    settle: float = 0,
    expect: str | None = None,
    ignore: Collection[str] = (),
    every: timedelta | None = None,
) -> "FeedStatus":
    """Return how the feed stands: how far it has got, what waits, what needs a person.

    `settle` is in seconds; `expect` is "weekdays" or "daily", the days on which files should come;
    `ignore` names checks that are not made; `every` is how often a load should run, learnt from
    past runs if it is None.
    """
    from visitpay.reporting.status import feed_status

    setup = _setup(landing, database_url, hospital)
    landed = _scan(landing, hospital, pass_over, settle)
    with _feed(setup, landed, expect, ignore, every) as feed:
        return feed_status(feed)


def files(
    *,
    database_url: str | None = None,
    entity: str | None = None,
    status: str | None = None,
    limit: int = 50,
) -> "list[Entry]":
    """Return the ledger: every delivery of every file, the newest first.

    `entity` is a record type such as "Visit", `status` one of "loaded", "failed" and "held".
    """
    from visitpay.database.engine import read_connection
    from visitpay.ledger.files import list_entries
    from visitpay.models import entity_named

    name = None if entity is None else entity_named(entity).__name__
    with read_connection(_url(database_url)) as connection:
        return list_entries(connection, entity=name, status=status, limit=limit)


def runs(
    *,
    database_url: str | None = None,
    status: str | None = None,
    since: datetime | None = None,
    limit: int = 12,
) -> "list[Run]":
    """Return the runs of `load`, the newest first; one that is under way has no counts yet.

    `status` is a `RunStatus`; `since` is a time in UTC.
    """
    from visitpay.database.engine import read_connection
    from visitpay.ledger.runs import list_runs

    with read_connection(_url(database_url)) as connection:
        return list_runs(connection, status=status, since=since, limit=limit)


def run(
    number: int | None = None, *, database_url: str | None = None, limit: int = 1000
) -> "RunInFull | None":
    """Return a run, the last one if no `number` is given, with what came of its files.

    Returns None if there is none. While it is under way, that is what is done so far.
    """
    from visitpay.database.engine import read_connection
    from visitpay.ledger.runs import list_runs, run_in_full

    with read_connection(_url(database_url)) as connection:
        found = next(iter(list_runs(connection, run_id=number, limit=1)), None)
        return found and run_in_full(connection, found, limit)


def explain(
    entity: str,
    key: int,
    landing: Path | str | None = None,
    *,
    database_url: str | None = None,
    hospital: str | None = None,
    pass_over: Collection[str] = (),
) -> "Explained":
    """Return all that is known of one row: its values, where it came from, what was rejected.

    `entity` is a record type such as "Visit", in any letter case. Files in the landing directory
    that are not loaded are searched for it, too.
    """
    from visitpay.database.engine import read_connection
    from visitpay.models import entity_named
    from visitpay.reporting.explain import explain as explain_key

    with read_connection(_url(database_url)) as connection:
        place = _place(connection, landing, hospital, pass_over)
        return explain_key(connection, entity_named(entity), key, place)


def explain_guarantor(
    guarantor: int,
    landing: Path | str | None = None,
    *,
    database_url: str | None = None,
    hospital: str | None = None,
    pass_over: Collection[str] = (),
) -> "Guarantor":
    """Return all that is known of a guarantor: visits, balances, transactions, what was rejected.

    Files in the landing directory that are not loaded are searched, too.
    """
    from visitpay.database.engine import read_connection
    from visitpay.reporting.guarantor import explain_guarantor as explain_number

    with read_connection(_url(database_url)) as connection:
        place = _place(connection, landing, hospital, pass_over)
        return explain_number(connection, guarantor, place)


def retry(*, database_url: str | None = None, wait_seconds: float = 60) -> tuple[int, int]:
    """Try the rows again that refer to something that was not there; every load does so too.

    Returns how many rows are loaded now, and how many rejects are open.
    """
    from visitpay.database.engine import make_engine
    from visitpay.loading.run import retry as retry_orphans

    return retry_orphans(make_engine(_url(database_url)), wait_seconds)


def reconcile(*, database_url: str | None = None, wait_seconds: float = 60) -> "Reconciliation":
    """Compare each visit's balance with the sum of its transactions; record what differs."""
    from visitpay.database.engine import make_engine
    from visitpay.quality.balances import reconcile as compare_balances

    return compare_balances(make_engine(_url(database_url)), datetime.now(UTC), wait_seconds)


def findings(
    *, database_url: str | None = None, expect: str | None = None, ignore: Collection[str] = ()
) -> "list[Finding]":
    """Return what the checks of deliveries and of visits find; `expect`, `ignore` as in `status`.

    Balances are told of as `reconcile` found them when it last ran.
    """
    from visitpay.database.engine import read_connection
    from visitpay.quality import checks

    with read_connection(_url(database_url)) as connection:
        return checks.findings(connection, datetime.now(UTC), expect, ignore)


def list_rejects(
    wanted: "RejectFilter | None" = None, *, database_url: str | None = None, limit: int = 50
) -> "list[Reject]":
    """Return rejected rows with file, line and reason, the newest first.

    Without a filter these are the open ones. They hold health and payment data.
    """
    from visitpay.database.engine import read_connection
    from visitpay.rejects import queries

    with read_connection(_url(database_url)) as connection:
        return queries.list_rejects(connection, wanted or queries.RejectFilter(), limit)


def sum_rejects(
    wanted: "RejectFilter | None" = None, *, database_url: str | None = None, limit: int = 50
) -> "MoneySums":
    """Return the money of rejected rows, exact, in all and by reason, and of the largest visits.

    Without a filter these are the open ones. It is payment data.
    """
    from visitpay.database.engine import read_connection
    from visitpay.rejects import money, queries

    with read_connection(_url(database_url)) as connection:
        return money.sum_money(connection, wanted or queries.RejectFilter(), limit)


def export_rejects(
    directory: Path | str,
    wanted: "RejectFilter | None" = None,
    *,
    database_url: str | None = None,
    hospital: str | None = None,
) -> "list[ExportedFile]":
    """Write rejected rows to files, one for each record type, to be mended and loaded again.

    Without a filter these are the open ones; lines that were too long are left out.
    """
    from visitpay.database.engine import read_connection
    from visitpay.rejects.export import export_for_mending
    from visitpay.rejects.queries import RejectFilter

    chosen, of_hospital = wanted or RejectFilter(), _hospital(hospital)
    with read_connection(_url(database_url)) as connection:
        return export_for_mending(connection, Path(directory), of_hospital, chosen)


def export_response(
    directory: Path | str,
    wanted: "RejectFilter | None" = None,
    landing: Path | str | None = None,
    *,
    database_url: str | None = None,
    hospital: str | None = None,
    pass_over: Collection[str] = (),
) -> "ExportedFile":
    """Write rejected rows to one file for the hospital, with what became of each of its files."""
    from visitpay.database.engine import read_connection
    from visitpay.rejects import export
    from visitpay.rejects.queries import RejectFilter

    landed = _scan(landing, hospital, pass_over).files
    chosen, now = wanted or RejectFilter(), datetime.now(UTC)
    with read_connection(_url(database_url)) as connection:
        return export.export_response(
            connection, Path(directory), _hospital(hospital), chosen, now, landed
        )


def dismiss_rejects(
    chosen: "Sequence[int] | RejectFilter",
    *,
    why: str,
    database_url: str | None = None,
    wait_seconds: float = 60,
    dry_run: bool = False,
) -> Sequence[int]:
    """Close open rejects that nobody will mend, and record why; return their ids.

    They are chosen by their ids or by a filter; a `dry_run` takes everything back. Raises
    ConfigurationError, with nothing changed, if an id is not that of an open reject.
    """
    from visitpay.database.engine import make_engine
    from visitpay.database.session import ExclusiveSession

    with (
        ExclusiveSession(make_engine(_url(database_url)), wait_seconds) as session,
        session.dry_run() if dry_run else nullcontext(),
    ):
        return session.transact(partial(_dismiss, chosen=chosen, why=why))


def _dismiss(
    connection: "Connection", chosen: "Sequence[int] | RejectFilter", why: str
) -> Sequence[int]:
    """Dismiss rejects, and lower what was acknowledged of them."""
    from visitpay.landing.place import Landing
    from visitpay.rejects.queries import dismiss
    from visitpay.verdict.acknowledging import end_acknowledgements, lower
    from visitpay.verdict.kinds import KINDS, ROWS_REJECTED
    from visitpay.verdict.problems import Feed, of_rows

    dismissed, now = dismiss(connection, chosen, why), datetime.now(UTC)
    left = list(of_rows(Feed(connection, Landing((), {}), now, under_lock=True)))
    lower(connection, left)
    others = KINDS.keys() - {ROWS_REJECTED}
    end_acknowledgements(connection, now, {problem[:2] for problem in left}, others)
    return dismissed


def report(  # noqa: PLR0913 - as many as the command has
    output: Path | str,
    landing: Path | str | None = None,
    *,
    database_url: str | None = None,
    hospital: str | None = None,
    pass_over: Collection[str] = (),
    settle: float = 0,
    expect: str | None = None,
    ignore: Collection[str] = (),
    every: timedelta | None = None,
) -> "FeedStatus":
    """Write one HTML page that shows how the feed stands, and return that; others as in `status`.

    Raises ConfigurationError if the extra `report` is not installed.
    """
    from visitpay.errors import ConfigurationError
    from visitpay.private_files import write_private
    from visitpay.reporting.status import feed_status

    try:
        from visitpay.reporting import page
    except ImportError as error:
        message = "`report` needs Jinja; run: pip install 'visitpay[report]'"
        raise ConfigurationError(message) from error
    setup = replace(_setup(landing, database_url, hospital), is_read_elsewhere=True)
    landed = _scan(landing, hospital, pass_over, settle)
    with _feed(setup, landed, expect, ignore, every) as feed:
        status = feed_status(feed)
        written = page.page(page.report(feed, status))
    with write_private(Path(output), over=page.BEGIN) as file:
        file.write(written)
    return status


def migrate(
    *,
    database_url: str | None = None,
    wait_seconds: float = 600,
    backup: Path | None = None,
    tell: Callable[[str], None] = print,
) -> None:
    """Bring the database's tables to what this visitpay needs; make them in a new database.

    It waits for a load to end. `backup` is a file for a copy of the database (SQLite), which is
    made if there is anything to do; `tell` takes lines that say what is done.
    """
    from visitpay.migrations.migrate import migrate as migrate_database

    migrate_database(_url(database_url), wait_seconds=wait_seconds, backup=backup, tell=tell)


def acknowledge(  # noqa: PLR0913 - as many as the command has
    kind: str,
    *subjects: str,
    among: Collection[str] = (),
    why: str,
    landing: Path | str | None = None,
    database_url: str | None = None,
    hospital: str | None = None,
    pass_over: Collection[str] = (),
    expect: str | None = None,
    every: timedelta | None = None,
    wait_seconds: float = 60,
) -> "list[CurrentProblem]":
    """Say that a person knows of problems, and why they may stay; return them.

    They are the problems of a kind, about the given subjects, or all `among` some, or all. Until
    they get worse, or are over, they need no person. Raises ConfigurationError if there are none.
    """
    from visitpay.database.engine import make_engine
    from visitpay.database.session import ExclusiveSession
    from visitpay.verdict import acknowledging
    from visitpay.verdict.problems import Expectations, Feed, find

    setup = _setup(landing, database_url, hospital)
    landed, now = _scan(landing, hospital, pass_over), datetime.now(UTC)

    def work(connection: "Connection") -> "list[CurrentProblem]":
        expected = Expectations(expect, (), every)
        feed = Feed(connection, landed, now, expected, setup, under_lock=True)
        chosen = acknowledging.choose(find(feed), kind, subjects, among, setup.hint("status"))
        if not subjects:  # who names none does not mean those that were acknowledged before
            words = acknowledging.acknowledged(connection)
            chosen = [each for each in chosen if not acknowledging.is_known(words, each)]
        acknowledging.acknowledge(connection, chosen, why, now)
        return chosen

    with ExclusiveSession(make_engine(setup.database_url), wait_seconds) as session:
        return session.transact(work)


def take_back(
    kind: str, *subjects: str, database_url: str | None = None, wait_seconds: float = 60
) -> int:
    """Take back what was acknowledged of a kind, about the given subjects or all; return it."""
    from visitpay.database.engine import make_engine
    from visitpay.database.session import ExclusiveSession
    from visitpay.verdict import acknowledging

    undo = partial(acknowledging.take_back, kind=kind, subjects=subjects, now=datetime.now(UTC))
    with ExclusiveSession(make_engine(_url(database_url)), wait_seconds) as session:
        return session.transact(undo)


def _setup(landing: Path | str | None, database_url: str | None, hospital: str | None) -> "Setup":
    from visitpay.hints import setup_of

    return setup_of(_url(database_url), _landing(landing), _hospital(hospital))


@contextmanager
def _feed(
    setup: "Setup",
    landed: "Landing",
    expect: str | None,
    ignore: Collection[str],
    every: timedelta | None,
) -> "Iterator[Feed]":
    from visitpay.database.engine import read_connection
    from visitpay.feed import normalize_name
    from visitpay.ledger.plan import require_one_hospital
    from visitpay.verdict.problems import Expectations, Feed

    expected = Expectations(expect, ignore, every)
    with read_connection(setup.database_url) as connection:
        require_one_hospital(connection, normalize_name(setup.hospital))
        yield Feed(connection, landed, datetime.now(UTC), expected, setup)


def _url(given: str | None) -> str:
    """Return the URL of the database, with the schema in force unless it names one."""
    if given is None:
        return str(database_in_force().value)
    schema = str(in_force("schema").value)
    return with_schema(given, schema, is_default=True) if schema else given


def _landing(given: Path | str | None) -> str:
    return _setting(given, "landing", DEFAULT_LANDING)


def _hospital(given: str | None) -> str:
    return _setting(given, "hospital", DEFAULT_HOSPITAL)


def _place(
    connection: "Connection",
    landing: Path | str | None,
    hospital: str | None,
    pass_over: Collection[str],
) -> "NamedLanding | None":
    """Return the landing directory, for a search: where nobody names one, that of the last load.

    None if that is unknown.
    """
    from visitpay.reporting.search import NamedLanding, last_place

    wanted = _landing(landing)
    if wanted == DEFAULT_LANDING and not Path(wanted).is_dir():
        return last_place(connection, _hospital(hospital), tuple(pass_over))
    return NamedLanding(wanted, _hospital(hospital), tuple(pass_over))


def _setting(given: Path | str | None, key: str, default: str) -> str:
    """Return what was given, else what the environment or the file of settings says."""
    return str(in_force(key, default).value if given is None else given)


def _scan(
    landing: Path | str | None,
    hospital: str | None,
    pass_over: Collection[str],
    settle: float = 0,
) -> "Landing":
    from visitpay.landing.scan import scan

    return scan(_landing(landing), _hospital(hospital), pass_over, settle)
