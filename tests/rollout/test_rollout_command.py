"""`manage.py rollout …`: keys, exit codes, sentences."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command

from migration_ops import moment, state
from migration_ops.definition import AnyMigration
from migration_ops.gates import Verdict
from migration_ops.management.commands import rollout
from migration_ops.models import Flag, GateReading, Heartbeat, HistoryEntry
from tests.engine.syncing import command

CONTRACT = {"percent", "stage", "eligible", "gates", "history"}
GATE = {"id", "verdict", "value", "n", "threshold", "message"}
WHY = ("--actor", "ann", "--reason", "test")


def said(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr without `--json`."""
    out, errors = io.StringIO(), io.StringIO()
    try:
        call_command("rollout", *arguments, stdout=out, stderr=errors)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue(), errors.getvalue()
    return 0, out.getvalue(), errors.getvalue()


@pytest.mark.parametrize("verb", ["status", "history", "evaluate", "hold", "resume", "kill", "unkill", "rollback"])
def test_every_verb_prints_what_the_contract_says(ramp: AnyMigration, verb: str) -> None:
    code, printed = command("rollout", verb)
    assert code == 0
    assert printed.keys() >= CONTRACT
    assert all(gate.keys() >= GATE for gate in printed["gates"])


def test_status_is_the_default_and_works_before_anything_happened(notes: AnyMigration) -> None:
    code, printed = command("rollout")
    assert (code, printed["stage"], printed["percent"], printed["next"]) == (0, "off", 0, "dual_write")
    assert printed["eligible"] is True
    assert not HistoryEntry.objects.exists()


def test_advance_makes_the_next_step_of_the_plan_and_shows_who_did_it(ramp: AnyMigration, good_evidence: None) -> None:
    code, printed = command("rollout", "advance", "--dry-run", *WHY)
    assert (code, printed["percent"], printed["after"]["percent"], state.read(ramp).percent) == (0, 0, 5, 0)
    code, printed = command("rollout", "advance", *WHY)
    assert (code, printed["percent"], printed["next"], printed["eligible"]) == (0, 5, "ramp at 20 %", True)
    (entry, *_) = printed["history"]
    assert {name: entry[name] for name in ("actor", "verb", "from_percent", "to_percent", "reason")} == {
        "actor": "ann",
        "verb": "set",
        "from_percent": 0,
        "to_percent": 5,
        "reason": "test",
    }
    assert [found["verdict"] for found in entry["gates"]] == ["pass"] * len(entry["gates"])


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_closed_gate_is_exit_4_with_all_gates(
    ramp: AnyMigration, good_evidence: None, gate_says: Callable[..., None], dry: tuple[str, ...]
) -> None:
    gate_says("sync_lag", Verdict.FAIL)
    code, printed = command("rollout", "advance", *WHY, *dry)
    assert (code, printed["eligible"], printed["percent"]) == (4, False, 0)
    assert {gate["id"]: gate["verdict"] for gate in printed["gates"]}["sync_lag"] == "fail"
    assert "sync_lag" in printed["error"]
    assert state.read(ramp).percent == 0


def test_an_override_goes_through_with_a_reason_and_is_exit_2_without(ramp: AnyMigration) -> None:
    assert command("rollout", "advance", "--override", "--actor", "ann")[0] == 2
    assert state.read(ramp).percent == 0
    code, printed = command("rollout", "set", "5", "--override", *WHY)
    assert (code, printed["percent"]) == (0, 5)


def test_each_way_back_goes_at_once_and_is_in_the_history_under_its_verb(ramp: AnyMigration) -> None:
    command("rollout", "set", "5", "--override", *WHY)
    assert command("rollout", "set", "2.5")[1]["percent"] == 2.5
    printed = command("rollout", "kill", *WHY)[1]
    assert (printed["kill"], printed["percent"], printed["eligible"]) == (True, 2.5, False)
    assert command("rollout", "unkill")[1]["kill"] is False
    assert command("rollout", "rollback")[1]["percent"] == 0
    verbs = [entry["verb"] for entry in command("rollout", "history")[1]["history"]]
    assert verbs[:5] == ["rollback", "unkill", "kill", "set", "set"]


def test_a_refusal_says_where_the_migration_stands(ramp: AnyMigration) -> None:
    keys = command("rollout")[1].keys()
    assert command("rollout", "hold", *WHY)[0] == 0
    code, printed = command("rollout", "set", "20", *WHY)
    assert (code, printed["eligible"]) == (4, False)
    assert printed.keys() == {*keys, "error"}
    assert printed["history"][0]["verb"] == "hold"
    assert command("rollout", "resume", *WHY)[0] == 0
    code, printed = command("rollout", "set", "100", *WHY)
    assert (code, printed.keys()) == (4, {*keys, "error"})
    assert "plan_followed" in {gate["id"] for gate in printed["gates"]}


