"""Drift: what was touched since the last time is compared, whoever touched it and however; the rest by chance."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from migration_ops.definition import AnyMigration, Page, Side
from migration_ops.models import (
    ComparedUpTo,
    Difference,
    DifferenceStatus,
    Run,
    RunKind,
    RunStatus,
    Severity,
    TouchedKey,
)
from migration_ops.sync import applier, dual_write
from migration_ops.verify import mark
from migration_ops.verify.compare import Kind, Tally, Verdict
from migration_ops.verify.drift import detect
from migration_ops.verify.lifecycle import standing
from migration_ops.verify.power import power
from migration_ops.verify.severity import ORDER, severity
from migration_ops.verify.validation import discard, validate
from tests.engine.syncing import begin_dual_write, go_to_live, go_to_ramp, rows, run, second_connection
from tests.engine.validating import command, copy_over, digest, fill, validate_json
from tests.engine.waiting import eventually, until_alone
from tests.notes import schema
from tests.notes.note import Note, NoteKey


@pytest.fixture(autouse=True)
def _quick(settings: Any) -> None:
    settings.MIGRATION_OPS = {"SUSPECT_PATIENCE": timedelta(milliseconds=30), "SUSPECT_ROUNDS": 2, "COMPARE_BATCH": 7}


@pytest.fixture
def compared(notes: AnyMigration) -> AnyMigration:
    """Forty notes, equal in both stores, all of them compared once; nothing was touched since."""
    begin_dual_write(notes)
    fill(40)
    copy_over(notes)
    run("DELETE FROM migration_ops_dirtykey")
    assert detect_json()[0] == 0
    return notes


def detect_json(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Run the command in this process: exit code and its JSON object."""
    until_alone()
    code, out, _ = command("detect_drift", "--json", *arguments)
    return code, json.loads(out)


def found(data: dict[str, Any]) -> set[tuple[str, str]]:
    return {(each["title"], each["kind"]) for each in data["differences"]}


def test_the_first_run_compares_everything_because_nothing_is_known(notes: AnyMigration) -> None:
    fill(30)
    copy_over(notes)
    run("UPDATE modern_notes SET lines = '{other}' WHERE title = 'n0017'")

    code, data = detect_json("--sample", "1")

    assert (code, data["notes_compared"], found(data)) == (5, 30, {("n0017", "mismatched")})
    assert "no earlier comparison" in data["everything_because"]
    assert (data["sampled"], data["power"]) == (1, pytest.approx(power(1)))


def test_what_nobody_touched_is_not_compared_but_for_the_sample_and_its_power_is_stated(
    compared: AnyMigration,
) -> None:
    code, data = detect_json("--sample", "5")

    assert (code, data["complete"], data["everything_because"]) == (0, True, None)
    assert (data["touched"], data["sampled"], data["notes_compared"]) == (0, 5, 5)
    assert data["power"] == pytest.approx(power(5))
    assert Run.objects.filter(kind=RunKind.DRIFT, status=RunStatus.SUCCEEDED).count() == 2


PAST_CAPTURE = "SELECT set_config('migration_ops.origin', 'somebody', false)"


@pytest.mark.parametrize(
    ("statement", "title", "kind"),
    [
        ("UPDATE modern_notes SET lines = '{x}' WHERE title = 'n0003'", "n0003", "mismatched"),
        ("UPDATE legacy_notes SET body = 'x' WHERE title = 'n0003'", "n0003", "mismatched"),
        ("DELETE FROM modern_notes WHERE title = 'n0003'", "n0003", "missing_in_modern"),
        ("DELETE FROM legacy_notes WHERE title = 'n0003'", "n0003", "missing_in_legacy"),
        ("INSERT INTO modern_notes (notebook, title, lines) VALUES ('zzz', 'new', '{}')", "new", "missing_in_legacy"),
        ("INSERT INTO legacy_notes (notebook, title, body) VALUES ('zzz', 'new', 'x')", "new", "missing_in_modern"),
        ("INSERT INTO legacy_notes (notebook, title, body) VALUES ('home', 'n0003', 'x')", "n0003", "mismatched"),
    ],
)
def test_whatever_is_touched_past_capture_is_compared(
    compared: AnyMigration, statement: str, title: str, kind: str
) -> None:
    with second_connection() as somebody:
        somebody.execute(PAST_CAPTURE)
        somebody.execute(statement)

    code, data = detect_json("--sample", "1")

    assert data["everything_because"] is None
    assert data["touched"] == 1
    assert (code, found(data)) == (5, {(title, kind)})


