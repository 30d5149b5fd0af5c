"""The JSON documents that `--json` prints: each key, its type and its meaning.

A key means the same in every document. docs/json.md is made from these types (`make docs`).
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, TypedDict

FORMAT = 1
"""The version of the documents; it rises when a key goes or changes its meaning."""


class RowCounts(TypedDict):
    """What became of the rows of a file, or of a run."""

    rows_read: Annotated[int, "rows that are not blank; the other counts add up to it"]
    inserted: Annotated[int, "rows with a new key"]
    updated: Annotated[int, "rows that changed the values of their key"]
    unchanged: Annotated[int, "rows with the values that were there"]
    stale: Annotated[
        int, "rows not written, because a newer delivery had already brought their key"
    ]
    superseded: Annotated[int, "rows replaced by a later line of the same file with the same key"]
    rejected: Annotated[int, "rows in the quarantine"]


class File(RowCounts):
    """A file that a run dealt with."""

    name: Annotated[str, "its name"]
    entity: Annotated[str, "a record type, such as Visit"]
    status: Annotated[str, "loaded, failed, held, or changed: left for the next run"]
    error: Annotated[str | None, "why it was not loaded"]


class LedgerFile(File):
    """An entry of the ledger: one delivery of one file."""

    status: Annotated[str, "loaded, failed or held"]
    id: Annotated[int, "its number in the ledger"]
    run_id: Annotated[int, "the run that loaded it or tried it last"]
    hospital: Annotated[str, "the name that its name begins with"]
    file_datetime: Annotated[datetime, "the time in its name"]
    loaded_at: Annotated[datetime | None, "when it was loaded"]
    tried_at: Annotated[datetime, "start of the run that loaded it or tried it last"]
    is_past: Annotated[
        bool, "whether it failed, or was held, and its file is gone or has changed since"
    ]
    size_bytes: Annotated[int, "its size"]
    sha256: Annotated[str | None, "the hash of its content; null if it was not loaded"]
    header: Annotated[
        str | None, "its first line, up to its last column; null if it was not loaded"
    ]
    columns_unknown: Annotated[
        list[str], "names of its columns that the model did not have when it was loaded"
    ]
    is_resubmission: Annotated[bool, "whether it holds mended rejects"]
    trailer_rows: Annotated[int | None, "the rows that its trailer says there are"]
    conflicting: Annotated[int, "superseded rows whose values differ from the later row's"]
    withdrawn: Annotated[
        int, "keys that earlier deliveries of this name had and that are missing here"
    ]


class CheckedFile(TypedDict):
    """A file that was read without a database."""

    name: Annotated[str, "its name"]
    entity: Annotated[str, "a record type, such as Visit"]
    rows_read: Annotated[int, "rows that are not blank"]
    rejected: Annotated[int, "rows that would be rejected, without those that miss a reference"]
    reasons: Annotated[dict[str, int], "rejected rows by reason"]
    error: Annotated[str | None, "why it cannot be used, as far as no database is needed to tell"]


class LastRun(RowCounts):
    """The last run of `visitpay load`."""

    run_id: Annotated[int, "its number"]
    status: Annotated[str, "running, ok, attention, failed or interrupted"]
    died: Annotated[bool, "true if the ledger still says `running` but no load is running"]
    started_at: Annotated[datetime, "when it began"]
    finished_at: Annotated[datetime | None, "when it ended; null while it runs, or if unknown"]
    version: Annotated[str, "the version of visitpay"]
    host: Annotated[str, "the machine that it ran on"]
    loaded: Annotated[int, "files that it loaded; known once it ends, as are the other counts"]
    failed: Annotated[int, "files that failed or are held"]
    rejects_resolved: Annotated[
        int, "rejects that were loaded, because the row that they refer to has come"
    ]


class RunRow(LastRun):
    """A run of `visitpay load`."""

    seconds: Annotated[float | None, "how long it took; null while it runs, or if unknown"]
    rejects_tolerated: Annotated[
        bool, "whether it ended with no more rejected rows than --max-rejects allowed"
    ]
    error: Annotated[str | None, "what ended it early; null if nothing did, or if it was killed"]
    landing: Annotated[str | None, "the landing directory that it read; null if unknown"]
    process_id: Annotated[int | None, "its process on that machine; null if unknown"]
    files_planned: Annotated[int, "files that it set out to load"]
    bytes_planned: Annotated[int, "their size"]


class RefusalRow(TypedDict):
    """A load that could not begin."""

    refused_at: Annotated[datetime, "when"]
    since: Annotated[datetime, "when the first one could not, since a load last began"]
    times: Annotated[int, "how many could not since then"]
    error: Annotated[str, "why, and what to do"]
    exit_status: Annotated[int, "its exit status"]
    host: Annotated[str, "the machine that it ran on"]
    process_id: Annotated[int, "its process on that machine"]
    version: Annotated[str, "the version of visitpay"]


class LoadedType(TypedDict):
    """An entity of which files were loaded."""

    entity: Annotated[str, "a record type, such as Visit"]
    loaded: Annotated[int, "files that were loaded"]
    newest: Annotated[datetime | None, "the newest time in their names, without mended rejects"]


class FindingRow(TypedDict):
    """Something that a person should look into."""

    check: Annotated[str, "which check found it"]
    subject: Annotated[str, "the file or the day; empty where all visits were looked at"]
    count: Annotated[int, "rows, files, visits or days"]
    message: Annotated[str, "what it is"]


class Compared(TypedDict):
    """The last comparison of balances with transactions."""

    compared_at: Annotated[datetime, "when"]
    compared: Annotated[int, "visits that have a balance"]
    different: Annotated[int, "visits whose balance is not the sum of their transactions"]


class Balances(Compared):
    """A comparison, and what changed since the one before."""

    visit_balance: Annotated[Decimal, "the sum of the balances that differ"]
    transactions_total: Annotated[Decimal, "the sum of the transactions of these visits"]
    new: Annotated[int, "visits that did not differ before"]
    changed: Annotated[int, "visits that differed before by other amounts"]
    cleared: Annotated[int, "visits that no longer differ"]


class OddVisitRow(TypedDict):
    """A visit that a check found: data of a patient."""

    check: Annotated[str, "which check found it"]
    visit_identifier: Annotated[int, "the visit"]
    visit_balance: Annotated[Decimal | None, "its balance"]
    transactions_total: Annotated[Decimal | None, "the sum of its transactions, where it differs"]
    found_at: Annotated[datetime | None, "when the difference was found"]


class RejectRow(TypedDict):
    """A row of the quarantine, without what it holds."""

    id: Annotated[int, "its number"]
    file: Annotated[str, "the name of the file that it came in"]
    line: Annotated[int, "its line there; the header is line 1"]
    entity: Annotated[str, "a record type, such as Visit"]
    reason: Annotated[str, "why it was rejected"]
    column: Annotated[str | None, "the header of the column at fault"]
    status: Annotated[str, "open, resolved, superseded or dismissed"]
    created_at: Annotated[datetime, "when it was rejected"]
    closed_at: Annotated[datetime | None, "when it was resolved, superseded or dismissed"]
    why: Annotated[str | None, "why a person dismissed it"]
    file_id: Annotated[int, "the delivery that it came with, by its number in the ledger"]


class RawReject(RejectRow):
    """A row of the quarantine with what it holds: data of a patient."""

    key: Annotated[int | None, "its identifier, if it could be read"]
    raw: Annotated[
        str, "the line as it came; bytes that are no text are written `\\xff`, long lines cut"
    ]


class QuarantinedMoney(TypedDict):
    """The money of some rejected rows: amounts of transactions, or balances of visits."""

    entity: Annotated[str, "a record type, such as Visit"]
    rows: Annotated[int, "rejected rows"]
    amount: Annotated[Decimal, "the sum of their money, each transaction, or visit, once"]
    unreadable: Annotated[int, "rows of which it cannot be read"]
    repeated: Annotated[int, "rows that are not counted: what they hold came again later"]


class MoneyOfReason(QuarantinedMoney):
    """The money of the rows with one reason."""

    reason: Annotated[str, "why they were rejected"]


class MoneyOfVisit(QuarantinedMoney):
    """The money of the rows of one visit: data of a patient."""

    visit_identifier: Annotated[int | None, "the visit; null if it cannot be read"]


class DeliveryDocument(TypedDict):
    """A delivery of a file."""

    id: Annotated[int, "its number in the ledger"]
    name: Annotated[str, "the name of the file"]
    file_datetime: Annotated[datetime, "the time in its name"]
    loaded_at: Annotated[datetime, "when it was loaded"]
    replaced_by: Annotated[
        int | None, "the next delivery of the same file name, by its number in the ledger"
    ]


class ReferenceRow(TypedDict):
    """A row that another refers to."""

    entity: Annotated[str, "a record type, such as Visit"]
    key: Annotated[int, "its identifier"]


class SightingRow(TypedDict):
    """A line of a file that is not loaded."""

    file: Annotated[str, "the name of the file"]
    line: Annotated[int, "its line there; the header is line 1"]
    status: Annotated[str, "waits, failed or held"]
    error: Annotated[str | None, "why the file failed or is held"]
    column: Annotated[
        str | None, "the header of the column; null if the columns cannot be told apart"
    ]
    reason: Annotated[str | None, "why a load would reject the row"]


class SearchDocument(TypedDict):
    """A search of the files that are not loaded."""

    sightings: Annotated[list[SightingRow], "lines that hold the identifier, the first 20"]
    total: Annotated[int, "how many there are in all"]
    unread: Annotated[list[str], "names of files that were not searched, or not to their end"]
    error: Annotated[str | None, "why the landing directory could not be searched"]


class CameDocument(TypedDict):
    """The files of a type that were loaded."""

    loaded: Annotated[int, "files that were loaded"]
    newest_name: Annotated[str | None, "the name of the newest"]


class GuarantorVisitRow(TypedDict):
    """A visit of a guarantor."""

    visit_identifier: Annotated[int, "the visit"]
    admit_date: Annotated[str, "the day on which the patient was admitted"]
    discharge_date: Annotated[str | None, "the day on which the patient was discharged"]
    visit_balance: Annotated[Decimal | None, "its balance"]
    transactions: Annotated[int, "how many transactions it has"]
    transactions_total: Annotated[Decimal, "their sum"]
    differs: Annotated[bool, "whether the two are not the same"]


class BalanceDocument(TypedDict):
    """The balance of a visit beside its transactions."""

    visit_identifier: Annotated[int, "the visit"]
    visit_balance: Annotated[Decimal | None, "its balance"]
    transactions: Annotated[int, "how many transactions it has"]
    transactions_total: Annotated[Decimal, "their sum"]
    differs: Annotated[bool, "whether the two are not the same"]


class WrittenFile(TypedDict):
    """A file that was written."""

    path: Annotated[str, "where"]
    rows: Annotated[int, "rejected rows in it"]
    refused: Annotated[int, "files that failed or are held that it names, for the hospital"]


class ExaminedRow(TypedDict):
    """One thing that the doctor looked at."""

    name: Annotated[str, "what was looked at"]
    status: Annotated[str, "ok, warning or error"]
    message: Annotated[str, "what was seen"]
    remedy: Annotated[str, "what to do; empty where it is ok, or where the message says it"]
    command: Annotated[str, "the command that helps, to be run as it stands; empty for none"]


class Document(TypedDict):
    """What every document has."""

    format: Annotated[int, f"the version of the format: {FORMAT}"]


class HospitalsDocument(Document):
    """A command with `--all`."""

    status: Annotated[str, "the worst of all; what was left to another load is ok"]
    hospitals: Annotated[
        Mapping[str, Mapping[str, object]], "what the command prints for each, by its name"
    ]


class PendingRevision(TypedDict):
    """A revision that is to be applied."""

    revision: Annotated[str, "its number"]
    title: Annotated[str, "what it does"]
    is_additive: Annotated[bool, "whether code that does not know it can load as before"]


class MigrateDocument(Document):
    """`visitpay migrate`."""

    status: Annotated[str, "ok or attention: with --check, something is to be done"]
    database: Annotated[str, "its URL, without the password"]
    current: Annotated[list[str], "the revisions where it is now"]
    newer: Annotated[list[str], "revisions that this visitpay does not know, and can work on"]
    pending: Annotated[list[PendingRevision], "what is to be applied"]
    done: Annotated[list[str], "what was done, in lines of words"]


class ErrorDocument(Document):
    """A command that could not do its work, instead of its own document."""

    status: Annotated[str, "failed, interrupted by a signal, or left to another load (`--all`)"]
    error: Annotated[str, "what happened, and what to do"]


class LoadDocument(Document):
    """`visitpay load`."""

    run_id: Annotated[int | None, "the number of the run; null with --dry-run"]
    status: Annotated[str, "ok or attention"]
    dry_run: Annotated[bool, "whether nothing was kept"]
    checkpoint: Annotated[
        datetime | None, "the newest time in the names of loaded files, without mended rejects"
    ]
    files: Annotated[list[File], "what became of each file that was tried"]
    files_again: Annotated[
        list[str], "names of the loaded files that were loaded before (--again, --again-since)"
    ]
    files_held: Annotated[
        list[str], "names of files that were not tried, because an earlier run held them"
    ]
    files_waiting: Annotated[
        list[str], "names of files left for the next run: they changed just now (--settle)"
    ]
    unrecognised: Annotated[list[str], "names that are not the feed's"]
    why_unrecognised: Annotated[
        dict[str, str], "the reason for each of them; empty if there is no special one"
    ]
    near_misses: Annotated[list[str], "those of them that are nearly right: a person must look"]
    rejects_open: Annotated[int, "rejects that are open, of all runs"]
    rejects_resolved: Annotated[
        int, "rejects that were loaded, because the row that they refer to has come"
    ]


class AcknowledgedRow(TypedDict):
    """A person's word that a problem is known."""

    why: Annotated[str, "why it may stay"]
    who: Annotated[str, "the account that said so"]
    made_at: Annotated[datetime, "when it was said"]


