"""What is written for good: the history, each entry bound to the one before, and images of what was written over."""

from __future__ import annotations

from migration_ops.guards.trigger import (
    BEFORE,
    CHANGE,
    EMPTY,
    FOR_GOOD,
    HEAD,
    HISTORY,
    IMAGES,
    INSERT,
    ROW,
    Trigger,
    no_truncate,
)

ENTRY_HASH = """encode(sha256(convert_to(jsonb_build_array(
        {entry}.id, {entry}.migration, to_char({entry}.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        {entry}.actor, {entry}.verb, {entry}.from_stage, {entry}.to_stage, {entry}.reason, {entry}.evidence,
        {entry}.previous_hash)::text, 'UTF8')), 'hex')"""
"""SQL: the hash of a history entry over all its fields and the hash before it; jsonb renders them in one way only."""

_HISTORY_CHAIN = f"""
DECLARE
    head {HEAD}%ROWTYPE;
BEGIN
    INSERT INTO {HEAD} (id, entries, hash) VALUES (1, 0, '') ON CONFLICT (id) DO NOTHING;
    SELECT * INTO head FROM {HEAD} WHERE id = 1 FOR UPDATE;
    NEW.id := head.entries + 1;
    NEW.previous_hash := head.hash;
    NEW.hash := {ENTRY_HASH.format(entry="NEW")};
    UPDATE {HEAD} SET entries = NEW.id, hash = NEW.hash WHERE id = 1;
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


def triggers() -> tuple[Trigger, ...]:
    """What guards the history, its end, and the before-images."""
    return (
        Trigger("migration_ops_history_chain", HISTORY, ROW | BEFORE | INSERT, _HISTORY_CHAIN),
        Trigger("migration_ops_history_append_only", HISTORY, CHANGE, _APPEND_ONLY),
        Trigger("migration_ops_history_no_truncate", HISTORY, EMPTY, no_truncate(HISTORY, FOR_GOOD)),
        Trigger("migration_ops_head_guard", HEAD, CHANGE | INSERT, _HEAD_GUARD),
        Trigger("migration_ops_head_no_truncate", HEAD, EMPTY, no_truncate(HEAD, FOR_GOOD)),
        Trigger("migration_ops_image_append_only", IMAGES, CHANGE, _APPEND_ONLY),
        Trigger("migration_ops_image_no_truncate", IMAGES, EMPTY, no_truncate(IMAGES, FOR_GOOD)),
    )
