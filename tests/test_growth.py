"""What a new column or record type needs: an edit of the model, its table, and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.feed import Feed, header_line
from tests.support.growth import grow
from visitpay.landing.scan import scan
from visitpay.loading.validate import check
from visitpay.models import ENTITIES, entity_named
from visitpay.sample import write_sample

NEW = {"Procedure": {"SparePrice"}, "Visit": {"SpareCode"}, "Transaction": {"SpareOn"}}
REFUND = ["RefundIdentifier", "VisitIdentifier", "RepaidOn", "RepaidAmount", "Method"]

SCRIPT = """
import json
from pathlib import Path
from visitpay.cli.app import main
from visitpay.database.engine import make_migration_engine
from visitpay.models import ENTITIES, Base
import visitpay

tables = [entity.__table__ for entity in ENTITIES]
Base.metadata.drop_all(make_migration_engine(URL), tables)
Base.metadata.create_all(make_migration_engine(URL), tables)
written = visitpay.write_sample(Path("landing"), visits=40, days=2, dirt=10)
checked = visitpay.check()
loaded = visitpay.load()
refunds = [file for file in loaded.files if file.file.entity == "Refund"]
wanted = visitpay.RejectFilter(entity="Refund")
visitpay.report("report.html")
print(json.dumps({
    "entities": [entity.__name__ for entity in ENTITIES],
    "written": sorted(path.name for path in written if "Refund" in path.name),
    "headers": {
        path.name.split("_")[2]: path.read_bytes().decode(errors="replace").splitlines()[0].split()
        for path in written
    },
    "checked": {file.file.name: [file.rows_read, file.rejected] for file in checked},
    "loaded": [file.file.entity for file in loaded.files],
    "rejected": [file.counts.rejected for file in refunds],
    "status": sorted(each.entity for each in visitpay.status().entities),
    "files": len(visitpay.files(entity="refund")),
    "rejects": len(visitpay.list_rejects(wanted)),
    "exported": [file.rows for file in visitpay.export_rejects("mended", wanted)],
    "findings": [each.check for each in visitpay.findings()],
    "retried": visitpay.retry()[0],
    "explained": [bool(visitpay.explain("refund", key).row) for key in (1, 41)],
    "reported": "Refund" in Path("report.html").read_text(),
}))
main(["rejects", "list", "--entity", "refunds"])
"""


def test_a_model_that_has_grown(feed: Feed, tmp_path: Path) -> None:
    """New columns cost no row; a class `Refund` is sampled, loaded, shown, exported, reported."""
    before = tmp_path / "before"
    write_sample(before, visits=40, days=2, dirt=10)
    feed.landing.rmdir()
    grow(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", f"URL = {feed.url!r}{SCRIPT}"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path), "VISITPAY_DATABASE_URL": feed.url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    seen = json.loads(done.stdout)
    checked = seen.pop("checked")
    for file in check(scan(before, "HospitalABC")):
        assert checked[file.file.name] == [file.rows_read, file.rejected]
    rejected = seen["rejected"]
    assert all(rejected)
    headers = seen.pop("headers")
    assert headers.pop("Refund") == REFUND
    known = {name: header_line(entity_named(name)).split() for name in headers}
    new = {name: set(headers[name]).difference(known[name]) for name in headers}
    assert new == NEW | {name: set() for name in new.keys() - NEW}
    names = [entity.__name__ for entity in ENTITIES]
    assert seen == {
        "entities": [*names, "Refund"],
        "written": [f"HospitalABC_VisitPay_Refund_2021120{day}_223200.txt" for day in (1, 2)],
        "loaded": [name for name in (*names, "Refund") for _ in "12"],
        "rejected": rejected,
        "status": sorted([*names, "Refund"]),
        "files": 2,
        "rejects": sum(rejected),
        "exported": [sum(rejected)],
        "findings": [],
        "retried": 0,
        "explained": [True, False],
        "reported": True,
    }
    last = done.stderr.splitlines()[-1]
    assert last.endswith(f"'refunds' is none of {', '.join(names)}, Refund")
