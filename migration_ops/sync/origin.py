"""How a transaction says that it writes on the engine's behalf, so that capture does not report its own work."""

from __future__ import annotations

from django.db import connection

SETTING = "migration_ops.origin"
ENGINE = "engine"


def announce(origin: str = ENGINE) -> None:
    """Until the end of this transaction capture triggers of this connection stay silent.

    Call it first in every transaction that writes documents through the engine and keeps both stores in step itself.
    After the commit the setting reads `''`, not NULL; the triggers know both.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, true)", [SETTING, origin])


def announce_alone() -> None:
    """As `announce`, where the whole transaction is the engine's: and a statement from which a policy would hide rows
    fails, for what is hidden would be taken for gone."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, true), set_config('row_security', 'off', true)", [SETTING, ENGINE])
