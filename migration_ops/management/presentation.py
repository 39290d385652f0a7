"""Tables and sentences that several commands show to people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from rich.text import Text

from migration_ops import moment
from migration_ops.gates.figures import figures
from migration_ops.management.rows import Rows

COLOURS = {
    "pass": "green",
    "fail": "red",
    "inconclusive": "yellow",
    "error": "red",
    "ok": "green",
    "warn": "yellow",
}


def coloured(word: str) -> Text:
    """A verdict or status in its colour; the word says the same without."""
    return Text(word, style=COLOURS.get(word, "default"))


def some(count: int, one: str, many: str = "") -> str:
    """So many of something: `1 row`, `1,200 rows`, `2 families`. Most words take an s in the plural."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def when(at: str) -> str:
    """A moment that JSON has, as people read it."""
    return moment.shown(datetime.fromisoformat(at))


def gate_rows(found: Iterable[Mapping[str, Any]], *, step: str) -> Rows:
    """Gates with their verdicts, sentences and numbers; who vouches for one that is closed stands with it."""
    rows = Rows("gate", "verdict", "what was found", title=f"Gates of the step to {step}", prose=("what was found",))
    for gate in found:
        said = [Text(gate["message"])]
        if gate["waived"]:
            said.append(Text(f"Waived: {gate['waived']}", style="yellow"))
        numbers = " · ".join(f"{name} {value}" for name, value in figures(gate))
        if numbers:
            said.append(Text(numbers, style="dim"))
        rows.add(gate["id"], coloured(str(gate["verdict"])), Text("\n").join(said))
    return rows


def history_rows(entries: Iterable[Mapping[str, Any]]) -> Rows:
    """Entries of the history as `rollout.standing` has them, in this order: when, what, and what changed by it."""
    rows = Rows("when", "who", "what", "change", "why", "vouched for", title="History", prose=("who", "why"))
    for each in entries:
        cells = (each["actor"], each["verb"], _change(each), each["reason"], "\n".join(each["vouched_for"]))
        rows.add(when(each["at"]), *cells)
    return rows


def _change(entry: Mapping[str, Any]) -> str:
    """From where to where; nothing of what stayed as it was."""
    said = []
    if entry["from"] != entry["to"]:
        said.append(f"{entry['from'] or '–'} → {entry['to'] or '–'}")
    before, after = entry["from_percent"], entry["to_percent"]
    if before != after and None not in (before, after):
        said.append(f"{before:g} % → {after:g} %")
    return "\n".join(said)


def brakes(*, hold: bool, kill: bool) -> list[Text]:
    """What keeps a migration where it is, a sentence each."""
    lines = []
    if kill:
        lines.append(Text("Killed: every read is answered by legacy.", style="red"))
    if hold:
        lines.append(Text("On hold: nothing moves forward.", style="yellow"))
    return lines


def stage_sentences(shown: Mapping[str, Any]) -> tuple[Text, ...]:
    """Where a migration stands and where it can go, a sentence each."""
    ahead = f"next {shown['next_step']}" if shown["next_step"] else "this is the last stage"
    back_to = f"back to {', '.join(shown['back_to'])}" if shown["back_to"] else "nowhere to go back to"
    lines = [Text.assemble(f"{shown['migration']} is at ", (shown["stage"], "bold"), f" ({ahead}; {back_to}).")]
    if shown["stage"] == "ramp":
        lines.append(Text(f"{shown['percent']:g} % of the units read modern."))
    lines += brakes(hold=shown["hold"], kill=shown["kill"])
    behind = shown.get("way_back") or {}
    if waiting := behind.get("waiting"):
        verb = "has" if waiting == 1 else "have"
        lines.append(Text(f"{some(waiting, 'change')} of modern {verb} not reached legacy yet.", style="yellow"))
    lines += [
        Text.assemble(
            (f"Legacy could not hold {', '.join(map(str, list(each.values())[:-1]))}:", "red"), f" {each['reason']}"
        )
        for each in behind.get("examples", ())[:10]
    ]
    return tuple(lines)
