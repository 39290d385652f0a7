"""Every command with `--dry-run` says in its JSON that it was one, when it refuses as well, and writes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from migration_ops import state
from migration_ops.definition import AnyMigration
from migration_ops.management.base import OperatorCommand
from migration_ops.management.commands.rollout import VERBS
from migration_ops.models import HistoryEntry
from tests.engine.conftest import notes  # noqa: F401 - the tiny domain
from tests.engine.syncing import begin_dual_write, command, go_to_ramp
from tests.notes import schema


def _owners(directory: Path) -> str:
    file = directory / "owners.csv"
    file.write_text("id,email\n")
    return str(file)


MORE: dict[str, tuple[str, ...]] = {"set": ("20",), "canary": ("--header", "X-Boards")}

RUNS: list[tuple[str, ...]] = [
    ("alerts", "list"),
    ("alerts", "acknowledge", "1"),
    ("backfill", "start"),
    ("backfill", "pause"),
    ("detect_drift",),
    ("detect_drift", "--repair"),
    ("detect_drift", "list"),
    *(("detect_drift", verb, "1", "--reason", "x") for verb in ("look", "explain", "reopen", "repair")),
    ("quarantine", "list"),
    ("quarantine", "accept", "1"),
    ("quarantine", "assign-owner", "1", "--owner", "00000000-0000-0000-0000-000000000001"),
    ("quarantine", "retry"),
    ("shadow_schema", "status"),
    ("shadow_schema", "validate"),
    ("shadow_schema", "drop"),
    ("stage", "status"),
    ("stage", "advance"),
    ("stage", "back", "--to", "off"),
    ("sync_changes",),
    ("sync_changes", "--follow"),
    ("validate_migration",),
    ("validate_migration", "--repair"),
    *(("rollout", verb, *MORE.get(verb, ())) for verb in VERBS),
    ("import_owners", "OWNERS"),
    ("purge_idempotency",),
    ("seed_legacy", "--rows", "20"),
    ("simulate_traffic", "--make-owners"),
    ("simulate_traffic", "--remove-owners"),
    ("weekly_reports",),
]


@pytest.fixture
def steered(notes: AnyMigration) -> AnyMigration:  # noqa: F811
    """At `ramp`, with something to do for each."""
    schema.add_rows(("garden", "peas", "sow"))
    begin_dual_write(notes)
    go_to_ramp(notes, percent=5)
    return notes


def _rehearsing() -> set[str]:
    ours = {name: app for name, app in get_commands().items() if app in ("config.embedded", "habits", "migration_ops")}
    loaded = {name: load_command_class(str(app), name) for name, app in ours.items()}
    return {name for name, each in loaded.items() if isinstance(each, OperatorCommand) and each.has_dry_run}


def test_every_command_that_has_a_dry_run_is_tried() -> None:
    assert {name for name, *_ in RUNS} == _rehearsing()


@pytest.mark.parametrize("arguments", RUNS, ids=" ".join)
def test_a_dry_run_says_that_it_is_one_and_changes_nothing(
    steered: AnyMigration, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    before, entries = state.read(steered), HistoryEntry.objects.count()
    given = [_owners(tmp_path) if each == "OWNERS" else each for each in arguments]
    _, printed = command(*given, "--dry-run")
    assert printed["dry_run"] is True
    assert (state.read(steered), HistoryEntry.objects.count()) == (before, entries)


@pytest.mark.parametrize("arguments", [("stage", "status"), ("rollout", "status"), ("stage", "advance")], ids=" ".join)
def test_what_is_no_dry_run_does_not_say_so(steered: AnyMigration, arguments: tuple[str, ...]) -> None:
    assert not command(*arguments)[1].get("dry_run")
