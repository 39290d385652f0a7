"""The dial: forward through gates and by the plan, back at once, each change once and in the history."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection

from migration_ops import history, state, transitions
from migration_ops.definition import AnyMigration, Side
from migration_ops.exceptions import GateClosed, Refused, StageChanged, UnusableInput
from migration_ops.gates import Verdict
from migration_ops.locks import fence_id
from migration_ops.models import Flag, GateOverride, HistoryEntry
from migration_ops.rollout import control, plan, ramping, routing
from migration_ops.rollout.control import Canaries, Change
from migration_ops.stages import Stage
from migration_ops.state import State
from tests.engine.syncing import go_to_live, run, second_connection
from tests.engine.waiting import InThread, eventually
from tests.notes import schema

ANN: dict[str, Any] = {"actor": "ann"}
VOUCHED: dict[str, Any] = {"actor": "ann", "reason": "looked at it myself", "override": True}


def percents(migration: AnyMigration) -> list[tuple[str, Any, Any]]:
    """What the history says of the dial, oldest first: verb, percentage before and after."""
    found = reversed(history.entries(migration))
    return [
        (entry.verb, entry.evidence["before"]["percent"], entry.evidence["after"]["percent"])
        for entry in found
        if entry.actor == "ann" or entry.actor.startswith("person")
    ]


def test_advance_follows_the_plan_and_then_goes_live(ramp: AnyMigration, good_evidence: None) -> None:
    seen = []
    while state.stage(ramp) is Stage.RAMP:
        after = control.advance(ramp, **ANN).after
        seen.append((after.stage, int(after.percent)))
    assert seen == [(Stage.RAMP, 5), (Stage.RAMP, 20), (Stage.RAMP, 50), (Stage.RAMP, 100), (Stage.LIVE, 100)]
    entry = history.entries(ramp)[1]
    assert (entry.verb, entry.from_stage, entry.to_stage) == ("set", "ramp", "ramp")
    passed = {gate["id"]: gate["verdict"] for gate in entry.evidence["gates"]}
    assert passed["plan_followed"] == passed["read_errors"] == passed["validation_clean"] == "pass"
    assert history.verify().ok


@pytest.mark.parametrize("gate", ["shadow_reads_clean", "evaluator_alive", "sync_lag"])
@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.ERROR])
def test_any_gate_that_does_not_pass_holds(
    ramp: AnyMigration, good_evidence: None, gate_says: Callable[..., None], gate: str, verdict: Verdict
) -> None:
    gate_says(gate, verdict)
    with pytest.raises(GateClosed, match=gate) as closed:
        control.advance(ramp, **ANN)
    assert {found.id: found.verdict for found in closed.value.gates if found.id == gate} == {gate: verdict}
    assert state.read(ramp).percent == 0
    assert percents(ramp) == []


def test_the_first_units_need_no_evidence_of_reads_and_further_ones_do(
    ramp: AnyMigration, good_evidence: None, gate_says: Callable[..., None]
) -> None:
    gate_says("read_errors", Verdict.INCONCLUSIVE)
    control.advance(ramp, **ANN)
    with pytest.raises(GateClosed, match="read_errors"):
        control.advance(ramp, **ANN)


def test_gates_are_computed_again_in_the_transaction(
    ramp: AnyMigration, good_evidence: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change past the app that arrives between the two looks closes the gate."""
    turn = ramping.turn

    def late(*args: Any, **kwargs: Any) -> Any:
        schema.add_rows(("garden", "leeks", "plant"))
        return turn(*args, **kwargs)

    monkeypatch.setattr(ramping, "turn", late)
    with pytest.raises(GateClosed, match="dirty_keys_drained"):
        control.advance(ramp, **ANN)
    assert state.read(ramp).percent == 0


def test_down_goes_at_once_whatever_the_gates_say(ramp: AnyMigration) -> None:
    control.set_percent(ramp, Decimal("5"), **VOUCHED)
    schema.add_rows(("garden", "leeks", "plant"))  # the list is not empty
    assert control.set_percent(ramp, Decimal("2.5"), **ANN).after.percent == Decimal("2.5")


