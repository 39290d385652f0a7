"""The connection: tried as it is; if nobody answers, the embedded server is started and it is tried once more."""

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql.base import DatabaseWrapper as PostgresWrapper
from django.utils.asyncio import async_unsafe

from config.embedded.exceptions import EmbeddedServerError
from config.embedded.servers import postgres


class DatabaseWrapper(PostgresWrapper):
    """A connection to the embedded PostgreSQL.

    A connection that works costs nothing extra. After the server was killed, the next connection starts it again.
    """

    @async_unsafe
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        try:
            return super().get_new_connection(conn_params)
        except self.Database.OperationalError:
            try:
                postgres().ensure()
            except EmbeddedServerError as error:
                raise self.Database.OperationalError(str(error)) from error
            return super().get_new_connection(conn_params)
