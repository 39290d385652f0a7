"""The differences in the admin: what stands there for whom, and one side by side."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from migration_ops.definition import AnyMigration
from migration_ops.models import Difference
from migration_ops.verify import differences
from migration_ops.verify.difference_listing import Filter
from migration_ops.verify.drift import detect
from tests.engine.differing import damage, of
from tests.engine.korean import english_in
from tests.engine.staff import member, room, text
from tests.engine.syncing import begin_dual_write, run
from tests.engine.waiting import until_alone


@pytest.fixture
def damaged(notes: AnyMigration, settings: Any) -> AnyMigration:
    settings.MIGRATION_OPS = {"SUSPECT_PATIENCE": timedelta(milliseconds=30), "SUSPECT_ROUNDS": 2}
    damage(notes)
    return notes


def listed(migration: AnyMigration, **query: str) -> str:
    return reverse("admin:migration_ops_dashboard_differences", args=[migration.name], query=query or None)


def one(migration: AnyMigration, number: int) -> str:
    return reverse("admin:migration_ops_dashboard_difference", args=[migration.name, number])


def keys(page: Any) -> list[str]:
    """The documents of the list, in its order."""
    return re.findall(r'<a href="[^"]+"><b>([^<]+)</b></a></p>', text(page))


def test_they_are_listed_the_worst_first_and_counted_by_severity_kind_and_status(damaged: AnyMigration) -> None:
    differences.explain(damaged, [of("n0009").pk], actor="ann", reason="<b>known</b>")
    client = member("viewers")
    page = client.get(listed(damaged))
    assert keys(page) == ["zzz · extra", "home · n0003"]
    table = re.search(r"<tbody>.*?</tbody>", text(page), flags=re.DOTALL)
    assert table is not None
    lines = [re.findall(r">([^<>\n]+)<", line) for line in table[0].split("</tr>")[:-1]]
    assert lines == [
        ["critical · only in modern", "1", "0", "0", "0", "0"],
        ["high · different", "1", "0", "0", "0", "0"],
        ["high · only in legacy", "0", "0", "0", "1", "0"],
    ]
    assert keys(client.get(listed(damaged, listed="new.high.mismatched"))) == ["home · n0003"]
    explained = client.get(listed(damaged, listed="explained"))
    assert (keys(explained), "ann: <b>known</b>" in text(explained)) == (["home · n0009"], True)
    assert "<b>known</b>" not in explained.content.decode()


@pytest.mark.parametrize("said", ["", "x", "new.bad.mismatched", "..", "new.high.mismatched.more"])
def test_an_address_that_means_nothing_shows_what_there_is(damaged: AnyMigration, said: str) -> None:
    assert member("viewers").get(listed(damaged, listed=said, page="99999999999")).status_code == 200
    assert Filter.read(str(Filter.read(said))) == Filter.read(said)


def test_the_page_says_when_drift_was_looked_for_at_what_and_with_what_power(damaged: AnyMigration) -> None:
    page = text(member("viewers").get(listed(damaged)))
    assert re.search(r"everything, 10 in all</?.*?There is no earlier comparison", page, flags=re.DOTALL)
    assert "3 new, 0 found again" in page
    until_alone()
    detect(damaged, actor="test", sample=4)
    page = text(member("viewers").get(listed(damaged)))
    assert re.search(r"\d+ that were touched, \d at random|1 that was touched", page)
    assert "0 new, 3 found again" in page
    assert re.search(r"a share of [\d.]+ % or more differing with 95 % confidence", page)


def test_one_is_shown_side_by_side_with_its_life(damaged: AnyMigration) -> None:
    differences.explain(damaged, [of("n0003").pk], actor="ann", reason="known")
    page = text(member("viewers").get(one(damaged, of("n0003").pk)))
    assert "home · n0003" in page
    assert re.search(r"<td>line 3</td><td>other</td>", page)
    assert re.search(r"<b>found</b>.*<b>explained</b>[^<]*ann: known", page, flags=re.DOTALL)
    assert member("viewers").get(one(damaged, 2**63)).status_code == 404
    extra = text(member("viewers").get(one(damaged, of("extra").pk)))
    assert "Only in the modern store; legacy has nothing of it." in extra


def test_what_people_wrote_is_hidden_from_whoever_may_not_look_into_documents(damaged: AnyMigration) -> None:
    client = member("nobody")
    assert client.get(listed(damaged)).status_code == 403
    assert client.get(one(damaged, of("n0003").pk)).status_code == 403
    user = get_user_model().objects.get(email="nobody@example.org")
    user.user_permissions.add(Permission.objects.get(codename="view_difference"))
    page = text(client.get(one(damaged, of("n0003").pk)))
    assert "hidden, of length 6" in page
    assert "line 3" not in page
    assert "/inspect/" not in page
    row = text(client.get(f"/admin/migration_ops/difference/{of('n0003').pk}/change/"))
    assert "line 3" not in row


def test_the_control_room_leads_there(damaged: AnyMigration) -> None:
    page = text(member("viewers").get(room(damaged)))
    assert page.count(f'href="{listed(damaged)}"') == 3, "the tab, the last drift run, and what is not mended"


def test_ten_thousand_are_counted_in_the_database_and_shown_by_the_page(damaged: AnyMigration) -> None:
    run(
        "INSERT INTO migration_ops_difference (migration, run_id, key, kind, fields, status, found_at)"
        " SELECT 'notes', %s, json_build_array('a', 'x' || n)::text, 'mismatched', %s, 'new', now()"
        " FROM generate_series(1, 10000) AS n",
        Difference.objects.first().run_id,  # type: ignore[union-attr]
        '[{"path": "body", "legacy": "a", "modern": "b"}]',
    )
    client = member("viewers")
    client.get(listed(damaged))
    with CaptureQueriesContext(connection) as queries:
        page = client.get(listed(damaged, page="999"))
    assert len(queries) < 12
    assert (len(keys(page)), "Page 201 of 201" in text(page)) == (3, True)
    assert "not judged · different" in text(page)


def test_whoever_reads_korean_reads_korean(damaged: AnyMigration) -> None:
    client = member("viewers", "ko")
    for address in (listed(damaged), one(damaged, of("extra").pk)):
        page = text(client.get(address))
        (content,) = re.findall(r'<div id="content".*', page, flags=re.DOTALL)
        said = set(english_in(re.sub(r"<[^>]+>", " ", content)))
        assert said <= {"Notes", "KST", "zzz", "extra", "home", "n0003", "n0009", "lines"}, address


def test_before_anything_was_compared_there_is_nothing_to_see(notes: AnyMigration) -> None:
    begin_dual_write(notes)
    page = text(member("viewers").get(listed(notes)))
    assert "No difference was ever found." in page
    assert "none yet" in page