def test_a_row_that_moves_past_capture_has_both_its_documents_compared(compared: AnyMigration) -> None:
    with second_connection() as somebody:
        somebody.execute(PAST_CAPTURE)
        somebody.execute("UPDATE legacy_notes SET title = 'elsewhere' WHERE title = 'n0003'")

    _, data = detect_json("--sample", "1")

    assert found(data) == {("n0003", "missing_in_legacy"), ("elsewhere", "missing_in_modern")}


def test_what_was_open_during_a_run_is_compared_by_the_next_one(compared: AnyMigration) -> None:
    """Also though others, who began later, had ended when the run began."""
    with second_connection() as somebody:
        somebody.execute(PAST_CAPTURE)
        somebody.execute("UPDATE modern_notes SET lines = '{x}' WHERE title = 'n0003'")
        run("UPDATE modern_notes SET lines = lines WHERE title = 'n0005'")
        assert detect_json("--sample", "1")[1]["touched"] == 1

    code, data = detect_json("--sample", "1")

    assert (code, found(data)) == (5, {("n0003", "mismatched")})


def test_writes_of_the_app_are_compared_as_well_and_are_equal(compared: AnyMigration) -> None:
    for number in range(3):
        with dual_write.writing(compared, NoteKey("home", f"n000{number}")) as draft:
            draft.document = Note(draft.key, ("by the app",))
    with dual_write.writing(compared, NoteKey("home", "n0009")) as draft:
        draft.document = None

    code, data = detect_json("--sample", "1")

    assert (code, data["touched"], data["differences"]) == (0, 3, [])


def test_a_full_validation_counts_as_a_comparison(notes: AnyMigration) -> None:
    begin_dual_write(notes)
    fill(20)
    copy_over(notes)
    run("DELETE FROM migration_ops_dirtykey")
    assert validate_json()[0] == 0

    _, data = detect_json("--sample", "1")

    assert (data["everything_because"], data["touched"]) == (None, 0)


@pytest.mark.parametrize("arguments", [["--sample", "5"], ["--repair", "--dry-run"]])
def test_a_sample_or_a_dry_run_does_not(notes: AnyMigration, arguments: list[str]) -> None:
    fill(20)
    copy_over(notes)
    validate_json(*arguments)
    assert not ComparedUpTo.objects.exists()


def test_where_capture_was_off_everything_is_compared(compared: AnyMigration) -> None:
    run("ALTER TABLE legacy_notes DISABLE TRIGGER ALL")
    assert "captured" in detect_json("--sample", "1")[1]["everything_because"]
    for (name,) in rows("SELECT tgname FROM pg_trigger WHERE tgrelid = 'legacy_notes'::regclass AND NOT tgisinternal"):
        run(f'ALTER TABLE legacy_notes ENABLE ALWAYS TRIGGER "{name}"')
    assert "was changed meanwhile" in detect_json("--sample", "1")[1]["everything_because"]
    assert detect_json("--sample", "1")[1]["everything_because"] is None


def test_where_captures_were_lost_everything_is_compared_once(compared: AnyMigration) -> None:
    run("SELECT nextval('migration_ops_capture_lost')")
    assert "could not be captured" in detect_json("--sample", "1")[1]["everything_because"]
    assert detect_json("--sample", "1")[1]["everything_because"] is None


def test_a_mark_that_a_dump_brought_along_is_not_believed(compared: AnyMigration) -> None:
    """What pg_restore does: the same row, written by another transaction."""
    run("CREATE TEMPORARY TABLE kept AS SELECT * FROM migration_ops_comparedupto")
    run("DELETE FROM migration_ops_comparedupto")
    run("INSERT INTO migration_ops_comparedupto SELECT * FROM kept")
    run("DROP TABLE kept")

    assert "no earlier comparison" in detect_json("--sample", "1")[1]["everything_because"]


