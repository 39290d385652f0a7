"""Quarantine: what waits for a person, and what persons decide.

A decision never moves data itself. It marks the rows dirty in its own transaction, and the applier then writes what the
decision allows; where the stores are kept in step, that happens before these functions return.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from django.db import connection, transaction
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Now

from migration_ops import history, state
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import UnusableInput
from migration_ops.models import DirtyKey, QuarantineItem, QuarantineStatus
from migration_ops.preparation import prepare
from migration_ops.sync import applier, dirty, origin
from migration_ops.sync.applier import Applied

SHOWN = 100
"""Items that a listing shows and an entry of the history names, unless more are asked for; all are counted."""

UNDECIDED = (QuarantineStatus.OPEN, QuarantineStatus.ACCEPTED)
"""What `listing` shows by default: everything but what resolved itself."""


_MARK_OPEN = """
INSERT INTO migration_ops_dirtykey (migration, side, row, created_at)
SELECT migration, 'legacy', row, clock_timestamp() FROM migration_ops_quarantineitem
 WHERE migration = %s AND status = 'open' ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class Item:
    """One quarantined row.

    Attributes:
        id: what decisions name.
        row: the legacy row's id; a number where it is one.
        held_by: the row that holds this one back, None for a row that is rejected itself.
    """

    id: int
    row: int | str
    code: str
    message: str
    held_by: int | str | None
    status: str
    found_at: datetime
    decided_by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What is in quarantine.

    Attributes:
        open, accepted: how many rows there are in all.
        items: those that were asked for, the oldest first.
    """

    open: int
    accepted: int
    items: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What a decision led to.

    Attributes:
        listing: the quarantine afterwards; its items are those that were named, as they are now, or the first `SHOWN`
            of those that were looked at again.
        rows: how many were named or looked at again.
        applied: what the applier did right after; None where it did not run.
        failed: notices of the decided rows and their documents that could not be carried over.
    """

    listing: Listing
    rows: int
    applied: Applied | None = None
    failed: int = 0


def listing(
    migration: AnyMigration, *, code: str | None = None, status: Collection[str] = UNDECIDED, limit: int | None = SHOWN
) -> Listing:
    """The counts, and at most `limit` items of these statuses, of one code or all.

    Raises:
        UnusableInput: the migration has no such code, or the limit is less than 0.
    """
    if code is not None and code not in migration.rejection_codes:
        raise UnusableInput(f"{code} is no code of {migration.name}; there are {', '.join(migration.rejection_codes)}.")
    if limit is not None and limit < 0:
        raise UnusableInput(f"A list of {limit} items cannot be.")
    items = _items(migration).filter(status__in=status).order_by("id")
    if code is not None:
        items = items.filter(code=code)
    return _listing(migration, items[:limit])


def accept(migration: AnyMigration, ids: Collection[int], *, actor: str, reason: str = "") -> Decision:
    """Let these rows stay behind, by somebody's name; the rest of their documents is written.

    An acceptance holds as long as the row stays as it is. Accepting what is accepted changes nothing. A document that
    only the modern database refuses stays behind whole, with the rows that are held in it.

    Raises:
        UnusableInput: one of the ids is unknown, resolved, or held by another row; nothing was written.
    """
    with transaction.atomic(durable=True):
        waiting = _acceptable(_chosen(migration, ids))
        if waiting:
            refused = Q(status=QuarantineStatus.OPEN, refused=True)
            held = refused & Q(held_by__in=[item.row for item in waiting if item.refused])
            _items(migration).filter(held | Q(pk__in=[item.pk for item in waiting])).update(
                status=QuarantineStatus.ACCEPTED, decided_at=Now(), decided_by=actor, reason=reason
            )
            dirty.mark_rows(migration, [item.row for item in waiting])
            _remember(migration, "quarantine accept", waiting, rows=len(waiting), actor=actor, reason=reason)
    return _decided(migration, _items(migration).filter(pk__in=ids), len(set(ids)))


def assign_owner(
    migration: AnyMigration, ids: Collection[int], *, owner: str, actor: str, reason: str = ""
) -> Decision:
    """Give the rows of these items, which have no owner (unit), this one in the legacy store.

    Raises:
        UnusableInput: an id or the owner is unknown, an item is resolved, or a row has an owner; nothing was written.
    """
    prepare(migration.legacy())
    with transaction.atomic(durable=True):
        origin.announce()
        items = _chosen(migration, ids)
        rows = [item.row for item in items]
        dirty.mark_rows(migration, rows)
        _remember(migration, "quarantine assign-owner", items, rows=len(items), actor=actor, reason=reason, owner=owner)
        # A file is not rolled back: it comes last, once nothing else can go wrong.
        legacy = migration.legacy()
        _refuse_unless_all(rows, len(legacy.keys_of(rows)))
        _refuse_unless_all(rows, legacy.assign_unit(rows, owner))
    return _decided(migration, _items(migration).filter(pk__in=ids), len(set(ids)))


