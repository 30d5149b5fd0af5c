"""Writes the JSON documents (`documents`): one function a document."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from visitpay.cli import documents
from visitpay.cli.documents import FORMAT
from visitpay.text import iso
from visitpay.vocabulary import Health, RunStatus

if TYPE_CHECKING:
    from visitpay.doctor import Examined
    from visitpay.landing.place import Landing
    from visitpay.ledger.files import Counts, Entry
    from visitpay.ledger.refused import Refusal
    from visitpay.ledger.runs import Run, RunInFull
    from visitpay.loading.types import FileReport, RunReport
    from visitpay.loading.validate import CheckedFile, Totals
    from visitpay.migrations.migrate import Standing
    from visitpay.quality.balances import Comparison, Reconciliation
    from visitpay.quality.checks import Finding, OddVisit
    from visitpay.rejects.export import ExportedFile
    from visitpay.rejects.money import MoneySums, QuarantinedMoney
    from visitpay.rejects.queries import Reject
    from visitpay.reporting.explain import Balance, CameSoFar, DeliveryRow, Explained, Reference
    from visitpay.reporting.guarantor import Guarantor
    from visitpay.reporting.search import Search
    from visitpay.reporting.status import FeedStatus
    from visitpay.settings import Shown
    from visitpay.verdict.problems import CurrentProblem
    from visitpay.verdict.verdict import Judged, Verdict


def dumps(document: Mapping[str, object]) -> str:
    """Return a document as JSON, ASCII only: times as `iso` writes them, money as text."""
    return json.dumps(document, indent=2, default=_plain)


def _plain(value: object) -> object:
    return iso(value) if isinstance(value, datetime) else str(value)


def error(status: str, message: str) -> documents.ErrorDocument:
    """Return the document of a command that failed, or was interrupted."""
    return {"format": FORMAT, "status": status, "error": message}


def round_of_hospitals(
    status: str, hospitals: Mapping[str, Mapping[str, object]]
) -> documents.HospitalsDocument:
    """Return the document of a command for all hospitals, with what it printed for each."""
    return {"format": FORMAT, "status": status, "hospitals": hospitals}


def migrate(
    found: "Standing", done: Sequence[str], *, attention: bool
) -> documents.MigrateDocument:
    """Return the document of how a schema stands, after what was done."""
    return {
        "format": FORMAT,
        "status": _verdict(attention=attention),
        "database": found.database,
        "current": found.current,
        "newer": found.newer,
        "pending": [
            {"revision": each.revision, "title": each.title, "is_additive": each.is_additive}
            for each in found.pending
        ],
        "done": list(done),
    }


def _verdict(*, attention: bool) -> RunStatus:
    """Return `attention` if something needs a person, else `ok`."""
    return RunStatus.ATTENTION if attention else RunStatus.OK


_STATUS = {
    Health.WELL: "ok",
    Health.NEEDS_PERSON: "attention",
    Health.UNKNOWN: "unknown",
}


def _verdict_row(verdict: "Verdict") -> documents.VerdictRow:
    return {
        "state": verdict.state,
        "since": verdict.since,
        "loaded_until": verdict.loaded_until,
        "new": len(verdict.new),
        "known": len(verdict.known),
        "problems": list(map(_problem, verdict.problems)),
    }


def _problem(problem: "Judged") -> documents.ProblemRow:
    word = problem.acknowledged
    return {
        "kind": problem.kind,
        "subject": problem.subject,
        "size": problem.size,
        "message": problem.message,
        "command": problem.command,
        "since": problem.since,
        "is_new": problem.is_new,
        "acknowledged": word and {"why": word.why, "who": word.who, "made_at": word.made_at},
    }


def acknowledged(
    problems: "Iterable[CurrentProblem]", undone: int
) -> documents.AcknowledgeDocument:
    """Return the document of problems that were acknowledged, or no longer are."""
    rows: list[documents.ChosenProblem] = [
        {
            "kind": problem.kind,
            "subject": problem.subject,
            "size": problem.size,
            "message": problem.message,
        }
        for problem in problems
    ]
    return {"format": FORMAT, "chosen": rows, "undone": undone}


def load(report: "RunReport") -> documents.LoadDocument:
    """Return the document of a run."""
    return {
        "format": FORMAT,
        "run_id": report.run_id,
        "status": report.status,
        "dry_run": report.dry_run,
        "checkpoint": report.checkpoint,
        "files": [_file(loaded) for loaded in report.files],
        "files_again": list(report.files_again),
        "files_held": list(report.files_held),
        "files_waiting": list(report.files_waiting),
        "unrecognised": list(report.unrecognised),
        "why_unrecognised": dict(report.unrecognised),
        "near_misses": list(report.near_misses),
        "rejects_open": report.rejects_open,
        "rejects_resolved": report.rejects_resolved,
    }


def _file(report: "FileReport") -> documents.File:
    """Return what a run says of a file."""
    return {
        "name": report.file.name,
        "entity": report.file.entity,
        "status": report.status,
        **_counts(report.counts),
        "error": report.error,
    }


def _counts(counts: "Counts") -> documents.RowCounts:
    return {
        "rows_read": counts.read,
        "inserted": counts.inserted,
        "updated": counts.updated,
        "unchanged": counts.unchanged,
        "stale": counts.stale,
        "superseded": counts.superseded,
        "rejected": counts.rejected,
    }


def status(feed: "FeedStatus") -> documents.StatusDocument:
    """Return the document of the feed's status."""
    return {
        "format": FORMAT,
        "status": _STATUS[feed.verdict.state],
        "summary": feed.summary,
        "verdict": _verdict_row(feed.verdict),
        "checkpoint": feed.checkpoint,
        "fed_until": feed.fed_until,
        "last_run": feed.last_run and _last_run(feed.last_run, died=feed.run_died),
        "files_waiting": list(feed.files_waiting),
        "files_failed": list(feed.files_failed),
        "files_held": list(feed.files_held),
        "files_changing": list(feed.files_changing),
        "unrecognised": list(feed.unrecognised),
        "why_unrecognised": dict(feed.unrecognised),
        "near_misses": list(feed.near_misses),
        "rejects_open": feed.rejects_open,
        "entities": [
            {"entity": entity.entity, "loaded": entity.files, "newest": entity.newest}
            for entity in feed.entities
        ],
        "balances": _compared(feed.compared) if feed.compared else None,
        "findings": list(map(_finding, feed.findings)),
    }


