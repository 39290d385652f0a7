"""One document as both stores have it, and all that the engine knows of it. Selectors only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from migration_ops.definition import AnyMigration, Json, Side
from migration_ops.exceptions import UnusableInput
from migration_ops.models import BeforeImage, DirtyKey, Lineage, MergeRecord, QuarantineItem
from migration_ops.rollout import routing, visitor
from migration_ops.rollout.routing import Decision
from migration_ops.sentence import said
from migration_ops.sync import dirty
from migration_ops.verify.snapshot import in_snapshot

MOST = 100
"""Notices, rows and images that are shown of one document; the latest."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the document: None where a side has no such field, or no document."""

    path: str
    legacy: Json
    modern: Json
    differs: bool


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is known of one key.

    Attributes:
        key: its canonical text.
        there: which stores have a document of it.
        fields: both documents, field by field; those that differ are marked as a validation would.
        decision: the store that has the word for it, and why.
        notices: of the dirty list that speak of it.
        rows: legacy rows that are part of it, or quarantined with it.
        quarantined: those that wait or were decided on.
        merges: how several rows became one document.
        images: what it looked like before the engine changed it, the latest first.
    """

    key: str
    parts: Mapping[str, str]
    there: frozenset[Side]
    fields: Sequence[Field]
    decision: Decision
    notices: Sequence[DirtyKey]
    rows: Sequence[Lineage]
    quarantined: Sequence[QuarantineItem]
    merges: Sequence[MergeRecord]
    images: Sequence[BeforeImage]


def named(migration: AnyMigration, parts: Mapping[str, str]) -> Any:
    """The key that a person means by these parts.

    Raises:
        UnusableInput: they name none, or this migration's keys have no parts.
    """
    if migration.key_form is None:
        raise UnusableInput(said("%(migration)s does not say how a person names a key.", migration=migration.name))
    return migration.key_form.read(parts)


def encoded(migration: AnyMigration, text: str) -> Any:
    """The key of this canonical text.

    Raises:
        UnusableInput: it is none.
    """
    no_key = UnusableInput(said("This is no key of %(migration)s.", migration=migration.name))
    try:
        key = migration.decode_key(text)
        again = migration.encode_key(key)
    except (ValueError, TypeError, LookupError, AttributeError):
        raise no_key from None
    if again != text:
        raise no_key
    return key


def inspect(migration: AnyMigration, key: Any) -> Inspection:
    """Everything of this key, the stores at one moment; there need not be a document.

    Raises:
        Unreadable: this database role does not see everything.
        MigrationOpsError: a store cannot be read.
    """
    text = migration.encode_key(key)
    there, fields = in_snapshot(lambda _: _documents(migration, key), 1)
    with visitor.asking(None):  # what the one who inspects asks for is not what the key's own people get
        decision = routing.of_keys(migration, [key], routing.of_unit(migration, migration.unit(key)))[key]
    notices = [notice for notice, _, _ in dirty.speaking_of(migration, [text])]
    name = {"migration": migration.name}
    return Inspection(
        key=text,
        parts=migration.describe_key(key),
        there=there,
        fields=fields,
        decision=decision,
        notices=list(DirtyKey.objects.filter(pk__in=notices).order_by("-id")[:MOST]),
        rows=list(Lineage.objects.filter(**name, key=text).order_by("source", "row")[:MOST]),
        quarantined=list(QuarantineItem.objects.filter(**name, key=text).order_by("-id")[:MOST]),
        merges=list(MergeRecord.objects.filter(**name, key=text).order_by("-id")[:MOST]),
        images=list(BeforeImage.objects.filter(**name, key=text).order_by("-id")[:MOST]),
    )


def _documents(migration: AnyMigration, key: Any) -> tuple[frozenset[Side], list[Field]]:
    found = {side: next(iter(migration.store(side).load([key]).documents), None) for side in Side}
    legacy, modern = found[Side.LEGACY], found[Side.MODERN]
    there = frozenset(side for side, document in found.items() if document is not None)
    differing: set[str] = set()
    if legacy is not None and modern is not None:
        differing = {difference.path for difference in migration.differences(legacy, modern)}
    sides = {side: flat(migration.image(document)) if document is not None else {} for side, document in found.items()}
    paths = dict.fromkeys([*sides[Side.LEGACY], *sides[Side.MODERN]])
    fields = [
        Field(path, sides[Side.LEGACY].get(path), sides[Side.MODERN].get(path), is_among(path, differing))
        for path in paths
    ]
    return there, fields


def is_among(path: str, differing: set[str]) -> bool:
    """Whether this field, a part of it, or one that it is part of, differs; pure."""
    return any(path == each or _is_part(path, each) or _is_part(each, path) for each in differing)


def _is_part(path: str, of: str) -> bool:
    return path.startswith((f"{of}.", f"{of}["))


def flat(value: Json, path: str = "") -> dict[str, Json]:
    """Every value of a document by its path, e.g. `habits[2].times`, in the order of the document; a list of plain
    values is one value. Pure."""
    if isinstance(value, Mapping):
        parts = [flat(each, f"{path}.{name}" if path else str(name)) for name, each in value.items()]
    elif isinstance(value, list) and any(isinstance(each, Mapping | list) for each in value):
        parts = [flat(each, f"{path}[{place}]") for place, each in enumerate(value)]
    else:
        return {path: value}
    return {name: each for part in parts for name, each in part.items()}
