"""The runs in the admin: how far they are, what keeps them, and that only what was looked at is done to them."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from migration_ops import conf, run_requests, runs
from migration_ops.backfill import dry_run
from migration_ops.backfill import lease as leases
from migration_ops.backfill.health import BESIDE_OTHERS
from migration_ops.definition import AnyMigration, Span
from migration_ops.models import HistoryEntry, Run, RunKind
from migration_ops.observe import heartbeat
from migration_ops.observe.heartbeat import Role
from migration_ops.web import run_actions
from migration_ops.web.run_actions import RUN_ACTIONS
from tests.engine.backfilling import backfill, fill
from tests.engine.background import Background
from tests.engine.staff import address, filled_in, member, text
from tests.engine.syncing import begin_dual_write, command, run
from tests.engine.validating import digest, validate_json
from tests.notes.stores import LegacyNotes

VERBS = {action.verb for action in RUN_ACTIONS}
PAUSE, CANCEL, RESUME, RETRY = "backfill-pause", "backfill-cancel", "backfill-resume", "backfill-retry"
START, VALIDATE, REHEARSE = "backfill-start", "validation-start", "rehearsal-start"
GIVE_UP_REHEARSAL = "rehearsal-cancel"


@pytest.fixture
def writing(notes: AnyMigration, in_background: Background) -> AnyMigration:
    """The tiny domain at stage `dual_write`, with 30 notes from before that; no worker and no scheduler is there."""
    fill(30)
    begin_dual_write(notes)
    return notes


@pytest.fixture
def queued(writing: AnyMigration) -> AnyMigration:
    """Its backfill waits for a worker of the queue."""
    assert backfill("start", "--queue")[0] == 0
    return writing


def take_part() -> None:
    """Be a worker of the queue that is at it, as far as anybody can see."""
    assert leases.claim_next(Run.objects.get().pk, conf.settings().lease)


def page(migration: AnyMigration, kind: str = "operators", language: str = "en", part: str = "runs") -> Any:
    return member(kind, language).get(reverse(f"admin:migration_ops_dashboard_{part}", args=[migration.name]))


def press(client: Client, migration: AnyMigration, verb: str) -> Any:
    return client.post(address(migration, verb), {"version": runs.seen(Run.objects.last())})


def confirm(client: Client, migration: AnyMigration, verb: str, **said: Any) -> Any:
    """The button on the page of runs, and then the one on the page that it leads to."""
    looked = press(client, migration, verb)
    return client.post(address(migration, verb), {**filled_in(looked), **said, "confirm": "yes"})


def offered(migration: AnyMigration, *beside: str) -> set[str]:
    """The buttons on the page, but `beside`, which must be there."""
    shown = text(page(migration))
    found = {verb for verb in VERBS if f'id="do-{verb}"' in shown}
    assert found >= set(beside)
    return found - set(beside)


def test_a_run_that_waits_says_what_it_waits_for(queued: AnyMigration, settings: Any) -> None:
    settings.MIGRATION_OPS = {}  # on a busy machine a page may take longer than the silences of these tests
    shown = text(page(queued, part="runs_live"))
    assert "waits for a worker" in shown
    assert "0 of about 30 rows" in shown
    assert "No worker is heard of; start one with `manage.py rqworker default`." in shown
    assert "No scheduler is heard of" in shown
    for role in (Role.WORKER, Role.SCHEDULER):
        heartbeat.beat(queued, role)
    assert "is heard of" not in text(page(queued))


def test_a_run_at_work_says_how_far_it_is_who_works_on_it_and_how_it_ended(queued: AnyMigration) -> None:
    take_part()
    only = Run.objects.get().ranges.filter(number=1)
    only.update(counters={"rows_read": 12, "written": 12, "speed": 6.0})
    shown = text(page(queued))
    assert "12 of about 30 rows" in shown
    assert "6 rows/s" in shown
    assert ">3 s<" in shown
    assert leases.this_process() in shown
    assert 'value="40.0"' in shown
    only.update(counters={}, lease_until=None)
    assert backfill("resume")[0] == 0
    shown = text(page(queued))
    assert "No run is under way." in shown
    assert "succeeded" in shown
    assert "Rows read</dt><dd>30<" in shown


@pytest.mark.parametrize(("kind", "status"), [("viewers", 403), ("nobody", 403), ("operators", 200)])
def test_acting_on_a_run_needs_the_permission_of_its_kind(queued: AnyMigration, kind: str, status: int) -> None:
    client = member(kind)
    assert {press(client, queued, verb).status_code for verb in VERBS} == {status}
    assert {client.get(address(queued, verb)).status_code for verb in VERBS} == {405}
    assert page(queued, kind).status_code == (403 if kind == "nobody" else 200)
    assert page(queued, kind, part="runs_live").status_code == (403 if kind == "nobody" else 200)
    assert not Run.objects.get().requested


def test_one_permission_is_not_another(queued: AnyMigration) -> None:
    client = member("nobody")
    user = get_user_model().objects.get(email="nobody@example.org")
    user.user_permissions.add(Permission.objects.get(codename="validate_migration"))
    statuses = {verb: press(client, queued, verb).status_code for verb in VERBS}
    assert statuses == {verb: 200 if verb.startswith("validation-") else 403 for verb in VERBS}


@pytest.mark.parametrize(
    ("verb", "says", "becomes"), [(PAUSE, "asked to pause", "paused"), (CANCEL, "asked to end", "cancelled")]
)
def test_a_run_at_work_is_asked_and_the_page_does_not_wait(
    queued: AnyMigration, verb: str, says: str, becomes: str
) -> None:
    take_part()
    client = member("operators")
    assert "it is at 0 of about 30 rows" in text(press(client, queued, verb))
    assert not Run.objects.get().requested
    began = time.monotonic()
    assert confirm(client, queued, verb, reason="rush hour").status_code == 302
    assert time.monotonic() - began < run_requests.OBEYED / 2
    assert says in text(page(queued))
    assert verb not in offered(queued)
    entry = HistoryEntry.objects.get(verb=verb.replace("-", " "))
    assert (entry.actor, entry.reason) == ("admin: operators@example.org", "rush hour")
    run("UPDATE migration_ops_runrange SET lease_until = NULL")
    command("scheduler", "--once")
    assert Run.objects.get().status == becomes


def test_the_command_asks_before_it_waits_for_whoever_works_on_it(
    queued: AnyMigration, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MIGRATION_OPS = {"LEASE": timedelta(minutes=5)}
    take_part()
    monkeypatch.setattr(run_requests, "OBEYED", 0.0)
    code, said, _ = backfill("pause")
    assert (code, said["status"], said["requested"]) == (0, "running", "pause")


def test_what_nobody_works_on_is_paused_at_once_and_goes_on_as_it_was_started(writing: AnyMigration) -> None:
    assert backfill("start", "--queue", "--workers", "2", "--batch-size", "7")[0] == 0
    client = member("operators")
    assert offered(writing, VALIDATE, REHEARSE) == {PAUSE, CANCEL}
    confirm(client, writing, PAUSE)
    assert Run.objects.get().status == "paused"
    assert offered(writing, VALIDATE, REHEARSE) == {RESUME, CANCEL}
    assert "at 0 of about 30 rows" in text(press(client, writing, RESUME))
    assert Run.objects.get().status == "paused"
    assert confirm(client, writing, RESUME).status_code == 302
    going = Run.objects.get()
    assert (going.status, going.queued) == ("running", True)
    assert (going.options["workers"], going.options["batch_size"]) == (2, 7)
    assert "No worker is heard of" in text(page(writing)), "what came of it is said on the page"


def test_a_run_that_failed_is_tried_again(queued: AnyMigration) -> None:
    Run.objects.update(status="failed", error="The disk is full.")
    assert offered(queued, VALIDATE, REHEARSE) == {RETRY, CANCEL}
    assert "The disk is full." in text(page(queued))
    assert confirm(member("operators"), queued, RETRY).status_code == 302
    assert (Run.objects.get().status, Run.objects.get().error) == ("running", "")


def test_a_run_whose_process_is_gone_goes_on_in_the_background(queued: AnyMigration) -> None:
    Run.objects.update(queued=False)
    assert "The process that worked on it is gone." in text(page(queued))
    assert offered(queued, VALIDATE, REHEARSE) == {RESUME, PAUSE, CANCEL}
    assert confirm(member("operators"), queued, RESUME).status_code == 302
    assert Run.objects.get().queued


def test_a_run_that_capture_was_off_since_does_not_go_on_and_a_new_one_takes_its_place(queued: AnyMigration) -> None:
    client = member("operators")
    confirm(client, queued, PAUSE)
    run("UPDATE migration_ops_migrationstate SET capture_since = clock_timestamp()")
    assert offered(queued, VALIDATE, REHEARSE) == {CANCEL, START}
    assert "Nothing to do" in text(press(client, queued, RESUME))
    assert "because capture was off since; it is given up" in text(press(client, queued, START))
    confirm(client, queued, START)
    assert list(Run.objects.order_by("id").values_list("status", flat=True)) == ["cancelled", "running"]


def test_a_backfill_is_started_after_a_look_that_reads_a_piece_and_writes_nothing(writing: AnyMigration) -> None:
    run("UPDATE legacy_notes SET body = NULL WHERE title = 'n0003'")
    client = member("operators")
    assert offered(writing) == {START, VALIDATE, REHEARSE}
    before = digest()
    looked = text(press(client, writing, START))
    assert "Would begin a new backfill, of about 30 rows." in looked
    assert "Of all 30 rows:" in looked
    assert "Would be written</dt><dd>29<" in looked
    assert "Would be quarantined</dt><dd>1<" in looked
    assert digest() == before
    assert confirm(client, writing, START, workers="3", reason="tonight").status_code == 200, (
        "another number: look again"
    )
    assert not Run.objects.exists()
    assert confirm(client, writing, START, reason="tonight").status_code == 302
    assert (Run.objects.get().status, Run.objects.get().queued) == ("running", True)
    entry = HistoryEntry.objects.get(verb="backfill start")
    assert (entry.actor, entry.reason) == ("admin: operators@example.org", "tonight")


def test_a_look_reads_no_longer_than_a_second_whatever_there_is(
    writing: AnyMigration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_actions, "REHEARSING", timedelta(0))
    monkeypatch.setattr(dry_run, "PAGE", 10)
    assert "Of the first 0 rows:" in text(press(member("operators"), writing, START))
    confirm(member("operators"), writing, START)
    Run.objects.get().ranges.filter(number=1).update(cursor=LegacyNotes().scan(Span(), 12).cursor)
    monkeypatch.setattr(run_actions, "REHEARSING", timedelta(minutes=1))
    confirm(member("operators"), writing, PAUSE)
    assert "Of the next 18 rows:" in text(press(member("operators"), writing, RESUME))


def test_where_no_backfill_may_run_the_look_says_so(writing: AnyMigration) -> None:
    run("UPDATE migration_ops_migrationstate SET stage = 'off', version = version + 1, capture_since = NULL")
    answer = press(member("operators"), writing, START)
    assert (answer.status_code, "Backfill needs capture" in text(answer)) == (409, True)
    assert 'id="confirm"' not in text(answer)


@pytest.mark.parametrize("verb", [START, VALIDATE, REHEARSE])
def test_of_two_who_start_at_once_the_second_looks_again(writing: AnyMigration, verb: str) -> None:
    client = member("operators")
    looked = filled_in(press(client, writing, verb))
    assert confirm(client, writing, verb).status_code == 302
    answer = client.post(address(writing, verb), {**looked, "confirm": "yes"})
    assert answer.status_code == 409
    assert Run.objects.count() == 1


@pytest.mark.parametrize("verb", [PAUSE, CANCEL])
def test_nothing_is_done_to_a_run_that_is_not_as_it_was_looked_at(queued: AnyMigration, verb: str) -> None:
    client = member("operators")
    looked = filled_in(press(client, queued, verb))
    Run.objects.update(status="failed")
    answer = client.post(address(queued, verb), {**looked, "confirm": "yes"})
    assert answer.status_code == 409
    assert "Somebody changed this run in the meantime" in text(answer)
    assert Run.objects.get().status == "failed"
    assert not HistoryEntry.objects.filter(verb=verb.replace("-", " ")).exists()


def test_progress_alone_is_no_change(queued: AnyMigration) -> None:
    client = member("operators")
    looked = filled_in(press(client, queued, CANCEL))
    Run.objects.get().ranges.filter(number=1).update(counters={"rows_read": 20, "written": 20})
    assert client.post(address(queued, CANCEL), {**looked, "confirm": "yes"}).status_code == 302
    assert Run.objects.get().status == "cancelled"


def test_a_validation_is_paused_resumed_and_given_up_in_the_same_way(writing: AnyMigration) -> None:
    assert validate_json("--queue")[0] == 0
    client = member("operators")
    assert offered(writing, START, REHEARSE) == {"validation-pause", "validation-cancel"}
    confirm(client, writing, "validation-pause")
    assert Run.objects.get().status == "paused"
    confirm(client, writing, "validation-resume", reason="go")
    assert (Run.objects.get().status, Run.objects.get().queued) == ("running", True)
    confirm(client, writing, "validation-cancel")
    assert Run.objects.get().status == "cancelled"
    said = HistoryEntry.objects.filter(verb__startswith="validation").order_by("id")
    assert [entry.verb for entry in said] == [f"validation {verb}" for verb in ("start", "pause", "resume", "cancel")]


def test_a_validation_in_the_foreground_cannot_be_asked_and_is_not_offered_to(writing: AnyMigration) -> None:
    assert validate_json("--queue")[0] == 0
    runs.reopen(Run.objects.get())
    assert offered(writing, START, REHEARSE) == set()
    code, said = validate_json("pause")
    assert (code, "is in the foreground" in said["error"]) == (4, True)


def test_ended_runs_are_listed_by_kind_and_page_by_page(writing: AnyMigration) -> None:
    assert backfill()[0] == 0
    assert validate_json()[0] == 0
    first = Run.objects.get(kind=RunKind.VALIDATION)
    for _ in range(25):
        Run.objects.create(migration=writing.name, kind="drift", status="succeeded", started_at=first.started_at)
    client = member("viewers")
    listed = reverse("admin:migration_ops_dashboard_runs", args=[writing.name])
    newest = text(client.get(listed))
    assert "Page 1 of 2" in newest
    assert f"validation {first.pk}" not in newest
    assert f"validation {first.pk}" in text(client.get(listed, {"page": "2"}))
    shown = text(client.get(listed, {"kind": "validation", "page": "x"}))
    assert "Equal</dt><dd>30<" in shown
    assert "Rows read" not in shown


def test_what_was_compared_is_what_is_equal_and_what_differs(writing: AnyMigration) -> None:
    """The rows are more: of a document with three of them, and those in quarantine."""
    result = {"legacy_rows": 44, "matched": 30, "mismatched": 2, "missing_in_modern": 1, "missing_in_legacy": 3}
    Run.objects.create(
        migration=writing.name, kind="validation", status="succeeded", started_at=timezone.now(), result=result
    )
    shown = text(member("viewers").get(reverse("admin:migration_ops_dashboard_runs", args=[writing.name])))
    assert "Compared</dt><dd>36<" in shown
    assert "Equal</dt><dd>30<" in shown
    assert "Different</dt><dd>6<" in shown
    assert "belong to nothing" not in shown


@pytest.mark.parametrize(
    ("result", "tone"),
    [
        ({"matched": 30}, "good"),
        ({"matched": 30, "mismatched": 1}, "bad"),
        ({"matched": 30, "missing_in_legacy": 2, "explained": 2}, "good"),
        ({"matched": 30, "missing_in_legacy": 2, "explained": 1}, "bad"),
        ({"matched": 30, "stray_rows": 1}, "bad"),
    ],
)
def test_a_validation_that_found_what_nobody_explained_is_not_shown_as_good_news(
    writing: AnyMigration, result: dict[str, int], tone: str
) -> None:
    Run.objects.create(
        migration=writing.name, kind="validation", status="succeeded", started_at=timezone.now(), result=result
    )
    shown = text(member("viewers").get(reverse("admin:migration_ops_dashboard_runs", args=[writing.name])))
    assert f'<span class="badge {tone}">succeeded</span>' in shown


def test_rows_that_belong_to_no_document_are_counted_where_a_validation_found_some(writing: AnyMigration) -> None:
    result = {"legacy_rows": 30, "matched": 30, "stray_rows": 8}
    Run.objects.create(
        migration=writing.name, kind="validation", status="succeeded", started_at=timezone.now(), result=result
    )
    shown = text(member("viewers").get(reverse("admin:migration_ops_dashboard_runs", args=[writing.name])))
    assert "Modern rows that belong to nothing</dt><dd>8<" in shown


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", "<p>Short batches, with rests: others are at work"),
        ("ko", "<p>다른 세션이 이 데이터베이스를 사용하고 있어"),
    ],
)
def test_a_run_that_goes_slowly_for_the_sake_of_others_says_so_in_the_language_of_whoever_looks(
    queued: AnyMigration, language: str, sentence: str
) -> None:
    Run.objects.update(hold_reason=BESIDE_OTHERS)
    assert sentence in text(page(queued, language=language))


def test_the_page_speaks_korean(queued: AnyMigration) -> None:
    shown = text(page(queued, language="ko"))
    assert "작업자 대기 중" in shown
    assert "소식이 없습니다" in shown
    assert "Pause" not in shown
