"""The engine's state in the admin: staff look at it, nobody edits it."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from migration_ops import history
from migration_ops.admin import ReadOnlyAdmin
from migration_ops.definition import AnyMigration
from migration_ops.models import DirtyKey, HistoryEntry, QuarantineItem, Run, RunRange

MODELS = sorted(
    model._meta.model_name or ""
    for model, page in admin.site._registry.items()
    if isinstance(page, ReadOnlyAdmin) and model._meta.app_label == "migration_ops"
)


@pytest.fixture
def root(client: Client, notes: AnyMigration) -> Client:
    """A superuser's browser, and something of most kinds to look at."""
    client.force_login(get_user_model().objects.create_superuser("root@example.org", "secret"))
    history.append(notes, actor="ann", verb="note", reason="<script>alert(1)</script>")
    now = timezone.now()
    run = Run.objects.create(migration="notes", kind="backfill", started_at=now)
    RunRange.objects.create(run=run, number=1)
    DirtyKey.objects.create(migration="notes", side="legacy", row="1", created_at=now)
    QuarantineItem.objects.create(migration="notes", row="1", code="c", message="m", found_at=now)
    return client


def test_every_kind_of_state_has_its_page() -> None:
    assert MODELS == [
        "beforeimage",
        "difference",
        "dirtykey",
        "gateoverride",
        "gatereading",
        "heartbeat",
        "historyentry",
        "mergerecord",
        "metric",
        "metrictotal",
        "migrationstate",
        "quarantineitem",
        "readdifference",
        "run",
    ]


def test_a_superuser_sees_every_list_and_can_add_nothing(root: Client) -> None:
    for model in MODELS:
        assert root.get(reverse(f"admin:migration_ops_{model}_changelist")).status_code == 200
        assert root.get(reverse(f"admin:migration_ops_{model}_add")).status_code == 403


def test_a_superuser_can_look_at_an_entry_and_neither_change_nor_delete_it(root: Client) -> None:
    entry = HistoryEntry.objects.get()
    page = root.get(reverse("admin:migration_ops_historyentry_change", args=[entry.pk]))
    assert page.status_code == 200
    assert b"<script>alert(1)" not in page.content
    assert b'name="_save"' not in page.content
    change = reverse("admin:migration_ops_historyentry_change", args=[entry.pk])
    assert root.post(change, {"reason": "another"}).status_code == 403
    delete = reverse("admin:migration_ops_historyentry_delete", args=[entry.pk])
    assert root.post(delete, {"post": "yes"}).status_code == 403
    assert HistoryEntry.objects.get().reason == entry.reason


def test_a_run_is_shown_with_its_ranges(root: Client) -> None:
    page = root.get(reverse("admin:migration_ops_run_change", args=[Run.objects.get().pk]))
    assert page.status_code == 200
    assert b"lease" in page.content.lower() or "임대".encode() in page.content
