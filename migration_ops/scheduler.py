"""The scheduler: puts what is due into the queue, and sees to it that runs in the background go on.

Any number of them may run: what is due is taken by one conditional UPDATE, and a run is woken by another. It needs
PostgreSQL only; while that or Redis is away it says so, and tries again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import Error, connection

from migration_ops import queue, registry, schedule
from migration_ops.backfill import background, errors
from migration_ops.backfill.background import Woken
from migration_ops.backfill.errors import Kind
from migration_ops.backfill.stop import Stop
from migration_ops.conf import settings
from migration_ops.exceptions import MigrationOpsError, QueueAway, first_line
from migration_ops.models import Run, RunStatus
from migration_ops.observe import heartbeat
from migration_ops.observe.heartbeat import Role
from migration_ops.schedule import Periodically

logger = logging.getLogger(__name__)

_KNOW = "INSERT INTO migration_ops_periodic (name, taken_by, error) VALUES (%s, '', '') ON CONFLICT DO NOTHING"

_TAKE = """
UPDATE migration_ops_periodic
   SET due_at = clock_timestamp() + %(every)s, taken_at = clock_timestamp(), taken_by = %(process)s, error = ''
 WHERE name = %(name)s AND due_at <= clock_timestamp()
RETURNING taken_at::text, floor(extract(epoch FROM taken_at))::bigint
"""

_PUT_BACK = """
UPDATE migration_ops_periodic SET due_at = clock_timestamp() + %(soon)s, error = %(error)s
 WHERE name = %(name)s AND taken_at::text = %(taken_at)s
"""

SOON = timedelta(seconds=10)
"""After how long something is tried again that could not be put into the queue."""


@dataclass(slots=True)
class Tick:
    """What one look came to.

    Attributes:
        queued: names of what was due.
        woken: runs for which workers were woken, and how many.
        problems: sentences.
    """

    queued: list[str] = field(default_factory=list)
    woken: dict[int, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def tick() -> Tick:
    """Look once: first after the runs, then what is due, and say that the scheduler is alive.

    Raises:
        django.db.Error: the database is away.
    """
    done = Tick()
    for migration in registry.all_migrations():
        heartbeat.beat(migration, Role.SCHEDULER)
    for run in _with_workers():
        woken = _revived(run)
        if woken.sent:
            done.woken[run.pk] = woken.sent
        if woken.problem:
            done.problems.append(f"Run {run.pk}: {woken.problem}")
    for each in schedule.declared():
        try:
            if _do_if_due(each):
                done.queued.append(each.name)
        except QueueAway as error:
            done.problems.append(f"{each.name}: {error}")
    return done


def follow(*, stop: Stop, say: Callable[[str], None], beside: Callable[[], None]) -> None:
    """Look every `scheduler_interval` until it is told to stop. Outlives a database and a Redis that are away.

    Args:
        beside: is called after each look, whether that succeeded or not; raises nothing and takes no time.
    """
    said: list[str] = []
    while not stop.requested:
        try:
            problems = tick().problems
        except (Error, MigrationOpsError) as error:
            problems = [f"The scheduler could not look: {first_line(error)}"]
            connection.close()
        for problem in problems:
            if problem not in said:  # once for as long as it lasts
                say(problem)
        if said and not problems:
            say("All is well again.")
        said = problems
        beside()
        stop.wait(settings().scheduler_interval.total_seconds())


def _revived(run: Run) -> Woken:
    """See after one run; whatever is wrong with it must not keep the others from going on."""
    try:
        return background.revive(registry.get(run.migration), run)
    except Exception as error:
        if isinstance(error, Error) and errors.kind(error) is Kind.DISCONNECTED:
            raise  # the database is away, for all of them
        logger.exception("The scheduler could not see after run %s", run.pk)
        connection.close_if_unusable_or_obsolete()
        return Woken(problem=f"It could not be seen after: {first_line(error)}")


def _with_workers() -> Iterator[Run]:
    known = [migration.name for migration in registry.all_migrations()]
    runs = Run.objects.filter(queued=True, status=RunStatus.RUNNING, migration__in=known)
    return iter(runs.order_by("pk"))


def _do_if_due(each: Periodically) -> bool:
    """Put it into the queue if it is due and no other scheduler was faster.

    Raises:
        QueueAway: it could not be put there, and stays due.
    """
    with connection.cursor() as cursor:
        cursor.execute(_KNOW, [each.name])
        values: dict[str, Any] = {"name": each.name, "every": each.interval, "process": heartbeat.process_name()}
        cursor.execute(_TAKE, values)
        taken = cursor.fetchone()
    if taken is None:
        return False
    moment, number = taken
    try:
        if not queue.waiting(f"periodic-{each.name}-"):
            queue.ring(each.job, job_id=f"periodic-{each.name}-{number}")
    except QueueAway as error:
        with connection.cursor() as cursor:
            again: dict[str, Any] = {"name": each.name, "soon": SOON, "error": str(error), "taken_at": moment}
            cursor.execute(_PUT_BACK, again)
        raise
    return True
