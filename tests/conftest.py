"""What every test needs."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from migration_ops.guards import MAY_TRUNCATE


def _may_start_over(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Let connections of the test process empty the guarded tables: transactional tests end with TRUNCATE.

    Processes that tests start are not included, and a test can take it back with `SET`.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, 'yes', false)", [MAY_TRUNCATE])


connection_created.connect(_may_start_over, dispatch_uid="tests.may_start_over")
