"""Notes that differ between the stores, and the differences that were found of them."""

from __future__ import annotations

from django.utils import timezone

from migration_ops.definition import AnyMigration
from migration_ops.models import Difference, MigrationState, Run, RunKind, RunStatus
from migration_ops.verify.drift import detect
from tests.engine.syncing import begin_dual_write, run
from tests.engine.validating import copy_over, fill
from tests.engine.waiting import until_alone


def damage(notes: AnyMigration) -> None:
    """Ten notes, three of them different in modern, and a drift run that found them."""
    begin_dual_write(notes)
    fill(10)
    copy_over(notes)
    run("DELETE FROM migration_ops_dirtykey")
    run("UPDATE modern_notes SET lines = '{other}' WHERE title = 'n0003'")
    run("DELETE FROM modern_notes WHERE title = 'n0009'")
    run("INSERT INTO modern_notes (notebook, title, lines) VALUES ('zzz', 'extra', '{x}')")
    until_alone()
    assert detect(notes, actor="test").unsettled == 3


def of(title: str) -> Difference:
    """The difference of this note; there is one, however often it was found."""
    return Difference.objects.get(key__contains=f'"{title}"')


def change_again() -> None:
    """Modern says something else than when the difference was found."""
    run("UPDATE modern_notes SET lines = '{another}' WHERE title = 'n0003'")


def backfilled(migration: AnyMigration) -> None:
    """The trace of a backfill of everything that has succeeded."""
    since = MigrationState.objects.get(name=migration.name).capture_since
    assert since is not None
    now = timezone.now()
    options = {"capture_since": since.isoformat()}
    Run.objects.create(
        migration=migration.name,
        kind=RunKind.BACKFILL,
        status=RunStatus.SUCCEEDED,
        options=options,
        started_at=now,
        ended_at=now,
    )
