"""One batch of a backfill: one transaction in which rows are read, documents saved and the cursor moved on.

Killed at any point it either happened or it did not; nothing is lost and nothing counted twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import DatabaseError, connection, transaction

from migration_ops import locks, state
from migration_ops.backfill import lease as leases
from migration_ops.backfill import refused
from migration_ops.backfill.counters import Counters
from migration_ops.backfill.lease import Lease
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration, Cursor, Page, Rejection, RowStore, Saved, Span, Store
from migration_ops.exceptions import LeaseLost, MigrationOpsError, Refused
from migration_ops.failpoints import failpoint, label
from migration_ops.models import RunRange, RunStatus
from migration_ops.stages import BACKFILLING
from migration_ops.sync import bookkeeping, origin

BEGUN = label("backfill.begun")
READ = label("backfill.read")
SAVED = label("backfill.saved")
RECORDED = label("backfill.recorded")
ADVANCED = label("backfill.advanced")
COMMITTED = label("backfill.committed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What all batches of a run have in common.

    Attributes:
        legacy: makes the store that is read.
        capture_since: since when capture was on when the run began; a run does not go on across a time without it.
        fresh: no row had a lineage when the run began, so none can have vanished unseen before.
        limit: rows after which the run ends; None for all.
        most_rows: rows in a batch at most, whatever the throttle or the operator says.
    """

    migration: AnyMigration
    run_id: int
    legacy: Callable[[], RowStore[Any, Any]]
    capture_since: datetime | None
    fresh: bool
    limit: int | None = None
    most_rows: int = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How far a range is, as committed."""

    span: Span
    counters: Counters
    done: bool
    batch_size: int | None

    @classmethod
    def read(cls, lease: Lease) -> Place:
        """What the database says.

        Raises:
            LeaseLost: the range is somebody else's by now.
        """
        held = RunRange.objects.filter(pk=lease.range_id, token=lease.token).first()
        if held is None:
            raise LeaseLost
        after = held.after if held.cursor is None else held.cursor
        return cls(
            span=Span(after, held.until),
            counters=Counters.of(held.counters),
            done=held.done,
            batch_size=held.batch_size,
        )

    def beyond(self, cursor: Cursor | None, counters: Counters) -> Place:
        """After a page that ended at `cursor`."""
        after = self.span.after if cursor is None else cursor
        return replace(self, span=Span(after, self.span.until), counters=counters, done=cursor is None)


@dataclass(frozen=True, slots=True)
class Step:
    """What one batch did: the new place and the rows it read, or what was requested instead (`pause`, `cancel`)."""

    place: Place
    rows: int = 0
    requested: str = ""


@dataclass(frozen=True, slots=True)
class Control:
    """What is wanted of the run, and the documents it knows to be refused: leading row by key."""

    requested: str
    refused: Mapping[str, str]


def run(job: Job, lease: Lease, place: Place, rows: int, *, size: int, speed: float) -> Step:
    """Read up to `rows` rows from here, save their documents, and commit how far that is.

    Args:
        size, speed: what the throttle thinks, kept with the range for whoever resumes it or looks at it.

    Raises:
        LeaseLost: another process has taken the range; nothing was changed.
        Refused: the migration is no longer at a stage in which a backfill may run; nothing was changed.
        django.db.Error: nothing was changed, or the answer to the commit was lost: `Place.read` knows.
    """
    with transaction.atomic(durable=True):
        control = begin(job, lease)
        if control.requested:
            return Step(place, requested=control.requested)
        page = _read(job, place, rows)
        failpoint(READ)
        modern = job.migration.modern()
        saved = modern.save(page.documents) if page.documents else Saved()
        _remove_rejected(modern, page)
        failpoint(SAVED)
        counters = replace(place.counters.plus(page, saved), speed=speed)
        _know_siblings(job, page, control.refused)
        refused.hold(job.migration, page, control.refused)
        bookkeeping.record(job.migration, page)
        failpoint(RECORDED)
        new_place = place.beyond(page.cursor, counters)
        _advance(lease, new_place, size)
    failpoint(COMMITTED)
    return Step(new_place, page.rows)


def set_aside(job: Job, lease: Lease, place: Place, error: DatabaseError) -> Step | None:
    """Put the next row, whose document the modern database refused, into quarantine, and its siblings with it.

    None when that row leads no document any more; then an ordinary batch is next. Raises as `run`.
    """
    with transaction.atomic(durable=True):
        control = begin(job, lease)
        if control.requested:
            return Step(place, requested=control.requested)
        page = _read(job, place, 1)
        if not page.documents:
            return None
        (document,) = page.documents
        rows = refused.reject(job.migration, job.run_id, document, job.legacy().load([document.key]), error)
        job.migration.modern().delete([document.key])
        counters = place.counters.plus(page, Saved(), refused=1, held=rows - 1)
        new_place = place.beyond(page.cursor, counters)
        _advance(lease, new_place, None)
    failpoint(COMMITTED)
    return Step(new_place, page.rows)


def begin(job: Job, lease: Lease) -> Control:
    """The beginning of every transaction: it gives way to others, and is this process's to make. Raises as `run`."""
    limits = settings()
    origin.announce_alone()
    _give_way(lock=limits.batch_lock_timeout, statement=limits.batch_statement_timeout, idle=limits.lease / 3)
    locks.enter_fence(job.migration)
    _require_stage(job)
    control = _control(lease)
    failpoint(BEGUN)
    return control


