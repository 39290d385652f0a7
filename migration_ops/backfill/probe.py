"""Whose fault a conflict is that never ends: the next row's, or that of whatever else goes on in the database.

A document whose writing always raises a serialization failure looks like a database in which nothing can be written
just now. What tells them apart is whether its neighbours can be written; that is tried, and undone.
"""

from __future__ import annotations

from django.db import DatabaseError, connection, transaction

from migration_ops import locks
from migration_ops.backfill import batch
from migration_ops.backfill.batch import Job, Place
from migration_ops.backfill.errors import Kind, kind
from migration_ops.backfill.lease import Lease

NEIGHBOURS = 8
"""Rows after the next one whose documents are tried at most."""


def next_row_is_to_blame(job: Job, lease: Lease, place: Place) -> bool:
    """Whether a document of the rows after the next one can be written, or none of them has to be. Changes nothing.

    Raises:
        as `batch.run`, but not for conflicts.
    """
    with transaction.atomic(durable=True):
        batch.begin(job, lease)
        suspects = {document.key for document in job.legacy().scan(place.span, 1).documents}
        around = [document.key for document in job.legacy().scan(place.span, 1 + NEIGHBOURS).documents]
    conflicts = 0
    for key in around:
        if key in suspects:
            continue
        try:
            with transaction.atomic(durable=True):
                batch.begin(job, lease)
                locks.lock_keys(job.migration, [key])
                written = job.migration.modern().save(job.legacy().load([key], lock=True).documents).written
                connection.check_constraints()
                transaction.set_rollback(True)
        except DatabaseError as error:
            if kind(error) is not Kind.CONFLICT:
                raise
            conflicts += 1
        else:
            if written:
                return True
    return not conflicts