def test_up_goes_by_the_plan_unless_somebody_vouches(ramp: AnyMigration, good_evidence: None) -> None:
    control.set_percent(ramp, Decimal(3), **ANN)
    with pytest.raises(GateClosed, match="The plan goes from 3 to 5 % next"):
        control.set_percent(ramp, Decimal(20), **ANN)
    control.set_percent(ramp, Decimal(20), **VOUCHED)
    assert GateOverride.objects.get().gates == ["plan_followed"]


def test_an_override_needs_a_reason_and_is_in_the_history(ramp: AnyMigration) -> None:
    for reason in ("", "  "):
        with pytest.raises(UnusableInput, match="needs a reason"):
            control.advance(ramp, actor="ann", reason=reason, override=True)
    change = control.advance(ramp, **VOUCHED)
    waived = {gate.id for gate in change.gates if gate.waived}
    assert {"dual_write_success", "shadow_reads_clean", "evaluator_alive"} <= waived
    (entry, *_) = history.entries(ramp)
    told = {gate["id"] for gate in entry.evidence["gates"] if "ann vouches" in gate["waived"]}
    assert told == waived


def test_nobody_can_vouch_for_data_that_is_not_there(ramp: AnyMigration) -> None:
    schema.add_rows(("garden", "leeks", "plant"))
    with pytest.raises(GateClosed) as closed:
        control.advance(ramp, **VOUCHED)
    assert [gate.id for gate in closed.value.gates if not gate.is_open] == ["dirty_keys_drained"]
    assert GateOverride.objects.count() == 0


def test_before_the_ramp_one_can_since_it_moves_nobody(notes: AnyMigration) -> None:
    control.advance(notes, **ANN)
    assert control.advance(notes, **VOUCHED).after.stage is Stage.SHADOW
    assert control.advance(notes, **VOUCHED).after.stage is Stage.RAMP
    with pytest.raises(GateClosed, match="backfill_complete"):
        control.advance(notes, **VOUCHED)


def test_an_override_ends_with_its_time_and_with_its_step(
    ramp: AnyMigration, good_evidence: None, gate_says: Callable[..., None]
) -> None:
    gate_says("sync_lag", Verdict.FAIL)
    control.advance(ramp, **VOUCHED)
    with pytest.raises(GateClosed, match="sync_lag"):  # another step
        control.advance(ramp, **ANN)
    GateOverride.objects.update(step=state.read(ramp).step)
    run("UPDATE migration_ops_gateoverride SET expires_at = clock_timestamp() - interval '1 second'")
    with pytest.raises(GateClosed, match="sync_lag"):  # another time
        control.advance(ramp, **ANN)
    run("UPDATE migration_ops_gateoverride SET expires_at = clock_timestamp() + interval '1 hour'")
    assert control.advance(ramp, **ANN).after.percent == 20


def test_hold_stops_forward_and_nothing_else(ramp: AnyMigration, good_evidence: None) -> None:
    control.advance(ramp, **ANN)
    control.hold(ramp, actor="ann", reason="lunch")
    for forward in (
        lambda: control.advance(ramp, **ANN),
        lambda: control.advance(ramp, **VOUCHED),
        lambda: control.canary(ramp, Canaries(percent=Decimal(1)), **ANN),
    ):
        with pytest.raises(Refused, match="on hold"):
            forward()
    control.rollback(ramp, **ANN)
    control.resume(ramp, **ANN)
    assert control.advance(ramp, **ANN).after.percent == 5


def test_kill_brings_all_reads_to_legacy_and_leaves_the_percentage(ramp: AnyMigration, good_evidence: None) -> None:
    control.set_percent(ramp, Decimal(100), **VOUCHED)
    before = state.read(ramp)
    killed = control.kill(ramp, actor="ann", reason="smoke").after
    assert (killed.percent, killed.kill, killed.step) == (100, True, before.step + 1)
    assert routing.of_unit(ramp, "garden").side is Side.LEGACY
    with pytest.raises(Refused, match="kill switch"):
        control.advance(ramp, **ANN)
    control.unkill(ramp, **ANN)
    assert routing.of_unit(ramp, "garden").side is Side.MODERN


