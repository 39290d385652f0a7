"""What the control room shows, to whom, and that every number leads to the rows behind it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from habits.migration import boards
from migration_ops import dashboard, registry
from migration_ops.definition import AnyMigration, Side
from migration_ops.models import DirtyKey, HistoryEntry, Metric, QuarantineItem
from migration_ops.observe import histogram
from migration_ops.rollout import control, routing
from migration_ops.rollout.control import Canaries
from migration_ops.stages import Stage
from migration_ops.state import State
from migration_ops.web import wording
from tests.engine.staff import confirm, member, press, room
from tests.engine.syncing import begin_dual_write, command, go_to_ramp, run
from tests.notes import schema


def measure(count: int, *, ago: timedelta = timedelta(0), seconds: float = 0.01, **what: Any) -> None:
    """What a process counted in the minute that was so long ago, each taking so long."""
    minute = (timezone.now() - ago).replace(second=0, microsecond=0)
    buckets = histogram.empty()
    buckets[histogram.place(seconds)] = count
    said = {"side": "legacy", "outcome": "ok", **what}
    Metric.objects.create(
        migration="notes", minute=minute, count=count, seconds=count * seconds, histogram=buckets, **said
    )


@pytest.fixture
def busy(notes: AnyMigration) -> AnyMigration:
    """At `ramp` with 5 %, with something of every kind to show."""
    schema.add_rows(("garden", "peas", "sow"), ("kitchen", "soup", "salt"), (None, "lost", "row"))
    begin_dual_write(notes)
    command("backfill")
    command("validate_migration")
    go_to_ramp(notes, percent=5)
    control.canary(notes, Canaries(header="X-Store"), actor="ops")
    control.set_percent(notes, Decimal(2), actor="ops", reason="too many")
    DirtyKey.objects.create(
        migration="notes", side="modern", key=notes.encode_key(("garden", "peas")), created_at=timezone.now()
    )
    measure(95, name="read", cohort="bucket")
    measure(5, name="read", side="modern", cohort="bucket")
    measure(2, name="read", side="modern", outcome="fallback", sqlstate="57014", cohort="bucket")
    measure(998, name="write", outcome="both")
    measure(2, name="write", outcome="failed", sqlstate="23505")
    measure(1000, name="write", outcome="both", ago=timedelta(hours=5))
    measure(6, name="second_write", outcome="both")
    measure(97, name="shadow_read", side="modern", outcome="matched")
    measure(2, name="shadow_read", side="modern", outcome="mismatched")
    measure(1, name="shadow_read", side="modern", outcome="ignored", sqlstate="blank_answers")
    measure(100, name="paired_read", seconds=0.030)
    measure(100, name="paired_read", side="modern", seconds=0.015)
    return notes


def page(client: Client, migration: AnyMigration) -> str:
    answer = client.get(room(migration))
    assert answer.status_code == 200
    return str(answer.content.decode())


def content(html: str) -> str:
    """The page without the admin's frame around it."""
    return html.split('<main id="content-start"')[1].split("</main>")[0]


