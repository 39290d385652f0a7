"""Keeps the alerts in step with the problems there are: opens, repeats seldom, resolves.

Any number of processes may do this at once. Each change is one conditional statement, whoever changed the row writes
the messages, and both are in one commit.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection, transaction

from migration_ops.alerts import outbox
from migration_ops.alerts.problems import Found, Problem, patience, severity
from migration_ops.alerts.sources import SOURCES
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import first_line
from migration_ops.models import Alert, AlertStatus

logger = logging.getLogger(__name__)

_SEE_AGAIN = """
UPDATE migration_ops_alert AS known SET seen_at = clock_timestamp(), figures = %s
 WHERE migration = %s AND problem = %s AND subject = %s AND status <> 'resolved'
RETURNING id
"""

# Somebody else may see the same problem for the first time at this moment: one of both inserts. An attempt takes a
# number, which people type: so not at every look.
_SEE = """
INSERT INTO migration_ops_alert AS known (migration, problem, subject, severity, figures, status)
VALUES (%s, %s, %s, %s, %s, 'suspected')
ON CONFLICT (migration, problem, subject) WHERE status <> 'resolved'
DO UPDATE SET seen_at = clock_timestamp(), figures = excluded.figures
RETURNING id
"""

_OPEN = """
UPDATE migration_ops_alert SET status = 'open', repeat_at = clock_timestamp() + make_interval(secs => %s)
 WHERE id = %s AND status = 'suspected' AND since <= clock_timestamp() - make_interval(secs => %s)
"""

_REPEAT = """
UPDATE migration_ops_alert
   SET repeats = repeats + 1,
       repeat_at = clock_timestamp() + least(make_interval(secs => %s) * (2 ^ least(repeats + 1, 30)),
                                             make_interval(secs => %s))
 WHERE id = %s AND status = 'open' AND repeat_at <= clock_timestamp()
"""

_RESOLVE = """
UPDATE migration_ops_alert SET status = 'resolved', resolved_at = clock_timestamp(), repeat_at = NULL
 WHERE migration = %s AND status IN ('open', 'acknowledged') AND problem = ANY(%s) AND NOT id = ANY(%s)
   AND seen_at <= clock_timestamp() - make_interval(secs => %s)
RETURNING id
"""

_FORGET = """
DELETE FROM migration_ops_alert
 WHERE migration = %s AND status = 'suspected' AND problem = ANY(%s) AND NOT id = ANY(%s)
"""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What changed: the numbers of the alerts."""

    opened: tuple[int, ...] = ()
    repeated: tuple[int, ...] = ()
    resolved: tuple[int, ...] = ()


def evaluate(migration: AnyMigration) -> Evaluated:
    """Look at every source once, and keep the alerts in step with what there is.

    A source that cannot look is logged, and what it alone tells of stays as it is.

    Raises:
        Error: of `django.db`; the alerts themselves could not be kept.
    """
    found: list[Found] = []
    looked_at: set[Problem] = set()
    for source, problems in SOURCES.items():
        try:
            with transaction.atomic():
                these = list(source(migration))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a source, the others must be heard
            logger.warning("%s: alerts could not look at %s: %s", migration.name, source.__name__, first_line(error))
        else:
            found += these
            looked_at |= problems
    return _kept(migration, found, sorted(problem.value for problem in looked_at))


def _kept(migration: AnyMigration, found: Sequence[Found], looked_at: list[str]) -> Evaluated:
    seen: list[int] = []
    opened, repeated = [], []
    for one in found:
        with transaction.atomic():
            number = _see(migration, one)
            seen.append(number)
            if _changed(_OPEN, *_opening(number, one)):
                opened.append(number)
                outbox.write(Alert.objects.get(pk=number), "opened")
            elif _changed(_REPEAT, *_repeating(number)):
                repeated.append(number)
                outbox.write(Alert.objects.get(pk=number), "repeated")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_FORGET, [migration.name, looked_at, seen])
        gone = settings().alert_resolve_after.total_seconds()
        cursor.execute(_RESOLVE, [migration.name, looked_at, seen, gone])
        resolved = [number for (number,) in cursor.fetchall()]
        for alert in Alert.objects.filter(pk__in=resolved, status=AlertStatus.RESOLVED).order_by("pk"):
            outbox.write(alert, "resolved")
    return Evaluated(tuple(opened), tuple(repeated), tuple(resolved))


def _see(migration: AnyMigration, one: Found) -> int:
    figures, which = json.dumps(dict(one.figures)), [migration.name, one.problem.value, one.subject]
    with connection.cursor() as cursor:
        cursor.execute(_SEE_AGAIN, [figures, *which])
        known = cursor.fetchone()
        if known is None:
            cursor.execute(_SEE, [*which, severity(one.problem).value, figures])
            known = cursor.fetchone()
    return int(known[0])


def _opening(number: int, one: Found) -> tuple[float, int, float]:
    lasting = patience(one.problem, settings().alert_patience)
    return settings().alert_repeat_first.total_seconds(), number, lasting.total_seconds()


def _repeating(number: int) -> tuple[float, float, int]:
    return settings().alert_repeat_first.total_seconds(), settings().alert_repeat_longest.total_seconds(), number


def _changed(sql: str, *parameters: float) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return bool(cursor.rowcount == 1)
