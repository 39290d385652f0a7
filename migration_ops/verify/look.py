"""Looks at documents of given keys in both stores, and says what each of them is."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from migration_ops import state
from migration_ops.definition import AnyMigration, Rejection, RowStore, Side, Store
from migration_ops.models import DirtyKey, Severity
from migration_ops.rollout import routing
from migration_ops.sync import dirty, refusals
from migration_ops.verify.compare import Kind, Verdict, judge
from migration_ops.verify.severity import severity


@dataclass(frozen=True, slots=True)
class Seen:
    """What one key is.

    Attributes:
        severity, digest: of a difference: how bad it is, and what identifies the content of both sides.
    """

    verdict: Verdict
    severity: Severity | None = None
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look at some keys showed.

    Attributes:
        seen: by encoded key.
        rows: legacy rows they have.
        quarantined: how many of these are in quarantine.
        rejections: of the legacy store.
    """

    seen: dict[str, Seen]
    rows: int = 0
    quarantined: int = 0
    rejections: list[Rejection[Any]] = field(default_factory=list)


def look(
    migration: AnyMigration, legacy: RowStore[Any, Any], modern: Store[Any, Any], encoded: Collection[str]
) -> Looked:
    """What these keys are now; to be called in a snapshot.

    A document that legacy has only rejected rows of, or that the modern database refused as it is, is nobody's
    difference: it is in quarantine.
    """
    keys = {each: migration.decode_key(each) for each in encoded}
    in_legacy = legacy.load(keys.values())
    documents, in_modern = in_legacy.by_key(), modern.load(keys.values()).by_key()
    refused = refusals.standing(migration, in_legacy.links)
    held = {rejection.key for rejection in in_legacy.rejections} - set(documents)
    held |= {link.key for link in refused} - set(in_modern)
    verdicts = {
        each: Verdict(Kind.ABSENT) if key in held else judge(migration, documents.get(key), in_modern.get(key))
        for each, key in keys.items()
    }
    unequal = [each for each, verdict in verdicts.items() if verdict.kind.is_difference]
    waiting = waiting_among(migration, unequal)
    now = state.read(migration) if unequal else None
    seen = {}
    for each, verdict in verdicts.items():
        if not verdict.kind.is_difference:
            seen[each] = Seen(verdict)
            continue
        key = keys[each]
        reads = routing.own_authority(migration, migration.unit(key), now).side
        bad = severity(verdict, reads=reads, waiting=each in waiting)
        seen[each] = Seen(verdict, bad, digest(migration, documents.get(key), in_modern.get(key)))
    rejections = in_legacy.rejections
    return Looked(seen, len(in_legacy.links) + len(rejections), len(rejections) + len(refused), rejections)


def digest(migration: AnyMigration, legacy: Any | None, modern: Any | None) -> str:
    """Stands for what both sides say; another one as soon as either says anything else."""
    images = [None if document is None else migration.image(document) for document in (legacy, modern)]
    text = json.dumps(images, ensure_ascii=False, sort_keys=True, default=str)
    return blake2b(text.encode(errors="surrogatepass"), digest_size=32).hexdigest()


def waiting_among(migration: AnyMigration, keys: Collection[str]) -> set[str]:
    """Those of these encoded keys on which a change waits: noted by key, or by a row they are made of."""
    if not keys:
        return set()
    waiting = dirty.pending(migration, Side.LEGACY, keys) | dirty.pending(migration, Side.MODERN, keys)
    if migration.rows_from:
        return waiting  # the list names rows of the legacy store
    batch = migration.legacy().load([migration.decode_key(key) for key in keys if key not in waiting])
    owners = {link.row: migration.encode_key(link.key) for link in batch.links}
    rows = DirtyKey.objects.filter(migration=migration.name, row__in=list(owners)).values_list("row", flat=True)
    return waiting | {owners[row] for row in rows if row is not None}