def row(html: str, label: str) -> list[str]:
    """The numbers of the table's line with this label."""
    found = re.search(rf'<th scope="row">{re.escape(label)}</th>(.*?)</tr>', html)
    assert found, label
    return [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", found[1])]


def fact(html: str, label: str) -> str:
    found = re.search(rf"<dt>{re.escape(label)}</dt><dd>(.*?)</dd>", html)
    assert found, label
    return re.sub(r"<[^>]+>", " ", found[1]).strip()


def test_the_only_migration_is_shown_at_once(busy: AnyMigration) -> None:
    answer = member("viewers").get(reverse("admin:migration_ops_dashboard_changelist"))
    assert (answer.status_code, answer["Location"]) == (302, "/admin/migration_ops/dashboard/notes/")


def test_several_migrations_are_listed(busy: AnyMigration) -> None:
    registry.register(boards)
    try:
        shown = member("viewers").get("/admin/migration_ops/dashboard/").content.decode()
    finally:
        registry.unregister(boards.name)
    for name, label, stage in (("boards", boards.label, "off"), ("notes", "Notes", "ramp at 2 %")):
        assert f'<a href="/admin/migration_ops/dashboard/{name}/">{label}</a>' in shown
        assert stage in shown


def test_a_migration_that_is_not_there_is_a_404(busy: AnyMigration) -> None:
    assert member("viewers").get("/admin/migration_ops/dashboard/elsewhere/").status_code == 404


def test_who_may_not_see_the_state_may_not_see_the_control_room(busy: AnyMigration) -> None:
    client = member("nobody")
    for part in ("", "live/", "charts/"):
        assert client.get(f"{room(busy)}{part}").status_code == 403
    assert b"migration_ops/dashboard" not in client.get("/admin/").content
    assert b"migration_ops/dashboard" in member("viewers").get("/admin/").content


def test_the_rail_says_where_we_are_and_what_is_next(busy: AnyMigration) -> None:
    shown = page(member("viewers"), busy)
    places = re.findall(r'<li class="(past|here|next|ahead)"', shown)
    assert places == ["past"] * 3 + ["here"] + ["ahead"] * 4
    assert 'class="here" aria-current="step"' in shown
    assert "<small>here, next 5 %</small>" in shown
    assert "Gates of the next step: ramp at 5 %" in shown
    run("UPDATE migration_ops_migrationstate SET percent = 100, version = version + 1")
    shown = page(member("viewers"), busy)
    assert re.findall(r'<li class="(past|here|next|ahead)"', shown)[3:] == ["here", "next", *["ahead"] * 3]
    assert re.findall(r"<small>(here.*|next)</small></li>", shown) == ["here", "next"]


def test_the_history_says_which_gates_somebody_vouched_for(busy: AnyMigration) -> None:
    control.vouch(busy, actor="ops", reason="seen by two")
    shown = page(member("viewers"), busy)
    entry = HistoryEntry.objects.latest("id")
    line = next(line for line in shown.splitlines() if f"/historyentry/{entry.pk}/change/" in line)
    (cell,) = re.findall(r'data-head="Vouched for">([^<]*)<', line.split("</tr>")[0])
    waived = [gate["id"] for gate in entry.evidence["gates"] if gate["waived"]]
    assert cell == ", ".join(str(wording.GATES[gate]) for gate in waived)
    assert "Lag" in cell


def test_who_is_served_from_where(busy: AnyMigration) -> None:
    shown = page(member("viewers"), busy)
    assert "Legacy answers 98 % of the units, modern 2 %" in shown
    assert (fact(shown, "by bucket"), fact(shown, "canary header")) == ("2 %", "X-Store")
    assert row(shown, "Legacy: bucket") == ["95", "93.1 %", "0"]
    assert row(shown, "Modern: bucket") == ["5", "4.9 %", "0"]
    assert row(shown, "Legacy: modern failed, legacy answered") == ["2", "2 %", "2"]


@pytest.mark.parametrize(
    ("now", "modern"),
    [
        (State("notes"), 0),
        (State("notes", stage=Stage.SHADOW, canary_percent=Decimal(3)), 0),
        (State("notes", stage=Stage.RAMP, percent=Decimal(20)), 20),
        (State("notes", stage=Stage.RAMP, percent=Decimal(20), kill=True), 0),
        (State("notes", stage=Stage.RAMP, canary_percent=Decimal(3)), 3),
        (State("notes", stage=Stage.RAMP, percent=Decimal(20), canary_percent=Decimal(3)), 20),
        (State("notes", stage=Stage.LIVE, percent=Decimal(100)), 100),
        (State("notes", stage=Stage.LIVE, percent=Decimal(100), kill=True), 0),
        (State("notes", stage=Stage.FROZEN, percent=Decimal(100), kill=True), 100),
    ],
)
def test_the_share_of_modern_is_what_the_router_makes_of_it(now: State, modern: int, notes: AnyMigration) -> None:
    assert dashboard.modern_share(now) == modern
    units = [str(number) for number in range(2_000)]
    sides = [routing.authority(notes, unit, now).side for unit in units]
    assert 100 * sides.count(Side.MODERN) / len(units) == pytest.approx(modern, abs=2)


def test_reads_of_modern_that_nobody_could_answer_are_shown(busy: AnyMigration) -> None:
    measure(1, name="read", side="modern", outcome="error", sqlstate="55P03", cohort="stage")
    measure(3, name="read", side="modern", outcome="spared", cohort="bucket")
    shown = page(member("viewers"), busy)
    assert row(shown, "Modern: stage")[::2] == ["1", "1"]
    assert row(shown, "Legacy: modern left alone after failures")[::2] == ["3", "3"]


def test_a_kill_and_a_hold_are_loud(busy: AnyMigration) -> None:
    control.kill(busy, actor="ops")
    control.hold(busy, actor="ops")
    shown = page(member("viewers"), busy)
    assert "Killed: every read is answered by legacy." in shown
    assert "On hold: nothing moves forward." in shown
    assert "Legacy answers 100 % of the units, modern 0 %" in shown


def test_second_writes_are_counted_for_an_hour_and_a_day_with_what_failed(busy: AnyMigration) -> None:
    shown = page(member("viewers"), busy)
    assert row(shown, "attempted") == ["1,000", "2,000"]
    assert row(shown, "in both stores") == ["998", "1,998"]
    assert row(shown, "success") == ["99.8 %", "99.9 %"]
    assert row(shown, "failed 23505") == ["2", "2"]


def test_second_writes_that_came_later_and_compared_reads_are_counted_as_well(busy: AnyMigration) -> None:
    shown = page(member("viewers"), busy)
    assert row(shown, "after the commit: in both stores") == ["6", "6"]
    assert row(shown, "equal") == ["97", "97"]
    assert row(shown, "different, also when read again") == ["2", "2"]
    assert row(shown, "different, as a rule allows blank_answers") == ["1", "1"]


def test_one_failure_among_a_million_is_not_rounded_away(notes: AnyMigration) -> None:
    measure(999_999, name="write", outcome="both")
    measure(1, name="write", outcome="failed", sqlstate="40001")
    assert row(page(member("viewers"), notes), "success") == ["99.999 %", "99.999 %"]


def test_the_latencies_of_both_stores_stand_side_by_side(busy: AnyMigration) -> None:
    legacy, modern, ratio, measured = row(page(member("viewers"), busy), "comparisons, both stores each time")
    assert (legacy, modern, ratio, measured) == ("30.4 ms", "15.2 ms", "0.50 ×", "200")


def test_what_the_data_is_like(busy: AnyMigration) -> None:
    shown = page(member("viewers"), busy)
    assert fact(shown, "Backfill") == "succeeded: 3 of 3 rows (100 %)"
    assert fact(shown, "Last validation") == "succeeded: 0 of 2 differ"
    assert fact(shown, "Dirty keys").startswith("1")
    assert fact(shown, "Way back: not in legacy yet") == "1"
    assert fact(shown, "Rows in quarantine, undecided") == "1"
    assert row(shown, "notebook_missing") == ["1", "0"]


def test_the_history_says_from_where_to_where_who_and_why(busy: AnyMigration) -> None:
    shown = page(member("viewers"), busy)
    entry = HistoryEntry.objects.filter(verb="set").get()
    line = next(line for line in shown.splitlines() if f"/historyentry/{entry.pk}/change/" in line)
    assert all(said in line for said in (">set</td>", "5 % → 2 %", "ops", "too many"))


def test_gates_are_shown_with_sentence_and_numbers(busy: AnyMigration) -> None:
    shown = page(member("viewers"), busy)
    gate = next(each for each in shown.split("<li class=") if "quarantine_decided" in each)
    assert "1 quarantined row waits for a decision" in gate
    assert [part in gate for part in ("value <b>1 row</b>", "looked at <b>1 row</b>", "threshold <b>0 rows</b>")] == [
        True
    ] * 3
    assert "fails" in gate


def test_every_number_leads_to_rows_that_may_be_looked_at(busy: AnyMigration) -> None:
    client = member("viewers")
    shown = content(page(client, busy))
    links = {unescape(link) for link in re.findall(r'href="([^"]+)"', shown)} - {"#icon-auto"}
    assert len(links) > 30
    for link in sorted(links):
        answer = client.get(link)
        assert (answer.status_code, link) == (200, link)
    numbers = re.findall(r'<td class="number"><a href="([^"]+)">([\d,]+)</a>', shown)
    for link, number in numbers:
        if "/metric/?" not in link:
            there = client.get(unescape(link)).context
            listed = there["list"].page.paginator.count if "/quarantine/" in link else there["cl"].result_count
            assert (listed, link) == (int(number), link)
        else:
            behind = client.get(unescape(link)).context["cl"].queryset
            assert (sum(metric.count for metric in behind), link) == (int(number.replace(",", "")), link)


def test_the_parts_come_again_without_the_page_around_them(busy: AnyMigration) -> None:
    client = member("viewers")
    whole = page(client, busy)
    assert re.search(r'hx-get="/admin/migration_ops/dashboard/notes/live/" hx-trigger="every \d+s"', whole)
    assert re.search(r'<script src="/static/django_htmx/htmx[\w.-]*\.js"', whole)
    for part, mark in (("live/", 'class="rail"'), ("charts/", 'class="charts"')):
        found = client.get(f"{room(busy)}{part}", headers={"hx-request": "true"}).content.decode()
        assert mark in found
        assert "<html" not in found


def test_a_session_that_has_ended_leads_to_the_login_and_not_into_the_page(busy: AnyMigration) -> None:
    answer = Client().get(f"{room(busy)}live/", headers={"hx-request": "true"})
    assert answer["HX-Redirect"] == "/admin/login/?next=/admin/migration_ops/dashboard/notes/"
    assert Client().get(f"{room(busy)}live/")["Location"].startswith("/admin/login/")


def test_nothing_on_the_pages_needs_an_exception_from_the_content_security_policy(busy: AnyMigration) -> None:
    client = member("approvers")
    for answer in (client.get(room(busy)), press(client, busy, "advance"), press(client, busy, "kill")):
        shown = answer.content.decode()
        assert "unsafe" not in answer["Content-Security-Policy"]
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]* src=)", shown)
        assert not re.search(r'(src|href)="(https?:)?//', shown)