class ProblemRow(TypedDict):
    """Something that is wrong."""

    kind: Annotated[str, "a stable name, such as file_failed"]
    subject: Annotated[str, "what it is about, such as a file's name; empty if it is the feed"]
    size: Annotated[int, "how large it is, such as a number of rows"]
    message: Annotated[str, "what is wrong"]
    command: Annotated[str, "the command that helps, to be run as it stands"]
    since: Annotated[datetime | None, "since when; null if no load has recorded it yet"]
    is_new: Annotated[bool, "whether it began or grew in the last 24 hours, or is not recorded"]
    acknowledged: Annotated[
        AcknowledgedRow | None, "null if it needs a person: nobody knows of it, or it got worse"
    ]


class ChosenProblem(TypedDict):
    """A problem that was acknowledged."""

    kind: Annotated[str, "a stable name, such as file_failed"]
    subject: Annotated[str, "what it is about, such as a file's name; empty if it is the feed"]
    size: Annotated[int, "how large it is, such as a number of rows"]
    message: Annotated[str, "what is wrong"]


class VerdictRow(TypedDict):
    """Whether all is well."""

    state: Annotated[str, "well, needs a person or unknown"]
    since: Annotated[datetime | None, "since when"]
    loaded_until: Annotated[
        datetime | None, "up to when all is loaded: the oldest of the newest times of the entities"
    ]
    new: Annotated[int, "how many problems need a person and are new"]
    known: Annotated[int, "how many others need a person"]
    problems: Annotated[list[ProblemRow], "all that is wrong, the most urgent first"]


