"""Numbers of rows, as people type them."""

from __future__ import annotations

from collections.abc import Iterable

from migration_ops.exceptions import UnusableInput


def numbers(words: Iterable[str], *, shown_by: str) -> list[int]:
    """Each once, in their order.

    Raises:
        UnusableInput: one is none; `shown_by` is the command that lists those there are.
    """
    found = list(words)
    wrong = [word for word in found if not (word.isascii() and word.isdigit() and len(word) < 19)]
    if wrong:
        raise UnusableInput(f"{wrong[0]!r} is no id; `{shown_by}` shows them.")
    return list(dict.fromkeys(map(int, found)))