def _compared(comparison: "Comparison | Reconciliation") -> documents.Compared:
    return {
        "compared_at": comparison.compared_at,
        "compared": comparison.compared,
        "different": comparison.different,
    }


def _last_run(run: "Run", *, died: bool) -> documents.LastRun:
    return {
        "run_id": run.id,
        "status": run.status,
        "died": died,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "version": run.version,
        "host": run.host,
        "loaded": run.files_loaded,
        "failed": run.files_failed,
        **_counts(run.counts),
        "rejects_resolved": run.rejects_resolved,
    }


def runs(
    found: "Iterable[Run]", total: int, newest: "RunInFull | None", refusal: "Refusal | None"
) -> documents.RunsDocument:
    """Return the document of runs; `newest` is the newest of all, which may be under way."""
    full = {newest.run.id: newest} if newest else {}
    return {
        "format": FORMAT,
        "runs": [
            _run(full[run.id].run, died=full[run.id].died)
            if run.id in full
            else _run(run, died=False)
            for run in found
        ],
        "total": total,
        "refusal": _refusal(refusal) if refusal else None,
    }


def run(found: "RunInFull") -> documents.RunDocument:
    """Return the document of one run."""
    return {
        "format": FORMAT,
        "run": _run(found.run, died=found.died),
        "files_done": found.done.files,
        "bytes_done": found.done.bytes,
        "percent": found.percent,
        "tried_again": found.tried_again,
        "files": [
            {
                "name": entry.name,
                "entity": entry.entity,
                "status": entry.status,
                **_counts(entry.counts),
                "error": entry.error,
            }
            for entry in found.files
        ],
        "total": found.done.files,
    }


def _run(run: "Run", *, died: bool) -> documents.RunRow:
    return {
        **_last_run(run, died=died),
        "seconds": None if run.duration is None else run.duration.total_seconds(),
        "rejects_tolerated": run.rejects_tolerated,
        "error": run.error,
        "landing": run.landing,
        "process_id": run.process_id,
        "files_planned": run.files_planned,
        "bytes_planned": run.bytes_planned,
    }


def _refusal(refusal: "Refusal") -> documents.RefusalRow:
    return {
        "refused_at": refusal.at,
        "since": refusal.since,
        "times": refusal.times,
        "error": refusal.reason,
        "exit_status": refusal.exit_status,
        "host": refusal.host,
        "process_id": refusal.process_id,
        "version": refusal.version,
    }


def _finding(finding: "Finding") -> documents.FindingRow:
    return {
        "check": finding.check,
        "subject": finding.subject,
        "count": finding.count,
        "message": finding.message,
    }


def files(
    entries: "Sequence[Entry]", failed: Collection[str], total: int
) -> documents.FilesDocument:
    """Return the document of the ledger; `failed` as `Entry.is_past` takes it."""
    return {
        "format": FORMAT,
        "files": [_entry(entry, is_past=entry.is_past(failed)) for entry in entries],
        "total": total,
    }


