"""What the database itself refuses: illegal stages, flags that let in more people, changes of what is there for good.

Functions and triggers, made from `TRANSITIONS` and kept in step with this version by `install` after every `migrate`.
All triggers are `ENABLE ALWAYS`, so that `session_replication_role = replica` does not switch them off. Whoever owns
the tables can still remove them; `verify_history` finds what was done meanwhile, and `out_of_step` that they are gone.
"""

from __future__ import annotations

from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, transaction

from migration_ops.guards import flag, members, record
from migration_ops.guards.trigger import (
    BEFORE,
    CHANGE,
    EMPTY,
    FLAG,
    HEAD,
    HISTORY,
    IMAGES,
    INSERT,
    MAY_TRUNCATE,
    RECORDED,
    ROW,
    STATE,
    Trigger,
)
from migration_ops.locks import lock_id
from migration_ops.stages import TRANSITIONS, Stage

__all__ = ["ENTRY_HASH", "MAY_TRUNCATE", "RECORDED", "after_migrate", "install", "out_of_step", "triggers"]

ENTRY_HASH = """encode(sha256(convert_to(jsonb_build_array(
        {entry}.id, {entry}.migration, to_char({entry}.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        {entry}.actor, {entry}.verb, {entry}.from_stage, {entry}.to_stage, {entry}.reason, {entry}.evidence,
        {entry}.previous_hash)::text, 'UTF8')), 'hex')"""
"""SQL: the hash of a history entry over all its fields and the hash before it; jsonb renders them in one way only."""


def _legal_steps() -> str:
    return ", ".join(f"('{step.source.value}', '{step.target.value}')" for step in TRANSITIONS)


def _stage_guard() -> str:
    return f"""
DECLARE
    face record;
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'The state of migration % is never deleted.', OLD.name USING ERRCODE = 'check_violation';
    ELSIF TG_OP = 'INSERT' THEN
        IF NEW.stage <> '{Stage.OFF.value}' OR NEW.version <> 0 THEN
            RAISE EXCEPTION 'Migration % begins at stage {Stage.OFF.value} and version 0, not at % and %.',
                NEW.name, NEW.stage, NEW.version USING ERRCODE = 'check_violation';
        END IF;
    ELSIF NEW.name <> OLD.name THEN
        RAISE EXCEPTION 'Migration % is never renamed.', OLD.name USING ERRCODE = 'check_violation';
    ELSIF NEW.stage <> OLD.stage THEN
        IF (OLD.stage, NEW.stage) NOT IN ({_legal_steps()}) THEN
            RAISE EXCEPTION 'There is no step from % to % for migration %.', OLD.stage, NEW.stage, NEW.name
                USING ERRCODE = 'check_violation';
        ELSIF NEW.version <> OLD.version + 1 THEN
            RAISE EXCEPTION 'The version of migration % grows by one with each step; it was %, not %.',
                NEW.name, OLD.version, NEW.version USING ERRCODE = 'check_violation';
        END IF;
    ELSIF NEW.version NOT IN (OLD.version, OLD.version + 1) THEN
        RAISE EXCEPTION 'The version of migration % grows by one; it was %, not %.',
            NEW.name, OLD.version, NEW.version USING ERRCODE = 'check_violation';
    END IF;
    IF TG_OP <> 'DELETE' THEN
        SELECT * INTO face FROM {FLAG} AS flag WHERE flag.name = NEW.name;
        NEW.named := {flag.names_any("face.id")};
        -- Counting takes its time: a kill, which moves the version, does not wait for it.
        IF to_jsonb(NEW) ? 'named_people' AND (TG_OP = 'INSERT' OR NEW.version = OLD.version) THEN
            NEW.named_people := {members.named_people("face.id")};
            NEW.people := CASE WHEN NEW.named_people > 0 THEN {members.people()} ELSE 0 END;
        ELSIF to_jsonb(NEW) ? 'named_people' THEN
            NEW.named_people := OLD.named_people;
            NEW.people := OLD.people;
        END IF;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        NEW.step := OLD.step;
        NEW.stepped_at := OLD.stepped_at;
        IF (NEW.stage, NEW.percent, NEW.kill) IS DISTINCT FROM (OLD.stage, OLD.percent, OLD.kill) THEN
            NEW.step := OLD.step + 1;
            NEW.stepped_at := clock_timestamp();
        END IF;
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END
"""


_HISTORY_CHAIN = f"""
DECLARE
    head migration_ops_historyhead%ROWTYPE;
BEGIN
    INSERT INTO migration_ops_historyhead (id, entries, hash) VALUES (1, 0, '') ON CONFLICT (id) DO NOTHING;
    SELECT * INTO head FROM migration_ops_historyhead WHERE id = 1 FOR UPDATE;
    NEW.id := head.entries + 1;
    NEW.previous_hash := head.hash;
    NEW.hash := {ENTRY_HASH.format(entry="NEW")};
    UPDATE migration_ops_historyhead SET entries = NEW.id, hash = NEW.hash WHERE id = 1;
    RETURN NEW;
END
"""

_APPEND_ONLY = """
BEGIN
    RAISE EXCEPTION 'What is in % was written for good: % is refused.', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END
"""

_HEAD_GUARD = """
BEGIN
    IF pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'The end of the history is kept by its trigger alone: % is refused.', TG_OP
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END
"""


def _no_truncate(table: str) -> str:
    return f"""
BEGIN
    IF coalesce(current_setting('{MAY_TRUNCATE}', true), '') <> 'yes' AND EXISTS (SELECT FROM {table}) THEN
        RAISE EXCEPTION 'What is in % was written for good: TRUNCATE is refused.', TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END
"""


def triggers() -> tuple[Trigger, ...]:
    """Every guard of this version."""
    return (
        Trigger("migration_ops_state_guard", STATE, CHANGE | INSERT, _stage_guard()),
        Trigger("migration_ops_state_no_truncate", STATE, EMPTY, _no_truncate(STATE)),
        Trigger("migration_ops_history_chain", HISTORY, ROW | BEFORE | INSERT, _HISTORY_CHAIN),
        Trigger("migration_ops_history_append_only", HISTORY, CHANGE, _APPEND_ONLY),
        Trigger("migration_ops_history_no_truncate", HISTORY, EMPTY, _no_truncate(HISTORY)),
        Trigger("migration_ops_head_guard", HEAD, CHANGE | INSERT, _HEAD_GUARD),
        Trigger("migration_ops_head_no_truncate", HEAD, EMPTY, _no_truncate(HEAD)),
        Trigger("migration_ops_image_append_only", IMAGES, CHANGE, _APPEND_ONLY),
        Trigger("migration_ops_image_no_truncate", IMAGES, EMPTY, _no_truncate(IMAGES)),
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