def test_canaries_are_shown_as_they_were_chosen_and_are_gone_with_off(ramp: AnyMigration, people: Any) -> None:
    people("ann")
    code, printed = command("rollout", "canary", "--header", "X-Modern", "--percent", "1", "--user", "ann@example.com")
    assert code == 0
    assert printed["canary"] == {"header": "X-Modern", "cookie": "", "percent": 1, "named": True}
    assert command("rollout", "canary", "--off")[1]["canary"]["named"] is False
    assert Flag.objects.get().users.count() == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("set",),
        ("set", "101"),
        ("set", "5.001"),
        ("set", "2_0"),
        ("set", "２０"),
        ("set", "1e1"),
        ("set", "1e400"),
        ("set", "nan"),
        ("set", "-1"),
        ("canary", "--percent", "1_0"),
        ("advance", "5"),
        ("hold", "--override"),
        ("status", "--header", "X"),
        ("canary",),
        ("canary", "--off", "--header", "X"),
        ("canary", "--user", "nobody@example.com"),
        ("canary", "--group", "none"),
        ("kill", "--follow"),
        ("self-test", "--processes", "0"),
    ],
)
def test_what_makes_no_sense_is_exit_2_and_writes_nothing(ramp: AnyMigration, arguments: tuple[str, ...]) -> None:
    before = HistoryEntry.objects.count()
    code, printed = command("rollout", *arguments)
    assert code == 2
    assert printed["error"]
    assert HistoryEntry.objects.count() == before


def test_it_speaks_in_sentences(ramp: AnyMigration, good_evidence: None) -> None:
    code, out, _ = said("advance", *WHY)
    assert code == 0
    assert "Changed: 0 % → 5 %." in out
    assert "The next step, to ramp at 20 %, may be made" in out
    assert "Would change: killed." in said("kill", "--dry-run")[1]
    assert "Nothing to do: ramp at 5 %." in said("unkill")[1]
    assert "0 % → 5 %" in said("history")[1]


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_the_history_is_told_whole_with_zone_and_overrides_on_any_terminal(
    ramp: AnyMigration, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    why = "seen by two of us; nothing else was to be seen in the whole night"
    assert command("rollout", "set", "5", "--override", "--actor", "ann", "--reason", why)[0] == 0
    entry = HistoryEntry.objects.latest("id")
    vouched_for = [gate["id"] for gate in entry.evidence["gates"] if gate["waived"]]
    assert len(vouched_for) > 2
    assert command("rollout", "history")[1]["history"][0]["vouched_for"] == vouched_for
    for told in (said("history")[1], _status()):
        words = " ".join(told.replace("│", " ").split())
        for word in ("ann", "set", *why.split(), *vouched_for):
            assert word in words
        assert moment.shown(entry.at) in words
        assert "0 % → 5 %" in words
        assert "…" not in told


@pytest.mark.parametrize("columns", ["60", "300"])
def test_what_a_person_wrote_gives_the_terminal_no_orders(
    ramp: AnyMigration, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert command("rollout", "hold", "--actor", "a\x1b[31mnn", "--reason", "x\x1b]0;y\x07\x9bz\x7f\ttab")[0] == 0
    told = said("history")[1]
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", told)
    assert "a␛[31mnn" in told
    code, _, errors = said("set", "\x1b[2J5")
    assert (code, "\x1b" in errors) == (2, False)


def test_a_history_that_is_longer_says_how_much_of_it_is_not_shown(
    ramp: AnyMigration, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = HistoryEntry.objects.count()
    assert command("rollout", "history")[1]["history_left_out"] == 0
    assert "not shown" not in said("history")[1]
    monkeypatch.setattr(rollout, "MOST_ENTRIES", entries - 1)
    printed = command("rollout", "history")[1]
    assert (len(printed["history"]), printed["history_left_out"]) == (entries - 1, 1)
    assert "1 earlier entry not shown" in said("history")[1]


def _status() -> str:
    out = io.StringIO()
    call_command("migration_status", stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("columns", ["", "200"])
def test_a_sentence_in_a_pipe_is_one_line(ramp: AnyMigration, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    lines = said("self-test", "--dry-run", "--processes", "1")[1].splitlines()
    assert lines[0] == ("Would let 1 process watch, and throw the kill switch of a migration that is there for this.")
    assert max(map(len, lines[1:])) <= int(columns or 80)


def test_what_is_next_is_said_the_same_everywhere(ramp: AnyMigration, good_evidence: None) -> None:
    for reached, following in ((None, "ramp at 5 %"), ("5", "ramp at 20 %"), ("100", "live")):
        if reached:
            command("rollout", "set", reached, "--override", *WHY)
        assert command("rollout")[1]["next"] == following
        overview = command("migration_status")[1]
        assert overview["next_step"] == following
        assert [gate["id"] for gate in overview["gates"]] == [gate["id"] for gate in command("rollout")[1]["gates"]]
        assert f"(next {following}; back to shadow" in _status()


@pytest.mark.parametrize("arguments", [("evaluate",), ("evaluate", "--follow"), ("self-test",)])
def test_a_dry_run_of_what_measures_leaves_nothing(ramp: AnyMigration, arguments: tuple[str, ...]) -> None:
    before = HistoryEntry.objects.count()
    assert command("rollout", *arguments, "--dry-run")[0] == 0
    assert not GateReading.objects.exists()
    assert not Heartbeat.objects.exists()
    assert HistoryEntry.objects.count() == before
