"""What only PostgreSQL has: a server that goes away, others who hold rows, roles, a network."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, ExceptionContext, event, func, make_url, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CreateIndex

from tests.support.command import Outcome, Visitpay, start
from tests.support.databases import ROOT, Postgres, Server, migrate, rendered, running
from tests.support.feed import Feed, header_line, line, row
from visitpay.database import session
from visitpay.database.dialects.postgresql import migration_preamble
from visitpay.database.engine import make_engine, make_migration_engine, read_connection
from visitpay.database.session import ExclusiveSession
from visitpay.ledger.files import Counts
from visitpay.loading import consume
from visitpay.loading.merge import MergedBatch, merge_batch
from visitpay.loading.run import load
from visitpay.models import ENTITIES, LoadFile, LoadRun, Procedure, RejectedRow, Transaction, Visit
from visitpay.sample import write_sample

DAY_1, DAY_2 = "20211201_223005", "20211202_223005"
KEPT = "nothing half-done is kept"
TIMEOUT = "canceling statement due to statement timeout"


@pytest.fixture(scope="module")
def own() -> Iterator[tuple[Server, Postgres]]:
    """Yield a server that may be killed."""
    with running() as both:
        yield both


@pytest.fixture
def server(own: tuple[Server, Postgres]) -> Server:
    """Return the server."""
    return own[0]


@pytest.fixture
def own_postgres(own: tuple[Server, Postgres]) -> Postgres:
    """Return what makes databases on it."""
    return own[1]


@pytest.fixture
def feed(tmp_path: Path, own_postgres: Postgres) -> Iterator[Feed]:
    """Yield an empty landing directory and an empty, migrated database on that server."""
    landing = tmp_path / "landing"
    landing.mkdir()
    url = own_postgres.create(own_postgres.template)
    yield Feed(landing, rendered(url))
    own_postgres.drop(url)


def visits(*guarantors: int) -> list[dict[str, object]]:
    """Return rows of visits 1, 2, ... by their guarantors."""
    return [
        row(visit_identifier=key, guarantor_identifier=each)
        for key, each in enumerate(guarantors, start=1)
    ]


def guarantors(feed: Feed) -> list[int]:
    """Return the guarantors of the visits."""
    return feed.column(Visit, "guarantor_identifier")


def ledger(feed: Feed) -> list[tuple[Any, ...]]:
    """Return status and rows of each entry of the ledger."""
    with read_connection(feed.url) as connection:
        entries = select(LoadFile.status, LoadFile.rows_read).order_by(LoadFile.id)
        return [tuple(entry) for entry in connection.execute(entries)]


def other(feed: Feed) -> psycopg.Connection[Any]:
    """Connect as someone else who uses the database."""
    url = make_url(feed.url).set(drivername="postgresql")
    return psycopg.connect(rendered(url))


def wait_for_load(feed: Feed) -> int:
    """Wait until the load waits for a lock, and give its backend's process id."""
    waiting = (
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'visitpay'"
        " AND datname = current_database() AND wait_event_type = 'Lock'"
    )
    with other(feed) as watcher:
        watcher.autocommit = True
        for _ in range(6000):
            if found := watcher.execute(waiting).fetchone():
                return int(found[0])
            watcher.execute("SELECT pg_sleep(0.01)")
    pytest.fail("the load never waited")


@contextmanager
def in_the_way(feed: Feed, then: Callable[[psycopg.Connection[Any], int], None]) -> Iterator[None]:
    """Hold visit 2; once a load waits for it, do something, and let go."""
    with other(feed) as holder:
        # The load is to be the one who finds a deadlock: each looks once, so long after it waits.
        holder.execute("SET deadlock_timeout = '1h'; SET statement_timeout = '60s'")
        holder.execute("UPDATE visits SET guarantor_identifier = 0 WHERE visit_identifier = 2")

        def go() -> None:
            then(holder, wait_for_load(feed))

        thread = Thread(target=go)
        thread.start()
        yield
        thread.join(60)


def deadlock(holder: psycopg.Connection[Any], _pid: int) -> None:
    """Want what the load has."""
    holder.execute("UPDATE visits SET guarantor_identifier = 0 WHERE visit_identifier = 1")
    holder.commit()


def commit(holder: psycopg.Connection[Any], _pid: int) -> None:
    """Change the row that the load wants to change."""
    holder.commit()


def terminate(holder: psycopg.Connection[Any], pid: int) -> None:
    """End the load's connection."""
    holder.rollback()
    holder.execute("SELECT pg_terminate_backend(%s)", [pid])


