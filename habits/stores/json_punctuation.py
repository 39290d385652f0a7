"""What stands between the values of a JSON text: white space, colons, commas. Each call leaves the window behind it."""

from __future__ import annotations

import re

from habits.stores.json_window import Window
from migration_ops.exceptions import UnusableInput

_SPACE = re.compile(r"[ \t\n\r]*")


def space(window: Window) -> None:
    """Go past white space; afterwards the window is at a character, or at the end of the file."""
    while True:
        if window.pos >= len(window.text):
            window.fill()
        found = _SPACE.match(window.text, window.pos)
        end = window.pos if found is None else found.end()
        window.move(end)
        if end < len(window.text) or window.ended:
            return


def colon(window: Window) -> None:
    """Go past the colon behind a member's name, and the white space around it.

    Raises:
        UnusableInput: there is none.
    """
    space(window)
    if window.peek() != ":":
        raise unexpected(window, "':'")
    window.move(window.pos + 1)
    space(window)


def separator(window: Window, closing: str) -> None:
    """Go past white space, and past one comma unless this is the end.

    Raises:
        UnusableInput: there is neither a comma nor the end, or nothing follows the comma.
    """
    space(window)
    if window.peek() == ",":
        window.move(window.pos + 1)
        space(window)
        if window.peek() == closing:
            raise unexpected(window, "another value")
    elif window.peek() != closing:
        raise unexpected(window, f"',' or {closing!r}")


def unexpected(window: Window, wanted: str) -> UnusableInput:
    """Says that the file cannot be used because something else than this stands here, or nothing at all."""
    found = window.peek()
    if not found:
        return window.truncated()
    return window.error(window.pos, f"expected {wanted}, found {found!r}")
