"""What Korean pages make of the engine's sentences, and whether anything English is left in it."""

from __future__ import annotations

import re

from django.utils import translation

from migration_ops import gates
from migration_ops.definition import AnyMigration
from migration_ops.gates import Gate
from migration_ops.web import wording

NAMES = frozenset(
    {"p95", "ms", "pid", "SQLSTATE", "PostgreSQL", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "notes", "postgres"}
)
"""What is called the same in every language; code, with a `_` or a dot in it, and what stands in backticks, is too."""

_CODE = re.compile(r"`[^`]*`|\w*[A-Za-z]\w*(?:[._]\w+)+")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_NUMBER = re.compile(r"\d[\d,.:]*\d|\d")


def in_korean(text: str) -> str:
    """As a page says it to somebody who reads Korean."""
    with translation.override("ko"):
        return wording.translated(text)


def english_in(text: str) -> list[str]:
    """Words of Latin letters that are no names."""
    return [word for word in _WORD.findall(_CODE.sub(" ", text)) if word not in NAMES]


def numbers_in(text: str) -> list[str]:
    return sorted(_NUMBER.findall(text))


def assert_korean(text: str, *, quoting: str = "") -> None:
    """It can be said in Korean with the same numbers, and nothing stays English but what it is `quoting`."""
    korean = in_korean(text)
    assert quoting in text
    assert quoting in korean
    assert english_in(korean.replace(quoting, "")) == []
    assert numbers_in(korean) == numbers_in(text)


def found(migration: AnyMigration, gate_id: str, *, quoting: str = "") -> Gate:
    """The gate as it is now; however it is, it can be said in Korean."""
    (gate,) = gates.evaluate(migration, [gate_id])
    assert gate.id == gate_id
    assert_korean(gate.message, quoting=quoting)
    return gate
