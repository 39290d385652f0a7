"""Which quarantined rows a decision is about: found, locked, and as they were looked at."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections import defaultdict
from collections.abc import Collection, Iterable

from django.db import transaction

from migration_ops.definition import AnyMigration
from migration_ops.exceptions import SelectionChanged, UnusableInput
from migration_ops.models import QuarantineItem, QuarantineStatus
from migration_ops.quarantine_listing import all_items
from migration_ops.sentence import Sentence, said


def chosen(migration: AnyMigration, ids: Collection[int]) -> list[QuarantineItem]:
    """The items of these ids, locked until the end of the transaction.

    Raises:
        UnusableInput: none was named, or one is unknown or resolved.
    """
    if not ids:
        raise UnusableInput(said("No row was chosen. Name the items by their ids; `quarantine list` shows them."))
    found = all_items(migration).filter(pk__in=ids).order_by("id")
    with transaction.atomic():
        items = list(found.select_for_update())
    unknown = sorted(set(ids) - {item.pk for item in items})
    if unknown:
        raise UnusableInput(
            said(
                "No quarantined row of %(migration)s has the id %(ids)s.",
                migration=migration.name,
                ids=", ".join(map(str, unknown)),
            )
        )
    resolved = [item for item in items if item.status == QuarantineStatus.RESOLVED]
    if resolved:
        raise UnusableInput(_of(resolved[0], said("is resolved: %(reason)s", reason=resolved[0].reason)))
    return items


def acceptable(items: Iterable[QuarantineItem]) -> list[QuarantineItem]:
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
                _of(item, said("is only held because of row %(held_by)s; decide on that one.", held_by=item.held_by))
            )
    return leaders


def writable(items: list[QuarantineItem]) -> list[QuarantineItem]:
    """All of them, if each is of the legacy store: a file is only read.

    Raises:
        UnusableInput: one is of a file.
    """
    for item in items:
        if item.source:
            raise UnusableInput(
                said(
                    "Item %(id)s is row %(row)s of %(source)s, which is only read. Correct the file and run"
                    " `manage.py backfill --source %(quoted)s` again.",
                    id=str(item.pk),
                    row=item.row,
                    source=item.source,
                    quoted=shlex.quote(item.source),
                )
            )
    return items


def _of(item: QuarantineItem, what: Sentence) -> Sentence:
    return said("Item %(id)s (row %(row)s) %(what)s", id=str(item.pk), row=item.row, what=what)


def by_source(items: Iterable[QuarantineItem]) -> dict[str, list[str]]:
    """Rows by the file they are of, "" for the legacy store."""
    rows: dict[str, list[str]] = defaultdict(list)
    for item in items:
        rows[item.source].append(item.row)
    return rows


def fingerprint(items: Iterable[QuarantineItem]) -> str:
    """A hash of all that a decision on these rows is made by."""
    digest = hashlib.sha256()
    for item in sorted(items, key=lambda each: each.pk):
        looked_at = (item.pk, item.status, item.code, item.held_by, item.message, item.fingerprint)
        digest.update(json.dumps(looked_at).encode())
    return digest.hexdigest()


def refuse_unless_seen(items: Iterable[QuarantineItem], seen: str | None) -> None:
    """Nothing is decided but what was looked at; None where nobody looked before.

    Raises:
        SelectionChanged: the rows have another fingerprint by now.
    """
    if seen is not None and seen != fingerprint(items):
        raise SelectionChanged(
            said("Somebody decided on one of these rows in the meantime, or one changed; look again and decide anew.")
        )
