"""Who holds a lock that somebody waits for: selectors over `pg_locks` and `pg_stat_activity`.

What other roles run is hidden from a role that is no superuser; such fields are left out of the sentences.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from migration_ops import moment
from migration_ops.sentence import Sentence, joined, said


@dataclass(frozen=True, slots=True)
class Blocker:
    """A server process that holds a lock, and since when its transaction and its last query run."""

    pid: int
    application: str
    role: str
    state: str
    transaction_since: datetime | None
    query_since: datetime | None

    def __str__(self) -> str:
        parts = [part for part in (self.application and f"{self.application!r}", self.role, self.state) if part]
        if self.transaction_since:
            parts.append(said("transaction since %(time)s", time=moment.shown(self.transaction_since)))
        if self.query_since:
            parts.append(said("query since %(time)s", time=moment.shown(self.query_since)))
        return said("pid %(pid)s (%(what)s)", pid=str(self.pid), what=joined(parts, by=", "))


_HOLDERS = """
SELECT DISTINCT activity.pid, coalesce(activity.application_name, ''), coalesce(activity.usename::text, ''),
       coalesce(activity.state, ''), activity.xact_start, activity.query_start
  FROM pg_locks AS held JOIN pg_stat_activity AS activity ON activity.pid = held.pid
 WHERE held.granted AND held.pid <> pg_backend_pid()
   AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND {which}
 ORDER BY activity.xact_start, activity.pid
"""


def of_advisory_lock(lock_id: int) -> list[Blocker]:
    """Who holds this advisory lock in any mode, the longest transaction first."""
    which = "held.locktype = 'advisory' AND held.objsubid = 1 AND held.classid = %s::oid AND held.objid = %s::oid"
    return _holders(which, [lock_id >> 32 & 0xFFFFFFFF, lock_id & 0xFFFFFFFF])


def of_tables(tables: Collection[str]) -> list[Blocker]:
    """Who holds a lock on one of these tables, the longest transaction first."""
    which = (
        "held.locktype = 'relation'"
        " AND held.relation = ANY(SELECT to_regclass(name)::oid FROM unnest(%s::text[]) AS name)"
    )
    return _holders(which, [list(tables)])


def _holders(which: str, parameters: list[Any]) -> list[Blocker]:
    with connection.cursor() as cursor:
        cursor.execute(_HOLDERS.format(which=which), parameters)
        return [Blocker(*row) for row in cursor.fetchall()]


def named(holders: Sequence[Blocker], *, nobody: Sentence) -> Sentence:
    """The holders in one sentence; `nobody` where there are none any more."""
    return said("%(holders)s.", holders=joined(map(str, holders), by="; ")) if holders else nobody


def of_tables_named(tables: Collection[str]) -> Sentence:
    """Who holds a lock on one of these tables, in one sentence."""
    nobody = said("nobody is on %(tables)s any more, so try again.", tables=", ".join(tables))
    return named(of_tables(tables), nobody=nobody)