@pytest.mark.parametrize(
    ("setting", "then", "told"),
    [
        ("deadlock_timeout = '1s'", deadlock, "deadlock detected"),
        (
            "default_transaction_isolation = 'repeatable read'",
            commit,
            "could not serialize access due to concurrent update",
        ),
        (
            "deadlock_timeout = '1h'",
            terminate,
            "terminating connection|consuming input failed",
        ),
    ],
    ids=["deadlock", "serialisation", "connection"],
)
def test_a_file_is_tried_again(
    feed: Feed,
    visitpay: Visitpay,
    setting: str,
    then: Callable[[psycopg.Connection[Any], int], None],
    told: str,
) -> None:
    """After trouble that passes, the file is loaded whole, and counted once."""
    feed.deliver(Visit, *visits(1, 2, 3), at=DAY_1)
    assert visitpay("load").status == 0
    feed.execute(f"ALTER DATABASE {make_url(feed.url).database} SET {setting}")
    feed.deliver(Visit, *visits(7, 8, 9), at=DAY_2)
    with in_the_way(feed, then):
        outcome = visitpay("load", "--json")
    assert re.search(f" warning: ({told}).*; trying again in 0.5 s\n", outcome.err)
    assert outcome.status == 0
    (file,) = outcome.document["files"]
    assert (file["status"], file["updated"], file["rows_read"]) == ("loaded", 3, 3)
    assert guarantors(feed) == [7, 8, 9]
    assert ledger(feed) == [("loaded", 3), ("loaded", 3)]


def test_a_connection_lost_with_the_last_word(
    feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file whose commit was not answered is not loaded a second time, and its rows are told."""
    feed.deliver(Visit, *visits(1, 2, 3), at=DAY_1)
    once, lost = ExclusiveSession._once, count()  # noqa: SLF001

    def deaf(self: ExclusiveSession, work: Callable[[Connection], object]) -> object:
        done = once(self, work)
        if isinstance(done, Counts) and not next(lost):
            ours = self._connection.scalar(select(func.pg_backend_pid()))
            with other(feed) as administrator:
                administrator.execute("SELECT pg_terminate_backend(%s)", [ours])
            self._connection.execute(text("SELECT 1"))
        return done

    monkeypatch.setattr(ExclusiveSession, "_once", deaf)
    outcome = visitpay("load", "--json")
    assert outcome.err.count("trying again") == 1
    assert outcome.document["files"][0]["inserted"] == 3
    assert ledger(feed) == [("loaded", 3)]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return some days of a feed with damage in it."""
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, visits=4000, days=4, dirt=5, seed=11)
    return folder


def state(feed: Feed) -> tuple[Any, ...]:
    """Return the entity tables, the quarantine, and the ledger's counts."""
    names = ["name", "status", "header", "sha256", *(f"rows_{each}" for each in vars(Counts()))]
    entries = select(*(getattr(LoadFile, name) for name in names)).order_by(LoadFile.name)
    sources = [
        select(*entity.__table__.primary_key, LoadFile.name, entity.source_line)
        .join(LoadFile, LoadFile.id == entity.source_file_id)
        .order_by(*entity.__table__.primary_key)
        for entity in ENTITIES
    ]
    with read_connection(feed.url) as connection:
        books = [[tuple(row) for row in connection.execute(each)] for each in (entries, *sources)]
    return feed.tables(), feed.rejects(), books


@pytest.fixture(scope="module")
def undisturbed(
    sample: Path, make_database: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, ...]:
    """Return the state of an SQLite database after one load that nobody disturbed."""
    with make_database("sqlite", tmp_path_factory.mktemp("undisturbed")) as url:
        load(make_engine(url), sample, "HospitalABC")
        return state(Feed(sample, url))


def test_both_databases_end_alike(feed: Feed, sample: Path, undisturbed: tuple[Any, ...]) -> None:
    """The same dirty feed gives the same tables, sources, rejects and counts on both databases."""
    load(make_engine(feed.url), sample, "HospitalABC")
    assert state(Feed(sample, feed.url)) == undisturbed
    assert len(feed.rejects()) > 100


@pytest.mark.parametrize("lines", [2, 5, 9, 14, 20, 27])
def test_a_load_outlives_a_restart_of_the_server(
    feed: Feed, server: Server, sample: Path, undisturbed: tuple[Any, ...], lines: int
) -> None:
    """The server is killed at some step and comes back: the load goes on by itself."""
    with start(Feed(sample, feed.url), ["load", "-v"]) as process:
        assert process.stderr is not None
        for _ in range(lines):
            process.stderr.readline()
        server.kill()
        server.start()
        told = process.stderr.read()
    assert "trying again in 0.5 s" in told
    assert process.returncode == 1
    assert state(Feed(sample, feed.url)) == undisturbed


