"""How RQ reaches the embedded Redis: over connections that start it when nobody answers.

django-rq takes ready-made clients from a cache only (`USE_REDIS_CACHE`), so the queue's connections are declared as
one.
"""

from __future__ import annotations

from typing import Any

import redis
from django.core.cache.backends.redis import RedisCache

from config.embedded.exceptions import EmbeddedServerError
from config.embedded.servers import redis as embedded_redis


class Connection(redis.UnixDomainSocketConnection):
    """A connection to the embedded Redis, which it starts if need be."""

    def _connect(self) -> Any:
        try:
            return super()._connect()  # type: ignore[no-untyped-call]
        except (FileNotFoundError, ConnectionRefusedError):
            try:
                embedded_redis().ensure()
            except EmbeddedServerError as error:
                raise redis.ConnectionError(str(error)) from error
            return super()._connect()  # type: ignore[no-untyped-call]


class QueueConnections(RedisCache):
    """The client that django-rq asks a cache for."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, {**params, "OPTIONS": {"connection_class": Connection}})

    @property
    def _client(self) -> redis.Redis:
        return self._cache.get_client(write=True)
