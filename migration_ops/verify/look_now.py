"""Has drift looked for now, and not only when it is due: a worker does it, as every hour."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection, transaction

from migration_ops import history, schedule
from migration_ops.backfill import background
from migration_ops.backfill.background import Woken
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import Refused, SelectionChanged
from migration_ops.models import RunKind
from migration_ops.sentence import said
from migration_ops.verify.difference_listing import last_drift_run
from migration_ops.verify.journal import refuse_if_held
from migration_ops.verify.watch import HOURLY, due

_IS_DUE = "SELECT EXISTS (SELECT FROM migration_ops_periodic WHERE name = %s AND due_at <= clock_timestamp())"

# One that is due later is due now; of those who ask at once the first one changes it.
_DUE_NOW = """
INSERT INTO migration_ops_periodic AS known (name, due_at, taken_by, error) VALUES (%s, clock_timestamp(), '', '')
ON CONFLICT (name) DO UPDATE SET due_at = excluded.due_at WHERE known.due_at > excluded.due_at
"""


@dataclass(frozen=True, slots=True)
class Prospect:
    """What asking would come to.

    Attributes:
        waits: whether it is due already, and only a scheduler has to come by.
        problem: what keeps it from being done; "" when nothing does.
        seen: given to `ask`, nothing is asked for that somebody else has had done meanwhile.
    """

    waits: bool
    problem: str
    seen: str


def prospect(migration: AnyMigration) -> Prospect:
    """What `ask` would come to; changes nothing.

    Raises:
        Refused: nobody looks for drift here, there is nothing to compare yet or any more, or somebody is at it.
    """
    if HOURLY not in schedule.declared():
        raise Refused(said("Nothing looks for drift in the background of this installation."))
    if not due(migration):
        raise Refused(
            said(
                "Drift is looked for once a backfill of everything has succeeded, and as long as both stores are kept"
                " in step."
            )
        )
    refuse_if_held(migration, RunKind.DRIFT)
    last = last_drift_run(migration)
    with connection.cursor() as cursor:
        cursor.execute(_IS_DUE, [HOURLY.name])
        waits = bool(cursor.fetchone()[0])
    return Prospect(waits, background.problem(migration, Woken()), str(last.pk if last else 0))


def ask(migration: AnyMigration, *, actor: str, reason: str = "", seen: str | None = None) -> Prospect:
    """Have it looked for as soon as a scheduler comes by, in every migration, as it is done every hour.

    Raises:
        Refused: as `prospect`.
        SelectionChanged: another run was made since it was `seen`.
    """
    found = prospect(migration)
    if seen is not None and seen != found.seen:
        raise SelectionChanged(said("Drift was looked for meanwhile; see what it found."))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_DUE_NOW, [HOURLY.name])
        if cursor.rowcount:
            history.append(migration, actor=actor, verb="look for drift", reason=reason)
    return found
