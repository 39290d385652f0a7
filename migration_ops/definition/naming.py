"""How a person names a document: by the parts of its key, as they are asked for in a form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic

from migration_ops.definition.documents import KeyT


@dataclass(frozen=True, slots=True)
class KeyPart:
    """One field of the form.

    Attributes:
        name: as in `Migration.describe_key`.
        label: what stands beside the field, a msgid for gettext.
        is_date: whether it is a date, in ISO 8601.
    """

    name: str
    label: str
    is_date: bool = False


@dataclass(frozen=True, slots=True)
class KeyForm(Generic[KeyT]):
    """The parts, and how they become a key.

    Attributes:
        read: the key that a person means by these parts, each as it was typed. Raises `UnusableInput` with a sentence
            where they name none, or more than one.
    """

    parts: tuple[KeyPart, ...]
    read: Callable[[Mapping[str, str]], KeyT]
