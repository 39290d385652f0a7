"""`manage.py embedded status|start|stop`: the PostgreSQL and the Redis that this checkout runs for itself."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.embedded.exceptions import EmbeddedServerError
from config.embedded.servers import servers_in_use


class Command(BaseCommand):
    help = "Show, start or stop the embedded servers (used while DATABASE_URL or REDIS_URL are unset)."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("verb", nargs="?", choices=["status", "start", "stop"], default="status")
        parser.add_argument("--json", action="store_true", dest="as_json", help="print one JSON object")

    def handle(self, *args: Any, verb: str, as_json: bool, **options: Any) -> None:
        servers = servers_in_use()
        try:
            if verb == "start":
                for server in servers.values():
                    server.ensure()
            elif verb == "stop":
                for server in servers.values():
                    server.stop()
            pids = {name: server.pid() for name, server in servers.items()}
        except EmbeddedServerError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(_as_json(pids) if as_json else _as_text(pids))


def _as_json(pids: dict[str, int | None]) -> str:
    return json.dumps(
        {"servers": [{"name": name, "running": pid is not None, "pid": pid} for name, pid in pids.items()]}
    )


def _as_text(pids: dict[str, int | None]) -> str:
    if not pids:
        return "Nothing is embedded: DATABASE_URL and REDIS_URL name servers of your own."
    return "\n".join(f"{name}: {f'running, pid {pid}' if pid else 'not running'}" for name, pid in pids.items())