@pytest.mark.parametrize("path", ["/admin/", "/admin/migration_ops/run/", "/admin/auth/group/", "room", "kill"])
def test_a_pin_in_force_is_on_every_page_of_the_admin(busy: AnyMigration, settings: Any, path: str) -> None:
    client = Client(headers={"accept-language": "en"})
    client.force_login(get_user_model().objects.create_superuser("root@example.org", "secret"))

    def shown() -> str:
        answer = press(client, busy, "kill") if path == "kill" else client.get(room(busy) if path == "room" else path)
        return str(answer.content.decode())

    assert "DATA_BACKEND" not in shown()
    assert "DUAL_WRITE is off" not in shown()
    settings.DATA_BACKEND = "modern"
    settings.DUAL_WRITE = False
    assert "DATA_BACKEND pins all reads to the modern store" in shown()
    assert "DUAL_WRITE is off" in shown()


def test_nobody_who_is_not_logged_in_sees_a_pin(settings: Any, db: None) -> None:
    settings.DATA_BACKEND = "modern"
    assert b"DATA_BACKEND" not in Client().get("/admin/login/").content


def test_the_page_speaks_korean(busy: AnyMigration) -> None:
    shown = page(member("viewers", "ko"), busy)
    for words in ("점진 전환 2 %", "누가 어디서 읽나", "다음 단계의 게이트", "전환 이력", "지난 24시간"):
        assert words in shown


