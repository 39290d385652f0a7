"""What became of every row and every cell, in two tables whose sums are checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from config.demo.console import console

PARTS = {
    "boards_written": "boards written",
    "boards_unchanged": "boards that were there already",
    "boards_merged": "rows merged into the board of another row",
    "rows_quarantined": "rows in quarantine",
}


def adds_up(backfill: Mapping[str, Any]) -> bool:
    """read = written + unchanged + merged + quarantined."""
    return bool(backfill["rows_read"] == sum(backfill[part] for part in PARTS))


def show_backfill(backfill: Mapping[str, Any]) -> None:
    table = Table(title="Every legacy row is accounted for", title_justify="left")
    table.add_column("legacy rows")
    table.add_column("", justify="right")
    for part, label in PARTS.items():
        table.add_row(label, f"{backfill[part]:,}")
    table.add_section()
    mark = "[green]=[/green]" if adds_up(backfill) else "[red]≠[/red]"
    table.add_row(f"[bold]{mark} rows read[/bold]", f"[bold]{backfill['rows_read']:,}[/bold]")
    console.print(table)
    console.print(f"  in {backfill['seconds']:,.1f} s, {backfill['rows_per_second']:,.0f} rows a second")


def show_validation(validation: Mapping[str, Any]) -> None:
    cells = validation["cells"]
    table = Table(title="Every cell is compared", title_justify="left")
    table.add_column("validation")
    table.add_column("", justify="right")
    for key, label in (
        ("boards_compared", "boards compared, on both sides"),
        ("matched", "equal, field by field"),
        ("mismatched", "different"),
        ("missing_in_modern", "missing in the modern tables"),
        ("missing_in_legacy", "missing in legacy"),
        ("rows_quarantined", "rows left in quarantine"),
    ):
        table.add_row(label, f"{validation[key]:,}")
    table.add_section()
    for key, label in (("legacy", "marks in legacy"), ("modern", "marks in modern"), ("equal", "equal marks")):
        table.add_row(label, f"{cells[key]:,}")
    table.add_row("[bold]success[/bold]", f"[bold]{validation['success_rate']:g} %[/bold]")
    console.print(table)
    if validation["stray_rows"]:
        console.print(f"  [red]{validation['stray_rows']:,} modern rows belong to none of the boards.[/red]")
    if not validation["complete"]:
        console.print("  [yellow]The comparison is incomplete: it proves nothing about what it left out.[/yellow]")


def show_quarantine(quarantine: Mapping[str, Any]) -> None:
    """Why rows wait, by reason code."""
    if not quarantine["open"]:
        return
    codes = Counter(item["code"] for item in quarantine["items"])
    reasons = ", ".join(f"{count} × {code}" for code, count in codes.most_common())
    console.print(
        f"  In quarantine: {reasons}.\n"
        "  That is no failure: such rows cannot be represented without guessing. Their boards stay in legacy until"
        " somebody decides (`manage.py quarantine list`)."
    )
