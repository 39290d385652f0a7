"""What a test leaves is gone for the next one; where emptying tables is not enough for that, nothing is emptied."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission
from django.utils.timezone import now

from migration_ops.models import Run, RunKind, RunRange, RunStatus
from tests.emptying import Beginning
from tests.engine.syncing import rows, run

pytestmark = pytest.mark.django_db(transaction=True)


def leave_a_run() -> None:
    made = Run.objects.create(migration="boards", kind=RunKind.DRIFT, status=RunStatus.RUNNING, started_at=now())
    RunRange.objects.create(run=made, number=1, side="legacy")


def test_what_a_test_wrote_is_emptied_and_what_was_there_before_stays() -> None:
    beginning = Beginning.now()
    there = (Group.objects.count(), Permission.objects.count())
    leave_a_run()
    assert beginning.restored()
    assert (Run.objects.exists(), RunRange.objects.exists()) == (False, False)
    assert (Group.objects.count(), Permission.objects.count()) == there
    assert there > (0, 0)
    assert Beginning.now() == beginning


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE auth_permission SET name = 'something else' WHERE codename = 'view_run'",
        "DELETE FROM auth_group_permissions",
        "ALTER TABLE migration_ops_migrationstate DISABLE TRIGGER USER",
    ],
)
def test_where_a_test_changed_more_than_that_nothing_is_emptied_so_that_all_is_made_anew(sql: str) -> None:
    beginning = Beginning.now()
    leave_a_run()
    run(sql)
    assert not beginning.restored()
    assert Run.objects.exists()


def test_a_function_that_says_something_else_is_noticed() -> None:
    beginning = Beginning.now()
    run("CREATE FUNCTION left_behind() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    assert not beginning.restored()
    run("DROP FUNCTION left_behind()")
    assert beginning.restored()
    assert rows("SELECT FROM pg_proc WHERE proname = 'left_behind'") == []
