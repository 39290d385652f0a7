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
    name = quote(str(parameters["dbname"]))
    if host.startswith("/"):  # a socket; in the place of a host name it would be read in lower case
        return f"postgres://{account}@/{name}?host={quote(host, safe='')}&port={port}"
    return f"postgres://{account}@{host}:{port}/{name}"
