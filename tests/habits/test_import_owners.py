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
from habits.owners import CHUNK
from habits.seed import seed
from habits.seed_data import DataSet
from tests.habits.legacy_database import insert, prepare, row
from tests.habits.legacy_strategies import OTHER_OWNER, OWNER
from tests.peak_memory import run_measured

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
    assert run("--from-legacy", "--dry-run") == {"created": 1, "existing": 1, "dry_run": True}
    csv_file.write_text(f"{newcomer},mother@example.org\n{OWNER},x@example.org\n")
    assert run(str(csv_file), "--dry-run") == {"created": 1, "existing": 1, "dry_run": True}
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
        (f"{MOTHER},a@example.org\n{FATHER},taken@example.org\n", "line 2"),
        (f"{MOTHER},a@example.org\n{FATHER},{'a' * 60}@{'b' * 60}.{'c' * 60}.{'d' * 60}.{'e' * 60}.org\n", "line 2"),
        (f"\n\n{MOTHER},a@example.org\n{FATHER}\n", "line 4"),
        (f'{MOTHER},a@example.org\n{FATHER},"b\n@example.org"\n', "line 2"),
        (f'{MOTHER},"a@example.org\n' + f"{FATHER},b@example.org\n" * 3, "line 1"),
        (f"{MOTHER},\n", "line 1"),
        (f"{MOTHER};a@example.org\n", "line 1"),
        (f"id,name\n{MOTHER},a@example.org\n", "column email 0 times"),
        ("email\na@example.org\n", "column id 0 times"),
        (f"id,email,email\n{MOTHER},a@example.org,b@example.org\n", "column email 2 times"),
        (f"id,name,email\n{MOTHER},a@example.org\n", "line 2: 2 columns; 3"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_written(csv_file: Path, lines: str, place: str) -> None:
    User.objects.create_user("taken@example.org")
    csv_file.write_text(lines)
    assert place in run(str(csv_file), exit_code=2)["error"]
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("\ufeff", "is empty"),
        ("\n\r\n  \n,\n", "is empty"),
        ("id,email\r\n", "has a heading and nothing else"),
        ("\n id , Email \n\n", "has a heading and nothing else"),
    ],
)
@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_a_file_that_names_nobody_is_refused(csv_file: Path, content: str, said: str, options: list[str]) -> None:
    csv_file.write_text(content, "utf-8")
    answer = run(str(csv_file), *options, exit_code=2)
    assert (answer["created"], answer["existing"]) == (0, 0)
    assert f"{csv_file} {said}: there are no owners in it." in answer["error"]
    assert not User.objects.exists()


def test_columns_are_found_by_the_names_in_the_heading(csv_file: Path) -> None:
    csv_file.write_text(f'\r\nName,EMAIL,Id\r\n"Kim, Minji\r\n",mother@example.org,"{MOTHER}"\r\n')
    assert run(str(csv_file)) == {"created": 1, "existing": 0}
    assert User.objects.get(id=MOTHER).email == "mother@example.org"


def test_addresses_that_differ_in_case_alone_are_one_and_both_lines_are_named(csv_file: Path) -> None:
    csv_file.write_text(f"id,email\n{MOTHER},Kim@example.org\n\n{FATHER},kim@EXAMPLE.org\n")
    error = run(str(csv_file), exit_code=2)["error"]
    assert "line 4: kim@example.org stands in line 2 already, as Kim@example.org" in error
    assert not User.objects.exists()


def test_an_address_that_somebody_else_has_in_another_case_is_refused(csv_file: Path) -> None:
    User.objects.create_user("Kim@example.org", id=UUID(MOTHER))
    csv_file.write_text(f"{FATHER},kim@example.org\n")
    for options in (["--dry-run"], []):
        error = run(str(csv_file), *options, exit_code=2)["error"]
        assert f"line 1: kim@example.org belongs to user {MOTHER} already, as Kim@example.org" in error
    assert User.objects.count() == 1


def test_an_id_in_two_spellings_is_one_id_and_both_lines_are_named(csv_file: Path) -> None:
    csv_file.write_text(f"{MOTHER},a@example.org\n{MOTHER.upper().replace('-', '')},b@example.org\n")
    assert f"line 2: id {MOTHER} stands in line 1 already" in run(str(csv_file), exit_code=2)["error"]


def test_what_is_wrong_behind_many_good_lines_undoes_them_all(csv_file: Path) -> None:
    good = [f"{UUID(int=number)},owner-{number}@example.org\n" for number in range(1, CHUNK + 2)]
    csv_file.write_text("".join([*good, "nobody,x@example.org\n"]))
    assert f"line {CHUNK + 2}" in run(str(csv_file), exit_code=2)["error"]
    csv_file.write_text("".join([*good, f"{UUID(int=CHUNK + 2)},OWNER-1@example.org\n"]))
    assert f"line {CHUNK + 2}" in run(str(csv_file), exit_code=2)["error"]
    assert not User.objects.exists()
    csv_file.write_text("".join(good))
    assert run(str(csv_file)) == {"created": CHUNK + 1, "existing": 0}


@pytest.mark.django_db(transaction=True)
def test_memory_does_not_grow_with_the_number_of_owners(csv_file: Path) -> None:
    grown = []
    for count in (1_000, 100_000):
        lines = (f"{UUID(int=number)},owner-{number}@example.org\n" for number in range(count))
        csv_file.write_text("".join(["id,email\n", *lines]))
        measured = run_measured("import_owners", str(csv_file), "--dry-run")
        assert measured.said == {"created": count, "existing": 0, "dry_run": True}
        grown.append(measured.growth)
    assert grown[1] - grown[0] < 5


def test_a_file_that_is_no_text_or_not_there_is_refused(csv_file: Path) -> None:
    assert "cannot be read" in run(str(csv_file), exit_code=2)["error"]
    csv_file.write_bytes(f"{MOTHER},\xff@example.org".encode("latin-1"))
    assert "UTF-8" in run(str(csv_file), exit_code=2)["error"]


def test_either_a_file_or_the_legacy_store_must_be_named(csv_file: Path) -> None:
    assert run(exit_code=2) == {"created": 0, "existing": 0, "error": "Give either a CSV file or --from-legacy."}
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
