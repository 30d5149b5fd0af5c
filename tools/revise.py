"""Generates a revision from the models: `make revision M="visits know their physician"`.

It compares them with a database of its own, an SQLite file that it migrates first.
"""

import logging
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from alembic import command
from alembic.config import Config
from alembic.util import CommandError

ROOT = Path(__file__).parents[1]


def revise(message: str) -> None:
    """Write a revision with a message; raises CommandError, which says what to do."""
    config = Config(ROOT / "alembic.ini")
    with TemporaryDirectory(prefix="visitpay-") as folder:
        os.environ["VISITPAY_DATABASE_URL"] = f"sqlite:///{folder}/visitpay.db"
        command.upgrade(config, "heads")
        command.revision(config, message=message, autogenerate=True)


def main() -> None:
    """Take the message from the command line."""
    message = " ".join(sys.argv[1:]).strip()
    if not message:
        sys.exit('say what the revision does: make revision M="visits know their physician"')
    logging.disable(logging.INFO)
    try:
        revise(message)
    except CommandError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
