"""Fifteen minutes of the worst: `make torture` runs it and writes docs/robustness.md."""

import argparse
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.robustness.fuzzing import compare, files
from tests.robustness.kills import SCENES, Killing, Victims
from tests.robustness.pollution import Damaged, Figures, Polluted, Sheet, damages, sheets
from tests.support.databases import ROOT, maker, migrate, running

PAGE = ROOT / "docs" / "robustness.md"
KINDS = ("sqlite", "postgresql")
FILES_A_KIND = 24

HEAD = """\
# Robustness

`make torture` did all of this on {day}, in {minutes} minutes on two cores, and wrote this page.
`make test` does a part of it every time. [threat-model.md](threat-model.md) says who may want to do
harm, and what is promised.
"""

DAMAGE = """\
## Damaged files

A clean file has 200 rows, with tabs or commas between its cells. It is damaged in one place and
loaded into an SQLite database. Then the tables are compared with those of the clean file. The kinds
of damage follow the Pollock benchmark (VLDB 2023, doi 10.14778/3594512.3594518). {chosen}

- *other rows*: the share of the undamaged rows that was loaded as it is in the clean file. A line
  of one cell beside a row may be the end of that row, cut off by a line end. Where the two make a
  good row, both are rejected, and a person is asked.
- *hit rows*: the damaged rows; each was loaded as it is in the clean file, or rejected.
- *as sent*: texts that hold what the damage put into them, such as a stray quote. Only a person can
  know that it does not belong there.
- *corrupt*: files from which a value was loaded that nobody sent.
- A header is refused with what is wrong with it, or the whole file is loaded as it should be.
"""


