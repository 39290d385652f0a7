"""The control room for those who read Korean: what gates and services say stands there in Korean, and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.db.models.functions import Now
from django.utils import translation

import migration_ops
from migration_ops import gates, state
from migration_ops.definition import AnyMigration
from migration_ops.gates import Gate, Verdict
from migration_ops.locks import lock_id
from migration_ops.models import DirtyKey, Flag, GateReading, HistoryEntry
from migration_ops.rollout import control, evaluator, forward
from migration_ops.stages import Stage
from migration_ops.web import wording
from migration_ops.web.actions import ACTIONS
from tests.engine.korean import english_in, numbers_in
from tests.engine.planting import count
from tests.engine.staff import address, confirm, member, press, room
from tests.engine.syncing import begin_dual_write, command, go_to_ramp, run, second_connection
from tests.notes import schema

HANGUL = re.compile(r"[가-힣]")


@pytest.fixture
def ramped(notes: AnyMigration) -> AnyMigration:
    """At `ramp` with 5 %, and most gates closed."""
    schema.add_rows(("garden", "peas", "sow"), (None, "lost", "row"))
    begin_dual_write(notes)
    go_to_ramp(notes, percent=5)
    return notes


def sentences(html: str) -> dict[str, str]:
    """What each gate on the page says, by its id, without its table of numbers."""
    found = re.findall(r"<code>(\w+)</code></p>\n(<p>.*?</p>)(?:\n<p class=|</li>)", html, flags=re.DOTALL)
    return {gate_id: unescape(re.sub(r"<[^>]+>", "", said)).strip() for gate_id, said in found}


def refusal(page: Any) -> str:
    (said,) = re.findall(r'role="alert">([^<]+)<', page.content.decode())
    return unescape(said)


@pytest.mark.parametrize("stage", [Stage.OFF, Stage.DUAL_WRITE, Stage.SHADOW, Stage.RAMP, Stage.LIVE, Stage.FROZEN])
def test_every_gate_on_the_page_is_said_in_korean_with_the_same_numbers(notes: AnyMigration, stage: Stage) -> None:
    if stage is not Stage.OFF:
        begin_dual_write(notes)
        run("ALTER TABLE migration_ops_migrationstate DISABLE TRIGGER USER")
        run("UPDATE migration_ops_migrationstate SET stage = %s, version = version + 1", stage.value)
    pages = [member("viewers", language).get(room(notes)).content.decode() for language in ("ko", "en")]
    korean, english = map(sentences, pages)
    following = forward.following(state.read(notes))
    assert following is not None
    assert korean.keys() == english.keys() == set(following.gates)
    for gate_id, said in korean.items():
        assert HANGUL.search(said), gate_id
        assert english_in(said.replace(gate_id, "")) == [], gate_id
        if gate_id not in ("soak_elapsed", "evaluator_alive"):  # time goes on between the two pages
            assert numbers_in(said) == numbers_in(english[gate_id]), gate_id


def test_a_sentence_of_a_gate_that_others_brought_stays_as_they_say_it(ramped: AnyMigration) -> None:
    gates.unregister("sync_lag")
    gates.register("sync_lag", lambda _: Gate(id="sync_lag", verdict=Verdict.FAIL, message="<b>50 % late</b>"))
    try:
        page = member("viewers", "ko").get(room(ramped)).content.decode()
    finally:
        gates.unregister("sync_lag")
        gates.register("sync_lag", gates.EVALUATORS["sync_lag"])
    assert "<p>&lt;b&gt;50 % late&lt;/b&gt;</p>" in page


def test_who_vouches_is_said_in_korean_with_the_reason_as_it_was_given(ramped: AnyMigration) -> None:
    confirm(member("approvers"), ramped, "override", reason="the night was quiet")
    page = unescape(member("viewers", "ko").get(room(ramped)).content.decode())
    assert re.search(
        r"<i>admin: approvers@example.org 님이 [\d-]+ [\d:]+ KST까지 보증합니다: the night was quiet</i>", page
    )


def as_it_is(_: AnyMigration) -> None:
    pass


def at_off(_: AnyMigration) -> None:
    run("UPDATE migration_ops_migrationstate SET stage = 'off', percent = 0, version = version + 1")


def waits_for_legacy(_: AnyMigration) -> None:
    DirtyKey.objects.create(migration="notes", side="modern", key='["a", "b"]', created_at=Now())


REFUSALS: dict[str, tuple[Callable[[AnyMigration], Any], str, dict[str, str]]] = {
    "closed gates of the next percentage": (as_it_is, "advance", {}),
    "closed gates of a percentage beyond the plan": (as_it_is, "set", {"percent": "50"}),
    "closed gates of more canaries": (as_it_is, "canary", {"percent": "1.5"}),
    "too many canaries": (as_it_is, "canary", {"percent": "40"}),
    "no name of a header": (as_it_is, "canary", {"percent": "0", "header": "no name"}),
    "no name of a cookie": (as_it_is, "canary", {"percent": "0", "cookie": "no name"}),
    "on hold": (lambda notes: control.hold(notes, actor="ann"), "advance", {}),
    "killed": (lambda notes: control.kill(notes, actor="ann"), "advance", {}),
    "a percentage elsewhere than at ramp": (at_off, "set", {"percent": "5"}),
    "no reason": (as_it_is, "advance", {"override": "yes"}),
    "what only modern has": (waits_for_legacy, "back", {"stage": "off"}),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_a_refusal_is_said_in_korean_with_the_same_numbers(ramped: AnyMigration, what: str) -> None:
    prepare, verb, said = REFUSALS[what]
    prepare(ramped)
    pages = [confirm(member("approvers", language), ramped, verb, **said) for language in ("en", "ko")]
    assert [page.status_code >= 400 for page in pages] == [True, True]
    english, korean = map(refusal, pages)
    assert HANGUL.search(korean)
    assert english_in(korean.replace("'no name'", "")) == []
    assert numbers_in(korean) == numbers_in(english)
    assert not HANGUL.search(english)


@pytest.mark.parametrize(("verb", "said"), [("advance", {"override": "yes"}), ("override", {})])
def test_who_gives_no_reason_is_told_of_the_field_on_the_page(
    ramped: AnyMigration, verb: str, said: dict[str, str]
) -> None:
    page = confirm(member("approvers", "ko"), ramped, verb, **said).content.decode()
    assert "왜 보증하는지 “이유” 칸에 적어 주세요." in page
    assert re.search(r'<label for="id_reason">이유</label>', page)
    assert "--" not in re.sub(r"<[^>]+>", "", page[page.index("<h1") :])


def switches(page: str) -> list[list[str]]:
    """The cells of the history on this page, a list for each entry, without when it was."""
    (table,) = re.findall(r'id="history-title".*?<tbody role="rowgroup">(.*?)</tbody>', page, flags=re.DOTALL)
    lines = table.split("<tr ")[1:]
    return [[unescape(re.sub(r"<[^>]+>", "", cell)) for cell in re.findall(r"<td.*?</td>", line)] for line in lines]


def test_the_history_is_told_in_korean_and_kept_in_english(ramped: AnyMigration) -> None:
    staff = member("operators", "ko")
    for verb in ("hold", "resume", "kill", "unkill", "rollback"):
        assert confirm(staff, ramped, verb).status_code == 302
    assert confirm(staff, ramped, "back", stage="shadow").status_code == 302
    Flag.objects.filter(name=ramped.name).update(note="past the services")
    page = staff.get(room(ramped)).content.decode()
    told = switches(page)
    assert [what for what, *_ in told][:7] == [
        "플래그 변경됨",
        "이전 단계로",
        "되돌리기",
        "긴급 차단 해제",
        "긴급 차단",
        "보류 해제",
        "전진 보류",
    ]
    assert [change for _, change, *_ in told][1:3] == ["점진 전환 → 섀도 읽기", "5 % → 0 %"]
    assert [word for what, change, *_ in told for word in english_in(f"{what} {change}") if word != "SQL"] == []
    in_list = staff.get("/admin/migration_ops/historyentry/").content.decode()
    assert re.search(r'class="field-done">이전 단계로</td><td class="field-came_from">점진 전환</td>', in_list)
    assert HistoryEntry.objects.filter(verb="back", from_stage="ramp").exists()


def test_every_verb_that_the_engine_writes_into_the_history_has_a_korean_word() -> None:
    with translation.override("ko"):
        assert [kept for kept, word in wording.VERBS.items() if not HANGUL.search(str(word))] == []
    sources = [path.read_text() for path in Path(migration_ops.__file__).parent.rglob("*.py")]
    written = {verb for source in sources for verb in re.findall(r'\bverb="([^"]+)"', source)}
    written |= {verb for source in sources for verb in re.findall(r'"((?:quarantine|backfill) [a-z-]+)", ', source)}
    assert len(written) > 10
    assert written - {action.verb for action in ACTIONS} - wording.VERBS.keys() == set()


def test_what_somebody_writes_as_a_verb_of_their_own_stays_as_it_is() -> None:
    assert (wording.verb("swept"), wording.stage_named("attic"), wording.stage_named("")) == ("swept", "attic", "–")


def test_somebody_who_was_faster_and_a_writer_in_the_way_are_named_in_korean(
    ramped: AnyMigration, settings: Any
) -> None:
    short = timedelta(milliseconds=200)
    settings.MIGRATION_OPS = {"FENCE_TIMEOUT": short, "SCHEMA_LOCK_PATIENCE": short}
    client = member("operators", "ko")
    with second_connection() as writer:
        writer.execute("SET application_name = 'w'")
        writer.execute("SELECT pg_advisory_xact_lock_shared(%s)", [lock_id("fence", ramped.name)])
        busy = refusal(confirm(client, ramped, "back", stage="shadow"))
    assert re.search(r"쓰기 작업이 .*pid \d+ \('w', .*, 트랜잭션 시작 .*, 질의 시작 ", busy)
    page = press(client, ramped, "rollback")
    control.hold(ramped, actor="ann")
    version = re.search(r'name="version" value="(\d+)"', page.content.decode())
    assert version
    late = client.post(address(ramped, "rollback"), {"version": version[1], "looked_at": "{}", "confirm": "yes"})
    assert (
        refusal(late)
        == "그사이 다른 사람이 상태를 바꾸었습니다(notes, 지금: 점진 전환 5 %). 다시 보고 새로 결정하세요."
    )


def test_after_the_last_stage_nothing_is_left_to_vouch_for(ramped: AnyMigration) -> None:
    run("ALTER TABLE migration_ops_migrationstate DISABLE TRIGGER USER")
    for stage, verb in (("dropped", "advance"), ("dropped", "override"), ("frozen", "kill"), ("live", "advance")):
        run("UPDATE migration_ops_migrationstate SET stage = %s, version = version + 1", stage)
        said = refusal(press(member("approvers", "ko"), ramped, verb, reason="so"))
        assert (english_in(said), bool(HANGUL.search(said))) == ([], True), (stage, verb)


def test_commands_readings_and_the_history_stay_english_while_pages_are_korean(
    ramped: AnyMigration, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.LANGUAGE_CODE = "ko"
    count(ramped, "write", "failed", 50)
    with translation.override("ko"):
        code, printed = command("rollout", "status")
        refused, of_advance = command("rollout", "advance", "--actor", "ann", "--reason", "test")
        done = evaluator.evaluate(ramped)
    assert (code, refused, done.done) == (0, 4, "hold")
    texts = [
        *(gate["message"] for gate in printed["gates"]),
        *(gate["message"] for gate in of_advance["gates"]),
        *(reading.evidence["message"] for reading in GateReading.objects.all()),
        of_advance["error"],
        printed["next"],
        HistoryEntry.objects.latest("id").reason,
        *(record.getMessage() for record in caplog.records),
    ]
    assert len(texts) > 40
    assert [text for text in texts if HANGUL.search(text) or not english_in(text)] == []
    assert re.search(r"50 of \d+ second writes of the last 24 h failed", HistoryEntry.objects.latest("id").reason)
    assert "second writes of the last 24 h failed" in caplog.text
