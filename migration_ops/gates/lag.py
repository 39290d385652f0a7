"""The gate that wants changes past the app to arrive in time, and somebody to be there who carries them over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.db import connection

from migration_ops.conf import settings
from migration_ops.definition import AnyMigration
from migration_ops.gates.gate import Gate, Verdict
from migration_ops.gates.proportion import gate_of
from migration_ops.gates.wording import duration, number
from migration_ops.observe import heartbeat, totals
from migration_ops.observe.heartbeat import Role
from migration_ops.observe.measures import LagOutcome, What
from migration_ops.sentence import joined, said, said_many

MOST_LATE = 0.05
"""The share of changes that may take longer than `sync_lag_limit`: that 95 % do not is what its p95 says."""

_RUN_IT = said("Is `manage.py sync_changes --follow` running?")

# What backs off or waits is late as well; what a writer is about to withdraw is not waiting yet, and what was due as
# soon as it was made is no change, but a request to look again.
_WAITING = """
SELECT count(*) FILTER (WHERE created_at < clock_timestamp() - %s),
       coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float
  FROM migration_ops_dirtykey
 WHERE migration = %s AND (attempts > 0 OR not_before IS NULL OR not_before <= clock_timestamp())
   AND not_before IS DISTINCT FROM created_at
"""


def sync_lag(migration: AnyMigration) -> Gate:
    """The applier is alive, and 95 % of the changes past the app reach the other store within `sync_lag_limit`.

    A change that has been waiting for longer is late already. Where there were too few changes to say it, all of them
    must have been in time, and the applier's calls to itself say how soon it turns to one.
    """
    window, limit = settings().evidence_window, settings().sync_lag_limit
    age = heartbeat.age(migration, Role.APPLIER)
    changes = totals.counted(migration, What.CHANGE, within=window)
    waiting, oldest = _waiting(migration)
    late, n = changes.of(LagOutcome.LATE) + waiting, changes.of() + waiting
    counted = said(
        "%(k)s of %(n)s changes past the app took longer than %(limit)s in the last %(window)s",
        k=number(late),
        n=number(n),
        limit=duration(limit),
        window=duration(window),
    )
    gate = gate_of("sync_lag", late, n, MOST_LATE, counted=counted, advice=_RUN_IT, age=age)
    if gate.verdict is Verdict.INCONCLUSIVE and not late:
        gate = _by_calls(migration, gate)
    waits = [said("The oldest one waits for %(oldest)s.", oldest=duration(oldest))] if waiting else []
    if gate.verdict is Verdict.FAIL or is_fresh(age):
        return replace(gate, message=joined((gate.message, *waits)))
    if age is None:
        silent = said("The applier has never been heard of, so nobody knows how late changes are.")
    else:
        silent = said(
            "The applier was last heard of %(age)s ago, so nobody knows how late changes are.", age=duration(age)
        )
    return replace(gate, verdict=Verdict.INCONCLUSIVE, message=joined((silent, _RUN_IT, *waits)))


def is_fresh(age: float | None) -> bool:
    """Whether the applier, heard of so many seconds ago, is alive."""
    return age is not None and age <= heartbeat.longest_silence(Role.APPLIER).total_seconds()


def _by_calls(migration: AnyMigration, gate: Gate) -> Gate:
    """The gate of changes of which none was late, by how soon the applier hears itself."""
    window, limit = settings().evidence_window, settings().sync_lag_limit
    calls = totals.counted(migration, What.HEARTBEAT, within=window)
    late, n = calls.of(LagOutcome.LATE), calls.of()
    counted = said(
        "%(k)s of %(n)s calls of the applier to itself took longer than %(limit)s in the last %(window)s",
        k=number(late),
        n=number(n),
        limit=duration(limit),
        window=duration(window),
    )
    found = gate_of("sync_lag", late, n, MOST_LATE, counted=counted, age=gate.age)
    if not gate.n:
        return replace(found, message=said("No change past the app; %(calls)s", calls=found.message))
    few = said_many(
        "%(n)s change past the app, in time; %(calls)s",
        "%(n)s changes past the app, all in time; %(calls)s",
        gate.n,
        n=number(gate.n),
        calls=found.message,
    )
    return replace(found, message=few)


def _waiting(migration: AnyMigration) -> tuple[int, float]:
    """How many changes have waited for longer than they should take, and for how many seconds the oldest waits."""
    parameters: list[Any] = [settings().sync_lag_limit, migration.name]
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, parameters)
        waiting, oldest = cursor.fetchone()
    return int(waiting), float(oldest)