class StatusDocument(Document):
    """`visitpay status`."""

    status: Annotated[str, "ok, attention or unknown: the state of the verdict"]
    summary: Annotated[str, "the verdict, as one sentence for people"]
    verdict: Annotated[VerdictRow, "whether all is well, and what is wrong"]
    checkpoint: Annotated[
        datetime | None, "the newest time in the names of loaded files, without mended rejects"
    ]
    fed_until: Annotated[
        datetime | None, "like `checkpoint`, but files dated in the future do not count"
    ]
    last_run: Annotated[LastRun | None, "the last run"]
    files_waiting: Annotated[
        list[str], "names of files that are new, or changed since a run last tried them"
    ]
    files_failed: Annotated[list[str], "names of files that failed, or are held"]
    files_held: Annotated[list[str], "those of them that are held"]
    files_changing: Annotated[list[str], "names of files that changed in every run for a day"]
    unrecognised: Annotated[list[str], "names that are not the feed's"]
    why_unrecognised: Annotated[
        dict[str, str], "the reason for each of them; empty if there is no special one"
    ]
    near_misses: Annotated[list[str], "those of them that are nearly right: a person must look"]
    rejects_open: Annotated[int, "rejects that are open"]
    entities: Annotated[list[LoadedType], "what was loaded, by entity"]
    balances: Annotated[Compared | None, "the last comparison of balances"]
    findings: Annotated[list[FindingRow], "what a person should look into"]


