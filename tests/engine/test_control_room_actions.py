"""Acting in the control room: who may, what is said first, what is done, and what is refused how."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import connection
from django.test import Client

from migration_ops import state
from migration_ops.definition import AnyMigration
from migration_ops.locks import lock_id
from migration_ops.models import Flag, GateOverride, HistoryEntry
from migration_ops.rollout import control
from migration_ops.rollout.control import Canaries
from migration_ops.stages import Stage
from migration_ops.web.actions import ACTIONS
from tests.engine.staff import KINDS, address, confirm, filled_in, member, press, room
from tests.engine.syncing import begin_dual_write, command, go_to_live, go_to_ramp, second_connection
from tests.notes import schema

VERBS = [action.verb for action in ACTIONS]
OPERATING = {action.verb for action in ACTIONS} - {"override"}
ALLOWED = {"nobody": set(), "viewers": set(), "operators": OPERATING, "approvers": set(VERBS)}


@pytest.fixture
def ready(notes: AnyMigration) -> AnyMigration:
    """At `ramp` with 5 %, the data complete and compared; what is missing for more is evidence."""
    schema.add_rows(("garden", "peas", "sow"), ("kitchen", "soup", "salt"))
    begin_dual_write(notes)
    assert command("backfill")[0] == 0
    assert command("validate_migration")[0] == 0
    go_to_ramp(notes, percent=5)
    return notes


def verbs_of(migration: AnyMigration) -> list[str]:
    return list(HistoryEntry.objects.filter(migration=migration.name).order_by("id").values_list("verb", flat=True))


@pytest.mark.parametrize("kind", ALLOWED)
def test_each_verb_needs_its_permission(notes: AnyMigration, kind: str) -> None:
    begin_dual_write(notes)
    go_to_ramp(notes, percent=5)
    before = state.read(notes)
    client = member(kind)
    for verb in VERBS:
        for confirmed in ({}, {"confirm": "yes", "version": before.version + 1}):
            status = press(client, notes, verb, **confirmed).status_code
            assert (status != 403) == (verb in ALLOWED[kind]), (kind, verb, status)
    assert state.read(notes) == before


def test_who_is_not_logged_in_is_asked_to_and_who_is_no_staff_is_refused(ready: AnyMigration) -> None:
    before = state.read(ready)
    family = Client()
    family.force_login(get_user_model().objects.create(email="family@example.org"))
    for verb in VERBS:
        answer = press(Client(), ready, verb, confirm="yes")
        assert (answer.status_code, "/admin/login/" in answer["Location"]) == (302, True)
        assert press(family, ready, verb, confirm="yes").status_code == 403
    assert state.read(ready) == before


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        (
            "en",
            "notes is on hold at ramp, and without the kill switch reads would go to modern again. Take the hold off"
            " first.",
        ),
        (
            "ko",
            "전진 보류 중입니다(notes, 점진 전환). 긴급 차단을 풀면 읽기가 다시 새 저장소로 갑니다. 먼저 보류를"
            " 푸세요.",
        ),
    ],
)
def test_on_hold_the_kill_switch_says_what_comes_first(ready: AnyMigration, language: str, sentence: str) -> None:
    control.kill(ready, actor="ops")
    control.hold(ready, actor="ops")
    client = member("operators", language)
    page = press(client, ready, "unkill")
    assert (page.status_code, sentence in unescape(page.content.decode())) == (409, True)
    assert confirm(client, ready, "unkill").status_code == 409
    assert state.read(ready).kill


@pytest.mark.parametrize("verb", VERBS)
def test_looking_at_the_address_of_an_action_does_nothing(notes: AnyMigration, verb: str) -> None:
    assert member("approvers").get(address(notes, verb)).status_code == 405


def test_a_form_from_another_site_does_nothing(ready: AnyMigration) -> None:
    client = member("operators")
    client.handler.enforce_csrf_checks = True
    assert confirm(client, ready, "kill").status_code == 403
    assert not state.read(ready).kill


@pytest.mark.parametrize("verb", VERBS)
def test_a_button_first_says_what_would_happen_and_changes_nothing(ready: AnyMigration, verb: str) -> None:
    before, entries = state.read(ready), verbs_of(ready)
    page = press(member("approvers"), ready, verb)
    assert page.status_code in (200, 409)
    assert (state.read(ready), verbs_of(ready)) == (before, entries)
    assert not GateOverride.objects.exists()


def test_what_was_confirmed_is_done_and_stands_in_the_history_with_who_and_why(ready: AnyMigration) -> None:
    client = member("operators")
    page = press(client, ready, "rollback")
    assert "Would change: 5 % → 0 %." in page.content.decode()
    answer = confirm(client, ready, "rollback", reason="p95 looks odd")
    assert (answer.status_code, answer["Location"]) == (302, room(ready))
    assert state.read(ready).percent == 0
    entry = HistoryEntry.objects.latest("id")
    assert (entry.verb, entry.actor, entry.reason) == ("rollback", "admin: operators@example.org", "p95 looks odd")
    shown = client.get(room(ready)).content.decode()
    assert "Changed: 5 % → 0 %." in shown
    assert "5 % → 0 %" in shown


@pytest.mark.parametrize("verb", ["rollback", "hold", "kill", "resume"])
def test_the_sentence_is_that_of_the_command(ready: AnyMigration, verb: str) -> None:
    control.canary(ready, Canaries(header="X-Store", percent=Decimal("1.5")), actor="ops")
    out = io.StringIO()
    call_command("rollout", verb, "--dry-run", stdout=out)
    sentence = " ".join(out.getvalue().split())[: -len(".")].partition(". ")[0] + "."
    assert unescape(press(member("operators"), ready, verb).content.decode()).count(f">{sentence}<") == 1


def test_each_switch_can_be_turned_on_and_off(ready: AnyMigration) -> None:
    client = member("operators")
    for verb, holds in (
        ("kill", lambda now: now.kill),
        ("unkill", lambda now: not now.kill),
        ("hold", lambda now: now.hold),
        ("resume", lambda now: not now.hold),
    ):
        assert confirm(client, ready, verb).status_code == 302
        assert holds(state.read(ready)), verb
    assert verbs_of(ready)[-4:] == ["kill", "unkill", "hold", "resume"]


def test_live_goes_back_at_once(notes: AnyMigration) -> None:
    begin_dual_write(notes)
    go_to_live(notes)
    assert confirm(member("operators"), notes, "rollback").status_code == 302
    now = state.read(notes)
    assert (now.stage, now.percent, now.kill) == (Stage.RAMP, 0, False)


def test_canaries_are_chosen_and_taken_away(ready: AnyMigration) -> None:
    client = member("operators")
    assert confirm(client, ready, "canary", header="X-Store", percent="1.5").status_code == 302
    now = state.read(ready)
    assert (now.canary_header, now.canary_cookie, now.canary_percent) == ("X-Store", "", Decimal("1.5"))
    assert confirm(client, ready, "canary-off").status_code == 302
    now = state.read(ready)
    assert (now.canary_header, now.canary_percent) == ("", 0)


def test_users_and_groups_are_named_as_canaries(ready: AnyMigration) -> None:
    people = get_user_model().objects
    users = [people.create_user(f"{name}@example.org", password=None) for name in ("ann", "bo")]
    group = Group.objects.create(name="testers")
    client, named = member("operators"), {"users": "ann@example.org, bo@example.org", "groups": [group.pk]}
    page = press(client, ready, "canary", **named)
    sentence = "Would name as canaries: ann@example.org, bo@example.org, testers; ramp at 5 %, canaries by name."
    assert sentence in unescape(page.content.decode())
    assert not state.read(ready).named
    assert confirm(client, ready, "canary", **named).status_code == 302
    flag = Flag.objects.get(name=ready.name)
    assert (set(flag.users.all()), set(flag.groups.all())) == (set(users), {group})
    evidence = HistoryEntry.objects.latest("id").evidence
    assert (evidence["users"], evidence["groups"]) == ([str(user.pk) for user in users], ["testers"])

    assert confirm(client, ready, "canary", users="nobody@example.org").status_code == 400
    page = press(client, ready, "canary", users="nobody@example.org")
    assert "There is no user nobody@example.org." in page.content.decode()


def test_a_stage_is_left_for_an_earlier_one(ready: AnyMigration) -> None:
    client = member("operators")
    assert press(client, ready, "back", stage="live").status_code == 400
    assert confirm(client, ready, "back", stage="shadow").status_code == 302
    assert state.read(ready).stage is Stage.SHADOW


def test_who_decided_on_something_that_has_changed_is_told_and_decides_anew(ready: AnyMigration) -> None:
    client = member("operators")
    page = press(client, ready, "rollback")
    confirm(member("approvers"), ready, "hold")
    answer = client.post(address(ready, "rollback"), {**filled_in(page), "confirm": "yes"})
    assert answer.status_code == 409
    assert "somebody else changed it in the meantime" in answer.content.decode()
    assert state.read(ready).percent == 5
    again = client.post(address(ready, "rollback"), {**filled_in(answer), "confirm": "yes"})
    assert again.status_code == 302
    assert state.read(ready).percent == 0


def test_a_confirmation_without_a_version_is_none(ready: AnyMigration) -> None:
    answer = member("operators").post(address(ready, "kill"), {"confirm": "yes"})
    assert (answer.status_code, state.read(ready).kill) == (400, False)


def test_twenty_clicks_at_once_make_one_step(ready: AnyMigration) -> None:
    clients = [member("operators") for _ in range(20)]
    form = filled_in(press(clients[0], ready, "rollback"))

    def click(client: Client) -> int:
        try:
            return int(client.post(address(ready, "rollback"), {**form, "confirm": "yes"}).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as pool:
        statuses = sorted(pool.map(click, clients))
    assert statuses == [302] + [409] * 19
    assert verbs_of(ready).count("rollback") == 1


def test_nothing_is_done_but_what_was_looked_at(ready: AnyMigration) -> None:
    client = member("operators")
    page = press(client, ready, "set", percent="2")
    answer = client.post(address(ready, "set"), {**filled_in(page), "percent": "0", "confirm": "yes"})
    assert answer.status_code == 200
    assert "This is not what you looked at before." in answer.content.decode()
    assert state.read(ready).percent == 5
    again = client.post(address(ready, "set"), {**filled_in(answer), "percent": "0", "confirm": "yes"})
    assert (again.status_code, state.read(ready).percent) == (302, 0)


def test_a_closed_gate_is_named_and_leaves_no_button(ready: AnyMigration) -> None:
    page = press(member("operators"), ready, "advance")
    said = page.content.decode()
    assert page.status_code == 409
    assert "Not moved from 5 to 20 %" in said
    assert "soak_elapsed" in said
    assert 'id="confirm"' not in said
    assert 'id="vouch"' not in said, "an operator cannot vouch"
    assert confirm(member("operators"), ready, "advance").status_code == 409
    assert state.read(ready).percent == 5


def test_one_vouches_and_the_other_goes_through(ready: AnyMigration) -> None:
    assert confirm(member("approvers"), ready, "override", reason="the night was quiet").status_code == 302
    assert state.read(ready).percent == 5
    granted = GateOverride.objects.get()
    assert granted.actor == "admin: approvers@example.org"
    assert "soak_elapsed" in granted.gates
    entry = HistoryEntry.objects.latest("id")
    assert (entry.verb, entry.reason) == ("override", "the night was quiet")
    assert "the night was quiet" in member("viewers").get(room(ready)).content.decode()
    assert confirm(member("operators"), ready, "advance").status_code == 302
    assert state.read(ready).percent == 20


def test_who_may_vouch_can_do_so_in_the_same_step(ready: AnyMigration) -> None:
    client = member("approvers")
    page = press(client, ready, "set", percent="50")
    assert 'id="vouch"' in page.content.decode()
    assert press(client, ready, "set", percent="50", override="yes").status_code == 400, "a reason is missing"
    said = {"percent": "50", "override": "yes", "reason": "a demonstration"}
    assert confirm(client, ready, "set", **said).status_code == 302
    assert state.read(ready).percent == 50
    assert press(member("operators"), ready, "set", percent="100", override="yes").status_code == 403


def test_nobody_vouches_for_the_data(ready: AnyMigration) -> None:
    schema.add_rows(("garden", None, "lost"))
    client = member("approvers")
    page = press(client, ready, "advance")
    said = page.content.decode()
    assert "Nobody can vouch for these, they are about the data: Dirty keys." in said
    assert 'id="vouch"' not in said
    confirm(client, ready, "override", reason="never mind")
    assert "dirty_keys_drained" not in GateOverride.objects.get().gates
    assert confirm(member("operators"), ready, "advance").status_code == 409


def test_an_override_without_a_reason_is_none(ready: AnyMigration) -> None:
    assert confirm(member("approvers"), ready, "override", reason="  ").status_code == 400
    assert not GateOverride.objects.exists()


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        ("set", {"percent": "101"}),
        ("set", {"percent": "12.345"}),
        ("set", {"percent": "many"}),
        ("set", {"percent": ""}),
        ("canary", {"percent": "40"}),
        ("canary", {"header": "not a name", "percent": "0"}),
        ("back", {"stage": "nowhere"}),
        ("kill", {"reason": "a\x00b"}),
        ("kill", {"reason": "x" * 2001}),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_sentence(ready: AnyMigration, verb: str, said: dict[str, Any]) -> None:
    before = state.read(ready)
    answer = confirm(member("operators"), ready, verb, **said)
    assert answer.status_code == 400
    assert re.search(r'role="alert">[^<]{10,}', answer.content.decode())
    assert state.read(ready) == before


@pytest.fixture
def impatient(settings: Any) -> None:
    short = timedelta(milliseconds=200)
    settings.MIGRATION_OPS = {"FENCE_TIMEOUT": short, "SCHEMA_LOCK_PATIENCE": short}


def test_a_writer_that_does_not_make_way_is_named(ready: AnyMigration, impatient: None) -> None:
    client = member("operators")
    with second_connection() as writer:
        writer.execute("SELECT pg_advisory_xact_lock_shared(%s)", [lock_id("fence", ready.name)])
        answer = confirm(client, ready, "back", stage="shadow")
    assert answer.status_code == 409
    assert re.search(r'role="alert">[^<]*pid \d+', answer.content.decode())
    assert state.read(ready).stage is Stage.RAMP


def test_a_database_that_does_not_do_it_is_reported_without_its_words(ready: AnyMigration, impatient: None) -> None:
    client = member("operators")
    with second_connection() as other:
        other.execute("SELECT FROM migration_ops_migrationstate FOR UPDATE")
        answer = confirm(client, ready, "kill")
    said = answer.content.decode()
    assert answer.status_code == 503
    assert "Nothing was left half done; try again." in said
    assert "migrationstate SET" not in said
    assert "lock timeout" not in said
    assert confirm(client, ready, "kill").status_code == 302


def test_markup_in_reasons_is_shown_as_text(ready: AnyMigration) -> None:
    client = member("operators")
    nasty = "<script>alert('x')</script><b>"
    page = press(client, ready, "hold", reason=nasty)
    assert "<script>alert" not in page.content.decode()
    confirm(client, ready, "hold", reason=nasty)
    shown = client.get(room(ready)).content.decode()
    assert "&lt;script&gt;alert" in shown
    assert "<script>alert" not in shown


def test_an_action_on_a_migration_that_is_not_there_is_a_404(ready: AnyMigration) -> None:
    client = member("operators")
    assert client.post(address(ready, "kill").replace("notes", "elsewhere")).status_code == 404


@pytest.mark.parametrize("kind", KINDS)
def test_the_buttons_are_those_that_one_may_press_and_that_make_sense(ready: AnyMigration, kind: str) -> None:
    shown = set(re.findall(r'id="do-([\w-]+)"', member(kind).get(room(ready)).content.decode()))
    here: Callable[[str], bool] = {action.verb: action.offered(state.read(ready)) for action in ACTIONS}.__getitem__
    assert shown == {verb for verb in ALLOWED[kind] if here(verb)}
    assert (kind == "viewers") == (not shown)
