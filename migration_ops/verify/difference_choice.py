"""Which differences a decision is about: found, locked, and as they were looked at."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable

from django.db.models import QuerySet

from migration_ops.definition import AnyMigration
from migration_ops.exceptions import SelectionChanged, UnusableInput
from migration_ops.models import STANDING, Difference
from migration_ops.sentence import said, word
from migration_ops.verify.difference_listing import all_of


def chosen(migration: AnyMigration, ids: Collection[int]) -> list[Difference]:
    """The differences of these ids, which are there as far as anybody knows.

    Raises:
        UnusableInput: none was named, or one is unknown or not standing.
    """
    return _chosen(migration, ids, all_of(migration))


def locked(migration: AnyMigration, ids: Collection[int]) -> list[Difference]:
    """As `chosen`, locked until the end of the transaction."""
    return _chosen(migration, ids, all_of(migration).select_for_update(of=("self",)))


def fingerprint(items: Iterable[Difference], plans: Iterable[object] = ()) -> str:
    """A hash of all that a decision on these differences is made by.

    Args:
        plans: what would be done; their `repr` tells them apart.
    """
    digest = hashlib.sha256()
    for each in sorted(items, key=lambda item: item.pk):
        looked_at = (each.pk, each.status, each.severity, each.kind, each.digest, each.explained_by, each.explanation)
        digest.update(json.dumps(looked_at).encode())
    for plan in plans:
        digest.update(repr(plan).encode())
    return digest.hexdigest()


def refuse_unless_seen(now: str, seen: str | None) -> None:
    """Nothing is done but what was looked at; `seen` is None where nobody looked before.

    Raises:
        SelectionChanged: it has another fingerprint by now.
    """
    if seen is not None and seen != now:
        raise SelectionChanged(
            said("One of these differences is no longer what was looked at; look again and decide anew.")
        )


def _chosen(migration: AnyMigration, ids: Collection[int], among: QuerySet[Difference]) -> list[Difference]:
    if not ids:
        raise UnusableInput(said("Name the differences by their ids; `detect_drift list` shows them."))
    found = list(among.filter(pk__in=ids).order_by("pk"))
    unknown = sorted(set(ids) - {each.pk for each in found})
    if unknown:
        names = ", ".join(map(str, unknown))
        raise UnusableInput(said("No difference of %(name)s has the id %(ids)s.", name=migration.name, ids=names))
    for each in found:
        if each.status not in STANDING:
            raise UnusableInput(
                said(
                    "Difference %(id)s is %(status)s; there is nothing to do about it.",
                    id=str(each.pk),
                    status=word(each.status),
                )
            )
    return found
