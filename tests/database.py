"""The database of the tests, for processes that tests and benchmarks start."""

from __future__ import annotations

from urllib.parse import quote

from django.db import connection


def database_url() -> str:
    """Its address, as `DATABASE_URL` takes it."""
    parameters = connection.get_connection_params()
    user, password = quote(str(parameters.get("user", ""))), quote(str(parameters.get("password") or ""))
    host, port = str(parameters.get("host") or "localhost"), parameters.get("port") or 5432
    account = f"{user}:{password}" if password else user
    return f"postgres://{account}@{quote(host, safe='')}:{port}/{quote(str(parameters['dbname']))}"
