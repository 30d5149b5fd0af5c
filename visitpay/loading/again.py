"""A consumed file that is taken again: the same delivery, read by the program of now."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from sqlalchemy import Connection

from visitpay.errors import FileChangedError
from visitpay.ledger.files import Delivery, FormerDelivery, former_delivery
from visitpay.rejects.store import keep_ends, supersede_former


@dataclass(frozen=True)
class TakenAgain:
    """The delivery whose file is taken again, and when (UTC) its open rejects were replaced."""

    former: FormerDelivery
    replaced_at: datetime

    @classmethod
    def begin(cls, connection: Connection, file_id: int) -> Self:
        """Close the open rejects of a delivery: what is still wrong is rejected anew."""
        return cls(former_delivery(connection, file_id), supersede_former(connection, [file_id]))

    def end(self, connection: Connection, delivery: Delivery, sha256: str) -> None:
        """Give the new rejects the ends that the former ones had before.

        Raises FileChangedError if the file is no longer the one that was to be taken again.
        """
        if sha256 != self.former.sha256:
            message = "changed since it was listed"
            raise FileChangedError(message)
        keep_ends(connection, delivery, self.former.id, self.replaced_at)