def test_a_server_that_goes_away_right_after_a_violation(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says that a row has no parent, and is gone: the file is loaded again, whole."""
    monkeypatch.setattr(session, "PAUSES", (0.01,))
    feed.deliver(Procedure)
    feed.deliver(Visit)
    feed.deliver(
        Transaction,
        row(transaction_identifier=1),
        row(transaction_identifier=2, visit_identifier=99),
    )
    engine = make_engine(feed.url)
    violations = count(1)

    def lose(context: ExceptionContext) -> None:
        if isinstance(context.sqlalchemy_exception, IntegrityError) and next(violations) == 1:
            assert context.connection is not None
            backend: psycopg.Connection[Any]
            backend = context.connection.connection.driver_connection  # type: ignore[assignment]
            with other(feed) as someone:
                pid = (backend.info.backend_pid,)
                someone.execute("SELECT pg_terminate_backend(%s, 10000)", pid)
            context.is_disconnect = True

    event.listen(engine, "handle_error", lose)
    report = load(engine, feed.landing, "HospitalABC")
    assert next(violations) == 3  # the file, the file again; its orphan is looked up at the end
    assert [file.status for file in report.files] == ["loaded"] * 3
    assert (report.counts.inserted, report.rejects_open) == (3, 1)
    assert feed.keys(Transaction) == [1]


@pytest.mark.parametrize("batch", [1, 5, 9])
def test_a_killed_server(  # noqa: PLR0913, PLR0917 - fixtures
    feed: Feed,
    server: Server,
    sample: Path,
    undisturbed: tuple[Any, ...],
    visitpay: Visitpay,
    monkeypatch: pytest.MonkeyPatch,
    batch: int,
) -> None:
    """A server that stays away stops the load with 3; the next ends as if nothing had happened."""
    monkeypatch.setattr(session, "PAUSES", (0.01, 0.01))
    take_in, batches = merge_batch, count(1)

    def meddled(*arguments: Any, **options: Any) -> MergedBatch:
        if next(batches) == batch:
            server.kill()
        return take_in(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(consume, "merge_batch", meddled)
        outcome = visitpay("load", sample)
    server.start()
    assert outcome.status == 3
    assert outcome.err.count("; trying again in 0.01 s") == 2
    last = outcome.said.splitlines()[-1]
    assert last.startswith("visitpay: the database cannot be used: ")
    assert last.endswith("PGPASSFILE) and run again")
    assert visitpay("load", sample).status == 1
    assert state(Feed(sample, feed.url)) == undisturbed
    with read_connection(feed.url) as connection:
        runs = connection.scalars(select(LoadRun.status).order_by(LoadRun.id)).all()
    assert runs == ["interrupted", "attention"]


def failing(feed: Feed, how: str) -> None:
    """Let every insert of a visit fail."""
    feed.execute(
        f"CREATE FUNCTION fail() RETURNS trigger AS $$BEGIN {how}; RETURN new; END$$"
        " LANGUAGE plpgsql",
        "CREATE TRIGGER failing BEFORE INSERT ON visits FOR EACH ROW EXECUTE FUNCTION fail()",
    )


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            "RAISE 'could not extend file: No space left' USING ERRCODE = '53100'",
            f"could not extend file: No space left; {KEPT}, make room on the server and run again",
        ),
        (
            "PERFORM pg_sleep(60)",
            f"{TIMEOUT}; {KEPT}, raise the role's statement_timeout and run again",
        ),
        (
            "RAISE 'SECRET 31337'",
            f"RaiseException (the server does not say where); {KEPT}, mend it and run again",
        ),
        (
            "INSERT INTO no_such_table SELECT 31337",
            f'relation "no_such_table" does not exist; {KEPT}, mend it and run again',
        ),
    ],
    ids=["disk", "timeout", "other", "schema"],
)
def test_trouble_in_the_middle(feed: Feed, visitpay: Visitpay, how: str, message: str) -> None:
    """A run that the database stops says why, tells no value, and keeps its whole files."""
    feed.execute(f"ALTER DATABASE {make_url(feed.url).database} SET statement_timeout = '2s'")
    feed.deliver(Procedure, at=DAY_1, procedure_description="x")
    feed.deliver(Visit, *visits(31337), at=DAY_1)
    failing(feed, how)
    outcome = visitpay("load", "-v")
    assert outcome.status == 3
    assert outcome.said.splitlines()[-1] == f"visitpay: the database cannot be used: {message}"
    assert "traceback" in outcome.err
    assert not re.search("SECRET|31337", outcome.err)
    run = visitpay("runs", "last", "--json").document["run"]
    assert (run["status"], run["loaded"]) == ("failed", 1)
    assert run["error"] == f"the database cannot be used: {message}"
    assert [len(rows) for rows in feed.tables().values()] == [1, 0, 0]
    feed.execute("DROP TRIGGER failing ON visits")
    outcome = visitpay("load", "--json")
    assert [file["inserted"] for file in outcome.document["files"]] == [1]


@pytest.fixture
def guarded(server: Server, own_postgres: Postgres) -> Iterator[str]:
    """Have the server ask one role for a password; give the role's name."""
    access = server.data / "pg_hba.conf"
    before = access.read_text()
    access.write_text(f"host all guarded 127.0.0.1/32 scram-sha-256\n{before}")
    own_postgres.execute("CREATE ROLE guarded SUPERUSER LOGIN PASSWORD 'right'")
    server.reload()
    yield "guarded"
    access.write_text(before)
    server.reload()
    own_postgres.execute("DROP ROLE guarded")


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize("command", ["load", "status", "alembic"])
@pytest.mark.parametrize(
    ("changes", "query", "message"),
    [
        ({"port": 1}, {}, "Connection refused"),
        (
            {"username": "guarded", "password": "SECRET"},
            {},
            'password authentication failed for user "guarded"',
        ),
        ({"database": "nowhere"}, {}, 'database "nowhere" does not exist'),
        ({"password": "SECRET"}, {"sslmode": "require"}, "server does not support SSL"),
        ({"password": "SECRET"}, {"sslmode": "SECRET"}, "invalid sslmode value"),
    ],
    ids=["server", "password", "database", "tls", "option"],
)
def test_no_way_in(
    feed: Feed,
    visitpay: Visitpay,
    command: str,
    changes: dict[str, Any],
    query: dict[str, str],
    message: str,
) -> None:
    """A server that does not let us in gives one line that says why, and never the password."""
    url = rendered(make_url(feed.url).set(**changes).update_query_dict(query))
    if command == "alembic":
        outcome = alembic(url, "upgrade", "head")
        line = re.sub("^.*?(?=the database )", "", outcome.err.splitlines()[-1])
    else:
        outcome = visitpay(command, "--database-url", url)
        assert (outcome.status, outcome.out, outcome.err.count("\n")) == (3, "", 1)
        line = outcome.said.removeprefix("visitpay: ").strip()
    assert line.startswith("the database cannot be used: connection")
    assert message in line
    assert line.endswith(
        "check the server, and the host, database, user and password (PGPASSFILE) and run again"
    )
    assert "SECRET" not in outcome.err.replace('sslmode value: "SECRET"', "")


def alembic(url: str, *arguments: str, **environment: str) -> Outcome:
    """Run Alembic as a process of its own."""
    command = [sys.executable, "-m", "alembic.config", *arguments]
    settings = os.environ | {"VISITPAY_DATABASE_URL": url} | environment
    done = subprocess.run(
        command, cwd=ROOT, env=settings, capture_output=True, text=True, check=False
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def test_a_password_file(
    feed: Feed, visitpay: Visitpay, guarded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password file of libpq lets us in."""
    url = rendered(make_url(feed.url).set(username=guarded))
    assert visitpay("status", "--database-url", url).status == 3
    passwords = tmp_path / "passwords"
    passwords.write_text("*:*:*:guarded:right\n")
    passwords.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    assert visitpay("status", "--database-url", url).status == 0


def test_without_the_extra(feed: Feed) -> None:
    """Where psycopg is missing, one line says which extra to install."""
    program = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from visitpay.cli.app import main; main(['load'])"
    )
    settings = os.environ | {"VISITPAY_DATABASE_URL": feed.url}
    done = subprocess.run(
        [sys.executable, "-c", program], env=settings, capture_output=True, text=True, check=False
    )
    message = "PostgreSQL needs an extra; run: pip install 'visitpay[postgres]'"
    outcome = Outcome(done.returncode, done.stdout, done.stderr)
    assert (outcome.status, outcome.said) == (2, f"visitpay: {message}\n")


def test_another_driver(visitpay: Visitpay) -> None:
    """A driver that is not psycopg 3 is refused with a URL that would do."""
    outcome = visitpay("load", "--database-url", "postgresql+psycopg2://me:SECRET@host/name")
    example = "postgresql+psycopg://user@host/name"
    message = f"postgresql+psycopg2 is not supported; use a URL like {example}"
    assert (outcome.status, outcome.out, outcome.said) == (2, "", f"visitpay: {message}\n")


def test_deploys_at_once(own_postgres: Postgres, feed: Feed) -> None:
    """Of several migrations at once one does it, the others wait, and all succeed."""
    url = own_postgres.create()
    settings = os.environ | {"VISITPAY_DATABASE_URL": rendered(url)}
    command = [sys.executable, "-m", "alembic.config", "upgrade", "head"]
    deploys = [
        subprocess.Popen(command, cwd=ROOT, env=settings, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    told = [deploy.communicate(timeout=120)[1] for deploy in deploys]
    assert [deploy.returncode for deploy in deploys] == [0] * 4, told
    assert sum("Running upgrade" in each for each in told) == 1
    assert Feed(feed.landing, rendered(url)).dump() == feed.dump()
    own_postgres.drop(url)


def test_a_migration_waits_a_while(feed: Feed) -> None:
    """A migration gives up when a table stays in use, and leaves the schema as it was."""
    before = feed.dump()
    with other(feed) as reader:
        reader.execute("SELECT * FROM transactions")
        settings = {"PGOPTIONS": "-c lock_timeout=100ms", "VISITPAY_MIGRATION_WAIT": "0"}
        outcome = alembic(feed.url, "downgrade", "base", **settings)
    assert outcome.status != 0
    told = "the database cannot be used: canceling statement due to lock timeout; "
    remedy = f"{KEPT}, wait until nobody holds the tables and run again"
    assert outcome.err.splitlines()[-1].endswith(told + remedy)
    assert feed.dump() == before
    for given, used in (("DEFAULT", "5s"), ("'7s'", "7s")):
        with make_engine(feed.url).connect() as connection:
            connection.execute(text(f"SET lock_timeout = {given}"))
            for statement in migration_preamble():
                connection.execute(text(statement))
            assert connection.scalar(text("SHOW lock_timeout")) == used


def test_types_and_indexes(feed: Feed) -> None:
    """Keys are bigint, money is numeric(14,2), days are dates, moments timestamptz."""
    types = {
        "guarantor_identifier": "bigint",
        "id": "bigint",
        "admit_date": "date",
        "amount": "numeric(14,2)",
        "transaction_identifier": "bigint",
        "loaded_at": "timestamp with time zone",
    }
    with make_engine(feed.url).connect() as connection:
        found = connection.execute(
            text(
                "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
                " WHERE attrelid::regclass::text IN ('visits', 'transactions', 'load_files')"
            )
        ).all()
        indexes = connection.scalars(text("SELECT indexdef FROM pg_indexes")).all()
        (modelled,) = (
            str(CreateIndex(each).compile(connection)) for each in RejectedRow.__table__.indexes
        )
    assert types.items() <= {(name, kind) for name, kind in found}
    (partial,) = (each for each in indexes if "ix_rejected_rows_open" in each)
    assert "WHERE" in partial
    assert "WHERE" in modelled
    assert any("ix_transactions_visit_identifier" in each for each in indexes)


def test_rows_are_written_in_the_order_of_their_keys(feed: Feed, visitpay: Visitpay) -> None:
    """So two who write cannot hold each other up, whatever the order of the lines."""
    feed.deliver(Procedure, *(row(procedure_id=key * 7919 % 10007) for key in range(1, 10007)))
    assert visitpay("load").status == 0
    with make_engine(feed.url).connect() as connection:
        keys = connection.scalars(text("SELECT procedure_id FROM procedures ORDER BY ctid")).all()
    assert keys == list(range(1, 10007))


def test_text_arrives_as_it_stands(feed: Feed, visitpay: Visitpay) -> None:
    """What means something to COPY means nothing in a cell."""
    texts = [r"\.", r"\N x", 'a"b', "a,b", r"a\tb", "'; DROP TABLE visits --", "ä€😀", "a\u2028b"]
    rows = [
        row(procedure_id=key, procedure_description=each)
        for key, each in enumerate([*texts, "\\.", '"', "a,b\x01\\"])
    ]
    bad = [line(Procedure, **each | {"procedure_id": "x"}) for each in rows[len(texts) :]]
    feed.deliver(
        Procedure,
        *rows[: len(texts)],
        *bad,
        at=DAY_1,
    )
    assert visitpay("load").status == 1
    assert feed.column(Procedure, "procedure_description") == texts
    assert [row[5] for row in feed.rejects()] == bad


def test_the_documented_way(
    server: Server, own_postgres: Postgres, feed: Feed, tmp_path: Path, visitpay: Visitpay
) -> None:
    """The commands of docs/postgres.md, run as they stand, end in a load by a role without DDL."""
    blocks = re.findall(
        r"<!-- run -->\n```sh\n(.*?)```", (ROOT / "docs" / "postgres.md").read_text(), re.DOTALL
    )
    assert len(blocks) == 5
    feed.deliver(Procedure, at=DAY_1, procedure_description="x")
    feed.deliver(
        Visit,
        *visits(1, 2),
        row(visit_identifier=3, guarantor_identifier="x"),
        at=DAY_1,
    )
    feed.deliver(
        Transaction,
        row(transaction_identifier=1, visit_identifier=1, amount="2.50"),
        row(transaction_identifier=2, visit_identifier=9, amount=1),
        at=DAY_1,
    )
    for name in ("alembic", "alembic.ini"):
        (tmp_path / name).symlink_to(ROOT / name)
    access = server.data / "pg_hba.conf"
    before = access.read_text()
    roles = "visitpay_owner,visitpay_loader"
    access.write_text(f"host all {roles} 127.0.0.1/32 scram-sha-256\n{before}")
    server.reload()
    paths = (Path(sys.executable).parent, server.programs, os.environ["PATH"])
    settings = os.environ | {
        "HOME": str(tmp_path),
        "PATH": os.pathsep.join(map(str, paths)),
        "PGHOST": "127.0.0.1",
        "PGPORT": str(server.port),
        "PGUSER": "postgres",
    }
    script = "set -e\n" + "".join(blocks).replace(
        "visitpay load landing", "visitpay load landing||:"
    )
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search("^rejects open +2 *$", done.stdout, re.MULTILINE)
    assert "CREATE TABLE visits" in (tmp_path / "upgrade.sql").read_text()
    password = "loader-secret"  # noqa: S105 - as the document has it
    url = own_postgres.url.set(username="visitpay_loader", password=password, database="visitpay")
    refused = "permission denied|must be owner"
    with psycopg.connect(rendered(url.set(drivername="postgresql")), autocommit=True) as loader:
        for statement in (
            "CREATE TABLE made (id int)",
            "DROP TABLE visits",
            "ALTER TABLE visits ADD COLUMN x int",
            "DELETE FROM transactions",
            "TRUNCATE transactions",
            "UPDATE alembic_version SET version_num = 'x'",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match=refused):
                loader.execute(statement)
    feed.deliver(
        Visit,
        *visits(5, 2),
        row(visit_identifier=9),
        at=DAY_2,
    )
    outcome = visitpay("load", "--json", "--database-url", rendered(url))
    assert (outcome.status, outcome.document["rejects_resolved"]) == (0, 1)
    access.write_text(before)
    server.reload()
    own_postgres.drop(url)
    for role in ("visitpay_owner", "visitpay_loader"):
        own_postgres.execute(f"DROP ROLE {role}")


def test_the_documented_hospitals(server: Server, feed: Feed, visitpay: Visitpay) -> None:
    """Of two hospitals set up by the page, none can read or migrate what the other has."""
    page = (ROOT / "docs" / "postgres.md").read_text()
    blocks = re.findall(r"<!-- run: a hospital -->\n```sh\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 2
    script = "set -e\n" + "".join(blocks)
    script += "".join(blocks).replace("abc", "xyz")
    database = str(make_url(feed.url).database)
    script = re.sub(r"\bvisitpay( <<'SQL'| \\|;)", rf"{database}\1", script)
    script = script.replace("@/visitpay", f"@/{database}").replace(
        "DATABASE visitpay", f"DATABASE {database}"
    )
    feed.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
    paths = (Path(sys.executable).parent, server.programs, os.environ["PATH"])
    settings = {"PATH": os.pathsep.join(map(str, paths)), "PGUSER": "postgres"}
    settings |= {"PGHOST": "127.0.0.1", "PGPORT": str(server.port)}
    done = subprocess.run(
        ["bash", "-c", script],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    feed.deliver(Procedure)

    def run(role: str, *words: str, schema: str = "abc") -> Outcome:
        url = rendered(make_url(feed.url).set(username=role))
        return visitpay(*words, "--database-url", url, "--schema", schema)

    try:
        assert run("abc_loader", "load").status == 0
        assert run("abc_reader", "status").status == 0
        assert run("abc_reader", "load").status == 3
        assert run("xyz_loader", "load", schema="xyz").status == 0
        for role in ("abc_owner", "abc_loader", "abc_reader"):
            for words in (["load"], ["migrate"], ["status"]):
                refused = run(role, *words, schema="xyz")
                told = f"the role {role} may not use the schema xyz"
                assert (refused.status, told in refused.err) == (3, True), refused.err
            url = make_url(feed.url).set(username=role, drivername="postgresql")
            with psycopg.connect(rendered(url), autocommit=True) as connection:
                for statement in ("SELECT FROM xyz.visits", "CREATE TABLE xyz.made (id int)"):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        connection.execute(statement.encode())
    finally:
        for each in ("owner", "loader", "reader"):
            for role in (f"abc_{each}", f"xyz_{each}"):
                feed.execute(f"DROP OWNED BY {role} CASCADE", f"DROP ROLE {role}")


def as_citus(feed: Feed, group: int) -> None:
    """Make of a database what Citus has in it, as far as it is asked for."""
    feed.execute(
        "SET LOCAL allow_system_table_mods = on",
        f"CREATE TABLE pg_catalog.pg_dist_local_group AS SELECT {group} AS groupid",
        "CREATE TABLE pg_catalog.pg_dist_partition AS SELECT 'visits'::regclass AS logicalrelid",
        "CREATE FUNCTION pg_catalog.citus_total_relation_size(regclass) RETURNS bigint"
        " RETURN 1 << 30",
    )


def test_a_worker_of_citus(feed: Feed, visitpay: Visitpay) -> None:
    """A session on a worker is refused, whatever it is for."""
    as_citus(feed, group=2)
    for words in (["load"], ["status"], ["migrate"]):
        outcome = visitpay(*words)
        assert outcome.status == 3
        assert "a worker of Citus" in outcome.err
        assert outcome.err.endswith("name the coordinator in the database URL\n")


def test_a_coordinator_of_citus(feed: Feed, visitpay: Visitpay) -> None:
    """The coordinator is one to load into; what is on its workers counts as the database's."""
    as_citus(feed, group=0)
    feed.deliver(Procedure)
    assert visitpay("load").status == 0
    found = visitpay("doctor").out
    assert re.search(r"postgresql [0-9.]+ \(coordinator of Citus\) answers", found)
    assert re.search(r"the database takes 1\.\d GiB", found)
    missing = visitpay("load", "--schema", "abc").said
    statement = "SET citus.enable_schema_based_sharding TO on; CREATE SCHEMA abc AUTHORIZATION"
    assert f"run: {statement} " in missing


def fail_once(feed: Feed, state: str, message: str) -> None:
    """Let the first row that comes fail, and no other."""
    feed.execute(
        "CREATE SEQUENCE failures",
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF nextval('failures') = 1 THEN"
        f" RAISE EXCEPTION '{message}' USING ERRCODE = '{state}'; END IF; RETURN new; END $$",
        "CREATE TRIGGER fail BEFORE INSERT ON visits FOR EACH ROW EXECUTE FUNCTION fail()",
    )


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("58030", "connection to the remote node role@host:5432 failed with the following error"),
        ("58030", "failed to COPY to shard 102008 on host:5432"),
        ("XX000", "server closed the connection unexpectedly"),
        ("XX000", "failure on connection marked as essential: host:5432"),
    ],
)
def test_a_worker_that_went_away(feed: Feed, visitpay: Visitpay, state: str, message: str) -> None:
    """What Citus says of a worker that it has lost is tried again."""
    fail_once(feed, state, message)
    feed.deliver(Visit, *visits(1, 2))
    outcome = visitpay("load")
    assert f"{message}; trying again in 0.5 s\n" in outcome.err
    assert (outcome.status, guarantors(feed)) == (0, [1, 2])


@pytest.mark.parametrize(
    ("state", "message", "told"),
    [
        ("58030", "could not read block 7 in file base/1/2", "could not read block 7"),
        ("XX000", "cache lookup failed for relation 7", "cache lookup failed for relation 7"),
        ("23514", "a value SECRET", "CheckViolation (the server does not say where)"),
    ],
)
def test_what_does_not_pass(
    feed: Feed, visitpay: Visitpay, state: str, message: str, told: str
) -> None:
    """A broken disk or table is not tried again; an error of a row without a place is told."""
    fail_once(feed, state, message)
    feed.deliver(Visit, *visits(1, 2))
    outcome = visitpay("load")
    assert outcome.status != 0
    assert told in outcome.err
    assert "trying again" not in outcome.err
    assert "SECRET" not in outcome.err
    assert guarantors(feed) == []


def test_a_backup_of_a_schema(
    feed: Feed,
    server: Server,
    visitpay: Visitpay,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The command that is told makes a copy of the schema, whatever its name, and of no other."""
    for name in ('A"b.*', 'A"b.c'):
        feed.execute("CREATE SCHEMA " + '"' + name.replace('"', '""') + '"')
        assert visitpay("migrate", "--schema", name).status == 0
    told = visitpay("migrate", "--schema", 'A"b.*', "--backup", tmp_path / "copy").said
    monkeypatch.setenv("PATH", f"{server.programs}:{os.environ['PATH']}")
    subprocess.run(["bash", "-c", told.partition("run before: ")[2]], check=True)
    listing = ["pg_restore", "--list", str(tmp_path / "copy")]
    found = subprocess.run(listing, capture_output=True, text=True, check=True).stdout
    assert found.count('TABLE A"b.* visits') == 1
    assert 'A"b.c' not in found
    assert " public " not in found


ODD = ["DateStyle = 'SQL, DMY'", "TimeZone = 'Asia/Tokyo'", "IntervalStyle = 'iso_8601'"]
ODD += ["bytea_output = 'escape'", "standard_conforming_strings = off", "client_encoding = LATIN1"]


@pytest.mark.parametrize("by", ["database", "role", "environment", "url"])
def test_settings_of_others(
    feed: Feed,
    own_postgres: Postgres,
    visitpay: Visitpay,
    monkeypatch: pytest.MonkeyPatch,
    by: str,
) -> None:
    """Whatever server, role, database, environment and URL say, a session is as it must be."""
    url = make_url(feed.url)
    options = " ".join(f"-c {each}".replace(" = ", "=").replace(", ", ",") for each in ODD)
    options = options.replace("'", "")
    if by == "environment":
        for name, value in {
            "PGOPTIONS": options,
            "PGTZ": "Asia/Tokyo",
            "PGDATESTYLE": "German",
            "PGCLIENTENCODING": "SQL_ASCII",
        }.items():
            monkeypatch.setenv(name, value)
    elif by == "url":
        url = url.update_query_dict({"options": options, "client_encoding": "sql_ascii"})
    else:
        name = str(url.database)
        if by == "role":
            name = "odd"
            own_postgres.execute("CREATE ROLE odd SUPERUSER LOGIN")
            url = url.set(username=name)
        for each in ODD:
            own_postgres.execute(f"ALTER {by} {name} SET {each}")
    feed.url = rendered(url)
    monkeypatch.setenv("VISITPAY_DATABASE_URL", feed.url)
    feed.deliver(
        Procedure,
        row(procedure_id=1, procedure_description="snöw ☃"),
        row(procedure_id="x", procedure_description="☃"),
        at="20210101_000000",
    )
    feed.deliver(Visit, at="20210101_000000", discharge_date="3/4/2021", visit_balance="20.50")
    assert visitpay("load").status == 1
    for command in ("status", "files", "doctor", "rejects list", "reconcile", "explain visit 10"):
        outcome = visitpay(*command.split(), "--json")
        assert outcome.document.get("status") != "failed"
    assert visitpay("status", "--json").document["checkpoint"] == "2021-01-01T00:00:00Z"
    assert "2021-01-02" in visitpay("explain", "visit", "10").out
    assert feed.descriptions() == {1: "snöw ☃"}
    migrate(feed.url)
    with make_migration_engine(feed.url).connect() as connection:
        shown = [connection.scalar(text(f"SHOW {name}")) for name in ("DateStyle", "TimeZone")]
    assert shown == ["ISO, MDY", "UTC"]
    if by == "role":
        own_postgres.execute(f"REASSIGN OWNED BY odd TO {own_postgres.url.username}")
        own_postgres.execute("DROP ROLE odd")


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize("moment", ["0001-01-01 00:00:00+00", "9999-12-31 23:59:59+00"])
def test_times_at_the_ends(feed: Feed, visitpay: Visitpay, zone: str, moment: str) -> None:
    """The first and the last moment that Python knows can be read, whatever the server's zone."""
    feed.deliver(Procedure, at=DAY_1, procedure_description="x")
    visitpay("load")
    feed.execute(f"ALTER DATABASE {make_url(feed.url).database} SET timezone = '{zone}'")
    with make_engine(feed.url).begin() as connection:
        connection.execute(text("UPDATE load_files SET file_datetime = :at"), {"at": moment})
    for command in ("load", "status", "files", "doctor", "reconcile"):
        assert visitpay(command, "--json").document.get("status") != "failed"
    (file,) = visitpay("files", "--json").document["files"]
    assert file["file_datetime"] == moment.replace(" ", "T").replace("+00", "Z")


def test_a_session_without_foreign_keys(feed: Feed, visitpay: Visitpay) -> None:
    """A session that would not keep them is refused."""
    name = make_url(feed.url).database
    with other(feed) as someone:
        someone.execute(f"ALTER DATABASE {name} SET session_replication_role = replica".encode())
    outcome = visitpay("load")
    assert outcome.status == 3
    assert "sessions do not keep foreign keys" in outcome.err


@pytest.fixture
def latin(tmp_path: Path, own_postgres: Postgres) -> Iterator[Feed]:
    """Yield a landing directory and a database in the encoding LATIN1."""
    url = own_postgres.url.set(database="latin")
    own_postgres.execute(
        "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    migrate(rendered(url))
    landing = tmp_path / "latin"
    landing.mkdir()
    yield Feed(landing, rendered(url))
    own_postgres.drop(url)


def test_an_encoding_that_lacks_characters(
    latin: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file with one that the database lacks fails, named, and no other; the doctor warns."""
    monkeypatch.setenv("VISITPAY_DATABASE_URL", latin.url)
    monkeypatch.setenv("VISITPAY_LANDING", str(latin.landing))
    latin.deliver(Procedure, at="20211201_000000", procedure_description="snöw")
    latin.deliver(Procedure, at="20211202_000000", procedure_id=2, procedure_description="SECRET ☃")
    latin.deliver(
        Procedure, at="20211203_000000", procedure_id="x", procedure_description="SECRET ☃"
    )
    secret, shorn = f"{header_line(Procedure)}\tSECRET☃", "ProcedureId\t☃"
    latin.deliver_lines(Procedure, line(Procedure) + "\t", at="20211204_000000", header=secret)
    latin.deliver_lines(Procedure, line(Procedure), at="20211205_000000", header=shorn)
    latin.deliver(Visit, *visits(1), at=DAY_1)
    for _ in range(2):
        outcome = visitpay("load", "-v", "--json")
        assert outcome.status == 1
        assert "SECRET ☃" not in outcome.err
    files = visitpay("files", "--json").document["files"][::-1]
    assert sorted(each["status"] for each in files) == ["failed"] * 4 + ["loaded"] * 2
    lacking = "the database refuses it: a character that the database's encoding lacks"
    errors = [each["error"] for each in files if each["status"] == "failed"]
    assert [each.startswith(lacking) for each in errors] == [True, True, True, False]
    assert latin.descriptions() == {1: "snöw"}
    found = {each["name"]: each for each in visitpay("doctor", "--json").document["examined"]}
    assert found["encoding"]["status"] == "warning"
    assert "ENCODING 'UTF8'" in found["encoding"]["remedy"]


def test_names_that_the_database_lacks(
    latin: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of which not even the name can be written down fails, named, in the log."""
    monkeypatch.setenv("VISITPAY_DATABASE_URL", latin.url)
    path = latin.deliver(Procedure, at=DAY_1, procedure_description="x")
    path = path.rename(latin.landing / path.name.replace("ABC", "☃"))
    outcome = visitpay("load", latin.landing, "--hospital", "Hospital☃")
    assert outcome.status == 1
    assert f"{path.name}: that it failed is not in the ledger" in outcome.err


def test_a_nul_in_a_header(feed: Feed, visitpay: Visitpay) -> None:
    """It fails its file, and the others go on."""
    header = header_line(Procedure) + "\ta\0b"
    feed.deliver_lines(Procedure, line(Procedure) + "\ty", at=DAY_1, header=header)
    feed.deliver(Procedure, at=DAY_2, procedure_description="x")
    outcome = visitpay("load", "--json")
    assert [each["status"] for each in outcome.document["files"]] == ["failed", "loaded"]


def test_a_host_from_the_environment(
    feed: Feed, visitpay: Visitpay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands before an @ in a host's name is not told, wherever the name comes from."""
    monkeypatch.setenv("PGHOST", "visit:SECRET@nowhere.invalid")
    outcome = visitpay(
        "load", "-v", "--database-url", f"postgresql:///{make_url(feed.url).database}"
    )
    assert outcome.status == 3
    assert "SECRET" not in outcome.out + outcome.err
