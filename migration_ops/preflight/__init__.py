"""What is looked at before a migration starts, and again before each time capture is switched on.

The engine's checks read the catalog only; a domain's own may read data. `run` never raises on a broken database: what
cannot be looked at is a failed check with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from django.db import Error, connection, transaction

from migration_ops.definition import AnyMigration, PreflightCheck, Status
from migration_ops.exceptions import first_line
from migration_ops.preflight.checks import CHECKS
from migration_ops.sentence import said


@dataclass(frozen=True, slots=True)
class Report:
    """All checks in order; `ok` unless one of them failed."""

    checks: tuple[PreflightCheck, ...]

    @property
    def ok(self) -> bool:
        return not self.failed

    @property
    def failed(self) -> tuple[PreflightCheck, ...]:
        return tuple(check for check in self.checks if check.status is Status.FAIL)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON shows it."""
        return {"ok": self.ok, "checks": [asdict(check) for check in self.checks]}


def run(migration: AnyMigration, *, domain: bool = True) -> Report:
    """Look at everything; without `domain` only at what the catalog says, which takes milliseconds.

    An unreachable database is one failed check; the others are not tried then.
    """
    reachable = _database()
    if reachable.status is Status.FAIL:
        return Report((reachable,))
    engine = [_look(check.__name__, partial(check, migration)) for check in CHECKS]
    own = [_look(getattr(check, "__name__", migration.name), check) for check in migration.preflight if domain]
    return Report((reachable, *engine, *own))


def _database() -> PreflightCheck:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error as error:
        hint = "Check DATABASE_URL, and that the server runs."
        message = said("The database does not answer: %(why)s", why=first_line(error))
        return PreflightCheck("database", Status.FAIL, message, hint)
    return PreflightCheck("database", Status.OK, "The database answers.")


def _look(check_id: str, check: Callable[[], PreflightCheck]) -> PreflightCheck:
    try:
        with transaction.atomic():
            return check()
    except Exception as error:  # noqa: BLE001 - a check that cannot look has found nothing good, and must say so
        message = said(
            "This could not be looked at: %(error)s: %(why)s", error=type(error).__name__, why=first_line(error)
        )
        return PreflightCheck(check_id, Status.FAIL, message, "Mend that, then look again.")
