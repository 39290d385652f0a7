"""The bell: wake-ups for the workers, put into RQ.

A wake-up says "look at this", and nothing that matters is in it: it may be lost, doubled or late. Where Redis does not
answer, the caller learns it within `PATIENCE` and goes on; what was to be done is in the database.
"""

from __future__ import annotations

from typing import Any

import redis
from django_rq import get_connection, get_queue
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq.exceptions import DuplicateJobError
from rq.serializers import JSONSerializer

from migration_ops.exceptions import QueueAway, first_line
from migration_ops.sentence import said

QUEUE = "default"

PATIENCE = 2.0
"""Seconds for connecting, and again for the answer."""

LONGEST = 24 * 3600
"""Seconds after which RQ takes a job for hung. A slice ends by itself, long before."""

FAILURES_KEPT = 24 * 3600
"""Seconds for which RQ remembers a job that failed."""


def ring(job: str, *arguments: Any, job_id: str) -> bool:
    """Wake a worker to call this function, named by its path; False when a wake-up of this name is there already.

    Raises:
        QueueAway: Redis does not answer, or does not take it.
    """
    try:
        with _connection() as connection:
            queue = get_queue(QUEUE, connection=connection, commit_mode="auto", serializer=JSONSerializer)
            queue.enqueue(
                job,
                *arguments,
                job_id=job_id,
                unique=True,
                job_timeout=LONGEST,
                result_ttl=0,
                failure_ttl=FAILURES_KEPT,
            )
    except DuplicateJobError:
        return False
    except redis.ResponseError as error:  # it is full, read-only, or cannot write to its disk
        why = first_line(error).removesuffix(".")
        raise QueueAway(said("Redis takes no wake-up: %(error)s.", error=why)) from error
    except (redis.RedisError, OSError) as error:
        raise QueueAway(said("Redis does not answer: %(error)s.", error=first_line(error))) from error
    return True


def waiting(prefix: str) -> int:
    """How many wake-ups whose name begins like this wait for a worker.

    Raises:
        QueueAway: Redis does not answer.
    """
    try:
        with _connection() as connection:
            names = get_queue(QUEUE, connection=connection, serializer=JSONSerializer).get_job_ids()
    except (redis.RedisError, OSError) as error:
        raise QueueAway(said("Redis does not answer: %(error)s.", error=first_line(error))) from error
    return sum(name.startswith(prefix) for name in names)


def _connection() -> redis.Redis:
    """One of our own: the workers' wait for ever, which a service and the scheduler must not."""
    pool = get_connection(QUEUE).connection_pool
    own = {**pool.connection_kwargs, "socket_timeout": PATIENCE, "retry": Retry(NoBackoff(), 0)}
    if not issubclass(pool.connection_class, redis.UnixDomainSocketConnection):
        own["socket_connect_timeout"] = PATIENCE
    return redis.Redis.from_pool(redis.ConnectionPool(connection_class=pool.connection_class, **own))
