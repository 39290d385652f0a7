"""Who works on a range of a run: one process at a time, fenced by a token.

A lease is taken by a conditional UPDATE and the row count is checked. Its token grows with every holder, and whoever
commits for a range does so `WHERE token = mine`: a worker that slept through its lease commits nothing. The lease names
the holder's server process: once that is gone the holder's transaction is gone too, and the range is free at once.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import connection
from django.db.models.functions import Now

from migration_ops import moment
from migration_ops.exceptions import LeaseHeld, LeaseLost
from migration_ops.models import RunRange
from migration_ops.sentence import said

# A range `held` that nobody works on. backend_start is hidden (NULL) for sessions of other roles; such a holder counts
# as alive until its lease ends.
FREE = """
    (held.lease_until IS NULL OR held.lease_until < clock_timestamp() OR NOT EXISTS (
        SELECT FROM pg_stat_activity AS session
         WHERE session.pid = held.lease_backend
           AND coalesce(session.backend_start = held.lease_backend_start, true)))
"""

# A range whose row is locked at this moment is about to be committed by its holder: not free.
_CLAIM = f"""
UPDATE migration_ops_runrange AS claimed
   SET token = claimed.token + 1, lease_owner = %(owner)s, lease_until = clock_timestamp() + %(duration)s,
       lease_backend = pg_backend_pid(),
       lease_backend_start = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())
 WHERE claimed.id = (
       SELECT held.id FROM migration_ops_runrange AS held
        WHERE held.run_id = %(run)s AND NOT held.done AND {{wanted}} AND {FREE}
        ORDER BY held.number LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING claimed.id, claimed.token
"""

_RENEW = """
UPDATE migration_ops_runrange
   SET lease_until = clock_timestamp() + %(duration)s, lease_backend = pg_backend_pid(),
       lease_backend_start = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())
 WHERE id = %(range)s AND token = %(token)s
"""

_HOLDERS = f"""
SELECT held.number, held.lease_owner, held.lease_until FROM migration_ops_runrange AS held
 WHERE held.run_id = %s AND held.lease_until IS NOT NULL AND NOT {FREE}
 ORDER BY held.number
"""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on a range, as long as the range's token is this one."""

    range_id: int
    token: int
    duration: timedelta


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the range of this number, as `host:process id`, and until when at least."""

    number: int
    owner: str
    until: datetime

    def __str__(self) -> str:
        return f"{self.owner} until {moment.shown(self.until)}"


def this_process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def claim(run_id: int, number: int, duration: timedelta) -> Lease:
    """Take this range.

    Raises:
        LeaseHeld: a living process holds it; the message says which and until when.
    """
    lease = _claim("held.number = %(number)s", {"run": run_id, "number": number, "duration": duration})
    if lease is None:
        found = holder(run_id)
        who = said("It is held by %(holder)s.", holder=str(found)) if found else said("Its holder is just committing.")
        raise LeaseHeld(said("Another process is working on run %(run)s. %(who)s", run=str(run_id), who=who))
    return lease


def claim_next(run_id: int, duration: timedelta) -> Lease | None:
    """Take the first range from number 1 on that is neither done nor held; None if there is none."""
    return _claim("held.number > 0", {"run": run_id, "duration": duration})


def renew(lease: Lease) -> None:
    """Say that this process is still there; also after a reconnect, when its server process is another one.

    Raises:
        LeaseLost: somebody else has taken the range.
    """
    with connection.cursor() as cursor:
        values: dict[str, Any] = {"duration": lease.duration, "range": lease.range_id, "token": lease.token}
        cursor.execute(_RENEW, values)
        if cursor.rowcount != 1:
            raise LeaseLost


def update(lease: Lease, **changes: Any) -> None:
    """Change the range and renew the lease in one statement: what makes a commit of the holder's safe.

    Raises:
        LeaseLost: somebody else has taken the range; roll back.
    """
    mine = RunRange.objects.filter(pk=lease.range_id, token=lease.token)
    if mine.update(lease_until=Now() + lease.duration, **changes) != 1:
        raise LeaseLost


def release(lease: Lease) -> None:
    """Give the range back; does nothing if it is somebody else's by now."""
    RunRange.objects.filter(pk=lease.range_id, token=lease.token).update(
        lease_owner="", lease_until=None, lease_backend=None, lease_backend_start=None
    )


def holders(run_id: int) -> list[Holder]:
    """The living processes that hold leases of this run, by the number of the range."""
    with connection.cursor() as cursor:
        cursor.execute(_HOLDERS, [run_id])
        return [Holder(*found) for found in cursor.fetchall()]


def holder(run_id: int) -> Holder | None:
    """The first of them: whoever speaks for the whole run, where there is one."""
    return next(iter(holders(run_id)), None)


def gone(owner: str) -> bool:
    """Whether this holder was a process of this machine and certainly is no more (a zombie is none)."""
    host, _, process = owner.rpartition(":")
    if host != socket.gethostname() or not process.isdigit():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False


def _claim(wanted: str, values: Mapping[str, Any]) -> Lease | None:
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM.format(wanted=wanted), {**values, "owner": this_process()})
        found = cursor.fetchone()
    return Lease(found[0], found[1], values["duration"]) if found else None
