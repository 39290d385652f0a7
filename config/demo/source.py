"""The legacy data of the demo: what is there already is used as it is, otherwise messy rows are made up."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import connection

from config.demo.console import line
from config.demo.steps import manage_json


def provide_legacy_rows(rows: int) -> None:
    """Seed `rows` messy rows, unless the legacy store has data: nobody's table or file is touched."""
    found = _file_found() if settings.LEGACY_BACKEND == "json" else _rows_found()
    if found:
        line(f"{found}, used as it is.")
        if _is_ours():
            line(f"`manage.py seed_legacy --reset --messy --rows {rows}` makes up others.")
        return
    _, seeded = manage_json("seed_legacy", "--rows", str(rows), "--messy")
    line(f"{seeded['rows']:,} messy rows of {seeded['owners']:,} families in {_place()}")


def _is_ours() -> bool:
    """Whether the demo made the data up itself, so that starting over costs nobody anything."""
    if settings.LEGACY_BACKEND == "json":
        return Path(settings.LEGACY_JSON_PATH).is_relative_to(settings.VAR_DIR)
    return bool(settings.EMBEDDED_POSTGRESQL)


def _place() -> str:
    return settings.LEGACY_JSON_PATH if settings.LEGACY_BACKEND == "json" else "the table habit_tracker"


def _file_found() -> str:
    path = Path(settings.LEGACY_JSON_PATH)
    return f"The file {path} is there already" if path.exists() else ""


def _rows_found() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('habit_tracker') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return ""
        cursor.execute("SELECT count(*) FROM habit_tracker")
        (count,) = cursor.fetchone()
    return f"The table habit_tracker has {count:,} rows already" if count else ""
