"""Tables and sentences that several commands show to people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

COLOURS = {
    "pass": "green",
    "fail": "red",
    "inconclusive": "yellow",
    "error": "red",
    "ok": "green",
    "warn": "yellow",
}


def coloured(word: str) -> str:
    """A verdict or status in its colour; the word says the same without."""
    return f"[{COLOURS.get(word, 'default')}]{escape(word)}[/]"


def gate_table(found: Iterable[Mapping[str, Any]]) -> Table:
    """Gates with their verdicts and sentences."""
    table = Table("gate", "verdict", "what was found", title="Gates of the next step", title_justify="left")
    for gate in found:
        table.add_row(escape(gate["id"]), coloured(str(gate["verdict"])), escape(gate["message"]))
    return table


def stage_sentences(shown: Mapping[str, Any]) -> tuple[str, ...]:
    """Where a migration stands and where it can go, a sentence each."""
    ahead = f"next {shown['next']}" if shown["next"] else "this is the last stage"
    back_to = f"back to {', '.join(shown['back_to'])}" if shown["back_to"] else "nowhere to go back to"
    lines = [f"{escape(shown['migration'])} is at [bold]{shown['stage']}[/] ({ahead}; {back_to})."]
    if shown["stage"] == "ramp":
        lines.append(f"{shown['percent']:g} % of the units read modern.")
    if shown["hold"]:
        lines.append("[yellow]On hold: nothing moves forward.[/]")
    if shown["kill"]:
        lines.append("[red]Killed: every read is answered by legacy.[/]")
    behind = shown.get("way_back") or {}
    if behind.get("waiting"):
        lines.append(f"[yellow]{behind['waiting']} changes of modern have not reached legacy yet.[/]")
    lines += [
        f"[red]Legacy could not hold {', '.join(map(str, list(each.values())[:-1]))}:[/] {escape(each['reason'])}"
        for each in behind.get("examples", ())[:10]
    ]
    return tuple(lines)
