"""Whether the queue's Redis answers, and takes what is written to it: one that is full or read-only does not."""

from __future__ import annotations

import redis
from django_rq import get_connection
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection
from redis.retry import Retry

PATIENCE = 1.0
"""Seconds for connecting, and again for the answer."""

KEY = "rq:migration_ops:probe"
"""What a probe writes; it begins as all names do that RQ writes, for a Redis where only those may be written."""

KEPT = 60
"""Seconds for which it stays."""

_PLAIN: tuple[type[AbstractConnection], ...] = (redis.UnixDomainSocketConnection, redis.SSLConnection, redis.Connection)


def ping() -> None:
    """Write one word, over a connection of its own.

    Raises:
        redis.ResponseError: it answers, and does not take it.
        redis.RedisError: it does not answer.
    """
    pool = get_connection().connection_pool
    # The plain classes: a probe starts no server, and does not try again where the next probe will.
    kind = next(plain for plain in _PLAIN if issubclass(pool.connection_class, plain))
    own = {**pool.connection_kwargs, "socket_timeout": PATIENCE, "retry": Retry(NoBackoff(), 0)}
    if kind is not redis.UnixDomainSocketConnection:
        own["socket_connect_timeout"] = PATIENCE
    with redis.Redis(connection_pool=redis.ConnectionPool(connection_class=kind, **own)) as client:
        client.set(KEY, "", ex=KEPT)
