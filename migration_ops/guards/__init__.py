"""What the database itself refuses: illegal stages, flags that let in more people, changes of what is there for good.

Functions and triggers, made from `TRANSITIONS` and kept in step with this version by `install` after every `migrate`.
All triggers are `ENABLE ALWAYS`, so that `session_replication_role = replica` does not switch them off. Whoever owns
the tables can still remove them; `verify_history` finds what was done meanwhile, and `out_of_step` that they are gone.
"""

from __future__ import annotations

from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, transaction

from migration_ops.guards import append_only, flag, members, record, state
from migration_ops.guards.append_only import ENTRY_HASH
from migration_ops.guards.trigger import MAY_TRUNCATE, RECORDED, STATE, Trigger
from migration_ops.locks import lock_id

__all__ = ["ENTRY_HASH", "MAY_TRUNCATE", "RECORDED", "after_migrate", "install", "out_of_step", "triggers"]


def triggers() -> tuple[Trigger, ...]:
    """Every guard of this version."""
    return (
        *state.triggers(),
        *append_only.triggers(),
        *flag.triggers(),
        *members.triggers(),
        *record.triggers(),
    )


def install() -> list[str]:
    """Create or mend what is missing, switched off or of another version; the names of what was changed."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [lock_id("guards")])
        stale = _stale()
        for guard in stale:
            cursor.execute(guard.function_sql)
            cursor.execute(guard.trigger_sql)
        if stale:  # what they keep may have changed while they were not there
            cursor.execute(f"UPDATE {STATE} SET named = named")
    return [guard.name for guard in stale]


def out_of_step() -> list[str]:
    """Names of guards that are missing, switched off or of another version; empty when all is well."""
    return [guard.name for guard in _stale()]


def after_migrate(*, using: str, **_: Any) -> None:
    """Receiver of `post_migrate`; does nothing where the tables are not there (yet, or any more)."""
    tables = {guard.table for guard in triggers()}
    if using == DEFAULT_DB_ALIAS and tables <= set(connection.introspection.table_names()):
        install()


def _stale() -> list[Trigger]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgname::text, relname::text, tgtype::int, prosrc, tginitdeferred FROM pg_trigger"
            " JOIN pg_class ON pg_class.oid = tgrelid JOIN pg_proc ON pg_proc.oid = tgfoid"
            " WHERE tgenabled = 'A' AND tgqual IS NULL AND tgrelid = ANY(%s::regclass[])",
            [sorted({guard.table for guard in triggers()})],
        )
        there = set(cursor.fetchall())
    wanted = {guard: (guard.name, guard.table, guard.kind, guard.body, guard.at_commit) for guard in triggers()}
    return [guard for guard, shape in wanted.items() if shape not in there]