@pytest.mark.parametrize(
    "reads_modern",
    [
        lambda ramp: control.set_percent(ramp, Decimal(5), **VOUCHED),
        lambda ramp: control.canary(ramp, Canaries(percent=Decimal(1)), **ANN),
        lambda ramp: control.canary(ramp, Canaries(header="X-Modern"), **ANN),
        lambda ramp: control.canary(ramp, Canaries(cookie="store"), **ANN),
        lambda ramp: control.canary(ramp, Canaries(groups=(Group.objects.create(name="testers"),)), **ANN),
        lambda ramp: run("UPDATE migration_ops_migrationstate SET stage = 'live', version = version + 1"),
    ],
    ids=["percentage", "share", "header", "cookie", "names", "live"],
)
@pytest.mark.parametrize("dry_run", [True, False])
def test_on_hold_the_kill_switch_does_not_come_off_if_somebody_would_read_modern_by_it(
    ramp: AnyMigration, good_evidence: None, reads_modern: Callable[[AnyMigration], object], dry_run: bool
) -> None:
    reads_modern(ramp)
    control.kill(ramp, **ANN)
    control.hold(ramp, **ANN)
    before = state.read(ramp)
    with pytest.raises(Refused, match=r"on hold at \w+, and without the kill switch .* Take the hold off first\."):
        control.unkill(ramp, **ANN, dry_run=dry_run)
    assert state.read(ramp) == before
    control.resume(ramp, **ANN)
    assert not control.unkill(ramp, **ANN).after.kill


def test_on_hold_the_kill_switch_comes_off_where_nobody_reads_modern_by_it(ramp: AnyMigration) -> None:
    control.kill(ramp, **ANN)
    control.hold(ramp, **ANN)
    assert (control.unkill(ramp, **ANN).after.kill, state.read(ramp).hold) == (False, True)


def test_a_hold_that_came_a_moment_before_counts(ramp: AnyMigration, monkeypatch: pytest.MonkeyPatch) -> None:
    """By SQL, which leaves the version as it is."""
    control.set_percent(ramp, Decimal(5), **VOUCHED)
    control.kill(ramp, **ANN)
    looked_at = state.read(ramp)
    monkeypatch.setattr(state, "seen", lambda *_: looked_at)
    run("UPDATE migration_ops_migrationstate SET hold = true")
    with pytest.raises(Refused, match="on hold"):
        control.unkill(ramp, **ANN)


def test_rollback_and_kill_wait_for_no_writer(ramp: AnyMigration) -> None:
    """Somebody holds the fence the whole time."""
    control.set_percent(ramp, Decimal(5), **VOUCHED)
    with second_connection() as other:
        other.execute("SELECT pg_advisory_xact_lock_shared(%s)", [fence_id(ramp)])
        control.kill(ramp, **ANN)
        assert control.rollback(ramp, **ANN).after.percent == 0


def test_rollback_and_kill_wait_for_no_table_of_people(ramp: AnyMigration, people: Any, settings: Any) -> None:
    """Such as one that is altered at this moment."""
    settings.MIGRATION_OPS = {"FENCE_TIMEOUT": timedelta(milliseconds=200)}
    group = Group.objects.create(name="testers")
    control.canary(ramp, Canaries(users=(people(),), groups=(group,)), **ANN)
    user = type(people("ben"))
    tables = [user._meta.db_table, user.groups.through._meta.db_table, Group._meta.db_table]
    tables += [Flag.users.through._meta.db_table, Flag.groups.through._meta.db_table]
    with second_connection() as other:
        other.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")
        control.kill(ramp, **ANN)
        control.rollback(ramp, **ANN)
    now = state.read(ramp)
    assert (now.kill, now.named, now.named_people) == (True, True, 1)


