"""Is the database well enough for the next batch? Readings, and a pure decision on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.db import connection

from migration_ops.sentence import said

BESIDE_OTHERS = said("Short batches, with rests: others are at work in this database.")


class Advice(StrEnum):
    """`ease` halves the batch, `hold` waits, `crawl` goes on with the smallest batch after a long wait."""

    GO = "go"
    EASE = "ease"
    HOLD = "hold"
    CRAWL = "crawl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What was measured; None where this role may not see it.

    Attributes:
        replica_lag: seconds the slowest replica is behind.
        lock_waiters: sessions of others that wait for a lock while they use one of our tables.
        oldest_transaction: age in seconds of the oldest transaction of others in this database.
        vacuumed: our tables that a vacuum or a schema change works on.
        others: sessions of others that are in the middle of a transaction and have said something within a second.
    """

    replica_lag: float | None = None
    lock_waiters: int = 0
    oldest_transaction: float | None = None
    vacuumed: tuple[str, ...] = ()
    others: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """From when on a reading is bad; durations in seconds.

    Attributes:
        longest_hold: after holding back for so long, go on with the smallest batch.
    """

    replica_lag: float
    lock_waiters: int
    oldest_transaction: float
    longest_hold: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do, and the sentence that says why; "" when all is well.

    Attributes:
        nice: whether batches are to be short, with rests between them.
    """

    advice: Advice
    reason: str = ""
    nice: bool = False


def decide(readings: Readings, thresholds: Thresholds, *, held: float, nice: bool = False) -> Verdict:
    """What to do after having held back for `held` seconds so far, and beside others where it is to be `nice`."""
    bad: list[str] = []
    if readings.replica_lag is not None and readings.replica_lag > thresholds.replica_lag:
        bad.append(f"a replica is {readings.replica_lag:.0f} s behind (at most {thresholds.replica_lag:.0f} s)")
    if readings.lock_waiters >= thresholds.lock_waiters:
        bad.append(f"{readings.lock_waiters} sessions wait for locks on these tables")
    if readings.oldest_transaction is not None and readings.oldest_transaction > thresholds.oldest_transaction:
        age = readings.oldest_transaction
        bad.append(f"a transaction is {age:.0f} s old (at most {thresholds.oldest_transaction:.0f} s)")
    if bad:
        if held >= thresholds.longest_hold:
            return Verdict(Advice.CRAWL, f"Going slowly: {', '.join(bad)}.", nice)
        return Verdict(Advice.HOLD, f"Holding back: {', '.join(bad)}.", nice)
    if readings.vacuumed:
        return Verdict(Advice.EASE, f"Smaller batches: a vacuum works on {', '.join(readings.vacuumed)}.", nice)
    return Verdict(Advice.GO, BESIDE_OTHERS if nice else "", nice)


_WORKERS = """
SELECT lease_backend FROM migration_ops_runrange WHERE run_id = %(run)s AND lease_backend IS NOT NULL
UNION SELECT pg_backend_pid()
"""

# Whoever waits for a row waits for its holder's transaction id, not for the relation; the relation lock that he holds
# already says which table he is after. Waits of less than a quarter of a second are what a batch may cost anybody.
_READ = f"""
WITH worker AS ({_WORKERS}),
ours AS (
    SELECT oid, relname FROM pg_class WHERE oid IN (SELECT to_regclass(name) FROM unnest(%(tables)s::text[]) AS name)),
lock AS MATERIALIZED (
    SELECT pid, locktype, relation, mode, granted, waitstart FROM pg_locks WHERE pid NOT IN (SELECT * FROM worker))
SELECT
  (SELECT extract(epoch FROM max(replay_lag))::float8 FROM pg_stat_replication),
  (SELECT count(DISTINCT waiting.pid) FROM lock AS waiting
     JOIN lock AS used ON used.pid = waiting.pid AND used.locktype = 'relation'
     JOIN ours ON ours.oid = used.relation
    WHERE NOT waiting.granted AND waiting.waitstart < clock_timestamp() - interval '250 milliseconds'),
  (SELECT extract(epoch FROM clock_timestamp() - min(xact_start))::float8 FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid NOT IN (SELECT * FROM worker)),
  (SELECT coalesce(array_agg(DISTINCT ours.relname::text ORDER BY ours.relname::text), '{{}}') FROM lock
     JOIN ours ON ours.oid = lock.relation
    WHERE lock.granted AND lock.mode = 'ShareUpdateExclusiveLock'),
  (SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid NOT IN (SELECT * FROM worker)
      AND state <> 'idle' AND state_change > clock_timestamp() - interval '1 second')
"""


def read(run_id: int, tables: Sequence[str]) -> Readings:
    """Look once; takes a few milliseconds. Sessions of the run's own workers do not count."""
    with connection.cursor() as cursor:
        cursor.execute(_READ, {"run": run_id, "tables": list(tables)})
        lag, waiters, oldest, vacuumed, others = cursor.fetchone()
    return Readings(
        replica_lag=lag, lock_waiters=waiters, oldest_transaction=oldest, vacuumed=tuple(vacuumed), others=others
    )