def _entry(entry: "Entry", *, is_past: bool) -> documents.LedgerFile:
    return {
        "id": entry.id,
        "run_id": entry.run_id,
        "name": entry.name,
        "hospital": entry.hospital,
        "entity": entry.entity,
        "file_datetime": entry.file_datetime,
        "status": entry.status,
        "is_past": is_past,
        **_counts(entry.counts),
        "error": entry.error,
        "loaded_at": entry.loaded_at,
        "tried_at": entry.tried_at,
        "size_bytes": entry.size_bytes,
        "sha256": entry.sha256,
        "header": entry.header,
        "columns_unknown": json.loads(entry.columns_unknown or "[]"),
        "is_resubmission": entry.is_resubmission,
        "trailer_rows": entry.trailer_rows,
        "conflicting": entry.rows_conflicting,
        "withdrawn": entry.rows_withdrawn,
    }


def rejects(
    rows: "Sequence[Reject]", reasons: Mapping[str, int], *, raw: bool
) -> documents.RejectsDocument:
    """Return the document of rejected rows, with what they hold if `raw`."""
    return {
        "format": FORMAT,
        "rejects": list(map(_raw_reject, rows)) if raw else list(map(_reject, rows)),
        "reasons": dict(reasons),
        "total": sum(reasons.values()),
    }


def _reject(row: "Reject") -> documents.RejectRow:
    return {
        "id": row.id,
        "file": row.file,
        "line": row.line,
        "entity": row.entity,
        "reason": row.reason,
        "column": row.column,
        "status": row.status,
        "created_at": row.created_at,
        "closed_at": row.closed_at,
        "why": row.why,
        "file_id": row.file_id,
    }


def _raw_reject(row: "Reject") -> documents.RawReject:
    return {**_reject(row), "key": row.key, "raw": row.raw}


def money(sums: "MoneySums") -> documents.MoneyDocument:
    """Return the document of the money of rejected rows."""
    from visitpay.rejects.money import TYPES

    return {
        "format": FORMAT,
        "by_type": [_money(entity.__name__, sums.total(entity)) for entity in TYPES],
        "by_reason": [
            {**_money(each.entity, each), "reason": each.reason} for each in sums.by_reason
        ],
        "by_visit": [
            {**_money(each.entity, each), "visit_identifier": each.visit} for each in sums.by_visit
        ],
        "total": sums.visits,
    }


def _money(entity: str, money: "QuarantinedMoney") -> documents.QuarantinedMoney:
    return {
        "entity": entity,
        "rows": money.rows,
        "amount": money.amount,
        "unreadable": money.unreadable,
        "repeated": money.repeated,
    }


def exported(written: "Iterable[ExportedFile]") -> documents.ExportDocument:
    """Return the document of exported rejects."""
    rows: list[documents.WrittenFile] = [
        {"path": str(export.path), "rows": export.rows, "refused": export.refused}
        for export in written
    ]
    return {"format": FORMAT, "written": rows}


def dismissed(ids: Sequence[int], *, dry_run: bool) -> documents.DismissDocument:
    """Return the document of dismissed rejects."""
    return {"format": FORMAT, "dismissed": list(ids), "total": len(ids), "dry_run": dry_run}


def retried(resolved: int, still_open: int) -> documents.RetryDocument:
    """Return the document of rejects that were tried again."""
    return {"format": FORMAT, "rejects_resolved": resolved, "rejects_open": still_open}


def explain(found: "Explained") -> documents.ExplainDocument:
    """Return the document of all that is known of an identifier."""
    return {
        "format": FORMAT,
        "row": dict(found.row) if found.row else None,
        "source": found.source and _delivery(found.source),
        "line": found.line,
        "deliveries": list(map(_delivery, found.deliveries)),
        "withdrawn_by": found.withdrawn_by and _delivery(found.withdrawn_by),
        "rejects": list(map(_raw_reject, found.rejects)),
        "rejects_total": found.rejects_total,
        "waits_for": _reference(found.waits_for) if found.waits_for else None,
        "balance": _balance(found.balance) if found.balance else None,
        "rejected_transactions": list(map(_raw_reject, found.rejected_transactions)),
        "rejected_transactions_total": found.rejected_transactions_total,
        "search": _search(found.search) if found.search else None,
        "came": _came(found.came),
    }


def guarantor(found: "Guarantor") -> documents.GuarantorDocument:
    """Return the document of all that is known of a guarantor."""
    return {
        "format": FORMAT,
        "visits_of": [
            {
                "visit_identifier": visit.visit_identifier,
                "admit_date": str(visit.admit_date),
                "discharge_date": str(visit.discharge_date) if visit.discharge_date else None,
                "visit_balance": visit.visit_balance,
                "transactions": visit.transactions,
                "transactions_total": visit.total,
                "differs": visit.differs,
            }
            for visit in found.visits
        ],
        "visits_total": found.visits_total,
        "visit_balance": found.visit_balance,
        "transactions_total": found.transactions_total,
        "rejects": list(map(_raw_reject, found.rejects)),
        "rejects_total": found.rejects_total,
        "search": _search(found.search) if found.search else None,
        "came": _came(found.came),
    }


