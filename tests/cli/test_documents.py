"""The JSON documents hold the keys that their types say, of the types they say, and no others."""

import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from itertools import chain
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints, is_typeddict

import pytest

from tests.support.command import Visitpay
from tests.support.feed import Feed
from tools.blocks.json_documents import keys_of
from visitpay.cli import documents
from visitpay.models import Visit

MOMENT = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
MONEY = re.compile(r"-?[0-9]+\.[0-9]{2}")

COMMANDS: Sequence[tuple[str, type[documents.Document]]] = (
    ("load {landing}", documents.LoadDocument),
    ("load {landing} --dry-run", documents.LoadDocument),
    ("status {landing}", documents.StatusDocument),
    ("files {landing}", documents.FilesDocument),
    ("rejects list", documents.RejectsDocument),
    ("rejects list --raw", documents.RejectsDocument),
    ("rejects list --sum", documents.MoneyDocument),
    ("rejects export {folder}/mended", documents.ExportDocument),
    ("rejects dismiss 1 --why x", documents.DismissDocument),
    ("rejects retry", documents.RetryDocument),
    ("reconcile", documents.ReconcileDocument),
    ("reconcile --raw", documents.RawReconcileDocument),
    ("status {landing}", documents.StatusDocument),
    ("explain visit 321000001", documents.ExplainDocument),
    ("explain transaction 54321000001", documents.ExplainDocument),
    ("explain visit 7", documents.ExplainDocument),
    ("explain guarantor 9870001", documents.GuarantorDocument),
    ("report {landing} --output {folder}/report.html", documents.ReportDocument),
    ("check {landing}", documents.CheckDocument),
    ("doctor {landing}", documents.DoctorDocument),
    ("config", documents.ConfigDocument),
    ("runs last", documents.RunDocument),
    ("load {folder}/nowhere", documents.ErrorDocument),
    ("runs", documents.RunsDocument),
    ("load --wait many", documents.ErrorDocument),
)


def disagreements(value: Any, hint: Any, where: str = "") -> list[str]:
    """Return where a value is not what a type says, with every key of every document."""
    arguments = get_args(hint)
    if isinstance(hint, UnionType):
        found = [disagreements(value, option, where) for option in arguments]
        return min(found, key=len)
    if is_typeddict(hint):
        keys = get_type_hints(hint)
        if not isinstance(value, dict) or value.keys() != keys.keys():
            return [f"{where}: keys {value} are not {list(keys)}"]
        return [
            each for key in keys for each in disagreements(value[key], keys[key], f"{where}.{key}")
        ]
    if get_origin(hint) is list and isinstance(value, list):
        found = [disagreements(row, arguments[0], f"{where}[]") for row in value]
        return list(chain.from_iterable(found))
    if get_origin(hint) is dict and isinstance(value, dict):
        found = [disagreements(value[key], arguments[1], f"{where}[{key}]") for key in value]
        return list(chain.from_iterable(found))
    if hint is datetime:
        agrees = isinstance(value, str) and MOMENT.fullmatch(value) is not None
    elif hint is Decimal:
        agrees = isinstance(value, str) and MONEY.fullmatch(value) is not None
    else:
        agrees = hint is object or type(value) is hint
    return [] if agrees else [f"{where}: {value!r} is no {hint}"]


def test_keys(feed: Feed, visitpay: Visitpay, tmp_path: Path) -> None:
    """Each command's document has its keys, no more and no less, after loads of a dirty feed."""
    visitpay("sample", feed.landing, "--visits", "200", "--dirt", "8")
    feed.deliver_bytes(Visit, b"", at="20211209_223005")
    (feed.landing / "my notes").touch()
    for command, document in COMMANDS:
        text = command.format(landing=feed.landing, folder=tmp_path)
        found = visitpay(*text.split(), "--json").document
        assert disagreements(found, document) == [], text
        assert found["format"] == documents.FORMAT
    raw = visitpay("rejects", "list", "--raw", "--json").document["rejects"]
    bare = visitpay("rejects", "list", "--json").document["rejects"]
    assert disagreements(raw, list[documents.RawReject]) == []
    assert disagreements(bare, list[documents.RejectRow]) == []


def test_before_anything_was_loaded(feed: Feed, visitpay: Visitpay) -> None:
    """So they have on an empty database, where much is null."""
    for command, document in COMMANDS[2:5]:
        text = command.format(landing=feed.landing)
        assert disagreements(visitpay(*text.split(), "--json").document, document) == []


@pytest.mark.parametrize(
    ("document", "value", "wrong"),
    [
        (documents.RetryDocument, {"format": 1, "rejects_open": 1, "rejects_resolved": 0}, 0),
        (documents.RetryDocument, {"format": 1, "rejects_open": 1}, 1),
        (documents.RetryDocument, {"format": True, "rejects_open": "1", "rejects_resolved": 0}, 2),
        (documents.Compared, {"compared_at": "today", "compared": 1, "different": 0}, 1),
    ],
)
def test_disagreements(document: type, value: object, wrong: int) -> None:
    """A key too few, or a value of another type, is found."""
    assert len(disagreements(value, document)) == wrong


def test_one_meaning() -> None:
    """A key is of one type in all documents; in some it may be null, or say more."""
    kinds: dict[str, set[Any]] = {}
    for part in filter(is_typeddict, vars(documents).values()):
        for key, hint in get_type_hints(part).items():
            present = [kind for kind in get_args(hint) or (hint,) if kind is not type(None)]
            kinds.setdefault(key, set()).add(present[0] if isinstance(hint, UnionType) else hint)
    assert {key for key, hints in kinds.items() if len(hints) > 1} == {
        "files",
        "balances",
        "rejects",
    }


def test_meanings() -> None:
    """Each key has a meaning, which docs/json.md shows."""
    assert all(meaning for part in documents.DOCUMENTS for _, _, meaning in keys_of(part))
