"""The admin of accounts and modern tables: to look at."""

from __future__ import annotations

from datetime import date

import pytest
from django.contrib.admin import site
from django.test import Client

from habits.board import Board, BoardKey, Habit
from habits.models import (
    Child,
    HabitRecord,
    HabitTemplate,
    IdempotencyRecord,
    Notification,
    User,
    Week,
)
from habits.models import (
    Habit as HabitRow,
)
from habits.stores.modern import ModernStore

READ_ONLY = (Child, Week, HabitRow, HabitRecord, HabitTemplate, Notification, IdempotencyRecord)


@pytest.fixture
def root(client: Client, db: None) -> Client:
    user = User.objects.create_superuser("root@example.org", "secret")
    ModernStore().save([Board(BoardKey(user.pk, "<b>지우</b>", date(2025, 7, 21)), habits=(Habit("물"),))])
    client.force_login(user)
    return client


@pytest.mark.parametrize("model", READ_ONLY)
def test_a_modern_table_can_be_looked_at_and_nothing_more(root: Client, model: type[Child]) -> None:
    address = f"/admin/habits/{model._meta.model_name}/"
    page = root.get(address, secure=True)
    assert page.status_code == 200
    assert "<b>지우</b>" not in page.content.decode()
    assert root.get(f"{address}add/", secure=True).status_code == 403
    for row in model._default_manager.all()[:1]:
        assert root.get(f"{address}{row.pk}/change/", secure=True).status_code == 200
        assert root.post(f"{address}{row.pk}/change/", {"name": "x"}, secure=True).status_code == 403
        assert root.post(f"{address}{row.pk}/delete/", {"post": "yes"}, secure=True).status_code == 403


def test_accounts_are_made_and_switched_off_but_never_deleted(root: Client) -> None:
    password = "a long enough one"
    made = root.post(
        "/admin/habits/user/add/",
        {"email": "new@example.org", "password1": password, "password2": password, "usable_password": "true"},
        secure=True,
    )
    assert made.status_code == 302
    user = User.objects.get(email="new@example.org")
    assert user.check_password(password)
    assert root.get(f"/admin/habits/user/{user.pk}/change/", secure=True).status_code == 200
    assert root.post(f"/admin/habits/user/{user.pk}/delete/", {"post": "yes"}, secure=True).status_code == 403


def test_every_model_of_the_domain_is_in_the_admin() -> None:
    assert {User, *READ_ONLY} <= set(site._registry)
