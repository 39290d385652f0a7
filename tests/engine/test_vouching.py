"""Vouching for gates: by name, with a reason, for one step, and moving nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from migration_ops import history, state
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import GateClosed, Refused, StageChanged, UnusableInput
from migration_ops.models import GateOverride, HistoryEntry
from migration_ops.rollout import control
from migration_ops.stages import Stage
from tests.engine.syncing import begin_dual_write

WHO: dict[str, Any] = {"actor": "ann", "reason": "seen with my own eyes"}


@pytest.fixture
def closed(notes: AnyMigration) -> AnyMigration:
    """At `dual_write`, with no backfill and no validation: the way to `shadow` is closed."""
    begin_dual_write(notes)
    with pytest.raises(GateClosed):
        control.advance(notes, actor="ann")
    return notes


def test_whoever_takes_the_step_in_time_goes_through(closed: AnyMigration) -> None:
    before = state.read(closed)
    change = control.vouch(closed, **WHO)
    assert (change.before, change.after, state.read(closed)) == (before, before, before)
    assert {gate.id for gate in change.gates if gate.waived} == {"backfill_complete", "validation_clean"}
    assert control.advance(closed, actor="ben").after.stage is Stage.SHADOW
    assert history.verify().ok


def test_it_stands_in_the_history_with_the_gates_as_they_were(closed: AnyMigration) -> None:
    control.vouch(closed, **WHO)
    entry = HistoryEntry.objects.latest("id")
    assert (entry.verb, entry.actor, entry.reason) == ("override", "ann", WHO["reason"])
    waived = {gate["id"] for gate in entry.evidence["gates"] if gate["waived"]}
    assert waived == set(GateOverride.objects.get().gates) == {"backfill_complete", "validation_clean"}


def test_a_dry_run_grants_nothing_and_needs_no_reason_yet(closed: AnyMigration) -> None:
    assert not any(gate.waived for gate in control.vouch(closed, actor="ann", dry_run=True).gates)
    assert any(gate.waived for gate in control.vouch(closed, **WHO, dry_run=True).gates)
    assert not GateOverride.objects.exists()


def test_without_a_reason_nobody_vouches(closed: AnyMigration) -> None:
    with pytest.raises(UnusableInput, match="needs a reason"):
        control.vouch(closed, actor="ann", reason=" ")
    assert not GateOverride.objects.exists()


def test_it_is_refused_where_there_is_nothing_to_vouch_for(closed: AnyMigration) -> None:
    control.vouch(closed, **WHO)
    with pytest.raises(Refused, match="None of the gates"):
        control.vouch(closed, **WHO)
    assert GateOverride.objects.count() == 1


def test_what_was_decided_on_another_state_is_refused(closed: AnyMigration) -> None:
    seen = state.read(closed).version
    control.hold(closed, actor="ben")
    with pytest.raises(StageChanged):
        control.vouch(closed, **WHO, version=seen)
    assert not GateOverride.objects.exists()


def test_several_at_once_grant_one_override(closed: AnyMigration) -> None:
    def vouch(_number: int) -> bool:
        try:
            control.vouch(closed, **WHO)
        except Refused:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(vouch, range(8))) == 1
    assert GateOverride.objects.count() == 1
