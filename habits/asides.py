"""What comes with a family's write without being part of it, and must never fail it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import DatabaseError, connection, transaction

from migration_ops.locks import limited

LOCK_PATIENCE = timedelta(milliseconds=50)
"""How long an aside waits for what others hold. A write whose follower failed has waited for that already."""

STATEMENT_PATIENCE = timedelta(milliseconds=150)

logger = logging.getLogger(__name__)


@contextmanager
def aside(what: str) -> Iterator[None]:
    """A savepoint for statements whose failure undoes them alone, is logged, and leaves the write as it is.

    They are rolled back with the write. What is deferred is checked here, for at the commit it would fail the write.

    Args:
        what: for the log, without names of people.
    """
    try:
        with transaction.atomic(), limited(lock=LOCK_PATIENCE, statement=STATEMENT_PATIENCE):
            yield
            connection.check_constraints()
    except DatabaseError as error:
        logger.warning("A write went on without %s: %s", what, str(error).split("\n", 1)[0])