def test_rollback_ends_the_share_of_canaries_and_keeps_those_by_name(ramp: AnyMigration) -> None:
    control.canary(ramp, Canaries(header="X-Modern", percent=Decimal(5)), **ANN)
    control.set_percent(ramp, Decimal(5), **VOUCHED)
    after = control.rollback(ramp, **ANN).after
    assert (after.percent, after.canary_percent, after.canary_header) == (0, 0, "X-Modern")


def test_from_live_it_goes_back_to_the_ramp_at_0(shadow: AnyMigration) -> None:
    go_to_live(shadow)
    assert routing.of_unit(shadow, "garden").side is Side.MODERN
    after = control.rollback(shadow, actor="ann", reason="slow").after
    assert (after.stage, after.percent, after.kill, after.hold) == (Stage.RAMP, 0, False, False)
    assert [entry.verb for entry in history.entries(shadow)[:3]] == ["rollback", "back", "kill"]
    assert history.verify().ok


def test_from_live_reads_are_back_even_while_the_fence_is_held(shadow: AnyMigration, settings: Any) -> None:
    settings.MIGRATION_OPS = {"FENCE_TIMEOUT": timedelta(milliseconds=200)}
    go_to_live(shadow)
    with second_connection() as other:
        other.execute("SELECT pg_advisory_xact_lock_shared(%s)", [fence_id(shadow)])
        with pytest.raises(Refused, match="All reads are at legacy, by the kill switch, but the stage is still live"):
            control.rollback(shadow, and_hold=True, **ANN)
    assert state.read(shadow).hold
    assert routing.of_unit(shadow, "garden").side is Side.LEGACY


def test_a_dry_run_changes_nothing_and_says_what_would_be(ramp: AnyMigration, good_evidence: None) -> None:
    before = state.read(ramp)
    entries = HistoryEntry.objects.count()
    assert control.advance(ramp, dry_run=True, **ANN).after.percent == 5
    assert control.kill(ramp, dry_run=True, **ANN).after.kill
    assert control.rollback(ramp, dry_run=True, **ANN).after.percent == 0
    assert control.canary(ramp, Canaries(header="X-A"), dry_run=True, **ANN).after.canary_header == "X-A"
    assert control.canary_off(ramp, dry_run=True, **ANN).after.canary_header == ""
    assert state.read(ramp) == before
    assert HistoryEntry.objects.count() == entries


def test_who_decided_on_an_older_version_is_refused(ramp: AnyMigration, good_evidence: None) -> None:
    version = state.read(ramp).version
    control.hold(ramp, version=version, **ANN)
    for late in (control.kill, control.rollback, control.resume, control.hold, control.canary_off):
        with pytest.raises(StageChanged, match="Look again"):
            late(ramp, version=version, **ANN)


def test_of_20_at_once_one_makes_the_step(ramp: AnyMigration, good_evidence: None) -> None:
    version = state.read(ramp).version

    def click(number: int) -> str:
        try:
            control.advance(ramp, actor=f"person {number}", version=version)
        except StageChanged:
            return "late"
        else:
            return "made"
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(click, range(20)))
    assert sorted(answers) == ["late"] * 19 + ["made"]
    assert state.read(ramp).percent == 5
    assert len(percents(ramp)) == 1


WAYS_BACK: dict[str, tuple[Callable[..., Change], Callable[[State], bool]]] = {
    "kill": (control.kill, lambda now: now.kill),
    "rollback": (control.rollback, lambda now: now.percent == 0),
    "hold": (control.hold, lambda now: now.hold),
    "set": (partial(control.set_percent, percent=Decimal(1)), lambda now: now.percent == 1),
}