def main() -> None:
    """Do everything, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="how long it is to take")
    parser.add_argument("--kills", type=int, default=204, help="how many loads are killed")
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="visitpay-") as folder, ProcessPoolExecutor(2) as pool:
        scratch = Path(folder)
        migrated = scratch / "migrated.db"
        migrate(f"sqlite:///{migrated}")
        killed = pool.submit(kill, scratch, migrated, given.kills)
        polluted = pool.submit(pollute, scratch, migrated)
        compared = pool.submit(fuzz, began + given.seconds)
        parts = killed.result(), polluted.result(), compared.result()
    faults = run_tests("tests/robustness/test_faults.py", "tests/test_privacy.py")
    rules = run_tests("-m", "hypothesis", "tests")
    page = written(*parts, told(faults), told(rules), time.monotonic() - began)
    PAGE.write_text(page)
    print(page)
    bad = [bool(each.wrong) or each.survived < each.kills for each in parts[0].values()]
    bad += [bool(each.corrupt or each.unnamed or each.missing) for each in parts[1].values()]
    sys.exit(1 if any(bad) else faults.returncode or rules.returncode)


def run_tests(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a part of the tests, each rule with many examples, others every time."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", *arguments],
        cwd=ROOT,
        env=os.environ | {"HYPOTHESIS_PROFILE": "many"},
        capture_output=True,
        text=True,
        check=False,
    )


def told(tests: subprocess.CompletedProcess[str]) -> str:
    """Return the last line that tests print: how many passed."""
    return tests.stdout.strip().splitlines()[-1]


def kill(scratch: Path, migrated: Path, kills: int) -> dict[tuple[str, str], Killing]:
    """Kill loads of every scene on every database."""
    logging.disable()
    each = kills // (len(SCENES) * len(KINDS))

    def make_folder(name: str) -> Path:
        return Path(tempfile.mkdtemp(prefix=name, dir=scratch))

    with running() as (_, postgres):
        make_database = maker(lambda: migrated, lambda: postgres)
        victims = {scene: Victims(scene, make_database, make_folder) for scene in SCENES}
        return {
            (scene, kind): victims[scene].kill(kind, each) for scene in SCENES for kind in KINDS
        }


def pollute(scratch: Path, migrated: Path) -> dict[str, Figures]:
    """Damage files in every way."""
    logging.disable()
    found: dict[str, Figures] = {}
    for sheet in sheets():
        polluted = Polluted(sheet, migrated, Path(tempfile.mkdtemp(dir=scratch)))
        for damaged in some(sheet):
            polluted.measure(damaged, found.setdefault(damaged.kind, Figures()))
    return found


def some(sheet: Sheet) -> Iterable[Damaged]:
    """Yield of every kind of damage to a file so many at the most."""
    kinds: dict[str, list[Damaged]] = {}
    for damaged in damages(sheet):
        kinds.setdefault(damaged.kind, []).append(damaged)
    random = Random(sheet.entity)  # noqa: S311 - no secret
    for each in kinds.values():
        yield from random.sample(each, min(FILES_A_KIND, len(each)))


def fuzz(until: float) -> int:
    """Compare the parser with the plain one until then; give with how many files."""
    logging.disable()
    count = 0

    @settings(
        max_examples=500,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(file=files(), block_bytes=st.sampled_from([20, 200, 1 << 20]))
    def compared(file: tuple[str, bytes], block_bytes: int) -> None:
        nonlocal count
        count += 1
        compare(*file, block_bytes)

    compared()
    while time.monotonic() < until:
        compared()
    return count


def table(header: str, rows: Iterable[Iterable[object]]) -> str:
    """Write a table; all but the first column are numbers."""
    names = header.split(" | ")
    rule = " | ".join(["---", *["---:"] * (len(names) - 1)])
    lines = [header, rule, *(" | ".join(map(shown, row)) for row in rows)]
    return "".join(f"| {line} |\n" for line in lines)


def shown(cell: object) -> str:
    """Write a cell."""
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def share(part: int, whole: int) -> str:
    """Write a share, rounded down: all is only all."""
    return f"{int(1e4 * part / whole) / 100:.2f} %" if whole else ""


def written(
    killed: dict[tuple[str, str], Killing],
    polluted: dict[str, Figures],
    compared: int,
    faults: str,
    rules: str,
    seconds: float,
) -> str:
    """Write the page."""
    total = Figures()
    for figures in polluted.values():
        total.add(figures)
    kills = Killing()
    for killing in killed.values():
        kills.add(killing)
    names = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
    summary = [
        ("loads killed with `kill -9`", kills.kills),
        ("killed loads after which the next load ended as if nothing had happened", kills.survived),
        ("reads of the database meanwhile", kills.looks),
        ("reads that saw a part of a file, or were refused", len(kills.wrong)),
        ("files damaged", total.files),
        ("rows in these files, each accounted for", total.rows),
        ("rows lost", total.missing),
        (
            "files from which a value was loaded that nobody sent (silent corruption)",
            len(total.corrupt),
        ),
        ("damaged headers neither refused nor harmless", len(total.unnamed)),
        ("random files that the parser and a second, plain parser read alike", compared),
        ("tests of full disks, signals, locks, permissions, broken databases, privacy", faults),
        ("tests of rules, each with 150 examples or more, others every time", rules),
    ]
    scenes = [
        (f"{scene}, {names[kind]}", each.kills, each.survived, each.looks, len(each.wrong))
        for (scene, kind), each in killed.items()
    ]
    kinds = [
        (
            kind,
            each.files,
            each.refused,
            share(each.undamaged_loaded, each.undamaged),
            each.damaged,
            each.damaged_loaded,
            each.as_sent,
            len(each.corrupt),
        )
        for kind, each in sorted({**polluted, "**all**": total}.items())
    ]
    hit = "hit rows | of them loaded"
    chosen = f"Up to {FILES_A_KIND} places were chosen for each kind of damage, type and delimiter."
    return "\n".join(
        [
            HEAD.format(day=datetime.now(UTC).date(), minutes=round(seconds / 60)),
            table("what | figure", summary),
            "## Killed loads\n",
            table("what was killed | kills | survived | reads | wrong", scenes),
            DAMAGE.format(chosen=chosen),
            table(f"damage | files | refused | other rows | {hit} | as sent | corrupt", kinds),
        ]
    )


if __name__ == "__main__":
    main()
