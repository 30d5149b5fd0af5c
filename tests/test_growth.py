"""What a new record type needs: a class, its table, and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.feed import Feed
from tests.support.growth import grow

SCRIPT = """
import json
from pathlib import Path
from visitpay.cli.app import main
from visitpay.database.engine import make_migration_engine
from visitpay.models import ENTITIES, Payment
import visitpay

Payment.__table__.create(make_migration_engine(URL))
written = visitpay.write_sample(Path("landing"), visits=40, days=2, dirt=10)
checked = visitpay.check()
loaded = visitpay.load()
payments = [file for file in loaded.files if file.file.entity == "Payment"]
wanted = visitpay.RejectFilter(entity="Payment")
visitpay.report("report.html")
print(json.dumps({
    "entities": [entity.__name__ for entity in ENTITIES],
    "written": sorted(path.name for path in written if "Payment" in path.name),
    "header": written[3].read_text().splitlines()[0],
    "checked": [file.rejected for file in checked if file.file.entity == "Payment"],
    "loaded": [file.file.entity for file in loaded.files],
    "rejected": [file.counts.rejected for file in payments],
    "status": sorted(each.entity for each in visitpay.status().entities),
    "files": len(visitpay.files(entity="payment")),
    "rejects": len(visitpay.list_rejects(wanted)),
    "exported": [file.rows for file in visitpay.export_rejects("mended", wanted)],
    "findings": [each.check for each in visitpay.findings()],
    "retried": visitpay.retry()[0],
    "explained": [bool(visitpay.explain("payment", key).row) for key in (1, 41)],
    "reported": "Payment" in Path("report.html").read_text(),
}))
main(["rejects", "list", "--entity", "payments"])
"""


def test_a_new_record_type(feed: Feed, tmp_path: Path) -> None:
    """A class `Payment` that refers to a visit is sampled, loaded, shown, exported and reported."""
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
    assert sum(checked) > 0
    assert seen == {
        "entities": ["Procedure", "Visit", "Transaction", "Payment"],
        "written": [f"HospitalABC_VisitPay_Payment_2021120{day}_223200.txt" for day in (1, 2)],
        "header": "PaymentIdentifier\tVisitIdentifier\tPaidOn\tPaidAmount\tMethod",
        "loaded": [name for name in ("Procedure", "Visit", "Transaction", "Payment") for _ in "12"],
        "rejected": seen["rejected"],
        "status": ["Payment", "Procedure", "Transaction", "Visit"],
        "files": 2,
        "rejects": sum(seen["rejected"]),
        "exported": [sum(seen["rejected"])],
        "findings": [],
        "retried": 0,
        "explained": [True, False],
        "reported": True,
    }
    last = done.stderr.splitlines()[-1]
    assert last.endswith("'payments' is none of Procedure, Visit, Transaction, Payment")