class RunsDocument(Document):
    """`visitpay runs`."""

    runs: Annotated[list[RunRow], "runs, the newest first"]
    total: Annotated[int, "how many there are in all"]
    refusal: Annotated[RefusalRow | None, "the last load that could not begin, if none did since"]


class RunDocument(Document):
    """`visitpay runs ID`."""

    run: Annotated[RunRow, "the run"]
    files_done: Annotated[int, "files that were loaded, failed or are held so far"]
    bytes_done: Annotated[int, "their size"]
    percent: Annotated[int, "how much of `bytes_planned` that is"]
    tried_again: Annotated[
        int, "files of it that failed, or were held, and that a later run tried again"
    ]
    files: Annotated[list[File], "what came of each file, but for those; at most --limit"]
    total: Annotated[int, "how many there are in all"]


class FilesDocument(Document):
    """`visitpay files`."""

    files: Annotated[list[LedgerFile], "entries of the ledger, the newest first"]
    total: Annotated[int, "how many there are in all"]


class RejectsDocument(Document):
    """`visitpay rejects list`; with `--raw`: data of patients."""

    rejects: Annotated[
        list[RejectRow] | list[RawReject], "rejected rows, of the file that was loaded last first"
    ]
    reasons: Annotated[dict[str, int], "how many there are in all, by reason"]
    total: Annotated[int, "how many there are in all"]


