"""Quarantine: what waits for a person, and what persons decide.

A decision never moves data itself. It marks the rows dirty in its own transaction, and the applier then writes what the
decision allows; where the stores are kept in step, that happens before these functions return. Rows of a file that was
read in the place of the legacy store wait for the file to be read again.
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from django.db import connection, transaction
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Now

from migration_ops import history, state
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import UnusableInput
from migration_ops.models import DirtyKey, QuarantineItem, QuarantineStatus
from migration_ops.preparation import prepare
from migration_ops.quarantine_listing import SHOWN, Listing, all_items, number_of, shown
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
    """

    listing: Listing
    rows: int
    applied: Applied | None = None
    failed: int = 0
    advice: tuple[str, ...] = ()


def accept(migration: AnyMigration, ids: Collection[int], *, actor: str, reason: str = "") -> Decision:
    """Let these rows stay behind, by somebody's name; the rest of their documents is written.

    An acceptance holds as long as the row stays as it is. Accepting what is accepted changes nothing. A document that
    only the modern database refuses stays behind whole, with the rows that are held in it. For a row of a file it
    counts when the file is read again. Rows that are held back may be named together with those that hold them, as the
    whole list does.

    Raises:
        UnusableInput: one of the ids is unknown, resolved, or held by a row that was not named; nothing was written.
    """
    with transaction.atomic(durable=True):
        waiting = _acceptable(_chosen(migration, ids))
        if waiting:
            chosen = Q(pk__in=[item.pk for item in waiting])
            for source, leaders in _by_source(item for item in waiting if item.refused).items():
                chosen |= Q(status=QuarantineStatus.OPEN, refused=True, source=source, held_by__in=leaders)
            all_items(migration).filter(chosen).update(
                status=QuarantineStatus.ACCEPTED, decided_at=Now(), decided_by=actor, reason=reason
            )
            dirty.mark_rows(migration, _by_source(waiting).get("", []))
            _remember(migration, "quarantine accept", waiting, rows=len(waiting), actor=actor, reason=reason)
    decision = _decided(migration, all_items(migration).filter(pk__in=ids), len(set(ids)))
    return replace(decision, advice=_advice({source: len(rows) for source, rows in _by_source(waiting).items()}))


def assign_owner(
    migration: AnyMigration, ids: Collection[int], *, owner: str, actor: str, reason: str = ""
) -> Decision:
    """Give the rows of these items, which have no owner (unit), this one in the legacy store.

    Raises:
        UnusableInput: an id or the owner is unknown, an item is resolved, a row has an owner or is one of a file;
            nothing was written.
    """
    prepare(migration.legacy())
    with transaction.atomic(durable=True):
        origin.announce()
        items = _writable(_chosen(migration, ids))
        rows = [item.row for item in items]
        dirty.mark_rows(migration, rows)
        _remember(migration, "quarantine assign-owner", items, rows=len(items), actor=actor, reason=reason, owner=owner)
        # A file is not rolled back: it comes last, once nothing else can go wrong.
        legacy = migration.legacy()
        _refuse_unless_all(rows, len(legacy.keys_of(rows)))
        _refuse_unless_all(rows, legacy.assign_unit(rows, owner))
    return _decided(migration, all_items(migration).filter(pk__in=ids), len(set(ids)))


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


def planned(migration: AnyMigration, ids: Collection[int], *, accepting: bool) -> Decision:
    """The items that `accept`, or else `assign_owner`, would decide on; changes nothing.

    Raises:
        UnusableInput: as they would, but whether the owner is known only the decision itself finds out.
    """
    items = _chosen(migration, ids)
    chosen = _acceptable(items) if accepting else _writable(items)
    return Decision(shown(migration, chosen), len(chosen))


def _waiting(migration: AnyMigration) -> QuerySet[QuarantineItem]:
    return all_items(migration).filter(status=QuarantineStatus.OPEN)


def _chosen(migration: AnyMigration, ids: Collection[int]) -> list[QuarantineItem]:
    """The items of these ids, locked until the end of the transaction."""
    if not ids:
        raise UnusableInput("Name the items by their ids; `quarantine list` shows them.")
    found = all_items(migration).filter(pk__in=ids).order_by("id")
    with transaction.atomic():
        items = list(found.select_for_update())
    unknown = sorted(set(ids) - {item.pk for item in items})
    if unknown:
        raise UnusableInput(f"No quarantined row of {migration.name} has the id {', '.join(map(str, unknown))}.")
    resolved = [item for item in items if item.status == QuarantineStatus.RESOLVED]
    if resolved:
        raise UnusableInput(f"Item {resolved[0].pk} (row {resolved[0].row}) is resolved: {resolved[0].reason}")
    return items


def _acceptable(items: Iterable[QuarantineItem]) -> list[QuarantineItem]:
    """Those that still wait and are rejected themselves; what they hold back is decided with them.

    Raises:
        UnusableInput: one is held back by a row that was not named.
    """
    waiting = [item for item in items if item.status == QuarantineStatus.OPEN]
    leaders = [item for item in waiting if item.held_by is None]
    named = {(item.source, item.row) for item in leaders}
    for item in waiting:
        if item.held_by is not None and (item.source, item.held_by) not in named:
            raise UnusableInput(
                f"Item {item.pk} (row {item.row}) is only held because of row {item.held_by}; decide on that one."
            )
    return leaders


def _writable(items: list[QuarantineItem]) -> list[QuarantineItem]:
    """All of them, if each is of the legacy store: a file is only read."""
    for item in items:
        if item.source:
            raise UnusableInput(
                f"Item {item.pk} is row {item.row} of {item.source}, which is only read. Correct the file and run"
                f" `manage.py backfill --source {shlex.quote(item.source)}` again."
            )
    return items


def _by_source(items: Iterable[QuarantineItem]) -> dict[str, list[str]]:
    """Rows by the file they are of, "" for the legacy store."""
    rows: dict[str, list[str]] = defaultdict(list)
    for item in items:
        rows[item.source].append(item.row)
    return rows


def _advice(rows: Mapping[str, int]) -> tuple[str, ...]:
    """What makes rows of files be looked at again, of which there are so many by file."""
    return tuple(
        f"{count} of these rows are of {source}; `manage.py backfill --source {shlex.quote(source)}` looks at them"
        " again."
        for source, count in sorted(rows.items())
        if source
    )


def _advice_to_retry(migration: AnyMigration) -> tuple[str, ...]:
    return _advice(dict(_waiting(migration).values_list("source").annotate(Count("pk")).order_by("source")))


def _refuse_unless_all(rows: Collection[str], there: int) -> None:
    if there != len(rows):
        raise UnusableInput(f"Of {len(rows)} rows only {there} are still there without an owner; look again.")


def _mark_open(migration: AnyMigration) -> int:
    """Put every open item's row on the dirty list; how many. Within the database: there may be very many."""
    with connection.cursor() as cursor:
        cursor.execute(_MARK_OPEN, [migration.name])
        rows = int(cursor.rowcount)
    if rows:
        dirty.call(migration)
    return rows


def _decided(
    migration: AnyMigration, items: QuerySet[QuarantineItem], rows: int, *, most: int | None = None
) -> Decision:
    applied = applier.drain(migration) if state.stage(migration) in SYNCED else None
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