def retry(migration: AnyMigration, *, actor: str, reason: str = "") -> Decision:
    """Look at every open item again; those that are no longer rejected become resolved. What backs off after an error,
    of an earlier retry for instance, is tried at once as well.

    Raises:
        Refused: at this stage the stores are not kept in step.
    """
    applier.refuse_unless_synced(migration)
    with transaction.atomic(durable=True):
        began = dirty.now()
        rows = _mark_open(migration)
        if rows:
            dirty.retry_now(migration)
            first = _items(migration).filter(status=QuarantineStatus.OPEN).order_by("id")[:SHOWN]
            _remember(migration, "quarantine retry", first, rows=rows, actor=actor, reason=reason)
    looked_at = Q(status=QuarantineStatus.OPEN) | Q(status=QuarantineStatus.RESOLVED, decided_at__gte=began)
    items = _items(migration).filter(looked_at) if rows else _items(migration).none()
    return _decided(migration, items, rows, shown=SHOWN)


def planned(migration: AnyMigration, ids: Collection[int], *, accepting: bool) -> Listing:
    """The items that `accept`, or else `assign_owner`, would decide on; changes nothing.

    Raises:
        UnusableInput: as they would, but whether the owner is known only the decision itself finds out.
    """
    items = _chosen(migration, ids)
    return _listing(migration, _acceptable(items) if accepting else items)


def _chosen(migration: AnyMigration, ids: Collection[int]) -> list[QuarantineItem]:
    """The items of these ids, locked until the end of the transaction."""
    if not ids:
        raise UnusableInput("Name the items by their ids; `quarantine list` shows them.")
    found = _items(migration).filter(pk__in=ids).order_by("id")
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
    """Those that still wait, if each of them may be accepted for itself."""
    waiting = [item for item in items if item.status == QuarantineStatus.OPEN]
    for item in waiting:
        if item.held_by is not None:
            raise UnusableInput(
                f"Item {item.pk} (row {item.row}) is only held because of row {item.held_by}; decide on that one."
            )
    return waiting


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
    migration: AnyMigration, items: QuerySet[QuarantineItem], rows: int, *, shown: int | None = None
) -> Decision:
    applied = applier.drain(migration) if state.stage(migration) in applier.SYNCED else None
    mine = Q(row__in=items.values("row")) | Q(key__in=items.exclude(key=None).values("key"))
    failed = DirtyKey.objects.filter(mine, migration=migration.name, attempts__gt=0).count()
    return Decision(_listing(migration, items.order_by("id")[:shown]), rows, applied, failed)


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
    named = [{"id": item.pk, "row": _number(item.row), "code": item.code} for item in islice(items, SHOWN)]
    evidence: dict[str, object] = {"rows": rows, "items": named}
    if owner:
        evidence["owner"] = owner
    history.append(migration, actor=actor, verb=verb, reason=reason, evidence=evidence)


def _listing(migration: AnyMigration, items: Iterable[QuarantineItem]) -> Listing:
    counts = _items(migration).aggregate(
        waiting=Count("pk", filter=Q(status=QuarantineStatus.OPEN)),
        accepted=Count("pk", filter=Q(status=QuarantineStatus.ACCEPTED)),
    )
    return Listing(counts["waiting"], counts["accepted"], tuple(_item(item) for item in items))


def _items(migration: AnyMigration) -> QuerySet[QuarantineItem]:
    """All of them, without the rows as they were, which may be long and which nobody asks for here."""
    return QuarantineItem.objects.filter(migration=migration.name).defer("raw")


def _item(item: QuarantineItem) -> Item:
    return Item(
        id=item.pk,
        row=_number(item.row),
        code=item.code,
        message=item.message,
        held_by=None if item.held_by is None else _number(item.held_by),
        status=item.status,
        found_at=item.found_at,
        decided_by=item.decided_by,
        reason=item.reason,
    )


def _number(row: str) -> int | str:
    return int(row) if row.isascii() and row.isdigit() else row