class MoneyDocument(Document):
    """`visitpay rejects list --sum`: data of patients."""

    by_type: Annotated[list[QuarantinedMoney], "the money of all, by record type"]
    by_reason: Annotated[list[MoneyOfReason], "the same by reason"]
    by_visit: Annotated[
        list[MoneyOfVisit], "the same by visit: the largest amounts, at most --limit, or 10"
    ]
    total: Annotated[int, "how many there are in all"]


class ExportDocument(Document):
    """`visitpay rejects export`."""

    written: Annotated[list[WrittenFile], "the files"]


class DismissDocument(Document):
    """`visitpay rejects dismiss`."""

    dismissed: Annotated[list[int], "ids of the rejects, also with dry_run"]
    total: Annotated[int, "how many"]
    dry_run: Annotated[bool, "whether nothing was kept"]


class RetryDocument(Document):
    """`visitpay rejects retry`."""

    rejects_resolved: Annotated[
        int, "rejects that were loaded, because the row that they refer to has come"
    ]
    rejects_open: Annotated[int, "rejects that are open"]


class ExplainDocument(Document):
    """`visitpay explain`: data of a patient."""

    row: Annotated[dict[str, object] | None, "the row in its table, by column"]
    source: Annotated[DeliveryDocument | None, "the delivery that last changed the row"]
    line: Annotated[int | None, "its line there; the header is line 1"]
    deliveries: Annotated[
        list[DeliveryDocument], "deliveries that brought it, the newest first, at most 20"
    ]
    withdrawn_by: Annotated[
        DeliveryDocument | None, "a later delivery of the same file name that lacks this row"
    ]
    rejects: Annotated[
        list[RawReject], "rejected rows with this identifier, open ones first, at most 20"
    ]
    rejects_total: Annotated[int, "how many there are in all"]
    waits_for: Annotated[ReferenceRow | None, "what the newest of them waits for"]
    balance: Annotated[BalanceDocument | None, "the balance of its visit"]
    rejected_transactions: Annotated[
        list[RawReject], "rejected transactions of the visit that are in no table, the newest 20"
    ]
    rejected_transactions_total: Annotated[int, "how many there are in all"]
    search: Annotated[
        SearchDocument | None, "files that are not loaded; null without a landing directory"
    ]
    came: Annotated[CameDocument, "files of its type"]


