"""The quarantine in the admin: what stands there, who may decide, and that only what was looked at is decided."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from migration_ops.definition import AnyMigration
from migration_ops.models import HistoryEntry, QuarantineItem
from migration_ops.sync.applier import drain
from migration_ops.web.quarantine_actions import QUARANTINE_ACTIONS
from tests.engine.staff import address, hidden, member, text
from tests.engine.staff import confirm_rows as confirm
from tests.engine.syncing import begin_dual_write, run
from tests.notes import schema

VERBS = [action.verb for action in QUARANTINE_ACTIONS]
ACCEPT, ASSIGN, RETRY = "quarantine-accept", "quarantine-assign", "quarantine-retry"


@pytest.fixture
def held(notes: AnyMigration) -> AnyMigration:
    """A note with a row that has no body, and two rows of nobody's."""
    begin_dual_write(notes)
    schema.add_rows(("a", "t", "one"), ("a", "t", None), (None, "lost", "<b>four</b>"), (None, "found", "five"))
    drain(notes)
    return notes


def listed(migration: AnyMigration, **query: str) -> str:
    return reverse("admin:migration_ops_dashboard_quarantine", args=[migration.name], query=query or None)


def numbers(code: str, *, status: str = "open") -> list[int]:
    return list(
        QuarantineItem.objects.filter(code=code, status=status, held_by=None)
        .order_by("pk")
        .values_list("pk", flat=True)
    )


def test_what_waits_is_counted_by_code_and_a_row_is_shown_as_text(held: AnyMigration) -> None:
    client = member("viewers")
    overview = text(client.get(listed(held)))
    assert re.search(r"notebook_missing</code>.*?open <b>2</b>.*?accepted <b>0</b>", overview, flags=re.DOTALL)
    page = client.get(listed(held, listed="notebook_missing")).content.decode()
    assert "&lt;b&gt;four&lt;/b&gt;" in page
    assert "<b>four</b>" not in page
    assert 'name="items"' not in page, "who may only look is offered nothing to tick"
    held_back = text(client.get(listed(held, listed="body_missing")))
    assert "Fine itself; held by row" in held_back
    assert "a · t" in held_back


@pytest.mark.parametrize(("kind", "status"), [("viewers", 403), ("nobody", 403), ("operators", 200)])
def test_deciding_needs_the_permission_of_its_verb(held: AnyMigration, kind: str, status: int) -> None:
    before = list(QuarantineItem.objects.order_by("pk").values("pk", "status", "decided_by"))
    (item, *_) = numbers("notebook_missing")
    client = member(kind)
    for verb in VERBS:
        assert client.post(address(held, verb), {"items": [item], "owner": "b"}).status_code == status, verb
        assert client.get(address(held, verb)).status_code == 405
    if kind == "nobody":
        assert client.get(listed(held)).status_code == 403
    assert list(QuarantineItem.objects.order_by("pk").values("pk", "status", "decided_by")) == before


def test_one_permission_is_not_another(held: AnyMigration) -> None:
    client = member("nobody")
    user = get_user_model().objects.get(email="nobody@example.org")
    user.user_permissions.add(Permission.objects.get(codename="retry_migration"))
    (item, *_) = numbers("notebook_missing")
    statuses = {verb: client.post(address(held, verb), {"items": [item], "owner": "b"}).status_code for verb in VERBS}
    assert statuses == {RETRY: 200, ACCEPT: 403, ASSIGN: 403}


def test_ticked_rows_are_accepted_with_name_and_reason(held: AnyMigration) -> None:
    items = numbers("notebook_missing")
    client = member("operators")
    looked = client.post(address(held, ACCEPT), {"items": items, "listed": "notebook_missing"})
    assert "Would accept that 2 rows stay behind." in text(looked)
    assert numbers("notebook_missing") == items
    done = confirm(client, held, ACCEPT, items=items, listed="notebook_missing", reason="nobody knows them")
    assert (done.status_code, done["Location"]) == (302, listed(held, listed="notebook_missing"))
    assert numbers("notebook_missing", status="accepted") == items
    entry = HistoryEntry.objects.get(verb="quarantine accept")
    assert (entry.actor, entry.reason) == ("admin: operators@example.org", "nobody knows them")


def test_nothing_is_accepted_without_a_reason(held: AnyMigration) -> None:
    items = numbers("notebook_missing")
    answer = confirm(member("operators"), held, ACCEPT, items=items, reason=" ")
    assert (answer.status_code, "Say why the rows may stay behind" in text(answer)) == (400, True)
    assert 'id="confirm"' in text(answer), "one can say it now and confirm"
    assert numbers("notebook_missing") == items


def test_all_rows_of_a_code_are_decided_on_with_one_button(held: AnyMigration) -> None:
    done = confirm(member("operators"), held, ACCEPT, whole="on", listed="notebook_missing", reason="lost")
    assert done.status_code == 302
    assert (len(numbers("notebook_missing", status="accepted")), len(numbers("body_missing"))) == (2, 1)


