"""What each reason, finding and state of a file means, and what to do about it."""

from collections.abc import Mapping
from typing import NamedTuple

from visitpay.vocabulary import Reason


class Advice(NamedTuple):
    """What something means, what to do about it, and the command that helps."""

    meaning: str
    action: str
    command: str
    """As `hints.Setup.hint` takes it; empty if none helps."""


_MENDABLE = {
    Reason.MALFORMED: "The row has too few or too many cells, or reads well in two ways.",
    Reason.INVALID_ENCODING: "The row holds bytes that are no text in the file's encoding.",
    Reason.MISSING_VALUE: "A cell that must be filled is empty.",
    Reason.INVALID_INTEGER: "A number is not a whole one.",
    Reason.INVALID_DATE: "A date is none, or of an unknown form.",
    Reason.INVALID_AMOUNT: "An amount is none, or has fractions of a cent; nothing is rounded.",
}

ADVICE: Mapping[str, Advice] = {
    "run_failed": Advice(
        "The last load ended with an error; what it had loaded before is kept.",
        "Do what its error says, and load again: it goes on from there.",
        "runs last",
    ),
    "run_refused": Advice(
        "A load could not begin.",
        "Do what its error says, and load again.",
        "load",
    ),
    "run_died": Advice(
        "The books say that a load is running, but its process is gone. Nothing half-done is kept.",
        "See why it died (memory? a restart of the machine?), and load again.",
        "load",
    ),
    "run_not_ended": Advice(
        "A load runs for longer than the time after which the next one is due.",
        "See whether it still gets on.",
        "runs last",
    ),
    "run_late": Advice(
        "No load has begun for longer than usual.",
        "See whether the scheduler still runs, and load by hand meanwhile.",
        "load",
    ),
    "files_waiting": Advice(
        "Files of the feed wait for longer than the next load should take to come.",
        "See whether the scheduled load reads this directory and this database; load by hand.",
        "load",
    ),
    "name_nearly_right": Advice(
        "A file's name is nearly one of the feed's: it is not loaded.",
        "Rename it, or take it away from the landing directory.",
        "",
    ),
    "feed_late": Advice(
        "Loads run, and no file of the feed has come for longer than usual.",
        "See whether the hospital sent anything, and whether it reaches the landing directory under"
        " its right names.",
        "doctor",
    ),
    "rows_rejected": Advice(
        "Rows could not be used, more than were tolerated; each is kept with its reason.",
        "Look at them; send them back to the hospital, mend them, or dismiss them.",
        "rejects list",
    ),
    **{
        reason: Advice(
            meaning,
            "Ask the hospital for the row, or mend it and deliver it again.",
            f"rejects export mended_{reason} --reason {reason}",
        )
        for reason, meaning in _MENDABLE.items()
    },
    Reason.NO_LINE_END: Advice(
        "The last line of a file has no line end, as all files of its type before it had: the file"
        " may be cut off, and this row with it.",
        "Ask the hospital for the whole file; it comes under the same name. If the row is whole,"
        " `visitpay load` with --again and --approve and the file's name loads it, and later files"
        " may end so, too.",
        "rejects list --reason no_line_end",
    ),
    Reason.LINE_TOO_LONG: Advice(
        "The line is longer than 1 MiB; only its start was kept.",
        "Ask the hospital for the row.",
        "rejects list --reason line_too_long",
    ),
    Reason.MISSING_REFERENCE: Advice(
        "The visit or procedure that the row refers to is not there.",
        "Nothing, if its file is still to come: the row is then loaded by itself. Otherwise ask"
        " the hospital for the file or the row that lacks.",
        "rejects list --reason missing_reference",
    ),
    "file_failed": Advice(
        "The file cannot be used as a whole; the table of files says why.",
        "Have it corrected, or take it away: every load tries it again.",
        "files --status failed",
    ),
    "file_held": Advice(
        "Too many rows of the file were rejected, or its name is dated in the future, or its dates"
        " are day-first; nothing of it was loaded.",
        "Ask for a better one, or take it all the same: a load takes it if --approve names it."
        " Rows that only miss what they refer to need its file first; one of the future is loaded"
        " by itself once its time has come.",
        "files --status held",
    ),
    "file_changing": Advice(
        "The file changed in every run for more than a day, so that none could load it.",
        "See who writes it; have it written under a hidden name, and renamed once it is whole.",
        "status --json",
    ),
    "not_recognised": Advice(
        "The file's name is none of the feed's, or nearly one.",
        "Rename it, take it away from the landing directory, or name it with --pass-over.",
        "status --json",
    ),
    "type_missing": Advice(
        "Files came together, and none of a type that usually comes with them within six hours.",
        "Ask the hospital for the file.",
        "files",
    ),
    "feed_missing": Advice(
        "Nothing came on a day on which something should have.",
        "See whether the hospital sent anything, and whether it reaches the landing directory.",
        "doctor",
    ),
    "file_in_future": Advice(
        "The file's name bears a time that is yet to come. Until then its rows are the newest, and"
        " no other file changes them.",
        "Ask the hospital whether the time is right. If not, go back to a backup from before it,"
        " and load the file under its right name.",
        "files",
    ),
    "file_in_past": Advice(
        "A file far older than what was loaded before came; newer ones had brought rows of it.",
        "Ask the hospital why it came: its rows that were not known yet are loaded.",
        "files",
    ),
    "content_repeated": Advice(
        "The content of the file came before under another name; its old values may be back.",
        "Ask the hospital for the file that was meant; it comes under the same name.",
        "files",
    ),
    "columns_unknown": Advice(
        "The hospital sends columns that visitpay does not know, or did not know yet when it loaded"
        " the files. Their values were left out; all other columns were loaded.",
        "Where they are wanted, add them to the model, migrate the database, and load the files"
        " again with the command that the finding then names. Where not, name them in"
        " `__ignored_headers__` of the entity.",
        "files --json",
    ),
    "rows_withdrawn": Advice(
        "A file came again without rows that it had brought before. They stay in the tables.",
        "Ask the hospital whether the rows are void, or the new file is cut off.",
        "files --limit 10",
    ),
    "conflicting_rows": Advice(
        "A file has several rows of one identifier with different values; the last line won.",
        "Ask the hospital which row is right; a corrected file comes under the same name.",
        "files",
    ),
    "unusual_rows": Advice(
        "The file has far more, or fewer, rows than those before it.",
        "Ask the hospital whether the file is whole; correct files come under the same name.",
        "files",
    ),
    "reject_share": Advice(
        "Far more rows of the newest file were rejected than of those before it.",
        "Look at the reasons: something about the export may have changed.",
        "rejects list",
    ),
    "balance_differs": Advice(
        "Balances of visits are not the sum of their transactions.",
        "Look at the visits, and send the hospital what it must correct.",
        "reconcile --raw",
    ),
    "discharge_before_admission": Advice(
        "Visits end before they begin.",
        "Send the hospital the visits to correct.",
        "reconcile --raw",
    ),
    "admission_in_future": Advice(
        "Visits begin on a day that is yet to come.",
        "Send the hospital the visits to correct, unless they are planned.",
        "reconcile --raw",
    ),
    "visit_without_transactions": Advice(
        "Visits have no transactions.",
        "See whether a Transaction file is missing, or rows of it are rejected.",
        "reconcile --raw",
    ),
}
"""By reason (`Reason`), by finding (`quality.CHECKS`), and by state of a file."""

_UNKNOWN = Advice(
    "Nothing is known of this here: a newer version of visitpay may have recorded it.",
    "See the documentation of that version.",
    "status --json",
)


def advice_for(name: str) -> Advice:
    """Return the advice on a reason, finding or state of a file.

    What a newer version put into the database has a general one.
    """
    return ADVICE.get(name, _UNKNOWN)