@pytest.mark.parametrize("way", WAYS_BACK)
def test_what_takes_back_or_stops_is_done_although_somebody_else_changes_something_meanwhile(
    ramp: AnyMigration, way: str
) -> None:
    control.set_percent(ramp, Decimal(5), **VOUCHED)
    take_back, is_done = WAYS_BACK[way]
    with second_connection() as other:
        other.execute(
            "UPDATE migration_ops_migrationstate SET canary_header = 'X-Other', version = version + 1 WHERE name = %s",
            [ramp.name],
        )
        asked = InThread(lambda: take_back(ramp, **ANN))
        blocked = "SELECT FROM pg_locks WHERE NOT granted AND %s = ANY(pg_blocking_pids(pid))"
        eventually(lambda: bool(run(blocked, other.info.backend_pid)))
        other.commit()
    assert is_done(asked.outcome().after)
    now = state.read(ramp)
    assert is_done(now)
    assert now.canary_header == "X-Other"
    assert history.verify().ok


def test_from_live_it_goes_back_although_somebody_else_changes_something_meanwhile(
    shadow: AnyMigration, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_to_live(shadow)
    back = transitions.back

    def after_a_hold(*arguments: Any, **named: Any) -> transitions.Step:
        monkeypatch.setattr(transitions, "back", back)
        control.hold(shadow, actor="ben")
        return back(*arguments, **named)

    monkeypatch.setattr(transitions, "back", after_a_hold)
    after = control.rollback(shadow, **ANN).after
    assert (after.stage, after.percent, after.kill, after.hold) == (Stage.RAMP, 0, False, True)


def test_what_changes_nothing_writes_nothing(ramp: AnyMigration) -> None:
    before = state.read(ramp)
    assert control.unkill(ramp, **ANN).before == before
    assert control.rollback(ramp, **ANN).after == before
    assert percents(ramp) == []


@pytest.mark.parametrize("percent", ["-1", "100.01", "5.001", "NaN", "Infinity"])
def test_what_is_no_percentage_is_refused(ramp: AnyMigration, percent: str) -> None:
    with pytest.raises(UnusableInput, match="no percentage"):
        control.set_percent(ramp, Decimal(percent), **ANN)


def test_there_is_a_percentage_only_on_the_ramp(shadow: AnyMigration) -> None:
    with pytest.raises(Refused, match="only at ramp"):
        control.set_percent(shadow, Decimal(5), **VOUCHED)


def test_canaries_need_the_data_and_not_more_than_a_small_share(ramp: AnyMigration, people: Any) -> None:
    with pytest.raises(UnusableInput, match="At most 5 %"):
        control.canary(ramp, Canaries(percent=Decimal(6)), **ANN)
    for name in ("X Modern", "x:y", "é", "a" * 101):
        with pytest.raises(UnusableInput, match="cannot be the name"):
            control.canary(ramp, Canaries(header=name), **ANN)
    schema.add_rows(("garden", "leeks", "plant"))
    for more in (Canaries(percent=Decimal(1)), Canaries(users=(people(),))):
        with pytest.raises(GateClosed, match="dirty_keys_drained"):
            control.canary(ramp, more, **ANN)
    control.canary(ramp, Canaries(header="X-Modern"), **ANN)  # moves nobody by itself


def test_canaries_by_name_are_in_the_history_and_gone_with_off(ramp: AnyMigration, people: Any) -> None:
    ann = people("ann")
    control.canary(ramp, Canaries(users=(ann,), cookie="c"), **ANN)
    assert history.entries(ramp)[0].evidence["users"] == [str(ann.pk)]
    assert state.read(ramp).named
    control.canary_off(ramp, **ANN)
    assert history.entries(ramp)[0].evidence["no_longer"]["users"] == [str(ann.pk)]
    now = state.read(ramp)
    assert (now.named, now.canary_cookie) == (False, "")
    assert not Flag.objects.get(name=ramp.name).users.exists()


def test_the_plan_says_how_long_to_watch(settings: Any) -> None:
    hours = [
        plan.soak(state.State("notes", stage, Decimal(percent))).total_seconds() / 3600
        for stage, percent in (("shadow", 0), ("ramp", 0), ("ramp", 3), ("ramp", 20), ("ramp", 50), ("live", 100))
        for stage in (Stage(stage),)
    ]
    assert hours == [0, 0, 24, 24, 48, 24]
