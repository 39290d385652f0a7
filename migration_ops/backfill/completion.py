"""What remains of a run when its last range is done, and how its end is written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db import Error, connection, transaction

from migration_ops import history, runs
from migration_ops.backfill import finish, lock_room, report
from migration_ops.backfill.batch import Job
from migration_ops.backfill.range_worker import Beat, Ending
from migration_ops.backfill.stop import Stop
from migration_ops.definition import AnyMigration
from migration_ops.failpoints import failpoint, label
from migration_ops.models import Run, RunStatus
from migration_ops.runs import Opened
from migration_ops.sync import capture
from migration_ops.sync import source as sources

CLOSED = label("backfill.closed")

REMEMBERED_KEYS = 10_000
"""Encoded keys that are kept: every step of a batch asks for the same ones."""


def job_of(migration: AnyMigration, run: Run, *, workers: int) -> Job:
    """What the batches of this run have in common, for one of so many workers."""
    options = run.options
    since = options.get("capture_since")
    migration = replace(migration, encode_key=lru_cache(REMEMBERED_KEYS)(migration.encode_key))
    reading = sources.beside(migration, options.get("source") or "")
    return Job(
        migration=reading,
        run_id=run.pk,
        legacy=reading.legacy,
        capture_since=None if since is None else datetime.fromisoformat(since),
        fresh=options["fresh"],
        limit=options.get("limit"),
        most_rows=lock_room.keys_a_batch(workers),
    )


def complete(
    migration: AnyMigration, job: Job, options: Mapping[str, Any], *, stop: Stop, beat: Beat
) -> dict[str, Any] | None:
    """Deal with rows that vanished, work the dirty list off, and vouch for capture; the figures, None when stopped."""
    result: dict[str, Any] = {"vanished": 0}
    whole = job.limit is None and not job.migration.rows_from
    if job.limit is None:
        deal_with_vanished = finish.mark_vanished if whole else finish.forget_vanished
        result["vanished"] = deal_with_vanished(job, stop=stop, beat=beat)
    result.update(finish.drain(migration, stop=stop, beat=beat))
    if stop.requested:
        return None
    if whole:
        capture.confirm_whole(migration, options["capture_lost"])
    return result


def close_as(migration: AnyMigration, opened: Opened, ending: Ending, result: Mapping[str, Any], *, actor: str) -> None:
    """Write down that work ended like this."""
    match ending:
        case Ending.DONE | Ending.LIMIT:
            close(migration, opened, RunStatus.SUCCEEDED, actor=actor, result=result)
        case Ending.CANCEL:
            close(migration, opened, RunStatus.CANCELLED, actor=actor)
        case Ending.PAUSE:
            close(migration, opened, RunStatus.PAUSED, actor=actor)
        case Ending.FAIL:
            close(migration, opened, RunStatus.FAILED, actor=actor)
        case Ending.STOPPED:
            said = "Interrupted; `manage.py backfill` goes on."
            close(migration, opened, RunStatus.PAUSED, actor=actor, error=said)


def close(
    migration: AnyMigration,
    opened: Opened,
    status: RunStatus,
    *,
    actor: str,
    error: str = "",
    result: Mapping[str, Any] | None = None,
) -> None:
    """Write the end down, with its entry in the history.

    Where the database cannot be reached the lease ends with the connection, and the next backfill goes on all the same.
    """
    try:
        with transaction.atomic():
            said = None
            opened.run.refresh_from_db(fields=["worked_seconds"])  # the heartbeat adds to it in the database
            if result is not None:
                said = {**report.figures(migration, opened.run), **result}
            runs.close(opened, status, error=error, result=said)
            evidence = {"run": opened.run.pk, **report.figures(migration, opened.run), "error": error}
            history.append(migration, actor=actor, verb=f"backfill {status}", evidence=evidence)
    except Error:
        connection.close()
        if not error:
            raise
    failpoint(CLOSED)
