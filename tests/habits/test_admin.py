"""The admin of accounts and modern tables: to look at."""

from __future__ import annotations

import re
from datetime import date

import pytest
from django.contrib.admin import site
from django.test import Client
from django.utils import translation

from habits.board import Board, BoardKey, Habit
from habits.migration import boards
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


def test_the_index_names_apps_and_tables_in_korean_but_for_names_of_products(root: Client) -> None:
    page = root.get("/admin/", secure=True, headers={"accept-language": "ko"}).content.decode()
    main = re.sub(r"<[^>]+>", "\n", page[page.index('<main id="content-start"') : page.index("</main>")])
    said = {line.strip() for line in main.splitlines()}
    assert {line for line in said if re.search("[A-Za-z]", line)} <= {"Django-RQ"}
    assert "백그라운드 작업" in said


def test_people_read_the_migration_s_name_in_their_language(root: Client) -> None:
    for language, label in (("ko", "주간 보드"), ("en", "Weekly boards")):
        with translation.override(language):
            assert str(boards.label) == label
        page = root.get(
            "/admin/migration_ops/dashboard/boards/", secure=True, headers={"accept-language": language}
        ).content.decode()
        assert re.search(rf"<h1>.*{label}</h1>", page)


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