def test_a_row_that_came_after_the_look_is_not_decided_on_with_the_others(held: AnyMigration) -> None:
    client = member("operators")
    said = {"whole": "on", "listed": "notebook_missing", "reason": "lost"}
    page = client.post(address(held, ACCEPT), said)
    schema.add_rows((None, "late", "six"))
    drain(held)
    answer = client.post(address(held, ACCEPT), {**said, **hidden(page), "confirm": "yes"})
    assert answer.status_code == 409
    assert "Would accept that 3 rows stay behind." in text(answer), "and says how it is now"
    assert len(numbers("notebook_missing")) == 3


def test_a_row_that_changed_after_the_look_is_not_accepted(held: AnyMigration) -> None:
    client, items = member("operators"), numbers("notebook_missing")
    page = client.post(address(held, ACCEPT), {"items": items, "reason": "lost"})
    run("UPDATE legacy_notes SET body = 'another' WHERE title = 'lost'")
    drain(held)
    answer = client.post(address(held, ACCEPT), {"reason": "lost", **hidden(page), "confirm": "yes"})
    assert (answer.status_code, numbers("notebook_missing")) == (409, items)


def test_other_rows_than_those_looked_at_are_shown_first(held: AnyMigration) -> None:
    client, items = member("operators"), numbers("notebook_missing")
    page = client.post(address(held, ACCEPT), {"items": items[:1], "reason": "lost"})
    answer = client.post(address(held, ACCEPT), {**hidden(page), "items": items, "reason": "lost", "confirm": "yes"})
    assert (answer.status_code, "This is not what you looked at before" in text(answer)) == (200, True)
    assert numbers("notebook_missing") == items


def test_an_owner_is_asked_for_looked_up_and_written(held: AnyMigration) -> None:
    client, items = member("operators"), numbers("notebook_missing")
    asked = client.post(address(held, ASSIGN), {"items": items, "listed": "notebook_missing"})
    assert (asked.status_code, 'role="alert"' in text(asked), 'id="confirm"' in text(asked)) == (200, False, False)
    shown = client.post(address(held, ASSIGN), {**hidden(asked), "owner": "b"})
    assert "Would give 2 rows this owner." in text(shown)
    assert confirm(client, held, ASSIGN, items=items, owner="b", reason="they called").status_code == 302
    assert [row[0] for row in schema.modern_rows()] == ["b", "b"]


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({}, "Choose a row first."),
        ({"items": ["x"]}, "x is no number of a row."),
        ({"items": ["9" * 5_000]}, "99999999999999999999 is no number of a row."),
        ({"items": ["9999999"]}, "has the id 9999999"),
        ({"whole": "on", "listed": "nothing"}, "nothing is no code of notes"),
        ({"whole": "on"}, "Choose a row first."),
    ],
)
def test_what_means_nothing_is_refused_in_a_sentence(held: AnyMigration, said: dict[str, Any], sentence: str) -> None:
    answer = member("operators").post(address(held, ACCEPT), said)
    assert (answer.status_code, sentence in text(answer)) == (400, True)


def test_rows_are_looked_at_again_once_legacy_was_mended(held: AnyMigration) -> None:
    run("ALTER TABLE legacy_notes DISABLE TRIGGER USER")
    run("UPDATE legacy_notes SET body = 'two' WHERE body IS NULL")
    run("ALTER TABLE legacy_notes ENABLE TRIGGER USER")
    assert confirm(member("operators"), held, RETRY, items=numbers("body_missing")).status_code == 302
    assert QuarantineItem.objects.filter(code="body_missing", status="open").count() == 0
    assert schema.modern_rows() == [("a", "t", ["two", "one"])]


def test_ten_thousand_rows_are_counted_in_the_database_and_shown_by_the_page(held: AnyMigration) -> None:
    run(
        "INSERT INTO migration_ops_quarantineitem (migration, row, code, message, raw, fingerprint, status, refused,"
        " found_at, decided_by, reason, source) SELECT 'notes', 'x' || n, 'title_missing', 'No title.',"
        " repeat('a', 5000), '', 'open', false, now(), '', '', '' FROM generate_series(1, 10000) AS n"
    )
    client = member("operators")
    client.get(listed(held))
    sizes = []
    for page in ("1", "200", "999"):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            answer = client.get(listed(held, listed="title_missing", page=page))
        assert len(queries) < 12
        sizes.append(len(answer.content))
        assert answer.content.decode().count('name="items"') == 50
    assert "Page 200 of 200" in text(answer)
    assert max(sizes) < 300_000


@pytest.mark.parametrize("verb", VERBS)
def test_whoever_reads_korean_decides_in_korean(held: AnyMigration, verb: str) -> None:
    client, items = member("operators", "ko"), numbers("notebook_missing")
    page = text(client.post(address(held, verb), {"items": items, "owner": "b"}))
    (sentence,) = re.findall(r'class="sentence">([^<]+)<', page)
    assert re.search("[가-힣]", sentence)
    assert "2" in sentence
    refused = text(client.post(address(held, verb), {"items": ["9999999"], "owner": "b"}))
    (refusal,) = re.findall(r'role="alert">([^<]+)<', refused)
    assert re.search("[가-힣]", refusal)
    assert "9999999" in refusal