def _search(search: "Search") -> documents.SearchDocument:
    rows: list[documents.SightingRow] = [
        {
            "file": seen.file,
            "line": seen.line,
            "status": seen.status,
            "error": seen.error,
            "column": seen.column,
            "reason": seen.reason,
        }
        for seen in search.sightings
    ]
    unread = list(search.unread)
    return {"sightings": rows, "total": search.total, "unread": unread, "error": search.error}


def _came(came: "CameSoFar") -> documents.CameDocument:
    return {"loaded": came.files, "newest_name": came.newest}


def _reference(reference: "Reference") -> documents.ReferenceRow:
    return {"entity": reference.entity, "key": reference.key}


def _balance(balance: "Balance") -> documents.BalanceDocument:
    return {
        "visit_identifier": balance.visit_identifier,
        "visit_balance": balance.visit_balance,
        "transactions": balance.transactions,
        "transactions_total": balance.total,
        "differs": balance.differs,
    }


def _delivery(row: "DeliveryRow") -> documents.DeliveryDocument:
    return {
        "id": row.id,
        "name": row.name,
        "file_datetime": row.file_datetime,
        "loaded_at": row.loaded_at,
        "replaced_by": row.replaced_by,
    }


def reconcile(
    compared: "Reconciliation", findings: "Iterable[Finding]"
) -> documents.ReconcileDocument:
    """Return the document of a comparison of balances."""
    rows = list(map(_finding, findings))
    return {
        "format": FORMAT,
        "status": _verdict(attention=bool(rows)),
        "balances": {
            **_compared(compared),
            "visit_balance": compared.visit_balance,
            "transactions_total": compared.transactions_total,
            "new": compared.new,
            "changed": compared.changed,
            "cleared": compared.cleared,
        },
        "findings": rows,
    }


def reconcile_raw(
    compared: "Reconciliation",
    findings: "Iterable[Finding]",
    visits: "Iterable[OddVisit]",
    total: int,
) -> documents.RawReconcileDocument:
    """Return the same with some of the visits, of `total`."""
    rows: list[documents.OddVisitRow] = [
        {
            "check": visit.check,
            "visit_identifier": visit.visit_identifier,
            "visit_balance": visit.visit_balance,
            "transactions_total": visit.transactions_total,
            "found_at": visit.found_at,
        }
        for visit in visits
    ]
    return {**reconcile(compared, findings), "visits": rows, "total": total}


def report(feed: "FeedStatus", path: Path) -> documents.ReportDocument:
    """Return the document of a page that was written."""
    return {
        "format": FORMAT,
        "status": _STATUS[feed.verdict.state],
        "summary": feed.summary,
        "path": str(path),
    }


def check(
    checked: "Iterable[CheckedFile]", totals: "Totals", landed: "Landing", *, attention: bool
) -> documents.CheckDocument:
    """Return the document of files that were read without a database."""
    rows: list[documents.CheckedFile] = [
        {
            "name": result.file.name,
            "entity": result.file.entity,
            "rows_read": result.rows_read,
            "rejected": result.rejected,
            "reasons": dict(result.reasons),
            "error": result.error,
        }
        for result in checked
    ]
    return {
        "format": FORMAT,
        "status": _verdict(attention=attention),
        "files": rows,
        "total": totals.files,
        "unusable": totals.unusable,
        "rows_read": totals.rows_read,
        "rejected": totals.reasons.total(),
        "reasons": dict(totals.reasons),
        "unrecognised": list(landed.unrecognised),
        "why_unrecognised": dict(landed.unrecognised),
        "near_misses": list(landed.near_misses),
    }


def doctor(examined: "Sequence[Examined]") -> documents.DoctorDocument:
    """Return the document of all that the doctor looked at."""
    states = {thing.state for thing in examined}
    return {
        "format": FORMAT,
        "status": next(state for state in ("error", "warning", "ok") if state in states),
        "examined": [
            {
                "name": thing.name,
                "status": thing.state,
                "message": thing.seen,
                "remedy": thing.remedy,
                "command": thing.command,
            }
            for thing in examined
        ],
    }


def config(file: str | None, found: "Mapping[Shown, list[str]]") -> documents.ConfigDocument:
    """Return the document of what is set."""
    return {
        "format": FORMAT,
        "file": file,
        "settings": [
            {
                "name": one.name,
                "value": one.value,
                "is_secret": one.is_secret,
                "origin": one.origin,
                "commands": commands,
            }
            for one, commands in found.items()
        ],
    }
