"""How staff name owners and boards: exactly, or with a sentence that says what is missing."""

from __future__ import annotations

from datetime import date
from uuid import UUID

import pytest

from habits.board import BoardKey
from habits.code_meanings import MEANINGS
from habits.migration import boards
from habits.models import User
from habits.naming import BOARD_FORM, board_named, owner_named
from habits.stores.legacy_verdict import CODES
from migration_ops.exceptions import UnusableInput
from tests.habits.legacy_files import OWNER

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def family() -> User:
    return User.objects.create(id=OWNER, email="Family@example.org")


@pytest.mark.parametrize("text", [str(OWNER), f" {OWNER} ", "Family@example.org", "family@EXAMPLE.org"])
def test_an_owner_is_named_by_id_or_address(text: str) -> None:
    assert owner_named(text) == str(OWNER)


@pytest.mark.parametrize("text", ["", "nobody@example.org", "Family", "00000000-0000-4000-8000-000000000000"])
def test_nobody_is_guessed(text: str) -> None:
    with pytest.raises(UnusableInput):
        owner_named(text)


def test_two_addresses_that_differ_in_case_alone_are_not_one() -> None:
    User.objects.create(email="family@example.org")
    assert owner_named("Family@example.org") == str(OWNER)
    with pytest.raises(UnusableInput):
        owner_named("FAMILY@example.org")


def test_a_board_is_named_by_any_day_of_its_week_and_a_name_as_people_type_it() -> None:
    typed = {"owner": "family@example.org", "child": " \u1112\u1161\u1102\u1173\u11af ", "week_start": "2025-07-24"}
    assert board_named(typed) == BoardKey(UUID(str(OWNER)), "하늘", date(2025, 7, 21))


@pytest.mark.parametrize(
    "wrong",
    [{"child": " "}, {"child": "x" * 101}, {"week_start": "soon"}, {"week_start": "1999-01-01"}, {"owner": "x"}],
)
def test_a_part_that_names_nothing_is_said(wrong: dict[str, str]) -> None:
    with pytest.raises(UnusableInput):
        board_named({"owner": str(OWNER), "child": "하늘", "week_start": "2025-07-24", **wrong})


def test_the_parts_are_those_that_keys_are_described_by() -> None:
    key = BoardKey(UUID(str(OWNER)), "하늘", date(2025, 7, 21))
    assert [part.name for part in BOARD_FORM.parts] == list(boards.describe_key(key))
    assert board_named(boards.describe_key(key)) == key


def test_every_code_says_what_it_means_and_what_to_do() -> None:
    assert MEANINGS.keys() == set(CODES)
