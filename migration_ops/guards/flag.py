"""The flag of a migration: it shows where the migration stands, and past our services one can only lower it."""

from __future__ import annotations

from migration_ops.guards.record import entry
from migration_ops.guards.trigger import (
    ANY,
    BEFORE,
    CANARY_GROUPS,
    CANARY_USERS,
    CHANGE,
    DELETE,
    EMPTY,
    FLAG,
    INSERT,
    RECORDED,
    ROW,
    STATE,
    UPDATE,
    Trigger,
    no_canaries_truncated,
    no_truncate,
)
from migration_ops.stages import Stage


def names_any(flag: str) -> str:
    """SQL: whether this flag names users or groups."""
    users, groups = (
        f"EXISTS (SELECT FROM {table} AS canary WHERE canary.flag_id = {flag})"
        for table in (CANARY_USERS, CANARY_GROUPS)
    )
    return f"({users} OR {groups})"


# The flag that is named like a migration shows its percentage.
_STATE_FACE = f"""
BEGIN
    UPDATE {FLAG} SET percent = NEW.percent, everyone = NULL, modified = clock_timestamp()
     WHERE name = NEW.name AND (percent, everyone) IS DISTINCT FROM (NEW.percent, NULL::boolean);
    RETURN NULL;
END
"""

# Past our services a flag of a migration can only take away: what lets more people read modern goes through gates.
_FLAG_GUARD = f"""
BEGIN
    IF pg_trigger_depth() > 1 OR coalesce(current_setting('{RECORDED}', true), '') = 'yes' THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.name <> OLD.name AND EXISTS (
           SELECT FROM {STATE} AS state WHERE state.name IN (OLD.name, NEW.name)) THEN
        RAISE EXCEPTION 'The flag of a migration is never renamed, and no other flag takes its name.'
            USING ERRCODE = 'check_violation';
    END IF;
    IF NOT EXISTS (SELECT FROM {STATE} AS state WHERE state.name = NEW.name) THEN
        RETURN NEW;
    END IF;
    IF NEW.everyone OR NEW.testing OR NEW.superusers OR NEW.staff OR NEW.authenticated OR NEW.rollout
       OR NEW.languages <> '' OR coalesce(NEW.percent, 0) > (
           SELECT state.percent FROM {STATE} AS state WHERE state.name = NEW.name) THEN
        RAISE EXCEPTION 'Flag % belongs to a migration: it can be lowered here, and nothing else.', NEW.name
            USING ERRCODE = 'check_violation', HINT = 'Use `manage.py rollout advance`, `set` or `canary`.';
    END IF;
    RETURN NEW;
END
"""

# Switched off or gone, the flag also ends the share of canaries, as a rollback does. At `live` there is no share that
# could be smaller: what lowers the flag there throws the kill switch, and the percentage stays.
_FLAG_LOWERED = f"""
DECLARE
    lowered numeric := 0;
    off boolean := TG_OP = 'DELETE' OR NOT NEW.everyone;
BEGIN
    IF pg_trigger_depth() > 1 OR coalesce(current_setting('{RECORDED}', true), '') = 'yes' THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.everyone IS NULL THEN
        lowered := coalesce(NEW.percent, 0);
    END IF;
    UPDATE {STATE} SET version = version + 1,
           percent = CASE WHEN stage = '{Stage.LIVE}' THEN percent ELSE least(percent, lowered) END,
           canary_percent = CASE WHEN off THEN 0 ELSE canary_percent END,
           kill = kill OR stage = '{Stage.LIVE}'
     WHERE name = OLD.name AND (percent > lowered OR (off AND canary_percent > 0));
    RETURN NULL;
END
"""


def _canaries_guard(what: str) -> str:
    return f"""
DECLARE
    migration text;
BEGIN
    SELECT flag.name INTO migration FROM {FLAG} AS flag
      JOIN {STATE} AS state USING (name)
     WHERE flag.id IN (OLD.flag_id, NEW.flag_id)
       FOR NO KEY UPDATE OF state; -- first the state, then the history: in the order in which a kill takes them
    IF migration IS NULL OR coalesce(current_setting('{RECORDED}', true), '') = 'yes' THEN
        RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    ELSIF TG_OP <> 'DELETE' THEN
        RAISE EXCEPTION 'Canaries of migration % are named with `manage.py rollout canary`.', migration
            USING ERRCODE = 'check_violation';
    END IF;
    {entry("migration", "'canary removed'", f"jsonb_build_object('{what}', OLD.{what}_id)")}
    RETURN OLD;
END
"""


# Whoever changes what the flag names touches the state, whose guard looks again, at what is committed by then: two who
# change the names at once wait for each other at that row, and the second one sees what the first one did.
_CANARIES_NAMED = f"""
BEGIN
    UPDATE {STATE} AS state SET named = state.named
      FROM {FLAG} AS flag WHERE flag.name = state.name AND flag.id IN (OLD.flag_id, NEW.flag_id);
    RETURN NULL;
END
"""

# Names may have been there before their flag was, and may be there a moment longer. Whoever makes a flag without any
# does not touch the state: a kill that makes the same one would wait for it, and it for the kill.
_FLAG_NAMED = f"""
BEGIN
    IF (NEW.id, NEW.name) IS DISTINCT FROM (OLD.id, OLD.name) AND (TG_OP <> 'INSERT' OR {names_any("NEW.id")}) THEN
        UPDATE {STATE} SET named = named WHERE name IN (OLD.name, NEW.name);
    END IF;
    RETURN NULL;
END
"""


_NO_FACES_TRUNCATED = no_truncate(
    f"{FLAG} AS flag JOIN {STATE} AS state USING (name)",
    "There are flags of migrations in %",
    hint="Delete those that are to go.",
)


def triggers() -> tuple[Trigger, ...]:
    """What guards the flag and the names in it."""
    users_stay, groups_stay = (no_canaries_truncated(f"{table} AS canary") for table in (CANARY_USERS, CANARY_GROUPS))
    return (
        Trigger("migration_ops_state_face", STATE, ROW | INSERT | UPDATE, _STATE_FACE),
        Trigger("migration_ops_flag_guard", FLAG, ROW | BEFORE | INSERT | UPDATE, _FLAG_GUARD),
        Trigger("migration_ops_flag_lowered", FLAG, ROW | UPDATE | DELETE, _FLAG_LOWERED),
        Trigger("migration_ops_flag_named", FLAG, ANY, _FLAG_NAMED),
        Trigger("migration_ops_flag_no_truncate", FLAG, EMPTY, _NO_FACES_TRUNCATED),
        Trigger("migration_ops_canary_users", CANARY_USERS, CHANGE | INSERT, _canaries_guard("user")),
        Trigger("migration_ops_canary_groups", CANARY_GROUPS, CHANGE | INSERT, _canaries_guard("group")),
        Trigger("migration_ops_canary_users_named", CANARY_USERS, ANY, _CANARIES_NAMED),
        Trigger("migration_ops_canary_groups_named", CANARY_GROUPS, ANY, _CANARIES_NAMED),
        Trigger("migration_ops_canary_users_no_truncate", CANARY_USERS, EMPTY, users_stay),
        Trigger("migration_ops_canary_groups_no_truncate", CANARY_GROUPS, EMPTY, groups_stay),
    )
