"""Quarantine: what waits for a person, and what persons decide.

A decision never moves data itself. It marks the rows dirty in its own transaction, and the applier then writes what the
decision allows; where the stores are kept in step, that happens before these functions return. Rows of a file that was
read in the place of the legacy store wait for the file to be read again.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice

from django.db import connection, transaction
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Now

from migration_ops import history, state
from migration_ops import quarantine_choice as choice
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import UnusableInput
from migration_ops.models import DirtyKey, QuarantineItem, QuarantineStatus
from migration_ops.preparation import prepare
from migration_ops.quarantine_listing import SHOWN, Listing, all_items, number_of, shown
from migration_ops.sentence import said
from migration_ops.stages import SYNCED
from migration_ops.sync import applier, dirty, origin
from migration_ops.sync.applier import Applied

_MARK_OPEN = """
INSERT INTO migration_ops_dirtykey (migration, side, row, created_at, not_before)
SELECT migration, 'legacy', row, at, at
  FROM (SELECT clock_timestamp() AS at) AS now, migration_ops_quarantineitem
 WHERE migration = %s AND source = '' AND status = 'open' ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a decision led to.

    Attributes:
        listing: the quarantine afterwards; its items are those that were named, as they are now, or the first `SHOWN`
            of those that were looked at again.
        rows: how many were named or looked at again.
        applied: what the applier did right after; None where it did not run.
        failed: notices of the decided rows and their documents that could not be carried over.
        advice: sentences that say what has to be done for rows that are not looked at here.
        fingerprint: of a dry run: of the rows as they were looked at. Given as `seen` to the decision itself, nothing
            is decided but what was looked at.
    """

    listing: Listing
    rows: int
    applied: Applied | None = None
    failed: int = 0
    advice: tuple[str, ...] = ()
    fingerprint: str = ""


def accept(
    migration: AnyMigration,
    ids: Collection[int],
    *,
    actor: str,
    reason: str = "",
    seen: str | None = None,
    patience: timedelta | None = None,
) -> Decision:
    """Let these rows stay behind, by somebody's name; the rest of their documents is written.

    An acceptance holds as long as the row stays as it is. Accepting what is accepted changes nothing. A document that
    only the modern database refuses stays behind whole, with the rows that are held in it. For a row of a file it
    counts when the file is read again. Rows that are held back may be named together with those that hold them, as the
    whole list does.

    Args:
        seen: the fingerprint of the dry run that was looked at.
        patience: how long to carry changes over here; what is left then is the applier's. None: until all are.

    Raises:
        UnusableInput: one of the ids is unknown, resolved, or held by a row that was not named; nothing was written.
        SelectionChanged: the rows are not as they were `seen`; nothing was written.
    """
    with transaction.atomic(durable=True):
        waiting = choice.acceptable(choice.chosen(migration, ids))
        choice.refuse_unless_seen(waiting, seen)
        if waiting:
            chosen = Q(pk__in=[item.pk for item in waiting])
            for source, leaders in choice.by_source(item for item in waiting if item.refused).items():
                chosen |= Q(status=QuarantineStatus.OPEN, refused=True, source=source, held_by__in=leaders)
            all_items(migration).filter(chosen).update(
                status=QuarantineStatus.ACCEPTED, decided_at=Now(), decided_by=actor, reason=reason
            )
            dirty.mark_rows(migration, choice.by_source(waiting).get("", []))
            _remember(migration, "quarantine accept", waiting, rows=len(waiting), actor=actor, reason=reason)
    decision = _decided(migration, all_items(migration).filter(pk__in=ids), len(set(ids)), patience=patience)
    return replace(decision, advice=_advice({source: len(rows) for source, rows in choice.by_source(waiting).items()}))


def assign_owner(
    migration: AnyMigration,
    ids: Collection[int],
    *,
    owner: str,
    actor: str,
    reason: str = "",
    seen: str | None = None,
    patience: timedelta | None = None,
) -> Decision:
    """Give the rows of these items, which have no owner (unit), this one in the legacy store.

    Args:
        owner: as people name one, see `Migration.find_unit`.
        seen, patience: as in `accept`.

    Raises:
        UnusableInput: an id or the owner is unknown, an item is resolved, a row has an owner or is one of a file;
            nothing was written.
        SelectionChanged: the rows are not as they were `seen`; nothing was written.
    """
    owner = migration.find_unit(owner)
    prepare(migration.legacy())
    with transaction.atomic(durable=True):
        origin.announce_alone()
        items = choice.writable(choice.chosen(migration, ids))
        choice.refuse_unless_seen(items, seen)
        rows = [item.row for item in items]
        dirty.mark_rows(migration, rows)
        _remember(migration, "quarantine assign-owner", items, rows=len(items), actor=actor, reason=reason, owner=owner)
        # A file is not rolled back: it comes last, once nothing else can go wrong.
        legacy = migration.legacy()
        _refuse_unless_all(rows, len(legacy.keys_of(rows)))
        _refuse_unless_all(rows, legacy.assign_unit(rows, owner))
    return _decided(migration, all_items(migration).filter(pk__in=ids), len(set(ids)), patience=patience)


def retry_some(
    migration: AnyMigration,
    ids: Collection[int],
    *,
    actor: str,
    reason: str = "",
    seen: str | None = None,
    patience: timedelta | None = None,
) -> Decision:
    """Look at the rows of these items again, accepted ones too; those that are no longer rejected become resolved.

    Args:
        seen, patience: as in `accept`.

    Raises:
        Refused: at this stage the stores are not kept in step.
        UnusableInput: an id is unknown, an item is resolved or one of a file; nothing was written.
        SelectionChanged: the rows are not as they were `seen`; nothing was written.
    """
    applier.refuse_unless_synced(migration)
    with transaction.atomic(durable=True):
        items = choice.writable(choice.chosen(migration, ids))
        choice.refuse_unless_seen(items, seen)
        dirty.mark_rows(migration, [item.row for item in items])
        dirty.retry_now(migration)
        _remember(migration, "quarantine retry", items, rows=len(items), actor=actor, reason=reason)
    return _decided(migration, all_items(migration).filter(pk__in=ids), len(set(ids)), patience=patience)


def retry(migration: AnyMigration, *, actor: str, reason: str = "") -> Decision:
    """Look at every open item of the legacy store again; those that are no longer rejected become resolved. What backs
    off after an error, of an earlier retry for instance, is tried at once as well.

    Raises:
        Refused: at this stage the stores are not kept in step.
    """
    applier.refuse_unless_synced(migration)
    with transaction.atomic(durable=True):
        began = dirty.now()
        rows = _mark_open(migration)
        if rows:
            dirty.retry_now(migration)
            first = _waiting(migration).filter(source="").order_by("id")[:SHOWN]
            _remember(migration, "quarantine retry", first, rows=rows, actor=actor, reason=reason)
    looked_at = Q(status=QuarantineStatus.OPEN) | Q(status=QuarantineStatus.RESOLVED, decided_at__gte=began)
    items = all_items(migration).filter(looked_at, source="") if rows else all_items(migration).none()
    return replace(_decided(migration, items, rows, most=SHOWN), advice=_advice_to_retry(migration))


def planned_retry(migration: AnyMigration) -> Decision:
    """What `retry` would look at again; changes nothing.

    Raises:
        Refused: as `retry`.
    """
    applier.refuse_unless_synced(migration)
    items = _waiting(migration).filter(source="").order_by("id")
    return Decision(shown(migration, items[:SHOWN]), items.count(), advice=_advice_to_retry(migration))


def planned_acceptance(migration: AnyMigration, ids: Collection[int]) -> Decision:
    """What `accept` would decide on; changes nothing.

    Raises:
        UnusableInput: as it would.
    """
    return _planned(migration, choice.acceptable(choice.chosen(migration, ids)))


def planned_assignment(migration: AnyMigration, ids: Collection[int], *, owner: str) -> Decision:
    """What `assign_owner` would decide on; changes nothing.

    Raises:
        UnusableInput: as it would, but whether a row has an owner by now only the decision itself finds out.
    """
    migration.find_unit(owner)
    return _planned(migration, choice.writable(choice.chosen(migration, ids)))


def planned_retry_of_some(migration: AnyMigration, ids: Collection[int]) -> Decision:
    """What `retry_some` would look at again; changes nothing.

    Raises:
        Refused, UnusableInput: as it would.
    """
    applier.refuse_unless_synced(migration)
    return _planned(migration, choice.writable(choice.chosen(migration, ids)))


def _planned(migration: AnyMigration, items: list[QuarantineItem]) -> Decision:
    return Decision(shown(migration, items), len(items), fingerprint=choice.fingerprint(items))


def _waiting(migration: AnyMigration) -> QuerySet[QuarantineItem]:
    return all_items(migration).filter(status=QuarantineStatus.OPEN)


def _advice(rows: Mapping[str, int]) -> tuple[str, ...]:
    """What makes rows of files be looked at again, of which there are so many by file."""
    return tuple(
        said(
            "%(rows)s of these rows are of %(source)s; `manage.py backfill --source %(quoted)s` looks at them again.",
            rows=str(count),
            source=source,
            quoted=shlex.quote(source),
        )
        for source, count in sorted(rows.items())
        if source
    )


def _advice_to_retry(migration: AnyMigration) -> tuple[str, ...]:
    return _advice(dict(_waiting(migration).values_list("source").annotate(Count("pk")).order_by("source")))


def _refuse_unless_all(rows: Collection[str], there: int) -> None:
    if there != len(rows):
        raise UnusableInput(
            said(
                "Of %(rows)s rows only %(there)s are still there without an owner; look again.",
                rows=str(len(rows)),
                there=str(there),
            )
        )


def _mark_open(migration: AnyMigration) -> int:
    """Put every open item's row on the dirty list; how many. Within the database: there may be very many."""
    with connection.cursor() as cursor:
        cursor.execute(_MARK_OPEN, [migration.name])
        rows = int(cursor.rowcount)
    if rows:
        dirty.call(migration)
    return rows


