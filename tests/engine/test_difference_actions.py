"""What staff do about differences in the admin: only what was looked at is done, and nothing is written over."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from migration_ops import locks
from migration_ops.definition import AnyMigration
from migration_ops.models import BeforeImage, Difference, HistoryEntry
from migration_ops.verify import differences
from migration_ops.verify.drift import detect
from migration_ops.web import acting_on_differences
from migration_ops.web.difference_actions import DIFFERENCE_ACTIONS
from tests.engine.differing import change_again, damage, of
from tests.engine.staff import address, confirm_rows, hidden, member, text
from tests.engine.syncing import go_to_ramp, run, second_connection
from tests.engine.waiting import InThread
from tests.notes import schema
from tests.notes.note import NoteKey

LOOK, REPAIR, EXPLAIN, REOPEN = (action.verb for action in DIFFERENCE_ACTIONS)


@pytest.fixture
def damaged(notes: AnyMigration, settings: Any) -> AnyMigration:
    settings.MIGRATION_OPS = {"SUSPECT_PATIENCE": timedelta(milliseconds=30), "SUSPECT_ROUNDS": 2}
    damage(notes)
    return notes


def modern(title: str) -> list[str] | None:
    return next((lines for _, name, lines in schema.modern_rows() if name == title), None)


@pytest.mark.parametrize(
    ("kind", "allowed"),
    [("nobody", set()), ("viewers", {LOOK}), ("operators", {LOOK, REPAIR}), ("approvers", {LOOK, REPAIR, EXPLAIN})],
)
def test_each_act_needs_its_permission_and_changes_nothing_by_being_looked_at(
    damaged: AnyMigration, kind: str, allowed: set[str]
) -> None:
    client, before = member(kind), list(Difference.objects.order_by("pk").values())
    for verb in (LOOK, REPAIR, EXPLAIN):
        answer = client.post(address(damaged, verb), {"items": [of("n0003").pk]})
        assert answer.status_code == (200 if verb in allowed else 403), verb
        assert client.get(address(damaged, verb)).status_code == 405
    assert list(Difference.objects.order_by("pk").values()) == before
    assert modern("n0003") == ["other"]


def test_those_that_are_ticked_are_repaired_and_the_list_comes_again(damaged: AnyMigration) -> None:
    client, items = member("operators"), [of("n0003").pk, of("n0009").pk]
    looked = text(client.post(address(damaged, REPAIR), {"items": items, "listed": "new"}))
    assert "Would write 2 and remove 0; 0 equal by now." in looked
    assert looked.count("write it into modern") == 2
    done = confirm_rows(client, damaged, REPAIR, items=items, listed="new", reason="by hand")
    assert (done.status_code, done["Location"].endswith("/differences/?listed=new")) == (302, True)
    assert (modern("n0003"), modern("n0009"), modern("extra")) == (["line 3"], ["line 9"], ["x"])
    assert {of("n0003").status, of("n0009").status} == {"repaired"}
    entry = HistoryEntry.objects.get(verb="repair")
    assert (entry.actor, entry.reason) == ("admin: operators@example.org", "by hand")
    assert BeforeImage.objects.filter(cause="repair", actor=entry.actor).count() == 2


def test_who_repairs_one_gets_back_to_it(damaged: AnyMigration) -> None:
    number = of("n0003").pk
    done = confirm_rows(member("operators"), damaged, REPAIR, items=[number])
    assert done["Location"].endswith(f"/differences/{number}/")


def test_what_only_modern_has_is_removed_when_that_was_ticked_and_looked_at(damaged: AnyMigration) -> None:
    client, said = member("operators"), {"items": [of("extra").pk]}
    page = client.post(address(damaged, REPAIR), said)
    assert "1 stays: only the store that follows has it." in text(page)
    assert 'id="confirm"' not in text(page), "there is nothing to do"
    sly = client.post(address(damaged, REPAIR), {**hidden(page), **said, "delete_extras": "on", "confirm": "yes"})
    assert "This is not what you looked at before" in text(sly)
    assert modern("extra") == ["x"]
    assert confirm_rows(client, damaged, REPAIR, **said, delete_extras="on").status_code == 302
    assert modern("extra") is None


def test_all_that_the_list_shows_are_done_in_bounds_and_the_page_says_so(
    damaged: AnyMigration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acting_on_differences, "AT_ONCE", 1)
    client, said = member("operators"), {"whole": "on", "listed": "unsettled.high"}
    assert "These are the first 1 of 2" in text(client.post(address(damaged, REPAIR), said))
    assert confirm_rows(client, damaged, REPAIR, **said).status_code == 302
    assert (of("n0003").status, of("n0009").status) == ("repaired", "new")
    many = client.post(address(damaged, REPAIR), {"items": [of("n0009").pk, of("extra").pk]})
    assert (many.status_code, "Choose at most 1 at a time." in text(many)) == (400, True)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE modern_notes SET lines = '{another}' WHERE title = 'n0003'",
        "UPDATE legacy_notes SET body = 'another' WHERE title = 'n0003'",
    ],
)
def test_what_changed_after_the_look_is_not_repaired(damaged: AnyMigration, sql: str) -> None:
    client, said = member("operators"), {"items": [of("n0003").pk]}
    page = client.post(address(damaged, REPAIR), said)
    run(sql)
    run("DELETE FROM migration_ops_dirtykey")
    before = modern("n0003")
    answer = client.post(address(damaged, REPAIR), {**hidden(page), **said, "confirm": "yes"})
    assert answer.status_code == 409
    assert modern("n0003") == before


def test_what_changes_between_the_check_and_the_lock_is_left_alone(
    damaged: AnyMigration, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = differences.planned_repair(damaged, [of("n0003").pk]).fingerprint
    lock_keys = locks.lock_keys

    def overtaken(*arguments: Any) -> None:
        with second_connection() as somebody:
            somebody.execute("UPDATE modern_notes SET lines = '{mine}' WHERE title = 'n0003'")
        lock_keys(*arguments)

    monkeypatch.setattr(locks, "lock_keys", overtaken)
    done = differences.repair(damaged, [of("n0003").pk], actor="ann", seen=seen)
    assert [each.message for each in done.failed] == ["It is no longer what was looked at; look again."]
    assert modern("n0003") == ["mine"]


def test_one_that_others_hold_does_not_stop_the_others_and_no_request_goes_on_for_ever(
    damaged: AnyMigration, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [of("n0003").pk, of("n0009").pk]
    monkeypatch.setattr(locks, "KEY_PATIENCE", timedelta(milliseconds=20))
    client = member("operators", "ko")
    page = client.post(address(damaged, REPAIR), {"items": items})
    with second_connection() as somebody, somebody.transaction():
        key = damaged.encode_key(NoteKey("home", "n0003"))
        somebody.execute("SELECT pg_advisory_xact_lock(%s)", [locks.lock_id("key", damaged.name, key)])
        done = client.post(address(damaged, REPAIR), {**hidden(page), "confirm": "yes"}, follow=True)
    (warning,) = re.findall(r'<li class="warning">([^<]+)', text(done))
    assert warning.startswith("“home · n0003”: 이 키의 잠금 때문에 20ms 기다렸지만")
    assert (of("n0003").status, of("n0009").status) == ("new", "repaired")
    left = differences.repair(damaged, [of("n0003").pk], actor="ann", patience=timedelta(seconds=-1))
    assert (left.unreached, left.left, of("n0003").status) == (1, 1, "new")


def test_a_store_that_staff_ask_for_in_their_browser_has_no_say_in_a_repair(damaged: AnyMigration) -> None:
    go_to_ramp(damaged, percent=0)
    run("UPDATE migration_ops_migrationstate SET canary_header = 'X-Store', version = version + 1")
    client = member("operators")
    client.defaults["HTTP_X_STORE"] = "modern"
    assert confirm_rows(client, damaged, REPAIR, items=[of("n0003").pk]).status_code == 302
    assert modern("n0003") == ["line 3"], "legacy has the word for everybody at 0 %"


def test_explaining_needs_a_reason_and_can_be_taken_back(damaged: AnyMigration) -> None:
    client, items = member("approvers"), [of("n0003").pk, of("extra").pk]
    refused = confirm_rows(client, damaged, EXPLAIN, items=items, reason=" ")
    assert (refused.status_code, "Say why they may stay" in text(refused)) == (400, True)
    assert 'id="confirm"' in text(refused), "one can say it now and confirm"
    assert confirm_rows(client, damaged, EXPLAIN, items=items, reason="known").status_code == 302
    assert (of("extra").explained_by, of("extra").explanation) == ("admin: approvers@example.org", "known")
    assert confirm_rows(client, damaged, REOPEN, items=items).status_code == 302
    assert (of("extra").status, of("extra").explanation) == ("confirmed", "")


@pytest.mark.parametrize("verb", [LOOK, EXPLAIN])
def test_what_a_run_found_again_with_another_content_has_to_be_looked_at_anew(damaged: AnyMigration, verb: str) -> None:
    client, said = member("approvers"), {"items": [of("n0003").pk], "reason": "known"}
    page = client.post(address(damaged, verb), said)
    change_again()
    detect(damaged, actor="test")
    answer = client.post(address(damaged, verb), {**hidden(page), **said, "confirm": "yes"})
    assert (answer.status_code, of("n0003").status) == (409, "confirmed")


def test_a_look_keeps_what_it_sees_once_that_is_confirmed(damaged: AnyMigration) -> None:
    client, said = member("viewers"), {"items": [of("n0003").pk]}
    run("UPDATE modern_notes SET lines = '{line 3}' WHERE title = 'n0003'")
    page = client.post(address(damaged, LOOK), said)
    assert (of("n0003").status, "no longer there" in text(page)) == ("new", True)
    assert client.post(address(damaged, LOOK), {**hidden(page), "confirm": "yes"}).status_code == 302
    assert of("n0003").status == "gone"
    late = client.post(address(damaged, LOOK), said)
    assert (late.status_code, "there is nothing to do about it" in text(late)) == (400, True)


@pytest.mark.parametrize("verb", [LOOK, REPAIR, EXPLAIN, REOPEN])
def test_whoever_reads_korean_decides_in_korean(damaged: AnyMigration, verb: str) -> None:
    items = [of("n0003").pk]
    if verb == REOPEN:
        differences.explain(damaged, items, actor="ann", reason="known")
    page = text(member("approvers", "ko").post(address(damaged, verb), {"items": items}))
    (sentence,) = re.findall(r'class="sentence">([^<]+)<', page)
    assert re.search("[가-힣]", sentence)
    assert not re.search("[A-Za-z]", sentence)


@pytest.mark.parametrize("verb", [LOOK, REPAIR, EXPLAIN])
def test_where_a_store_cannot_be_read_it_says_so_in_the_language_of_whoever_looks(
    damaged: AnyMigration, settings: Any, verb: str
) -> None:
    settings.MIGRATION_OPS = {"RETRIES": 1, "RETRY_FIRST_DELAY": timedelta(milliseconds=1)}
    items = {"items": [of("n0003").pk]}
    client = member("approvers", "ko")

    def impatient() -> Any:
        run("SET lock_timeout = '20ms'")  # as a role or a database may have it
        return client.post(address(damaged, verb), items)

    with second_connection() as somebody:
        somebody.execute("LOCK TABLE modern_notes IN ACCESS EXCLUSIVE MODE")
        answer = InThread(impatient).outcome()
    assert answer.status_code == 503
    assert "데이터베이스가" in text(answer)


def test_at_a_stage_without_a_follower_nothing_is_repaired(damaged: AnyMigration) -> None:
    with transaction.atomic():
        run("ALTER TABLE migration_ops_migrationstate DISABLE TRIGGER USER")
        run("UPDATE migration_ops_migrationstate SET stage = 'frozen', version = version + 1")
    answer = member("operators", "ko").post(address(damaged, REPAIR), {"items": [of("n0003").pk]})
    assert (answer.status_code, "복구할 것이 없습니다" in text(answer)) == (409, True)
