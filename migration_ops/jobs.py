"""What workers of the queue are woken for. Edges: parse an id, call one service.

The database is the truth, a job only a wake-up: any of them can be lost, doubled or late.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import connection

from migration_ops import registry
from migration_ops.backfill import rehearsals, slices
from migration_ops.backfill.stop import Deadline, on_signals
from migration_ops.conf import settings
from migration_ops.exceptions import LeaseHeld
from migration_ops.models import Run
from migration_ops.verify import background as verification
from migration_ops.verify.watch import watch

logger = logging.getLogger(__name__)


def work_on_backfill(run_id: int) -> None:
    """Work on this run for one slice, or until this worker is told to end."""
    _work(run_id, slices.work_slice)


def work_on_validation(run_id: int) -> None:
    """The same for a validation."""
    _work(run_id, verification.work_slice)


def work_on_rehearsal(run_id: int) -> None:
    """The same for a dry run of a backfill."""
    _work(run_id, rehearsals.work_slice)


def _work(run_id: int, work_slice: Callable[..., object]) -> None:
    run = Run.objects.filter(pk=run_id).first()
    if run is None:
        return
    stop = Deadline(settings().slice.total_seconds())
    with on_signals(stop):
        work_slice(registry.get(run.migration), run_id, stop=stop)


def detect_drift() -> None:
    """Look for drift in every migration; one that is in trouble does not keep it from the others.

    Raises:
        ExceptionGroup: what went wrong, when all have had their turn; the queue keeps it.
    """
    troubles: list[Exception] = []
    for migration in registry.all_migrations():
        try:
            watch(migration)
        except LeaseHeld as error:
            logger.info("Drift of %s is being detected already: %s", migration.name, error)
        except Exception as error:  # noqa: BLE001 - raised below, when the others have had their turn
            error.add_note(f"This was about the migration {migration.name}.")
            troubles.append(error)
            connection.close_if_unusable_or_obsolete()
    if troubles:
        raise ExceptionGroup("Drift could not be looked for everywhere.", troubles)