def _decided(
    migration: AnyMigration,
    items: QuerySet[QuarantineItem],
    rows: int,
    *,
    most: int | None = None,
    patience: timedelta | None = None,
) -> Decision:
    until = None if patience is None else time.monotonic() + patience.total_seconds()
    applied = None
    if state.stage(migration) in SYNCED:
        applied = applier.drain(migration, stop=lambda: until is not None and time.monotonic() > until)
    ours = items.filter(source="")
    mine = Q(row__in=ours.values("row")) | Q(key__in=ours.exclude(key=None).values("key"))
    failed = DirtyKey.objects.filter(mine, migration=migration.name, attempts__gt=0).count()
    return Decision(shown(migration, items.order_by("id")[:most]), rows, applied, failed)


def _remember(
    migration: AnyMigration,
    verb: str,
    items: Iterable[QuarantineItem],
    *,
    rows: int,
    actor: str,
    reason: str,
    owner: str = "",
) -> None:
    """One entry in the history: how many rows, and the first of them by name."""
    named = [
        {"id": item.pk, "row": number_of(item.row), "code": item.code}
        | ({"source": item.source} if item.source else {})
        for item in islice(items, SHOWN)
    ]
    evidence: dict[str, object] = {"rows": rows, "items": named}
    if owner:
        evidence["owner"] = owner
    history.append(migration, actor=actor, verb=verb, reason=reason, evidence=evidence)
