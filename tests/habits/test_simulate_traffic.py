"""`simulate_traffic`: what it did is proven in both stores, and what is wrong there is found."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection

from habits.migration import boards
from habits.models import User
from habits.traffic.open_loop import send_all
from migration_ops.backfill.stop import Stop
from migration_ops.definition import Side
from migration_ops.models import DirtyKey
from migration_ops.sync import capture
from tests.acceptance.commands import Result, run, start
from tests.acceptance.modern import query
from tests.api.server import serving
from tests.engine.syncing import begin_dual_write, go_to_live, go_to_ramp
from tests.engine.waiting import eventually

QUICK = ("--rate", "60", "--seconds", "1", "--owners", "2", "--write-percent", "60", "--settle", "0.5")

CONTENT = """
SELECT user_id::text, child_name, week_period, line ->> 'name', (line -> 'times')::text
  FROM habit_tracker CROSS JOIN LATERAL jsonb_array_elements(habits) AS line ORDER BY 1, 2, 3, 4, 5
"""


@pytest.fixture(params=["table", "json"])
def installation(
    request: pytest.FixtureRequest, transactional_db: None, settings: Any, tmp_path: Path
) -> Iterator[str]:
    """300 clean legacy rows whose owners have accounts, in the table or in the file."""
    settings.VAR_DIR = tmp_path / "var"
    settings.LEGACY_BACKEND = request.param
    settings.LEGACY_JSON_PATH = str(tmp_path / "habit_tracker.json")
    assert run("seed_legacy", "--rows", "150", "--reset").exit_code == 0
    assert run("import_owners", "--from-legacy").exit_code == 0
    yield request.param
    capture.remove(boards, side=Side.MODERN)
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS habit_tracker CASCADE")


only_table = pytest.mark.parametrize("installation", ["table"], indirect=True)


def execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def sabotage(table: str, event: str, body: str) -> None:
    """A trigger that does what no trigger should."""
    execute(
        f"CREATE OR REPLACE FUNCTION pg_temp_sabotage() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;"
        f"CREATE TRIGGER a_sabotage BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION pg_temp_sabotage()"
    )


@pytest.fixture
def sabotaged() -> Iterator[Callable[[str, str, str], None]]:
    yield sabotage
    execute("DROP FUNCTION IF EXISTS pg_temp_sabotage() CASCADE")


def assert_clean(done: Result) -> None:
    assert done.exit_code == 0, (done["failed"], done["findings"], done.errors)
    assert (done["failures"], done["lost"], done["mismatched"], done["stale_reads"], done["left"]) == (0,) * 5
    assert done["checked"] == done["writes"]


def test_at_every_stage_what_was_acknowledged_is_where_it_belongs(installation: str) -> None:
    done = run("simulate_traffic", *QUICK)
    assert_clean(done)
    assert done["writes"] + done["reads"] + done["unsent"] == 60
    assert done["outcomes"].keys() == {"one_store", "unchanged"}
    begin_dual_write(boards)
    assert run("backfill").exit_code == 0
    done = run("simulate_traffic", *QUICK)
    assert_clean(done)
    assert done["outcomes"]["both"] > 0
    assert done["served"].keys() == {"legacy"}
    go_to_ramp(boards, percent=50)
    done = run("simulate_traffic", *QUICK, "--seed", "4")
    assert_clean(done)
    assert done["served"].keys() == {"legacy", "modern"}
    checked = run("validate_migration")
    assert (checked.exit_code, checked["mismatched"]) == (0, 0)
    assert 0 < done["p50_ms"] <= done["p95_ms"]


@only_table
def test_afterwards_the_boards_are_as_they_were_and_the_ledger_is_gone(installation: str, settings: Any) -> None:
    begin_dual_write(boards)
    assert run("backfill").exit_code == 0
    before = query(CONTENT)
    assert_clean(run("simulate_traffic", *QUICK))
    assert query(CONTENT) == before
    assert list((settings.VAR_DIR / "traffic").iterdir()) == []


@only_table
def test_kept_lines_can_be_checked_and_removed_later(installation: str) -> None:
    begin_dual_write(boards)
    done = run("simulate_traffic", *QUICK, "--keep")
    assert query("SELECT 1 FROM habits WHERE starts_with(name, %s)", [f"traffic {done['run']} "])
    again = run("simulate_traffic", "--check", done["ledger"])
    assert (again.exit_code, again["checked"], again["left"]) == (0, done["writes"], 0)
    assert not query("SELECT 1 FROM habits WHERE starts_with(name, 'traffic')")
    assert not query(f"SELECT 1 FROM ({CONTENT}) AS lines (o, c, p, name, t) WHERE starts_with(name, 'traffic')")
    assert not Path(done["ledger"]).exists()


def test_families_of_its_own_are_gone_afterwards(installation: str) -> None:
    begin_dual_write(boards)
    before = User.objects.count()
    assert_clean(run("simulate_traffic", *QUICK, "--make-owners"))
    assert User.objects.count() == before
    assert not query("SELECT 1 FROM children WHERE starts_with(name, 'Traffic')")
    kept = run("simulate_traffic", *QUICK, "--make-owners", "--keep")
    assert kept.exit_code == 0
    assert User.objects.count() == before + 2
    assert run("simulate_traffic", "--remove-owners").data == {"removed": 2}
    assert User.objects.count() == before
    assert not query("SELECT 1 FROM children WHERE starts_with(name, 'Traffic')")
    assert not DirtyKey.objects.exists()


@only_table
def test_a_dry_run_says_for_whom_and_sends_nothing(installation: str, settings: Any) -> None:
    would = run("simulate_traffic", *QUICK, "--dry-run")
    assert (would.exit_code, would["owners"], would["unsent"], would["writes"]) == (0, 2, 60, 0)
    assert not (settings.VAR_DIR / "traffic").exists()


@only_table
def test_a_dry_run_of_a_check_looks_at_the_ledger_and_leaves_everything_as_it_is(installation: str) -> None:
    begin_dual_write(boards)
    done = run("simulate_traffic", *QUICK, "--keep")
    execute("UPDATE habit_tracker SET theme = theme || '!' WHERE id = (SELECT min(id) FROM habit_tracker)")
    before, waiting = query(CONTENT), DirtyKey.objects.count()
    would = run("simulate_traffic", "--check", done["ledger"], "--dry-run")
    assert (would.exit_code, would["run"], would["dry_run"]) == (0, done["run"], True)
    assert would["checked"] == done["writes"] > 0
    assert query(CONTENT) == before
    assert DirtyKey.objects.count() == waiting == 1
    assert Path(done["ledger"]).exists()


@only_table
def test_a_store_that_swallows_what_it_acknowledged_is_found_out(
    installation: str, sabotaged: Callable[[str, str, str], None]
) -> None:
    sabotaged("habit_tracker", "UPDATE", "NEW.habits := OLD.habits; RETURN NEW;")
    done = run("simulate_traffic", *QUICK)
    assert done.exit_code == 5
    assert done["lost"] > 0
    assert done["stale_reads"] > 0
    assert {finding["fault"] for finding in done["findings"]} == {"lost"}
    assert Path(done["ledger"]).exists()


@only_table
def test_a_line_that_came_twice_is_found_out(installation: str, sabotaged: Callable[[str, str, str], None]) -> None:
    sabotaged("habit_tracker", "UPDATE", "NEW.habits := NEW.habits || (NEW.habits -> -1); RETURN NEW;")
    done = run("simulate_traffic", *QUICK)
    assert done.exit_code == 5
    assert done["doubled"] > 0


@only_table
def test_a_line_that_one_store_never_gets_is_found_out(
    installation: str, sabotaged: Callable[[str, str, str], None]
) -> None:
    begin_dual_write(boards)
    assert run("backfill").exit_code == 0
    body = "IF starts_with(NEW.name, 'traffic') THEN NEW.name := 'x'; END IF; RETURN NEW;"
    sabotaged("habits", "INSERT OR UPDATE", body)
    done = run("simulate_traffic", *QUICK)
    assert done.exit_code == 5
    assert (done["failures"], done["lost"], done["stale_reads"]) == (0, 0, 0)
    assert done["missing_in_modern"] == done["mismatched"] > 0
    assert done["outcomes"]["different"] > 0


@only_table
def test_a_read_that_misses_what_its_family_wrote_is_counted(installation: str, settings: Any) -> None:
    """Reads pinned to legacy while modern is written alone: the pin breaks what a session may expect."""
    begin_dual_write(boards)
    assert run("backfill").exit_code == 0
    go_to_live(boards)
    settings.DATA_BACKEND = "legacy"
    settings.DUAL_WRITE = False
    done = run("simulate_traffic", *QUICK)
    assert done.exit_code == 5
    assert done["stale_reads"] > 0
    assert (done["lost"], done["mismatched"]) == (0, 0), "what waited was carried over before it was checked"


@only_table
def test_requests_that_fail_are_counted_by_their_reason(
    installation: str, sabotaged: Callable[[str, str, str], None]
) -> None:
    sabotaged("habit_tracker", "UPDATE", "RAISE EXCEPTION 'no' USING ERRCODE = 'check_violation';")
    done = run("simulate_traffic", *QUICK)
    assert done.exit_code == 1
    assert done["writes"] == 0
    assert done["failed"] == {"23514": done["failures"]}
    assert (done["lost"], done["mismatched"], done["uncertain"]) == (0, 0, done["failures"])


def test_through_the_web_app_it_proves_the_same(installation: str) -> None:
    begin_dual_write(boards)
    before = User.objects.count()
    with serving() as server:
        done = run("simulate_traffic", *QUICK, "--url", f"http://127.0.0.1:{server.port}")
    assert_clean(done)
    assert done["writes"] > 10
    assert done["served"] == {"legacy": done["writes"] + done["reads"]}
    assert User.objects.count() == before


@only_table
def test_a_server_that_acknowledges_and_forgets_is_found_out_over_http_too(
    installation: str, sabotaged: Callable[[str, str, str], None]
) -> None:
    sabotaged("habit_tracker", "UPDATE", "NEW.habits := OLD.habits; RETURN NEW;")
    with serving() as server:
        done = run("simulate_traffic", *QUICK, "--url", f"http://127.0.0.1:{server.port}")
    assert done.exit_code == 5
    assert done["lost"] > 0
    assert done["stale_reads"] > 0


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org",
        "http://192.0.2.1:8000",
        "http://127.0.0.1.example.org",
        "http://127.0.0.1@example.org",
        "https://127.0.0.1:8000",
        "file:///etc/passwd",
        "127.0.0.1:8000",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:8000/elsewhere",
        "",
    ],
)
def test_only_this_machine_is_sent_traffic(transactional_db: None, url: str) -> None:
    refused = run("simulate_traffic", "--url", url)
    assert refused.exit_code == 2
    assert "no address of this machine" in refused.data["error"]
    assert not User.objects.exists()


def test_where_nobody_answers_nothing_is_left_behind(installation: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    before = User.objects.count()
    refused = run("simulate_traffic", *QUICK, "--url", f"http://127.0.0.1:{port}")
    assert refused.exit_code == 2
    assert User.objects.count() == before


def test_a_stall_is_seen_by_everybody_who_was_due_meanwhile() -> None:
    """One thread and a request that takes half a second: those behind it were late, and say so."""

    class Due:
        def __init__(self, at: float) -> None:
            self.at = at

    took: list[float] = []

    def send(due: Due, elapsed: Callable[[], float]) -> None:
        if due.at == 0:
            eventually(lambda: elapsed() > 0.5)
        took.append(elapsed())

    dues = iter([Due(number / 100) for number in range(20)])
    send_all(dues, send, threads=1, longest=10, stop=Stop(), end_thread=lambda: None)
    assert len(took) == 20
    assert all(seconds > 0.5 - number / 100 for number, seconds in enumerate(took))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--rate", "0"), "'0' is no number above 0"),
        (("--rate", "nan"), "'nan' is no number above 0"),
        (("--seconds", "-1"), "'-1' is no number above 0"),
        (("--owners", "0"), "'0' is no whole number"),
        (("--owners", "1.5"), "'1.5' is no whole number"),
        (("--write-percent", "101"), "'101' is no percentage"),
        (("--concurrency", "65"), "'65' is no whole number"),
        (("--rate", "5000", "--seconds", "3600"), "18,000,000 requests are more than"),
        (("--check", "nowhere.jsonl"), "The ledger nowhere.jsonl cannot be read"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(transactional_db: None, arguments: tuple[str, ...], sentence: str) -> None:
    refused = run("simulate_traffic", *arguments)
    assert refused.exit_code != 0
    assert sentence in refused.errors


def ledgers() -> list[Path]:
    return list((Path(django_settings.VAR_DIR) / "traffic").glob("*.jsonl"))


def has_written(count: int) -> bool:
    return any(file.read_text().count("acknowledged") >= count for file in ledgers())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_it_still_checks_and_says_what_it_knows(
    installation: str, number: signal.Signals, code: int
) -> None:
    begin_dual_write(boards)
    process = start("simulate_traffic", "--rate", "50", "--seconds", "60", "--owners", "3", "--write-percent", "50")
    eventually(lambda: has_written(10))
    process.send_signal(number)
    out, errors = process.communicate(timeout=30)
    assert process.returncode == code, errors
    said = json.loads(out)
    assert said["checked"] == said["writes"] >= 10
    assert (said["lost"], said["mismatched"], said["stale_reads"]) == (0, 0, 0)
    assert said["unsent"] > 0
    assert ledgers() == []


def test_killed_it_leaves_a_ledger_that_can_be_checked(installation: str) -> None:
    begin_dual_write(boards)
    process = start("simulate_traffic", "--rate", "50", "--seconds", "60", "--owners", "3", "--write-percent", "80")
    eventually(lambda: has_written(20))
    process.kill()
    process.communicate(timeout=30)
    (file,) = ledgers()
    done = run("simulate_traffic", "--check", str(file))
    assert done.exit_code == 0, done.data
    assert done["checked"] >= 20
    assert (done["lost"], done["mismatched"], done["left"]) == (0, 0, 0)
