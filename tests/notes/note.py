"""The document of the tiny domain, and how legacy rows become one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from migration_ops.definition import FieldDifference, Merge, Rejection


class NoteKey(NamedTuple):
    notebook: str
    title: str


@dataclass(frozen=True, slots=True)
class Note:
    """A note: its lines, the newest row's first."""

    key: NoteKey
    lines: tuple[str, ...] = ()


class Row(NamedTuple):
    id: int
    notebook: str | None
    title: str | None
    body: str | None

    @property
    def key(self) -> NoteKey | None:
        if self.notebook and self.title and self.title.strip():
            return NoteKey(self.notebook, self.title.strip())
        return None

    @property
    def fingerprint(self) -> str:
        return blake2b(repr(self[1:]).encode(), digest_size=16).hexdigest()


def reject(row: Row) -> Rejection[NoteKey] | None:
    """Why this row cannot be represented, or None."""
    if not row.notebook:
        code, message = "notebook_missing", f"Row {row.id} belongs to no notebook."
    elif row.key is None:
        code, message = "title_missing", f"Row {row.id} has no title."
    elif row.body is None:
        code, message = "body_missing", f"Row {row.id} has no body."
    else:
        return None
    return Rejection(str(row.id), code, message, row.key, json.dumps(row), row.fingerprint)


@dataclass(frozen=True, slots=True)
class Assembled:
    note: Note | None
    leader: int | None
    merge: Merge[NoteKey] | None
    rejections: tuple[Rejection[NoteKey], ...]
    fingerprints: Mapping[str, str] = field(default_factory=dict)


def assemble(key: NoteKey, rows: Iterable[Row], accepted: Mapping[str, str]) -> Assembled:
    """One note from all rows of its key, unless a row that nobody accepted holds it."""
    ordered = sorted(rows, reverse=True)
    rejected = {row.id: rejection for row in ordered if (rejection := reject(row))}
    rejections = [
        Rejection(r.row, r.code, r.message, r.key, r.raw, r.fingerprint, accepted=accepted.get(r.row) == r.fingerprint)
        for r in rejected.values()
    ]
    good = [row for row in ordered if row.id not in rejected]
    culprit = next((rejection for rejection in rejections if not rejection.accepted), None)
    if culprit is not None:
        message = f"Held because row {culprit.row} of the same note is in quarantine ({culprit.code})."
        held = [
            Rejection(str(row.id), culprit.code, message, key, json.dumps(row), row.fingerprint, held_by=culprit.row)
            for row in good
        ]
        return Assembled(None, None, None, (*rejections, *held))
    if not good:
        return Assembled(None, None, None, tuple(rejections))
    note = Note(key, tuple(row.body or "" for row in good))
    merge = Merge(key, tuple(str(row.id) for row in good)) if len(good) > 1 else None
    fingerprints = {str(row.id): row.fingerprint for row in good}
    return Assembled(note, good[0].id, merge, tuple(rejections), fingerprints)


def differences(legacy: Note, modern: Note) -> list[FieldDifference]:
    if legacy == modern:
        return []
    longest = max(len(legacy.lines), len(modern.lines))
    left = [*legacy.lines, *[None] * (longest - len(legacy.lines))]
    right = [*modern.lines, *[None] * (longest - len(modern.lines))]
    return [FieldDifference(f"lines[{n}]", a, b) for n, (a, b) in enumerate(zip(left, right, strict=True)) if a != b]


def equal_lines(legacy: Note, modern: Note) -> int:
    return sum(a == b for a, b in zip(legacy.lines, modern.lines, strict=False))
