"""Accounts for the owners of legacy rows."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from pytest_django import Settings

from habits.models import User
from habits.seed import seed
from habits.seed_data import DataSet
from tests.habits.legacy_database import insert, prepare, row
from tests.habits.legacy_strategies import OTHER_OWNER, OWNER

pytestmark = pytest.mark.django_db

MOTHER = "1710cf53-27ac-435a-ba97-c643656412a9"
FATHER = "b8a1abcd-1a69-46c7-8da4-f9fc3c6da5d7"


def run(*arguments: str, exit_code: int = 0) -> dict[str, Any]:
    """The JSON that `import_owners` prints; fails unless it ends as expected."""
    out = io.StringIO()
    ended = 0
    try:
        call_command("import_owners", "--json", *arguments, stdout=out, stderr=io.StringIO())
    except SystemExit as left:
        ended = int(str(left.code))
    assert ended == exit_code
    said: dict[str, Any] = json.loads(out.getvalue())
    return said


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    return tmp_path / "owners.csv"


@pytest.mark.parametrize("heading", ["id,email\n", "\ufeffID, Email\r\n", ""])
def test_a_file_makes_accounts_with_or_without_a_heading(csv_file: Path, heading: str) -> None:
    csv_file.write_text(f"{heading}{MOTHER},mother@example.org\n\n{FATHER.upper()}, father@Example.org \n", "utf-8")
    assert run(str(csv_file)) == {"created": 2, "existing": 0}
    assert {(str(user.id), user.email) for user in User.objects.all()} == {
        (MOTHER, "mother@example.org"),
        (FATHER, "father@example.org"),
    }
    assert all(user.is_active and not user.has_usable_password() for user in User.objects.all())


def test_an_account_that_is_there_is_left_as_it_is(csv_file: Path) -> None:
    User.objects.create_user("old@example.org", "secret", id=UUID(MOTHER))
    csv_file.write_text(f"{MOTHER},new@example.org\n{FATHER},father@example.org\n")
    assert run(str(csv_file)) == {"created": 1, "existing": 1}
    assert run(str(csv_file)) == {"created": 0, "existing": 2}
    assert User.objects.get(id=MOTHER).email == "old@example.org"


def test_a_dry_run_says_what_would_be_created_and_creates_nothing(csv_file: Path) -> None:
    prepare()
    newcomer = str(UUID(int=5))
    insert(row(1), row(2, user_id=newcomer))
    before = User.objects.count()
    assert run("--from-legacy", "--dry-run") == {"created": 1, "existing": 1}
    csv_file.write_text(f"{newcomer},mother@example.org\n{OWNER},x@example.org\n")
    assert run(str(csv_file), "--dry-run") == {"created": 1, "existing": 1}
    csv_file.write_text(f"{newcomer},{OWNER}@example.org\n")
    assert "belongs to user" in run(str(csv_file), "--dry-run", exit_code=2)["error"]
    assert User.objects.count() == before


@pytest.mark.parametrize(
    ("lines", "place"),
    [
        (f"{MOTHER},a@example.org\n{FATHER}\n", "line 2"),
        (f"{MOTHER},a@example.org\n{FATHER},b@example.org,x\n", "line 2"),
        (f"id,email\n{MOTHER},a@example.org\nfather,b@example.org\n", "line 3"),
        (f"{MOTHER},a@example.org\n{FATHER},nobody\n", "line 2"),
        (f"{MOTHER},a@example.org\n{MOTHER},b@example.org\n", "line 2"),
        (f"{MOTHER},a@example.org\n{FATHER},a@example.org\n", "line 2"),
        (f'{MOTHER},a@example.org\n{FATHER},"b@example.org\n', "line 2"),
        (f"{MOTHER},a@example.org\n{FATHER},taken@example.org\n", "Line 2"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_written(csv_file: Path, lines: str, place: str) -> None:
    User.objects.create_user("taken@example.org")
    csv_file.write_text(lines)
    assert place in run(str(csv_file), exit_code=2)["error"]
    assert User.objects.count() == 1


def test_a_file_that_is_no_text_or_not_there_is_refused(csv_file: Path) -> None:
    assert "cannot be read" in run(str(csv_file), exit_code=2)["error"]
    csv_file.write_bytes(f"{MOTHER},\xff@example.org".encode("latin-1"))
    assert "UTF-8" in run(str(csv_file), exit_code=2)["error"]


def test_either_a_file_or_the_legacy_store_must_be_named(csv_file: Path) -> None:
    run(exit_code=2)
    run(str(csv_file), "--from-legacy", exit_code=2)


def test_owners_in_the_table_get_inactive_accounts(tmp_path: Path) -> None:
    prepare()
    User.objects.filter(id=OTHER_OWNER).delete()
    insert(row(1), row(2, user_id=str(OTHER_OWNER)), row(3, user_id=str(OTHER_OWNER)), row(4, user_id=None))
    assert run("--from-legacy") == {"created": 1, "existing": 1}
    account = User.objects.get(id=OTHER_OWNER)
    assert account.email == f"owner-{OTHER_OWNER}@legacy.invalid"
    assert (account.is_active, account.has_usable_password()) == (False, False)
    assert User.objects.get(id=OWNER).is_active
    assert run("--from-legacy") == {"created": 0, "existing": 2}


def test_owners_in_a_file_get_inactive_accounts(tmp_path: Path, settings: Settings) -> None:
    settings.LEGACY_BACKEND = "json"
    settings.LEGACY_JSON_PATH = str(tmp_path / "legacy.json")
    data = DataSet(300, 2, messy=True)
    seed(data, reset=False)
    named = {record["user_id"] for record in data.records() if record["user_id"]}
    assert run("--from-legacy") == {"created": len(named), "existing": 0}
    assert run("--from-legacy") == {"created": 0, "existing": len(named)}


def test_a_legacy_file_that_cannot_be_read_makes_no_accounts(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "legacy.json"
    path.write_text(f'{{"records": [{{"id": 1, "user_id": "{MOTHER}"}}, ')
    settings.LEGACY_BACKEND = "json"
    settings.LEGACY_JSON_PATH = str(path)
    run("--from-legacy", exit_code=2)
    assert User.objects.count() == 0
