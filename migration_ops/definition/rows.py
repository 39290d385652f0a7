"""What became of legacy rows: part of a document, rejected, or merged with others into one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic

from migration_ops.definition.documents import KeyT


@dataclass(frozen=True, slots=True)
class RowLink(Generic[KeyT]):
    """Lineage: this legacy row is part of the document with this key."""

    row: str
    key: KeyT
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Rejection(Generic[KeyT]):
    """A legacy row that cannot be represented, or that is held because a row of the same document cannot.

    Attributes:
        row: the row's id as text.
        code: one of the migration's `rejection_codes`.
        message: a sentence that names what is wrong and where.
        key: the document it would belong to, where that can be read.
        raw: the row as JSON text, for the person who decides.
        fingerprint: of the row's content; an acceptance holds only while it stays the same.
        held_by: the row whose rejection holds this one back; None for a row that is rejected itself.
        accepted: a person accepted that this row stays behind; it no longer holds its document.
    """

    row: str
    code: str
    message: str
    key: KeyT | None = None
    raw: str = ""
    fingerprint: str = ""
    held_by: str | None = None
    accepted: bool = False


@dataclass(frozen=True, slots=True)
class CodeMeaning:
    """What a rejection's code means to the person who decides; msgids for gettext.

    Attributes:
        means: what is wrong with such a row, a sentence.
        advice: what to do about it, a sentence or two.
        lacks_unit: whether giving the row a unit mends it.
    """

    means: str
    advice: str
    lacks_unit: bool = False


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two rows of one document said different things; the leader's word was kept.

    Attributes:
        path: where in the document, e.g. `habits[2].times[0]`.
        kept: what the document says now.
        dropped: what the lower row said.
        row: the lower row.
    """

    path: str
    kept: str
    dropped: str
    row: str


@dataclass(frozen=True, slots=True)
class Merge(Generic[KeyT]):
    """Several legacy rows became one document: its leading row first, then the others in the order they were taken."""

    key: KeyT
    rows: tuple[str, ...]
    conflicts: tuple[Conflict, ...] = ()