def test_a_migration_that_nobody_has_touched_can_be_looked_at(notes: AnyMigration) -> None:
    shown = page(member("viewers"), notes)
    assert "Gates of the next step: dual_write" in shown
    assert "Nothing has happened yet." in shown
    assert shown.count("Nothing was counted.") == 3
    assert fact(shown, "Backfill") == "none yet"
    assert confirm(member("operators"), notes, "hold").status_code == 302


def test_a_day_is_divided_into_half_hours_with_counts_and_p95(busy: AnyMigration) -> None:
    measure(7, name="read", ago=timedelta(hours=30))
    day = dashboard.day(busy)
    assert len(day.begins) == 48
    assert all(later - begin == timedelta(minutes=30) for begin, later in zip(day.begins, day.begins[1:], strict=False))
    assert isinstance(day.begins[0], datetime)
    assert (sum(day.reads["legacy"]), sum(day.reads["modern"])) == (97, 5)
    assert (sum(day.writes), sum(day.failed)) == (2000, 2)
    for side, seconds in (("legacy", 0.030), ("modern", 0.015)):
        (p95,) = [value for value in day.p95[side] if value is not None]
        assert p95 == pytest.approx(seconds, rel=0.05)


def test_looking_costs_no_more_queries_however_much_there_is(busy: AnyMigration) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as counted:
            dashboard.look(busy)
            dashboard.day(busy)
        return len(counted)

    before = queries()
    for number in range(50):
        measure(1, name="read", cohort=f"c{number}")
        QuarantineItem.objects.create(
            migration="notes", row=f"r{number}", code=f"c{number}", message="m", found_at=timezone.now()
        )
    assert queries() <= before
