"""The comparison of endpoints: the same bytes from either store, nothing written, and no alarm that is false."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from habits import family
from habits.api import api
from habits.board import BLANK_WEEK, BoardKey
from habits.endpoint_comparison.asking import Answer
from habits.endpoint_comparison.calls import CHILDREN, ENDPOINTS, MODERN_ONLY, STATS, WEEK, WEEKS, calls_of
from habits.endpoint_comparison.differing import Place, places
from habits.endpoint_comparison.report import Report
from habits.family import Cell, Contents, Line
from habits.migration import boards
from migration_ops.definition import Side
from migration_ops.observe import metrics
from migration_ops.rollout import pinning, routing
from tests.engine.syncing import begin_dual_write, command, rows, run
from tests.families.conftest import Installation
from tests.habits.legacy_database import row
from tests.habits.legacy_files import OWNER
from tests.house.test_documents import documented_keys

LINES = [Line("양치", ("green", *BLANK_WEEK[1:])), Line("책 읽기", ("red", *BLANK_WEEK[1:]))]
COLOURS = ("green", "yellow", "red")
MONDAYS = ("2025-07-21", "2025-07-28")


def key(child: str = "달이", monday: str = MONDAYS[0]) -> BoardKey:
    return family.key_of(OWNER, child, boards.decode_key(json.dumps([str(OWNER), child, monday])).week_start)


def put(*keys: BoardKey) -> None:
    for each in keys:
        family.put(*each, Contents(theme="바다", habits=LINES))


def messy_families() -> None:
    """Legacy data with everything in it that real data has, carried over."""
    command("seed_legacy", "--rows", "250", "--seed", "5", "--messy", "--reset")
    command("import_owners", "--from-legacy")
    begin_dual_write(boards)
    exit_code, said = command("backfill")
    assert (exit_code, said["status"]) == (3, "succeeded")


def compare(*options: str) -> tuple[int, dict[str, Any]]:
    return command("compare_endpoints", *options)


def everything() -> dict[str, Any]:
    """What every table holds."""
    tables = rows("SELECT quote_ident(relname) FROM pg_stat_user_tables WHERE schemaname = 'public' ORDER BY 1")
    return {
        table: rows(f"SELECT count(*), md5(string_agg(t::text, '' ORDER BY t::text)) FROM {table} t")
        for (table,) in tables
    }


@pytest.mark.parametrize("columns", ["60", "80", "250"])
def test_people_read_all_of_it_on_any_terminal(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    messy_families()
    _code, said = compare("--families", "1", "--repeat", "1")
    out = io.StringIO()
    with suppress(SystemExit):
        call_command("compare_endpoints", "--families", "1", "--repeat", "1", stdout=out)
    printed = out.getvalue()
    assert "Asked for 1 family\n" in re.sub(" +\n", "\n", printed)
    assert "…" not in printed
    for endpoint in said["endpoints"]:
        assert endpoint["endpoint"] in printed
    for head in ("legacy p50 ms", "modern p95 ms", "p95 ratio", "may differ"):
        assert head in printed


def test_every_call_that_reads_is_compared_or_exists_in_modern_alone() -> None:
    reading = {path for path, calls in api.get_openapi_schema()["paths"].items() if "get" in calls}
    assert reading == {endpoint.partition("?")[0] for endpoint in ENDPOINTS} | set(MODERN_ONLY)
    assert {call.endpoint for call in calls_of(OWNER, {key()})} == set(ENDPOINTS)


def test_messy_families_get_the_same_bytes_from_either_store(installation: Installation) -> None:
    messy_families()
    exit_code, said = compare("--families", "1000", "--repeat", "1")
    assert (exit_code, said["different"], said["differences"]) == (0, 0, [])
    assert said["families"] > 3
    assert said["calls"] == said["equal"] + said["excepted"]
    assert [endpoint["endpoint"] for endpoint in said["endpoints"]] == list(ENDPOINTS)
    assert all(endpoint["equal"] > 0 for endpoint in said["endpoints"])
    assert said["excepted"] > 0
    assert said["exceptions"]
    assert documented_keys("compare_endpoints") == set(said)


def test_nothing_is_written(installation: Installation) -> None:
    messy_families()
    metrics.flush()
    before = everything()
    assert len(before) > 20
    assert compare("--families", "3", "--repeat", "1")[0] == 0
    assert everything() == before


def test_one_mark_that_differs_is_found_and_shown_without_what_it_says(in_both: None, settings: Any) -> None:
    settings.MIGRATION_OPS = {"SUSPECT_PATIENCE": timedelta(milliseconds=20)}
    put(key(), key(monday=MONDAYS[1]), key("별이"))
    assert compare("--repeat", "2")[0] == 0
    changed = run(
        "UPDATE habit_records SET status = 'yellow' WHERE record_date = '2025-07-28' AND status = 'red'"
        " AND habit_id IN (SELECT id FROM habits WHERE week_id IN (SELECT id FROM weeks WHERE child_id IN"
        " (SELECT id FROM children WHERE name = '달이')))"
    )
    assert changed == 1
    exit_code, said = compare("--repeat", "2")
    assert exit_code == 5
    (week,) = [found for found in said["differences"] if found["endpoint"] == WEEK]
    assert (week["owner"], week["child"], week["week_start"]) == (str(OWNER), "달이", "2025-07-28")
    assert week["places"] == [
        {"path": "ETag", "legacy": "a text of 26", "modern": "a text of 26"},
        {"path": "habits[1].times[0]", "legacy": "a text of 3", "modern": "a text of 6"},
    ]
    different = {endpoint["endpoint"]: endpoint["different"] for endpoint in said["endpoints"]}
    assert (different[CHILDREN], different[WEEKS], different[WEEK], different[STATS]) == (0, 0, 2, 2)


def test_a_week_that_one_store_lacks_is_a_difference(in_both: None, settings: Any) -> None:
    settings.MIGRATION_OPS = {"SUSPECT_PATIENCE": timedelta(milliseconds=20)}
    put(key(), key(monday=MONDAYS[1]))
    run("DELETE FROM weeks WHERE week_start_date = '2025-07-28'")
    exit_code, said = compare("--repeat", "1")
    assert exit_code == 5
    (week,) = [found for found in said["differences"] if found["endpoint"] == WEEK]
    assert week["places"][0] == {"path": "status", "legacy": "200", "modern": "404"}


def test_a_store_that_fails_is_a_difference_and_does_not_end_the_comparison(
    in_both: None, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.MIGRATION_OPS = {"SUSPECT_PATIENCE": timedelta(milliseconds=20)}
    put(key())
    run("ALTER TABLE habits RENAME TO habits_away")
    try:
        exit_code, said = compare("--repeat", "1")
    finally:
        run("ALTER TABLE habits_away RENAME TO habits")
    assert exit_code == 5
    (week,) = [found for found in said["differences"] if found["endpoint"] == WEEK]
    assert week["places"][0] == {"path": "status", "legacy": "200", "modern": "503"}
    assert "Answered with 503" in caplog.text


def test_boards_that_wait_to_be_carried_over_are_named_and_are_no_differences(table: Installation) -> None:
    begin_dual_write(boards)
    put(key(), key(monday=MONDAYS[1]))
    run("UPDATE habit_tracker SET theme = '산' WHERE week_start_date = '2025-07-28'")
    table.insert(row(990, child_name="달이", week_start_date="2025-08-04"))
    exit_code, said = compare("--repeat", "1")
    assert (exit_code, said["different"]) == (0, 0)
    assert {found["week_start"] for found in said["exceptions"]} == {"2025-07-28", "2025-08-04"}
    by_endpoint = {endpoint["endpoint"]: endpoint for endpoint in said["endpoints"]}
    assert (by_endpoint[WEEK]["equal"], by_endpoint[WEEK]["excepted"]) == (1, 2)
    assert by_endpoint[CHILDREN]["excepted"] == 1


@contextmanager
def somebody_marking(board: BoardKey) -> Iterator[list[int]]:
    """A family that sets one mark after the other until the end of the block; what is yielded grows with each."""
    written: list[int] = []
    ended = threading.Event()
    failures: list[BaseException] = []

    def mark() -> None:
        try:
            while not ended.is_set():
                family.set_marks(*board, [Cell(0, len(written) % 7, COLOURS[len(written) // 7 % 3])])
                written.append(len(written))
        except BaseException as error:  # noqa: BLE001 - raised again below
            failures.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=mark)
    thread.start()
    try:
        yield written
    finally:
        ended.set()
        thread.join()
    if failures:
        raise failures[0]


def test_writes_that_go_on_meanwhile_raise_no_false_alarm(in_both: None) -> None:
    put(key())
    with somebody_marking(key()) as written:
        exit_code, said = compare("--repeat", "40")
    assert (exit_code, said["differences"]) == (0, [])
    assert len(written) > 20
    assert said["equal"] > 0


def test_what_is_written_between_the_two_answers_is_in_neither(table: Installation, settings: Any) -> None:
    settings.MIGRATION_OPS = {"SUSPECT_PATIENCE": timedelta(milliseconds=1)}
    begin_dual_write(boards)
    put(key())
    marked: list[int] = []

    def mark() -> None:
        family.set_marks(*key(), [Cell(0, 0, COLOURS[len(marked) % 3])])
        marked.append(len(marked))

    def before_each_answer(execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith("SAVEPOINT"):
            somebody.submit(mark).result()
        return execute(sql, *rest)

    with ThreadPoolExecutor(1) as somebody:
        with connection.execute_wrapper(before_each_answer):
            exit_code, said = compare("--repeat", "2")
        somebody.submit(lambda: connection.close()).result()  # the thread's own
    assert (exit_code, said["excepted"], said["differences"]) == (0, 0, [])
    assert len(marked) > 2 * said["calls"]


def test_without_families_or_with_one_store_alone_there_is_nothing_to_compare(installation: Installation) -> None:
    exit_code, said = compare()
    assert exit_code == 4
    assert "stage off" in said["error"]
    begin_dual_write(boards)
    exit_code, said = compare()
    assert exit_code == 2
    assert "No family" in said["error"]


def test_reads_of_a_block_are_pinned_and_no_others(in_both: None) -> None:
    put(key())
    elsewhere: list[Side | None] = []
    with pinning.pinned(Side.MODERN):
        served = family.board(*key()).served
        with pinning.pinned(Side.LEGACY):
            assert routing.pin() is Side.LEGACY
        thread = threading.Thread(target=lambda: elsewhere.append(routing.pin()))
        thread.start()
        thread.join()
        assert routing.pin() is Side.MODERN
    assert (served.side, served.reason) == (Side.MODERN, routing.Reason.PIN)
    assert elsewhere == [None]
    assert routing.pin() is None


def test_places_are_where_the_answers_differ_and_do_not_say_what_is_there() -> None:
    def answer(body: str, status: int = 200, **headers: str) -> Answer:
        return Answer(status, headers, body.encode(), "legacy", 0.0)

    assert places(answer("[1]"), answer("[1]")) == []
    assert places(answer("[1]"), answer("[1] ")) == [Place("bytes", "3 bytes", "4 bytes")]
    assert places(answer("[1]", ETag="x"), answer("[1]")) == [Place("ETag", "a text of 1", "nothing")]
    assert places(answer("", 503), answer("", 503)) == [Place("status", "503", "503")]
    assert places(answer('{"a": [{"b": "secret"}, 1], "c": true}'), answer('{"a": [{"b": null}], "c": 1}')) == [
        Place("a[0].b", "a text of 6", "null"),
        Place("a[1]", "a number", "nothing"),
        Place("c", "a truth value", "a number"),
    ]
    assert len(places(answer(json.dumps([0] * 9)), answer(json.dumps([1] * 9)))) == 5


def test_the_ratio_is_that_of_the_p95_and_says_whether_bound_and_goal_are_met() -> None:
    def verdicts(modern: float) -> tuple[Any, ...]:
        report = Report()
        (call, *_) = calls_of(OWNER, set())
        for number in range(100):
            slow = 10.0 if number >= 94 else 1.0
            report.add_equal(call, {Side.LEGACY: 0.01 * slow, Side.MODERN: modern * slow})
        said = report.endpoints[CHILDREN].as_json()
        assert (said["legacy_p50_ms"], said["legacy_p95_ms"]) == (10.0, 100.0)
        return said["ratio"], said["bound_met"], said["goal_met"]

    assert verdicts(0.012) == (1.2, False, False)
    assert verdicts(0.011) == (1.1, True, False)
    assert verdicts(0.007) == (0.7, True, True)
    assert Report().endpoints[CHILDREN].as_json()["bound_met"] is None
