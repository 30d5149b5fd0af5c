"""The vectorised parser against a slow and plain one, on files that nobody would write."""

from contextlib import suppress
from datetime import datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.robustness import reference
from tests.robustness.fuzzing import compare, files
from visitpay.landing.scan import scan

ORDER = ["VisitIdentifier", "VisitBalance", "AdmitDate"]
ORDER += ["DischargeDate", "GuarantorIdentifier", "InsuranceIdentifier"]
OTHERS = [name for name, *_ in reference.COLUMNS["Visit"] if name not in ORDER]
STRANGE_QUOTES = "\n".join(
    [
        ";".join([*OTHERS, *ORDER]),
        ";" * len(OTHERS) + '";" ";";2021-02-28;5;\\N',
        ";" * len(OTHERS) + '1;";2021-02-28;"x;"+7"; "',
        "",
    ]
)


@settings(max_examples=8 * settings().max_examples)
@given(file=files(), block_bytes=st.sampled_from([20, 200, 1 << 20]))
@example(file=("Visit", STRANGE_QUOTES.encode()), block_bytes=20)
def test_files(file: tuple[str, bytes], block_bytes: int) -> None:
    """Both give the same rows and the same rejects, whatever the file and the blocks."""
    compare(*file, block_bytes)


@given(
    name=st.from_regex(
        r"\A(HospitalABC|hospitalabc|Hospital)_VisitPay_(Visit|Procedure|Transaction|visit)_"
        r"[\[(]?(1999|20[0-9]{2}|0000)[01][0-9][0-3][0-9]_[0-2][0-9][0-6][0-9][0-6][0-9][\])]?"
        r"\.(txt|TXT|csv)\Z"
    )
)
@example("HospitalABC_VisitPay_Visit_20211201_223357.txt")
@example("HospitalABC_VisitPay_Visit_[20211201_223357].txt")
@example("HospitalABC_VisitPay_Visit_[20211201_223357.txt")
@example("HospitalABC_VisitPay_Visit_20210229_000000.txt")
def test_names(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    """A name is one of the feed exactly when it is built of its parts and its time exists."""
    folder = tmp_path_factory.mktemp("names")
    (folder / name).touch()
    landed = scan(folder, "HospitalABC").files
    found = [(file.entity, file.file_datetime) for file in landed]
    expected = []
    for entity in reference.COLUMNS:
        for before, after in ("", ""), ("[", "]"):
            start, end = f"HospitalABC_VisitPay_{entity}_{before}", f"{after}.txt"
            moment = name.removeprefix(start).removesuffix(end)
            if name == start + moment + end and len(moment) == 15:
                with suppress(ValueError):
                    expected.append((entity, datetime.strptime(moment + "Z", "%Y%m%d_%H%M%S%z")))
    assert found == expected
