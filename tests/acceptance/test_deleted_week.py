"""A week that somebody deletes past the app comes back whole, and nothing of the old one stays."""

from __future__ import annotations

import pytest
from django.db import connection

from migration_ops.models import BeforeImage
from tests.acceptance.commands import run
from tests.acceptance.modern import digest, query


@pytest.mark.usefixtures("legacy_table")
def test_a_deleted_week_is_repaired_without_leftovers() -> None:
    assert run("import_owners", "--from-legacy").exit_code == 0
    assert run("stage", "advance").exit_code == 0
    assert run("backfill").exit_code == 3
    before = digest()
    ((week, habits),) = query(
        "SELECT w.id, count(*) FROM weeks w JOIN habits h ON h.week_id = w.id GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1"
    )
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM weeks WHERE id = %s", [week])

    found = run("validate_migration")
    assert (found.exit_code, found["missing_in_modern"], found["stray_rows"]) == (5, 1, 8 * habits)
    repaired = run("validate_migration", "--repair", "--reason", "deleted by hand")
    assert (repaired.exit_code, repaired["repaired"], repaired["strays_removed"]) == (3, 1, 8 * habits)

    assert digest() == before
    assert BeforeImage.objects.filter(key__startswith="stray habits ").count() == habits
    assert BeforeImage.objects.filter(key__startswith="stray habit_records ").count() == 7 * habits
    again = run("validate_migration", "--repair")
    assert (again.exit_code, again["difference_count"], again["strays_removed"]) == (3, 0, 0)