def _give_way(*, lock: timedelta, statement: timedelta, idle: timedelta) -> None:
    """Bound what this transaction waits for, and how long it may sleep while others wait for its locks."""
    milliseconds = [str(max(1, round(limit.total_seconds() * 1000))) for limit in (lock, statement, idle)]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true),"
            " set_config('idle_in_transaction_session_timeout', %s, true)",
            milliseconds,
        )


def _require_stage(job: Job) -> None:
    now = state.read(job.migration)
    if now.stage not in BACKFILLING:
        raise Refused(
            f"The migration {job.migration.name} is at stage {now.stage} now; a backfill runs at"
            f" {' or '.join(stage for stage in BACKFILLING)}. Nothing more was written."
        )
    if now.capture_since != job.capture_since:
        raise Refused(
            "Capture was off in the meantime, so rows that were copied already may have changed unseen."
            " Run `manage.py backfill` again: it starts anew."
        )


def _control(lease: Lease) -> Control:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT range.token, run.status, run.requested, run.result->'refused'"
            " FROM migration_ops_runrange AS range JOIN migration_ops_run AS run ON run.id = range.run_id"
            " WHERE range.id = %s",
            [lease.range_id],
        )
        token, status, requested, refused = cursor.fetchone() or (None, "", "", None)
    if token != lease.token or status != RunStatus.RUNNING:
        raise LeaseLost
    return Control(requested, json.loads(refused or "{}"))


def _read(job: Job, place: Place, rows: int) -> Page[Any, Any]:
    page = job.legacy().scan(place.span, rows, claim=partial(locks.lock_keys, job.migration))
    if page.rows != len(page.documents) + page.merged_rows + len(page.rejections):
        raise MigrationOpsError(
            f"The legacy store of {job.migration.name} read {page.rows} rows but made of them {len(page.documents)}"
            f" documents, {page.merged_rows} merged and {len(page.rejections)} rejected rows. Nothing was written."
        )
    return page


def _remove_rejected(modern: Store[Any, Any], page: Page[Any, Any]) -> None:
    """A document with a quarantined row has no copy in the modern store; an earlier backfill may have left one."""
    keys = {said.key for said in page.rejections if said.key is not None and not said.accepted}
    keys -= {document.key for document in page.documents}
    if keys and (present := keys - modern.absent(keys)):
        modern.delete(present)


def _know_siblings(job: Job, page: Page[Any, Any], refused_keys: Collection[str]) -> None:
    """Give rows of other pages that share a document with rows of this one their lineage now.

    Such a row may be deleted or changed before its own page is read. The notice of that names the row alone; without
    lineage nobody would know that the document, of which this page has seen a part, must be looked at again.
    """
    here = {link.row for link in page.links} | {said.row for said in page.rejections}
    saved = {document.key for document in page.documents}
    keys = {link.key for link in page.links if link.key not in saved}
    keys |= {said.key for said in page.rejections if said.key is not None and _has_siblings(job, said)}
    keys |= {merge.key for merge in page.merges if not here.issuperset(merge.rows)}
    keys = {key for key in keys if job.migration.encode_key(key) not in refused_keys}
    if keys:
        bookkeeping.record(job.migration, replace(job.legacy().load(keys), documents=[]))


def _has_siblings(job: Job, said: Rejection[Any]) -> bool:
    """Whether its document decided about this row: then it decides about rows of other pages, too."""
    return said.held_by is not None or (bool(job.migration.rows_from) and said.code == job.migration.code_for_duplicate)


def _advance(lease: Lease, place: Place, size: int | None) -> None:
    changes: dict[str, Any] = {"counters": place.counters.stored(), "done": place.done}
    if not place.done:
        changes["cursor"] = place.span.after
    if size is not None:
        changes["batch_size"] = size
    leases.update(lease, **changes)
    failpoint(ADVANCED)
