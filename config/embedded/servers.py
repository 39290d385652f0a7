"""The embedded servers of this installation."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from config.embedded.postgres_server import PostgresServer
from config.embedded.redis_server import RedisServer


def postgres() -> PostgresServer:
    """The embedded PostgreSQL; started or not, in use or not."""
    return PostgresServer(Path(settings.VAR_DIR) / "postgresql")


def redis() -> RedisServer:
    """The embedded Redis; started or not, in use or not."""
    return RedisServer(Path(settings.VAR_DIR) / "redis")


def servers_in_use() -> dict[str, PostgresServer | RedisServer]:
    """The servers this installation uses because it was given none of its own, by name."""
    found: dict[str, PostgresServer | RedisServer] = {}
    if settings.EMBEDDED_POSTGRESQL:
        found["PostgreSQL"] = postgres()
    if settings.EMBEDDED_REDIS:
        found["Redis"] = redis()
    return found


def ensure_redis() -> str:
    """The address of a Redis that runs: REDIS_URL, or the embedded one, started if need be."""
    if settings.EMBEDDED_REDIS:
        redis().ensure()
    return str(settings.REDIS_URL)
