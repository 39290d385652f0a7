"""What a person wrote does nothing to the terminal of whoever reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.core.management.base import OutputWrapper
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment

_ORDERS = {
    code: chr(0x2400 + code) if code < 0x20 else chr(0xFFFD)
    for code in (*range(0x20), *range(0x7F, 0xA0))
    if code != 10
}
"""Control characters, by which a name could clear the screen or rename the window, and how each is shown."""


def visible(text: str) -> str:
    """The text with a sign for each control character but the end of a line."""
    return text.translate(_ORDERS)


class VisibleOutput(OutputWrapper):
    """Writes to where a command says what is wrong, and nothing but visible text."""

    def write(  # type: ignore[override]  # as Django's own
        self, msg: str = "", style_func: Callable[[str], str] | None = None, ending: str | None = None
    ) -> None:
        super().write(visible(msg), style_func, ending)


@dataclass(frozen=True, slots=True)
class Visible:
    """Something rich can render, whose texts hold no control characters; its colours stay."""

    shown: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self.shown, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)