class GuarantorDocument(Document):
    """`visitpay explain guarantor`: data of patients."""

    visits_of: Annotated[list[GuarantorVisitRow], "visits of the guarantor, the newest 20"]
    visits_total: Annotated[int, "how many there are in all"]
    visit_balance: Annotated[Decimal, "the sum of all their balances"]
    transactions_total: Annotated[Decimal, "the sum of all their transactions"]
    rejects: Annotated[
        list[RawReject], "rejected visits that name the guarantor, in no table, the newest 20"
    ]
    rejects_total: Annotated[int, "how many there are in all"]
    search: Annotated[
        SearchDocument | None, "files that are not loaded; null without a landing directory"
    ]
    came: Annotated[CameDocument, "files of visits"]


class ReconcileDocument(Document):
    """`visitpay reconcile`; with `--raw` also `visits` and `total`."""

    status: Annotated[str, "ok or attention"]
    balances: Annotated[Balances, "the comparison of balances with transactions"]
    findings: Annotated[list[FindingRow], "what a person should look into"]


class RawReconcileDocument(ReconcileDocument):
    """`visitpay reconcile --raw`: data of patients."""

    visits: Annotated[
        list[OddVisitRow], "visits that the checks found, at most --limit of each check"
    ]
    total: Annotated[int, "how many there are in all"]


class AcknowledgeDocument(Document):
    """`visitpay acknowledge`."""

    chosen: Annotated[list[ChosenProblem], "the problems that are acknowledged now"]
    undone: Annotated[int, "how many are no longer acknowledged (--undo)"]


class ReportDocument(Document):
    """`visitpay report`."""

    status: Annotated[str, "ok, attention or unknown: the state of the verdict"]
    summary: Annotated[str, "the verdict, as one sentence for people"]
    path: Annotated[str, "where the page was written"]


class CheckDocument(Document):
    """`visitpay check`."""

    status: Annotated[str, "ok or attention"]
    files: Annotated[list[CheckedFile], "what each file would bring"]
    total: Annotated[int, "how many there are in all"]
    unusable: Annotated[int, "how many of them cannot be used"]
    rows_read: Annotated[int, "rows that are not blank"]
    rejected: Annotated[int, "rows that would be rejected, without those that miss a reference"]
    reasons: Annotated[dict[str, int], "rejected rows by reason"]
    unrecognised: Annotated[list[str], "names that are not the feed's"]
    why_unrecognised: Annotated[
        dict[str, str], "the reason for each of them; empty if there is no special one"
    ]
    near_misses: Annotated[list[str], "those of them that are nearly right: a person must look"]


class DoctorDocument(Document):
    """`visitpay doctor`."""

    status: Annotated[str, "ok, warning or error: the worst of all"]
    examined: Annotated[list[ExaminedRow], "what was looked at"]


class SettingRow(TypedDict):
    """A setting, as some of the commands have it."""

    name: Annotated[str, "its key in the file of settings"]
    value: Annotated[str | None, "what it is; null if it is not set, or not shown"]
    is_secret: Annotated[bool, "whether it is set and not shown"]
    origin: Annotated[str, "a variable, the file and its line, or `default`"]
    commands: Annotated[list[str], "the commands that have it so"]


class ConfigDocument(Document):
    """`visitpay config`."""

    file: Annotated[str | None, "the file of settings"]
    settings: Annotated[list[SettingRow], "what is set where no argument says"]


DOCUMENTS: tuple[type[Document], ...] = (
    LoadDocument,
    StatusDocument,
    AcknowledgeDocument,
    RunsDocument,
    RunDocument,
    FilesDocument,
    RejectsDocument,
    MoneyDocument,
    ExportDocument,
    DismissDocument,
    RetryDocument,
    ExplainDocument,
    GuarantorDocument,
    ReconcileDocument,
    RawReconcileDocument,
    ReportDocument,
    CheckDocument,
    DoctorDocument,
    ConfigDocument,
    MigrateDocument,
    HospitalsDocument,
    ErrorDocument,
)
"""All of them, in the order of docs/json.md."""