@pytest.mark.parametrize("ahead", [1_000, -2_000_000_001])
def test_a_mark_of_another_time_is_not_believed(compared: AnyMigration, ahead: int) -> None:
    run(
        "UPDATE migration_ops_comparedupto SET written = pg_current_xact_id()::text::bigint,"
        f" seen = pg_current_xact_id()::text::bigint + {ahead}"
    )
    assert mark.since(compared) is None


def test_an_incomplete_run_is_no_comparison(compared: AnyMigration, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ComparedUpTo.objects.get()
    monkeypatch.setattr("tests.notes.stores.LegacyNotes.sample", lambda self, *_, **__: Page(documents=[]))

    code, data = detect_json("--sample", "5")

    assert (code, data["complete"]) == (1, False)
    assert ComparedUpTo.objects.get().seen == before.seen


def test_a_dry_run_leaves_the_database_as_it_was(compared: AnyMigration) -> None:
    run("UPDATE modern_notes SET lines = '{x}' WHERE title = 'n0003'")
    schema.add_rows((None, "in quarantine", "x"))
    kept = digest()

    code, data = detect_json("--dry-run", "--repair")

    assert digest() == kept
    assert (code, data["run"], data["dry_run"], data["would_repair"]) == (5, None, True, 1)
    assert found(data) == {("n0003", "mismatched")}


def test_what_was_touched_and_is_in_the_sample_is_counted_once(compared: AnyMigration) -> None:
    run("UPDATE modern_notes SET lines = lines")
    _, data = detect_json("--sample", "1000")
    assert (data["touched"], data["sampled"], data["notes_compared"], data["matched"]) == (40, 40, 40, 40)


def test_nothing_of_a_run_that_ended_is_kept_but_what_it_found(compared: AnyMigration) -> None:
    run("UPDATE modern_notes SET lines = lines")
    detect_json()
    assert not TouchedKey.objects.exists()


def test_what_is_on_its_way_is_of_low_severity_and_says_so(compared: AnyMigration) -> None:
    run("UPDATE legacy_notes SET body = 'x' WHERE title = 'n0003'")

    code, data = detect_json()

    (difference,) = data["differences"]
    assert (code, difference["severity"], difference["dirty"]) == (5, "low", True)
    applier.drain(compared)
    assert detect_json()[0] == 0
    assert Difference.objects.get().status == DifferenceStatus.GONE


@pytest.mark.parametrize("stage", ["off", "ramp", "live"])
def test_it_works_at_every_stage_at_which_the_stores_are_kept_in_step(notes: AnyMigration, stage: str) -> None:
    begin_dual_write(notes)
    fill(10)
    copy_over(notes)
    run("DELETE FROM migration_ops_dirtykey")
    if stage == "ramp":
        go_to_ramp(notes, percent=20)
    elif stage == "live":
        go_to_live(notes)
    assert detect_json()[0] == 0
    run("UPDATE modern_notes SET lines = '{x}' WHERE title = 'n0003'")
    assert found(detect_json()[1]) == {("n0003", "mismatched")}


def test_from_frozen_on_it_is_refused(compared: AnyMigration) -> None:
    go_to_live(compared)
    run("UPDATE migration_ops_migrationstate SET stage = 'frozen', version = version + 1")
    code, data = detect_json()
    assert code == 4
    assert "frozen" in data["error"]


def test_of_two_at_once_the_second_is_refused_and_told_who_holds_the_lease(
    compared: AnyMigration, start_notes_command: Callable[..., subprocess.Popen[str]]
) -> None:
    run("UPDATE modern_notes SET lines = '{x}' WHERE title = 'n0003'")
    first = start_notes_command("detect_drift", "--json")
    eventually(lambda: Difference.objects.filter(status=DifferenceStatus.SUSPECT).exists())

    for arguments in ([], ["--dry-run"]):
        code, data = detect_json(*arguments)
        assert code == 4
        assert f":{first.pid} until " in data["error"]
    first.send_signal(signal.SIGTERM)
    assert first.wait(timeout=30) == 143


@pytest.mark.parametrize("where", ["drift_gathered", "validation_chunk_noted:2", "validation_suspects_settled"])
def test_killed_anywhere_the_next_one_goes_on_and_finds_the_same(
    compared: AnyMigration, start_notes_command: Callable[..., subprocess.Popen[str]], where: str
) -> None:
    run("UPDATE modern_notes SET lines = '{x}' WHERE title < 'n0020'")
    killed = start_notes_command("detect_drift", "--json", failpoint=where)
    assert killed.wait(timeout=60) == -signal.SIGKILL

    code, data = detect_json()

    assert (code, data["mismatched"], len(data["differences"])) == (5, 20, 20)
    assert Run.objects.filter(kind=RunKind.DRIFT).count() == 2, "the first, and this one that was taken up again"
    assert detect_json()[1]["confirmed"] == 20


TITLES = [f"n{number:04}" for number in range(6)]

TOUCHES = st.tuples(
    st.sampled_from(
        [
            "UPDATE modern_notes SET lines = ARRAY[%(body)s] WHERE title = %(title)s",
            "UPDATE legacy_notes SET body = %(body)s WHERE title = %(title)s",
            "UPDATE legacy_notes SET title = %(other)s WHERE title = %(title)s",
            "DELETE FROM modern_notes WHERE title = %(title)s",
            "DELETE FROM legacy_notes WHERE title = %(title)s",
            "INSERT INTO legacy_notes (notebook, title, body) VALUES ('home', %(title)s, %(body)s)",
            "INSERT INTO modern_notes (notebook, title, lines) VALUES ('home', %(title)s, ARRAY[%(body)s])"
            " ON CONFLICT (notebook, title) DO UPDATE SET lines = excluded.lines",
        ]
    ),
    st.sampled_from(TITLES),
    st.sampled_from([*TITLES, "elsewhere"]),
    st.sampled_from(["line 1", "line 2", "x"]),
)


@given(batches=st.lists(st.lists(TOUCHES, max_size=4), min_size=1, max_size=3))
@hypothesis(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_run_after_run_finds_exactly_what_a_full_validation_would(
    notes: AnyMigration, batches: list[list[tuple[str, str, str, str]]]
) -> None:
    """Whatever anybody does past capture to whichever side, and how often somebody looks in between."""
    run("TRUNCATE legacy_notes, modern_notes, migration_ops_lineage, migration_ops_dirtykey")
    run("DELETE FROM migration_ops_comparedupto")
    Run.objects.all().delete()
    fill(len(TITLES))
    copy_over(notes)
    assert detect(notes, actor="test").unsettled == 0
    for batch in batches:
        with second_connection() as somebody:
            somebody.execute(PAST_CAPTURE)
            for statement, title, other, body in batch:
                somebody.execute(statement, {"title": title, "other": other, "body": body})
        drift = detect(notes, actor="test", sample=1)
        assert not drift.everything_because
        there = {(each.key, each.kind) for each in standing(notes)}
        everything = validate(notes, actor="test", keep=False)
        assert there == {(each.key, each.kind) for each in everything.differences()}
        discard(everything)


def test_the_severity_orders_what_can_be_lost(notes: AnyMigration) -> None:
    def judged(kind: Kind, legacy: int = 0, modern: int = 0, equal: int = 0, *, waiting: bool = False) -> list[str]:
        tally = Tally(cells_legacy=legacy, cells_modern=modern, cells_equal=equal)
        return [severity(Verdict(kind, (), tally), reads=side, waiting=waiting).value for side in Side]

    assert list(Side) == [Side.LEGACY, Side.MODERN]
    assert judged(Kind.MISSING_IN_MODERN, legacy=3) == ["high", "critical"]
    assert judged(Kind.MISSING_IN_LEGACY, modern=3) == ["critical", "high"]
    assert judged(Kind.MISMATCHED, 3, 2, 2) == ["high", "critical"]
    assert judged(Kind.MISMATCHED, 3, 3, 2) == ["high", "high"]
    assert judged(Kind.MISMATCHED, 3, 3, 3) == ["medium", "medium"]
    assert judged(Kind.MISSING_IN_MODERN, legacy=3, waiting=True) == ["low", "low"]
    assert [bad.value for bad in ORDER] == ["critical", "high", "medium", "low"]
    assert set(ORDER) == set(Severity)
