"""What is migrated: documents that know their key, the two sides they are on, and where two of them differ."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeVar

KeyT = TypeVar("KeyT")
"""Identity of a document: hashable, orderable, the same in both stores."""

DocumentT = TypeVar("DocumentT", bound="Keyed[Any]")

KeyT_co = TypeVar("KeyT_co", covariant=True)

Json = Any
"""What `json.loads` returns."""


class Keyed(Protocol[KeyT_co]):
    """A document: an immutable value that knows its key and compares by content."""

    @property
    def key(self) -> KeyT_co: ...


class Side(StrEnum):
    """One of the two stores of a migration."""

    LEGACY = "legacy"
    MODERN = "modern"

    @property
    def other(self) -> Side:
        return Side.MODERN if self is Side.LEGACY else Side.LEGACY


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """One field in which two documents differ: values as JSON, None where a side has no such field."""

    path: str
    legacy: Json
    modern: Json
