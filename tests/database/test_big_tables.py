"""The tool that measures migrations of large tables, on small ones."""

from pathlib import Path

import pytest

from benchmarks.databases import PostgreSQL, SQLite
from benchmarks.migrations import BEGIN, CHANGES, END, ONLY, measure, table, write
from tests.support.databases import Postgres


def test_each_change_is_measured(
    tmp_path: Path,
    postgres: Postgres,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each kind of change is made on both databases, and told with what it keeps others from."""
    monkeypatch.setattr("os.sync", lambda: None)  # nothing is learnt from so few rows
    costs = {
        "sqlite": measure(SQLite(tmp_path), "sqlite", 20, 1),
        "postgresql": measure(PostgreSQL(postgres), "postgresql", 20, 1),
    }
    assert all(
        (name in costs[kind]) == (ONLY.get(name, kind) == kind)
        for name in CHANGES
        for kind in costs
    )
    assert costs["postgresql"]["add a nullable column"].others == "nobody reads or writes"
    assert costs["postgresql"]["drop the table"].others == "nobody reads or writes"
    assert costs["postgresql"]["add an index"].others == "nobody writes"
    assert costs["postgresql"]["add an index CONCURRENTLY"].others == "nothing"
    assert "sqlite, rename a column: " in capsys.readouterr().out
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}old\n{END}after\n")
    write(page, table(20, costs))
    lines = page.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("before", "after")
    assert len([line for line in lines if line.startswith("| ")]) == len(CHANGES) + 1
