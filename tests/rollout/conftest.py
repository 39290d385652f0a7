"""The tiny domain on the ramp, with its data where it should be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from migration_ops import gates
from migration_ops.definition import AnyMigration
from migration_ops.gates import Gate, Verdict
from tests.engine.conftest import notes, start_notes_command  # noqa: F401 - fixtures of this folder, too
from tests.engine.syncing import begin_dual_write, command, go_to_ramp
from tests.notes import schema


@pytest.fixture
def shadow(notes: AnyMigration) -> AnyMigration:  # noqa: F811
    """Rows carried over and compared, every gate about the data open, stage `dual_write`."""
    schema.add_rows(("garden", "peas", "sow"), ("kitchen", "bread", "bake"))
    begin_dual_write(notes)
    for step in (("backfill",), ("shadow_schema", "validate"), ("validate_migration",)):
        assert command(*step)[0] == 0, step
    return notes


@pytest.fixture
def ramp(shadow: AnyMigration) -> AnyMigration:
    """The same at `ramp` with 0 %."""
    go_to_ramp(shadow, percent=0)
    return shadow


@pytest.fixture
def people(db: None, django_user_model: Any) -> Any:
    """Makes users."""

    def make(name: str = "ann", **fields: Any) -> Any:
        return django_user_model.objects.create(email=f"{name}@example.com", **fields)

    return make


@pytest.fixture
def gate_says(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets a gate say what the test wants, as if the evidence were so."""

    def say(gate_id: str, verdict: Verdict, *, clear: bool = False) -> None:
        found = Gate(id=gate_id, verdict=verdict, message=f"The test says {verdict.value}.", clear=clear)
        monkeypatch.setitem(gates._evaluators, gate_id, (lambda migration: found, lambda migration: found))

    return say


EVIDENCE = (
    "dual_write_success",
    "shadow_reads_clean",
    "sync_lag",
    "read_errors",
    "read_latency",
    "soak_elapsed",
    "evaluator_alive",
    "cooled_down",
)


@pytest.fixture
def good_evidence(gate_says: Callable[..., None]) -> None:
    """All gates that are not about the data pass."""
    for gate_id in EVIDENCE:
        gate_says(gate_id, Verdict.PASS)
