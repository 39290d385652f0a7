"""What the API says when modern has the word and cannot be read."""

from __future__ import annotations

import pytest

from habits import family
from habits.migration import boards
from migration_ops.definition import Side
from migration_ops.models import DirtyKey
from migration_ops.sync import dirty
from tests.api.conftest import Person, problem, week_of
from tests.families.conftest import Installation
from tests.families.test_fallback import FAULTS, KEY, MONDAY, WEEK, counted
from tests.habits.legacy_files import OWNER


def test_the_family_is_told_who_answered_and_gets_the_same_bytes(parent: Person, installation: Installation) -> None:
    installation.reach("ramp")
    family.put(OWNER, "달이", MONDAY, WEEK)
    usual = parent.get(week_of())
    with FAULTS["missing"][1]():
        instead = parent.get(week_of())
    assert (instead["X-Served-From"], instead["X-Served-Reason"]) == ("legacy", "fallback")
    assert (usual["X-Served-From"], usual["X-Served-Reason"]) == ("modern", "bucket")
    assert (instead.status_code, instead.content) == (usual.status_code, usual.content)


@pytest.mark.parametrize("also_legacy", [False, True])
def test_a_key_that_changed_in_modern_alone_is_not_answered_from_legacy(
    parent: Person, installation: Installation, also_legacy: bool
) -> None:
    installation.reach("ramp")
    family.put(OWNER, "달이", MONDAY, WEEK)
    family.put(OWNER, "별이", MONDAY, WEEK)
    dirty.mark_keys(boards, [KEY], side=Side.MODERN)
    if also_legacy:
        dirty.mark_keys(boards, [KEY], side=Side.LEGACY)
    counted()
    with FAULTS["missing"][1]():
        assert problem(parent.get(week_of())) == (503, "unavailable")
        assert problem(parent.get("/api/children")) == (503, "unavailable")
        assert counted() == [("modern", "error", "42P01", "bucket")]
        assert parent.get(week_of("별이"))["X-Served-From"] == "legacy"
    DirtyKey.objects.all().delete()
