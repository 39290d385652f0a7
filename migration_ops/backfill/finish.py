"""What a backfill does after its last batch: rows that vanished, and the dirty list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction

from migration_ops.backfill.batch import Job
from migration_ops.backfill.range_worker import Beat
from migration_ops.backfill.stop import Stop
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import Refused
from migration_ops.failpoints import failpoint, label
from migration_ops.models import Lineage
from migration_ops.preparation import prepare
from migration_ops.sync import applier, bookkeeping, dirty, merges

VANISHED = label("backfill.vanished")
DRAINED = label("backfill.drained")

CHUNK = 2_000
"""Rows of the lineage that are looked for at a time."""


def mark_vanished(job: Job, *, stop: Stop, beat: Beat) -> int:
    """Ask for every row that the lineage knows and the legacy store no longer has to be looked at; how many.

    A row can only have gone unnoticed while capture was off, that is before this run began.

    Raises:
        Refused: the legacy store is empty, though rows were migrated before: rather the wrong store than no data.
    """
    known = Lineage.of(job.migration)
    if not job.fresh and not job.legacy().spans(1) and known.exists():
        raise Refused(
            f"The legacy store is empty, but {known.count():,} of its rows were migrated before; nothing was deleted."
            " If they are really gone, `manage.py validate_migration --repair --delete-extras` removes their documents."
        )
    return _vanished(job, lambda gone: dirty.mark_rows(job.migration, sorted(gone)), stop, beat)


def forget_vanished(job: Job, *, stop: Stop, beat: Beat) -> int:
    """Forget every row that the lineage knows and the file no longer has; how many.

    Nobody has to decide about them any more. Their documents stay: the next export may have the same name.
    """

    def forget(gone: set[str]) -> None:
        keys = {job.migration.decode_key(key) for key in bookkeeping.old_keys(job.migration, gone).values() if key}
        merges.forget(job.migration, job.legacy().absent(keys))
        bookkeeping.forget(job.migration, gone)

    return _vanished(job, forget, stop, beat)


def _vanished(job: Job, deal_with: Callable[[set[str]], None], stop: Stop, beat: Beat) -> int:
    vanished, last = 0, ""
    known = Lineage.of(job.migration).order_by("row")
    while not (job.fresh or stop.requested):
        beat()
        rows = list(known.filter(row__gt=last).values_list("row", flat=True)[:CHUNK])
        if not rows:
            break
        last = rows[-1]
        prepare(job.legacy(), beat)
        with transaction.atomic():
            gone = set(rows) - set(job.legacy().keys_of(rows))
            deal_with(gone)
        vanished += len(gone)
    failpoint(VANISHED)
    return vanished


def drain(migration: AnyMigration, *, stop: Stop, beat: Beat) -> dict[str, Any]:
    """Work off the dirty list once: what changed in the legacy store while rows were copied, from it or from a file."""

    def told() -> bool:
        beat()
        return stop.requested

    prepare(migration.legacy(), beat)
    applied = applier.drain(migration, stop=told)
    failpoint(DRAINED)
    return {"applied": applied.applied, "apply_failed": applied.failed, "dirty_remaining": applied.remaining}
