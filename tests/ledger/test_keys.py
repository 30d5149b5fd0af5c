"""The packing of delivered keys, and the forms in which older code packed them."""

import io
from collections.abc import Callable

import polars as pl
import pytest

from visitpay.ledger.keys import pack, unpack

KEYS = pl.Series([-(2**63), -5, 0, 1, 1000, 1001, 2**40, 2**63 - 1])


def pack_as_file(keys: pl.Series) -> bytes:
    """Pack keys as the first code did."""
    packed = io.BytesIO()
    keys.diff().fill_null(keys.first()).to_frame("keys").write_ipc(packed, compression="zstd")
    return packed.getvalue()


def pack_shifted_as_file(keys: pl.Series) -> bytes:
    """Pack keys as the code after that did."""
    packed = io.BytesIO()
    differences = keys - keys.shift(fill_value=0)
    differences.to_frame("keys").write_ipc(packed, compression="zstd")
    return packed.getvalue()


@pytest.mark.parametrize("form", [pack, pack_as_file, pack_shifted_as_file])
@pytest.mark.parametrize("count", [1, 2, len(KEYS)])
def test_each_form_is_read(form: Callable[[pl.Series], bytes], count: int) -> None:
    """What any code has packed is read, whatever the keys are."""
    keys = KEYS.head(count)
    assert unpack(form(keys)).to_list() == keys.to_list()
