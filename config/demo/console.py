"""What the demo says. Progress bars of the commands go to stderr; everything here but failures goes to stdout."""

from __future__ import annotations

from rich.console import Console

console = Console(highlight=False, soft_wrap=True)
_stderr = Console(highlight=False, soft_wrap=True, stderr=True)


def heading(text: str) -> None:
    console.print(f"\n[bold]{text}[/bold]")


def line(text: str) -> None:
    console.print(f"  {text}", markup=False)


def fail(reason: str, exit_code: int) -> int:
    """Say why the demo ends early; returns the exit code."""
    _stderr.print(f"\nThe demo ended: {reason}", markup=False)
    return exit_code
