"""A transaction of its own beside the caller's: what must be on record before something no rollback brings back."""

from __future__ import annotations

from typing import Any

import psycopg
from django.db import OperationalError, connection


def execute(sql: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    """Run one statement on a connection of its own and commit it; its rows, where it returns some.

    Opening a connection costs a few milliseconds, which is little beside what it is for, such as replacing a file.

    Raises:
        OperationalError: the server is not there, or refused; nothing was written.
    """
    try:
        with psycopg.connect(**{**connection.get_connection_params(), "autocommit": True}) as own:
            cursor = own.execute(sql, parameters)
            return list(cursor.fetchall()) if cursor.description else []
    except psycopg.Error as error:
        raise OperationalError(
            f"What is about to be written could not be noted beforehand, so nothing was written: {error}"
        ) from error
